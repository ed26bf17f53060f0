"""Arrow streams in: columns of JSON values. Pure.

A message may claim whatever it likes: nothing is made room for that is not there, and nothing is believed.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from server.columns import Columns
from server.errors import FieldError, InvalidInput, MalformedBody
from server.formats.arrow import DICTIONARY, PAIR, ROWS, SCHEMA, VIEW, Message, messages
from server.formats.arrow_values import TYPES, Read, read_integers, read_numbers, read_values
from server.formats.flatbuffer import BYTE, LONG, SHORT, Broken, Table
from server.parameter import Kind, cut
from server.signature import MAX_ERRORS, Signature, escape

MAX_MESSAGES: Final = 1_000
MORE_FIELDS: Final = 1_000  # than the signature has parameters
LONGEST_NAME: Final = 1_024  # bytes, where no parameter's is longer
SHARED_TEXT: Final = 65_536  # letters that many rows may have out of few, in dictionaries and views; or
SHARED_FACTOR: Final = 4  # for each byte of the body, if that is more
BINARY_VIEW: Final = 23

# The types that are not read: name, and number of buffers; those without a number hold columns of their own.
OTHERS: Final[dict[int, tuple[str, int | None]]] = {
    4: ("binary", 3), 7: ("decimal", 2), 8: ("date", 2), 9: ("time", 2), 10: ("timestamp", 2), 11: ("interval", 2),
    12: ("list", None), 13: ("struct", None), 14: ("union", None), 15: ("fixed-size binary", 2),
    16: ("fixed-size list", None), 17: ("map", None), 18: ("duration", 2), 19: ("large binary", 3),
    21: ("large list", None), 22: ("run-end encoded", None), BINARY_VIEW: ("binary view", 2), 25: ("list view", None),
    26: ("large list view", None),
}  # fmt: skip


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

    room: int  # for values of dictionaries
    fields: Sequence[_Field] = ()
    dictionaries: dict[int, list[Any]] = field(default_factory=dict)
    count: int = 0


class ArrowReader:
    """Reads Arrow streams with rows for one signature."""

    def __init__(self, signature: Signature) -> None:
        self._signature = signature
        self._names = {parameter.name for parameter in signature.parameters}
        self._texts = [parameter.name for parameter in signature.parameters if parameter.kind is Kind.TEXT]
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
        stream = _Stream(room=len(body))
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
        self._check_texts(columns, max(SHARED_TEXT, SHARED_FACTOR * len(body)))
        return columns, stream.count

    def _check_texts(self, columns: Columns, most: int) -> None:
        """Refuse texts that are far longer than the stream: a model reads each of them, also one that rows share."""
        values = itertools.chain.from_iterable(columns.get(name, ()) for name in self._texts)
        if sum(len(value) for value in values if isinstance(value, str)) > most:
            msg = (
                f"The rows share texts, and have more than {most} letters in all; write plain utf8 columns, or send "
                "fewer rows."
            )
            raise MalformedBody(msg)

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
        stream.room -= length  # of nulls it may claim any number
        parts = list(_buffers(body, message, buffers))
        if stream.room < 0 or len(parts) != owner.buffers + sum(_variadic(data)):
            raise Broken
        if not message.header.scalar(2, BYTE):  # it is no delta
            stream.dictionaries[id_] = []
        stream.dictionaries.setdefault(id_, []).extend(read_values(owner.read, parts, node, length))

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
                columns[each.name] += _from(labels, read_values(each.index, own, node, length))
            else:
                columns[each.name] += read_values(each.read, own, node, length)
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
    index = read_numbers("<i4") if indices is None else read_integers(indices)
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


def _from(labels: Sequence[Any], places: Sequence[int | None]) -> list[Any]:
    """Give the labels that are at these places."""
    if any(place is not None and not 0 <= place < len(labels) for place in places):
        raise Broken
    return [None if place is None else labels[place] for place in places]
