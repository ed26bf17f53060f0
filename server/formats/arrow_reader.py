"""Arrow streams in: columns of JSON values. Pure.

A message may claim whatever it likes: nothing is made room for that is not there, and nothing is believed.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from server.columns import Columns
from server.errors import FieldError, InvalidInput, MalformedBody
from server.formats.arrow import (
    BOOLEAN,
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
    VIEW,
    Message,
    messages,
)
from server.formats.flatbuffer import BYTE, INT, LONG, SHORT, Broken, Table
from server.parameter import cut
from server.signature import MAX_ERRORS, Signature, escape

MAX_MESSAGES: Final = 1_000
MORE_FIELDS: Final = 1_000  # than the signature has parameters
LONGEST_NAME: Final = 1_024  # bytes, where no parameter's is longer
TEXT_FACTOR: Final = 4  # bytes of all texts, for each byte of the body: some may stand for several values
VIEW_BYTES, INLINE_BYTES = 16, 12
BINARY_VIEW: Final = 23

# The types that are not read: name, and number of buffers; those without a number hold columns of their own.
OTHERS: Final[dict[int, tuple[str, int | None]]] = {
    4: ("binary", 3), 7: ("decimal", 2), 8: ("date", 2), 9: ("time", 2), 10: ("timestamp", 2), 11: ("interval", 2),
    12: ("list", None), 13: ("struct", None), 14: ("union", None), 15: ("fixed-size binary", 2),
    16: ("fixed-size list", None), 17: ("map", None), 18: ("duration", 2), 19: ("large binary", 3),
    21: ("large list", None), 22: ("run-end encoded", None), BINARY_VIEW: ("binary view", 2), 25: ("list view", None),
    26: ("large list view", None),
}  # fmt: skip

Valid: TypeAlias = NDArray[np.bool_]
Spend: TypeAlias = Callable[[int], None]
# Of a column's buffers, the number of its values, and which are valid.
Read: TypeAlias = Callable[[Sequence[memoryview], int, Valid, Spend], list[Any]]


@dataclass(frozen=True, slots=True)
class _Field:
    """A column of a stream; where its values are in a dictionary, which one, and how the places in that are read."""

    name: str
    type_name: str
    buffers: int  # of its values, beside those that its views refer to; 0 also for columns in a column
    read: Read | None  # None for a type that we do not read
    views: bool = False
    dictionary: int | None = None
    index: Read | None = None


@dataclass(slots=True)
class _Stream:
    """What was read of a stream so far."""

    left: int
    fields: Sequence[_Field] = ()
    dictionaries: dict[int, list[Any]] = field(default_factory=dict)
    count: int = 0

    def spend(self, amount: int) -> None:
        self.left -= amount
        if self.left < 0:
            raise Broken


class ArrowReader:
    """Reads Arrow streams with rows for one signature."""

    def __init__(self, signature: Signature) -> None:
        self._signature = signature
        self._names = {parameter.name for parameter in signature.parameters}
        self._longest_name = max([LONGEST_NAME, *(len(name.encode()) for name in self._names)])

    def columns(self, body: bytes, *, most: int) -> tuple[Columns, int]:
        """Read a stream: the values of each parameter by its name, and how many rows there are; see `CsvReader`.

        Nothing more is read where there are more rows than `most`. Raises `MalformedBody`, and `InvalidInput` for a
        column that is missing, that there is no parameter for, or that has a type which is not read.
        """
        if body.startswith(b"ARROW1"):
            msg = "The body is an Arrow file; send the stream format, which writers of Arrow call `stream`."
            raise MalformedBody(msg)
        number = 0
        stream = _Stream(left=TEXT_FACTOR * len(body))
        columns: dict[str, list[Any]] = {}
        try:
            for number, message in enumerate(messages(body), 1):
                if (message.kind == SCHEMA) != (number == 1) or message.kind not in (SCHEMA, DICTIONARY, ROWS):
                    raise Broken
                if number > MAX_MESSAGES:
                    msg = f"The stream has more than {MAX_MESSAGES} messages; write fewer batches with more rows."
                    raise MalformedBody(msg)
                if message.kind == SCHEMA:
                    stream.fields = self._fields(message.header)
                    columns = {each.name: [] for each in stream.fields if each.name in self._names}
                elif message.kind == DICTIONARY:
                    self._read_dictionary(stream, body, message)
                else:
                    self._read_rows(stream, body, message, columns, most)
                    if stream.count > most:
                        return {}, stream.count
            if not number:
                raise Broken
        except (Broken, UnicodeDecodeError):
            msg = "The body is no Arrow stream, is cut off, or claims more than it holds; write it by Arrow's library."
            raise MalformedBody(msg) from None
        return columns, stream.count

    def _fields(self, schema: Table) -> Sequence[_Field]:
        if schema.scalar(0, SHORT):
            msg = "The stream's numbers are big-endian; write it with little-endian ones."
            raise MalformedBody(msg)
        fields: dict[str, _Field] = {}
        for place, each in enumerate(schema.tables(1, len(self._names) + MORE_FIELDS), 1):
            name = each.text(0, self._longest_name)
            if name in fields:
                msg = f"Column {place} of the stream has the same name as one before it; name each column once."
                raise MalformedBody(msg)
            fields[name] = _field(each, name)
        self._signature.check_names(fields)
        unread = [each for each in fields.values() if each.read is None]
        wrong = [each for each in unread if each.name in self._names or not each.buffers]
        if wrong:
            raise InvalidInput([_wrong_type(each) for each in wrong[:MAX_ERRORS]], len(wrong))
        return list(fields.values())

    def _read_dictionary(self, stream: _Stream, body: bytes, message: Message) -> None:
        id_, data = message.header.scalar(0, LONG), message.header.table(1)
        if data is None:
            raise Broken
        owner = next((each for each in stream.fields if each.dictionary == id_ and each.name in self._names), None)
        if owner is None or owner.read is None:
            return
        length, (node,), buffers = _contents(data, 1)
        stream.spend(TEXT_FACTOR * length)  # as many as there are bytes: of nulls it may claim any number
        parts = list(_buffers(body, message, buffers))
        if len(parts) != owner.buffers + sum(_variadic(data)):
            raise Broken
        if not message.header.scalar(2, BYTE):  # it is no delta
            stream.dictionaries[id_] = []
        stream.dictionaries.setdefault(id_, []).extend(_values(owner.read, parts, node, length, stream.spend))

    def _read_rows(
        self, stream: _Stream, body: bytes, message: Message, columns: dict[str, list[Any]], most: int
    ) -> None:
        length, nodes, buffers = _contents(message.header, len(stream.fields))
        stream.count += length
        if stream.count > most:
            return
        parts, more = list(_buffers(body, message, buffers)), iter(_variadic(message.header))
        at = 0
        for each, node in zip(stream.fields, nodes, strict=True):
            viewed = next(more, 0) if each.views and each.index is None else 0
            count = 2 if each.index is not None else each.buffers + viewed
            own, at = parts[at : at + count], at + count
            if at > len(parts):
                raise Broken
            if each.name not in columns:
                continue
            assert each.read is not None, "others were refused by the schema"
            if each.index is not None and each.dictionary is not None:
                labels = stream.dictionaries.get(each.dictionary, [])
                columns[each.name] += _from(labels, _values(each.index, own, node, length, stream.spend))
            else:
                columns[each.name] += _values(each.read, own, node, length, stream.spend)
        if at != len(parts):
            raise Broken


def _wrong_type(each: _Field) -> FieldError:
    detail = f"{cut(each.name)} has the Arrow type {each.type_name}; send a column of texts, numbers or booleans."
    return FieldError(f"/0/{escape(each.name)}", "wrong_type", detail)


def _field(field: Table, name: str) -> _Field:
    kind, type_, encoding = field.scalar(2, BYTE), field.table(3), field.table(4)
    if type_ is None:
        raise Broken
    if kind in TYPES:
        type_name, buffers, make = TYPES[kind]
        of = _Field(name, type_name, buffers, make(type_), views=kind == VIEW)
    elif kind in OTHERS:
        type_name, count = OTHERS[kind]
        of = _Field(name, type_name, count or 0, None, views=kind == BINARY_VIEW)
    else:
        raise Broken
    if encoding is None:
        return of
    indices = encoding.table(1)
    index = _numbers("<i4") if indices is None else _integers(indices)
    return replace(of, dictionary=encoding.scalar(0, LONG), index=index)


def _contents(batch: Table, columns: int) -> tuple[int, list[tuple[int, int]], bytes]:
    """Give a batch's length, the nodes of its columns, and what it says of its buffers."""
    if batch.table(3) is not None:
        msg = "The stream's buffers are compressed; write it without compression."
        raise MalformedBody(msg)
    length = batch.scalar(0, LONG)
    nodes = list(PAIR.iter_unpack(batch.elements(1, PAIR.size)))
    if length < 0 or len(nodes) != columns or any(each != length for each, _ in nodes):
        raise Broken
    return length, nodes, batch.elements(2, PAIR.size)


def _buffers(body: bytes, message: Message, buffers: bytes) -> Iterator[memoryview]:
    left = message.length  # for all: many columns of the same bytes would be much out of little
    for offset, length in PAIR.iter_unpack(buffers):
        left -= length
        if offset < 0 or length < 0 or offset + length > message.length or left < 0:
            raise Broken
        yield memoryview(body)[message.start + offset : message.start + offset + length]


def _variadic(batch: Table) -> list[int]:
    """Give how many buffers the views of each column of these refer to."""
    counts = [count for (count,) in LONG.iter_unpack(batch.elements(4, LONG.size))]
    if any(count < 0 for count in counts):
        raise Broken
    return counts


def _values(read: Read, buffers: Sequence[memoryview], node: tuple[int, int], length: int, spend: Spend) -> list[Any]:
    """Read a column's values, None for those that are null."""
    if not length:
        return []
    if not buffers:
        return read(buffers, length, np.empty(0, bool), spend)
    validity, nulls = buffers[0], node[1]
    if nulls and len(validity):
        valid = _bits(validity, length)
    elif nulls > 0:
        raise Broken
    else:
        valid = np.ones(length, bool)
    values = read(buffers[1:], length, valid, spend)
    for place in np.flatnonzero(~valid).tolist():
        values[place] = None
    return values


def _from(labels: Sequence[Any], places: Sequence[int | None]) -> list[Any]:
    """Give the labels that are at these places."""
    if any(place is not None and not 0 <= place < len(labels) for place in places):
        raise Broken
    return [None if place is None else labels[place] for place in places]


def _array(buffer: memoryview, dtype: str, length: int) -> NDArray[Any]:
    if length * np.dtype(dtype).itemsize > len(buffer):
        raise Broken
    return np.frombuffer(buffer, dtype, length)


def _bits(buffer: memoryview, length: int) -> NDArray[np.bool_]:
    return np.unpackbits(_array(buffer, "u1", -(-length // 8)), count=length, bitorder="little").astype(bool)


def _nulls(_: Sequence[memoryview], length: int, __: Valid, ___: Spend) -> list[Any]:
    return [None] * length


def _booleans(buffers: Sequence[memoryview], length: int, _: Valid, __: Spend) -> list[Any]:
    return _bits(buffers[0], length).tolist()  # type: ignore[no-any-return]  # it has one dimension


def _integers(type_: Table) -> Read:
    width = type_.scalar(0, INT)
    if width not in (8, 16, 32, 64):
        raise Broken
    return _numbers(f"<{'i' if type_.scalar(1, BYTE) else 'u'}{width // 8}")


def _floats(type_: Table) -> Read:
    precision = type_.scalar(0, SHORT)
    if not 0 <= precision <= DOUBLE:
        raise Broken
    return _numbers(("<f2", "<f4", "<f8")[precision])


def _numbers(dtype: str) -> Read:
    def read(buffers: Sequence[memoryview], length: int, _: Valid, __: Spend) -> list[Any]:
        numbers = _array(buffers[0], dtype, length)
        values: list[Any] = numbers.tolist()
        if numbers.dtype.kind == "f":
            for place in np.flatnonzero(np.isnan(numbers)).tolist():
                values[place] = None
        return values

    return read


def _texts(dtype: str) -> Read:
    def read(buffers: Sequence[memoryview], length: int, valid: Valid, spend: Spend) -> list[Any]:
        offsets = _array(buffers[0], dtype, length + 1)
        if offsets[0] < 0 or offsets[-1] > len(buffers[1]) or (offsets[1:] < offsets[:-1]).any():
            raise Broken
        spend(int(offsets[-1] - offsets[0]))
        ends = offsets.tolist()
        first, content = ends[0], bytes(buffers[1][ends[0] : ends[-1]])
        return [
            content[start - first : end - first].decode() if is_valid else None
            for start, end, is_valid in zip(ends, ends[1:], valid.tolist(), strict=False)
        ]

    return read


def _views(buffers: Sequence[memoryview], length: int, valid: Valid, spend: Spend) -> list[Any]:
    views = bytes(buffers[0][: length * VIEW_BYTES])
    if len(views) < length * VIEW_BYTES:
        raise Broken
    values: list[Any] = []
    for at, is_valid in zip(range(0, len(views), VIEW_BYTES), valid.tolist(), strict=True):
        if not is_valid:
            values.append(None)
            continue
        size = INT.unpack_from(views, at)[0]
        spend(max(0, size))
        if 0 <= size <= INLINE_BYTES:
            values.append(views[at + 4 : at + 4 + size].decode())
            continue
        which, offset = INT.unpack_from(views, at + 8)[0], INT.unpack_from(views, at + 12)[0]
        if size < 0 or not 0 <= which < len(buffers) - 1 or not 0 <= offset <= len(buffers[1 + which]) - size:
            raise Broken
        values.append(bytes(buffers[1 + which][offset : offset + size]).decode())
    return values


# The types that are read: name, number of buffers, and what makes the reader of one.
TYPES: Final[dict[int, tuple[str, int, Callable[[Table], Read]]]] = {
    NULL: ("null", 0, lambda _: _nulls),
    INTEGER: ("int", 2, _integers),
    FLOAT: ("floating point", 2, _floats),
    TEXT: ("utf8", 3, lambda _: _texts("<i4")),
    BOOLEAN: ("bool", 2, lambda _: _booleans),
    LARGE_TEXT: ("large utf8", 3, lambda _: _texts("<i8")),
    VIEW: ("utf8 view", 2, lambda _: _views),
}
