"""When too many workers crashed in too little time: then the server is not ready, and starts them more slowly."""

import time
from collections import deque
from typing import Final

WINDOW: Final = 60.0  # seconds
PAUSE: Final = 1.0  # seconds between two starts of a worker while the server is unstable


class Crashes:
    """The crashes of late; the server is unstable after `limit` of them within `WINDOW`, until they are fewer again."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._times: deque[float] = deque()
        self._last_start = float("-inf")

    def note(self) -> None:
        """Note that a worker crashed just now."""
        self._times.append(time.monotonic())

    @property
    def unstable(self) -> bool:
        """Tell whether there were too many of late."""
        while self._times and self._times[0] <= time.monotonic() - WINDOW:
            self._times.popleft()
        return len(self._times) >= self._limit

    def may_start(self) -> bool:
        """Tell whether a worker may be started now, which is noted."""
        now = time.monotonic()
        if self.unstable and now < self._last_start + PAUSE:
            return False
        self._last_start = now
        return True
