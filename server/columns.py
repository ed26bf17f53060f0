"""Batches column by column: values of one parameter in, their codes out, if all are accepted. Pure.

Quicker than value by value, and all that a batch needs in which nothing is wrong. What is wrong with any other is found
row by row.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from server.parameter import REFUSED, Code, Kind, Parameter

ColumnEncoder: TypeAlias = Callable[[Sequence[object]], "list[Code] | None"]


def column_encoder(parameter: Parameter) -> ColumnEncoder:
    """Make the function that encodes a column; it gives None if a value is refused, or has to be looked at alone."""
    if parameter.kind is Kind.CATEGORY and set(map(type, parameter.labels)) == {str}:
        return _texts(parameter)
    if parameter.kind is Kind.NUMBER and parameter.multiple_of is None:
        return _numbers(parameter)
    encode = parameter.encoder()

    def encode_column(values: Sequence[object]) -> list[Code] | None:
        codes = [encode(value) for value in values]
        return None if any(code is REFUSED for code in codes) else codes  # type: ignore[return-value]  # none is

    return encode_column


def _texts(parameter: Parameter) -> ColumnEncoder:
    table: dict[object, Code] = dict(zip(parameter.labels, parameter.codes, strict=True))

    def encode_column(values: Sequence[object]) -> list[Code] | None:
        if set(map(type, values)) != {str}:
            return None
        codes = list(map(table.get, values))
        return None if None in codes else codes

    return encode_column


def _numbers(parameter: Parameter) -> ColumnEncoder:
    low, high = parameter.minimum, parameter.maximum

    def encode_column(values: Sequence[object]) -> list[Code] | None:
        if not set(map(type, values)) <= {float, int}:
            return None
        numbers = list(map(float, values))  # type: ignore[arg-type]  # they are numbers
        if (low is not None and min(values) < low) or (high is not None and max(values) > high):  # type: ignore[type-var,operator]
            return None
        return numbers  # type: ignore[return-value]  # a list of them is one of codes

    return encode_column
