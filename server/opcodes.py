"""Reads the operations of a pickle, one after the other, without doing them.

Only what Python 3 writes is read (the formats are those of the standard library's `pickletools`): no persistent
ids, no extension registry, no buffers from elsewhere, none of Python 2's texts and instances.
"""

import re
from collections.abc import Callable
from typing import Any, Final

# Longer texts and bytes are not kept, only their lengths; no name that we look up is longer.
KEPT: Final = 256
MAX_LINE_OF_NUMBER: Final = 1_000  # reading decimal digits takes time that grows with their square
MAX_BYTES_OF_INTEGER: Final = 256
MAX_PROTOCOL: Final = 5
DECIMAL: Final = re.compile(rb"-?(?:0|[1-9][0-9]*)")  # others are read in other ways by others


class Malformed(Exception):  # a part of a sentence, made whole by the gate
    """What was read is no pickle that Python 3 writes; `str()` is a clause that says why."""


class Text:
    """A text too long to keep; `length` is in code points."""

    __slots__ = ("length",)

    def __init__(self, length: int) -> None:
        self.length = length


class Data:
    """Bytes too long to keep."""

    __slots__ = ("length",)

    def __init__(self, length: int) -> None:
        self.length = length


Read = Callable[[bytes, int], tuple[Any, int]]


def _part(content: bytes, start: int, length: int) -> bytes:
    if length > len(content) - start:
        msg = "it ends in the middle of an operation"
        raise Malformed(msg)
    return content[start : start + length]


def _nothing(_content: bytes, position: int) -> tuple[None, int]:
    return None, position


def _constant(value: Any) -> Read:  # noqa: ANN401
    return lambda _content, position: (value, position)


def _unsigned(size: int) -> Read:
    def read(content: bytes, position: int) -> tuple[int, int]:
        return int.from_bytes(_part(content, position, size), "little"), position + size

    return read


def _signed(content: bytes, position: int) -> tuple[int, int]:
    return int.from_bytes(_part(content, position, 4), "little", signed=True), position + 4


def _double(content: bytes, position: int) -> tuple[float, int]:
    _part(content, position, 8)
    return 0.5, position + 8  # no rule asks for a float's value


def _text(size: int) -> Read:
    length_of = _unsigned(size)

    def read(content: bytes, position: int) -> tuple[str | Text, int]:
        length, start = length_of(content, position)
        return _kept_text(_part(content, start, length), "utf-8", "surrogatepass"), start + length

    return read


def _bytes(size: int, *, writable: bool = False) -> Read:
    length_of = _unsigned(size)

    def read(content: bytes, position: int) -> tuple[bytes | Data, int]:
        length, start = length_of(content, position)
        if length > len(content) - start:
            msg = "it ends in the middle of an operation"
            raise Malformed(msg)
        kept = length <= KEPT and not writable
        return content[start : start + length] if kept else Data(length), start + length

    return read


def _long(size: int) -> Read:
    length_of = _unsigned(size)

    def read(content: bytes, position: int) -> tuple[int, int]:
        length, start = length_of(content, position)
        if length > MAX_BYTES_OF_INTEGER:
            msg = "it holds an integer of more digits than a model needs"
            raise Malformed(msg)
        return int.from_bytes(_part(content, start, length), "little", signed=True), start + length

    return read


def _line(content: bytes, position: int) -> tuple[bytes, int]:
    end = content.find(b"\n", position)
    if end < 0:
        msg = "it ends in the middle of an operation"
        raise Malformed(msg)
    return content[position:end], end + 1


def _text_line(content: bytes, position: int) -> tuple[str | Text, int]:
    line, end = _line(content, position)
    return _kept_text(line, "raw-unicode-escape", "strict"), end


def _kept_text(content: bytes, encoding: str, errors: str) -> str | Text:
    try:
        text = content.decode(encoding, errors)
    except UnicodeDecodeError:
        msg = "it holds a text that is no Unicode"
        raise Malformed(msg) from None
    return text if len(text) <= KEPT else Text(len(text))


def _number_line(content: bytes, position: int) -> tuple[bytes, int]:
    line, end = _line(content, position)
    if len(line) > MAX_LINE_OF_NUMBER:
        msg = "it holds an integer of more digits than a model needs"
        raise Malformed(msg)
    return line, end


def _integer_line(content: bytes, position: int) -> tuple[int | bool, int]:
    line, end = _number_line(content, position)
    if line in (b"00", b"01"):
        return line == b"01", end
    digits = line.removesuffix(b"L")
    if not DECIMAL.fullmatch(digits):
        msg = "it holds a number that is none"
        raise Malformed(msg)
    return int(digits), end


def _float_line(content: bytes, position: int) -> tuple[float, int]:
    _, end = _number_line(content, position)
    return 0.5, end


def _index_line(content: bytes, position: int) -> tuple[int, int]:
    line, end = _number_line(content, position)
    if not DECIMAL.fullmatch(line) or line.startswith(b"-"):
        msg = "it holds a number that is none"
        raise Malformed(msg)
    return int(line), end


def _name(content: bytes, position: int) -> tuple[tuple[str, str], int]:
    module, position = _line(content, position)
    name, position = _line(content, position)
    try:
        return (module.decode("ascii"), name.decode("ascii")), position
    except UnicodeDecodeError:
        msg = "it holds a name that is none"
        raise Malformed(msg) from None


# Every operation that we read: its code, its name in `pickletools`, and how its argument is read.
OPERATIONS: Final[dict[int, tuple[str, Read]]] = {
    code[0]: (name, read)
    for code, name, read in [
        (b"\x80", "PROTO", _unsigned(1)),
        (b"\x95", "FRAME", _unsigned(8)),
        (b".", "STOP", _nothing),
        # values
        (b"N", "VALUE", _constant(None)),
        (b"\x88", "VALUE", _constant(True)),
        (b"\x89", "VALUE", _constant(False)),
        (b"I", "VALUE", _integer_line),
        (b"L", "VALUE", _integer_line),
        (b"J", "VALUE", _signed),
        (b"K", "VALUE", _unsigned(1)),
        (b"M", "VALUE", _unsigned(2)),
        (b"\x8a", "VALUE", _long(1)),
        (b"\x8b", "VALUE", _long(4)),
        (b"F", "VALUE", _float_line),
        (b"G", "VALUE", _double),
        (b"V", "VALUE", _text_line),
        (b"\x8c", "VALUE", _text(1)),
        (b"X", "VALUE", _text(4)),
        (b"\x8d", "VALUE", _text(8)),
        (b"C", "VALUE", _bytes(1)),
        (b"B", "VALUE", _bytes(4)),
        (b"\x8e", "VALUE", _bytes(8)),
        (b"\x96", "VALUE", _bytes(8, writable=True)),
        # containers
        (b"(", "MARK", _nothing),
        (b"]", "EMPTY_LIST", _nothing),
        (b"}", "EMPTY_DICT", _nothing),
        (b"\x8f", "EMPTY_SET", _nothing),
        (b")", "EMPTY_TUPLE", _nothing),
        (b"l", "LIST", _nothing),
        (b"d", "DICT", _nothing),
        (b"t", "TUPLE", _nothing),
        (b"\x85", "TUPLE1", _nothing),
        (b"\x86", "TUPLE2", _nothing),
        (b"\x87", "TUPLE3", _nothing),
        (b"\x91", "FROZENSET", _nothing),
        (b"a", "APPEND", _nothing),
        (b"e", "APPENDS", _nothing),
        (b"s", "SETITEM", _nothing),
        (b"u", "SETITEMS", _nothing),
        (b"\x90", "ADDITEMS", _nothing),
        # stack and memo
        (b"0", "POP", _nothing),
        (b"1", "POP_MARK", _nothing),
        (b"p", "PUT", _index_line),
        (b"q", "PUT", _unsigned(1)),
        (b"r", "PUT", _unsigned(4)),
        (b"\x94", "MEMOIZE", _nothing),
        (b"g", "GET", _index_line),
        (b"h", "GET", _unsigned(1)),
        (b"j", "GET", _unsigned(4)),
        # objects
        (b"c", "GLOBAL", _name),
        (b"\x93", "STACK_GLOBAL", _nothing),
        (b"R", "REDUCE", _nothing),
        (b"\x81", "NEWOBJ", _nothing),
        (b"b", "BUILD", _nothing),
    ]
}
