"""Media types, codings and preferences of a request. Pure.

Formats: RFC 9110 sections 8.3, 8.4 and 12.5.1 (`Content-Type`, `Content-Encoding`, `Accept`); RFC 7240 (`Prefer`).
"""

import re
from functools import lru_cache
from typing import Final

from server.errors import NotAcceptable, UnsupportedMediaType

JSON: Final = "application/json"
HTML: Final = "text/html"
CHARSET: Final = re.compile(r"charset\s*=\s*\"?utf-?8\"?", re.IGNORECASE)


@lru_cache(maxsize=64)  # clients send the same headers again and again
def check_json_body(content_type: str, content_encoding: str) -> None:
    """Raise `UnsupportedMediaType` unless the body is said to be JSON in UTF-8 without a coding."""
    if content_type != JSON:
        media_type, _, rest = content_type.partition(";")
        parameters = [part.strip() for part in rest.split(";") if part.strip()]
        charsets = [part for part in parameters if part.lower().startswith("charset")]
        if media_type.strip().lower() != JSON or not all(CHARSET.fullmatch(part) for part in charsets):
            msg = f"The body must be {JSON} in UTF-8; send it with the header Content-Type: {JSON}."
            raise UnsupportedMediaType(msg)
    if content_encoding and content_encoding.strip().lower() != "identity":
        msg = "The body must not be compressed or otherwise coded; send it without Content-Encoding."
        raise UnsupportedMediaType(msg)


@lru_cache(maxsize=64)
def check_accepts(accept: str, media_type: str = JSON) -> None:
    """Raise `NotAcceptable` unless the caller takes `media_type`; no header means that he takes anything."""
    if accept not in ("", "*/*", media_type) and not _quality(accept, media_type):
        msg = f"This route writes {media_type}, which the request's Accept header excludes."
        raise NotAcceptable(msg)


@lru_cache(maxsize=64)
def is_for_people(accept: str) -> bool:
    """Tell whether a caller names HTML, as every browser does, or takes no JSON."""
    return HTML in accept.lower() or not _quality(accept or "*/*", JSON)


def _quality(accept: str, media_type: str) -> float:
    """Give the quality of the most specific range that covers `media_type`; 0 where none does."""
    ranges = {"*/*": 0, f"{media_type.partition('/')[0]}/*": 1, media_type: 2}
    best, quality = -1, 0.0
    for part in accept.split(","):
        name, *parameters = [each.strip().lower() for each in part.split(";")]
        if ranges.get(name, -1) > best:
            best, quality = ranges[name], 1.0
            for parameter in parameters:
                if match := re.fullmatch(r"q\s*=\s*([01](\.[0-9]{0,3})?)", parameter):
                    quality = float(match[1])
    return quality


@lru_cache(maxsize=64)
def prefers_lenient(prefer: str) -> bool:
    """Tell whether the caller prefers `handling=lenient`; the first `handling` counts, other preferences do not."""
    for part in prefer.split(","):
        name, _, value = part.partition(";")[0].partition("=")
        if name.strip().lower() == "handling":
            return value.strip().strip('"').lower() == "lenient"
    return False
