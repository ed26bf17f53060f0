"""A worker of Gunicorn's with an event loop: our own connections, on uvloop."""

import asyncio
import os
import signal
import socket
import sys
import time
from typing import Any, Final, cast

import uvloop
from gunicorn.sock import ssl_context
from gunicorn.workers.base import Worker

from server.accepting import Acceptor, Held, Shares, room_for
from server.bounds import Bounds
from server.connection import Connection
from server.front import Front
from server.handover import LETTER, Handover
from server.worker import LAST_MOMENT, STUCK, start_grpc

TICK: Final = 1.0  # seconds between two looks at the master and at connections whose time will be over
LOOK: Final = 0.02  # seconds between two looks at those that still hold up the stop


class LoopWorker(Worker):
    """Serves the front that is its application until it is told to stop, then what was asked before that.

    It ends by itself after its share of requests, or when a prediction does not end. Where others go on, they get its
    idle connections.
    """

    shares = Shares()  # one, before the fork: Gunicorn makes its workers itself
    handover = Handover()

    def init_signals(self) -> None:
        """Leave the signals to the loop."""
        for number in self.SIGNALS:
            signal.signal(number, signal.SIG_DFL)

    def run(self) -> None:
        """Serve."""
        self._grace = float(self.cfg.graceful_timeout)
        self._front = cast("Front", self.wsgi)  # what Gunicorn takes for WSGI is what `server.asgi` made
        self._grpc = start_grpc(self._front.application, self.cfg)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            stuck = runner.run(self._serve())
        ended = self._grpc is None or self._grpc.close(LAST_MOMENT)
        if not self._front.close(LAST_MOMENT) or not ended or stuck:
            sys.stdout.flush()
            os._exit(STUCK if stuck else 0)  # to wait for these threads would be to wait for ever

    async def _serve(self) -> bool:
        """Serve to the end; tell whether a prediction is stuck."""
        loop, stopping = asyncio.get_running_loop(), asyncio.Event()
        connections: Held[Connection] = Held(self.shares, self.age)
        loop.add_signal_handler(signal.SIGTERM, stopping.set)
        for number in (signal.SIGINT, signal.SIGQUIT):
            loop.add_signal_handler(number, self._stop_at_once, stopping)
        loop.add_signal_handler(signal.SIGUSR1, self.log.reopen_files)

        application = self._front.application
        bounds, log, telemetry = Bounds(application.settings), application.log, application.common.telemetry
        wanted = bounds.settings.max_connections
        room = room_for(wanted)
        if room < wanted:
            log.warning("connections_limited", wanted=wanted, room=room)

        def connect() -> Connection:
            return Connection(self._front, connections, bounds, excess=len(connections) + 1 - room)

        def adopt(taken: socket.socket) -> None:
            acceptors[0].adopt(taken, lambda: Connection(self._front, connections, bounds, kept=True))

        def exhausted(error: OSError) -> None:
            log.warning("accepting_paused", error=error.strerror)

        listeners = [cast("Any", each).sock for each in self.sockets]  # Gunicorn wraps them
        tls = ssl_context(self.cfg) if self.cfg.is_ssl else None
        acceptors = [Acceptor(listener, connect, connections, exhausted, tls) for listener in listeners]
        self.handover.listen(adopt)
        stuck = 0
        while not (stopping.is_set() or stuck) and os.getppid() == self.ppid:
            self._look_after(connections)
            telemetry.connections.set(len(connections))
            if self._front.asked + (self._grpc.asked if self._grpc else 0) >= self.max_requests:
                break
            stuck = self._front.overdue() + (self._grpc.overdue() if self._grpc else 0)
            await _wait(stopping, TICK)
        if stuck:
            self._front.application.log.error("worker_stuck", predictions=stuck)
        self.handover.stop()
        ends = self._front.application.common.readiness.draining or self._grace == 0 or os.getppid() != self.ppid
        if self._grpc is not None:
            self._grpc.stop(self._grace)
        for acceptor in acceptors:
            await acceptor.stop(for_good=ends)
        await self._finish(connections, ends=ends, stuck=stuck > 0)
        return stuck > 0

    def _stop_at_once(self, stopping: asyncio.Event) -> None:
        self._grace = 0.0
        stopping.set()

    def _look_after(self, connections: Held[Connection], ahead: float = TICK) -> None:
        """Tell the master that we live, and close in time each connection whose time is over before the next look."""
        self.notify()
        loop, now = asyncio.get_running_loop(), time.monotonic()
        for connection in connections:
            if connection.close_at <= now + ahead:
                loop.call_later(max(0.0, connection.close_at - now), connection.expire_in_time)

    async def _finish(self, connections: Held[Connection], *, ends: bool, stuck: bool) -> None:
        """Answer what was asked while the grace lasts; close what is idle if the server `ends`, else give it away."""
        if ends:
            for connection in connections:
                connection.drain()
        else:
            self._give_away(connections)
        connections.leave()  # from here on nobody new is answered by us
        end = time.monotonic() + self._grace
        while (connections or (self._grpc and self._grpc.wait(0.0))) and time.monotonic() < end:
            self._look_after(connections, LOOK)
            if stuck:
                self._front.abandon()
                if self._grpc is not None:
                    self._grpc.abandon()
            if not ends:
                self._give_away(connections)
            await asyncio.sleep(LOOK)
        for connection in connections:
            connection.expire()

    def _give_away(self, connections: Held[Connection]) -> None:
        """Let other workers go on with what is idle, as far as there is room."""
        offered = [(each, descriptor) for each in connections if (descriptor := each.offer()) is not None]
        for start in range(0, len(offered), LETTER):
            letter = offered[start : start + LETTER]
            taken = self.handover.give([descriptor for _, descriptor in letter])
            for connection, _ in letter:
                connection.given(taken=taken)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
