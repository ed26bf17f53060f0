"""All inputs of a model: a JSON value in, rows of codes out, or every reason why not. Pure."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

from server.columns import Column, Columns, Row, Table, make_column, records
from server.errors import FieldError, InvalidInput
from server.parameter import NAME_CUT, REFUSED, Absent, Code, Encoder, Parameter, Scalar, closest, cut, json_type

MAX_ERRORS: Final = 20  # most field errors that one answer tells
LISTED_NAMES: Final = 5  # of the parameters, in a message
SEARCHED_LETTERS: Final = 400_000  # pairs of letters compared for one request: some 40 milliseconds
LATER_ERRORS: Final = 3  # of a row, once that many rows are refused: the answer stays in proportion to the request


@dataclass(frozen=True, slots=True)
class Signature:
    """The parameters in the estimator's column order; immutable.

    With `ignore_unknown`, fields that no parameter names are passed over; otherwise they are refused.
    """

    parameters: tuple[Parameter, ...]
    ignore_unknown: bool = False
    _columns: tuple[tuple[str, Encoder, "Code | Absent"], ...] = field(init=False, repr=False, compare=False)
    _table: tuple[Column, ...] = field(init=False, repr=False, compare=False)
    texts_of_a_row: int | None = field(init=False, repr=False, compare=False)  # of one in a table: names and values
    _encoders: Mapping[str, Encoder] = field(init=False, repr=False, compare=False)
    _required: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Build the encoders once."""
        columns = []
        for parameter in self.parameters:
            encode = parameter.encoder()
            absent = REFUSED if isinstance(parameter.default, Absent) else encode(parameter.default)
            columns.append((parameter.name, encode, absent))
        object.__setattr__(self, "_columns", tuple(columns))
        table = tuple(map(make_column, self.parameters))
        object.__setattr__(self, "_table", table)
        texts = [column.texts for column in table if column.texts is not None]
        known = len(table) + sum(texts) if len(texts) == len(table) else None
        object.__setattr__(self, "texts_of_a_row", known)
        object.__setattr__(self, "_encoders", {name: encode for name, encode, _ in columns})
        required = frozenset(parameter.name for parameter in self.parameters if parameter.required)
        object.__setattr__(self, "_required", required)

    def parse(self, value: object) -> Row:
        """Encode one object; raise `InvalidInput` with every reason if the schema refuses it."""
        row = self._encode(value)
        if row is None:
            raise InvalidInput(*self._explain(value, "", MAX_ERRORS, _Suggestions()))
        return row

    def encode(self, values: Sequence[object]) -> Sequence[Row] | None:
        """Encode a batch of objects quickly; None if one is refused, or has to be looked at alone."""
        if len(values) > 1:
            return self.parse_table(values)
        row = self._encode(values[0])
        return None if row is None else [row]

    def parse_table(self, values: Sequence[object]) -> Table | None:
        """Encode a batch of whole objects column by column; None if one is refused, or leaves a field out."""
        columns = []
        for column in self._table:
            try:
                codes = column.encode(list(map(column.get, values)))
            except (KeyError, TypeError):  # a field is missing, or it is no object
                return None
            if codes is None:
                return None
            columns.append(codes)
        # Each has all fields; so none has more if together they have no more.
        fields = sum(map(len, cast("Sequence[dict[str, object]]", values)))
        return Table(columns) if fields == len(values) * len(columns) else None

    def parse_columns(self, columns: Columns, count: int) -> Sequence[Row]:
        """Encode a batch of `count` rows given by columns, all or nothing; raise `InvalidInput` as for its objects.

        Columns hold as many JSON values, or `REQUIRED` where a row has none; of a parameter with a default there need
        not be one.
        """
        if count > 1 and self._required <= columns.keys() <= self._encoders.keys():
            encoded = []
            for column, (name, _, default) in zip(self._table, self._columns, strict=True):
                codes = column.encode_any(columns[name]) if name in columns else [default] * count
                if codes is None:
                    break
                encoded.append(codes)
            else:
                return Table(cast("list[list[Code]]", encoded))
        return self.parse_rows(records(columns, count))

    def check_names(self, names: Iterable[str]) -> None:
        """Raise `InvalidInput`, as for the first row, if columns of these names have what every row is refused for."""
        example = self.example()
        row = {name: example.get(name) for name in names}
        if self._encode(row) is None:
            raise InvalidInput(*self._explain(row, "/0", MAX_ERRORS, _Suggestions()))

    def parse_rows(self, values: Iterable[object]) -> list[Row]:
        """Encode a batch, all or nothing; raise `InvalidInput` with the reasons of all rows together."""
        rows: list[Row] = []
        told: list[FieldError] = []
        count = 0
        suggestions = _Suggestions()
        for index, value in enumerate(values):
            row = self._encode(value)
            if row is not None:
                rows.append(row)
                continue
            errors, more = self._explain(value, f"/{index}", MAX_ERRORS - len(told), suggestions)
            told.extend(errors)
            count += more
        if count:
            raise InvalidInput(told, count)
        return rows

    def parse_each(self, values: Sequence[object], *, first: int = 0) -> Iterator[Row | InvalidInput]:
        """Encode a batch row by row: for each its codes, or why it is refused (in full for the first few).

        `first` is the place of the first row in what the caller sees as a whole.
        """
        refused = 0
        suggestions = _Suggestions()
        for index, value in enumerate(values, first):
            row = self._encode(value)
            if row is not None:
                yield row
                continue
            refused += 1
            if refused <= MAX_ERRORS:
                yield InvalidInput(*self._explain(value, f"/{index}", MAX_ERRORS, suggestions))
            else:
                yield InvalidInput(*self._explain(value, f"/{index}", LATER_ERRORS, None))

    def example(self) -> dict[str, Scalar]:
        """Give an object that the schema accepts."""
        return {parameter.name: parameter.example() for parameter in self.parameters}

    def _encode(self, value: object) -> Row | None:
        if type(value) is not dict:
            return None
        row: Row = []
        absent = 0
        for name, encode, default in self._columns:
            if name in value:
                code = encode(value[name])
            else:
                code, absent = default, absent + 1
            if code is REFUSED:
                return None
            row.append(code)  # type: ignore[arg-type]  # mypy does not narrow by `is` on an enum's member in a union
        if len(value) > len(row) - absent and not self.ignore_unknown:
            return None
        return row

    def _explain(
        self, value: object, pointer: str, room: int, suggestions: "_Suggestions | None"
    ) -> tuple[list[FieldError], int]:
        """Say what is wrong with a refused value: the first `room` reasons, and how many there are.

        Without `suggestions` no labels are told. What is not told is only counted: a body may hold very much of it.
        """
        if not isinstance(value, dict):
            if not room:
                return [], 1
            detail = f"Expected an object with the fields {self._listing}; got {json_type(value)}."
            return [FieldError(pointer, "wrong_type", detail)], 1
        errors: list[FieldError] = []
        for parameter, (name, encode, default) in zip(self.parameters, self._columns, strict=True):
            if len(errors) >= room:
                break
            if name not in value:
                if default is REFUSED:
                    detail = f"{cut(name)} is missing; give {parameter.expectation()}."
                    errors.append(FieldError(f"{pointer}/{escape(name)}", "missing", detail))
            elif encode(value[name]) is REFUSED:
                suggest = None if suggestions is None else suggestions.closest
                hints = suggestions is not None
                errors.append(parameter.explain(value[name], f"{pointer}/{escape(name)}", hints=hints, suggest=suggest))
        if not self.ignore_unknown:
            detail = f"There is no such field; the fields are {self._listing}."
            unknown = (key for key in value if key not in self._encoders)
            for key in itertools.islice(unknown, room - len(errors)):
                near = None if suggestions is None else suggestions.closest(key, list(self._encoders))
                at = f"{pointer}/{escape(key)}"
                errors.append(FieldError(at, "unknown_field", detail, did_you_mean=near))
        return errors, self._count_errors(value)

    @property
    def _listing(self) -> str:
        return listing([parameter.name for parameter in self.parameters[: LISTED_NAMES + 1]])

    def _count_errors(self, value: dict[str, object]) -> int:
        count = len(self._required.difference(value))
        for key, member in value.items():
            encode = self._encoders.get(key)
            if encode is None:
                count += not self.ignore_unknown
            elif encode(member) is REFUSED:
                count += 1
        return count


class _Suggestions:
    """The search for what a caller may have meant, for as many of a request's errors as there is time for."""

    def __init__(self) -> None:
        self._left = SEARCHED_LETTERS

    def closest(self, value: object, candidates: Sequence[object]) -> str | None:
        """Give the likeliest candidate, nothing once enough was searched for."""
        self._left -= len(str(value)) * sum(len(str(each)) for each in candidates)
        return closest(value, candidates) if self._left >= 0 else None


def listing(names: Sequence[str]) -> str:
    """List the first few of some names for a message."""
    return ", ".join(map(cut, names[:LISTED_NAMES])) + (", ..." if len(names) > LISTED_NAMES else "")


def escape(key: str) -> str:
    """Write a key as a part of a JSON Pointer (RFC 6901), cut where it is longer than any message should be."""
    return (key if len(key) <= NAME_CUT else cut(key)).replace("~", "~0").replace("/", "~1")
