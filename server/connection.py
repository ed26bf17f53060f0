"""One connection of a client: answers in the order of requests, and the end of it."""

import asyncio
import functools
import http
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from email.utils import formatdate
from typing import Final, Protocol, cast
from urllib.parse import unquote

import httptools

from server.errors import BrineryError
from server.exchange import Response, incomplete, too_large
from server.front import BODILESS, Front, Headers
from server.incoming import Arrived, Incoming, Reader, malformed

KEEP_ALIVE: Final = 75.0  # seconds: longer than the load balancers before us, so that they are the ones to close
LINGER: Final = 2.0  # seconds for a caller to read why he was refused
LAST_CALL: Final = 1.0  # seconds for a kept connection to be used once more when the worker stops
TURN: Final = 32  # answers to one caller before others have their turn

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
STATUS_LINES: Final = {each.value: f"HTTP/1.1 {each.value} {each.phrase}\r\n" for each in http.HTTPStatus}


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

    `connections` holds all that are open, this one for as long as it is. Whoever looks after them calls `expire` at
    the time `close_at`, by `time.monotonic`, if there is one.
    """

    def __init__(self, front: Front, connections: Holder) -> None:
        self._front, self._connections = front, connections
        connections.add(self)  # not as late as it is made: between the two the worker may be told to stop
        self._loop = asyncio.get_running_loop()
        self._reader = Reader(front.max_body_bytes)
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[Arrived] = deque()
        self._working: Future[Response] | None = None  # a thread makes an answer
        self._writable, self._reading = True, True
        self._closing = False  # what waits is the last; what still comes is dropped
        self._secure = False  # the connection is one of TLS
        self._draining = False  # what is being read is the last
        self._lingering = False  # the caller may still be sending what nobody reads
        self.close_at: float | None = time.monotonic() + KEEP_ALIVE

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._secure = transport.get_extra_info("sslcontext") is not None

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002  # the transport gives it
        """End; an answer that is still being made is dropped, and one that was not begun is not made."""
        self._transport = None
        self._connections.discard(self)
        self._waiting.clear()
        self._reader = Reader(0)  # what was read of a request is not kept until a collector finds it
        if self._working is not None:
            self._working.cancel()

    def data_received(self, data: bytes) -> None:
        """Read, and answer what is complete."""
        if self._closing:
            return
        self.close_at = None
        self._waiting.extend(self._reader.feed(data))
        if self._reader.ended:  # where another request would begin is not known
            self._closing = self._lingering = True
        self._go_on()

    def eof_received(self) -> bool:
        """Tell whether the connection stays: a caller who has sent all and closed his side still has his answer."""
        if self._reader.partial is not None and not self._closing:
            self._waiting.append(incomplete())
            self._reader.partial = None
        self._closing = True
        self._go_on()
        # By TLS nobody can close one side alone.
        return not self._secure and (self._working is not None or bool(self._waiting))

    def pause_writing(self) -> None:
        """Answer no more before the caller has read some of what he got."""
        self._writable, self.close_at = False, time.monotonic() + KEEP_ALIVE
        self._read_or_wait()

    def resume_writing(self) -> None:
        """Go on."""
        self._writable, self.close_at = True, None
        self._go_on()

    # What the worker calls.

    def drain(self) -> None:
        """Close with the next answer, which says so; a caller who asks nothing more has a moment to begin.

        To close what is idle at once would drop the request that is on its way.
        """
        self._draining = True
        if self._reader.partial is None and not self._waiting and self._working is None:
            self.close_at = time.monotonic() + LAST_CALL

    def hand_over(self, give: Callable[[int], bool]) -> None:
        """Let another worker go on with the connection if it is idle, which its caller does not notice.

        `give` sends a descriptor, and tells whether it could.
        """
        transport = self._transport
        busy = self._reader.partial is not None or self._waiting or self._working is not None or self._closing
        if transport is None or busy or transport.is_closing() or transport.get_write_buffer_size():
            return
        if transport.get_extra_info("ssl_object") is not None:  # whose state cannot be given
            if not self._draining:
                self.drain()
            return
        transport.pause_reading()
        if give(transport.get_extra_info("socket").fileno()):
            transport.abort()  # closes our descriptor; the caller hears nothing, since the other one stays open
        else:
            transport.resume_reading()

    def expire(self) -> None:
        """Close now, also where the caller does not read."""
        if self._transport is None:
            self._connections.discard(self)  # it was never made
        elif self._writable and not self._transport.is_closing():
            self._close()
        else:
            self._transport.abort()

    # What we do.

    def _go_on(self) -> None:
        """Answer what waits, as far as that goes without waiting."""
        for _ in range(TURN):
            if not self._waiting or self._working is not None or not self._writable or self._transport is None:
                break
            asked = self._waiting.popleft()
            if isinstance(asked, Incoming):
                self._answer(asked)
            else:
                self._respond(self._front.refuse(asked), None)
        else:
            self._loop.call_soon(self._go_on)
        if not self._waiting and self._working is None:
            if self._reader.partial is None:
                self._rest()
            else:
                self.close_at = time.monotonic() + KEEP_ALIVE
                if self._reader.owes_continue:
                    self._reader.owes_continue = False
                    self._write(CONTINUE)
        self._read_or_wait()

    def _rest(self) -> None:
        """End the connection, or keep it for the next request."""
        if self._transport is None or not self._writable:
            return
        if self._lingering:
            # To close while something comes in would take the answer back before the caller has read it.
            if not self._secure:
                self._transport.write_eof()
            self._lingering, self.close_at = False, time.monotonic() + LINGER
        elif self.close_at is None:
            if self._closing:
                self._close()
            else:
                self.close_at = time.monotonic() + KEEP_ALIVE

    def _close(self) -> None:
        """Close as soon as the caller has read what was written, if he does."""
        if self._transport is not None:
            self.close_at = time.monotonic() + KEEP_ALIVE
            self._transport.close()

    def _read_or_wait(self) -> None:
        wanted = self._writable and self._working is None and not self._waiting
        if wanted != self._reading and self._transport is not None and not self._transport.is_closing():
            self._reading = wanted
            if wanted:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    def _answer(self, asked: Incoming) -> None:
        path, query = _split(asked.target)
        if not path:
            self._respond(self._front.refuse(malformed()), asked)
            return
        body: bytes | BrineryError = b""
        if asked.size > self._front.max_body_bytes:
            body = too_large(self._front.max_body_bytes)
        elif asked.method not in BODILESS:
            body = bytes(asked.body)
        answer = self._front.answer(asked.method, path, query, Headers(asked.headers), body, asked.arrived)
        if isinstance(answer, Response):
            self._respond(answer, asked)
            return
        self._working = answer

        def done(answered: Future[Response]) -> None:
            if not answered.cancelled():
                self._loop.call_soon_threadsafe(self._answered, asked, answered)

        answer.add_done_callback(done)

    def _answered(self, asked: Incoming, answered: Future[Response]) -> None:
        """Write what a thread has made."""
        self._working = None
        if self._transport is None:
            return
        try:
            response = answered.result()
        except (Exception, CancelledError) as error:  # the exchange lets none through, but nobody is to wait for ever
            response = self._front.refuse(error)
        self._respond(response, asked)
        self._go_on()

    def _respond(self, response: Response, asked: Incoming | None) -> None:
        if asked is None or not asked.keep_alive:
            self._closing = True
            self._waiting.clear()
        draining = self._draining or self._front.application.common.readiness.draining
        last = (self._closing or draining) and not self._waiting and self._reader.partial is None
        self._closing = self._closing or last
        lines = [STATUS_LINES[response.status], _date(int(time.time()))]
        if response.status != 204:
            lines.append(f"Content-Type: {response.media_type}\r\nContent-Length: {len(response.body)}\r\n")
        lines += [f"{name}: {value}\r\n" for name, value in response.headers]
        if last:
            lines.append("Connection: close\r\n")
        elif asked is not None and asked.version == "1.0":
            lines.append("Connection: keep-alive\r\n")
        lines.append("\r\n")
        head = "".join(lines).encode("latin-1")
        self._write(head if asked is not None and asked.method == "HEAD" else head + response.body)

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


@functools.lru_cache(maxsize=256)
def _split(target: bytes) -> tuple[str, str]:
    """Give the path, decoded, and the query of a target."""
    try:
        parsed = httptools.parse_url(target)
    except httptools.HttpParserInvalidURLError:
        return "", ""
    path = (parsed.path or b"/").decode("latin-1")
    return unquote(path) if "%" in path else path, (parsed.query or b"").decode("latin-1")


@functools.lru_cache(maxsize=1)
def _date(second: int) -> str:
    return f"Date: {formatdate(second, usegmt=True)}\r\n"
