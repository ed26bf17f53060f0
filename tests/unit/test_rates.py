"""Rates, and who has what left of them."""

import fcntl
import os
import signal
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.rates import ATTEMPTS, BUCKETS, CALLERS, SECOND, Limiter, Rate, read_rate


class Clock:
    """A clock that is set by hand, in nanoseconds."""

    def __init__(self) -> None:
        self.now = 1_000 * SECOND

    def __call__(self) -> int:
        return self.now


@pytest.mark.parametrize("text", ["1/s", "6000/m", "5/h", "1000/d"])
def test_a_rate_is_read_and_written(text: str) -> None:
    """A rate is written as it was read."""
    assert str(read_rate(text)) == text


@pytest.mark.parametrize("text", ["", "0/s", "-1/s", "1", "1/w", "1 / s", "1.5/s", "٣/s", "12345678/s"])
def test_no_rate(text: str) -> None:
    """Anything else is none."""
    with pytest.raises(ValueError, match=r"^$"):
        read_rate(text)


@given(
    st.builds(Rate, st.integers(1, 50), st.sampled_from([1, 60, 3_600])),
    st.lists(st.integers(0, 20), min_size=1, max_size=200),
)
def test_no_more_than_the_rate(rate: Rate, pauses: list[int]) -> None:
    """After `count` at once, only as many are admitted as the time since then pays for; what is told is what holds."""
    clock = Clock()
    limiter, admitted = Limiter(clock), []
    for pause in pauses:
        clock.now += pause * rate.seconds * SECOND // (rate.count * 10)
        before = limiter.take("caller", rate)
        if before.allowed:
            admitted.append(clock.now)
            assert before.wait == 0
        else:
            assert before.remaining == 0
            assert 0 < before.wait <= rate.seconds / rate.count + 1e-6
        assert 0 <= before.remaining < rate.count
        assert 0 <= before.reset <= rate.seconds + 1e-6
    for first in admitted:
        within = [moment for moment in admitted if first <= moment < first + rate.seconds * SECOND]
        assert len(within) < 2 * rate.count + 1
    for earlier, later in zip(admitted, admitted[rate.count :], strict=False):
        assert later > earlier


def test_what_is_left_is_told() -> None:
    """Each request takes one away, time gives it back, and a refused one costs nothing."""
    clock = Clock()
    limiter, rate = Limiter(clock), Rate(3, 60)
    assert [limiter.take("a", rate).remaining for _ in range(3)] == [2, 1, 0]
    refused = limiter.take("a", rate)
    assert (refused.allowed, refused.wait, refused.reset) == (False, 20.0, 60.0)
    clock.now += 20 * SECOND
    assert limiter.take("a", rate).allowed
    clock.now += 60 * SECOND
    assert limiter.take("a", rate).remaining == 2


def test_callers_do_not_share() -> None:
    """One caller's requests cost the others nothing."""
    limiter, rate = Limiter(Clock()), Rate(1, 3_600)
    assert all(limiter.take(f"caller {number}", rate).allowed for number in range(2_000))
    assert not any(limiter.take(f"caller {number}", rate).allowed for number in range(2_000))


def test_more_callers_than_places() -> None:
    """The table never grows; the newcomer takes the place of whoever has most left."""
    limiter = Limiter(Clock())
    for number in range(2 * BUCKETS * CALLERS // 100):
        limiter.take(f"caller {number}", Rate(1, 60))
    assert limiter.take("one more", Rate(1, 60)).allowed


def ask(limiter: Limiter, rate: Rate, times: int) -> int:
    """Ask as often, and tell how often it was allowed."""
    return sum(limiter.take("caller", rate).allowed for _ in range(times))


def in_child(limiter: Limiter, rate: Rate, times: int) -> tuple[int, int]:
    """Ask in a process of its own; give its id, and the end of a pipe on which it tells how often it was allowed."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writing, str(ask(limiter, rate, times)).encode())
        os._exit(0)
    os.close(writing)
    return pid, reading


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # the other threads of a test do nothing
def test_processes_share_one_rate() -> None:
    """Workers together admit exactly what the rate allows."""
    limiter, rate = Limiter(), Rate(500, 86_400)
    children = [in_child(limiter, rate, 400) for _ in range(4)]
    told = []
    for pid, reading in children:
        told.append(int(os.read(reading, 64)))
        os.close(reading)
        assert os.waitpid(pid, 0)[1] == 0
    assert sum(told) == 500


def test_threads_share_one_rate() -> None:
    """So do the threads of one worker."""
    limiter, rate, told = Limiter(), Rate(500, 86_400), []
    threads = [threading.Thread(target=lambda: told.append(ask(limiter, rate, 300))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(told) == 500


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_stopped_worker_holds_nobody_up() -> None:
    """A lock whose holder does nothing is passed over, and one whose holder was killed is free."""
    limiter, rate = Limiter(), Rate(10, 86_400)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        fcntl.lockf(limiter._file, fcntl.LOCK_EX, BUCKETS, 0)
        os.write(writing, b"x")
        signal.pause()
    os.read(reading, 1)
    assert limiter.take("caller", rate).remaining == 9
    assert ATTEMPTS < 1_000
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert limiter._lock(0)
    assert limiter.take("caller", rate).remaining == 8
    os.close(reading)
    os.close(writing)
