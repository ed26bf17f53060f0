"""Threads and the queue in front of them: who waits, who is dropped, and who answers."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from server.exchange import Response
from server.front import Front, Headers
from server.pool import Work
from tests.unit.fronts import PATIENCE, Gate, fake_front, metrics_of


class Counted:
    """A gate in front of every prediction, which counts those who come to it."""

    def __init__(self, threads: int = 1, **given: Any) -> None:
        self.gate, self.calls = Gate(), 0
        self._lock, self._come = threading.Lock(), threading.Semaphore(0)
        self.front = fake_front(serial=True, gate=self._wait, threads=threads, **given)

    def _wait(self) -> None:
        with self._lock:
            self.calls += 1
        self._come.release()
        self.gate.wait()

    def ask(self, body: bytes = b"{}", **headers: str) -> Response | Work:
        """Ask for a prediction."""
        named = {name.lower().replace("_", "-").encode(): value.encode() for name, value in headers.items()}
        return self.front.answer("POST", "/predict", "", Headers(named), body, time.perf_counter())

    def work(self, body: bytes = b"{}", **headers: str) -> Work:
        """Ask for a prediction that must be admitted."""
        answer = self.ask(body, **headers)
        assert isinstance(answer, Work)
        return answer

    def wait_for_calls(self, count: int = 1) -> None:
        """Wait until so many more are in front of the gate."""
        for _ in range(count):
            assert self._come.acquire(timeout=PATIENCE)


def until(condition: Callable[[], bool]) -> None:
    """Wait until something holds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def metric(front: Front, name: str) -> float:
    """Give a metric without labels."""
    page = metrics_of(front)
    return next(float(line.split()[1]) for line in page.splitlines() if line.startswith(f"{name} "))


@pytest.mark.parametrize(("threads", "waiting"), [(1, 0), (1, 3), (2, 2), (4, 1)])
def test_exactly_as_many_wait_as_may(threads: int, waiting: int) -> None:
    """Beside those that are worked on exactly so many wait; others are refused at once, and told when to come back."""
    counted = Counted(threads, max_queue_requests=waiting)
    admitted = [counted.work() for _ in range(threads + waiting)]
    refused = [counted.ask() for _ in range(5)]
    for answer in refused:
        assert isinstance(answer, Response)
        assert (answer.status, dict(answer.headers)["Retry-After"]) == (503, "1")
        assert b"docs/errors.md#overloaded" in answer.body
    assert metric(counted.front, "brinery_queue_requests") == waiting
    counted.gate.open()
    assert [work.result(PATIENCE).status for work in admitted] == [200] * len(admitted)
    assert counted.calls == threads + waiting
    assert metric(counted.front, "brinery_queue_requests") == 0
    assert counted.work().result(PATIENCE).status == 200, "there is room again"


def test_rows_that_wait_are_bounded() -> None:
    """Rows that wait are bounded too; a batch that would wait alone is admitted however large it is."""
    counted = Counted(max_queue_rows=10)
    counted.work()
    counted.wait_for_calls()
    large = counted.work(b"[" + b"{}," * 50 + b"]")
    assert isinstance(counted.ask(), Response)
    large.cancel()
    some = [counted.work(b"[{},{},{},{},{}]"), counted.work(b"[{},{},{},{}]"), counted.work()]
    assert isinstance(counted.ask(), Response)
    counted.gate.open()
    assert {work.result(PATIENCE).status for work in some} == {200}


def test_braces_in_texts_are_no_rows() -> None:
    """What a caller writes into a text does not make his request seem long, nor hopeless."""
    counted = Counted(max_queue_rows=10)
    counted.work()
    counted.wait_for_calls()
    works = [counted.work(b'{"t":"' + b"{" * 100 + b'"}') for _ in range(10)]
    counted.gate.open()
    assert {work.result(PATIENCE).status for work in works} == {200}


def test_a_deadline_that_passes_in_the_queue() -> None:
    """Who waits too long is answered at his deadline, and never worked on; his place is free at once."""
    counted = Counted(max_queue_requests=1)
    first = counted.work()
    counted.wait_for_calls()
    late = counted.work(X_Request_Timeout="0.2")
    assert 0 < late.remaining() <= 0.2
    late.expire()
    response = late.result(0)
    assert (response.status, b"longer than its X-Request-Timeout allows" in response.body) == (504, True)
    assert metric(counted.front, "brinery_queue_requests") == 0
    following = counted.work()
    counted.gate.open()
    assert first.result(PATIENCE).status == following.result(PATIENCE).status == 200
    assert counted.calls == 2


def test_a_deadline_that_passed_before_a_thread_was_there() -> None:
    """A thread does not begin what comes too late already, even if nobody has told the caller yet."""
    counted = Counted()
    assert counted.work(X_Request_Timeout="0.000000001").result(PATIENCE).status == 504
    assert counted.calls == 0


def test_a_deadline_that_passes_in_the_model() -> None:
    """Who is worked on too long is answered at his deadline; what the thread gives then is dropped and not counted."""
    counted = Counted()
    work = counted.work()
    counted.wait_for_calls()
    work.expire()
    work.expire()
    assert work.result(0).status == 504
    counted.gate.open()
    assert counted.work().result(PATIENCE).status == 200
    page = metrics_of(counted.front)
    assert 'brinery_http_requests_total{method="POST",route="/predict",status="504"} 1.0' in page
    assert 'brinery_http_requests_total{method="POST",route="/predict",status="200"} 1.0' in page
    assert 'brinery_rejected_total{reason="deadline-exceeded"} 1.0' in page


def test_overdue() -> None:
    """The front tells how many are worked on beyond the deadline of the settings; a caller's own does not count."""
    patient = Counted()
    patient.work(X_Request_Timeout="0.001").expire()
    assert patient.front.overdue() == 0
    stuck = Counted(deadline=0.5)
    stuck.work()
    stuck.wait_for_calls()
    until(lambda: stuck.front.overdue() == 1)
    assert stuck.front.overdue(grace=60) == 0
    for each in (patient, stuck):
        each.gate.open()
    until(lambda: stuck.front.overdue() == 0)


def test_overdue_is_who_is_worked_on_for_long() -> None:
    """Who waited for most of his time is not overdue as soon as a thread begins."""
    counted = Counted(deadline=1.0)
    counted.work()
    waiting = [counted.work() for _ in range(8)]
    counted.wait_for_calls()
    until(lambda: counted.front.overdue(grace=0) > 0)
    counted.gate.open()
    assert {work.result(PATIENCE).status for work in waiting} <= {200, 504}
    assert counted.front.overdue(grace=0) == 0


def test_abandon() -> None:
    """Everybody without an answer is sent elsewhere at once, whether a thread works for him or not."""
    counted = Counted()
    works = [counted.work() for _ in range(8)]
    counted.wait_for_calls()
    counted.front.abandon()
    assert {work.result(0).status for work in works} == {503}
    counted.gate.open()
    assert counted.work().result(PATIENCE).status == 200


def test_who_goes_away_gives_his_place_free() -> None:
    """What waits can be forgotten, what is worked on cannot, and nothing twice."""
    counted = Counted(max_queue_requests=1)
    first = counted.work()
    counted.wait_for_calls()
    gone = counted.work()
    assert gone.cancel()
    assert gone.cancelled()
    assert not gone.cancel()
    assert not first.cancel()
    gone.expire()
    counted.work()
    assert not counted.front.close()
    counted.gate.open()
    assert first.result(PATIENCE).status == 200
    assert counted.front.close(PATIENCE), "nobody works any more"
    assert counted.calls == 1


def test_a_header_that_is_no_time() -> None:
    """A time that cannot be read is refused at once, and by a sentence that names the header."""
    answer = Counted().ask(X_Request_Timeout="soon")
    assert isinstance(answer, Response)
    assert answer.status == 400
    assert b"X-Request-Timeout" in answer.body


def test_a_model_that_ends_its_thread() -> None:
    """Whatever an estimator raises, its caller has an answer, and the thread goes on."""

    def end() -> None:
        raise SystemExit

    front = fake_front(serial=True, gate=end, threads=1)
    for _ in range(2):
        answer = front.answer("POST", "/predict", "", Headers({}), b"{}", time.perf_counter())
        assert isinstance(answer, Work)
        assert answer.result(PATIENCE).status == 500


def test_hopeless_work_is_refused_by_the_engines_cost() -> None:
    """A batch that the engine cannot evaluate in the time that is left is not begun."""
    counted = Counted(deadline=0.001, max_rows=10_000)
    answer = counted.ask(b"[" + b'{"a":1},' * 9_999 + b"]")
    assert isinstance(answer, Response)
    assert (answer.status, b"would need about 0.01 seconds" in answer.body) == (503, True)
    assert counted.calls == 0


def test_no_thread_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system has no thread left a request is refused, or waits for those that there are; then all is well."""
    counted = Counted(threads=2)

    def full(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", full)
        refused = counted.ask()
        assert isinstance(refused, Response)
        assert refused.status == 503
    first = counted.work()
    counted.wait_for_calls()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", full)
        second = counted.work()
    counted.gate.open()
    assert [work.result(PATIENCE).status for work in (first, second)] == [200, 200]
    assert counted.front.close(PATIENCE)
