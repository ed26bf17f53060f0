"""Batches column by column: values of one parameter in, their codes out, if all are accepted. Pure.

Quicker than value by value, and all that a batch needs in which nothing is wrong. What is wrong with any other is found
row by row.
"""

import math
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias, cast, overload

from server.parameter import EXACT_BELOW, REFUSED, REQUIRED, Code, Kind, Label, Parameter

Row: TypeAlias = list[Code]
Encode: TypeAlias = Callable[[Sequence[object]], "list[Code] | None"]
Columns: TypeAlias = Mapping[str, Sequence[object]]


class Named(NamedTuple):
    """A column of an answer: its values are of its type, which is one of text, integer, number, boolean, or None."""

    name: str
    type: type[str | int | float | bool]
    values: Sequence[Any]


class Table(Sequence[Row]):
    """Rows of codes, held by columns."""

    def __init__(self, columns: Sequence[list[Code]]) -> None:
        self.columns = columns

    def __len__(self) -> int:
        return len(self.columns[0])

    @overload
    def __getitem__(self, at: int) -> Row: ...
    @overload
    def __getitem__(self, at: slice) -> "Table": ...
    def __getitem__(self, at: int | slice) -> "Row | Table":
        if isinstance(at, slice):
            return Table([column[at] for column in self.columns])
        return [column[at] for column in self.columns]

    def __iter__(self) -> Iterator[Row]:
        return map(list, zip(*self.columns, strict=True))


@dataclass(frozen=True, slots=True)
class Column:
    """How one parameter's values are read: `encode` gives None if one is refused, or has to be looked at alone.

    `texts` says how many texts each accepted value is, 0 or 1; None where that depends on the value.
    """

    get: Callable[[Any], object]
    encode: Encode
    texts: int | None
    each: Encode

    def encode_any(self, values: Sequence[object]) -> "list[Code] | None":
        """Encode also what has to be looked at alone, such as null; None only if a value is refused."""
        codes = self.encode(values)
        return self.each(values) if codes is None else codes


def make_column(parameter: Parameter) -> Column:
    """Make the column of a parameter."""
    get: Callable[[Any], object] = operator.itemgetter(parameter.name)
    each = _one_by_one(parameter)
    if parameter.kind is Kind.CATEGORY and set(map(type, parameter.labels)) == {str}:
        return Column(get, _texts(parameter), 1, each)
    if parameter.kind is Kind.NUMBER and parameter.multiple_of is None:
        return Column(get, _numbers(parameter), 0, each)
    return Column(get, each, _texts_of(parameter), each)


def records(columns: Columns, count: int) -> Iterator[dict[str, object]]:
    """Give the rows that columns make, as objects without what is `REQUIRED`."""
    for at in range(count):
        values = ((name, column[at]) for name, column in columns.items())
        yield {name: value for name, value in values if value is not REQUIRED}


def _texts_of(parameter: Parameter) -> int | None:
    if parameter.kind in (Kind.INTEGER, Kind.BOOLEAN):
        return 0
    if parameter.kind is Kind.TEXT:
        return None if parameter.nullable else 1
    if parameter.kind is Kind.CATEGORY and all(map(_is_exact, parameter.labels)):
        return 0
    return None


def _is_exact(label: Label) -> bool:
    return not isinstance(label, str) and abs(label) < EXACT_BELOW


def _texts(parameter: Parameter) -> Encode:
    table: dict[object, Code] = dict(zip(parameter.labels, parameter.codes, strict=True))

    def encode(values: Sequence[object]) -> list[Code] | None:
        try:
            return list(map(table.__getitem__, values))  # nothing but a text equals a text
        except (KeyError, TypeError):  # an unknown label, or what has no hash
            return None

    return encode


def _numbers(parameter: Parameter) -> Encode:
    low = max(-EXACT_BELOW + 1, -EXACT_BELOW if parameter.minimum is None else parameter.minimum)
    high = min(EXACT_BELOW - 1, EXACT_BELOW if parameter.maximum is None else parameter.maximum)

    def encode(values: Sequence[object]) -> list[Code] | None:
        if not set(map(type, values)) <= {float, int}:
            return None
        numbers = cast("Sequence[float]", values)
        if min(numbers) < low or max(numbers) > high or math.isnan(sum(numbers)):  # JSON has no NaN; others may
            return None
        return list(map(float, numbers))

    return encode


def _one_by_one(parameter: Parameter) -> Encode:
    encode_one = parameter.encoder()

    def encode(values: Sequence[object]) -> list[Code] | None:
        codes = [encode_one(value) for value in values]
        return None if any(code is REFUSED for code in codes) else codes  # type: ignore[return-value]  # none is

    return encode
