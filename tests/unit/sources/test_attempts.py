"""How often, and when, what failed is tried again: by a clock that only pauses move."""

import pytest

from server.errors import FetchError
from server.sources.attempts import FIRST_PAUSE, LONGEST_PAUSE, attempted


class Store:
    """Fails as often as it is told, and takes its time; keeps the pauses between."""

    def __init__(self, failures: int, *, permanent: bool = False, takes: float = 0.0) -> None:
        self.failures, self.permanent, self.takes = failures, permanent, takes
        self.now, self.calls, self.pauses = 100.0, 0, list[float]()

    def fetch(self) -> str:
        self.calls += 1
        self.now += self.takes
        if self.calls <= self.failures:
            raise FetchError(f"Failure {self.calls}.", permanent=self.permanent)
        return "content"

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def attempted(self, attempts: int, seconds: float = 1_000.0, chance: float = 1.0) -> str:
        return attempted(self.fetch, attempts, seconds, clock=lambda: self.now, sleep=self.sleep, chance=lambda: chance)


def test_at_once() -> None:
    """What succeeds is not tried again."""
    store = Store(0)
    assert store.attempted(4) == "content"
    assert (store.calls, store.pauses) == (1, [])


def test_again() -> None:
    """What fails at first is tried again, after pauses that double up to a longest one."""
    store = Store(7)
    assert store.attempted(8) == "content"
    assert store.pauses == [0.5, 1.0, 2.0, 4.0, 8.0, LONGEST_PAUSE, LONGEST_PAUSE]


@pytest.mark.parametrize("chance", [0.0, 0.3, 1.0])
def test_chance(chance: float) -> None:
    """Chance shortens a pause by up to a half, so that instances which failed together do not come again together."""
    store = Store(1)
    store.attempted(2, chance=chance)
    assert store.pauses == [FIRST_PAUSE * (1 + chance) / 2]


def test_too_often() -> None:
    """After the last attempt its own reason is told, and how often it was tried."""
    store = Store(9)
    with pytest.raises(FetchError, match=r"^Failure 3\. It was tried 3 times; see BRINERY_FETCH_ATTEMPTS"):
        store.attempted(3)
    assert store.calls == 3


def test_one_attempt() -> None:
    """Where one attempt is all there is, its reason is all that is told."""
    with pytest.raises(FetchError, match=r"^Failure 1\.$"):
        Store(9).attempted(1)


def test_permanent() -> None:
    """What will not change is not tried again."""
    store = Store(9, permanent=True)
    with pytest.raises(FetchError, match=r"^Failure 1\.$"):
        store.attempted(4)
    assert (store.calls, store.pauses) == (1, [])


def test_time_is_over() -> None:
    """No attempt begins after the time is over, and none is waited for that would."""
    store = Store(9, takes=4.0)
    with pytest.raises(FetchError, match="tried 2 times"):
        store.attempted(9, seconds=9.0)
    assert store.pauses == [0.5]
    store = Store(9, takes=4.0)
    with pytest.raises(FetchError, match="tried once"):
        store.attempted(9, seconds=4.0)
