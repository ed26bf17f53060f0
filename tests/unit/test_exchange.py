"""What happens to every request."""

from collections.abc import Mapping
from typing import Any

import orjson
import pytest
import structlog

from server.errors import DeadlineExceeded, FieldError, InvalidInput, MethodNotAllowed, NotReady, PredictionError
from server.exchange import Exchange, Request, Response
from server.model import Identity
from server.routing import Route
from server.scoreboard import Record
from server.telemetry import EVENTS, MODEL_INFO, Telemetry
from tests.models import settings

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


class World:
    """An exchange with what it writes."""

    def __init__(self, identity: Identity | None = None, **given: Any) -> None:
        self.lines: list[Mapping[str, Any]] = []
        self.telemetry = Telemetry()
        log = structlog.wrap_logger(None, processors=[self._keep], wrapper_class=structlog.BoundLogger)
        identity = identity or Identity("Crime é", 2, "sha256:0")
        self.exchange = Exchange(settings(**given), identity, self.telemetry, log)

    def _keep(self, _: object, level: str, event: Any) -> Any:
        self.lines.append({"level": level, **event})
        raise structlog.DropEvent

    def ask(
        self,
        endpoint: Any = lambda _: Response(200, b"{}"),
        *,
        method: str = "POST",
        probe: bool = False,
        **headers: str,
    ) -> tuple[Response, dict[str, str]]:
        """Take a request to an endpoint; give the response, and its headers by name."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = Request(method, "/api/predict", named, {}, lambda _: b"", probe=probe)
        response = self.exchange(request, endpoint)
        return response, dict(response.headers)


def failing(error: Exception) -> Any:
    """Make an endpoint that raises."""

    def endpoint(_: Request) -> Response:
        raise error

    return endpoint


@pytest.mark.parametrize(
    "given", ["abc", "a" * 128, "4bf92f35-77b3/4da6:1+2=3@x.y_z"], ids=["plain", "longest", "every sign"]
)
def test_sane_id(given: str) -> None:
    """The caller's id is given back and reaches the endpoint."""
    seen: list[str] = []

    def endpoint(request: Request) -> Response:
        seen.append(request.id)
        return Response(200)

    assert World().ask(endpoint, X_Request_ID=given)[1]["X-Request-ID"] == given
    assert seen == [given]


@pytest.mark.parametrize(
    "given", ["", "a" * 129, "a b", "a\nb", "a\n", "é", "<script>", '"', "a,b"],
    ids=["none", "long", "space", "line break", "line end", "letter", "markup", "quote", "comma"],
)  # fmt: skip
def test_other_id(given: str) -> None:
    """Any other id is replaced by a new one."""
    said = World().ask(X_Request_ID=given)[1]["X-Request-ID"]
    assert len(said) == 32
    assert int(said, 16)


def test_headers() -> None:
    """Every answer says who answered, and how long it took; a name beyond ASCII is percent-encoded."""

    def endpoint(request: Request) -> Response:
        request.timings["parse"] = 0.0015
        return Response(200)

    _, headers = World().ask(endpoint)
    assert headers["X-Model-Name"] == "Crime %C3%A9"
    assert headers["X-Model-Version"] == "2"
    assert headers["X-Content-Type-Options"] == "nosniff"
    queue, parse, total = headers["Server-Timing"].split(", ")
    assert queue.startswith("queue;dur=")
    assert parse == "parse;dur=1.500"
    assert total.startswith("total;dur=")


@pytest.mark.parametrize("name", ["a\r\nSet-Cookie: x", "\N{SNOWMAN}", 'a"b\\c', "100%"])
def test_model_name_stays_in_its_header(name: str) -> None:
    """No name of a model can break a header."""
    _, headers = World(Identity(name, name, "")).ask()
    for said in (headers["X-Model-Name"], headers["X-Model-Version"]):
        assert said.isascii()
        assert said.isprintable()


def test_deadline_is_set() -> None:
    """A request gets the settings' deadline."""
    seen: list[float] = []

    def endpoint(request: Request) -> Response:
        assert request.deadline is not None
        seen.append(request.deadline.remaining())
        return Response(200)

    World(deadline=5.0).ask(endpoint)
    assert 4 < seen[0] <= 5


@pytest.mark.parametrize(
    ("error", "status", "lines"),
    [
        pytest.param(InvalidInput([FieldError("/n", "missing", "n is missing.")], 1), 422, 0, id="caller's"),
        pytest.param(MethodNotAllowed("No.", ["GET"]), 405, 0, id="method"),
        pytest.param(NotReady("No."), 503, 0, id="not ready"),
        pytest.param(PredictionError("Failed."), 500, 1, id="prediction"),
        pytest.param(DeadlineExceeded("Late."), 504, 1, id="deadline"),
        pytest.param(DeadlineExceeded("Late.", by_caller=True), 504, 0, id="deadline of the caller's"),
        pytest.param(ZeroDivisionError("secret"), 500, 1, id="unforeseen"),
    ],
)
def test_problems(error: Exception, status: int, lines: int) -> None:
    """An exception becomes a problem document; our own failures are logged with their place, without values."""
    world = World(access_log=False)
    response, headers = world.ask(failing(error), X_Request_ID="id-1")
    assert (response.status, response.media_type) == (status, "application/problem+json")
    assert orjson.loads(response.body)["request_id"] == headers["X-Request-ID"] == "id-1"
    assert b"secret" not in response.body
    assert len(world.lines) == lines
    for line in world.lines:
        assert (line["event"], line["level"], line["request_id"]) == ("request_failed", "error", "id-1")
        assert line["raised"][-1].startswith("test_exchange.py:")
        assert "secret" not in str(line)
    page = world.telemetry.expose("", dict.fromkeys(MODEL_INFO.labels, "x"), Record())[1].decode()
    assert "brinery_rejected_total{" in page
    assert "brinery_http_requests_in_flight 0.0" in page


def test_cause_is_told() -> None:
    """Of an error that wraps another, the log tells the other's type."""
    error = PredictionError("Failed.")
    error.__cause__ = OverflowError("secret")
    world = World(access_log=False)
    world.ask(failing(error))
    assert (world.lines[0]["error_type"], world.lines[0]["error"]) == ("OverflowError", "Failed.")


def test_problem_headers() -> None:
    """A problem comes with its own headers."""
    assert World().ask(failing(MethodNotAllowed("No.", ["GET", "HEAD"])))[1]["Allow"] == "GET, HEAD"
    assert World().ask(failing(NotReady("No.")))[1]["Retry-After"] == "1"


@pytest.mark.parametrize(
    ("traceparent", "traced"),
    [
        pytest.param(f"00-{TRACE}-{PARENT}-01", True, id="sound"),
        pytest.param(f"cc-{TRACE}-{PARENT}-00", True, id="later version"),
        pytest.param("", False, id="none"),
        pytest.param(f"ff-{TRACE}-{PARENT}-01", False, id="forbidden version"),
        pytest.param(f"00-{'0' * 32}-{PARENT}-01", False, id="zero trace"),
        pytest.param(f"00-{TRACE}-{'0' * 16}-01", False, id="zero parent"),
        pytest.param(f"00-{TRACE.upper()}-{PARENT}-01", False, id="capitals"),
        pytest.param(f"00-{TRACE}-{PARENT}", False, id="no flags"),
        pytest.param(f"00-{TRACE}-{PARENT}-01\n", False, id="line end"),
    ],
)
def test_traceparent(traceparent: str, traced: bool) -> None:
    """A sound `traceparent` is logged by its parts, any other is passed over."""
    world = World()
    world.ask(traceparent=traceparent)
    (line,) = world.lines
    assert (line.get("trace_id"), line.get("parent_id")) == ((TRACE, PARENT) if traced else (None, None))


@pytest.mark.parametrize(
    ("method", "logged"),
    [("POST", "POST"), ("A" * 17, "other"), ("GET /secret", "other")],
    ids=["known", "long", "odd"],
)
def test_log_line(method: str, logged: str) -> None:
    """A request is one line, of an event in the catalogue; a method that is none is called other."""

    def endpoint(request: Request) -> Response:
        request.rows = 3
        return Response(200)

    world = World()
    world.ask(endpoint, method=method, X_Request_ID="id-1")
    (line,) = world.lines
    assert line["event"] in EVENTS
    assert line["duration_ms"] >= 0
    expected = {"request_id": "id-1", "method": logged, "route": "/api/predict", "status": 200, "rows": 3}
    assert {name: line[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("probe", "status", "level"),
    [
        pytest.param(True, 200, "debug", id="ready"),
        pytest.param(True, 503, "info", id="not ready"),
        pytest.param(False, 200, "info", id="no probe"),
    ],
)
def test_level_of_a_line(probe: bool, status: int, level: str) -> None:
    """A probe's line is news only where the probe fails."""
    world = World(log_level="debug")
    world.ask(lambda _: Response(status), probe=probe)
    assert [line["level"] for line in world.lines] == [level]


def test_no_access_log() -> None:
    """The line of a request can be switched off."""
    world = World(access_log=False)
    world.ask()
    assert world.lines == []


def cors(origins: tuple[str, ...], method: str = "POST", origin: str = "https://a.example") -> dict[str, str]:
    """Give the headers of CORS for a request."""
    _, headers = World(cors_origins=origins).ask(method=method, Origin=origin)
    return {name: value for name, value in headers.items() if name.startswith("Access-Control") or name == "Vary"}


def test_no_cors() -> None:
    """Without the setting there are no headers of CORS."""
    assert cors(()) == {}


def test_cors_of_an_origin() -> None:
    """An origin that is named may read the answer and our headers; caches are told that origins matter."""
    headers = cors(("https://a.example", "https://b.example"))
    assert headers.pop("Access-Control-Expose-Headers").startswith("X-Request-ID, ")
    assert headers == {"Vary": "Origin", "Access-Control-Allow-Origin": "https://a.example"}


@pytest.mark.parametrize("origin", ["", "https://c.example", "null", "HTTPS://A.EXAMPLE"])
def test_cors_of_others(origin: str) -> None:
    """Any other origin may not, and caches are told nevertheless."""
    assert cors(("https://a.example",), origin=origin) == {"Vary": "Origin"}


def test_cors_of_all() -> None:
    """With `*` every origin may."""
    headers = cors(("*",))
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert "Vary" not in headers


def test_preflight() -> None:
    """A preflight is told the methods and headers."""
    headers = cors(("https://a.example",), method="OPTIONS")
    assert headers["Access-Control-Allow-Methods"] == "GET, POST, OPTIONS"
    assert "Content-Type" in headers["Access-Control-Allow-Headers"]
    assert headers["Access-Control-Max-Age"] == "600"


def test_allowed_methods() -> None:
    """A route allows its own methods, HEAD beside GET, and OPTIONS."""
    endpoint: Any = lambda _: Response(200)  # noqa: E731  # any endpoint
    assert Route("/", {"POST": endpoint}).allowed == ["OPTIONS", "POST"]
    assert Route("/", {"GET": endpoint}).allowed == ["GET", "HEAD", "OPTIONS"]
