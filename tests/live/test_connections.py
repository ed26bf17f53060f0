"""What happens on a connection: kept, half closed, slow, broken, over the limits. The same on both fronts."""

import json
import socket
from collections.abc import Iterator

import pytest

from tests.live.bundles import Gate
from tests.live.metrics import scrape
from tests.live.running import PATIENCE, Server, eventually

pytestmark = pytest.mark.live

THEFT = {"force": "Thames Valley Police", "crime": "Bicycle theft", "month": 10}
BODY = json.dumps(THEFT).encode()
LIVE = b"GET /api/health/live HTTP/1.1\r\nHost: x\r\n\r\n"
IN_FLIGHT = ("brinery_http_requests_in_flight",)


def posted(body: bytes = BODY, *headers: str, length: int | None = None) -> bytes:
    """Write a request for a prediction; with headers that frame the body otherwise, no length is announced."""
    framing = headers or (f"Content-Length: {len(body) if length is None else length}",)
    lines = ("POST /api/predict HTTP/1.1", "Host: x", "Content-Type: application/json", *framing)
    return "\r\n".join([*lines, "", ""]).encode() + body


class Wire:
    """A connection, byte by byte."""

    def __init__(self, server: Server) -> None:
        self.socket = socket.create_connection((server.host, server.port), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = self.socket.makefile("rb")

    def send(self, *parts: bytes) -> None:
        """Send each part in a packet of its own, as far as that is ours to say."""
        for part in parts:
            self.socket.sendall(part)

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Read one answer: its status, headers by their names in lower case, and body."""
        status = int(self._reader.readline().split()[1])
        headers = {}
        while line := self._reader.readline().strip():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        return status, headers, self._reader.read(int(headers.get("content-length", 0)))

    def problem(self, status: int) -> str:
        """Read an answer that must be a problem of this status; give its slug."""
        answered, headers, body = self.answer()
        assert (answered, headers["content-type"]) == (status, "application/problem+json"), body
        document = json.loads(body)
        assert (document["status"], document["request_id"]) == (status, headers["x-request-id"])
        kind: str = document["type"]
        return kind.removeprefix("docs/errors.md#")

    def is_closed(self) -> bool:
        """Wait for what comes next, and tell whether it is the end."""
        try:
            return self._reader.read(1) == b""
        except ConnectionResetError:
            return True

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()
        self.socket.close()


@pytest.fixture(scope="module")
def gate(front: str, tmp_path_factory: pytest.TempPathFactory) -> Gate:
    """Make a bundle whose model stops where it is told to."""
    return Gate(tmp_path_factory.mktemp("gate"))


@pytest.fixture(scope="module")
def gated(front: str, gate: Gate) -> Iterator[Server]:
    """Serve a model that stops where it is told to."""
    with Server(bundle=gate.bundle, front=front, environ=gate.environ) as server:
        yield server


def test_one_connection_serves_many_requests(crime: Server) -> None:
    """A connection is kept, after an answer and after a refusal whose body was read."""
    with crime.connect() as client:
        assert client("POST", "/api/predict", THEFT).status == 200
        kept = client.connection.sock
        assert client("POST", "/api/predict", {}).status == 422
        assert client("POST", "/api/predict", b"{").status == 400
        assert client("GET", "/no/such/route").status == 404
        assert client("POST", "/api/predict", THEFT).status == 200
        assert client.connection.sock is kept


def test_a_body_that_no_route_reads_does_not_become_a_request(crime: Server) -> None:
    """What follows a request whose body nobody wanted is answered as a request of its own."""
    body = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
    with crime.connect() as client:
        for method, path, status in (("POST", "/no/such/route", 404), ("PUT", "/api/predict", 405)):
            assert client(method, path, body).status == status
            alive = client("GET", "/api/health/live")
            assert (alive.status, alive.json) == (200, {"status": "alive"})


def test_a_body_that_is_too_large_is_answered(crime: Server) -> None:
    """Who writes more than the limit before he listens still hears why he is refused."""
    answer = crime.request("POST", "/api/predict", b"[" + b" " * 3_000_000)
    assert answer.status == 413
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_body_that_is_too_large_is_refused_in_the_form_of_its_protocol(crime: Server) -> None:
    """A client of another protocol who asks for leave to send too much, as curl does, can read why he is refused."""
    sent = posted(b"", "Content-Length: 2000000", "Expect: 100-continue").replace(b"/api/predict", b"/invocations")
    with Wire(crime) as wire:
        wire.send(sent)
        status, _, body = wire.answer()
        if status == 100:
            wire.send(b" " * 2_000_000)
            status, _, body = wire.answer()
        assert (status, json.loads(body)["error_code"]) == (413, "BAD_REQUEST")


def test_old_http(crime: Server) -> None:
    """A request of HTTP/1.0 is answered, and its connection closed."""
    with socket.create_connection((crime.host, crime.port), timeout=PATIENCE) as connection:
        connection.sendall(b"GET /api/health/live HTTP/1.0\r\n\r\n")
        with connection.makefile("rb") as reader:
            answer = reader.read()
    assert answer.split()[1] == b"200"
    assert answer.endswith(b'{"status":"alive"}')


def test_a_caller_who_has_said_all(crime: Server) -> None:
    """Who closes his side behind his request still has his answer."""
    with Wire(crime) as wire:
        wire.send(posted())
        wire.socket.shutdown(socket.SHUT_WR)
        status, _, body = wire.answer()
        assert (status, list(json.loads(body))) == (200, ["notCaughtProb", "caughtProb"])
        assert wire.is_closed()


def test_a_caller_who_waits_for_a_slow_model(gated: Server, gate: Gate) -> None:
    """Who closes his side while the model works still has his answer, and so does he who asks twice at once."""
    with Wire(gated) as wire:
        wire.send(posted(b'{"x0":42}') + posted(b'{"x0":1}'))
        wire.socket.shutdown(socket.SHUT_WR)
        gate.let_through()
        assert [wire.answer()[0], wire.answer()[0]] == [200, 200]
        assert wire.is_closed()


def test_others_are_answered_while_the_model_works(gated: Server, gate: Gate) -> None:
    """A prediction that takes long holds up no probe, no page of metrics, no document and no refusal."""
    with Wire(gated) as wire:
        wire.send(posted(b'{"x0":42}'))
        gate.wait_until_entered()
        for path in ("/api/health/live", "/api/health/ready", "/api/info", "/openapi.json", "/api/docs"):
            assert gated.request("GET", path).status == 200
        assert gated.request("GET", "/nowhere").status == 404
        assert scrape(gated)[IN_FLIGHT] == 2, "that one, and the one that asks"
        gate.let_through()
        assert wire.answer()[0] == 200


@pytest.mark.parametrize("body", [posted(), LIVE], ids=["prediction", "probe"])
def test_a_request_in_single_bytes(crime: Server, body: bytes) -> None:
    """However a request is cut into packets, it is one request."""
    with Wire(crime) as wire:
        wire.send(*(body[index : index + 1] for index in range(len(body))))
        assert wire.answer()[0] == 200


def test_requests_in_one_packet(crime: Server) -> None:
    """Requests that come together are answered one after the other, in their order."""
    with Wire(crime) as wire:
        wire.send(LIVE + posted() + posted(b"{") + posted(b"{}") + LIVE.replace(b"live", b"nowhere") + LIVE)
        assert [wire.answer()[0] for _ in range(6)] == [200, 200, 400, 422, 404, 200]


def test_a_caller_who_does_not_read(crime: Server) -> None:
    """Answers that nobody reads yet wait; all of them arrive, whole."""
    wanted = crime.request("GET", "/openapi.json").body
    with Wire(crime) as wire:
        wire.send(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 300)
        eventually(lambda: crime.request("GET", "/api/health/live").status == 200, "an answer for somebody else")
        assert {wire.answer()[2] for _ in range(300)} == {wanted}


def test_chunks(crime: Server) -> None:
    """A body in chunks, each in a packet of its own, is one body; the next request follows it."""
    with Wire(crime) as wire:
        head = posted(b"", "Transfer-Encoding: chunked")
        for _ in range(2):
            wire.send(head, *(b"1\r\n%c\r\n" % byte for byte in BODY), b"0\r\n\r\n")
            assert wire.answer()[0] == 200
        wire.send(head, b"%x\r\n%b\r\n" % (len(BODY), BODY), b"0\r\n", b"X-Trailer: 1\r\n\r\n")
        assert wire.answer()[0] == 200


def test_chunks_beyond_the_limit(crime: Server) -> None:
    """A body in chunks that grows beyond the limit is refused for its size."""
    with Wire(crime) as wire:
        chunk = b"%x\r\n%b\r\n" % (100_000, b" " * 100_000)
        wire.send(posted(b"", "Transfer-Encoding: chunked"), *[chunk] * 15, b"0\r\n\r\n")
        assert wire.problem(413) == "body-too-large"


def test_a_caller_who_asks_first(crime: Server) -> None:
    """Who waits for leave to send his body gets it."""
    with Wire(crime) as wire:
        wire.send(posted(b"", f"Content-Length: {len(BODY)}", "Expect: 100-continue"))
        assert wire.answer()[0] == 100
        wire.send(BODY)
        assert wire.answer()[0] == 200


def test_a_caller_who_announces_too_much(crime: Server) -> None:
    """Who asks for leave to send too much is refused for the size, before he sent it or after."""
    with Wire(crime) as wire:
        wire.send(posted(b"", "Content-Length: 2000000", "Expect: 100-continue"))
        status, headers, body = wire.answer()
        if status == 100:
            wire.send(b" " * 2_000_000)
            status, headers, body = wire.answer()
        assert (status, headers["content-type"]) == (413, "application/problem+json"), body


@pytest.mark.parametrize("sent", [posted(length=1_000), posted()[:40], b"GET /"], ids=["body", "header", "first line"])
def test_a_caller_who_goes_away(crime: Server, sent: bytes) -> None:
    """Who goes away in the middle of a request leaves nothing behind, and nobody else notices."""
    before = scrape(crime)[IN_FLIGHT]
    for _ in range(5):
        with Wire(crime) as wire:
            wire.send(sent)
    assert crime.request("POST", "/api/predict", THEFT).status == 200
    eventually(lambda: scrape(crime)[IN_FLIGHT] == before, "the end of what was begun")


def test_a_caller_who_goes_away_while_the_model_works(gated: Server, gate: Gate) -> None:
    """Who goes away before his answer is there costs nobody else theirs."""
    with Wire(gated) as wire:
        wire.send(posted(b'{"x0":42}'))
        gate.wait_until_entered()
    gate.let_through()
    assert gated.request("POST", "/api/predict", {"x0": 1}).status == 200
    eventually(lambda: scrape(gated)[IN_FLIGHT] == 1, "the end of what nobody waits for")


def with_header(name: str, value: str) -> bytes:
    """Write a probe's request with one more header."""
    return LIVE.replace(b"\r\n\r\n", f"\r\n{name}: {value}\r\n\r\n".encode())


SOME, MANY = ("\r\n".join(f"X-{index}: 1" for index in range(count)) for count in (90, 110))
REFUSED = {
    "a long target": (b"GET /" + b"x" * 5_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, "target-too-long"),
    "a long query": (LIVE.replace(b"live", b"live?" + b"x" * 5_000), 414, "target-too-long"),
    "a long header": (with_header("X-Long", "x" * 9_000), 431, "headers-too-large"),
    "many headers": (LIVE.replace(b"\r\n\r\n", f"\r\n{MANY}\r\n\r\n".encode()), 431, "headers-too-large"),
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, "malformed-request"),
    "a broken first line": (b"GET/api/health/live HTTP/1.1\r\n\r\n", 400, "malformed-request"),
    "no version": (b"GET /api/health/live\r\n\r\n", 400, "malformed-request"),
    "a version to come": (LIVE.replace(b"1.1", b"2.0"), 400, "malformed-request"),
    "a header without a name": (with_header("", "1"), 400, "malformed-request"),
    "a length that is no number": (posted(b"", "Content-Length: many"), 400, "malformed-request"),
    "two framings": (posted(b"0\r\n\r\n", "Content-Length: 5", "Transfer-Encoding: chunked"), 400, "malformed-request"),
}


@pytest.mark.parametrize(("sent", "status", "slug"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_before_it_is_a_request(crime: Server, sent: bytes, status: int, slug: str) -> None:
    """What is no HTTP, or more of it than we take, is answered by a problem, and the connection ends."""
    with Wire(crime) as wire:
        wire.send(sent)
        assert wire.problem(status) == slug
        assert wire.is_closed()


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(LIVE.replace(b"live", b"live?" + b"x" * 4_000), id="a long target"),
        pytest.param(with_header("X-Long", "x" * 8_000), id="a long header"),
        pytest.param(LIVE.replace(b"\r\n\r\n", f"\r\n{SOME}\r\n\r\n".encode()), id="many headers"),
    ],
)
def test_what_is_just_within_the_limits(crime: Server, sent: bytes) -> None:
    """Targets and headers of a usual size, and some more, are taken."""
    with Wire(crime) as wire:
        wire.send(sent)
        assert wire.answer()[0] == 200


def test_an_idle_connection_does_not_hold_up_the_stop(front: str) -> None:
    """A connection that is kept for nothing is closed by the stop."""
    with Server(front=front) as server, Wire(server) as wire:
        wire.send(LIVE)
        assert wire.answer()[0] == 200
        server.stop()
        assert wire.is_closed()
