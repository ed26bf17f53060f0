"""What happens to every request, whichever front it came by: id, deadline, metrics, log, problems, headers.

A front makes a `Request` of what it got and writes the `Response` that comes back; an endpoint is a function from
the one to the other, and raises `BrineryError` for a problem.
"""

import contextlib
import http
import random
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias
from urllib.parse import quote

import orjson
import structlog

from server.admission import TIMEOUT_HEADER, Deadline, shortened
from server.errors import (
    BodyTooLarge,
    BrineryError,
    DeadlineExceeded,
    Forbidden,
    IncompleteBody,
    NotReady,
    Overloaded,
    RequestError,
    RequestTimedOut,
    Unauthenticated,
    Unimplemented,
)
from server.logs import where_raised
from server.model import Identity
from server.problems import MEDIA_TYPE, describe, headers_of, type_of
from server.settings import Settings
from server.telemetry import Telemetry, known_method

SANE_ID: Final = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
TRACEPARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}")
# How many times the limit we read on in a body, so that a caller who writes all before he reads hears the answer.
READ_ON_FACTOR: Final = 4
HTTPS_FOR: Final = 86_400  # seconds that a browser asks by TLS only: one day, for the host's other ports may have none
EXPOSED_HEADERS: Final = (
    "X-Request-ID, X-Model-Name, X-Model-Version, Server-Timing, Preference-Applied, Retry-After, RateLimit, "
    "RateLimit-Policy, WWW-Authenticate, Inference-Header-Content-Length"
)
ALLOWED_HEADERS: Final = (
    "Content-Type, Accept, Prefer, X-Request-ID, X-Request-Timeout, traceparent, Authorization, X-API-Key, "
    "Inference-Header-Content-Length"
)

Headers: TypeAlias = list[tuple[str, str]]


class RequestHeaders(Protocol):
    """A request's headers; names are compared without regard to case."""

    def get(self, name: str, default: str, /) -> str:
        """Give a header's value, or the default."""
        ...


@dataclass(slots=True)
class Request:
    """A request as an endpoint sees it.

    `route` is the template it matched, and `variables` are what stands for its placeholders. `query` gives all values
    of each parameter. `read` reads the body up to a number of bytes; it raises `BodyTooLarge` or `IncompleteBody`.
    `envelope` writes what goes wrong. `probe` says that orchestrators ask for it every few seconds. `arrived` is by
    `time.perf_counter`. The rest is filled in on the way: `timings` in seconds, for `Server-Timing`; `caller`, the
    operator's name for who asks; `standing`, the headers that tell the caller how he stands, whatever the answer is.
    """

    method: str
    route: str
    headers: RequestHeaders
    query: dict[str, list[str]]
    read: Callable[[int], bytes]
    id: str = ""
    deadline: Deadline | None = None
    timings: dict[str, float] = field(default_factory=dict)
    rows: int | None = None
    caller: str | None = None
    standing: Headers | None = None
    arrived: float = field(default_factory=time.perf_counter)
    variables: Mapping[str, str] = field(default_factory=dict)
    envelope: "Envelope" = field(default_factory=lambda: as_problem)
    probe: bool = False


@dataclass(slots=True)
class Response:
    """An answer as a front writes it."""

    status: int
    body: bytes = b""
    media_type: str = "application/json"
    headers: Headers = field(default_factory=list)


Endpoint: TypeAlias = Callable[[Request], Response]
Envelope: TypeAlias = Callable[[Exception, str], Response]  # of an error and the request's id


def as_problem(error: Exception, request_id: str) -> Response:
    """Write an error as a problem document."""
    return Response(type_of(error).status, orjson.dumps(describe(error, request_id)), MEDIA_TYPE)


def too_large(limit: int) -> BodyTooLarge:
    """Make the error for a body of more than `limit` bytes."""
    return BodyTooLarge(f"The body has more than {limit} bytes; send fewer rows in one request.")


def too_slow(part: str, seconds: float) -> RequestTimedOut:
    """Make the error for a head or a body that did not come in within its seconds."""
    return RequestTimedOut(f"The request's {part} did not come in within {seconds:g} seconds; send it at once.")


def incomplete() -> IncompleteBody:
    """Make the error for a body that ended early or whose framing is broken."""
    return IncompleteBody("The body ended early or its framing is broken; send Content-Length, or well-formed chunks.")


def new_request_id() -> str:
    """Make an id for a request that brought none: 128 random bits in hexadecimal. Not a secret."""
    return f"{random.getrandbits(128):032x}"


def raw_answer(error: RequestError) -> bytes:
    """Write the whole HTTP/1.1 answer for what never became a request: a problem, and the connection's end."""
    status, request_id = http.HTTPStatus(type_of(error).status), new_request_id()
    body = orjson.dumps(describe(error, request_id))
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {MEDIA_TYPE}\r\nContent-Length: {len(body)}\r\n"
        f"X-Request-ID: {request_id}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


class Exchange:
    """Takes requests to endpoints and brings answers back; one per application."""

    def __init__(
        self,
        settings: Settings,
        identity: Identity,
        telemetry: Telemetry,
        log: structlog.typing.FilteringBoundLogger,
    ) -> None:
        self._settings = settings
        self._telemetry = telemetry
        self._log = log
        self._version = identity.version_text
        self._constant = [("X-Content-Type-Options", "nosniff")]
        if settings.tls_certificate is not None:
            self._constant.append(("Strict-Transport-Security", f"max-age={HTTPS_FOR}"))
        # A header holds no line break and no letter beyond Latin-1: such a name is percent-encoded.
        self._model_headers = [
            ("X-Model-Name", quote(identity.name, safe=" !#$&'()*+,/:;=?@[]")),
            ("X-Model-Version", quote(self._version, safe=" !#$&'()*+,/:;=?@[]")),
        ]

    def __call__(self, request: Request, endpoint: Endpoint) -> Response:
        """Answer a request; never raises."""
        with self._telemetry.in_flight.track_inprogress():
            return self.at_once(request, endpoint)

    def at_once(self, request: Request, endpoint: Endpoint) -> Response:
        """Answer a request that nobody can see in flight, since nothing else goes on meanwhile; never raises."""
        return self.complete(request, self.attempt(request, endpoint))

    def begin(self, request: Request) -> Deadline:
        """Give a request its id and its deadline; raise `RequestError` if it asks for one that we cannot read."""
        given = request.headers.get("X-Request-ID", "")
        request.id = given if SANE_ID.fullmatch(given) else new_request_id()
        longest = self._settings.deadline
        seconds = shortened(longest, request.headers.get(TIMEOUT_HEADER, ""))
        request.deadline = Deadline(seconds, since=request.arrived, by_caller=seconds < longest)
        return request.deadline

    def attempt(self, request: Request, endpoint: Endpoint) -> Response | Exception:
        """Let an endpoint work on a request, and give what came of it, for `complete`; never raises."""
        request.timings["queue"] = time.perf_counter() - request.arrived
        try:
            if request.deadline is None:
                self.begin(request)
            return endpoint(request)
        except Exception as error:  # every error becomes an answer
            return error

    def complete(self, request: Request, outcome: Response | Exception) -> Response:
        """Make the answer of what came of a request, and tell of it: once for each request. Never raises."""
        response = outcome if isinstance(outcome, Response) else self._problem(request, outcome)
        seconds = time.perf_counter() - request.arrived
        self._complete(request, response, seconds)
        with contextlib.suppress(OSError):  # a full disk behind the metrics or the log must not cost an answer
            self._telemetry.answered(request.route, request.method, response.status, seconds)
            if self._settings.access_log:
                self._log_request(request, response, seconds)
        return response

    def _problem(self, request: Request, error: Exception) -> Response:
        with contextlib.suppress(OSError):
            self._record_problem(request, error)
        response = request.envelope(error, request.id)
        response.headers += headers_of(error)
        return response

    def _record_problem(self, request: Request, error: Exception) -> None:
        kind = type_of(error)
        self._telemetry.rejected([kind.slug])
        if isinstance(error, Unauthenticated | Forbidden):
            self._log.info("caller_refused", request_id=request.id, route=request.route, reason=error.reason)
        asked_for = isinstance(error, DeadlineExceeded) and error.by_caller
        # None of these are failures of ours.
        if kind.status >= 500 and not asked_for and not isinstance(error, NotReady | Overloaded | Unimplemented):
            cause = error.__cause__ or error
            self._log.error(
                "request_failed",
                request_id=request.id,
                route=request.route,
                problem=kind.slug,
                error_type=type(cause).__name__,
                error=str(error) if isinstance(error, BrineryError) else None,
                raised=where_raised(cause),
            )

    def _complete(self, request: Request, response: Response, seconds: float) -> None:
        """Add the headers that every answer carries."""
        timings = {**request.timings, "total": seconds}
        if not any(name == "Cache-Control" for name, _ in response.headers):
            response.headers.append(("Cache-Control", "no-store"))
        response.headers += [
            ("X-Request-ID", request.id),
            *self._model_headers,
            ("Server-Timing", ", ".join(f"{name};dur={value * 1000:.3f}" for name, value in timings.items())),
            *self._constant,
        ]
        if request.standing is not None:
            response.headers += request.standing
        if self._settings.cors_origins:
            response.headers += self._cors(request)

    def _cors(self, request: Request) -> Headers:
        """Give the headers of the Fetch standard's CORS protocol, for an origin that the settings name."""
        origins, origin = self._settings.cors_origins, request.headers.get("Origin", "")
        headers: Headers = [] if "*" in origins else [("Vary", "Origin")]
        if not origin or ("*" not in origins and origin not in origins):
            return headers
        headers.append(("Access-Control-Allow-Origin", "*" if "*" in origins else origin))
        if request.method == "OPTIONS":
            return [
                *headers,
                ("Access-Control-Allow-Methods", "GET, POST, OPTIONS"),
                ("Access-Control-Allow-Headers", ALLOWED_HEADERS),
                ("Access-Control-Max-Age", "600"),
            ]
        return [*headers, ("Access-Control-Expose-Headers", EXPOSED_HEADERS)]

    def _log_request(self, request: Request, response: Response, seconds: float) -> None:
        line: dict[str, object] = {
            "request_id": request.id,
            "method": known_method(request.method),
            "route": request.route,
            "status": response.status,
            "duration_ms": round(seconds * 1000, 3),
            "model_version": self._version,
        }
        if request.rows is not None:
            line["rows"] = request.rows
        if request.caller is not None:
            line["caller"] = request.caller
        if trace := TRACEPARENT.fullmatch(request.headers.get("traceparent", "")):
            line["trace_id"], line["parent_id"] = trace.groups()
        write = self._log.debug if response.status == 200 and request.probe else self._log.info
        write("request", **line)
