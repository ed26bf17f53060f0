"""Arrow's columns in: buffers to JSON values. Pure; raises `Broken` for what is not as the format says."""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from server.formats.arrow import BOOLEAN, DOUBLE, FLOAT, INTEGER, LARGE_TEXT, NULL, TEXT, VIEW
from server.formats.flatbuffer import BYTE, INT, SHORT, Broken, Table

TEXT_FACTOR: Final = 4  # letters of different texts, for each byte of the buffers that views may share
VIEW_BYTES, INLINE_BYTES = 16, 12

Valid: TypeAlias = NDArray[np.bool_]
# Of a column's buffers, the number of its values, and which are valid.
Read: TypeAlias = Callable[[Sequence[memoryview], int, Valid], list[Any]]


def read_values(read: Read, buffers: Sequence[memoryview], node: tuple[int, int], length: int) -> list[Any]:
    """Read a column's values by its buffers and its node, None for those that are null; raises `Broken`."""
    if not length:
        return []
    if not buffers:
        return read(buffers, length, np.empty(0, bool))
    validity, nulls = buffers[0], node[1]
    if nulls and len(validity):
        valid = _bits(validity, length)
    elif nulls > 0:
        raise Broken
    else:
        valid = np.ones(length, bool)
    values = read(buffers[1:], length, valid)
    for place in np.flatnonzero(~valid).tolist():
        values[place] = None
    return values


def _array(buffer: memoryview, dtype: str, length: int) -> NDArray[Any]:
    if length * np.dtype(dtype).itemsize > len(buffer):
        raise Broken
    return np.frombuffer(buffer, dtype, length)


def _bits(buffer: memoryview, length: int) -> NDArray[np.bool_]:
    return np.unpackbits(_array(buffer, "u1", -(-length // 8)), count=length, bitorder="little").astype(bool)


def _nulls(_: Sequence[memoryview], length: int, __: Valid) -> list[Any]:
    return [None] * length


def _booleans(buffers: Sequence[memoryview], length: int, _: Valid) -> list[Any]:
    return _bits(buffers[0], length).tolist()  # type: ignore[no-any-return]  # it has one dimension


def read_integers(type_: Table) -> Read:
    """Make the reader of the integers that a type describes."""
    width = type_.scalar(0, INT)
    if width not in (8, 16, 32, 64):
        raise Broken
    return read_numbers(f"<{'i' if type_.scalar(1, BYTE) else 'u'}{width // 8}")


def _floats(type_: Table) -> Read:
    precision = type_.scalar(0, SHORT)
    if not 0 <= precision <= DOUBLE:
        raise Broken
    return read_numbers(("<f2", "<f4", "<f8")[precision])


def read_numbers(dtype: str) -> Read:
    """Make the reader of numbers of a type; one that is not a number is null."""

    def read(buffers: Sequence[memoryview], length: int, _: Valid) -> list[Any]:
        numbers = _array(buffers[0], dtype, length)
        values: list[Any] = numbers.tolist()
        if numbers.dtype.kind == "f":
            for place in np.flatnonzero(np.isnan(numbers)).tolist():
                values[place] = None
        return values

    return read


def _texts(dtype: str) -> Read:
    def read(buffers: Sequence[memoryview], length: int, valid: Valid) -> list[Any]:
        offsets = _array(buffers[0], dtype, length + 1)
        if offsets[0] < 0 or offsets[-1] > len(buffers[1]) or (offsets[1:] < offsets[:-1]).any():
            raise Broken
        ends = offsets.tolist()
        first, content = ends[0], bytes(buffers[1][ends[0] : ends[-1]])
        return [
            content[start - first : end - first].decode() if is_valid else None
            for start, end, is_valid in zip(ends, ends[1:], valid.tolist(), strict=False)
        ]

    return read


def _views(buffers: Sequence[memoryview], length: int, valid: Valid) -> list[Any]:
    views, room = bytes(buffers[0][: length * VIEW_BYTES]), TEXT_FACTOR * sum(map(len, buffers))
    if len(views) < length * VIEW_BYTES:
        raise Broken
    values: list[Any] = []
    known: dict[bytes, str] = {}  # many rows may have one view
    for at, is_valid in zip(range(0, len(views), VIEW_BYTES), valid.tolist(), strict=True):
        view = views[at : at + VIEW_BYTES]
        if is_valid and view not in known:
            known[view] = _viewed(view, buffers[1:])
            room -= len(known[view])
            if room < 0:
                raise Broken
        values.append(known[view] if is_valid else None)
    return values


def _viewed(view: bytes, buffers: Sequence[memoryview]) -> str:
    """Read the text that a view holds, or refers to."""
    size = INT.unpack_from(view)[0]
    if 0 <= size <= INLINE_BYTES:
        return view[4 : 4 + size].decode()
    which, offset = INT.unpack_from(view, 8)[0], INT.unpack_from(view, 12)[0]
    if size < 0 or not 0 <= which < len(buffers) or not 0 <= offset <= len(buffers[which]) - size:
        raise Broken
    return bytes(buffers[which][offset : offset + size]).decode()


# The types that are read: name, number of buffers, and what makes the reader of one.
TYPES: Final[dict[int, tuple[str, int, Callable[[Table], Read]]]] = {
    NULL: ("null", 0, lambda _: _nulls),
    INTEGER: ("int", 2, read_integers),
    FLOAT: ("floating point", 2, _floats),
    TEXT: ("utf8", 3, lambda _: _texts("<i4")),
    BOOLEAN: ("bool", 2, lambda _: _booleans),
    LARGE_TEXT: ("large utf8", 3, lambda _: _texts("<i8")),
    VIEW: ("utf8 view", 2, lambda _: _views),
}
