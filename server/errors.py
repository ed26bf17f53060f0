"""The exceptions of Brinery. None of them knows an HTTP status; `server.problems` maps them.

    BrineryError
    ├── StartError                what stops us before we listen
    │   ├── SettingError            a setting's value cannot be used
    │   └── BundleError             the bundle cannot be served
    │       └── FetchError            it cannot be had from where it is
    ├── FileError                 a file that the console was given cannot be opened
    ├── RequestError              what the caller can mend
    │   ├── Unauthenticated         no credentials, or none that we accept
    │   ├── Forbidden               good credentials, for something else
    │   ├── RateLimited             more requests than this caller may send
    │   ├── MalformedRequest        what came is no HTTP
    │   ├── TargetTooLong           a longer path and query than we read
    │   ├── HeadersTooLarge         more headers than we read
    │   ├── RequestTimedOut         a head or a body that came in too slowly
    │   ├── MalformedBody           no JSON, CSV or Arrow stream within our bounds
    │   │   └── IncompleteBody        the body ended early or its framing broke
    │   ├── BodyTooLarge            more bytes than we read
    │   ├── TooManyRows             more rows than we take in one request
    │   ├── InvalidInput            JSON that the published schema refuses
    │   ├── UnsupportedMediaType    a media type or a coding that we do not read
    │   ├── NotAcceptable           a media type that we do not write
    │   ├── WrongForm               JSON that is not in the form of the protocol that the route speaks
    │   ├── RouteNotFound           no such route
    │   ├── ModelNotFound           a model, or a version, that is not served here
    │   └── MethodNotAllowed        the route has other methods
    ├── PredictionError           the estimator failed on an accepted row
    ├── Unimplemented             a part of a protocol that there is nothing for
    ├── NotReady                  draining, or not started yet
    ├── Overloaded                more work than we can do in time
    │   └── TooManyConnections      more connections than we hold
    └── DeadlineExceeded          the request took longer than it may

A message says what, what it got, what was expected, and what to do. Messages of `RequestError` and
`PredictionError` reach the caller and the log: they never hold a value that the caller sent.
"""

from collections.abc import Sequence
from dataclasses import dataclass


class BrineryError(Exception):
    """Everything that Brinery itself raises; `str()` is one sentence for people."""


class StartError(BrineryError):
    """What stops us before we listen: the process ends with this sentence and a status that is not zero."""


class SettingError(StartError):
    """A setting's value cannot be used; names the variable, the value and what was expected."""


class BundleError(StartError):
    """The bundle cannot be served: each reason says which file or parameter, why, and what to change."""

    def __init__(self, *reasons: str) -> None:
        super().__init__(" ".join(reasons))
        self.reasons = reasons


class FetchError(BundleError):
    """The bundle cannot be had from where it is; to try again helps only if it is not `permanent`.

    The message shows a URL without what may be credentials, and nothing of what a library or a server said.
    """

    def __init__(self, message: str, *, permanent: bool = True) -> None:
        super().__init__(message)
        self.permanent = permanent


class gathering:  # noqa: N801  # used like `contextlib.suppress`, and named like it
    """Puts the reasons of a `BundleError` that is raised inside into `reasons`, so that all are told together."""

    def __init__(self, reasons: list[str]) -> None:
        self._reasons = reasons

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        """Take a `BundleError`; any other exception goes on."""
        if not isinstance(error, BundleError):
            return False
        self._reasons.extend(error.reasons)
        return True


def one_line(error: Exception) -> str:
    """Write somebody else's exception as a part of a sentence: its type and the start of its message."""
    text = " ".join(str(error).split()).rstrip(".")
    return f"{type(error).__name__}: {text if len(text) <= 200 else text[:199] + '…'}" if text else type(error).__name__


def raise_gathered(reasons: Sequence[str]) -> None:
    """Raise `BundleError` if there are reasons."""
    if reasons:
        raise BundleError(*reasons)


class FileError(BrineryError):
    """A file that the console was given cannot be opened."""


class RequestError(BrineryError):
    """The caller can mend this."""


class Unauthenticated(RequestError):
    """The request has no credentials, or none that we accept.

    `reason` says why in a word of ours, for the log; `given` tells whether there were any.
    """

    def __init__(self, message: str, reason: str, *, given: bool = True) -> None:
        super().__init__(message)
        self.reason, self.given = reason, given


class Forbidden(RequestError):
    """The credentials are good, and not for this; `scope` is what they lack."""

    reason = "scope"

    def __init__(self, message: str, scope: str) -> None:
        super().__init__(message)
        self.scope = scope


class RateLimited(RequestError):
    """The caller has sent more requests than he may; `wait` is in how many seconds he may send the next."""

    def __init__(self, message: str, wait: float) -> None:
        super().__init__(message)
        self.wait = wait


class MalformedRequest(RequestError):
    """What came over the connection is not well-formed HTTP/1.1."""


class TargetTooLong(RequestError):
    """The request's path and query are longer than we read."""


class HeadersTooLarge(RequestError):
    """The request has more headers, or longer ones, than we read."""


class RequestTimedOut(RequestError):
    """The head of a request, or its body, did not come in within its time."""


class MalformedBody(RequestError):
    """The body is not one JSON text, CSV or Arrow stream within our bounds (encoding, syntax, names twice, depth)."""


class IncompleteBody(MalformedBody):
    """The body ended before the length that was announced, or its chunked framing is broken."""


class BodyTooLarge(RequestError):
    """The body has more bytes than the limit."""


class TooManyRows(RequestError):
    """The batch has more rows than the limit."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing that is wrong with one field.

    `pointer` is a JSON Pointer (RFC 6901) into the body or the name of a query parameter after `?`; `code` is a
    key of `server.problems.FIELD_CODES`; `allowed` and `did_you_mean` hold our labels, never the caller's value.
    """

    pointer: str
    code: str
    detail: str
    allowed: Sequence[str | int | bool | None] = ()
    did_you_mean: str | None = None


class InvalidInput(RequestError):
    """Well-formed, and refused by the published schema.

    `errors` are the field errors that are told, in the order of the document; `count` is how many there are.
    """

    def __init__(self, errors: Sequence[FieldError], count: int) -> None:
        self.errors = errors
        self.count = count
        more = f" There are {count - 1} more errors." if count > 2 else " There is one more error."
        super().__init__(errors[0].detail + (more if count > 1 else ""))


class UnsupportedMediaType(RequestError):
    """The body has a media type or a content coding that we do not read."""


class NotAcceptable(RequestError):
    """The caller accepts no media type that this route writes."""


class WrongForm(RequestError):
    """The body is well-formed, and not what the protocol of its route has: the message names the member."""


class ModelNotFound(RequestError):
    """There is no model of this name, or no such version of it."""


class RouteNotFound(RequestError):
    """There is no such route."""


class MethodNotAllowed(RequestError):
    """The route exists and has other methods, `allowed`."""

    def __init__(self, message: str, allowed: Sequence[str]) -> None:
        super().__init__(message)
        self.allowed = tuple(allowed)


class PredictionError(BrineryError):
    """The estimator raised, or gave a number that is not finite, for a row that the schema accepts."""


class Unimplemented(BrineryError):
    """The protocol has this, and we have nothing that could answer it."""


class NotReady(BrineryError):
    """We are not ready for requests: starting or draining."""


class Overloaded(BrineryError):
    """There is more to do than can be done in time: to ask again after `retry_after` seconds may be worth it."""

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TooManyConnections(Overloaded):
    """There are more connections than we hold."""


class DeadlineExceeded(BrineryError):
    """The request took longer than its deadline; `by_caller` tells whether its caller had asked for a shorter one."""

    def __init__(self, message: str, *, by_caller: bool = False) -> None:
        super().__init__(message)
        self.by_caller = by_caller
