"""Whether and how long we work on a request: readiness, shared by all workers, deadlines, and how many may wait."""

import math
import mmap
import re
import time
from typing import Final

from server.errors import DeadlineExceeded, NotReady, Overloaded, RequestError

TIMEOUT_HEADER: Final = "X-Request-Timeout"
TIMEOUT: Final = r"[0-9]{1,9}(\.[0-9]{1,9})?"
CLEARLY: Final = 1.5  # times the time that is left: what is estimated beyond that has no hope, whatever was measured


class Readiness:
    """Whether the server wants new requests; made before the fork, so that all workers see one flag."""

    def __init__(self) -> None:
        self._flags = mmap.mmap(-1, 2)  # anonymous memory that children share; zero: neither draining nor unstable

    @property
    def ready(self) -> bool:
        """Tell whether the server takes requests."""
        return not (self.draining or self.unstable)

    @property
    def draining(self) -> bool:
        """Tell whether the server is about to stop."""
        return self._flags[0] != 0

    def check(self) -> None:
        """Raise `NotReady`, which says why, if the server takes no requests."""
        if self.draining:
            msg = "The server is about to stop; send requests to another one."
            raise NotReady(msg)
        if self.unstable:
            msg = "The server's workers crash again and again, its log says how; send requests to another one."
            raise NotReady(msg)

    def drain(self) -> None:
        """Ask load balancers, through the readiness route of every worker, to send no new requests."""
        self._flags[0] = 1

    @property
    def unstable(self) -> bool:
        """Tell whether workers crash again and again."""
        return self._flags[1] != 0

    @unstable.setter
    def unstable(self, unstable: bool) -> None:
        self._flags[1] = unstable


class Deadline:
    """The moment until which an answer is of use: some seconds after `since`, by `time.perf_counter`; or after now.

    `by_caller` tells whose seconds they are: a caller's own are written nowhere.
    """

    __slots__ = ("_at", "_by_caller", "_seconds")

    def __init__(self, seconds: float, *, since: float | None = None, by_caller: bool = False) -> None:
        self._seconds, self._by_caller = seconds, by_caller
        self._at = (time.perf_counter() if since is None else since) + seconds

    def remaining(self) -> float:
        """Give the seconds that are left, 0 if none are."""
        return max(0.0, self._at - time.perf_counter())

    def check(self) -> None:
        """Raise `DeadlineExceeded` if the moment has passed."""
        if time.perf_counter() >= self._at:
            raise self.exceeded()

    def exceeded(self) -> DeadlineExceeded:
        """Make the error for a request whose moment has passed."""
        allowed = f"its {TIMEOUT_HEADER} allows" if self._by_caller else f"its {self._seconds:g} seconds"
        msg = f"The request took longer than {allowed}; send fewer rows, or try later."
        return DeadlineExceeded(msg, by_caller=self._by_caller)


def shortened(seconds: float, given: str) -> float:
    """Give a request's own time: what its caller gave in a header, and never more than `seconds`.

    Raises `RequestError` for a text that is no number of seconds, or none of them.
    """
    if not given:
        return seconds
    if re.fullmatch(TIMEOUT, given) is None or not float(given):
        msg = (
            f"The header {TIMEOUT_HEADER} must be a number of seconds greater than zero, such as 2.5; "
            "send it so, or leave it out."
        )
        raise RequestError(msg)
    return min(seconds, float(given))


class Queue:
    """Counts what waits for a thread, and says what may still join; not safe for several threads by itself.

    `lanes` is how many of those that wait can be worked on at the same time.
    """

    def __init__(self, max_requests: int, max_rows: int, lanes: int) -> None:
        self._max_requests, self._max_rows, self._lanes = max_requests, max_rows, lanes
        self.requests, self.rows = 0, 0
        self._seconds = 0.0

    def check_time(self, seconds: float, remaining: float) -> None:
        """Raise `Overloaded` if work of so many seconds, behind what waits, cannot be done in the time that remains."""
        needed = self._seconds / self._lanes + seconds
        if 0 < CLEARLY * remaining < needed:  # where no time is left it is the deadline that speaks
            msg = (
                f"The request would need about {needed:.3g} seconds, more than the {remaining:.3g} that it has left; "
                "send fewer rows, or try later."
            )
            raise Overloaded(msg, self.retry_after)

    def check_room(self, rows: int) -> None:
        """Raise `Overloaded` if so many more rows may not wait; whoever would wait alone may have any number."""
        full = self.requests >= self._max_requests
        if full or (self.requests and self.rows + rows > self._max_rows):
            msg = f"As many {'requests' if full else 'rows'} as may wait do so already; try again later."
            raise Overloaded(msg, self.retry_after)

    def join(self, rows: int, seconds: float) -> None:
        """Count one more that waits."""
        self.requests += 1
        self.rows += rows
        self._seconds += seconds

    def leave(self, rows: int, seconds: float) -> None:
        """Count one less."""
        self.requests -= 1
        self.rows -= rows
        self._seconds = self._seconds - seconds if self.requests else 0.0  # no error of rounding is kept

    @property
    def retry_after(self) -> int:
        """Give the whole seconds in which what waits now will have been worked on, at least 1 and at most an hour."""
        return max(1, math.ceil(min(self._seconds / self._lanes, 3_600)))
