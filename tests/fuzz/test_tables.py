"""CSV and Arrow streams: whatever comes, it is rows that the same JSON would be, or it is refused, within bounds."""

import tracemalloc
from collections.abc import Callable

import orjson
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.columns import Columns, records
from server.errors import RequestError
from server.formats.arrow import count_stream
from server.formats.arrow_reader import ArrowReader
from server.formats.delimited import CsvReader, count_lines
from server.predictor import Predictor
from server.problems import MAX_BYTES, describe
from server.routing import Rows
from tests.fuzz.mutations import mutated
from tests.models import boolean, category, fake_model, integer, number, text
from tests.unit.formats.streams import stream

MODEL = fake_model(
    number("n", nullable=True),
    integer("i", minimum=0, maximum=12, default=3),
    category("c", ("Kent Police", "é")),
    boolean("b"),
    text("t", nullable=True),
)
FRAME = pd.DataFrame(
    {
        "n": [1.5, None, -1e-7],
        "i": [0, 3, 12],
        "c": pd.Categorical(["é", "Kent Police", "é"]),
        "b": [True, False, True],
        "t": ["", None, "some text that is longer"],
    }
)
TABLE = pa.Table.from_pandas(FRAME)
STREAMS = [
    stream(TABLE),
    stream(TABLE, max_chunksize=1),
    stream(TABLE.slice(1)),
    stream(TABLE.set_column(4, "t", TABLE.column("t").cast(pa.string_view()))),
    stream(TABLE.set_column(0, "n", pa.nulls(3))),
]
NUMBERS = [
    *(number.to_bytes(8, "little", signed=True) for number in (-1, 1, 2**31, 2**60, 2**63 - 1)),
    *(number.to_bytes(4, "little", signed=True) for number in (-1, 0, 1, 2, 7, 64, 2**31 - 1, -(2**31))),
    *(bytes([each]) for each in range(0, 32, 3)),
]
TEXTS = [FRAME.to_csv(index=False).replace("True", "true").replace("False", "false").encode(), b"n,i,c,b,t\n"]
TOKENS = [
    b",",
    b'"',
    b"\n",
    b"\r\n",
    b"\r",
    b"\0",
    b'""',
    b"\xef\xbb\xbf",
    b"NaN",
    b"1e400",
    b"\xff",
    b"[1",
    b"n",
    b"c",
]
PREDICTOR = Predictor(MODEL, max_rows=100)
CSV, ARROW = CsvReader(MODEL.signature), ArrowReader(MODEL.signature)
FACTOR, ALLOWED = 30, 1_000_000  # of the body; and beside it: 100 rows of anything are not much


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Draw a stream in which some bytes are other numbers, in their places, so that the frame mostly holds."""
    content = bytearray(draw(st.sampled_from(STREAMS)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(content) - 8))
        number = draw(st.sampled_from(NUMBERS))
        content[at : at + len(number)] = number
    return bytes(content)


def check_rows(read: Callable[[], tuple[Columns, int]]) -> None:
    """Read a batch, and see that it is refused, or that row by row it is the same."""
    try:
        columns, count = read()
        batch = PREDICTOR.batch_of_columns(columns, count)
    except RequestError as error:
        refusal = error
    else:
        alone = PREDICTOR.batch(list(records(columns, count)))
        assert repr(list(batch.rows)) == repr(list(alone.rows))
        return
    assert len(orjson.dumps(describe(refusal, "x" * 128))) <= MAX_BYTES


@given(mutated(TEXTS, TOKENS))
def test_csv(body: bytes) -> None:
    """A text is refused, or is rows, as many as were estimated."""
    counted = Rows(*count_lines(body))
    check_rows(lambda: CSV.columns(body, header=None, most=100))
    try:
        _, count = CSV.columns(body, header=None, most=10_000)
    except RequestError:
        return
    assert count <= counted.most
    assert counted.least <= max(1, count)


def check_stream(body: bytes) -> None:
    """See that a stream is refused or read, in memory that is in proportion."""
    counted = Rows(*count_stream(body))
    tracemalloc.start()
    try:
        _, count = ARROW.columns(body, most=100)
    except RequestError:
        pass
    else:
        assert min(count, 100) <= counted.most
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak <= FACTOR * len(body) + ALLOWED
    check_rows(lambda: ARROW.columns(body, most=100))


@given(damaged())
def test_damaged_streams(body: bytes) -> None:
    """A stream that claims other numbers is refused or read; nothing else comes of it, and no memory is lost to it."""
    check_stream(body)


@given(mutated(STREAMS, NUMBERS))
def test_mutated_streams(body: bytes) -> None:
    """A stream that was cut, doubled and mixed is refused or read likewise."""
    check_stream(body)


@pytest.mark.by_hand
def test_every_byte() -> None:
    """Whichever byte of a stream is another, it is refused or read."""
    for content in STREAMS:
        for at in range(len(content)):
            for byte in (0x00, 0x01, 0x7F, 0xFF):
                check_stream(content[:at] + bytes([byte]) + content[at + 1 :])
