"""DataFrames as JSON, as the clients of MLflow and of Azure ML write them, to rows."""

import re
from collections.abc import Sequence
from typing import Final

from server.decoding import decode
from server.errors import MalformedBody, WrongForm
from server.predictor import Batch
from server.protocols.rows import RowReader

FORMS: Final = ("dataframe_split", "dataframe_records", "instances", "inputs")
SPLIT: Final = frozenset({"columns", "data", "index"})
TEXT_OR_NAN: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|NaN', re.DOTALL)  # remembers no way back


def decode_frames(body: bytes) -> object:
    """Give the JSON value that a body is; NaN, which Python writes where a value is missing, is null.

    Raises `MalformedBody`.
    """
    try:
        return decode(body)
    except MalformedBody:
        if b"NaN" not in body:
            raise
    return decode(TEXT_OR_NAN.sub(lambda found: b"null" if found[0] == b"NaN" else found[0], body))


class FrameReader(RowReader):
    """Reads the rows of one model in the forms that MLflow has."""

    def read_body(self, document: object) -> Batch:
        """Read the rows of a body, which has one of the `FORMS`; raise as `read` does."""
        forms = [form for form in FORMS if form in document] if isinstance(document, dict) else []
        if not isinstance(document, dict) or len(forms) != 1:
            got = f"got {len(forms)} of them" if isinstance(document, dict) else "got no object"
            msg = f"The body must be an object with exactly one of the members {', '.join(FORMS)}; {got}."
            raise WrongForm(msg)
        form, rows = forms[0], document[forms[0]]
        if form == "dataframe_split":
            return self.split(rows, form)
        if form == "dataframe_records" and not isinstance(rows, list):
            msg = "`dataframe_records` must be a list of objects, one for each row."
            raise WrongForm(msg)
        if form == "dataframe_records":
            return self.records(rows)
        if form == "inputs" and isinstance(rows, dict) and not any(isinstance(each, list) for each in rows.values()):
            return self.records([rows])
        return self.read(rows, form)

    def is_split(self, rows: object) -> bool:
        """Tell whether rows are a frame as pandas splits it, and not an object with a list for each column."""
        return isinstance(rows, dict) and {"data"} <= rows.keys() <= SPLIT and not rows.keys() <= set(self.names)

    def split(self, frame: object, member: str) -> Batch:
        """Read a frame as pandas splits it, whose `index` says nothing; raise `WrongForm`, and as `lists` does."""
        rows = frame.get("data") if isinstance(frame, dict) else None
        if not isinstance(frame, dict) or not isinstance(rows, list) or not frame.keys() <= SPLIT:
            msg = f"`{member}` must be an object with `data`, a list of rows, and at most `columns` and `index`."
            raise WrongForm(msg)
        return self.lists(rows, f"{member}.data", self._names(frame.get("columns"), f"{member}.columns"))

    def _names(self, columns: object, member: str) -> Sequence[str]:
        """Give the names of a frame's columns; one that was made without names numbers them, or has none."""
        if columns == self.names or columns is None:
            return self.names
        if columns and columns == list(range(len(self.names))) and _are(int, columns):
            return self.names
        if not isinstance(columns, list) or not _are(str, columns):
            msg = f"`{member}` must be a list of the parameters' names."
            raise WrongForm(msg)
        if len(set(columns)) < len(columns):
            msg = f"`{member}` has the same name twice; name each column once."
            raise WrongForm(msg)
        return columns


def _are(kind: type, values: object) -> bool:
    return isinstance(values, list) and all(type(value) is kind for value in values)
