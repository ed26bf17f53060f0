"""Whether and how long we work on a request: readiness, shared by all workers, and deadlines."""

import mmap
import time

from server.errors import DeadlineExceeded


class Readiness:
    """Whether the server wants new requests; made before the fork, so that all workers see one flag."""

    def __init__(self) -> None:
        self._flags = mmap.mmap(-1, 2)  # anonymous memory that children share; zero: neither draining nor unstable

    @property
    def draining(self) -> bool:
        """Tell whether the server is about to stop."""
        return self._flags[0] != 0

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
    """The moment until which an answer is of use: some seconds after `since`, by `time.perf_counter`; or after now."""

    __slots__ = ("_at", "_seconds")

    def __init__(self, seconds: float, *, since: float | None = None) -> None:
        self._seconds = seconds
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
        return DeadlineExceeded(
            f"The request took longer than its {self._seconds:g} seconds; send fewer rows, or try later."
        )
