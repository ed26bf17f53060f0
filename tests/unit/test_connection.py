"""A connection on the event loop: what it refuses, in which order it answers, and when it ends."""

import asyncio
import functools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from server.connection import (
    KEEP_ALIVE,
    LINGER,
    MAX_HEAD_BYTES,
    MAX_HEADER_BYTES,
    MAX_HEADERS,
    MAX_TARGET_BYTES,
    Connection,
)
from server.exchange import READ_ON_FACTOR
from tests.unit.fronts import PATIENCE, Gate, fake_front

LIMIT = 1_000
CHUNKED = "Transfer-Encoding: chunked"
LIVE = b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n"


def posted(body: bytes, *headers: str, length: int | None = None) -> bytes:
    """Write a request with a body."""
    framing = headers or (f"Content-Length: {len(body) if length is None else length}",)
    return "\r\n".join(["POST /predict HTTP/1.1", "Host: x", *framing, "", ""]).encode() + body


def probe(*lines: str, target: str = "/live", version: str = "1.1") -> bytes:
    """Write a request without a body, with more header lines."""
    return "\r\n".join([f"GET {target} HTTP/{version}", "Host: x", *lines, "", ""]).encode()


@dataclass
class Answer:
    """What was written for a request."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> str:
        """Which problem it is."""
        slug: str = json.loads(self.body)["type"].partition("#")[2]
        return slug


class Wire(asyncio.Transport):
    """The other side of a connection, on a loop that runs only while something happens."""

    def __init__(self, **given: Any) -> None:
        super().__init__()
        self.written, self.ended, self.closed, self.reads = b"", False, False, True
        self.connections: set[Connection] = set()
        self._runner = asyncio.Runner()
        self._front = fake_front(**{"max_body_bytes": LIMIT} | given)
        self.connection = self.run(lambda: Connection(self._front, self.connections))
        self.run(lambda: self.connection.connection_made(self))

    # What the connection calls.

    def write(self, data: Any) -> None:
        self.written += data

    def write_eof(self) -> None:
        self.ended = True

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    # What a test calls.

    def run(self, call: Callable[[], Any]) -> Any:
        """Let something happen on the loop."""

        async def run() -> Any:
            return call()

        return self._runner.run(run())

    def send(self, *parts: bytes) -> None:
        """Send something."""
        for part in parts:
            self.run(functools.partial(self.connection.data_received, part))

    def say_all(self) -> bool:
        """Close the caller's side; tell whether the connection stays open for an answer."""
        stays: bool = self.run(self.connection.eof_received)
        return stays

    def go_away(self) -> None:
        """Break the connection."""
        self.closed = True
        self.run(lambda: self.connection.connection_lost(None))

    def until(self, condition: Callable[[], bool]) -> None:
        """Let the loop run until something holds."""

        async def wait() -> None:
            async with asyncio.timeout(PATIENCE):
                while not condition():
                    await asyncio.sleep(0.001)

        self._runner.run(wait())

    def answers(self, count: int = 1, *, method: str = "GET") -> list[Answer]:
        """Wait for as many answers, which must be all; give them."""
        self.until(lambda: len(list(self._split(method))) >= count)
        answers = list(self._split(method))
        assert len(answers) == count
        return answers

    def _split(self, method: str) -> Iterator[Answer]:
        rest = self.written
        while b"\r\n\r\n" in rest:
            head, _, rest = rest.partition(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            length = 0 if method == "HEAD" else int(headers.get("content-length", 0))
            yield Answer(int(first.split()[1]), headers, rest[:length])
            rest = rest[length:]
        assert not rest

    def end(self) -> None:
        """Close the loop."""
        self._runner.close()


@pytest.fixture
def make() -> Iterator[Callable[..., Wire]]:
    """Make connections to fake fronts."""
    made: list[Wire] = []

    def make(**given: Any) -> Wire:
        made.append(Wire(**given))
        return made[-1]

    yield make
    for wire in made:
        wire.end()


@pytest.fixture
def wire(make: Callable[..., Wire]) -> Wire:
    """Connect."""
    return make()


def test_a_request_is_answered_and_the_connection_kept(wire: Wire) -> None:
    """An answer has its status, type, length and date; the connection waits for the next request."""
    for count in (1, 2):
        wire.send(posted(b'{"a":1}'))
        answer = wire.answers(count)[-1]
        assert (answer.status, answer.body.partition(b"|")[2]) == (200, b'{"a":1}')
        assert answer.headers["content-type"] == "text/plain"
        assert answer.headers["date"].endswith(" GMT")
        assert answer.headers["x-request-id"]
        assert "connection" not in answer.headers
    assert wire.reads
    assert not wire.closed


@pytest.mark.parametrize(
    "request_",
    [LIVE, posted(b'{"a":1}'), posted(b"1\r\na\r\n0\r\n\r\n", CHUNKED)],
    ids=["no body", "a length", "chunks"],
)
def test_a_request_in_single_bytes(wire: Wire, request_: bytes) -> None:
    """However a request is cut, it is one."""
    wire.send(*(request_[index : index + 1] for index in range(len(request_))))
    assert wire.answers()[0].status == 200


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/live", 200),
        ("/live?a=b", 200),
        ("/%6cive", 200),
        ("http://x/live", 200),
        ("http://x", 200),
        ("/l\u00efve", 400),
        ("/%ff%00", 404),
        ("//live", 404),
        ("*", 404),
    ],
)
def test_targets(wire: Wire, target: str, status: int) -> None:
    """A target is taken with escapes and as a whole address; bytes that should be escaped are no HTTP."""
    wire.send(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert wire.answers()[0].status == status


def test_answers_come_in_the_order_of_requests(make: Callable[..., Wire]) -> None:
    """While a thread works on an answer nothing is read and nothing overtakes it."""
    gate = Gate()
    wire = make(serial=True, gate=gate.wait)
    wire.send(posted(b"1") + LIVE + LIVE)
    wire.until(gate.entered.is_set)
    assert wire.written == b""
    assert not wire.reads
    assert wire.connection.close_at is None, "the time of an answer is no silence of the caller's"
    gate.open()
    answers = wire.answers(3)
    assert answers[0].body.startswith(b"prediction")
    assert not answers[1].body.startswith(b"prediction")
    assert wire.reads


def test_answers_wait_for_a_caller_who_does_not_read(wire: Wire) -> None:
    """Where the caller does not read, no more answers are made, and no more is read."""
    wire.run(wire.connection.pause_writing)
    wire.send(LIVE + LIVE)
    assert wire.written == b""
    assert not wire.reads
    wire.run(wire.connection.resume_writing)
    assert len(wire.answers(2)) == 2
    assert wire.reads


REFUSED = {
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01", 400, "malformed-request"),
    "no version": (b"GET /live\r\n\r\n", 400, "malformed-request"),
    "another version": (probe(version="2.0"), 400, "malformed-request"),
    "a method that nobody knows": (b"BREW /live HTTP/1.1\r\n\r\n", 400, "malformed-request"),
    "two framings": (posted(b"", "Content-Length: 1", CHUNKED), 400, "malformed-request"),
    "two lengths": (posted(b"", "Content-Length: 1", "Content-Length: 2"), 400, "malformed-request"),
    "a chunk without a size": (posted(b"x\r\n", CHUNKED), 400, "malformed-request"),
    "a long target": (probe(target="/" + "x" * MAX_TARGET_BYTES), 414, "target-too-long"),
    "a long header": (probe("X: " + "x" * MAX_HEADER_BYTES), 431, "headers-too-large"),
    "many headers": (probe(*[f"X-{index}: 1" for index in range(MAX_HEADERS)]), 431, "headers-too-large"),
    "one header many times": (probe(*["X: 1"] * MAX_HEADERS), 431, "headers-too-large"),
    "a head that does not end": (b"GET /live HTTP/1.1\r\nX: " + b"x" * MAX_HEAD_BYTES, 431, "headers-too-large"),
    "leave for too much": (
        posted(b"", f"Content-Length: {LIMIT + 1}", "Expect: 100-continue"),
        413,
        "body-too-large",
    ),
    "far too much": (posted(b"x" * LIMIT * READ_ON_FACTOR + b"x", length=10**9), 413, "body-too-large"),
}


@pytest.mark.parametrize(("sent", "status", "slug"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(wire: Wire, sent: bytes, status: int, slug: str) -> None:
    """What is no HTTP, or more of it than we take, is one problem; what follows is no request, and the end is near."""
    wire.send(LIVE, sent, LIVE)
    good, refused = wire.answers(2)
    assert (good.status, refused.status, refused.problem) == (200, status, slug)
    assert refused.headers["connection"] == "close"
    assert wire.ended, "the caller hears that no more comes"
    assert not wire.closed, "he may still be sending: to close at once would take the answer back"
    assert wire.connection.close_at is not None
    assert not wire.say_all()


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(probe(target="/live?" + "x" * (MAX_TARGET_BYTES - 6)), id="a long target"),
        pytest.param(probe("X: " + "x" * (MAX_HEADER_BYTES - 1)), id="a long header"),
        pytest.param(probe(*[f"X-{index}: 1" for index in range(MAX_HEADERS - 1)]), id="many headers"),
        pytest.param(LIVE * 5_000, id="many requests"),
    ],
)
def test_what_just_fits(wire: Wire, sent: bytes) -> None:
    """What is just within the limits is taken; they are those of a request, not of a packet."""
    wire.send(sent)
    assert {answer.status for answer in wire.answers(sent.count(b"HTTP/"))} == {200}


@pytest.mark.parametrize("size", [LIMIT + 1, LIMIT * READ_ON_FACTOR])
def test_a_body_that_is_too_large_is_read_on(wire: Wire, size: int) -> None:
    """A body that is not far too large is read to its end, and the connection is kept."""
    wire.send(posted(b"x" * size), LIVE)
    assert [answer.status for answer in wire.answers(2)] == [413, 200]
    assert not wire.ended


def test_leave_to_send(wire: Wire) -> None:
    """Who asks for leave to send his body gets it before, and his answer behind it."""
    wire.send(posted(b"", "Content-Length: 7", "Expect: 100-continue"))
    assert wire.answers()[0].status == 100
    wire.send(b'{"a":1}')
    assert [answer.status for answer in wire.answers(2)] == [100, 200]


def test_headers_behind_a_body(wire: Wire) -> None:
    """What comes behind a body in chunks is no header of the request's, and none of the next one's."""
    wire.send(posted(b"1\r\na\r\n0\r\nX-Request-ID: behind\r\n\r\n", CHUNKED, "X-Request-ID: mine"))
    assert wire.answers()[0].headers["x-request-id"] == "mine"


def test_head(wire: Wire) -> None:
    """HEAD tells the length of a body that does not come."""
    wire.send(LIVE.replace(b"GET", b"HEAD"))
    (answer,) = wire.answers(method="HEAD")
    assert int(answer.headers["content-length"]) > 0
    assert wire.written.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("sent", "connection"),
    [
        pytest.param(probe(), None, id="1.1"),
        pytest.param(probe("Connection: close"), "close", id="1.1 close"),
        pytest.param(probe(version="1.0"), "close", id="1.0"),
        pytest.param(probe("Connection: keep-alive", version="1.0"), "keep-alive", id="1.0 keep-alive"),
        pytest.param(probe("Connection: Upgrade", "Upgrade: websocket"), "close", id="upgrade"),
    ],
)
def test_how_long_a_connection_is_kept(wire: Wire, sent: bytes, connection: str | None) -> None:
    """A connection is kept as its caller's version and wish say; to a protocol that we do not speak it is not."""
    wire.send(sent)
    (answer,) = wire.answers()
    assert (answer.status, answer.headers.get("connection")) == (200, connection)
    assert wire.closed == (connection == "close")


def test_what_follows_the_last_request(wire: Wire) -> None:
    """What is sent behind a request that was to be the last is not answered."""
    wire.send(probe("Connection: close") + LIVE, LIVE)
    assert len(wire.answers()) == 1


@pytest.mark.parametrize(
    "sent", [b"GET /li", posted(b"", length=10), posted(b"{", length=10)], ids=["head", "no body", "body"]
)
def test_a_caller_who_stops_within_a_request(wire: Wire, sent: bytes) -> None:
    """A request that its caller ends too early is a problem, never a prediction."""
    wire.send(LIVE + sent)
    assert not wire.say_all()
    good, broken = wire.answers(2)
    assert (good.status, broken.status, broken.problem) == (200, 400, "incomplete-body")


def test_a_caller_who_has_said_all(make: Callable[..., Wire]) -> None:
    """Who closes his side while a thread works still has his answers, and then the connection ends."""
    gate = Gate()
    wire = make(serial=True, gate=gate.wait)
    wire.send(posted(b"1") + LIVE)
    wire.until(gate.entered.is_set)
    assert wire.say_all()
    gate.open()
    assert [answer.headers.get("connection") for answer in wire.answers(2)] == [None, "close"]
    assert wire.closed


def test_a_caller_who_goes_away(make: Callable[..., Wire]) -> None:
    """Who goes away while a thread works costs nothing but that; what he asked behind it is not even begun."""
    gate = Gate()
    wire = make(serial=True, gate=gate.wait)
    wire.send(posted(b"1") + posted(b"2"))
    wire.until(gate.entered.is_set)
    gate.entered.clear()
    wire.go_away()
    assert wire.connections == set()
    gate.open()
    wire.run(lambda: None)
    assert wire.written == b""
    assert not gate.entered.is_set()


def test_silence_has_an_end(wire: Wire) -> None:
    """Between requests and within one a connection is kept for some time only; whatever is heard begins it anew."""
    moments = [wire.connection.close_at]
    for part in (LIVE, b"GET /li", b"ve HTTP/1.1\r\n"):
        wire.send(part)
        moments.append(wire.connection.close_at)
    assert None not in moments
    assert moments == sorted(moments, key=lambda moment: moment or 0)
    assert KEEP_ALIVE > LINGER
    wire.run(wire.connection.close)
    assert wire.closed


def test_drain(make: Callable[..., Wire]) -> None:
    """Asked to drain, an idle connection ends at once, and one that is busy, half asked or new with its answer."""
    gate = Gate()
    idle, busy, half, new = make(), make(serial=True, gate=gate.wait), make(), make()
    idle.send(LIVE)
    busy.send(posted(b"1"))
    half.send(LIVE[:10])
    busy.until(gate.entered.is_set)
    before = new.connection.close_at
    for wire in (idle, busy, half, new):
        wire.run(wire.connection.drain)
    assert [wire.closed for wire in (idle, busy, half, new)] == [True, False, False, False]
    assert before is not None
    assert new.connection.close_at is not None
    assert new.connection.close_at < before, "who connects and is silent does not hold up the stop for long"
    gate.open()
    half.send(LIVE[10:])
    new.send(LIVE)
    for wire in (busy, half, new):
        assert wire.answers()[0].headers["connection"] == "close"
        assert wire.closed
