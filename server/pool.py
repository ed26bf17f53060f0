"""Threads that answer requests, and the bounded queue in front of them.

Whoever waits has a deadline, and so has he who is worked on: when it passes, the event loop answers instead of the
thread, and what the thread still gives is dropped.
"""

import asyncio
import threading
import time
import weakref
from collections import deque
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Final, TypeAlias

from server.admission import Queue
from server.errors import BrineryError, NotReady, Overloaded
from server.exchange import Endpoint, Exchange, Request, Response
from server.telemetry import Telemetry

STUCK: Final = 5.0  # seconds beyond the deadline, after which nobody waits for a thread any more


class Work(Future[Response]):
    """A request that was given to a pool; its result is the answer.

    Either the thread answers or the event loop, by `expire`: whoever is first. It can be cancelled until a thread has
    begun; `rows` and `seconds` are what it is taken to cost.
    """

    def __init__(self, pool: "Pool", request: Request, endpoint: Endpoint, rows: int, seconds: float) -> None:
        super().__init__()
        self.request, self.endpoint, self.rows, self.seconds = request, endpoint, rows, seconds
        self.begun = self.dropped = False  # guarded by the pool
        self.since = 0.0  # when a thread began, by `time.monotonic`
        self._pool, self._answered = pool, threading.Lock()

    def remaining(self) -> float:
        """Give the seconds until its deadline."""
        return self.request.deadline.remaining() if self.request.deadline is not None else 0.0

    def expire(self) -> None:
        """Answer that the deadline has passed, unless it is answered; nobody begins it any more."""
        if self.request.deadline is not None and self.claim():
            self._pool.drop(self)
            self.set_result(self._pool.exchange.complete(self.request, self.request.deadline.exceeded()))

    def cancel(self) -> bool:
        """Forget it, unless a thread has begun; tell whether that was so."""
        return self._pool.drop(self) and self.claim() and super().cancel()

    def claim(self) -> bool:
        """Take it on oneself to answer; only the first may."""
        return self._answered.acquire(blocking=False)


class Pool:
    """Some threads, started when they are first needed and gone with the pool. Safe to call from several threads."""

    def __init__(self, name: str, threads: int, queue: Queue, exchange: Exchange, telemetry: Telemetry) -> None:
        self.exchange = exchange
        self._name, self._threads, self._telemetry = name, threads, telemetry
        self._lock, self._queue = threading.Lock(), queue
        self._waiting: deque[Work] = deque()
        self._begun: set[Work] = set()
        self._started: list[threading.Thread] = []
        self._working = 0  # of these
        self._ready: _Ready = SimpleQueue()
        weakref.finalize(self, self._ready.put, None)

    def submit(self, request: Request, endpoint: Endpoint, rows: int = 0, seconds: float = 0.0) -> Work:
        """Have a request answered by a thread.

        Raises `Overloaded` if it may not wait, or if it cannot be answered in time; and as `Exchange.begin` does.
        """
        deadline = self.exchange.begin(request)
        work = Work(self, request, endpoint, rows, seconds)
        with self._lock:
            self._queue.check_time(seconds, deadline.remaining())
            if self._working < self._threads and self._has_thread():
                self._working += 1
                self._ready.put((self, work))
            else:
                self._queue.check_room(rows)
                self._queue.join(rows, seconds)
                self._waiting.append(work)
                self._telemetry.queue.inc()
        return work

    def drop(self, work: Work) -> bool:
        """Take out what no thread has begun; tell whether that was so."""
        with self._lock:
            if work.begun:
                return False
            if not work.dropped and work in self._waiting:
                self._waiting.remove(work)
                self._leave(work)
            work.dropped = True
            return True

    def overdue(self, seconds: float) -> int:
        """Count the requests that a thread works on for longer than this."""
        since = time.monotonic() - seconds
        with self._lock:
            return sum(work.since < since for work in self._begun)

    def abandon(self) -> None:
        """Send everybody who has no answer yet to another worker, whether a thread has begun or not."""
        error = NotReady("A prediction of another caller does not end, and its worker goes; try again.")
        with self._lock:
            works = [*self._waiting, *self._begun]
        for work in works:
            if work.claim():
                self.drop(work)
                work.set_result(self.exchange.complete(work.request, error))

    def close(self, until: float) -> bool:
        """Drop what waits; tell whether the threads have ended by this moment, by `time.monotonic`."""
        for work in list(self._waiting):
            work.cancel()
        self._ready.put(None)
        for thread in self._started:
            thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in self._started)

    def _has_thread(self) -> bool:
        """Tell whether there is a thread for one more, started if need be; if not, those at work will come to it.

        Raises `Overloaded` where the system has none left, and none is at work.
        """
        if len(self._started) > self._working:
            return True
        name = f"{self._name}_{len(self._started)}"
        # A thread that never ends must not hold up the end of the process.
        thread = threading.Thread(target=_serve, args=(self._ready,), name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError:
            if self._working:
                return False
            msg = "The server has no thread left to work on the request; try again later."
            raise Overloaded(msg, self._queue.retry_after) from None
        self._started.append(thread)
        return True

    def _leave(self, work: Work) -> None:
        self._queue.leave(work.rows, work.seconds)
        self._telemetry.queue.dec()

    def work(self, work: Work) -> None:
        """Answer a request, then those that wait, until there are none."""
        following: Work | None = work
        while following is not None:
            if self._begin(following):
                with self._telemetry.in_flight.track_inprogress():
                    self._answer(following)
            following = self._next(following)

    def _begin(self, work: Work) -> bool:
        with self._lock:
            work.begun = not work.dropped
            if work.begun:
                work.since = time.monotonic()
                self._begun.add(work)
            return work.begun

    def _answer(self, work: Work) -> None:
        request = work.request
        outcome: Response | Exception
        try:
            outcome = _too_late(request) or self.exchange.attempt(request, work.endpoint)
        except BaseException as error:  # an estimator may even exit: the thread stays
            outcome = BrineryError("The thread was told to end.")
            outcome.__cause__ = error
        if work.claim():
            try:
                work.set_result(self.exchange.complete(request, outcome))
            except Exception as error:  # the exchange lets none through, but nobody is to wait for ever
                work.set_exception(error)

    def _next(self, done: Work) -> Work | None:
        """Give the first of those that wait; None, and one thread less at work, if nobody does."""
        with self._lock:
            self._begun.discard(done)
            if not self._waiting:
                self._working -= 1
                return None
            work = self._waiting.popleft()
            self._leave(work)
            return work


_Ready: TypeAlias = "SimpleQueue[tuple[Pool, Work] | None]"


def _serve(ready: _Ready) -> None:
    """Work until the pool is gone, which is not held meanwhile."""
    while (given := ready.get()) is not None:
        pool, work = given
        pool.work(work)
        del given, pool, work
    ready.put(None)  # for the next thread


async def in_time(work: Work) -> Response:
    """Wait on an event loop for what a thread answers, as long as the deadline lasts."""
    timer = asyncio.get_running_loop().call_later(work.remaining(), work.expire)
    try:
        return await asyncio.wrap_future(work)
    finally:
        timer.cancel()


def _too_late(request: Request) -> Exception | None:
    deadline = request.deadline
    return deadline.exceeded() if deadline is not None and not deadline.remaining() else None
