"""How often a caller may ask: rates, and what each caller has left of his, across all workers.

A rate is kept by the generic cell rate algorithm (ITU-T I.371): one moment per caller, up to which what he asked is
paid for. A caller may ask `count` times at once, and `count` times in any further `seconds`.
"""

import fcntl
import hashlib
import mmap
import os
import re
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
SECOND: Final = 1_000_000_000  # the moments are in nanoseconds

BUCKETS: Final = 8_192  # each with a lock of its own
CALLERS: Final = 8  # of a bucket
WORDS: Final = 2  # of a caller: his tag, and the moment up to which he has paid
ATTEMPTS: Final = 200  # to get a bucket's lock, which is held for microseconds


@dataclass(frozen=True, slots=True)
class Rate:
    """`count` requests in `seconds`."""

    count: int
    seconds: int

    def __str__(self) -> str:
        """Write it as `read_rate` reads it."""
        return f"{self.count}/{next(unit for unit, seconds in UNITS.items() if seconds == self.seconds)}"


def read_rate(text: str) -> Rate:
    """Read `100/s`, `6000/m`, `5/h` or `1000/d`; raise `ValueError` for anything else."""
    matched = re.fullmatch(r"([1-9][0-9]{0,6})/([smhd])", text)
    if matched is None:
        raise ValueError
    return Rate(int(matched[1]), UNITS[matched[2]])


@dataclass(frozen=True, slots=True)
class Standing:
    """How a caller stands after he asked: whether he may, how often he may ask now, and in how many seconds.

    `wait` is until he may ask again, 0 if he may now; `reset` is until his whole rate is there again.
    """

    allowed: bool
    remaining: int
    wait: float
    reset: float


class Limiter:
    """What callers have left; made before the fork, in memory that all workers see.

    A caller is a tag of 64 bits in a bucket. A bucket is changed by one process at a time, under a lock of the
    kernel's, which frees it when its holder dies. Nobody waits for it long: a holder who was stopped in the middle
    costs exactness, and no answer. Where more callers are active than a bucket has places, the one nearest to his whole
    rate is forgotten.
    """

    def __init__(self, clock: Callable[[], int] = time.monotonic_ns) -> None:
        size = BUCKETS * CALLERS * WORDS * 8
        self._file = os.memfd_create("brinery-rates")
        weakref.finalize(self, os.close, self._file)
        os.ftruncate(self._file, size)
        self._table = memoryview(mmap.mmap(self._file, size)).cast("Q")
        self._secret = os.urandom(16)  # nobody can choose to share a place with another
        self._threads = threading.Lock()  # the kernel's lock is a process's
        self._clock = clock

    def take(self, caller: str, rate: Rate) -> Standing:
        """Note that a caller asks, and tell how he stands; who may not ask is not charged for it."""
        digest = hashlib.blake2b(caller.encode("utf-8", "replace"), digest_size=8, key=self._secret).digest()
        tag = int.from_bytes(digest) or 1
        interval = -(-rate.seconds * SECOND // rate.count)
        with self._threads:
            locked = self._lock(tag % BUCKETS)
            try:
                now = self._clock()
                at = self._place(tag)
                paid = max(self._table[at + 1], now)
                wait = paid + interval - now - interval * rate.count
                if wait <= 0:
                    paid += interval
                    self._table[at + 1] = paid
            finally:
                if locked:
                    fcntl.lockf(self._file, fcntl.LOCK_UN, 1, tag % BUCKETS)
        remaining = (interval * rate.count - (paid - now)) // interval
        return Standing(wait <= 0, remaining, max(0, wait) / SECOND, (paid - now) / SECOND)

    def _lock(self, bucket: int) -> bool:
        for _ in range(ATTEMPTS):
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, bucket)
            except OSError:
                os.sched_yield()
            else:
                return True
        return False

    def _place(self, tag: int) -> int:
        """Find a caller's place, or give him the one that is empty or nearest to it."""
        first = tag % BUCKETS * CALLERS * WORDS
        places = range(first, first + CALLERS * WORDS, WORDS)
        for at in places:
            if self._table[at] == tag:
                return at
        at = min(places, key=lambda place: self._table[place + 1])
        self._table[at], self._table[at + 1] = tag, 0
        return at
