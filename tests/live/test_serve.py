"""`brinery serve` as an operator runs it: it boots, answers what the model says, and ends well."""

import http.client
import itertools
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
import pytest

from tests.live.bundles import Gate
from tests.live.metrics import counters, scrape
from tests.live.running import (
    BIN,
    PATIENCE,
    REPOSITORY,
    Program,
    Server,
    bundle_of,
    environ_with,
    eventually,
    free_port,
)

pytestmark = pytest.mark.live

THEFT = {"force": "Thames Valley Police", "crime": "Bicycle theft", "month": 10}
EXAMPLES = ("crime", "titanic", "wine", "adult", "reviews")
GUNICORN = (sys.executable, "-m", "gunicorn")
PLAIN = {"wsgi": (), "asgi": ("--worker-class", "asgi")}  # Gunicorn's own worker for each kind of application


def unpickled(name: str, file: str) -> Any:
    """Unpickle a file of a committed bundle, None where it has no such file."""
    path = bundle_of(name) / file
    return joblib.load(path) if path.exists() else None


def own_answer(name: str, row: dict[str, Any]) -> list[float]:
    """Give what the bundle's model itself says of a labelled row."""
    model, lookup = unpickled(name, "model.pkl"), unpickled(name, "lookup.pkl") or {}
    codes = {key: lookup[key][value] if isinstance(lookup.get(key), dict) else value for key, value in row.items()}
    if name == "reviews":
        rows: Any = list(codes.values())
    else:
        rows = pd.DataFrame([codes])[list(model.feature_names_in_)]
    numbers: list[float] = (model.predict if name == "wine" else model.predict_proba)(rows).ravel().tolist()
    return numbers


def test_the_models_own_numbers(crime: Server) -> None:
    """A bicycle theft in the Thames Valley gets the model's own probabilities under their labels."""
    answer = crime.request("POST", "/api/predict", THEFT)
    assert answer.status == 200
    assert answer.json == dict(zip(unpickled("crime", "labels.pkl"), own_answer("crime", THEFT), strict=True))
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["X-Model-Name"] == "crime"
    assert answer.headers["X-Model-Version"] == "1"


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_is_served(name: str, serving: Callable[[str], Server]) -> None:
    """Each committed bundle boots, and answers its document's example with the model's own numbers."""
    server = serving(name)
    document = server.request("GET", "/openapi.json").json
    examples = document["paths"]["/api/predict"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    row = examples["one row"]["value"]
    answer = server.request("POST", "/api/predict", row)
    assert answer.status == 200
    assert list(answer.json.values()) == own_answer(name, row)
    assert server.request("POST", "/api/predict", [row, row]).json == [answer.json, answer.json]


def test_log_lines(crime: Server) -> None:
    """Each line is JSON; a request's has its id, route, status, time and trace, and none of its caller's values."""
    trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    headers = {"X-Request-ID": "log-1", "traceparent": f"00-{trace}-{parent}-01"}
    rows = [THEFT, THEFT | {"force": "Sherlock Holmes"}]
    answer = crime.request("POST", "/api/predict?detail=moriarty", rows, headers | {"Prefer": "handling=lenient"})
    assert answer.status == 422
    assert answer.headers["X-Request-ID"] == "log-1"
    line = crime.wait_for_event("request", request_id="log-1")
    assert line.pop("duration_ms") > 0
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "request",
        "level": "info",
        "request_id": "log-1",
        "method": "POST",
        "route": "/api/predict",
        "status": 422,
        "model_version": "1",
        "trace_id": trace,
        "parent_id": parent,
    }
    crime.request("POST", "/api/predict", rows, {"X-Request-ID": "log-2"})
    crime.request("GET", "/baker-street", headers={"X-Request-ID": "log-3"})
    assert crime.wait_for_event("request", request_id="log-3")["route"] == "unmatched"
    assert crime.wait_for_event("started")["model"] == "crime"
    assert all(json.loads(each)["event"] for each in crime.out)
    assert not [each for each in crime.out if "Sherlock" in each or "moriarty" in each or "baker" in each]


def test_options_and_environment() -> None:
    """A setting is an environment variable or an option, and the option wins; each worker is a process."""
    port = free_port()
    options = ("--host", "127.0.0.1", f"--port={port}", "--bundle", bundle_of("wine"), "--workers", "3")
    given = {"BRINERY_BUNDLE": "/nowhere", "BRINERY_PORT": "1", "BRINERY_WORKERS": "1", "BRINERY_MAX_ROWS": "1"}
    with Server(*options, port=port, environ=given) as server:
        assert server.request("GET", "/api/info").json["model"]["name"] == "wine"
        assert server.request("POST", "/api/predict", [{}, {}]).status == 413
        eventually(lambda: len(server.workers()) == 3, "three workers")


@pytest.mark.slow
def test_variables_that_kubernetes_sets() -> None:
    """What Kubernetes writes into the environment for a Service called brinery does not stop the start."""
    port = free_port()
    links = {"BRINERY_SERVICE_HOST": "10.0.0.1", "BRINERY_SERVICE_PORT_HTTP": "80", "BRINERY_PORT_80_TCP_PROTO": "tcp"}
    with Server(f"--port={port}", port=port, environ=links | {"BRINERY_PORT": "tcp://10.0.0.1:80"}) as server:
        assert server.request("POST", "/api/predict", THEFT).status == 200


@pytest.fixture(scope="module")
def elsewhere(front: str) -> Iterator[Server]:
    """Serve on an address of IPv6, with a log for people."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6")
    with Server(host="::1", front=front, log_format="console") as server:
        yield server


def test_ipv6(elsewhere: Server) -> None:
    """An address of IPv6 is listened on as it is written."""
    assert elsewhere.request("POST", "/api/predict", THEFT).status == 200


def test_log_for_people(elsewhere: Server) -> None:
    """With LOG_FORMAT=console the lines are for people, Gunicorn's too."""
    elsewhere.request("GET", "/api/info", headers={"X-Request-ID": "for-people"})
    line = elsewhere.wait_for_line(lambda line: "for-people" in line)
    assert "route=/api/info" in line
    assert "status=200" in line
    assert any("Listening at" in line for line in elsewhere.out)
    assert not [line for line in elsewhere.out if line.startswith("{")]


@pytest.mark.slow
def test_quiet_log(front: str) -> None:
    """Without an access log, and from warnings up, a server that works says nothing."""
    with Server(front=front, access_log="false", log_level="warning") as server:
        assert server.request("POST", "/api/predict", THEFT).status == 200
        server.stop()
        assert server.out == []


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    """Make a bundle whose model stops where it is told to."""
    return Gate(tmp_path)


def test_stop_answers_what_is_in_flight(gate: Gate, front: str) -> None:
    """After SIGTERM nobody new is let in, who is inside is answered, and the exit status is 0."""
    server = Server(bundle=gate.bundle, front=front, environ=gate.environ)
    with server, ThreadPoolExecutor() as pool:
        inside = pool.submit(server.request, "POST", "/api/predict", {"x0": 42})
        gate.wait_until_entered()
        server.terminate()
        eventually(lambda: not server.is_listening(), "the end of listening")
        assert server.process.poll() is None
        gate.open()
        answer = inside.result(PATIENCE)
        assert (answer.status, answer.json) == (200, {"prediction": 0.0})
        server.check_end()


def test_stop_under_load(front: str) -> None:
    """Whoever could connect before the stop is answered; whoever comes later is refused at once.

    But for one moment: between the last look at who waits and the close of the listening socket, which are two calls
    of the system, somebody may slip in. He is cut off, and refused when he tries again.
    """

    def call_until_refused() -> int:
        cut_off = 0
        for count in itertools.count():
            try:
                assert server.request("POST", "/api/predict", THEFT).status == 200
                assert not cut_off, "it had closed"
            except ConnectionRefusedError:
                return count - cut_off
            except ConnectionResetError:
                cut_off += 1
                assert cut_off == 1
        raise AssertionError

    with Server(front=front, workers=2) as server, ThreadPoolExecutor(8) as pool:
        callers = [pool.submit(call_until_refused) for _ in range(8)]
        eventually(lambda: sum('"route":"/api/predict"' in line for line in server.out) > 100, "a hundred requests")
        server.terminate()
        assert sum(caller.result(PATIENCE) for caller in callers) > 100
        server.check_end()


@pytest.mark.slow
def test_stop_waits_no_longer_than_it_may(gate: Gate, front: str) -> None:
    """A request that does not end in GRACEFUL_TIMEOUT does not hold up the stop."""
    server = Server(bundle=gate.bundle, front=front, environ=gate.environ, graceful_timeout=1)
    with server, ThreadPoolExecutor() as pool:
        inside = pool.submit(server.request, "POST", "/api/predict", {"x0": 42})
        gate.wait_until_entered()
        server.stop()
        with pytest.raises((OSError, http.client.HTTPException)):
            inside.result(PATIENCE)


def test_drain(front: str) -> None:
    """While draining it is alive, not ready, and answers; asked once more, it stops at once."""
    with Server(front=front, drain_delay=600, workers=2) as server:
        server.terminate()
        server.wait_for_event("draining", seconds=600.0)
        with ThreadPoolExecutor(4) as pool:
            ready = list(pool.map(lambda _: server.request("GET", "/api/health/ready"), range(20)))
        assert {answer.status for answer in ready} == {503}
        assert {answer.headers["Retry-After"] for answer in ready} == {"1"}
        assert {answer.json["type"] for answer in ready} == {"docs/errors.md#not-ready"}
        assert server.request("GET", "/api/health/live").status == 200
        assert server.request("GET", "/api/health").json["status"] == "draining"
        assert server.request("POST", "/api/predict", THEFT).status == 200
        server.stop()


def test_drain_ends_by_itself(front: str) -> None:
    """After DRAIN_DELAY it stops."""
    with Server(front=front, drain_delay=1) as server:
        server.terminate()
        server.wait_for_event("draining")
        assert server.request("POST", "/api/predict", THEFT).status == 200
        server.check_end()


def test_a_killed_worker_is_replaced(front: str) -> None:
    """A worker that is killed is replaced, and no counter goes down or is lost."""
    with Server(front=front, workers=2) as server:
        eventually(lambda: len(server.workers()) == 2, "two workers")
        for _ in range(20):
            assert server.request("POST", "/api/predict", THEFT).status == 200
        before, first = counters(scrape(server)), server.workers()
        os.kill(first[0], signal.SIGKILL)
        eventually(lambda: len(set(server.workers()) - set(first)) == 1, "a new worker")
        eventually(lambda: first[0] not in server.workers(), "the end of the old one")
        after = counters(scrape(server))
        assert {key: after.get(key, 0) for key in before if after.get(key, 0) < before[key]} == {}
        for _ in range(20):
            assert server.request("POST", "/api/predict", THEFT).status == 200
        predicted = ("brinery_http_requests_total", "method=POST", "route=/api/predict", "status=200")
        assert counters(scrape(server))[predicted] == 40


@pytest.mark.slow
def test_a_killed_worker_has_nothing_in_flight(gate: Gate, front: str) -> None:
    """What a killed worker was working on is not in flight for ever."""
    server = Server(bundle=gate.bundle, front=front, environ=gate.environ, workers=2)
    in_flight = ("brinery_http_requests_in_flight",)
    with server, ThreadPoolExecutor() as pool:
        eventually(lambda: len(server.workers()) == 2, "two workers")
        first = server.workers()
        inside = pool.submit(server.request, "POST", "/api/predict", {"x0": 42})
        gate.wait_until_entered()
        assert scrape(server)[in_flight] == 2, "that one, and the one that asks"
        for pid in first:
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: len(server.workers()) == 2 and not set(first) & set(server.workers()), "two new workers")
        assert scrape(server)[in_flight] == 1
        with pytest.raises((OSError, http.client.HTTPException)):
            inside.result(PATIENCE)


def test_a_port_that_is_taken(crime: Server, front: str) -> None:
    """A port on which someone else listens ends the start with a sentence that names it."""
    environ = environ_with({"host": crime.host, "port": crime.port, "workers": 1, "front": front})
    with Program(BIN / "brinery", "serve", environ=environ) as program:
        assert program.wait() != 0
        assert program.out == []
        [line] = program.err
        assert line.startswith(f"brinery: BRINERY_HOST 127.0.0.1 and BRINERY_PORT {crime.port} cannot be listened on")
        assert not list(program.scratch.glob("brinery-*")), "files were left behind"


@pytest.mark.parametrize(
    ("front", "workers"),
    [("wsgi", 1), pytest.param("wsgi", 2, marks=pytest.mark.slow), ("asgi", 1)],
    indirect=["front"],
)
def test_gunicorn(workers: int, front: str, tmp_path: Path) -> None:
    """Plain Gunicorn serves the application by workers of its own; several, where they have a folder for metrics."""
    port = free_port()
    options = ("--bind", f"127.0.0.1:{port}", "--workers", str(workers), *PLAIN[front], f"server.{front}:app")
    folder = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)} if workers > 1 else {}
    with Server(*options, command=GUNICORN, port=port, environ=folder) as server:
        assert server.request("POST", "/api/predict", THEFT).status == 200
        assert server.request("GET", "/metrics").status == 200
        server.terminate()
        assert server.wait() == 0, server.said
        assert "Traceback" not in server.said


@pytest.mark.slow
def test_gunicorn_with_our_configuration(front: str) -> None:
    """Gunicorn with our configuration is what `brinery serve` starts, settings and all."""
    options = ("-c", "python:server.gunicorn_conf", f"server.{front}:app")
    with Server(*options, command=GUNICORN, front=front) as server:
        assert server.request("POST", "/api/predict", THEFT).status == 200
        server.wait_for_event("request", route="/api/predict")


@pytest.mark.parametrize(
    "ours", [pytest.param(False, id="plain"), pytest.param(True, id="our configuration", marks=pytest.mark.slow)]
)
def test_workers_that_would_count_apart(ours: bool, front: str) -> None:
    """Two workers that could not add up their metrics stop Gunicorn at boot with a sentence."""
    port = free_port()
    plain = ("--bind", f"127.0.0.1:{port}", "--workers", "2", *PLAIN[front])
    options = ("-c", "python:server.gunicorn_conf") if ours else plain
    environ = environ_with({"host": "127.0.0.1", "port": port, "workers": 2, "front": front})
    with Program(*GUNICORN, *options, f"server.{front}:app", environ=environ) as program:
        assert program.wait() not in (0, -signal.SIGKILL)
        sentences = {line for line in program.err if line.startswith("brinery: ")}
        assert len(sentences) == 1, program.said
        assert "PROMETHEUS_MULTIPROC_DIR" in sentences.pop()
        # Plain Gunicorn may trip over its second worker's end while it reports the first one's: not in our code.
        assert str(REPOSITORY / "server") not in program.said
        assert not ours or "Traceback" not in program.said


def test_flask() -> None:
    """Flask's own server, for development, serves the application."""
    port = free_port()
    command = (sys.executable, "-m", "flask", "--app", "server.wsgi", "run", "--port", str(port))
    with Server(command=command, port=port) as server:
        assert server.request("POST", "/api/predict", THEFT).status == 200
        server.terminate()
        server.wait()
        assert "Traceback" not in server.said
