"""Bytes of a connection to requests: HTTP/1.1, within our limits. Knows no transport.

The syntax is the parser's, llhttp's by way of httptools; what may come, and in which size, is ours. Source: RFC 9112.
"""

import functools
import time
from itertools import chain
from typing import Final, TypeAlias
from urllib.parse import unquote

import httptools

from server.errors import (
    BodyTooLarge,
    BrineryError,
    HeadersTooLarge,
    MalformedRequest,
    Overloaded,
    RequestError,
    TargetTooLong,
)
from server.exchange import READ_ON_FACTOR, too_large

# Gunicorn's own limits for the other front.
MAX_TARGET_BYTES: Final = 4_094
MAX_HEADERS: Final = 100
MAX_FIELD_BYTES: Final = 8_190  # of one header: name and value
MAX_FRAMING: Final = 8  # bytes for one of a body: chunks of one byte are silly, but not forbidden
WEIGHT: Final = 600  # bytes, about, of a request that waits, beside what it said
SLICE: Final = 8_192  # bytes that are read before what they say is answered: some hundred requests at most
VERSIONS: Final = ("1.0", "1.1")


class Incoming:
    """A request as it comes in: its head, and of its body what is within the limit.

    `refusal` says why no more of the body is read.
    """

    __slots__ = (
        "arrived",
        "body",
        "header_count",
        "headers",
        "keep_alive",
        "method",
        "refusal",
        "size",
        "target",
        "version",
    )

    def __init__(self) -> None:
        self.arrived = 0.0  # when it was complete, by `time.perf_counter`
        self.method = ""
        self.target = b""
        self.headers: dict[bytes, bytes] = {}  # names in lower case; several values of one are joined by commas
        self.header_count = 0  # also of those that came more than once
        self.body: bytes | bytearray = b""
        self.size = 0  # of the body, also of what was not kept
        self.version, self.keep_alive = "", False
        self.refusal: BrineryError | None = None


Arrived: TypeAlias = Incoming | BrineryError


class Buffered:
    """How many bytes of requests that still come in, or came at once, a worker holds, of at most `limit`."""

    __slots__ = ("limit", "size")

    def __init__(self, limit: int) -> None:
        self.limit, self.size = limit, 0


class Reader:
    """Reads the requests of one connection; an error, or a request with a refusal, is the last that it gives.

    `limit` is that of a body, `head_limit` of all that comes before a head has ended, and of what frames a body, beside
    its size. `buffered` counts what is held, also by other readers. `partial` is the request that is being read,
    `in_body` tells that its head is there, `ended` that nothing more is read. `owes_continue` tells that the caller
    waits for a word before he sends the body. `rest` is what came and is still to be read, by `feed` without more.
    """

    def __init__(self, limit: int, head_limit: int, buffered: Buffered) -> None:
        self._limit, self._head_limit = limit, head_limit
        self._buffered, self._held, self._kept = buffered, 0, 0
        self._parser = httptools.HttpRequestParser(self)
        self._arrived: list[Arrived] = []
        self.partial: Incoming | None = None
        self.rest = b""
        self.ended = False
        self.owes_continue = False
        self.in_body = False
        self._framing = 0  # bytes that were no body: of the head that is read, or between the parts of its body
        self._head = 0  # bytes of the head whose body is read, once they were counted
        self._offering: Incoming | None = None  # the last request, for as long as it may turn out to be an offer

    def feed(self, data: bytes = b"") -> list[Arrived]:
        """Read on, `SLICE` bytes at most, and give what is complete now, in order."""
        if self.ended:
            return []
        if self.rest or len(data) > SLICE:
            data = self.rest + data
            data, self.rest = data[:SLICE], data[SLICE:]
        size = len(data)
        while data:
            before = 0 if self.partial is None else self.partial.size
            self._framing += len(data)
            rest = b""
            try:
                self._parser.feed_data(data)
                self._check_framing(before)
            except httptools.HttpParserUpgrade as offer:
                rest = self._without_offer(data[offer.args[0] :])
            except httptools.HttpParserError as error:
                cause = error.__context__
                self._end(cause if isinstance(cause, RequestError) else malformed())
            except RequestError as error:
                self._end(error)
            data = rest
        self._offering = None
        self._kept = size + WEIGHT * len(self._arrived) if len(self._arrived) > 1 else 0
        if self.partial is not None or self._held or self._kept or self.rest:
            self._hold()
        return self._take()

    def release(self) -> None:
        """Note that nothing waits any more of what was complete."""
        if self._kept:
            self._kept = 0
            self._hold()

    def close(self) -> None:
        """Read no more, and hold nothing."""
        self.partial, self.ended, self._kept, self.rest = None, True, 0, b""
        self._hold()

    def _hold(self) -> None:
        """Count what is held of a request; refuse it where all of them together would be too much."""
        held = self._kept + len(self.rest)
        if self.partial is not None:
            if self.in_body and not self._head:
                self._head = len(self.partial.target) + sum(map(len, chain(*self.partial.headers.items())))
            held += self._framing + len(self.partial.body) + self._head
        more, self._held = held - self._held, held
        self._buffered.size += more
        if more > 0 and self._buffered.size > self._buffered.limit:
            del self._arrived[1:]  # the first needs no room, and the others are told by the connection's end
            self._kept = 0
            self._end(Overloaded("The server holds as much of requests as it may; try again later."))
            self._hold()

    def _take(self) -> list[Arrived]:
        arrived, self._arrived = self._arrived, []
        return arrived

    def _end(self, error: BrineryError) -> None:
        """Read no more; whose body is too large has a route, and so the answer that this one gives."""
        incoming = self.partial
        if isinstance(error, BodyTooLarge) and incoming is not None:
            incoming.refusal, incoming.body, incoming.arrived = error, b"", time.perf_counter()
            self._arrived.append(incoming)
        else:
            self._arrived.append(error)
        self.partial, self.ended, self.rest = None, True, b""

    def _check_framing(self, before: int) -> None:
        """Bound what is neither a complete head nor a body; the parser itself would collect it without end."""
        if self.partial is None:
            self._framing = 0
            return
        if self.in_body:
            self._framing -= min(self._framing, max(0, self.partial.size - before))
        if self._framing > self._head_limit + (MAX_FRAMING * self.partial.size if self.in_body else 0):
            raise too_many_headers()

    def _without_offer(self, rest: bytes) -> bytes:
        """Give what to read as if no other protocol were offered, which must change nothing (RFC 9110, section 7.8).

        The parser ends a request that offers one with its head; so it has to read that head again, without the offer.
        Nothing is left to read behind a request for a tunnel, which is refused.
        """
        offering = self._offering
        assert offering is not None, "a request has ended"
        self._arrived.pop()
        if offering.method == "CONNECT":
            self._end(malformed())
            return b""
        left_out = (b"upgrade", b"http2-settings")
        headers = {name: value for name, value in offering.headers.items() if name not in left_out}
        options = [option.strip() for option in headers.pop(b"connection", b"").split(b",")]
        kept = b", ".join(option for option in options if option.lower() not in left_out)
        headers |= {b"connection": kept} if kept else {}
        head = b"%b %b HTTP/%b\r\n" % (offering.method.encode(), offering.target, offering.version.encode())
        lines = b"".join(b"%b: %b\r\n" % header for header in headers.items())
        self._parser, self.partial, self._framing = httptools.HttpRequestParser(self), None, 0
        return head + lines + b"\r\n" + rest

    # What the parser calls, in the order of a request.

    def on_message_begin(self) -> None:
        """Start a request."""
        self.partial = Incoming()

    def on_url(self, part: bytes) -> None:
        """Take a part of the target."""
        incoming = self._current
        incoming.target += part
        if len(incoming.target) > MAX_TARGET_BYTES:
            raise TargetTooLong("The request's first line is too long; send data in the body.")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; what comes behind a body is counted, and no header."""
        incoming = self._current
        incoming.header_count += 1
        if incoming.header_count > MAX_HEADERS or len(name) + len(value) > MAX_FIELD_BYTES:
            raise too_many_headers()
        if self.in_body:
            return
        headers, name = incoming.headers, name.lower()
        headers[name] = value if name not in headers else headers[name] + b", " + value

    def on_headers_complete(self) -> None:
        """Check what frames the request, and see whether the caller waits to be asked for the body."""
        incoming, headers = self._current, self._current.headers
        self.in_body, self._framing = True, 0
        incoming.method = self._parser.get_method().decode("latin-1")
        incoming.version = self._parser.get_http_version()
        coding = headers.get(b"transfer-encoding")
        if (
            incoming.version not in VERSIONS
            # Whoever reads these otherwise than we do takes the rest for another request.
            or (coding is not None and (incoming.version == "1.0" or coding.lower() != b"chunked"))
            or (incoming.version == "1.1" and (b"host" not in headers or b", " in headers[b"host"]))
        ):
            raise malformed()
        if incoming.version == "1.1" and headers.get(b"expect", b"").lower() == b"100-continue":
            if int(headers.get(b"content-length", b"0")) > self._limit:
                raise too_large(self._limit)
            self.owes_continue = True

    def on_body(self, part: bytes) -> None:
        """Take a part of the body; beyond the limit only its size."""
        incoming = self._current
        self.owes_continue = False
        incoming.size += len(part)
        if incoming.size > self._limit * READ_ON_FACTOR:
            raise too_large(self._limit)
        if incoming.size > self._limit:
            incoming.body = b""
        elif not incoming.body:
            incoming.body = part
        else:
            if isinstance(incoming.body, bytes):
                incoming.body = bytearray(incoming.body)
            incoming.body += part

    def on_message_complete(self) -> None:
        """Give the request."""
        incoming = self._current
        incoming.keep_alive = self._parser.should_keep_alive()
        incoming.arrived = time.perf_counter()
        self._offering = incoming  # the parser tells of an offer only after this
        self._arrived.append(incoming)
        self.partial, self.in_body, self.owes_continue, self._head = None, False, False, 0

    @property
    def _current(self) -> Incoming:
        assert self.partial is not None, "the parser calls in order"
        return self.partial


def malformed() -> MalformedRequest:
    """Make the error for what is no HTTP."""
    return MalformedRequest(
        "The request is not well-formed HTTP/1.1, or its method is unknown; look at its first line and headers."
    )


def too_many_headers() -> HeadersTooLarge:
    """Make the error for a head that is too large."""
    return HeadersTooLarge("The request's headers are too many or too long; send fewer or shorter ones.")


@functools.lru_cache(maxsize=256)
def split_target(target: bytes) -> tuple[str, str]:
    """Give the path, decoded, and the query of a target."""
    try:
        parsed = httptools.parse_url(target)
    except httptools.HttpParserInvalidURLError:
        return "", ""
    path = (parsed.path or b"/").decode("latin-1")
    return unquote(path) if "%" in path else path, (parsed.query or b"").decode("latin-1")
