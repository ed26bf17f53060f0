"""Arrow streams: those that others write are read, those that we write are read by others, no claim is believed."""

import io
import struct
import tracemalloc
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import ipc

from server.columns import Named
from server.errors import InvalidInput, MalformedBody
from server.formats.arrow import count_stream
from server.formats.arrow_reader import MAX_MESSAGES, ArrowReader
from server.formats.arrow_writer import write_arrow
from server.parameter import Parameter
from server.signature import Signature
from tests.models import category, number, text
from tests.unit.formats.streams import read_stream, stream, stream_of

MOST = 10_000


def read(content: bytes, *parameters: Parameter, most: int = MOST, **given: Any) -> dict[str, list[object]]:
    """Read a stream for some parameters, the number `x` unless others are given; give the columns."""
    columns, count = ArrowReader(Signature(parameters or (number("x"),), **given)).columns(content, most=most)
    assert all(len(column) == count for column in columns.values())
    return {name: list(column) for name, column in columns.items()}


TYPES: Sequence[tuple[pa.DataType, Sequence[Any]]] = [
    *((type_, [1, 0, None, 100]) for type_ in (pa.int8(), pa.int16(), pa.int32(), pa.uint8(), pa.uint16())),
    (pa.int64(), [-(2**63), None, 2**63 - 1]),
    (pa.uint64(), [2**64 - 1, None]),
    *((type_, [1.5, None, -0.0, 65504.0]) for type_ in (pa.float32(), pa.float64())),
    (pa.bool_(), [True, None, False] * 7),
    (pa.null(), [None] * 3),
    *((type_, ["é", None, "", "longer than twelve bytes", "a\0b"]) for type_ in (pa.string(), pa.large_string())),
    (pa.string_view(), ["é", None, "", "longer than twelve bytes", "x" * 40_000]),
    *(
        (pa.dictionary(index, value), ["a", "b", None, "a", "longer than twelve bytes"])
        for index in (pa.int8(), pa.uint16(), pa.int64())
        for value in (pa.string(), pa.large_string())
    ),
    (pa.dictionary(pa.int32(), pa.int64()), [7, None, 8, 7]),
    (pa.dictionary(pa.int32(), pa.bool_()), [True, None, False]),
]


@pytest.mark.parametrize(("type_", "values"), [pytest.param(*each, id=f"{each[0]}") for each in TYPES])
def test_types(type_: pa.DataType, values: Sequence[Any]) -> None:
    """Every type that can be a JSON value is read, nulls too, in one batch and in many, and from within a batch."""
    array = pa.array(values, type_)
    table = pa.table({"x": array})
    assert read(stream(table))["x"] == list(values)
    assert read(stream(table, max_chunksize=2))["x"] == list(values)
    assert read(stream(table.slice(1)))["x"] == list(values[1:])
    assert read(stream(table.slice(0, 0)))["x"] == []


def test_dictionary_of_views() -> None:
    """The texts of a dictionary may be views."""
    labels = pa.array(["a", "longer than twelve bytes"], pa.string_view())
    array = pa.DictionaryArray.from_arrays(pa.array([1, 0, None], pa.int8()), labels)
    table = pa.table({"x": array, "y": pa.array(["b", None, "x" * 20], pa.string_view())})
    expected = {"x": ["longer than twelve bytes", "a", None], "y": ["b", None, "x" * 20]}
    assert read(stream(table), text("x"), text("y")) == expected


def test_half_floats() -> None:
    """Numbers of sixteen bits are numbers."""
    assert read(stream(pa.table({"x": pa.array(np.array([1.5, -2], "f2"))}))) == {"x": [1.5, -2.0]}


def test_not_a_number_is_null() -> None:
    """What is not a number is a missing value, as pandas has it."""
    assert read(stream_of({"x": [1.0, float("nan"), None]})) == {"x": [1.0, None, None]}


def test_a_frame_of_pandas() -> None:
    """A frame's categories, numbers, and missing values are read."""
    frame = pd.DataFrame({"c": pd.Categorical(["red", None, "green"]), "x": [1.0, None, 3.0], "t": ["a", None, "é"]})
    content = stream(pa.Table.from_pandas(frame))
    expected = {"c": ["red", None, "green"], "x": [1.0, None, 3.0], "t": ["a", None, "é"]}
    assert read(content, category("c"), number("x"), text("t")) == expected


def test_dictionaries_that_change() -> None:
    """A later batch may add to a dictionary, or replace it."""
    type_ = pa.dictionary(pa.int32(), pa.string())
    parts = [pa.array(each, type_) for each in (["a", "b"], ["a", "b", "c"], ["z", "a"])]
    for deltas in (True, False):
        target = io.BytesIO()
        options = ipc.IpcWriteOptions(emit_dictionary_deltas=deltas)
        with ipc.new_stream(target, pa.schema([("x", type_)]), options=options) as writer:
            for part in parts:
                writer.write_batch(pa.record_batch({"x": part}))
        assert read(target.getvalue())["x"] == ["a", "b", "a", "b", "c", "z", "a"]


def test_a_stream_without_its_last_mark() -> None:
    """A stream may end where its bytes do."""
    content = stream_of({"x": [1, 2]})
    assert read(content[:-8]) == {"x": [1, 2]}


def test_columns_of_other_names() -> None:
    """Columns are taken by name; what is missing, or not known, is told once."""
    with pytest.raises(InvalidInput) as caught:
        read(stream_of({"y": [1, 2, 3]}))
    assert [(each.pointer, each.code) for each in caught.value.errors] == [
        ("/0/x", "missing"),
        ("/0/y", "unknown_field"),
    ]
    content = stream_of({"at": [datetime(2020, 1, 1)], "raw": [b"x"], "no": [None], "x": [1]}, raw=pa.binary_view())  # noqa: DTZ001  # a column without a zone
    assert read(content, ignore_unknown=True) == {"x": [1]}


@pytest.mark.parametrize(
    ("values", "type_", "name"),
    [
        ([[1], [2]], pa.list_(pa.int64()), "list"),
        ([[1], [2]], pa.list_(pa.int64(), 1), "fixed-size list"),
        ([{"a": 1}], pa.struct([("a", pa.int64())]), "struct"),
        ([[("a", 1)]], pa.map_(pa.string(), pa.int64()), "map"),
        ([Decimal("1.5")], pa.decimal128(5, 2), "decimal"),
        ([b"1"], pa.binary(), "binary"),
        ([datetime(2020, 1, 1)], pa.timestamp("us"), "timestamp"),  # noqa: DTZ001  # a column without a zone
        ([b"1" * 16], pa.uuid(), "fixed-size binary"),
        (["a"], pa.dictionary(pa.int8(), pa.binary()), "binary"),
    ],
    ids=["list", "fixed-size list", "struct", "map", "decimal", "binary", "timestamp", "extension", "dictionary"],
)  # fmt: skip
def test_other_types(values: Sequence[Any], type_: pa.DataType, name: str) -> None:
    """A column of any other type is refused by its name and the type's."""
    table = pa.table({"x": pa.array(values if not isinstance(type_, pa.DictionaryType) else [b"a"], type_)})
    with pytest.raises(InvalidInput, match=f"x has the Arrow type {name}; send a column of texts") as caught:
        read(stream(table))
    assert (caught.value.errors[0].pointer, caught.value.errors[0].code) == ("/0/x", "wrong_type")


def test_run_ends_that_claim_much() -> None:
    """A column of runs, which may claim any number of rows, is refused by its schema."""
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([2**31 - 1], pa.int32()), pa.array([1.0]))
    with pytest.raises(InvalidInput, match="run-end encoded"):
        read(stream(pa.table({"x": runs})))


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_compressed(codec: str) -> None:
    """Compressed buffers are refused before anything is expanded."""
    with pytest.raises(MalformedBody, match="compressed; write it without compression"):
        read(stream(pa.table({"x": np.zeros(1_000_000)}), compression=codec))


def test_a_file() -> None:
    """An Arrow file, which is no stream, is refused in a sentence that says what to send."""
    target = io.BytesIO()
    table = pa.table({"x": [1]})
    with ipc.new_file(target, table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(MalformedBody, match="Arrow file; send the stream format"):
        read(target.getvalue())


def test_more_rows_than_are_taken() -> None:
    """Rows are counted before they are read, whatever the number."""
    _, count = ArrowReader(Signature((number("x"),))).columns(stream(pa.table({"x": pa.nulls(11)})), most=10)
    assert count == 11


def test_claimed_rows() -> None:
    """A column without bytes that claims as many rows as there are numbers costs nothing."""
    content = stream(pa.table({"x": pa.nulls(0x1234_5678)}))
    content = content.replace(struct.pack("<q", 0x1234_5678), struct.pack("<q", 2**60))
    tracemalloc.start()
    _, count = ArrowReader(Signature((number("x"),))).columns(content, most=MOST)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 2**60
    assert peak < 1_000_000


def shared_text(size: int, count: int, *, views: bool = True) -> bytes:
    """Write rows that share one text."""
    if not views:
        places = pa.array([0] * count, pa.int8())
        return stream(pa.table({"x": pa.DictionaryArray.from_arrays(places, pa.array(["x" * size]))}))
    content = pa.py_buffer(struct.pack("<i4sii", size, b"xxxx", 0, 0) * count)
    shared = [None, content, pa.py_buffer(b"x" * size)]
    return stream(pa.table({"x": pa.Array.from_buffers(pa.string_view(), count, shared)}))


@pytest.mark.parametrize("views", [True, False], ids=["views", "dictionary"])
def test_rows_that_share_a_text(views: bool) -> None:
    """Rows may share a label, however long; a text that a model would read again and again has a bound."""
    labels = shared_text(1_000, 1_000, views=views)
    assert read(labels, category("x")) == {"x": ["x" * 1_000] * 1_000}
    assert read(shared_text(60, 1_000, views=views), text("x")) == {"x": ["x" * 60] * 1_000}
    with pytest.raises(MalformedBody, match="The rows share texts, and have more than 6"):
        read(labels, text("x"))


def test_views_that_overlap() -> None:
    """Different texts that are made of the same bytes are not copied without a bound."""
    shared = pa.py_buffer(b"x" * 101_000)
    views = pa.py_buffer(b"".join(struct.pack("<i4sii", 100_000, b"xxxx", 0, at) for at in range(1_000)))
    array = pa.Array.from_buffers(pa.string_view(), 1_000, [None, views, shared])
    with pytest.raises(MalformedBody, match="claims more than it holds"):
        read(stream(pa.table({"x": array})))


def test_names_twice() -> None:
    """Two columns of one name are refused."""
    array = pa.array([1])
    with pytest.raises(MalformedBody, match="Column 2 of the stream has the same name"):
        read(stream(pa.table([array, array], names=["x", "x"])))


def test_many_messages() -> None:
    """A stream of very many batches is refused."""
    with pytest.raises(MalformedBody, match=f"more than {MAX_MESSAGES} messages"):
        read(stream(pa.table({"x": [1] * (MAX_MESSAGES + 1)}), max_chunksize=1))


@pytest.mark.parametrize(
    "content", [b"", b"garbage" * 9, b"\xff\xff\xff\xff\0\0\0\0", b"\xff\xff\xff\xff\xff\xff\xff\x7f" + b"x" * 99],
    ids=["nothing", "garbage", "end alone", "long message"],
)  # fmt: skip
def test_no_stream(content: bytes) -> None:
    """What is no stream is refused in a sentence."""
    with pytest.raises(MalformedBody, match="is no Arrow stream, is cut off"):
        read(content)


def test_cut_off() -> None:
    """A stream that is cut off anywhere but between messages is refused; nothing stands behind its end."""
    content = stream(pa.table({"x": pa.array(["a", "b", None] * 4).dictionary_encode(), "y": [1.0] * 12}))
    parameters = text("x"), number("y")
    whole = {tuple(read(content, *parameters)["y"])}
    for end in range(len(content)):
        try:
            whole.add(tuple(read(content[:end], *parameters)["y"]))
        except MalformedBody:
            continue
    assert whole == {(1.0,) * 12, ()}
    with pytest.raises(MalformedBody):
        read(content + b"\0", *parameters)


SCALARS = st.one_of(
    st.lists(st.floats(allow_nan=False) | st.none(), max_size=9).map(lambda values: (float, pa.float64(), values)),
    st.lists(st.integers(-(2**63), 2**63 - 1) | st.none(), max_size=9).map(lambda values: (int, pa.int64(), values)),
    st.lists(st.booleans() | st.none(), max_size=20).map(lambda values: (bool, pa.bool_(), values)),
    st.lists(st.text(st.characters(exclude_categories=["Cs"])) | st.none()).map(lambda each: (str, pa.string(), each)),
)


@given(SCALARS, st.text(st.characters(exclude_categories=["Cs"])))
def test_what_is_written_is_read(column: tuple[type, pa.DataType, list[Any]], name: str) -> None:
    """What we write is read by Arrow's own library, and by us, as the same values."""
    kind, type_, values = column
    content = write_arrow([Named(name, kind, values), Named(name + "2", kind, values)])
    table = read_stream(content)
    assert table.schema == pa.schema([(name, type_), (name + "2", type_)])
    assert table.column(1).to_pylist() == values
    assert read(content, number(name), number(name + "2")) == {name: values, name + "2": values}


def integers(bits: int, *, signed: bool) -> st.SearchStrategy[int]:
    """Draw integers of so many bits."""
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else st.integers(0, 2**bits - 1)


LETTERS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES: dict[pa.DataType, st.SearchStrategy[Any]] = {
    **{getattr(pa, f"int{bits}")(): integers(bits, signed=True) for bits in (8, 16, 32, 64)},
    **{getattr(pa, f"uint{bits}")(): integers(bits, signed=False) for bits in (8, 16, 32, 64)},
    **{getattr(pa, f"float{bits}")(): st.floats(width=bits) for bits in (16, 32, 64)},
    **dict.fromkeys((pa.string(), pa.large_string(), pa.string_view()), LETTERS),
    pa.bool_(): st.booleans(),
    pa.null(): st.none(),
}
INDICES = [getattr(pa, f"{sign}int{bits}")() for sign in ("", "u") for bits in (8, 16, 32, 64)]


@st.composite
def drawn_arrays(draw: st.DrawFn, size: int) -> pa.Array:
    """Draw a column of any type that is read, in a dictionary too, which may lie within a longer one."""
    type_ = draw(st.sampled_from(list(VALUES)))
    before, behind = draw(st.integers(0, 9)), draw(st.integers(0, 9))
    values = st.none() | VALUES[type_]
    array = pa.array(draw(st.lists(values, min_size=size + before + behind, max_size=size + before + behind)), type_)
    if draw(st.booleans()):
        labels = pa.array(draw(st.lists(values, min_size=1, max_size=9)), type_)
        places = st.lists(st.none() | st.integers(0, len(labels) - 1), min_size=len(array), max_size=len(array))
        array = pa.DictionaryArray.from_arrays(pa.array(draw(places), draw(st.sampled_from(INDICES))), labels)
    return array.slice(before, size)


@st.composite
def drawn_tables(draw: st.DrawFn) -> pa.Table:
    """Draw a table of some columns."""
    size = draw(st.integers(0, 20))
    arrays = draw(st.lists(drawn_arrays(size), min_size=1, max_size=4))
    return pa.table(arrays, names=[f"x{place}" for place in range(len(arrays))])


@given(drawn_tables(), st.integers(1, 21))
def test_what_others_write_is_read(table: pa.Table, size: int) -> None:
    """Tables that Arrow's own library writes, in any batches, are read as it reads them, but for NaN, which is null."""
    content = stream(table, max_chunksize=size)
    expected = {
        name: [None if value != value else value for value in column]  # only NaN is not itself
        for name, column in read_stream(content).to_pydict().items()
    }
    assert repr(read(content, *map(number, table.column_names))) == repr(expected)  # -0.0 is not 0.0


def test_count_stream() -> None:
    """Rows are counted by what messages say of them; of a long stream by its size."""
    table = pa.table({"x": np.arange(1_000.0), "c": pa.array(["a"] * 1_000).dictionary_encode()})
    assert count_stream(stream(table)) == (1_000, 1_000)
    assert count_stream(stream(table, max_chunksize=100)) == (1_000, 1_000)
    least, most = count_stream(content := stream(table, max_chunksize=1))
    assert 1 <= least <= 1_000 <= most == len(content)
    least, most = count_stream(stream(pa.table({"x": pa.nulls(100_000)}), max_chunksize=1_000))
    assert 1 <= least <= most, "rows of nulls take no bytes"
    assert count_stream(b"garbage") == (1, 1)
