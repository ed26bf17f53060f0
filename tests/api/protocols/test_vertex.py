"""Vertex AI: the paths that it names, predictions, readiness, and paths that others have."""

import json
from typing import Any

import pytest
from werkzeug.test import Client

from server.errors import SettingError
from tests.api.fronts import application_of
from tests.api.protocols.asking import ROWS, predictions_of, probabilities_of, refused
from tests.api.serving import EXAMPLES, check_headers, post, problem, serve_folder

HEALTH = "/v1/endpoints/12/deployedModels/34"
PREDICT = f"{HEALTH}:predict"


def serving(**settings: Any) -> Client:
    """Serve the default model with Vertex AI's paths."""
    given = {"vertex_predict_route": PREDICT, "vertex_health_route": HEALTH, **settings}
    return serve_folder(EXAMPLES["crime"], **given)


@pytest.fixture(name="client", scope="module")
def _client(front: str) -> Client:
    return serving()


def ask(client: Client, body: object, path: str = PREDICT) -> Any:
    """Post a body that must be answered; give the predictions."""
    response = post(client, json.dumps(body), path)
    assert response.status_code == 200, response.text
    check_headers(response)
    assert response.get_json().keys() == {"predictions"}
    return response.get_json()["predictions"]


def test_predictions_are_those_of_predict(client: Client) -> None:
    """Instances as records, lists and columns get what /api/predict predicts for them."""
    listed = [list(row.values()) for row in ROWS]
    for instances in (ROWS, listed, {name: [row[name] for row in ROWS] for name in ROWS[0]}):
        assert ask(client, {"instances": instances}) == predictions_of(client, ROWS)
    asked = {"instances": ROWS, "parameters": {"predict_method": "predict_proba"}}
    assert ask(client, asked) == probabilities_of(client, ROWS)


def test_the_document_has_the_paths(client: Client) -> None:
    """The paths that were named are in the document, whose example is answered."""
    paths = client.get("/openapi.json").get_json()["paths"]
    assert paths[HEALTH].keys() == {"get"}
    (shown,) = paths[PREDICT]["post"]["requestBody"]["content"]["application/json"]["examples"].values()
    assert len(ask(client, shown["value"])) == 1


def test_readiness() -> None:
    """The health route says 200 as long as requests are welcome, and then 503."""
    client = serving()
    assert client.get(HEALTH).get_json() == {"status": "ready"}
    application_of(client).common.readiness.drain()
    assert "send requests to another one" in refused(client.get(HEALTH), 503)["error"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        pytest.param("{", "JSON", id="not JSON"),
        pytest.param('{"inputs": []}', "`instances`", id="no instances"),
        pytest.param('{"instances": [[1, 2]]}', "expected a list of 3 values", id="short"),
        pytest.param('{"instances": [[6, "secret", 0]]}', "/0/force", id="no label"),
    ],
)
def test_refusals(client: Client, body: str, said: str) -> None:
    """What cannot be read is refused by one sentence, without the caller's values."""
    document = refused(post(client, body, PREDICT), 400)
    assert document.keys() == {"error"}
    assert said in document["error"]
    assert "secret" not in document["error"]


@pytest.mark.parametrize(
    "settings", [{"protocols": ("kserve",)}, {"vertex_predict_route": "", "vertex_health_route": ""}]
)
def test_without_paths(settings: dict[str, Any]) -> None:
    """Where it is not spoken, or no path is named, there is none."""
    client = serving(**settings)
    problem(client.get("/v1/endpoints/12"), 404)
    problem(post(client, '{"instances": []}', PREDICT), 404)
    document = client.get("/openapi.json").get_json()
    assert not [path for path in document["paths"] if path.startswith("/v1/endpoints")]


@pytest.mark.parametrize("path", ["/api/predict", "/api/health", "/metrics", "/"])
@pytest.mark.parametrize("name", ["vertex_predict_route", "vertex_health_route"])
def test_a_path_of_our_own(path: str, name: str) -> None:
    """A path that we have already stops the start with a sentence that names it."""
    with pytest.raises(SettingError, match=f"^{path} is a route of our own"):
        serving(**{name: path})


@pytest.mark.parametrize("path", ["/api/health/ready", "/api/health/live"])
def test_a_probe_of_our_own(path: str) -> None:
    """Our own probes are good for its health route, as they are."""
    client = serving(vertex_health_route=path)
    assert client.get(path).status_code == 200
    with pytest.raises(SettingError, match=r"^/api/health/ready is a route of our own"):
        serving(vertex_predict_route="/api/health/ready")


@pytest.mark.parametrize("path", ["/score", "/v1/models", "/v1/models/crime:predict", "/v1/models/crime"])
def test_a_path_of_another_protocol(path: str) -> None:
    """A path that another protocol has is Vertex AI's, and the document says so."""
    client = serving(vertex_predict_route=path)
    assert ask(client, {"instances": ROWS}, path) == predictions_of(client, ROWS)
    operations = client.get("/openapi.json").get_json()["paths"][path]
    assert {name: operation["tags"] for name, operation in operations.items()} == {"post": ["Vertex AI"]}


def test_a_path_with_a_slash_at_its_end() -> None:
    """Such a path is the one that was named; without the slash there is no route, and no page that leads there."""
    client = serving(vertex_predict_route="/AIP/predict/", vertex_health_route="/AIP/health/")
    assert ask(client, {"instances": ROWS}, "/AIP/predict/") == predictions_of(client, ROWS)
    problem(post(client, json.dumps({"instances": ROWS}), "/AIP/predict"), 404)
    problem(client.get("/AIP/health"), 404)


def test_who_may_call() -> None:
    """Predictions need the credentials that predictions need, and the health route none."""
    client = serving(auth=("predict",), api_keys="a sha256:" + "0" * 64)
    assert refused(post(client, json.dumps({"instances": ROWS}), PREDICT), 401).keys() == {"error"}
    assert client.get(HEALTH).status_code == 200


def test_the_health_route_is_a_probe(capsys: pytest.CaptureFixture[str]) -> None:
    """A health check that succeeds is told at debug, as of every probe."""
    client = serving(log_level="info")
    assert client.get(HEALTH).status_code == 200
    assert post(client, json.dumps({"instances": ROWS}), PREDICT).status_code == 200
    routes = [json.loads(line).get("route") for line in capsys.readouterr().out.splitlines()]
    assert PREDICT in routes
    assert HEALTH not in routes
