"""The health routes: live touches nothing, ready asks whether requests are welcome, health shows the components."""

import json
from typing import Any

import pytest
from numpy.typing import NDArray
from werkzeug.test import Client

from tests.api.fronts import application_of
from tests.api.moody import Moody
from tests.api.serving import check_headers, post, problem, serve


@pytest.fixture
def client() -> Client:
    """An application of its own, which is going to drain."""
    return serve(Moody(), metadata={"name": "moody", "version": 3})


def drain(client: Client) -> None:
    """Ask the application to get ready for its end, as the server's stop does."""
    application_of(client).common.readiness.drain()


def test_a_started_server_is_live_and_ready(client: Client) -> None:
    """After load, trial and warm-up both probes are answered with 200."""
    for name, status in (("live", "alive"), ("ready", "ready")):
        response = client.get(f"/api/health/{name}")
        assert (response.status_code, response.json) == (200, {"status": status})
        check_headers(response)


def test_the_components_are_shown(client: Client) -> None:
    """`/api/health` shows each component with its state."""
    assert client.get("/api/health").json == {
        "status": "ready",
        "components": {
            "server": {"status": "ready"},
            "model": {"status": "ready", "name": "moody", "version": "3"},
            "engine": {"status": "ready", "name": "pickle"},
        },
    }


def test_a_draining_server_is_live_and_not_ready(client: Client) -> None:
    """While draining, readiness is a 503 with Retry-After, and everything else goes on."""
    drain(client)
    response = client.get("/api/health/ready")
    document = problem(response, 503)
    assert document["type"] == "docs/errors.md#not-ready"
    assert int(response.headers["Retry-After"]) >= 1
    assert client.get("/api/health/live").status_code == 200
    assert "\nbrinery_ready 0.0\n" in client.get("/metrics").text
    assert post(client, json.dumps({"x0": 1})).status_code == 200
    health = client.get("/api/health")
    assert health.status_code == 200
    assert health.json is not None
    assert health.json["status"] == health.json["components"]["server"]["status"] == "draining"


def test_probes_answer_head(client: Client) -> None:
    """HEAD is enough for a probe."""
    assert client.head("/api/health/ready").status_code == 200
    drain(client)
    problem(client.head("/api/health/ready"), 503, head=True)


def test_the_model_is_warm_before_the_first_request() -> None:
    """Creating the application makes a prediction, so that no caller pays for the first."""
    calls: list[int] = []

    class Counting(Moody):
        def predict(self, X: NDArray[Any]) -> NDArray[Any]:
            calls.append(1)
            return super().predict(X)

    client = serve(Counting())
    assert calls
    before = len(calls)
    for name in ("", "/live", "/ready"):
        client.get(f"/api/health{name}")
    assert len(calls) == before, "no probe touches the model"
