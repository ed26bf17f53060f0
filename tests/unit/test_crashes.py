"""When too many workers crashed."""

import time

import pytest

from server.crashes import PAUSE, WINDOW, Crashes


class Clock:
    """Stands until it is moved."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Give a clock."""
    return Clock(monkeypatch)


def test_some_crashes_are_borne(clock: Clock) -> None:
    """Fewer crashes than the limit within the window change nothing, and workers start at once."""
    crashes = Crashes(3)
    for _ in range(10):
        crashes.note()
        crashes.note()
        assert not crashes.unstable
        assert crashes.may_start()
        assert crashes.may_start()
        clock.now += WINDOW


def test_too_many_make_unstable_for_a_while(clock: Clock) -> None:
    """From the limit on it is unstable, until the window has left enough of them behind."""
    crashes = Crashes(3)
    for _ in range(3):
        crashes.note()
        clock.now += 1
    assert crashes.unstable
    clock.now += WINDOW - 3.5
    assert crashes.unstable
    clock.now += 1
    assert not crashes.unstable


def test_starts_are_bounded_while_unstable(clock: Clock) -> None:
    """While it is unstable one worker starts in each pause, and no more."""
    crashes = Crashes(1)
    crashes.note()
    starts = 0
    for _ in range(100):
        starts += crashes.may_start()
        clock.now += PAUSE / 10
    assert starts == 10
