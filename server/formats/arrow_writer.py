"""Arrow streams out: columns of numbers, texts and booleans. Pure."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np

from server.columns import Named
from server.formats.arrow import (
    ALIGNMENT,
    BOOLEAN,
    CONTINUATION,
    DOUBLE,
    FLOAT,
    INTEGER,
    PAIR,
    ROWS,
    SCHEMA,
    TEXT,
    VERSION,
)
from server.formats.flatbuffer import BYTE, INT, LONG, SHORT, UNSIGNED, Part, table, tables, text, vector, written

# By the type of a column's values: its place in the union Type, and its table.
TYPES: Final[dict[type, tuple[int, Part]]] = {
    bool: (BOOLEAN, table()),
    int: (INTEGER, table(INT.pack(64), BYTE.pack(1))),
    float: (FLOAT, table(SHORT.pack(DOUBLE))),
    str: (TEXT, table()),
}
END: Final = UNSIGNED.pack(CONTINUATION) + INT.pack(0)


def write_arrow(columns: Sequence[Named]) -> bytes:
    """Write columns as a stream with one batch; a value is of the column's type, or None."""
    count = len(columns[0].values)
    fields = [
        table(text(each.name), BYTE.pack(1), BYTE.pack(TYPES[each.type][0]), TYPES[each.type][1], None, tables([]))
        for each in columns
    ]
    schema = _message(SCHEMA, table(SHORT.pack(0), tables(fields)), b"")
    body, buffers, nodes = bytearray(), bytearray(), bytearray()
    for each in columns:
        nodes += PAIR.pack(count, each.values.count(None))
        for buffer in _buffers(each.type, each.values):
            buffers += PAIR.pack(len(body), len(buffer))
            body += buffer + bytes(-len(buffer) % ALIGNMENT)
    parts = [vector(bytes(each), len(each) // PAIR.size) for each in (nodes, buffers)]
    return schema + _message(ROWS, table(LONG.pack(count), *parts), bytes(body)) + END


def _message(kind: int, header: Part, body: bytes) -> bytes:
    metadata = written(table(SHORT.pack(VERSION), BYTE.pack(kind), header, LONG.pack(len(body))))
    return UNSIGNED.pack(CONTINUATION) + INT.pack(len(metadata)) + metadata + body


def _buffers(kind: type, values: Sequence[Any]) -> Iterable[bytes]:
    has_null = None in values
    yield _bits([value is not None for value in values]) if has_null else b""
    given = [kind() if value is None else value for value in values] if has_null else values
    if kind is bool:
        yield _bits(given)
    elif kind is str:
        texts = [value.encode() for value in given]
        yield np.cumsum([0, *map(len, texts)], dtype="<i4").tobytes()
        yield b"".join(texts)
    else:
        yield np.array(given, dtype="<i8" if kind is int else "<f8").tobytes()


def _bits(values: Iterable[bool]) -> bytes:
    return np.packbits(np.fromiter(values, bool), bitorder="little").tobytes()
