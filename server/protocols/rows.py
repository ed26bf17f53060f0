"""Rows as other servers take them: records, lists, lists by column; labels, or the codes that the estimator knows.

A number for a parameter whose labels are texts, or true and false, is the code that an application would have given to
the estimator itself; for any other it is the value.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final

from server.errors import WrongForm
from server.exchange import RequestHeaders
from server.parameter import Code, Kind, Label, NoCode, Parameter, cut, json_type
from server.predictor import Batch, Predictor
from server.routing import Rows, objects_in
from server.signature import Signature, listing

NUMBERS: Final = frozenset({int, float})
FORMS: Final = "a list of objects, a list of lists, or an object with a list for each column"


class RowReader:
    """Reads the rows of one model."""

    def __init__(self, signature: Signature, predictor: Predictor) -> None:
        self.names = [parameter.name for parameter in signature.parameters]
        self.parameters = signature.parameters
        self._signature, self._predictor = signature, predictor
        self._required = max(1, sum(parameter.required for parameter in signature.parameters))
        codes = {parameter.name: Codes.of(parameter) for parameter in signature.parameters}
        self._codes = {name: each for name, each in codes.items() if each is not None}

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
        rows = self._signature.encode(records)
        if rows is None and self._codes:
            records = [self._translated(each) for each in records]
            rows = self._signature.encode(records)
        return self._predictor.batch(list(records)) if rows is None else Batch(rows, single=False)

    def lists(self, rows: Sequence[object], member: str, names: Sequence[str] | None = None) -> Batch:
        """Read rows that are lists, in the order of the columns' names, the model's own unless others are given.

        The rows of a single column may be its values themselves.
        """
        names = self.names if names is None else names
        if len(rows) == 1 and type(rows[0]) is list and len(rows[0]) == len(names):
            return self.records([dict(zip(names, rows[0], strict=True))])
        self._predictor.check_count(len(rows))
        read: list[list[object]] = []
        for at, row in enumerate(rows):
            values = row if isinstance(row, list) or len(names) != 1 else [row]
            if not isinstance(values, list) or len(values) != len(names):
                got = f"{len(values)} values" if isinstance(values, list) else json_type(values)
                msg = f"`{member}`, row {at}: expected a list of {len(names)} values ({listing(names)}); got {got}."
                raise WrongForm(msg)
            read.append(values)
        return self.columns({name: list(column) for name, *column in zip(names, *read, strict=True)}, member)

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
            count, lists[name] = len(column), column
        self._predictor.check_count(count or 0)
        if lists.keys() != set(self.names):
            # A column that is missing, or too many, is so in every row: told once.
            self.records([{name: column[0] for name, column in lists.items()}])
        read = {name: self._codes[name].column(each) if name in self._codes else each for name, each in lists.items()}
        return self._predictor.batch_of_columns(read, count or 0)

    def count(self, _: RequestHeaders, body: bytes) -> Rows:
        """Estimate the rows of a body in any of the forms; the most of those that are not refused by their form.

        A row has a comma for each of its values but one, and one before the next row; of records, those that are
        refused count too.
        """
        objects = body.count(b"{") - 1
        least = max(1, objects_in(body) - 2) if objects > 1 else 1
        return Rows(least, max(objects, body.count(b",") // self._required + 1))

    def _translated(self, record: object) -> object:
        if not isinstance(record, dict):
            return record
        return {
            name: self._codes[name].value(value) if name in self._codes else value for name, value in record.items()
        }


def codes_of(parameter: Parameter) -> Mapping[float, Label | None]:
    """Give the label of each number that is a code of the parameter; none where a number is a value.

    The codes are the estimator's: a caller knows of no engine.
    """
    parameter = parameter.own or parameter
    if parameter.kind is Kind.BOOLEAN:
        return {0.0: False, 1.0: True}
    if parameter.kind is not Kind.CATEGORY or any(type(label) is int for label in parameter.labels):
        return {}
    table: dict[float, Label | None] = {}
    for label, code in zip(parameter.labels, parameter.codes, strict=True):
        if _is_number(code):
            table.setdefault(float(code), label)  # type: ignore[arg-type]  # it is a number
    if parameter.nullable and _is_number(parameter.null_code):
        table.setdefault(float(parameter.null_code), None)  # type: ignore[arg-type]  # it is a number
    return table


class Codes:
    """Gives the labels of a parameter for its codes, as in `table`."""

    def __init__(self, table: Mapping[float, Label | None]) -> None:
        self._table = table

    @classmethod
    def of(cls, parameter: Parameter) -> "Codes | None":
        """Make that of a parameter; None where a number is never a code."""
        table = codes_of(parameter)
        return cls(table) if table else None

    def value(self, value: object) -> object:
        """Give the label of a code, and a `NoCode` for a number that is none; other values stay."""
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return self._table[value] if value in self._table else NoCode(value)
        return value

    def column(self, values: Sequence[object]) -> Sequence[object]:
        """Do so for each value of a column, quickly where they are alike."""
        kinds = set(map(type, values))
        if kinds <= NUMBERS:
            try:
                return list(map(self._table.__getitem__, values))  # type: ignore[arg-type]  # they are numbers
            except KeyError:
                pass
        return values if kinds == {str} else list(map(self.value, values))


def _is_number(code: Code) -> bool:
    return isinstance(code, (int, float)) and not isinstance(code, bool) and math.isfinite(code)


def _is_table(record: Mapping[str, object]) -> bool:
    return bool(record) and all(isinstance(value, list) for value in record.values())
