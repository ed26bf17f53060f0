"""One connection of a client: HTTP/1.1 in, problem documents for what is no HTTP, answers in the order of requests.

The syntax is the parser's, llhttp's by way of httptools; what may come in which size, and what is done about it, is
ours. Source: RFC 9112.
"""

import asyncio
import functools
import http
import time
from collections import deque
from concurrent.futures import Future
from email.utils import formatdate
from typing import Final, cast
from urllib.parse import unquote

import httptools

from server.errors import BrineryError, HeadersTooLarge, MalformedRequest, RequestError, TargetTooLong
from server.exchange import READ_ON_FACTOR, Response, incomplete, too_large
from server.front import BODILESS, Front, Headers

# Gunicorn's own limits for the other front.
MAX_TARGET_BYTES: Final = 4_094
MAX_HEADERS: Final = 100
MAX_HEADER_BYTES: Final = 8_190  # of one: name and value
# Seconds of silence, between requests and within one: longer than the load balancers before us, so that they close.
KEEP_ALIVE: Final = 75.0
LINGER: Final = 2.0  # seconds for a caller to read why he was refused, or to ask what he connected for
MAX_HEAD_BYTES: Final = 65_536  # of all that comes before a head has ended

VERSIONS: Final = frozenset({"1.0", "1.1"})  # the parser takes 0.9 and 2.0 as well
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
STATUS_LINES: Final = {each.value: f"HTTP/1.1 {each.value} {each.phrase}\r\n" for each in http.HTTPStatus}


class Incoming:
    """A request as it comes in: its head, and of its body what is within the limit."""

    __slots__ = ("arrived", "body", "header_count", "headers", "keep_alive", "method", "size", "target", "version")

    def __init__(self) -> None:
        self.arrived = time.perf_counter()
        self.method = ""
        self.target = b""
        self.headers: dict[bytes, bytes] = {}
        self.header_count = 0  # also of those that came more than once
        self.body: list[bytes] = []
        self.size = 0  # of the body, also of what was not kept
        self.version, self.keep_alive = "", False


class Connection(asyncio.Protocol):
    """A connection. What it was asked and has not answered waits in order; meanwhile no more is read.

    `connections` is the set of all that are open; this one is in it for as long as it is.
    """

    def __init__(self, front: Front, connections: set["Connection"]) -> None:
        self._front, self._connections = front, connections
        connections.add(self)  # not as late as it is made: between the two the worker may be told to stop
        self._limit = front.max_body_bytes
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._incoming: Incoming | None = None  # what is being read
        self._in_body = False
        self._head_bytes = 0
        self._waiting: deque[Incoming | RequestError] = deque()
        self._busy = False  # a thread works on an answer
        self._writable, self._reading = True, True
        self._closing = False  # what waits is the last; what still comes is dropped
        self._draining = False  # what is being read is the last
        self._heard = False  # something came in
        self._lingering = False  # the caller may still be sending what nobody reads
        self.close_at: float | None = time.monotonic() + KEEP_ALIVE

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002  # the transport gives it
        """End; an answer that is still being made is dropped."""
        self._transport = None
        self._connections.discard(self)
        self._waiting.clear()

    def data_received(self, data: bytes) -> None:
        """Read, and answer what is complete."""
        if self._closing:
            return
        self.close_at, self._heard = None, True
        if not self._in_body:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
            if not self._in_body and self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(_too_many_headers())
        except httptools.HttpParserUpgrade:  # to a protocol that we do not speak: this request was the last
            self._closing = True
        except httptools.HttpParserError as error:
            cause = error.__context__
            self._refuse(cause if isinstance(cause, RequestError) else _malformed())
        self._go_on()

    def eof_received(self) -> bool:
        """Tell whether the connection stays: a caller who has sent all and closed his side still has his answer."""
        if self._incoming is not None:
            self._refuse(incomplete())
        self._closing = True
        self._go_on()
        return self._busy or bool(self._waiting)

    def pause_writing(self) -> None:
        """Answer no more before the caller has read some of what he got."""
        self._writable = False
        self._read_or_wait()

    def resume_writing(self) -> None:
        """Go on."""
        self._writable = True
        self._go_on()

    # What the parser calls, in the order of a request.

    def on_message_begin(self) -> None:
        """Start a request."""
        self._incoming = Incoming()

    def on_url(self, part: bytes) -> None:
        """Take a part of the target."""
        incoming = self._incoming
        assert incoming is not None
        incoming.target += part
        if len(incoming.target) > MAX_TARGET_BYTES:
            raise TargetTooLong("The request's first line is too long; send data in the body.")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; what comes behind a body is no header."""
        incoming = self._incoming
        assert incoming is not None
        if self._in_body:
            return
        headers, name = incoming.headers, name.lower()
        incoming.header_count += 1
        if incoming.header_count > MAX_HEADERS or len(name) + len(value) > MAX_HEADER_BYTES:
            raise _too_many_headers()
        headers[name] = value if name not in headers else headers[name] + b", " + value

    def on_headers_complete(self) -> None:
        """Ask for the body, where the caller waits for that."""
        incoming = self._incoming
        assert incoming is not None
        self._in_body, self._head_bytes = True, 0
        if incoming.headers.get(b"expect", b"").lower() != b"100-continue" or self._waiting or self._busy:
            return
        if int(incoming.headers.get(b"content-length", b"0")) > self._limit:
            raise too_large(self._limit)
        self._write(CONTINUE)

    def on_body(self, part: bytes) -> None:
        """Take a part of the body; beyond the limit only its size."""
        incoming = self._incoming
        assert incoming is not None
        incoming.size += len(part)
        if incoming.size <= self._limit:
            incoming.body.append(part)
        elif incoming.size > self._limit * READ_ON_FACTOR:
            raise too_large(self._limit)

    def on_message_complete(self) -> None:
        """Let the request wait for its turn."""
        incoming = self._incoming
        assert incoming is not None
        incoming.method = self._parser.get_method().decode("latin-1")
        incoming.version, incoming.keep_alive = self._parser.get_http_version(), self._parser.should_keep_alive()
        if incoming.version not in VERSIONS:
            raise _malformed()
        self._incoming, self._in_body = None, False
        if not self._closing:
            self._waiting.append(incoming)

    # What we do.

    def drain(self) -> None:
        """Close as soon as what was asked is answered; also what is half asked, or what a new caller comes with."""
        self._draining = True
        if self._heard:
            self._go_on()
        else:
            self.close_at = time.monotonic() + LINGER

    def close(self) -> None:
        """Close now."""
        if self._transport is not None:
            self._transport.close()

    def _refuse(self, error: RequestError) -> None:
        """Answer with a problem when its turn comes, and close: where the next request would begin is not known."""
        if not self._closing:
            self._waiting.append(error)
            self._incoming, self._closing, self._lingering = None, True, True

    def _go_on(self) -> None:
        """Answer what waits, as far as that goes without waiting."""
        while self._waiting and not self._busy and self._writable and self._transport is not None:
            asked = self._waiting.popleft()
            if isinstance(asked, Incoming):
                self._answer(asked)
            else:
                self._respond(self._front.refuse(asked), None)
        if not self._waiting and not self._busy:
            if self._incoming is None:
                self._rest()
            else:
                self.close_at = time.monotonic() + KEEP_ALIVE
        self._read_or_wait()

    def _rest(self) -> None:
        """End the connection, or keep it for the next request."""
        if self._transport is None:
            return
        if self._lingering:
            # To close while something comes in would take the answer back before the caller has read it.
            self._transport.write_eof()
            self._lingering, self.close_at = False, time.monotonic() + LINGER
        elif self.close_at is None or self._draining:
            if self._closing or self._draining:
                self._transport.close()
            else:
                self.close_at = time.monotonic() + KEEP_ALIVE

    def _read_or_wait(self) -> None:
        wanted = self._writable and not self._busy and not self._waiting
        if wanted != self._reading and self._transport is not None and not self._transport.is_closing():
            self._reading = wanted
            if wanted:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    def _answer(self, asked: Incoming) -> None:
        path, query = _split(asked.target)
        if not path:
            self._respond(self._front.refuse(_malformed()), asked)
            return
        body: bytes | BrineryError = b""
        if asked.size > self._limit:
            body = too_large(self._limit)
        elif asked.body and asked.method not in BODILESS:
            body = asked.body[0] if len(asked.body) == 1 else b"".join(asked.body)
        answer = self._front.answer(asked.method, path, query, Headers(asked.headers), body, asked.arrived)
        if isinstance(answer, Response):
            self._respond(answer, asked)
            return
        self._busy = True

        def done(answered: Future[Response]) -> None:
            self._loop.call_soon_threadsafe(self._answered, asked, answered)

        answer.add_done_callback(done)

    def _answered(self, asked: Incoming, answered: Future[Response]) -> None:
        """Write what a thread has made."""
        self._busy = False
        if self._transport is not None:
            self._respond(answered.result(), asked)
            self._go_on()

    def _respond(self, response: Response, asked: Incoming | None) -> None:
        if asked is None or not asked.keep_alive:
            self._closing = True
            self._waiting.clear()
        last = (self._closing or self._draining) and not self._waiting and self._incoming is None
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


def _malformed() -> MalformedRequest:
    return MalformedRequest("The request is not well-formed HTTP/1.1; look at its first line and its headers.")


def _too_many_headers() -> HeadersTooLarge:
    return HeadersTooLarge("The request's headers are too many or too long; send fewer or shorter ones.")


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
