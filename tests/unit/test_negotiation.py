"""Media types, codings and preferences."""

import pytest

from server.errors import NotAcceptable, UnsupportedMediaType
from server.negotiation import check_accepts, check_json_body, prefers_lenient


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        'application/json; charset="utf8"',
        "Application/JSON",
        " application/json ; charset = utf-8 ",
        "application/json; profile=x",
        "application/json;",
    ],
)
def test_json_body(content_type: str) -> None:
    """JSON in UTF-8 is read, however that is written."""
    check_json_body(content_type, "")
    check_json_body(content_type, " Identity ")


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "text/json",
        "application/problem+json",
        "application/x-www-form-urlencoded",
        "application/json, text/plain",
        "application/json; charset=latin-1",
        "application/json; charset=utf-16",
        "application/json; charset=",
        "application/jsonp",
    ],
)
def test_other_body(content_type: str) -> None:
    """Any other media type or charset is refused in a sentence that says what to send."""
    with pytest.raises(UnsupportedMediaType, match="Content-Type: application/json"):
        check_json_body(content_type, "")


@pytest.mark.parametrize("coding", ["gzip", "br", "identity, gzip"])
def test_coded_body(coding: str) -> None:
    """A coded body is refused."""
    with pytest.raises(UnsupportedMediaType, match="without Content-Encoding"):
        check_json_body("application/json", coding)


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "application/json",
        "application/*",
        "Application/JSON;q=0.1",
        "text/html, application/json",
        "text/html, */*;q=0.001",
        "application/json;charset=utf-8",
        "text/*;q=0, */*",
        "application/*;q=0, application/json",
        "application/json;q = 1.000",
    ],
)
def test_accepted(accept: str) -> None:
    """JSON is written for everyone whose Accept covers it."""
    check_accepts(accept)


@pytest.mark.parametrize(
    "accept",
    [
        "text/html",
        "application/xml, text/*",
        "application/json;q=0",
        "application/json; q=0.000, */*",
        "application/*;q=0, */*;q=1",
        "*/*;q=0",
        "application/problem+json",
        ",",
    ],
)
def test_not_accepted(accept: str) -> None:
    """The most specific range counts: what it excludes is not written."""
    with pytest.raises(NotAcceptable, match="writes application/json, which the request's Accept header excludes"):
        check_accepts(accept)


def test_other_media_type() -> None:
    """A route may write another media type."""
    check_accepts("text/*", "text/html")
    with pytest.raises(NotAcceptable, match="writes text/html"):
        check_accepts("application/json", "text/html")


@pytest.mark.parametrize(
    ("prefer", "expected"),
    [
        ("", False),
        ("handling=lenient", True),
        ('Handling = "Lenient"', True),
        ("handling=strict", False),
        ("handling", False),
        ("respond-async, handling=lenient; foo=bar", True),
        ("handling=strict, handling=lenient", False),
        ("handling=lenient, handling=strict", True),
        ("lenient", False),
        ("wait=10;handling=lenient", False),
    ],
)
def test_lenient(prefer: str, expected: bool) -> None:
    """The first `handling` among the preferences counts, and others are passed over."""
    assert prefers_lenient(prefer) is expected
