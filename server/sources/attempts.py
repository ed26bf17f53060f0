"""Tries again what may succeed later: with pauses that grow, and differ from one instance to the next."""

import random
import time
from collections.abc import Callable
from typing import Final, TypeVar

from server.errors import FetchError

FIRST_PAUSE: Final = 0.5  # seconds, before chance
LONGEST_PAUSE: Final = 15.0

T = TypeVar("T")


def attempted(
    attempt: Callable[[], T],
    attempts: int,
    seconds: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
    chance: Callable[[], float] = random.random,
) -> T:
    """Call `attempt` up to `attempts` times within `seconds`, until it returns or raises a permanent `FetchError`.

    Each pause lasts from half to the whole of twice the one before. Raises the last `FetchError`, and says how often it
    was tried.
    """
    end = clock() + seconds
    for number in range(1, attempts + 1):
        try:
            return attempt()
        except FetchError as error:
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (number - 1)) * (1 + chance()) / 2
            if error.permanent or (number == attempts == 1):
                raise
            if number == attempts or clock() + pause >= end:
                msg = f"{error} It was tried {number} times; see BRINERY_FETCH_ATTEMPTS and BRINERY_FETCH_TIMEOUT."
                raise FetchError(msg.replace("tried 1 times", "tried once"), permanent=False) from None
        sleep(pause)
    raise AssertionError  # there is one attempt at least
