"""Readiness, deadlines, and how many may wait."""

import os
import time
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.admission import CLEARLY, Deadline, Queue, Readiness, shortened
from server.errors import DeadlineExceeded, Overloaded, RequestError


def test_readiness() -> None:
    """The server is ready until it is asked to drain."""
    readiness = Readiness()
    assert not readiness.draining
    readiness.drain()
    assert readiness.draining


def test_readiness_is_shared_by_processes() -> None:
    """A process that was forked sees its parent drain, and the other way round."""
    readiness = Readiness()
    child = os.fork()
    if not child:
        readiness.drain()
        os._exit(0)
    os.waitpid(child, 0)
    assert readiness.draining


def test_deadline() -> None:
    """A deadline has a moment, before which nothing happens."""
    deadline = Deadline(60)
    assert 59 < deadline.remaining() <= 60
    deadline.check()


def test_passed_deadline() -> None:
    """A deadline that has passed leaves no time and raises a sentence that tells its seconds."""
    deadline = Deadline(0)
    assert deadline.remaining() == 0
    with pytest.raises(DeadlineExceeded, match="longer than its 0 seconds"):
        deadline.check()


def test_passed_deadline_of_the_callers() -> None:
    """Of a deadline that its caller shortened the sentence tells the header and not the value."""
    with pytest.raises(DeadlineExceeded, match=r"^The request took longer than its X-Request-Timeout allows; [^0-9]*$"):
        Deadline(0, by_caller=True).check()


def test_deadline_since() -> None:
    """A deadline may have begun before it was made."""
    assert Deadline(60, since=time.perf_counter() - 50).remaining() <= 10


@pytest.mark.parametrize(("text", "seconds"), [("", 30), ("2.5", 2.5), ("0.001", 0.001), ("30", 30), ("999999999", 30)])
def test_a_caller_shortens_his_deadline(text: str, seconds: float) -> None:
    """A number of seconds shortens the deadline and never makes it longer; no word leaves it as it is."""
    assert shortened(30, text) == seconds


@given(st.text(st.characters(max_codepoint=255), min_size=1, max_size=12))
def test_only_plain_decimals_are_seconds(text: str) -> None:
    """Whatever is no plain decimal greater than zero is refused; the sentence names the header and not the value."""
    whole, dot, part = text.partition(".")
    plain = all(each.isascii() and each.isdecimal() and len(each) < 10 for each in ([whole, part] if dot else [whole]))
    if plain and float(text):
        assert 0 < shortened(30, text) <= 30
        return
    with pytest.raises(RequestError, match="header X-Request-Timeout must be a number of seconds"):
        shortened(30, text)


COST = st.tuples(st.integers(1, 50), st.floats(0, 10))


@given(st.integers(0, 5), st.integers(1, 60), st.integers(1, 4), st.lists(st.one_of(COST, st.just(None)), max_size=40))
def test_the_queue_is_bounded(requests: int, rows: int, lanes: int, happens: list[tuple[int, float] | None]) -> None:
    """Whoever comes is admitted if and only if there is room; what is counted is what waits."""
    queue, waiting = Queue(requests, rows, lanes), deque[tuple[int, float]]()
    for cost in happens:
        if cost is None:
            if waiting:
                queue.leave(*waiting.popleft())
        else:
            fits = not waiting or sum(each for each, _ in waiting) + cost[0] <= rows
            if len(waiting) < requests and fits:
                queue.check_room(cost[0])
                queue.join(*cost)
                waiting.append(cost)
            else:
                with pytest.raises(Overloaded) as refused:
                    queue.check_room(cost[0])
                assert refused.value.retry_after >= max(1, sum(each for _, each in waiting) / lanes - 1e-6)
        assert (queue.requests, queue.rows) == (len(waiting), sum(each for each, _ in waiting))


def test_what_cannot_end_in_time_is_refused() -> None:
    """Work that takes clearly longer than the time that is left, with what waits before it, is refused."""
    queue = Queue(10, 100, 2)
    queue.check_time(10, 10)
    queue.join(1, 8.0)
    queue.check_time(CLEARLY * 10 - 4, 10)
    with pytest.raises(Overloaded, match=r"would need about 15 seconds, more than the 9\.9") as refused:
        queue.check_time(11, 9.9)
    assert refused.value.retry_after == 4, "what waits, on two lanes"
    queue.check_time(11, 0)  # the deadline has passed: it is that which is told
    queue.leave(1, 8.0)
    assert queue.retry_after == 1
