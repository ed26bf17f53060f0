"""CORS: who may call us from a page, as the Fetch standard has it."""

import json

import pytest
from werkzeug.test import Client

from tests.api.moody import Moody
from tests.api.serving import post, problem, serve

PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
ALLOWED = ("https://app.example", "http://localhost:3000")
LENGTH = "Inference-Header-Content-Length"  # which binary tensors need


@pytest.fixture(scope="module")
def some(front: str) -> Client:
    """Two origins may call."""
    return serve(Moody(), cors_origins=ALLOWED)


@pytest.fixture(scope="module")
def everybody(front: str) -> Client:
    """Every origin may call."""
    return serve(Moody(), cors_origins=("*",))


def test_by_default_nobody_may() -> None:
    """Without the setting no answer has a word about CORS."""
    client = serve(Moody())
    for response in (
        client.options("/api/predict", headers={"Origin": ALLOWED[0], **PREFLIGHT}),
        post(client, '{"x0":1}', Origin=ALLOWED[0]),
    ):
        assert not [name for name in response.headers.keys() if name.lower().startswith("access-control")]  # noqa: SIM118


@pytest.mark.parametrize("origin", ALLOWED)
def test_an_allowed_origin_is_named(some: Client, origin: str) -> None:
    """A listed origin is given back, errors included, and caches are told."""
    for response in (
        post(some, '{"x0":1}', Origin=origin),
        post(some, "{", Origin=origin),
        some.get("/x", headers={"Origin": origin}),
    ):
        assert response.headers["Access-Control-Allow-Origin"] == origin
        assert "Origin" in response.headers["Vary"]
        exposed = response.headers["Access-Control-Expose-Headers"]
        for name in ("X-Request-ID", "X-Model-Version", "Server-Timing", "Retry-After", "Preference-Applied", LENGTH):
            assert name in exposed


def test_a_preflight_is_answered(some: Client) -> None:
    """A preflight says methods and headers, without a body."""
    response = some.options("/api/predict", headers={"Origin": ALLOWED[0], **PREFLIGHT})
    assert response.status_code == 204
    assert not response.data
    assert response.headers["Access-Control-Allow-Origin"] == ALLOWED[0]
    assert "POST" in response.headers["Access-Control-Allow-Methods"]
    allowed = response.headers["Access-Control-Allow-Headers"].lower()
    assert all(name in allowed for name in ("content-type", "prefer", "x-request-id", "traceparent", LENGTH.lower()))
    assert int(response.headers["Access-Control-Max-Age"]) > 0


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "https://app.example.evil.example",
        "https://app.example:8443",
        "http://app.example",
        "https://APP.example",
        "https://app.example/",
        "https://app.example, https://evil.example",
        "null",
        "*",
        "",
    ],
)
def test_other_origins_are_not(some: Client, origin: str) -> None:
    """Any other origin gets the answer without leave to read it; caches are told that it depends."""
    for response in (
        post(some, '{"x0":1}', Origin=origin),
        some.options("/api/predict", headers={"Origin": origin, **PREFLIGHT}),
    ):
        assert "Access-Control-Allow-Origin" not in response.headers
        assert "Access-Control-Allow-Methods" not in response.headers
        assert "Origin" in response.headers["Vary"]


def test_everybody_may_with_a_star(everybody: Client) -> None:
    """With `*` every origin may read, never with credentials."""
    response = post(everybody, '{"x0":1}', Origin="https://any.example")
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in response.headers
    assert everybody.options("/api/predict", headers={"Origin": "null"}).headers["Access-Control-Allow-Origin"] == "*"


def test_requests_without_an_origin_are_as_ever(everybody: Client, some: Client) -> None:
    """A client that is no browser sees no difference."""
    for client in (everybody, some):
        response = post(client, json.dumps({"x0": 1}))
        assert response.json == {"prediction": 1.0}
        assert "Access-Control-Allow-Origin" not in response.headers


def test_a_preflight_for_no_route_is_a_problem(some: Client) -> None:
    """CORS makes no route."""
    problem(some.options("/nowhere", headers={"Origin": ALLOWED[0], **PREFLIGHT}), 404)
