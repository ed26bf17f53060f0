"""Rows as other servers take them: records, lists, lists by column; labels, or the codes that the estimator knows.

A number for a parameter whose labels are texts, or true and false, is the code that an application would have given to
the estimator itself; for any other it is the value.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

from server.errors import WrongForm
from server.parameter import Kind, Label, Parameter, cut
from server.predictor import Batch, Predictor
from server.signature import Signature

Translate: TypeAlias = Callable[[object], object]

FORMS: Final = "a list of objects, a list of lists, or an object with a list for each column"


class RowReader:
    """Reads the rows of one model."""

    def __init__(self, signature: Signature, predictor: Predictor) -> None:
        self.names = [parameter.name for parameter in signature.parameters]
        self.parameters = signature.parameters
        self._predictor = predictor
        translators = {parameter.name: translator(parameter) for parameter in signature.parameters}
        self._translators = {name: translate for name, translate in translators.items() if translate is not None}

    def read(self, value: object, member: str) -> Batch:
        """Read the rows that a member of a body holds, in any of the `FORMS`.

        Raises `WrongForm`, and what `Predictor.batch` raises.
        """
        if isinstance(value, dict):
            return self.columns(value, member)
        if not isinstance(value, list):
            msg = f"`{member}` must be {FORMS}."
            raise WrongForm(msg)
        if len(value) == 1 and isinstance(value[0], dict) and _is_table(value[0]):
            return self.columns(value[0], member)
        if value and not isinstance(value[0], dict):
            return self.lists(value, member)
        return self.records(value)

    def records(self, records: Sequence[object]) -> Batch:
        """Read rows that are objects."""
        self._predictor.check_count(len(records))
        if not self._translators:
            return self._predictor.batch(list(records))
        return self._predictor.batch([self._translated(each) for each in records])

    def lists(self, rows: Sequence[object], member: str, names: Sequence[str] | None = None) -> Batch:
        """Read rows that are lists, in the order of the columns' names, the model's own unless others are given."""
        self._predictor.check_count(len(rows))
        names = self.names if names is None else names
        if len(names) == 1:
            rows = [row if isinstance(row, list) else [row] for row in rows]
        for at, row in enumerate(rows):
            if not isinstance(row, list) or len(row) != len(names):
                got = f"{len(row)} values" if isinstance(row, list) else "something else"
                msg = f"`{member}`, row {at}: expected a list of {len(names)} values ({listing(names)}); got {got}."
                raise WrongForm(msg)
        return self.records([dict(zip(names, row, strict=True)) for row in rows])  # type: ignore[call-overload]

    def columns(self, columns: Mapping[str, object], member: str) -> Batch:
        """Read columns, each a list with a value for each row."""
        lists: dict[str, Sequence[object]] = {}
        count: int | None = None
        for name, column in columns.items():
            if not isinstance(column, list):
                msg = f"`{member}`, column {cut(name)}: expected a list with a value for each row."
                raise WrongForm(msg)
            if count is not None and len(column) != count:
                msg = f"`{member}`, column {cut(name)} has {len(column)} values; the columns before it have {count}."
                raise WrongForm(msg)
            count = len(column)
            translate = self._translators.get(name)
            lists[name] = column if translate is None else list(map(translate, column))
        return self._predictor.batch_of_columns(lists, count or 0)

    def _translated(self, record: object) -> object:
        if not isinstance(record, dict):
            return record
        return {
            name: translate(value) if (translate := self._translators.get(name)) else value
            for name, value in record.items()
        }


def translator(parameter: Parameter) -> Translate | None:
    """Make the function from a code to the label; None where a number is never a code. Other values stay."""
    if parameter.kind is Kind.BOOLEAN:
        table: dict[float, Label] = {0.0: False, 1.0: True}
    elif parameter.kind is Kind.CATEGORY and not any(type(label) is int for label in parameter.labels):
        table = {}
        for label, code in zip(parameter.labels, parameter.codes, strict=True):
            if isinstance(code, (int, float)) and not isinstance(code, bool) and not math.isnan(code):
                table.setdefault(float(code), label)
    else:
        return None
    if not table:
        return None

    def translate(value: object) -> object:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return table.get(value, value)
        return value

    return translate


def listing(names: Sequence[str]) -> str:
    """List some names for a message."""
    return ", ".join(cut(name) for name in names[:5]) + (", ..." if len(names) > 5 else "")


def _is_table(record: Mapping[str, object]) -> bool:
    return bool(record) and all(isinstance(value, list) for value in record.values())
