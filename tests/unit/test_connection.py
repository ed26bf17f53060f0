"""A connection on the event loop: what it refuses, in which order it answers, and when it ends."""

import asyncio
import functools
import itertools
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from server.bounds import EARLY, Bounds
from server.connection import LINGER, LINGERING, NEVER, TURN, Connection
from server.exchange import READ_ON_FACTOR, Response
from server.incoming import MAX_FIELD_BYTES, MAX_HEADERS, MAX_TARGET_BYTES
from tests.unit.fronts import PATIENCE, Gate, fake_front, metrics_of

LIMIT, HEAD_LIMIT = 1_000, 65_536
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

    def __init__(self, *, excess: int = 0, kept: bool = False, bounds: Bounds | None = None, **given: Any) -> None:
        super().__init__()
        self.written, self.ended, self.closed, self.reads = bytearray(), False, False, True
        self.aborted, self.unsent = False, 0
        self.connections: set[Connection] = set()
        self._runner = asyncio.Runner()
        self._front = fake_front(**{"max_body_bytes": LIMIT} | given)
        self.bounds = bounds or Bounds(self._front.application.settings)
        self.connection = self.run(
            lambda: Connection(self._front, self.connections, self.bounds, excess=excess, kept=kept)
        )
        self.run(lambda: self.connection.connection_made(self))

    # What the connection calls.

    def write(self, data: Any) -> None:
        self.written += data

    def write_eof(self) -> None:
        self.ended = True

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    def is_closing(self) -> bool:
        return self.closed

    def get_write_buffer_size(self) -> int:
        return self.unsent

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
        self.until(lambda: self.written.count(b"HTTP/1.1 ") >= count)
        answers = list(self._split(method))
        assert len(answers) == count
        return answers

    def _split(self, method: str) -> Iterator[Answer]:
        written, at = bytes(self.written), 0
        while (end := written.find(b"\r\n\r\n", at)) >= 0:
            first, *lines = written[at:end].decode("latin-1").split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            length = 0 if method == "HEAD" else int(headers.get("content-length", 0))
            at = end + 4 + length
            yield Answer(int(first.split()[1]), headers, written[end + 4 : at])
        assert at == len(written)

    def closed_by(self) -> dict[str, float]:
        """Give how many connections were closed without an answer, by the reason."""
        page = metrics_of(self._front)
        return {
            line.split('"')[1]: float(line.split()[1])
            for line in page.splitlines()
            if line.startswith("brinery_connections_closed_total{")
        }

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
    assert wire.connection.close_at == NEVER, "the time of an answer is no silence of the caller's"
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
    "a long header": (probe("X: " + "x" * MAX_FIELD_BYTES), 431, "headers-too-large"),
    "many headers": (probe(*[f"X-{index}: 1" for index in range(MAX_HEADERS)]), 431, "headers-too-large"),
    "one header many times": (probe(*["X: 1"] * MAX_HEADERS), 431, "headers-too-large"),
    "a head that does not end": (b"GET /live HTTP/1.1\r\nX: " + b"x" * HEAD_LIMIT, 431, "headers-too-large"),
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
    assert wire.connection.close_at < NEVER
    assert not wire.say_all()


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(probe(target="/live?" + "x" * (MAX_TARGET_BYTES - 6)), id="a long target"),
        pytest.param(probe("X: " + "x" * (MAX_FIELD_BYTES - 1)), id="a long header"),
        pytest.param(probe(*[f"X-{index}: 1" for index in range(MAX_HEADERS - 1)]), id="many headers"),
        pytest.param(LIVE * 5_000, id="many requests"),
    ],
)
def test_what_just_fits(wire: Wire, sent: bytes) -> None:
    """What is just within the limits is taken; they are those of a request, not of a packet."""
    wire.send(sent)
    assert {answer.status for answer in wire.answers(sent.count(b"HTTP/"))} == {200}


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(posted(b"x" * (LIMIT + 1)), id="too much"),
        pytest.param(REFUSED["far too much"][0], id="far too much"),
        pytest.param(REFUSED["leave for too much"][0], id="leave for too much"),
    ],
)
def test_a_body_that_is_too_large_is_refused_by_its_route(wire: Wire, sent: bytes) -> None:
    """A route that writes errors in its own form does so also for a body that nobody reads to its end."""
    wire.send(sent.replace(b"/predict", b"/own"))
    (answer,) = wire.answers(1)
    assert (answer.status, answer.body) == (413, b"own")


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
        pytest.param(probe("Connection: Upgrade", "Upgrade: websocket"), None, id="upgrade"),
        pytest.param(probe("Connection: close, Upgrade", "Upgrade: websocket"), "close", id="close and upgrade"),
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


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Give a clock that stands until it is moved."""
    clock = SimpleNamespace(now=1_000.0)
    stands = SimpleNamespace(monotonic=lambda: clock.now, time=time.time)
    monkeypatch.setattr("server.connection.time", stands)
    return clock


TIMES = {"header_timeout": 10.0, "body_timeout": 30.0, "idle_timeout": 75.0, "write_timeout": 20.0}


def test_a_head_has_its_time(clock: SimpleNamespace, make: Callable[..., Wire]) -> None:
    """A head that dribbles in gets no more time than one that does not, and then a 408 and the end."""
    wire = make(**TIMES)
    for part in (b"\r\n", b"GET ", b"/live HTTP/1.1\r\n", b"Host: x\r\n"):
        wire.send(part)
        assert wire.connection.close_at == 1_000 + 10 * EARLY
        clock.now += 2
    wire.run(wire.connection.expire_in_time)
    assert wire.written == b"", "it is not over yet"
    clock.now = wire.connection.close_at
    wire.run(wire.connection.expire_in_time)
    (answer,) = wire.answers()
    assert (answer.status, answer.problem) == (408, "request-timeout")
    assert answer.headers["connection"] == "close"
    assert b"head did not come in within 10 seconds" in answer.body
    assert wire.closed
    assert wire.closed_by() == {}


def test_a_body_has_its_time(clock: SimpleNamespace, make: Callable[..., Wire]) -> None:
    """So has a body, from the end of its head, in chunks or not."""
    for framing in ("Content-Length: 100", CHUNKED):
        clock.now = 1_000
        wire = make(**TIMES)
        clock.now += 5
        wire.send(posted(b"", framing))
        for part in (b"1\r\n", b"1\r\n", b"1\r\n"):
            clock.now += 9
            wire.send(part)
            assert wire.connection.close_at == 1_035
        clock.now = 1_035
        wire.run(wire.connection.expire_in_time)
        (answer,) = wire.answers()
        assert (answer.status, answer.problem) == (408, "request-timeout")
        assert b"body did not come in within 30 seconds" in answer.body
        assert wire.closed


def test_who_never_says_anything(clock: SimpleNamespace, make: Callable[..., Wire]) -> None:
    """A connection on which nothing comes is closed within the time for a head, without an answer, and counted."""
    wire = make(**TIMES)
    assert wire.connection.close_at == 1_000 + 10 * EARLY
    clock.now = wire.connection.close_at
    wire.run(wire.connection.expire_in_time)
    assert (bytes(wire.written), wire.closed) == (b"", True)
    assert wire.closed_by() == {"header-timeout": 1}


def test_a_kept_connection_has_its_time(clock: SimpleNamespace, make: Callable[..., Wire]) -> None:
    """Between requests a connection is kept for some time, which line ends do not make longer; a request does."""
    wire = make(**TIMES)
    for count in (1, 2):
        clock.now += 5
        wire.send(LIVE)
        wire.answers(count)
        assert wire.connection.close_at == clock.now + 75
    clock.now += 50
    wire.send(b"\r\n")
    assert wire.connection.close_at == clock.now + 25
    clock.now += 25
    wire.run(wire.connection.expire_in_time)
    assert wire.closed
    assert len(wire.answers(2)) == 2, "no word of that"
    assert wire.closed_by() == {"idle": 1}


def test_a_connection_of_another_workers_is_kept(clock: SimpleNamespace, make: Callable[..., Wire]) -> None:
    """A connection that another worker had is between two requests, not new."""
    wire = make(kept=True, **TIMES)
    assert wire.connection.close_at == 1_075
    wire.send(LIVE[:10])
    assert wire.connection.close_at == 1_000 + 10 * EARLY


def test_each_head_has_a_time_of_its_own(clock: SimpleNamespace, make: Callable[..., Wire]) -> None:
    """The time for a head begins with its first byte, and behind an answer when that is written."""
    wire = make(**TIMES)
    wire.send(LIVE)
    clock.now += 50
    wire.send(LIVE[:10])
    assert wire.connection.close_at == clock.now + 10 * EARLY
    clock.now += 5
    wire.send(LIVE[10:] + LIVE[:10])
    assert len(wire.answers(2)) == 2
    assert wire.connection.close_at == clock.now + 10 * EARLY
    clock.now += 3
    wire.send(LIVE[10:])
    assert wire.connection.close_at == clock.now + 75


def test_who_does_not_read_has_a_time(clock: SimpleNamespace, make: Callable[..., Wire]) -> None:
    """Who does not read his answer is let go after a time, and whatever of it is unsent is dropped."""
    wire = make(**TIMES)
    wire.send(LIVE)
    wire.run(wire.connection.pause_writing)
    assert wire.connection.close_at == 1_020
    wire.run(wire.connection.resume_writing)
    assert wire.connection.close_at == 1_075
    wire.unsent = 10
    clock.now = 1_075
    wire.run(wire.connection.expire_in_time)
    assert wire.aborted
    assert wire.closed_by() == {"write-timeout": 1}


def test_one_connection_too_many(make: Callable[..., Wire]) -> None:
    """Beyond the limit a connection is told so and closed: some have time to read it, the rest is closed at once."""
    for excess, lingers in ((1, True), (LINGERING, True), (LINGERING + 1, False)):
        wire = make(excess=excess)
        (answer,) = wire.answers()
        assert (answer.status, answer.problem) == (503, "too-many-connections")
        assert answer.headers["retry-after"] == "1"
        assert answer.headers["connection"] == "close"
        assert (wire.ended, wire.closed) == (lingers, not lingers)
        wire.send(LIVE)
        assert len(wire.answers()) == 1
        assert wire.connection.close_at < NEVER
    assert make(excess=0).written == b""


def test_who_lingers_is_closed(clock: SimpleNamespace, make: Callable[..., Wire]) -> None:
    """A refused caller who neither reads nor goes away is let go soon, and that is no other reason."""
    wire = make(excess=1)
    assert wire.connection.close_at == 1_000 + LINGER
    clock.now += LINGER
    wire.run(wire.connection.expire_in_time)
    assert wire.closed
    assert wire.closed_by() == {}


def test_a_deadline_is_kept_though_no_thread_is_free(make: Callable[..., Wire]) -> None:
    """At the deadline the loop answers what waits and what is worked on, and goes on with the connection."""
    gate = Gate()
    wire = make(serial=True, gate=gate.wait, threads=1, deadline=0.05)
    wire.send(posted(b"1"), LIVE)
    wire.until(gate.entered.is_set)
    assert [answer.status for answer in wire.answers(2)] == [504, 200]
    gate.open()


@pytest.mark.parametrize("slow", [b"x" * 900, b"", None], ids=["a body", "a head", "a head and no body"])
def test_what_comes_in_is_bounded_for_all(make: Callable[..., Wire], slow: bytes | None) -> None:
    """Who would make us hold too much of what still comes in is refused; the others are not, and then there is room."""
    head = probe(*["X: " + "x" * 180] * 5)[:-4]
    parts = {b"": head, None: head + b"\r\nContent-Length: 9\r\n\r\n"}
    first = make(max_buffered_bytes=1, max_header_bytes=1_024)
    second, third = (make(bounds=first.bounds) for _ in range(2))
    first.send(parts.get(slow) or posted(b"x" * 900, length=999))
    second.send(posted(b"", "X: " + "x" * 300, "Content-Length: 999"), b"x" * 900)
    refused = second.answers()[0]
    assert (refused.status, refused.problem) == (503, "overloaded")
    assert refused.headers["connection"] == "close"
    assert not first.written
    first.go_away()
    third.send(posted(b"x" * 999))
    third.send(posted(b"x" * 900, length=999), b"x" * 99)
    assert [answer.status for answer in third.answers(2)] == [200, 200]
    assert first.bounds.held == 0


def test_what_comes_at_once_is_bounded_too(make: Callable[..., Wire]) -> None:
    """Of thousands of requests in one piece the first is answered, and the rest refused together with one answer.

    What waits while a caller does not read is held for as long, and no longer.
    """
    wire = make(max_buffered_bytes=100_000)
    wire.send(LIVE * 10_000)
    assert [answer.status for answer in wire.answers(2)] == [200, 503]
    assert wire.bounds.held == 0
    few = make(max_buffered_bytes=1_000_000, max_header_bytes=1_024)
    few.connection.pause_writing()
    few.send(LIVE * 50)
    assert few.bounds.held > 50 * len(LIVE)
    few.connection.resume_writing()
    assert [answer.status for answer in few.answers(50)] == [200] * 50
    assert few.bounds.held == 0


def test_drain(make: Callable[..., Wire]) -> None:
    """Asked to drain, a connection that is busy, half asked, idle or new ends with its next answer, which says so."""
    gate = Gate()
    idle, busy, half, new = make(), make(serial=True, gate=gate.wait), make(), make()
    idle.send(LIVE)
    busy.send(posted(b"1"))
    half.send(LIVE[:10])
    busy.until(gate.entered.is_set)
    before = idle.connection.close_at, new.connection.close_at
    for wire in (idle, busy, half, new):
        wire.run(wire.connection.drain)
    assert not any(wire.closed for wire in (idle, busy, half, new))
    for wire, moment in zip((idle, new), before, strict=True):
        assert wire.connection.close_at < moment, "who is silent does not hold up the stop for long"
    gate.open()
    half.send(LIVE[10:])
    for wire in (idle, new):
        wire.send(LIVE)
    for wire, count in ((busy, 1), (half, 1), (idle, 2), (new, 1)):
        assert wire.answers(count)[-1].headers["connection"] == "close"
        assert wire.closed


def test_kept_connections_end_while_the_server_is_not_ready(wire: Wire) -> None:
    """In the delay before a stop each answer ends its connection, so that callers go elsewhere without a loss."""
    wire.send(LIVE)
    assert "connection" not in wire.answers()[0].headers
    wire.connection._front.application.common.readiness.drain()
    wire.send(LIVE)
    assert wire.answers(2)[-1].headers["connection"] == "close"
    assert wire.closed


OFFER = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQ")


@pytest.mark.parametrize("step", [1, 7, 10_000], ids=["byte by byte", "in parts", "in one"])
@pytest.mark.parametrize("framing", [("Content-Length: 7",), (CHUNKED,)], ids=["a length", "chunks"])
def test_an_offer_of_another_protocol_changes_nothing(wire: Wire, framing: tuple[str, ...], step: int) -> None:
    """A request that offers HTTP/2, as some clients always do, is answered with its body, and so is the next."""
    body = b'{"a":1}' if framing != (CHUNKED,) else b'7\r\n{"a":1}\r\n0\r\n\r\n'
    sent = posted(body, *framing, *OFFER) + LIVE
    wire.send(*(sent[at : at + step] for at in range(0, len(sent), step)))
    first, second = wire.answers(2)
    assert (first.status, first.body.partition(b"|")[2]) == (200, b'{"a":1}')
    assert second.status == 200
    assert not wire.closed


def test_many_offers_in_one_piece_are_answered(wire: Wire) -> None:
    """However many requests in one piece offer another protocol, each is answered, in order."""
    wire.send(b"".join(probe("Connection: Upgrade", "Upgrade: h2c", target=f"/{at}") for at in range(2_000)))
    answers = wire.answers(2_000)
    assert {answer.status for answer in answers} == {404}
    assert not wire.closed


def test_a_tunnel_is_refused(wire: Wire) -> None:
    """CONNECT, which asks for a tunnel, is no request to us."""
    wire.send(b"CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n")
    assert wire.answers()[0].status == 400


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(b"GET /live HTTP/1.1\r\n\r\n", id="no host"),
        pytest.param(b"GET /live HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", id="two hosts"),
        pytest.param(b"POST /predict HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="chunks in 1.0"),
        pytest.param(posted(b"0\r\n\r\n", "Transfer-Encoding: gzip, chunked"), id="coded chunks"),
    ],
)
def test_framing_that_others_may_read_otherwise_is_refused(wire: Wire, request_: bytes) -> None:
    """What RFC 9112 tells a server to refuse is refused, and ends the connection."""
    wire.send(request_)
    answer = wire.answers()[0]
    assert (answer.status, answer.problem) == (400, "malformed-request")
    assert wire.ended


@pytest.mark.parametrize(
    "endless",
    [
        pytest.param([b"X: " + b"a" * 1_000] + [b"a" * 10_000] * 10, id="a trailer"),
        pytest.param([b"a: b\r\n" * 1_000] * 20, id="trailers"),
        pytest.param([b"1;" + b"x" * 10_000] + [b"x" * 10_000] * 10, id="an extension of a chunk"),
    ],
)
def test_what_frames_a_body_has_an_end(wire: Wire, endless: list[bytes]) -> None:
    """Trailers and extensions without end are refused as headers are."""
    end = b"" if endless[0].startswith(b"1;") else b"0\r\n"
    wire.send(posted(b"1\r\na\r\n" + end, CHUNKED), *endless)
    assert wire.answers()[0].status == 431


def test_small_chunks_are_no_offence(wire: Wire) -> None:
    """A body in chunks of one byte is a body."""
    wire.send(posted(b"1\r\na\r\n" * LIMIT + b"0\r\n\r\n", CHUNKED))
    assert wire.answers()[0].status == 200


def test_old_clients_are_not_asked_for_the_body(wire: Wire) -> None:
    """HTTP/1.0 does not know the answer that asks for a body."""
    wire.send(b"POST /predict HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
    assert wire.written == b""


def test_who_waits_behind_another_request_is_asked_for_the_body(make: Callable[..., Wire]) -> None:
    """A caller who waits to be asked for his body is, once what he asked before is answered."""
    gate = Gate()
    wire = make(serial=True, gate=gate.wait)
    wire.send(posted(b"1") + posted(b"", "Content-Length: 1", "Expect: 100-continue"))
    assert wire.written == b""
    gate.open()
    wire.until(lambda: wire.written.endswith(b"HTTP/1.1 100 Continue\r\n\r\n"))


def test_who_does_not_read_is_let_go(wire: Wire) -> None:
    """A caller who does not read has a time for it, after which the connection is broken off."""
    wire.send(LIVE)
    wire.run(wire.connection.pause_writing)
    assert wire.connection.close_at < NEVER
    wire.run(wire.connection.expire)
    assert wire.aborted


def test_a_connection_that_is_closed_and_not_read_is_let_go(wire: Wire) -> None:
    """So has one whose last answer is on its way."""
    wire.send(probe("Connection: close"))
    assert wire.closed
    assert wire.connection.close_at < NEVER
    wire.run(wire.connection.expire)
    assert wire.aborted


def test_others_have_their_turn(wire: Wire) -> None:
    """Many requests in one packet are answered in several turns of the loop, in order, and all of them."""
    wire.send(LIVE * 100)
    assert 0 < wire.written.count(b"HTTP/1.1 200") < 100
    assert len(wire.answers(100)) == 100


def numbered(count: int) -> bytes:
    """Write requests whose answers tell them apart."""
    return b"".join(posted(b"%d" % at) for at in range(count))


def numbers(answers: list[Answer]) -> list[int]:
    """Tell which requests were answered."""
    return [int(answer.body.partition(b"|")[2]) for answer in answers]


def test_thousands_in_one_piece_are_answered_in_order(wire: Wire) -> None:
    """Of a large piece a slice is read at a time, and nothing else meanwhile; each request is answered, in order."""
    wire.send(numbered(3_000) + LIVE[:10])
    assert 0 < len(wire.connection._waiting) < 300
    assert not wire.reads
    assert wire.bounds.held > 100_000
    assert wire.run(wire.connection.offer) is None, "another worker would not have the rest"
    assert numbers(wire.answers(3_000)) == list(range(3_000))
    wire.until(lambda: wire.reads)
    wire.send(LIVE[10:])
    assert wire.answers(3_001)[-1].status == 200
    assert wire.bounds.held == 0


def test_two_who_send_thousands_take_turns() -> None:
    """While one who asks for thousands at once is answered, so is another."""
    turns: list[str] = []
    front = fake_front(max_body_bytes=LIMIT)
    bounds, connections = Bounds(front.application.settings), set[Connection]()

    class Noted(Wire):
        def __init__(self, name: str) -> None:
            asyncio.Transport.__init__(self)
            self.closed, self.name = False, name

        def write(self, data: Any) -> None:  # noqa: ARG002  # who writes is what matters
            turns.append(self.name)

    async def ask() -> None:
        for name in "ab":
            connection = Connection(front, connections, bounds)
            connection.connection_made(Noted(name))
            connection.data_received(LIVE * 1_000)
        async with asyncio.timeout(PATIENCE):
            while len(turns) < 2_000:
                await asyncio.sleep(0)

    asyncio.run(ask())
    in_a_row = [len(list(same)) for _, same in itertools.groupby(turns)]
    assert max(in_a_row) <= 2 * TURN
    assert turns.count("a") == turns.count("b") == 1_000


@pytest.mark.parametrize("begun", [b"", LIVE[:10]], ids=["all complete", "one begun"])
def test_who_has_said_all_has_the_answers_of_a_large_piece(wire: Wire, begun: bytes) -> None:
    """Who sends thousands of requests and closes his side has all answers, and with the last of them the end."""
    wire.send(numbered(2_000) + begun)
    assert wire.say_all()
    answers = wire.answers(2_000 + bool(begun))
    assert numbers(answers[:2_000]) == list(range(2_000))
    assert [answer.headers.get("connection") for answer in answers[-2:]] == [None, "close"]
    assert answers[-1].status == (400 if begun else 200)
    assert wire.closed
    assert wire.bounds.held == 0


@pytest.mark.parametrize(
    ("last", "status"), [(b"BREW / HTTP/1.1\r\n\r\n", 400), (probe("Connection: close"), 200)], ids=["broken", "last"]
)
def test_what_ends_a_large_piece_early(wire: Wire, last: bytes, status: int) -> None:
    """What follows a request that is refused, or was to be the last, is neither answered nor held."""
    wire.send(numbered(500) + last + LIVE * 5_000)
    answers = wire.answers(501)
    assert (answers[-1].status, answers[-1].headers["connection"]) == (status, "close")
    assert wire.ended
    assert wire.bounds.held == 0
    wire.send(LIVE)
    assert len(wire.answers(501)) == 501


def test_who_has_said_all_is_not_waited_for(wire: Wire) -> None:
    """Where a large piece ends early and its caller has closed his side, so do we."""
    wire.send(numbered(500) + probe("Connection: close") + LIVE * 5_000)
    assert wire.say_all()
    assert len(wire.answers(501)) == 501
    assert wire.closed


def test_drain_with_a_large_piece(wire: Wire) -> None:
    """Who is asked to drain answers all that came in one piece, and says with the last answer that it is."""
    wire.send(LIVE * 1_000)
    wire.run(wire.connection.drain)
    assert [answer.headers.get("connection") for answer in wire.answers(1_000)[-2:]] == [None, "close"]
    assert wire.closed


def test_a_large_piece_is_forgotten_with_its_caller(wire: Wire) -> None:
    """Of a caller who goes away nothing is held."""
    wire.send(LIVE * 1_000)
    wire.go_away()
    assert wire.bounds.held == 0


def test_a_large_body_in_one_piece_keeps_its_time(clock: SimpleNamespace, make: Callable[..., Wire]) -> None:
    """A part of a body that is read in slices does not give its caller more time for what he has not sent."""
    wire = make(max_body_bytes=1_000_000)
    wire.send(posted(b"", length=900_000), b"x" * 100_000)
    wire.until(lambda: wire.reads)
    before = wire.connection.close_at
    clock.now += 1
    wire.send(b"x" * 100_000)
    wire.until(lambda: wire.reads)
    assert wire.connection.close_at == before
    wire.send(b"x" * 700_000)
    assert wire.answers()[0].status == 200


def test_an_answer_that_fails_is_an_answer(make: Callable[..., Wire], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever becomes of a thread's work, the caller hears of it."""
    wire = make(serial=True)

    def fail(*_: object) -> Response:
        raise ValueError("the log is closed")

    def refuse(error: Exception) -> Response:
        return Response(500, str(error).encode())

    monkeypatch.setattr(wire.connection._front.application.exchange, "complete", fail)
    monkeypatch.setattr(wire.connection._front, "refuse", refuse)
    wire.send(posted(b"1"))
    answer = wire.answers()[0]
    assert (answer.status, answer.body) == (500, b"the log is closed")
