"""A worker of Gunicorn's with an event loop: our own connections, on uvloop."""

import asyncio
import os
import signal
import time
from typing import Any, Final, cast

import uvloop
from gunicorn.workers.base import Worker

from server.accepting import Acceptor, Held, Shares
from server.connection import Connection
from server.front import Front

TICK: Final = 1.0  # seconds between two looks at the master and at connections that are idle


class LoopWorker(Worker):
    """Serves the front that is its application until it is told to stop, then what was asked before that."""

    shares = Shares()  # one, before the fork: Gunicorn makes its workers itself

    def init_signals(self) -> None:
        """Leave the signals to the loop."""
        for number in self.SIGNALS:
            signal.signal(number, signal.SIG_DFL)

    def run(self) -> None:
        """Serve."""
        self._grace = float(self.cfg.graceful_timeout)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        loop, stopping = asyncio.get_running_loop(), asyncio.Event()
        connections: Held[Connection] = Held(self.shares, self.age)
        loop.add_signal_handler(signal.SIGTERM, stopping.set)
        for number in (signal.SIGINT, signal.SIGQUIT):
            loop.add_signal_handler(number, self._stop_at_once, stopping)
        loop.add_signal_handler(signal.SIGUSR1, self.log.reopen_files)

        front = cast("Front", self.wsgi)  # what Gunicorn takes for WSGI is what `server.asgi` made

        def connect() -> Connection:
            return Connection(front, connections)

        listeners = [cast("Any", each).sock for each in self.sockets]  # Gunicorn wraps them
        acceptors = [Acceptor(listener, connect, connections) for listener in listeners]
        while not stopping.is_set() and os.getppid() == self.ppid:
            self._look_after(connections)
            await _wait(stopping, TICK)
        connections.leave()
        for acceptor in acceptors:
            await acceptor.stop()
        await self._finish(connections)

    def _stop_at_once(self, stopping: asyncio.Event) -> None:
        self._grace = 0.0
        stopping.set()

    def _look_after(self, connections: Held[Connection]) -> None:
        """Tell the master that we live, and close what is idle for too long."""
        self.notify()
        now = time.monotonic()
        for connection in connections:
            if connection.close_at is not None and now >= connection.close_at:
                connection.expire()

    async def _finish(self, connections: Held[Connection]) -> None:
        """Answer what was asked, for as long as the grace lasts, and close."""
        for connection in connections:
            connection.drain()
        end = time.monotonic() + self._grace
        while connections and time.monotonic() < end:
            self._look_after(connections)
            await asyncio.sleep(0.02)
        for connection in connections:
            connection.expire()
        cast("Front", self.wsgi).close()


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
