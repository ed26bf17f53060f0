"""Arrow streams made by hand, which claim what is not so: they are refused in a sentence, at no cost."""

import struct
from collections.abc import Sequence
from typing import Any

import pytest

from server.errors import MalformedBody
from server.formats.arrow import (
    CONTINUATION,
    DICTIONARY,
    DOUBLE,
    FLOAT,
    INTEGER,
    LARGE_TEXT,
    NULL,
    PAIR,
    ROWS,
    SCHEMA,
    TEXT,
    VERSION,
    VIEW,
)
from server.formats.arrow_reader import ArrowReader
from server.formats.flatbuffer import BYTE, INT, LONG, SHORT, Part, table, tables, text, vector, written
from server.signature import Signature
from tests.models import number

TYPES: dict[int, Part] = {
    FLOAT: table(SHORT.pack(DOUBLE)),
    INTEGER: table(INT.pack(8), BYTE.pack(1)),
    **{kind: table() for kind in (NULL, TEXT, LARGE_TEXT, VIEW)},
}
BYTES = table(INT.pack(8), BYTE.pack(0))
NUMBERS = struct.pack("<2d", 1.5, 2.5)


def framed(metadata: bytes, body: bytes = b"") -> bytes:
    """Write a message as a stream has it."""
    return struct.pack("<Ii", CONTINUATION, len(metadata)) + metadata + body


def message(kind: int, header: Part, body: bytes = b"", *, version: int = VERSION, length: int | None = None) -> bytes:
    """Write a message, which may claim another length of its body."""
    claimed = LONG.pack(len(body) if length is None else length)
    return framed(written(table(SHORT.pack(version), BYTE.pack(kind), header, claimed)), body)


def schema(kind: int = FLOAT, type_: Part | None = None, encoding: Part | None = None, *, endianness: int = 0) -> bytes:
    """Write a schema with the column `x`."""
    field = table(text("x"), BYTE.pack(1), BYTE.pack(kind), type_ or TYPES[kind], encoding, tables([]))
    return message(SCHEMA, table(SHORT.pack(endianness), tables([field])))


def batch(
    length: int = 2,
    nodes: Sequence[tuple[int, int]] | None = None,
    buffers: Sequence[tuple[int, int]] = ((0, 0), (0, 16)),
    *,
    views: Sequence[int] = (),
) -> Part:
    """Write the header of a batch; two numbers, unless something else is said."""
    nodes = [(length, 0)] if nodes is None else nodes
    pairs = [vector(b"".join(PAIR.pack(*pair) for pair in some), len(some)) for some in (nodes, buffers)]
    return table(LONG.pack(length), *pairs, None, vector(b"".join(map(LONG.pack, views)), len(views)))


def rows(*given: Any, body: bytes = NUMBERS, **named: Any) -> bytes:
    """Write a batch."""
    return message(ROWS, batch(*given, **named), body)


def labels(id_: int, *given: Any, body: bytes, delta: int = 0, **named: Any) -> bytes:
    """Write a dictionary, or an addition to it."""
    return message(DICTIONARY, table(LONG.pack(id_), batch(*given, **named), BYTE.pack(delta)), body)


def texts(*offsets: int, content: bytes) -> bytes:
    """Write a stream with two texts, which lie between these offsets."""
    body = struct.pack("<4i", *offsets, 0) + content
    return schema(TEXT) + rows(2, buffers=[(0, 0), (0, 12), (16, len(content))], body=body)


def view(size: int, which: int, offset: int, *, buffers: int = 1) -> bytes:
    """Write a stream with a view of a text, and the buffers of 16 bytes that it may refer to."""
    body = struct.pack("<iiii", size, 0, which, offset) + bytes(16) * buffers
    return schema(VIEW) + rows(1, buffers=[(0, 0), (0, 16), *[(16, 16)] * buffers], views=[buffers], body=body)


def read(content: bytes) -> list[object]:
    """Read the column `x` of a stream."""
    columns, count = ArrowReader(Signature((number("x"),))).columns(content, most=100)
    assert count == len(columns["x"])
    return list(columns["x"])


PLACES = schema(TEXT, encoding=table(LONG.pack(7), BYTES))
LABELS = labels(7, 2, buffers=[(0, 0), (0, 12), (16, 2)], body=struct.pack("<4i", 0, 1, 2, 0) + b"ab".ljust(8))
CHOSEN = [(0, 0), (0, 2)]
NO_ROWS = rows(0, buffers=[(0, 0), (0, 0)], body=b"")


@pytest.mark.parametrize(
    ("content", "values"),
    [
        pytest.param(schema() + rows(), [1.5, 2.5], id="numbers"),
        pytest.param(schema() + rows() + NO_ROWS + rows(), [1.5, 2.5] * 2, id="no rows between"),
        pytest.param(schema() + message(ROWS, batch(), NUMBERS, version=3), [1.5, 2.5], id="older version"),
        pytest.param(schema() + rows(2, [(2, -1)]), [1.5, 2.5], id="nulls that nobody counted"),
        pytest.param(schema(NULL) + rows(2, buffers=[], body=b""), [None, None], id="nulls"),
        pytest.param(PLACES + LABELS + rows(2, buffers=CHOSEN, body=b"\1\0"), ["b", "a"], id="dictionary"),
        pytest.param(PLACES + LABELS * 2 + rows(2, buffers=CHOSEN, body=b"\1\0"), ["b", "a"], id="dictionary again"),
        pytest.param(texts(0, 1, 2, content=b"ab"), ["a", "b"], id="texts"),
    ],
)  # fmt: skip
def test_what_is_so(content: bytes, values: list[object]) -> None:
    """What the streams below are made of is read, as long as it is as the format says."""
    assert read(content) == values


CLAIMS = {
    "a negative offset": rows(buffers=[(0, 0), (-8, 16)]),
    "a negative length of a buffer": rows(buffers=[(0, 0), (8, -8)]),
    "a buffer behind the message": rows(buffers=[(0, 0), (8, 16)]),
    "a buffer behind all numbers": rows(buffers=[(0, 0), (2**63 - 1, 2**63 - 1)]),
    "a buffer in the next message": rows(buffers=[(0, 0), (16, 16)]) + rows(),
    "buffers of the same bytes": rows(2, [(2, 1)], [(0, 1), (0, 16)]),
    "a short buffer": rows(buffers=[(0, 0), (0, 15)]),
    "a negative number of rows": rows(-2),
    "nodes of another length": rows(2, [(3, 0)]),
    "no nodes": rows(2, []),
    "more nodes": rows(2, [(2, 0)] * 2),
    "too few buffers": rows(buffers=[(0, 0)]),
    "more buffers": rows(buffers=[(0, 0), (0, 16), (0, 0)]),
    "nulls without a bitmap": rows(2, [(2, 1)]),
    "a short bitmap": rows(50, [(50, 1)], [(0, 6), (0, 400)], body=bytes(400)),
    "a body that is not there": message(ROWS, batch(), NUMBERS, length=24),
    "a body of negative length": message(ROWS, batch(), NUMBERS, length=-16),
    "a body of any length": message(ROWS, batch(), NUMBERS, length=2**63 - 1),
    "an unknown version": message(ROWS, batch(), NUMBERS, version=5),
    "a tensor": message(4, batch(), NUMBERS),
    "another schema": schema(),
    "no header": framed(written(table(SHORT.pack(VERSION), BYTE.pack(ROWS)))),
    "metadata without end": struct.pack("<Ii", CONTINUATION, 2**31 - 1),
    "metadata of negative length": struct.pack("<Ii", CONTINUATION, -8) + bytes(8),
    "a table far behind": framed(struct.pack("<I", 2**32 - 1) + bytes(12)),
    "a vtable in front of all": framed(struct.pack("<IiII", 4, 2**31 - 1, 0, 0)),
    "a vtable behind all": framed(struct.pack("<IiII", 4, -(2**31), 0, 0)),
    "a vtable that is its table": framed(struct.pack("<Ii", 4, 0) + bytes(8)),
    "a vtable of any size": framed(struct.pack("<IiHHHH", 4, -4, 65535, 65535, 65535, 65535)),
    "bytes behind the end": struct.pack("<Iii", CONTINUATION, 0, 0),
}  # fmt: skip
TYPED = {
    "an unknown type": schema(77, table()),
    "integers of no width": schema(INTEGER, table(INT.pack(0))),
    "integers of any width": schema(INTEGER, table(INT.pack(2**31 - 1))),
    "numbers of no precision": schema(FLOAT, table(SHORT.pack(-1))),
    "an index of no width": schema(TEXT, encoding=table(LONG.pack(7), table(INT.pack(128)))),
    "texts that go back": texts(0, 2, 1, content=b"ab"),
    "texts before their bytes": texts(-1, 1, 2, content=b"ab"),
    "texts behind their bytes": texts(0, 1, 3, content=b"ab"),
    "too few offsets": schema(TEXT) + rows(2, buffers=[(0, 0), (0, 8), (16, 2)], body=bytes(18)),
    "large texts behind their bytes": schema(LARGE_TEXT)
    + rows(2, buffers=[(0, 0), (0, 24), (24, 2)], body=struct.pack("<3q", 0, 1, 2**62) + b"ab"),
    "no UTF-8": texts(0, 1, 2, content=b"\xc3\xa9"),
    "a view of negative size": view(-1, 0, 0, buffers=0),
    "a view of no buffer": view(13, 0, 0, buffers=0),
    "a view of another buffer": view(13, -1, 0),
    "a view behind its buffer": view(13, 0, 4),
    "a view before its buffer": view(13, 0, -1),
    "a negative number of buffers": schema(VIEW) + rows(0, buffers=[(0, 0), (0, 0)], views=[-1], body=b""),
    "any number of buffers": schema(VIEW) + rows(0, buffers=[(0, 0), (0, 0)], views=[2**63 - 1], body=b""),
    "a dictionary that never came": PLACES + rows(2, buffers=CHOSEN, body=b"\0\0"),
    "a place behind the dictionary": PLACES + LABELS + rows(2, buffers=CHOSEN, body=b"\0\2"),
    "a negative place": schema(TEXT, encoding=table(LONG.pack(7), TYPES[INTEGER]))
    + LABELS
    + rows(2, buffers=CHOSEN, body=b"\0\xff"),
    "a dictionary that was replaced": PLACES
    + LABELS
    + labels(7, 0, buffers=[(0, 0)] * 3, body=b"")
    + rows(2, buffers=CHOSEN, body=b"\0\1"),
    "a dictionary of nothing": PLACES + message(DICTIONARY, table(LONG.pack(7))),
    "a dictionary of many nulls": schema(NULL, encoding=table(LONG.pack(7), BYTES))
    + labels(7, 2**40, buffers=[], body=b""),
}  # fmt: skip


@pytest.mark.parametrize(
    "content",
    [*(pytest.param(schema() + rows() + part, id=name) for name, part in CLAIMS.items()),
     *(pytest.param(part, id=name) for name, part in TYPED.items())],
)  # fmt: skip
def test_claims(content: bytes) -> None:
    """What points outside, goes backwards, or claims other numbers than there are is refused."""
    with pytest.raises(MalformedBody, match="is no Arrow stream, is cut off, or claims more than it holds"):
        read(content)


def test_dictionaries_that_nobody_uses() -> None:
    """A dictionary that no column has is passed over, whatever it holds."""
    assert read(schema() + labels(3, 2**40, buffers=[(0, 2**60)], body=b"") + rows()) == [1.5, 2.5]


def test_big_endian_numbers() -> None:
    """Numbers of the other byte order are refused by the schema."""
    with pytest.raises(MalformedBody, match="big-endian; write it with little-endian ones"):
        read(schema(endianness=1) + rows())
