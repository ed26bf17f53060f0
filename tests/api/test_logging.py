"""Log lines: one JSON object for a request, with the fields that are promised and no others."""

import json
import re
from datetime import datetime
from typing import Any

import pytest
from werkzeug.test import Client

from server.telemetry import EVENTS
from tests.api.moody import RAISE, Moody
from tests.api.serving import post, problem, serve

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
FIELDS = {"timestamp", "level", "event", "request_id", "method", "route", "status", "duration_ms", "model_version"}


@pytest.fixture
def client(capsys: pytest.CaptureFixture[str]) -> Client:
    """An application that logs, whose first lines are read."""
    client = serve(Moody(), metadata={"version": 7}, log_level="info")
    capsys.readouterr()
    return client


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Read what was written since the last time; nothing goes to standard error."""
    written = capsys.readouterr()
    assert written.err == ""
    return [json.loads(line) for line in written.out.splitlines()]


def line(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Read the one line that was written."""
    (only,) = lines(capsys)
    return only


def test_a_prediction_is_one_line(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    """The line has the promised fields, rows among them, and nothing else."""
    post(client, json.dumps([{"x0": 1}, {"x0": 2}]), X_Request_ID="r-1")
    written = line(capsys)
    assert set(written) == FIELDS | {"rows"}
    moment = datetime.fromisoformat(written.pop("timestamp"))
    assert moment.tzinfo is not None
    assert 0 < written.pop("duration_ms") < 5_000
    assert written == {
        "event": "request",
        "level": "info",
        "request_id": "r-1",
        "method": "POST",
        "route": "/api/predict",
        "status": 200,
        "model_version": "7",
        "rows": 2,
    }


@pytest.mark.parametrize(
    ("path", "method", "body", "expected"),
    [
        ("/api/info?x=1", "GET", None, ("/api/info", "GET", 200)),
        ("/api/health", "GET", None, ("/api/health", "GET", 200)),
        ("/api/health/live", "OPTIONS", None, ("/api/health/live", "OPTIONS", 204)),
        ("/nowhere/at/all", "GET", None, ("unmatched", "GET", 404)),
        ("/api/predict", "PUT", "{}", ("unmatched", "PUT", 405)),
        ("/api/predict", "BREW0COFFEE", "", ("unmatched", "other", 405)),
        ("/api/predict", "POST", "{}", ("/api/predict", "POST", 422)),
        ("/api/predict", "POST", "{", ("/api/predict", "POST", 400)),
        ("/api/predict", "OPTIONS", None, ("/api/predict", "OPTIONS", 204)),
        ("/metrics", "GET", None, ("/metrics", "GET", 200)),
        ("/", "GET", None, ("/", "GET", 200)),
        ("/api/docs/assets/docs.js", "GET", None, ("/api/docs/assets/docs.js", "GET", 200)),
    ],
)
def test_every_request_is_one_line(
    client: Client,
    capsys: pytest.CaptureFixture[str],
    path: str,
    method: str,
    body: str | None,
    expected: tuple[str, str, int],
) -> None:
    """Each request, of whatever outcome, is one line with the template of its route."""
    response = client.open(path, method=method, data=body, content_type="application/json")
    written = line(capsys)
    assert set(written) == FIELDS
    assert (written["route"], written["method"], written["status"]) == expected
    assert written["request_id"] == response.headers["X-Request-ID"]


def test_a_trace_context_is_taken_over(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    """A W3C `traceparent` puts its trace and parent into the line."""
    post(client, '{"x0":1}', traceparent=f"00-{TRACE}-{PARENT}-01")
    written = line(capsys)
    assert set(written) == FIELDS | {"rows", "trace_id", "parent_id"}
    assert (written["trace_id"], written["parent_id"]) == (TRACE, PARENT)


@pytest.mark.parametrize(
    "given",
    [
        "",
        TRACE,
        f"00-{TRACE}-{PARENT}",
        f"00-{TRACE}-{PARENT}-01-x",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE}g-{PARENT}-01",
        f"00-{TRACE[:-1]}-{PARENT}-01",
    ],
)
def test_a_broken_trace_context_is_not(client: Client, capsys: pytest.CaptureFixture[str], given: str) -> None:
    """A `traceparent` that W3C's recommendation does not allow is passed over."""
    post(client, '{"x0":1}', traceparent=given)
    assert set(line(capsys)) == FIELDS | {"rows"}


def test_a_failure_has_a_line_of_its_own(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    """What failed through our fault is told before the request's line, under the same id."""
    problem(post(client, json.dumps({"x0": RAISE})), 500)
    failed, request = lines(capsys)
    assert (failed["event"], failed["level"], request["event"], request["status"]) == (
        "request_failed",
        "error",
        "request",
        500,
    )
    assert failed["request_id"] == request["request_id"]
    assert all(re.fullmatch(r"[\w.]+\.py:\d+ \S+", place) for place in failed["raised"])


def test_the_start_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """One line says what was loaded."""
    capsys.readouterr()
    serve(Moody(), metadata={"name": "größe", "version": "1.0"}, log_level="info")
    written = line(capsys)
    assert written.pop("timestamp")
    assert written.pop("microseconds_of_a_row") > 0
    assert written == {
        "event": "started",
        "level": "info",
        "rows_compared": 0,
        "sealed": False,
        "signed": False,
        "golden_requests": 0,
        "grpc_port": None,
        "model": "größe",
        "model_version": "1.0",
        "engine": "pickle",
    }


def test_every_event_is_in_the_catalogue(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    """No line has an event that the catalogue does not know."""
    post(client, json.dumps({"x0": RAISE}))
    post(client, "{")
    client.get("/nowhere")
    assert {each["event"] for each in lines(capsys)} <= set(EVENTS)


@pytest.mark.parametrize(
    "path", ["/api/health/live", "/api/health/ready", "/ping", "/health", "/v2/health/live", "/v2/health/ready", "/AIP"]
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_probes_that_succeed_are_told_at_debug(capsys: pytest.CaptureFixture[str], path: str, method: str) -> None:
    """Probes come every few seconds and say the same: their lines would drown the others."""
    for level, expected in (("info", []), ("debug", [("debug", path, method, 200)])):
        client = serve(Moody(), log_level=level, vertex_health_route="/AIP")
        capsys.readouterr()
        client.open(path, method=method)
        told = [(each["level"], each["route"], each["method"], each["status"]) for each in lines(capsys)]
        assert told == expected


def test_the_access_log_is_a_setting(capsys: pytest.CaptureFixture[str]) -> None:
    """Without it requests leave no line, failures still do."""
    client = serve(Moody(), access_log=False, log_level="info")
    capsys.readouterr()
    post(client, '{"x0":1}')
    client.get("/nowhere")
    assert lines(capsys) == []
    post(client, json.dumps({"x0": RAISE}))
    assert [each["event"] for each in lines(capsys)] == ["request_failed"]


@pytest.mark.parametrize("level", ["warning", "error"])
def test_the_level_is_a_setting(capsys: pytest.CaptureFixture[str], level: str) -> None:
    """Lines below the level are not written."""
    capsys.readouterr()
    client = serve(Moody(), log_level=level)
    post(client, '{"x0":1}')
    assert lines(capsys) == []


def test_people_get_columns(capsys: pytest.CaptureFixture[str]) -> None:
    """The console's form is one line for a request, without JSON and without colours."""
    client = serve(Moody(), log_format="console", log_level="info")
    capsys.readouterr()
    post(client, '{"x0":1}', X_Request_ID="r-9")
    (written,) = capsys.readouterr().out.splitlines()
    assert "request_id=r-9" in written
    assert "status=200" in written
    assert "\x1b" not in written
    assert not written.startswith("{")


def test_a_line_is_a_line(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing that a caller sends can begin a second line."""
    for given in ("a\nb", '{"event":"request"}', "\u2028", "a\\nb"):
        agent = given.replace("\n", "\\n").encode().decode("latin-1")  # bytes, as servers hand them on
        client.open("/" + given.replace("\n", "%0a"), headers={"User-Agent": agent})
        post(client, json.dumps({given: given}))
    assert len(lines(capsys)) == 8
