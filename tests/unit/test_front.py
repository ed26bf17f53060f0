"""The front on an event loop: what runs where, which route it is, and how a body is read."""

import asyncio
import json
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from typing import Any

import pytest

from server.application import assemble, prepare
from server.bundle import Bundle
from server.errors import MalformedRequest
from server.exchange import READ_ON_FACTOR, Request, Response
from server.front import Front, Headers
from server.guard import Guard
from tests.models import settings, tree
from tests.unit.fronts import PATIENCE, Gate, fake_front, metrics_of

LIMIT = 1_000
Message = Mapping[str, Any]


def ask(front: Front, method: str, path: str, body: bytes = b"") -> Response | Future[Response]:
    """Ask a front as a connection does."""
    return front.answer(method, path, "", Headers({}), body, time.perf_counter())


def done(answer: Response | Future[Response]) -> Response:
    """Give an answer that was made at once, or wait for that of a thread."""
    return answer if isinstance(answer, Response) else answer.result(PATIENCE)


def thread_of(answer: Response | Future[Response]) -> str:
    """Give the kind of thread that answered."""
    name = done(answer).body.decode().partition("|")[0]
    return "loop" if name == threading.current_thread().name else name.partition("_")[0]


@pytest.mark.parametrize(
    ("body", "thread"),
    [
        pytest.param(b"", "loop", id="nothing"),
        pytest.param(b'{"a":1}', "loop", id="a row"),
        pytest.param(b"[" + b'{"a":1},' * 200 + b"]", "loop", id="a batch"),
        pytest.param(b"[" + b"{}," * 600 + b"]", "prediction", id="more rows than can be refused in time"),
        pytest.param(b'"' + b"a" * 60_000 + b'"', "prediction", id="a long text"),
    ],
)
def test_long_bodies_do_not_hold_up_the_loop(body: bytes, thread: str) -> None:
    """What is known to be short is answered at once, what may be long by a thread: by its bytes and its rows."""
    assert thread_of(ask(fake_front(), "POST", "/predict", body)) == thread


def test_lenient_batches_do_not_hold_up_the_loop() -> None:
    """Rows that are each told what is wrong with them are read by a thread, also if they are no objects."""
    for body in (b'[{"a":1},{"a":2}]', b"[1,2]"):
        prefer = Headers({b"prefer": b"handling=lenient"})
        answer = fake_front().answer("POST", "/predict", "", prefer, body, time.perf_counter())
        assert thread_of(answer) == "prediction"


@pytest.mark.parametrize(("body", "thread"), [(b"", "loop"), (b'{"a":1}', "prediction")], ids=["nothing", "a row"])
def test_what_takes_turns_does_not_hold_up_the_loop(body: bytes, thread: str) -> None:
    """An engine that takes one call at a time is never waited for on the loop, however fast it is."""
    assert thread_of(ask(fake_front(serial=True), "POST", "/predict", body)) == thread


def test_what_blocks_has_threads_of_its_own() -> None:
    """A route that blocks is answered neither on the loop nor by a thread for predictions."""
    assert thread_of(ask(fake_front(), "GET", "/slow")) == "other"


def test_the_real_routes_that_block() -> None:
    """Metrics and assets are read on threads, every other GET is answered on the loop, `/` as KServe has it."""
    made, bundle = settings(log_level="error"), Bundle("tree", tree(), digest="sha256:0")
    front = Front(assemble(made, prepare(made, bundle)))
    rules = [route.rule for some in front.application.routes.values() for route in some if "GET" in route.endpoints]
    answers = {rule: ask(front, "GET", rule) for rule in rules}
    assert {done(answer).status for answer in answers.values()} == {200, 404}
    on_threads = {rule for rule, answer in answers.items() if isinstance(answer, Future)}
    assert on_threads == {rule for rule in rules if rule == "/metrics" or "/assets/" in rule}
    assert isinstance(ask(front, "POST", "/api/predict", b'{"x0":1,"x1":2}'), Response), "the tree was compiled"


def test_others_are_answered_while_all_threads_predict() -> None:
    """However many predictions wait, probes are answered at once, and what blocks as soon as it can be."""
    gate = Gate()
    front = fake_front(serial=True, gate=gate.wait, threads=1)
    predictions = [ask(front, "POST", "/predict", b"{}") for _ in range(3)]
    assert gate.entered.wait(PATIENCE)
    assert thread_of(ask(front, "GET", "/live")) == "loop"
    assert thread_of(ask(front, "GET", "/slow")) == "other"
    assert not any(each.done() for each in predictions if isinstance(each, Future))
    gate.open()
    assert [thread_of(each) for each in predictions] == ["prediction"] * 3


def test_threads_are_started_when_they_are_needed() -> None:
    """No thread is there before it is needed, since none would survive the fork; then as many as the setting says."""

    def names() -> set[str]:
        return {thread.name for thread in threading.enumerate()} - before

    before = {thread.name for thread in threading.enumerate()}
    gate = Gate()
    front = fake_front(serial=True, gate=gate.wait, threads=3)
    ask(front, "GET", "/live")
    assert names() == set()
    answers = [ask(front, "POST", "/predict", b"{}")]
    assert len(names()) <= 1
    answers += [ask(front, "POST", "/predict", b"{}") for _ in range(4)]
    gate.open()
    assert {done(answer).status for answer in answers} == {200}
    assert names() <= {"prediction_0", "prediction_1", "prediction_2"}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/live", 200),
        ("/a/b/live", 200),
        ("/a/b", 200),
        ("/a/b/", 200),
        ("/", 200),
        ("/a/live", 404),
        ("/a/bc/live", 404),
        ("/a/b/a/b/live", 404),
        ("/a/b//live", 404),
        ("//live", 404),
        ("/live/", 404),
        ("", 404),
    ],
)
def test_root_path(path: str, status: int) -> None:
    """A route is found below the proxy's path and without it, and nowhere else."""
    assert done(ask(fake_front(root_path="/a/b"), "GET", path)).status == status


def test_a_method_that_the_route_does_not_have() -> None:
    """A method that the route lacks is refused with those that it has; OPTIONS tells them too."""
    refused, told = (done(ask(fake_front(), method, "/predict")) for method in ("GET", "OPTIONS"))
    assert (refused.status, dict(refused.headers)["Allow"]) == (405, "OPTIONS, POST")
    assert (told.status, dict(told.headers)["Allow"]) == (204, "OPTIONS, POST")


def test_what_never_became_a_request() -> None:
    """A refusal of the connection is a problem document with the headers of every answer."""
    response = fake_front().refuse(MalformedRequest("It is broken."))
    document = json.loads(response.body)
    assert (response.status, document["detail"]) == (400, "It is broken.")
    assert dict(response.headers)["X-Request-ID"] == document["request_id"]


class Broken(Guard):
    """A guard with a defect."""

    def admit(self, request: Request, scope: str) -> None:  # noqa: ARG002
        """Raise what is none of ours."""
        raise ZeroDivisionError("a secret")


@pytest.mark.parametrize(("method", "path"), [("GET", "/slow"), ("POST", "/predict")])
def test_defects_before_admission(method: str, path: str) -> None:
    """Whatever is raised before a request has its place, its caller has a problem with an id, and it is counted."""
    front = fake_front(guard=Broken(["info"]))
    response = done(ask(front, method, path, b"{}"))
    document = json.loads(response.body)
    assert (response.status, document["type"]) == (500, "docs/errors.md#internal-error")
    assert dict(response.headers)["X-Request-ID"] == document["request_id"] != ""
    assert b"secret" not in response.body
    assert 'brinery_rejected_total{reason="internal-error"} 1.0' in metrics_of(front)
    assert f'method="{method}",route="{path}",status="500"' in metrics_of(front)


def test_headers() -> None:
    """Headers are found whatever their letters' case; several of one name are joined."""
    headers = Headers.of([(b"accept", b"a/b"), (b"x-id", b"1"), (b"accept", b"c/d;q=\xe9")])
    assert headers.get("Accept", "") == "a/b, c/d;q=é"
    assert headers.get("X-ID", "") == "1"
    assert headers.get("Prefer", "none") == "none"


class Caller:
    """What an ASGI server does for a caller: gives parts of a body, takes the messages of an answer."""

    def __init__(self, messages: Iterable[Message]) -> None:
        self._messages: Iterator[Message] = iter(messages)
        self.taken = 0
        self.sent: list[Message] = []

    async def receive(self) -> Message:
        self.taken += 1
        return next(self._messages)

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    def ask(self, front: Front, method: str, path: str, kind: str = "http") -> None:
        """Send a request."""
        scope = {"type": kind, "method": method, "path": path, "query_string": b"", "headers": []}
        asyncio.run(front(scope, self.receive, self.send))

    @property
    def status(self) -> int:
        status: int = self.sent[0]["status"]
        return status

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])

    @property
    def body(self) -> bytes:
        body: bytes = self.sent[1]["body"]
        return body


def parts(*bodies: bytes, end: bool = True) -> list[Message]:
    """Give the parts of a body; without an end, the caller goes away behind them."""
    messages = [{"type": "http.request", "body": body, "more_body": True} for body in bodies]
    return [*messages, {"type": "http.request"} if end else {"type": "http.disconnect"}]


@pytest.mark.parametrize("serial", [False, True], ids=["at once", "by a thread"])
def test_a_body_in_parts(serial: bool) -> None:
    """The parts of a body are put together, whoever answers."""
    caller = Caller(parts(b'{"a"', b"", b":1}"))
    caller.ask(fake_front(serial=serial), "POST", "/predict")
    assert (caller.status, caller.body.partition(b"|")[2]) == (200, b'{"a":1}')
    assert caller.headers[b"content-length"] == str(len(caller.body)).encode()
    assert [message["type"] for message in caller.sent] == ["http.response.start", "http.response.body"]


@pytest.mark.parametrize("before", [(), (b'{"a"',)], ids=["nothing", "a part"])
def test_a_caller_who_goes_away_within_a_body(before: tuple[bytes, ...]) -> None:
    """A body that breaks off is the caller's 400, and no prediction is made."""

    def fail() -> None:
        raise AssertionError

    caller = Caller(parts(*before, end=False))
    caller.ask(fake_front(serial=True, gate=fail), "POST", "/predict")
    assert (caller.status, json.loads(caller.body)["type"]) == (400, "docs/errors.md#incomplete-body")


@pytest.mark.parametrize(
    ("size", "status"), [(LIMIT, 200), (LIMIT + 1, 413), (LIMIT * READ_ON_FACTOR, 413)], ids=["full", "over", "last"]
)
def test_a_body_that_is_too_large_is_read_on(size: int, status: int) -> None:
    """A caller who writes all before he reads can write some more than the limit, and hears of it."""
    messages = parts(*[b"1" * 100] * (size // 100), b"1" * (size % 100))
    caller = Caller(messages)
    caller.ask(fake_front(max_body_bytes=LIMIT), "POST", "/predict")
    assert caller.status == status
    assert caller.taken == len(messages)


def test_a_body_without_an_end_is_not_read_for_ever() -> None:
    """Beyond a multiple of the limit nobody reads on."""
    caller = Caller({"type": "http.request", "body": b"1" * 100, "more_body": True} for _ in range(1_000_000))
    caller.ask(fake_front(max_body_bytes=LIMIT), "POST", "/predict")
    assert caller.status == 413
    assert caller.taken == LIMIT * READ_ON_FACTOR / 100 + 1


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_methods_without_a_body(method: str) -> None:
    """The body of a method that has none is not waited for."""
    caller = Caller([])
    caller.ask(fake_front(), method, "/live")
    assert caller.status in (200, 204)
    assert caller.taken == 0


def test_head() -> None:
    """HEAD is GET's answer without its body, whose length it tells."""
    head, get = Caller([]), Caller([])
    head.ask(fake_front(), "HEAD", "/live")
    get.ask(fake_front(), "GET", "/live")
    assert head.body == b""
    assert head.headers[b"content-length"] == get.headers[b"content-length"] == str(len(get.body)).encode()


def test_an_answer_without_content() -> None:
    """204 has neither a type nor a length."""
    caller = Caller([])
    caller.ask(fake_front(), "OPTIONS", "/live")
    assert not caller.headers.keys() & {b"content-type", b"content-length"}


@pytest.mark.parametrize("kind", ["lifespan", "websocket"])
def test_other_protocols(kind: str) -> None:
    """What is no HTTP is left to the server, without a word."""
    caller = Caller([])
    caller.ask(fake_front(), "GET", "/live", kind)
    assert caller.sent == []
