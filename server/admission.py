"""Whether and how long we work on a request: readiness, shared by all workers, and deadlines."""

import mmap
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from server.errors import DeadlineExceeded


class Readiness:
    """Whether the server wants new requests; made before the fork, so that all workers see one flag."""

    def __init__(self) -> None:
        self._flag = mmap.mmap(-1, 1)  # anonymous memory that children share; zero: not draining

    @property
    def draining(self) -> bool:
        """Tell whether the server is about to stop."""
        return self._flag[0] != 0

    def drain(self) -> None:
        """Ask load balancers, through the readiness route of every worker, to send no new requests."""
        self._flag[0] = 1


class Deadline:
    """The moment until which an answer is of use, by the monotonic clock."""

    __slots__ = ("_at", "_seconds")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._at = time.monotonic() + seconds

    def remaining(self) -> float:
        """Give the seconds until the moment, 0 after it."""
        return max(0.0, self._at - time.monotonic())

    def check(self) -> None:
        """Raise `DeadlineExceeded` if the moment has passed."""
        if time.monotonic() >= self._at:
            raise self.exceeded()

    def exceeded(self) -> DeadlineExceeded:
        """Make the error for a request whose moment has passed."""
        return DeadlineExceeded(
            f"The request took longer than its {self._seconds:g} seconds; send fewer rows, or try later."
        )


class Slots:
    """Bounds how many requests a worker evaluates at once, so that they do not slow each other."""

    def __init__(self, count: int) -> None:
        self._free = threading.BoundedSemaphore(count)

    @contextmanager
    def one(self, deadline: Deadline) -> Iterator[None]:
        """Hold a slot; raise `DeadlineExceeded` if none gets free in time."""
        if not self._free.acquire(timeout=deadline.remaining()):
            raise deadline.exceeded()
        try:
            yield
        finally:
            self._free.release()
