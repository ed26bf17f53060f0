"""Media types, codings and preferences of a request. Pure.

Formats: RFC 9110 sections 8.3, 8.4 and 12.5.1 (`Content-Type`, `Content-Encoding`, `Accept`); RFC 7240 (`Prefer`).
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from server.errors import NotAcceptable, UnsupportedMediaType

JSON: Final = "application/json"
HTML: Final = "text/html"
CSV: Final = "text/csv"
ARROW: Final = "application/vnd.apache.arrow.stream"
UTF_8: Final = re.compile(r"utf-?8", re.IGNORECASE)
QUALITY: Final = re.compile(r"q\s*=\s*([01](?:\.[0-9]{0,3})?)")
HEADER: Final = {"present": True, "absent": False}


class BodyForm(NamedTuple):
    """What a body is said to be; of CSV, whether its first line has names, None where that is not said."""

    media_type: str
    header: bool | None = None


@lru_cache(maxsize=64)  # clients send the same headers again and again
def form_of_body(content_type: str, content_encoding: str) -> BodyForm:
    """Give the form of a body of rows; raise `UnsupportedMediaType` for one that is not read."""
    _check_coding(content_encoding)
    name, parameters = read_media_type(content_type)
    if name == ARROW:
        return BodyForm(ARROW)
    if name not in (JSON, CSV) or not is_utf_8(parameters):
        msg = f"The body must be {JSON} or {CSV}, in UTF-8, or {ARROW}; say which by the header Content-Type."
        raise UnsupportedMediaType(msg)
    if name == JSON:
        return BodyForm(JSON)
    headers = [value.lower() for key, value in parameters if key == "header"]
    if not all(value in HEADER for value in headers):
        msg = f"The parameter header of {CSV} must be `present` or `absent`; or leave it out."
        raise UnsupportedMediaType(msg)
    return BodyForm(CSV, HEADER[headers[0]] if headers else None)


@lru_cache(maxsize=64)
def check_json_body(content_type: str, content_encoding: str) -> None:
    """Raise `UnsupportedMediaType` unless the body is said to be JSON in UTF-8 without a coding."""
    if content_type != JSON:
        name, parameters = read_media_type(content_type)
        if name != JSON or not is_utf_8(parameters):
            msg = f"The body must be {JSON} in UTF-8; send it with the header Content-Type: {JSON}."
            raise UnsupportedMediaType(msg)
    _check_coding(content_encoding)


def read_media_type(content_type: str) -> tuple[str, list[tuple[str, str]]]:
    """Take a media type apart: its name, and its parameters without quotes around their values."""
    name, *rest = content_type.split(";")
    pairs = [part.partition("=") for part in rest if part.strip()]
    return name.strip().lower(), [(key.strip().lower(), value.strip().strip('"')) for key, _, value in pairs]


def is_utf_8(parameters: Sequence[tuple[str, str]]) -> bool:
    """Tell whether the parameters of a media type name no other charset than UTF-8."""
    return all(UTF_8.fullmatch(value) for key, value in parameters if key.startswith("charset"))


def _check_coding(content_encoding: str) -> None:
    if content_encoding and content_encoding.strip().lower() != "identity":
        msg = "The body must not be compressed or otherwise coded; send it without Content-Encoding."
        raise UnsupportedMediaType(msg)


@lru_cache(maxsize=64)
def check_accepts(accept: str, media_type: str = JSON) -> None:
    """Raise `NotAcceptable` unless the caller takes `media_type`; no header means that he takes anything."""
    preferred(accept, (media_type,))


@lru_cache(maxsize=64)
def preferred(accept: str, offered: tuple[str, ...]) -> str:
    """Give the media type that the caller likes best, the first of those that he likes alike.

    No header means that he takes anything. Raises `NotAcceptable` where he takes none.
    """
    if accept in ("", "*/*"):
        return offered[0]
    ranges = _ranges(accept)
    best = max(offered, key=lambda media_type: _quality(ranges, media_type))
    if _quality(ranges, best) > 0:
        return best
    listing = " or ".join(offered) if len(offered) < 3 else f"{', '.join(offered[:-1])} or {offered[-1]}"
    msg = f"This route writes {listing}, which the request's Accept header excludes."
    raise NotAcceptable(msg)


@lru_cache(maxsize=64)
def is_for_people(accept: str) -> bool:
    """Tell whether a caller names HTML, as every browser does, or takes no JSON."""
    return HTML in accept.lower() or not _quality(_ranges(accept or "*/*"), JSON)


def _ranges(accept: str) -> Mapping[str, float]:
    """Give the quality of each media range; the first of a name counts."""
    ranges: dict[str, float] = {}
    for part in accept.split(","):
        name, *parameters = [each.strip().lower() for each in part.split(";")]
        if name not in ranges:
            qualities = [match for each in parameters if (match := QUALITY.fullmatch(each))]
            ranges[name] = min(1.0, float(qualities[-1][1])) if qualities else 1.0
    return ranges


def _quality(ranges: Mapping[str, float], media_type: str) -> float:
    """Give the quality of the most specific range that covers `media_type`; 0 where none does."""
    for name in (media_type, f"{media_type.partition('/')[0]}/*", "*/*"):
        if name in ranges:
            return ranges[name]
    return 0.0


@lru_cache(maxsize=64)
def prefers_lenient(prefer: str) -> bool:
    """Tell whether the caller prefers `handling=lenient`; the first `handling` counts, other preferences do not."""
    for part in prefer.split(","):
        name, _, value = part.partition(";")[0].partition("=")
        if name.strip().lower() == "handling":
            return value.strip().strip('"').lower() == "lenient"
    return False
