"""The reader of requests: whatever comes in whatever parts, it never fails, and never reads a text in two ways."""

from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from server.errors import BrineryError
from server.incoming import Arrived, Buffered, Incoming, Reader
from tests.fuzz.mutations import mutated, split

LIMIT, HEAD_LIMIT = 64, 65_536
TEXTS = [
    b"GET /api/health/live HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /api/predict?detail=full HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok",
    b"POST / HTTP/1.0\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n1",
    b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;a=b\r\nx\r\n0\r\nTrailer: y\r\n\r\n",
]
TOKENS = [
    *(
        b"\r\n",
        b"\n",
        b"\r",
        b"\r\n\r\n",
        b" ",
        b"\t",
        b":",
        b"\x00",
        b"\x0b",
        b"\xff",
        b"0\r\n\r\n",
        b"ffffffffffffffff",
    ),
    *(b"Content-Length: 5\r\n", b"Content-Length: +5\r\n", b"Content-Length: 5, 5\r\n", b"content-length : 5\r\n"),
    *(
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
    ),
    *(b" Transfer-Encoding: chunked\r\n", b"Transfer_Encoding: chunked\r\n", b"Host: y\r\n", b"HTTP/1.1", b"HTTP/2.0"),
    *(
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"CONNECT x:1 HTTP/1.1\r\n",
        b"http://x/",
        b"*",
        b"%00",
        b"-1",
        b"0x5",
        b"5;",
    ),
]


def told(arrived: list[Arrived]) -> list[object]:
    """Give what matters of what arrived, so that it can be compared."""
    return [
        (each.method, bytes(each.target), each.headers, bytes(each.body), each.size, each.keep_alive)
        if isinstance(each, Incoming)
        else (type(each), str(each))
        for each in arrived
    ]


def read(parts: list[bytes]) -> tuple[list[Arrived], Reader]:
    """Read a text in parts, and see that nothing is held but of a request that still comes in, once the others went."""
    buffered = Buffered(1_000_000)
    reader = Reader(LIMIT, HEAD_LIMIT, buffered)
    arrived = []
    for part in parts:
        arrived += reader.feed(part)
        reader.release()
        while reader.rest:
            assert buffered.size >= len(reader.rest)
            arrived += reader.feed()
            reader.release()
        assert buffered.size >= 0
        assert buffered.size == 0 or reader.partial is not None
    return arrived, reader


@given(mutated(TEXTS, TOKENS), st.data())
def test_parts_do_not_matter(text: bytes, data: st.DataObject) -> None:
    """A text is the same requests, and the same refusal, in however many parts it comes."""
    whole, reader = read([text])
    in_parts, other = read(data.draw(split(text)))
    assert told(in_parts) == told(whole)
    assert (other.ended, other.partial is None) == (reader.ended, reader.partial is None)
    with mock.patch("server.incoming.SLICE", data.draw(st.integers(1, 100))):
        in_slices, other = read([text])
    assert told(in_slices) == told(whole)
    assert (other.ended, other.partial is None) == (reader.ended, reader.partial is None)


@given(mutated(TEXTS, TOKENS))
def test_what_arrives_is_sound(text: bytes) -> None:
    """A request has a framing that nobody could read otherwise, and nothing comes behind a refusal."""
    arrived, reader = read([text])
    assert reader.ended == any(isinstance(each, BrineryError) for each in arrived)
    for position, each in enumerate(arrived):
        if isinstance(each, BrineryError):
            assert position == len(arrived) - 1
            continue
        assert b" " not in each.target
        assert each.method.isupper() or "-" in each.method
        for name, value in each.headers.items():
            assert name == name.lower()
            assert not set(name) & set(b" \t\r\n\0:")
            assert not set(value) & set(b"\r\n\0")
        assert len(each.body) == (each.size if each.size <= LIMIT else 0)
        length, coding = each.headers.get(b"content-length"), each.headers.get(b"transfer-encoding")
        assert length is None or coding is None
        if length is not None:
            assert length.strip().isdigit()
            assert int(length) == each.size
        assert coding is None or coding.lower() == b"chunked"


@given(st.binary(max_size=400))
def test_noise(text: bytes) -> None:
    """Noise is refused, or waits for more; it never fails otherwise."""
    read([text])
