"""Media types, codings and preferences."""

import re

import pytest

from server.errors import NotAcceptable, UnsupportedMediaType
from server.negotiation import (
    ARROW,
    CSV,
    JSON,
    BodyForm,
    check_accepts,
    check_json_body,
    form_of_body,
    preferred,
    prefers_lenient,
)


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
    ("content_type", "form"),
    [
        ("application/json; header=absent", BodyForm(JSON)),
        ("text/csv", BodyForm(CSV)),
        ('Text/CSV; charset="UTF-8"; Header="Present"', BodyForm(CSV, header=True)),
        ("text/csv;header=absent;charset=utf-8", BodyForm(CSV, header=False)),
        ("application/vnd.apache.arrow.stream", BodyForm(ARROW)),
        ("application/vnd.apache.arrow.stream; x=y", BodyForm(ARROW)),
    ],
)
def test_form_of_body(content_type: str, form: BodyForm) -> None:
    """A body's form is what its media type says, and of CSV whether its first line has names."""
    assert form_of_body(content_type, "identity") == form


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "text/csv; charset=latin-1",
        "text/csv; header=1",
        "application/vnd.apache.arrow.file",
        "text/*",
    ],
)
def test_other_forms(content_type: str) -> None:
    """Any other form is refused."""
    with pytest.raises(UnsupportedMediaType):
        form_of_body(content_type, "")


@pytest.mark.parametrize("media_type", [JSON, CSV, ARROW])
def test_coded_forms(media_type: str) -> None:
    """A coded body is refused whatever its form."""
    with pytest.raises(UnsupportedMediaType, match="without Content-Encoding"):
        form_of_body(media_type, "gzip")


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", JSON),
        ("text/csv", CSV),
        ("text/csv, */*", JSON),
        ("text/csv, */*;q=0.9", CSV),
        ("*/*, application/json;q=0.5", CSV),
        ("application/*;q=0.2, text/csv;q=0.1", JSON),
        ("application/json;q=0, application/*;q=0.2, text/csv;q=0.1", ARROW),
        ("text/csv;q=7, application/json", JSON),
        ("text/csv;q=1.9, application/json", JSON),
    ],
)
def test_preferred(accept: str, expected: str) -> None:
    """The form that the caller likes best is written; of those that he likes alike, the first that is offered."""
    assert preferred(accept, (JSON, CSV, ARROW)) == expected


def test_none_preferred() -> None:
    """Who takes none of what is offered is told all of it."""
    with pytest.raises(NotAcceptable, match=re.escape(f"writes {JSON}, {CSV} or {ARROW}, which")):
        preferred("text/html", (JSON, CSV, ARROW))


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
