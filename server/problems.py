"""The one table from exceptions to problem documents. Pure.

Format: RFC 9457. A document stays under `MAX_BYTES`; it never holds a value that the caller sent, and his unknown
key only in a `pointer`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from server.errors import (
    BodyTooLarge,
    BrineryError,
    DeadlineExceeded,
    FieldError,
    Forbidden,
    HeadersTooLarge,
    IncompleteBody,
    InvalidInput,
    MalformedBody,
    MalformedRequest,
    MethodNotAllowed,
    ModelNotFound,
    NotAcceptable,
    NotReady,
    Overloaded,
    PredictionError,
    RateLimited,
    RequestError,
    RequestTimedOut,
    RouteNotFound,
    TargetTooLong,
    TooManyConnections,
    TooManyRows,
    Unauthenticated,
    Unimplemented,
    UnsupportedMediaType,
    WrongForm,
)
from server.parameter import ALLOWED_CUT, cut

MAX_BYTES: Final = 8 * 1024
ROOM_FOR_ID: Final = 256  # the id that is put in last, with its key
MEDIA_TYPE: Final = "application/problem+json"
PAGE: Final = "docs/errors.md"
CHALLENGE: Final = 'Bearer realm="brinery"'  # RFC 6750, section 3


@dataclass(frozen=True, slots=True)
class ProblemType:
    """A kind of problem: its status, its anchor in `PAGE`, which is also the metrics' reason, and its title."""

    status: int
    slug: str
    title: str


TYPES: Final[Mapping[type[BrineryError], ProblemType]] = {
    MalformedRequest: ProblemType(400, "malformed-request", "The request is not well-formed HTTP"),
    MalformedBody: ProblemType(400, "malformed-body", "The body cannot be read"),
    IncompleteBody: ProblemType(400, "incomplete-body", "The body is incomplete"),
    Unauthenticated: ProblemType(401, "unauthenticated", "Credentials are needed"),
    Forbidden: ProblemType(403, "forbidden", "The credentials are not for this"),
    RouteNotFound: ProblemType(404, "not-found", "There is no such route"),
    MethodNotAllowed: ProblemType(405, "method-not-allowed", "The route has other methods"),
    WrongForm: ProblemType(400, "wrong-form", "The body has not the form of its protocol"),
    ModelNotFound: ProblemType(404, "model-not-found", "There is no such model"),
    Unimplemented: ProblemType(501, "not-implemented", "There is nothing that could answer this"),
    NotAcceptable: ProblemType(406, "not-acceptable", "No accepted media type can be written"),
    RequestTimedOut: ProblemType(408, "request-timeout", "The request came in too slowly"),
    BodyTooLarge: ProblemType(413, "body-too-large", "The body is too large"),
    TooManyRows: ProblemType(413, "too-many-rows", "The batch has too many rows"),
    UnsupportedMediaType: ProblemType(415, "unsupported-media-type", "The media type or coding is not read"),
    InvalidInput: ProblemType(422, "invalid-input", "The input is refused by the schema"),
    TargetTooLong: ProblemType(414, "target-too-long", "The path and query are too long"),
    RateLimited: ProblemType(429, "rate-limited", "The caller sends too much"),
    HeadersTooLarge: ProblemType(431, "headers-too-large", "The headers are too large"),
    RequestError: ProblemType(400, "bad-request", "The request cannot be understood"),
    PredictionError: ProblemType(500, "prediction-failed", "The model failed"),
    NotReady: ProblemType(503, "not-ready", "The server is not ready"),
    Overloaded: ProblemType(503, "overloaded", "The server has too much to do"),
    TooManyConnections: ProblemType(503, "too-many-connections", "The server holds too many connections"),
    DeadlineExceeded: ProblemType(504, "deadline-exceeded", "The deadline passed"),
    BrineryError: ProblemType(500, "internal-error", "The server failed"),
}
INTERNAL: Final = TYPES[BrineryError]

# What can be wrong with a field: its code, and its anchor in `PAGE`.
FIELD_CODES: Final[Mapping[str, str]] = {
    "missing": "missing-field",
    "unknown_field": "unknown-field",
    "not_allowed": "unknown-label",
    "wrong_type": "wrong-type",
    "out_of_range": "out-of-range",
    "not_multiple": "not-a-multiple",
    "wrong_length": "wrong-length",
    "empty": "empty-batch",
}


def type_of(error: Exception) -> ProblemType:
    """Give the kind of problem that an exception is; anything that is not ours is an internal error."""
    for ancestor in type(error).__mro__:
        if ancestor in TYPES:
            return TYPES[ancestor]
    return INTERNAL


def describe(error: Exception, request_id: str) -> dict[str, Any]:
    """Write the problem document of an exception."""
    kind = type_of(error)
    detail = str(error) if kind is not INTERNAL else "The server failed; give the request id to its operator."
    document: dict[str, Any] = {
        "type": f"{PAGE}#{_anchor(error, kind)}",
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
        "error": detail,
    }
    if isinstance(error, InvalidInput):
        document["error_count"] = error.count
        document["errors"] = _fitting(error.errors, MAX_BYTES - ROOM_FOR_ID - len(orjson.dumps(document)))
    return document | {"request_id": request_id}


def headers_of(error: Exception) -> list[tuple[str, str]]:
    """Give the headers that go with a problem, beside its media type."""
    if isinstance(error, MethodNotAllowed):
        return [("Allow", ", ".join(error.allowed))]
    if isinstance(error, Unauthenticated):
        return [("WWW-Authenticate", CHALLENGE + (', error="invalid_token"' if error.given else ""))]
    if isinstance(error, Forbidden):
        return [("WWW-Authenticate", f'{CHALLENGE}, error="insufficient_scope", scope="{error.scope}"')]
    if isinstance(error, RateLimited):
        return [("Retry-After", str(max(1, math.ceil(error.wait))))]
    if type_of(error).status == 503:
        return [("Retry-After", str(error.retry_after if isinstance(error, Overloaded) else 1))]
    return []


def _anchor(error: Exception, kind: ProblemType) -> str:
    """Give the anchor of the one thing that is wrong with the fields, or of the kind where they differ."""
    if isinstance(error, InvalidInput):
        codes = {each.code for each in error.errors}
        if any(each.pointer.startswith("?") for each in error.errors):  # a query has no labels, and no fields
            return kind.slug
        if len(codes) == 1 and len(error.errors) == error.count:
            return FIELD_CODES[codes.pop()]
    return kind.slug


def _fitting(errors: Sequence[FieldError], room: int) -> list[dict[str, Any]]:
    """Write the field errors into `room` bytes: the lists of labels go first, then whole errors, each from the end."""
    written = [_field(error) for error in errors]
    for error in reversed(written):
        if len(orjson.dumps(written)) <= room:
            return written
        error.pop("allowed", None)
    while len(orjson.dumps(written)) > room:
        written.pop()
    return written


def _field(error: FieldError) -> dict[str, Any]:
    field: dict[str, Any] = {"pointer": error.pointer, "code": error.code, "detail": error.detail}
    if error.allowed:
        some = error.allowed[:ALLOWED_CUT]
        field["allowed"] = [cut(label) if isinstance(label, str) else label for label in some]
        field["allowed_count"] = len(error.allowed)
    if error.did_you_mean is not None:
        field["did_you_mean"] = error.did_you_mean
    return field
