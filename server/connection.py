"""One connection of a client: answers in the order of requests, and the end of it."""

import asyncio
import time
from collections import deque
from concurrent.futures import CancelledError, Future
from typing import Final, Protocol, cast

from server.bounds import BODY, END, HEAD, NEXT, READING, STOP, Bounds
from server.errors import BrineryError, TooManyConnections
from server.exchange import Response, incomplete, too_large, too_slow
from server.front import BODILESS, Front, Headers
from server.heads import head_of
from server.incoming import Arrived, Incoming, malformed, split_target
from server.pool import Work

LINGER: Final = 2.0  # seconds for a caller to read why he was refused
LINGERING: Final = 8  # connections beyond the limit that may: others are closed at once
LAST_CALL: Final = 1.0  # seconds for a kept connection to be used once more when the worker stops
NEVER: Final = float("inf")
TURN: Final = 4  # answers to one caller, or slices of what he sent, before others have their turn

ROUNDING: Final = 0.005  # seconds that a timer may be early
TOO_MANY: Final = "The server holds as many connections as it may; try again later, or keep fewer open."
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Holder(Protocol):
    """Holds the connections that are open."""

    def add(self, connection: "Connection", /) -> None:
        """Hold one more."""
        ...

    def discard(self, connection: "Connection", /) -> None:
        """Let one go."""
        ...


class Connection(asyncio.Protocol):
    """A connection. What it was asked and has not answered waits in order; meanwhile no more is read.

    Nor is more of what came at once: a caller who sends thousands of requests in one piece delays nobody else.

    `connections` holds all that are open, this one for as long as it is; `excess` tells how many more than there may be
    these are, and one of them is refused; one that is `kept` was another worker's. Whoever looks after them calls
    `expire` at the time `close_at`, by `time.monotonic`: infinity while nothing is awaited from the caller.
    """

    def __init__(
        self, front: Front, connections: Holder, bounds: Bounds, *, excess: int = 0, kept: bool = False
    ) -> None:
        self._front, self._connections, self._bounds, self._excess = front, connections, bounds, excess
        connections.add(self)  # not as late as it is made: between the two the worker may be told to stop
        self._loop = asyncio.get_running_loop()
        self._reader = bounds.reader()
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[Arrived] = deque()
        self._working: Work | None = None  # a thread makes an answer
        self._timer: asyncio.TimerHandle | None = None  # of that, for its deadline
        self._writable, self._reading = True, True
        self._turn: asyncio.Handle | None = None  # the next, where one was not enough
        self._said_all = False  # the caller has closed his side
        self._closing = False  # what waits is the last; what still comes is dropped
        self._secure = False  # the connection is one of TLS
        self._draining = False  # what is being read is the last
        self._lingering = False  # the caller may still be sending what nobody reads
        self.close_at = NEVER
        self._wait_for(*((NEXT, bounds.idle) if kept else (HEAD, bounds.head)))

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; or end at once, where there are too many."""
        self._transport = cast("asyncio.Transport", transport)
        self._connections.add(self)
        self._secure = transport.get_extra_info("sslcontext") is not None
        if self._secure:  # to shake hands had a time of its own, after which we may have been let go
            self._wait_for(HEAD, self._bounds.head)
        if self._excess > 0:
            self._respond(self._front.refuse(TooManyConnections(TOO_MANY)), None)
            self._lingering = self._excess <= LINGERING
            self._rest()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002  # the transport gives it
        """End; an answer that is still being made is dropped, and one that was not begun is not made."""
        self._transport = None
        self._connections.discard(self)
        self._waiting.clear()
        self._reader.close()  # what was read of a request is not kept until a collector finds it
        if self._working is not None:
            self._stop_timer()
            self._working.cancel()

    def data_received(self, data: bytes) -> None:
        """Read, and answer what is complete."""
        if self._closing:
            return
        self._read(data)
        self._go_on()

    def eof_received(self) -> bool:
        """Tell whether the connection stays: a caller who has sent all and closed his side still has his answer."""
        self._said_all = True
        if not self._reader.rest:
            self._end_asking()
        self._go_on()
        # By TLS nobody can close one side alone.
        return not self._secure and self._busy

    def pause_writing(self) -> None:
        """Answer no more before the caller has read some of what he got."""
        self._writable = False
        self._wait_for(READING, self._bounds.write)
        self._read_or_wait()

    def resume_writing(self) -> None:
        """Go on."""
        self._writable, self.close_at = True, NEVER
        self._go_on()

    # What the worker calls.

    def drain(self) -> None:
        """Close with the next answer, which says so; a caller who asks nothing more has a moment to begin.

        To close what is idle at once would drop the request that is on its way.
        """
        self._draining = True
        if self._reader.partial is None and not self._busy:
            self._wait_for(STOP, LAST_CALL)

    def expire_in_time(self) -> None:
        """Close if the time for what is awaited is over."""
        if time.monotonic() >= self.close_at - ROUNDING:
            self.expire()

    def offer(self) -> int | None:
        """Give the descriptor for another worker to go on with, if the connection is idle; `given` has to follow."""
        transport = self._transport
        busy = self._reader.partial is not None or self._busy or self._closing
        if transport is None or busy or transport.is_closing() or transport.get_write_buffer_size():
            return None
        if transport.get_extra_info("ssl_object") is not None:  # whose state cannot be given
            if not self._draining:
                self.drain()
            return None
        transport.pause_reading()
        descriptor: int = transport.get_extra_info("socket").fileno()
        return descriptor

    def given(self, *, taken: bool) -> None:
        """Let go what was offered if another worker has it, which the caller does not notice; else go on."""
        assert self._transport is not None, "it was offered just now"
        if taken:
            self._transport.abort()  # closes our descriptor; the caller hears nothing, since the other one stays open
        else:
            self._transport.resume_reading()

    def expire(self) -> None:
        """Close now, also where the caller does not read; who has begun to ask, and took too long, is told."""
        late = time.monotonic() >= self.close_at - ROUNDING
        reason = self._awaited if late else STOP
        if self._transport is None:
            self._connections.discard(self)  # it was never made
        elif self._transport.is_closing() or not self._writable or self._transport.get_write_buffer_size():
            self._front.closed(READING if late else STOP)
            self._transport.abort()
        elif self._reader.partial is not None and not self._closing and reason in (HEAD, BODY):
            self._reader.close()
            settings = self._bounds.settings
            slow = ("head", settings.header_timeout) if reason is HEAD else ("body", settings.body_timeout)
            self._respond(self._front.refuse(too_slow(*slow)), None)
            self._close()
        else:
            if reason is not END:
                self._front.closed(reason)
            self._close()

    # What we do.

    @property
    def _busy(self) -> bool:
        """Tell whether there is something to do without the caller's sending more."""
        return self._working is not None or bool(self._waiting) or bool(self._reader.rest)

    def _read(self, data: bytes = b"") -> None:
        """Read on, as far as it goes without keeping others waiting."""
        arrived = self._reader.feed(data)
        if arrived:
            self.close_at = NEVER
            self._waiting.extend(arrived)
        if self._reader.ended:  # where another request would begin is not known
            self._closing, self._lingering = True, not self._said_all
        elif self._said_all and not self._reader.rest:
            self._end_asking()

    def _end_asking(self) -> None:
        """Note that what waits is the last, since all was read that the caller sent."""
        if self._reader.partial is not None and not self._closing:
            self._waiting.append(incomplete())
            self._reader.close()
        self._closing = True

    def _take_turn(self) -> None:
        self._turn = None
        self._go_on()

    def _go_on(self) -> None:
        """Answer what waits, as far as that goes without waiting, and then read what is still to be read."""
        for _ in range(TURN):
            if self._working is not None or not self._writable or self._transport is None:
                break
            if self._waiting:
                asked = self._waiting.popleft()
                if isinstance(asked, Incoming):
                    self._answer(asked)
                else:
                    self._respond(self._front.refuse(asked), None)
            elif self._reader.rest:
                self._read()
            else:
                break
        else:
            if self._turn is None:
                self._turn = self._loop.call_soon(self._take_turn)
        if not self._waiting and self._working is None and self._writable:
            self._reader.release()
            if self._reader.partial is not None and not self._closing:
                self._read_on()
                if self._reader.owes_continue and not self._reader.rest:
                    self._reader.owes_continue = False
                    self._write(CONTINUE)
            elif not self._reader.rest:
                self._rest()
        self._read_or_wait()

    def _rest(self) -> None:
        """End the connection, or keep it for the next request."""
        if self._transport is None:
            return
        if self._lingering:
            # To close while something comes in would take the answer back before the caller has read it.
            if not self._secure:
                self._transport.write_eof()
            self._lingering = False
            self._wait_for(END, LINGER)
        elif self._closing:
            if self.close_at == NEVER or self._awaited is not END:
                self._close()
        elif self.close_at == NEVER:
            self._wait_for(NEXT, self._bounds.idle)

    def _read_on(self) -> None:
        """Wait for the rest of a request: what dribbles in is not given more time."""
        if self._reader.in_body:
            if self._awaited is not BODY or self.close_at == NEVER:
                self._wait_for(BODY, self._bounds.body)
        elif self._awaited is not HEAD or self.close_at == NEVER:
            self._wait_for(HEAD, self._bounds.head)

    def _wait_for(self, awaited: str, seconds: float) -> None:
        self._awaited = awaited
        self.close_at = time.monotonic() + seconds

    def _close(self) -> None:
        """Close as soon as the caller has read what was written, if he does."""
        if self._transport is not None:
            self._wait_for(READING, self._bounds.write)
            self._transport.close()

    def _read_or_wait(self) -> None:
        wanted = self._writable and not self._busy
        if wanted != self._reading and self._transport is not None and not self._transport.is_closing():
            self._reading = wanted
            if wanted:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    def _answer(self, asked: Incoming) -> None:
        path, query = split_target(asked.target)
        if not path:
            self._respond(self._front.refuse(malformed()), asked)
            return
        body: bytes | BrineryError = b""
        if asked.refusal is not None:
            body = asked.refusal
        elif asked.size > self._front.max_body_bytes:
            body = too_large(self._front.max_body_bytes)
        elif asked.method not in BODILESS:
            body = bytes(asked.body)
        answer = self._front.answer(asked.method, path, query, Headers(asked.headers), body, asked.arrived)
        if isinstance(answer, Response):
            self._respond(answer, asked)
            return
        self._working = answer
        self._timer = self._loop.call_later(answer.remaining(), answer.expire)

        def done(answered: Future[Response]) -> None:
            if not answered.cancelled():
                self._loop.call_soon_threadsafe(self._answered, asked, answered)

        answer.add_done_callback(done)

    def _answered(self, asked: Incoming, answered: Future[Response]) -> None:
        """Write what a thread has made."""
        self._working = None
        self._stop_timer()
        if self._transport is None:
            return
        try:
            response = answered.result()
        except (Exception, CancelledError) as error:  # the exchange lets none through, but nobody is to wait for ever
            response = self._front.refuse(error)
        self._respond(response, asked)
        self._go_on()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _respond(self, response: Response, asked: Incoming | None) -> None:
        if asked is None or not asked.keep_alive:
            self._closing = True
            self._waiting.clear()
            if self._reader.rest:
                self._lingering = not self._said_all
                self._reader.close()
        draining = self._draining or self._front.application.common.readiness.draining
        more = self._waiting or self._reader.rest or self._reader.partial is not None
        last = (self._closing or draining) and not more
        self._closing = self._closing or last
        head = head_of(response, asked, last=last)
        self._write(head if asked is not None and asked.method == "HEAD" else head + response.body)

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)
