"""The binary tables in which Arrow writes what its messages hold: read without trust, and written. Pure.

Format: FlatBuffers. A table begins with how far before it its vtable stands, which says where in the table the field
of each slot is, 0 for none. An offset counts from where it stands; all numbers are little-endian.
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeAlias

BYTE, SHORT, INT, LONG = (struct.Struct(f"<{code}") for code in "Bhiq")
UNSIGNED_SHORT, UNSIGNED = struct.Struct("<H"), struct.Struct("<I")


class Broken(ValueError):
    """Bytes are not what the format says."""


class Table:
    """A table at a place in some bytes. Whatever these are, its methods give a value or raise `Broken`."""

    __slots__ = ("_at", "_bytes", "_vtable")

    def __init__(self, content: bytes, at: int) -> None:
        self._bytes, self._at = content, at
        self._vtable = at - self._read(INT, at)

    @classmethod
    def root(cls, content: bytes) -> "Table":
        """Give the table that some bytes are."""
        return cls(content, _read(UNSIGNED, content, 0))

    def scalar(self, slot: int, kind: struct.Struct, default: int = 0) -> int:
        """Give the number in a slot."""
        at = self._place(slot)
        return default if at is None else self._read(kind, at)

    def table(self, slot: int) -> "Table | None":
        """Give the table that a slot refers to."""
        at = self._target(slot)
        return None if at is None else Table(self._bytes, at)

    def text(self, slot: int, most: int) -> str:
        """Give the text that a slot refers to, empty if there is none; longer than `most` bytes is `Broken`."""
        start, length = self.vector(slot, 1)
        if length > most:
            raise Broken
        return self._bytes[start : start + length].decode()

    def vector(self, slot: int, size: int) -> tuple[int, int]:
        """Give where the elements of a vector begin, each of `size` bytes, and how many there are."""
        at = self._target(slot)
        if at is None:
            return 0, 0
        length = self._read(UNSIGNED, at)
        if at + UNSIGNED.size + length * size > len(self._bytes):
            raise Broken
        return at + UNSIGNED.size, length

    def elements(self, slot: int, size: int) -> bytes:
        """Give the bytes of a vector's elements."""
        start, length = self.vector(slot, size)
        return self._bytes[start : start + length * size]

    def tables(self, slot: int, most: int) -> Iterator["Table"]:
        """Give the tables of a vector; more than `most` are `Broken`."""
        start, length = self.vector(slot, UNSIGNED.size)
        if length > most:
            raise Broken
        for at in range(start, start + length * UNSIGNED.size, UNSIGNED.size):
            yield Table(self._bytes, at + self._read(UNSIGNED, at))

    def _place(self, slot: int) -> int | None:
        within = 2 * UNSIGNED_SHORT.size + slot * UNSIGNED_SHORT.size
        if within >= self._read(UNSIGNED_SHORT, self._vtable):
            return None
        field = self._read(UNSIGNED_SHORT, self._vtable + within)
        return self._at + field if field else None

    def _target(self, slot: int) -> int | None:
        at = self._place(slot)
        return None if at is None else at + self._read(UNSIGNED, at)

    def _read(self, kind: struct.Struct, at: int) -> int:
        return _read(kind, self._bytes, at)


def _read(kind: struct.Struct, content: bytes, at: int) -> int:
    if not 0 <= at <= len(content) - kind.size:
        raise Broken
    return int(kind.unpack_from(content, at)[0])


Part: TypeAlias = Callable[[bytearray], int]  # writes itself behind what there is, and gives its place

CELL: Final = 8  # bytes for each field, so that all are aligned


def written(root: Part) -> bytes:
    """Write the table that some bytes are; their number is a multiple of eight."""
    out = bytearray(CELL)
    UNSIGNED.pack_into(out, 0, root(out))
    _pad(out)
    return bytes(out)


def table(*fields: bytes | Part | None) -> Part:
    """Make a table of fields by slot: bytes stand in it, another part is referred to."""

    def write(out: bytearray) -> int:
        _pad(out)
        vtable = len(out)
        places = [0 if field is None else CELL * place for place, field in enumerate(fields, 1)]
        out += struct.pack(f"<{2 + len(fields)}H", 4 + 2 * len(fields), CELL * (1 + len(fields)), *places)
        _pad(out)
        at = len(out)
        out += INT.pack(at - vtable).ljust(CELL, b"\0")
        out += b"".join((field if isinstance(field, bytes) else b"").ljust(CELL, b"\0") for field in fields)
        for place, field in zip(places, fields, strict=True):
            if field is not None and not isinstance(field, bytes):
                _refer(out, at + place, field)
        return at

    return write


def text(value: str) -> Part:
    """Make a text."""
    content = value.encode()
    return vector(content + b"\0", len(content))


def vector(elements: bytes, length: int) -> Part:
    """Make a vector of elements that hold no reference."""

    def write(out: bytearray) -> int:
        _pad(out)
        out += bytes(CELL - UNSIGNED.size)  # the elements are aligned, not their number
        at = len(out)
        out += UNSIGNED.pack(length) + elements
        return at

    return write


def tables(parts: Sequence[Part]) -> Part:
    """Make a vector of tables."""

    def write(out: bytearray) -> int:
        at = vector(bytes(UNSIGNED.size * len(parts)), len(parts))(out)
        for place, part in enumerate(parts, 1):
            _refer(out, at + UNSIGNED.size * place, part)
        return at

    return write


def _refer(out: bytearray, at: int, part: Part) -> None:
    UNSIGNED.pack_into(out, at, part(out) - at)


def _pad(out: bytearray) -> None:
    out += bytes(-len(out) % CELL)
