"""Arrow streams: what their messages say, and how they are framed. Pure.

Format: Arrow's columnar format, version 1, "IPC streaming format"; Message.fbs and Schema.fbs of the format name the
slots.
"""

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from server.formats.flatbuffer import BYTE, INT, LONG, SHORT, UNSIGNED, Broken, Table

CONTINUATION: Final = 0xFFFF_FFFF  # in front of every message
ALIGNMENT: Final = 8
VERSION: Final = 4  # V5 of the metadata
VERSIONS: Final = (3, VERSION)  # V4 differs in unions only
SCHEMA, DICTIONARY, ROWS = 1, 2, 3  # of the union MessageHeader
NULL, INTEGER, FLOAT, TEXT, BOOLEAN, LARGE_TEXT, VIEW = 1, 2, 3, 5, 6, 20, 24  # of the union Type
DOUBLE: Final = 2  # of the enum Precision
PAIR: Final = struct.Struct("<qq")  # a FieldNode, and a Buffer
FIRST_MESSAGES: Final = 64  # that are looked at to see how many rows there are


class Message(NamedTuple):
    """A message: its kind, its header, and its body, whose buffers are counted from where it begins."""

    kind: int
    header: Table
    start: int
    length: int


def messages(body: bytes) -> Iterator[Message]:
    """Give the messages of a stream one by one; raise `Broken` where it is none."""
    at = 0
    while at < len(body):
        if at + 2 * UNSIGNED.size > len(body) or UNSIGNED.unpack_from(body, at)[0] != CONTINUATION:
            raise Broken
        size = INT.unpack_from(body, at + UNSIGNED.size)[0]
        at += 2 * UNSIGNED.size
        if not size:
            break
        if not 0 < size <= len(body) - at:
            raise Broken
        message = Table.root(body[at : at + size])
        header, length = message.table(2), message.scalar(3, LONG)
        at += size
        if header is None or message.scalar(0, SHORT) not in VERSIONS or not 0 <= length <= len(body) - at:
            raise Broken
        yield Message(message.scalar(1, BYTE), header, at, length)
        at += length
    if at < len(body):
        raise Broken


def count_stream(body: bytes) -> tuple[int, int]:
    """Give how many rows a stream has at least and at most, by its first messages; its reader looks at the others."""
    rows = 0
    try:
        for number, message in enumerate(messages(body)):
            if number == FIRST_MESSAGES:
                return max(1, rows), max(rows, len(body))
            if message.kind == ROWS:
                rows += max(0, message.header.scalar(0, LONG))
    except Broken:
        return 1, max(1, rows)
    return max(1, rows), max(1, rows)
