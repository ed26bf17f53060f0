"""KServe's first protocol: names, forms of rows, refusals, and whether the server lives."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from werkzeug.test import Client

from tests.api.fronts import application_of
from tests.api.protocols.asking import ROWS, bodies, example_of, predictions_of, probabilities_of, refused
from tests.api.serving import EXAMPLES, check_headers, post, serve, serve_folder
from tests.models import estimators

PREDICT = "/v1/models/crime:predict"
NAMES = list(ROWS[0])
LISTED = [list(row.values()) for row in ROWS]
COLUMNS = {name: [row[name] for row in ROWS] for name in NAMES}


def ask(client: Client, body: object, path: str = PREDICT, **headers: str) -> Any:
    """Post a body that must be answered; give the predictions."""
    response = post(client, json.dumps(body), path, **headers)
    assert response.status_code == 200, response.text
    assert response.content_type == "application/json"
    check_headers(response)
    assert list(json.loads(response.data)) == ["predictions"]
    return json.loads(response.data)["predictions"]


@pytest.mark.parametrize(
    "instances",
    [ROWS, LISTED, COLUMNS, [COLUMNS], [row | {"month": float(row["month"])} for row in ROWS]],
    ids=["records", "lists", "columns", "columns in a list", "integers as floats"],
)
def test_predictions_are_those_of_predict(crime: Client, instances: object) -> None:
    """Whatever the form of the rows, the answer is what /api/predict predicts for them."""
    assert ask(crime, {"instances": instances}) == predictions_of(crime, ROWS)


def test_codes_are_taken_for_labels(crime: Client) -> None:
    """A number for a parameter whose labels are texts is its code, as the estimator knows it."""
    coded = []
    for row in LISTED:
        codes = []
        for parameter, value in zip(application_of(crime).model.signature.parameters, row, strict=True):
            labels = dict(zip(parameter.labels, parameter.codes, strict=True))
            codes.append(labels.get(value, value))
        coded.append(codes)
    assert all(isinstance(value, (int, float)) for row in coded for value in row)
    assert ask(crime, {"instances": coded}) == predictions_of(crime, ROWS)


def test_examples_answer_by_their_own_names(example: Client) -> None:
    """Each example answers its own row as /api/predict does, under the name that it is listed by."""
    name = json.loads(example.get("/v1/models").data)["models"][0]
    row = example_of(example)
    assert ask(example, {"instances": [row, row]}, f"/v1/models/{name}:predict") == predictions_of(example, [row, row])


@pytest.mark.parametrize("name", list(estimators()))
def test_any_estimator_answers(name: str) -> None:
    """Classifiers, regressors, clusterers and models of several outputs answer as /api/predict does."""
    client = serve(estimators()[name])
    rows = [example_of(client)] * 2
    assert ask(client, {"instances": rows}, "/v1/models/model:predict") == predictions_of(client, rows)


def test_probabilities_are_given_where_they_are_asked_for(crime: Client) -> None:
    """A request may ask for the probabilities, in the order of the labels."""
    body = {"instances": ROWS, "parameters": {"predict_method": "predict_proba"}}
    assert ask(crime, body) == probabilities_of(crime, ROWS)


def test_the_operator_may_choose_probabilities() -> None:
    """With the setting a request that says nothing gets probabilities, from a model that has them."""
    client = serve_folder(EXAMPLES["crime"], predictions="predict_proba")
    assert ask(client, {"instances": ROWS}) == probabilities_of(client, ROWS)
    assert ask(client, {"instances": ROWS, "parameters": {"predict_method": "predict"}}) == predictions_of(client, ROWS)
    numbers = serve_folder(EXAMPLES["wine"], predictions="predict_proba")
    row = example_of(numbers)
    name = application_of(numbers).model.identity.name
    assert ask(numbers, {"instances": [row]}, f"/v1/models/{name}:predict") == predictions_of(numbers, [row])


def test_the_model_is_listed_and_shown(crime: Client) -> None:
    """The list has the only model, which is shown by its name."""
    assert json.loads(crime.get("/v1/models").data) == {"models": ["crime"]}
    assert json.loads(crime.get("/v1/models/crime").data) == {"name": "crime", "ready": True}


def test_a_server_that_stops_is_not_ready() -> None:
    """While the server drains its model is shown as 503, which KServe's client takes for not ready."""
    client = serve_folder(EXAMPLES["crime"])
    application_of(client).common.readiness.drain()
    assert "error" in refused(client.get("/v1/models/crime"), 503)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/models/other"),
        ("POST", "/v1/models/other:predict"),
        ("POST", "/v1/models/other:explain"),
        ("POST", "/v1/models/Crime:predict"),
    ],
)
def test_other_models_are_unknown(crime: Client, method: str, path: str) -> None:
    """Any other name is 404, and the refusal names the model that is there."""
    response = crime.open(path, method=method, json={"instances": ROWS} if method == "POST" else None)
    assert refused(response, 404) == {"error": "There is no such model; the one that is served here is crime."}


@pytest.mark.parametrize("path", ["crime/stats", "crime/versions/1", "crime:other"])
def test_what_is_below_the_model_is_no_model(crime: Client, path: str) -> None:
    """A route that there is not below the model is told as one."""
    said = refused(crime.get(f"/v1/models/{path}"), 404)
    assert said == {"error": "The model has no such route; /api/docs lists them all."}


def test_there_is_no_explainer(crime: Client) -> None:
    """To explain is 501, also for a good request."""
    assert list(refused(post(crime, json.dumps({"instances": ROWS}), "/v1/models/crime:explain"), 501)) == ["error"]


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        pytest.param("{", 400, "The body is not JSON", id="no JSON"),
        pytest.param("", 400, "The body is empty", id="empty"),
        pytest.param('{"instances": [], "instances": []}', 400, "the same key twice", id="a key twice"),
        pytest.param(json.dumps(ROWS), 400, "`instances`", id="rows alone"),
        pytest.param('{"inputs": []}', 400, "`instances`", id="another member"),
        pytest.param('{"instances": null}', 400, "`instances` must be a list", id="null"),
        pytest.param('{"instances": []}', 400, "at least one", id="no row"),
        pytest.param('{"instances": [[1, 2]]}', 400, "expected a list of 3 values", id="short"),
        pytest.param('{"instances": [[1, 1, 1], [1]]}', 400, "row 1: expected a list of 3", id="ragged"),
        pytest.param('{"instances": {"month": [1], "force": []}}', 400, "column force has 0", id="ragged columns"),
        pytest.param('{"instances": [{"month": 13}]}', 400, "/0/month: month must be", id="out of range"),
        pytest.param('{"instances": [{"month": 6, "x": "secret"}]}', 400, "/0/x: There is no such field", id="extra"),
        pytest.param('{"instances": [{"month": NaN}]}', 400, "The body is not JSON", id="NaN"),
        pytest.param('{"instances": [[1e400, 0, 0]]}', 400, "The body is not JSON", id="a huge number"),
        pytest.param('{"instances": [[1e300, 0, 0]]}', 400, "/0/month: month must be", id="a large number"),
        pytest.param('{"instances": [[6, "secret", 0]]}', 400, "/0/force: force must be one of its", id="no label"),
        pytest.param('{"instances": [[6, 0, 99]]}', 400, "labels; got a number that is no label's code", id="no code"),
        pytest.param('{"instances": [[1,1,1]], "parameters": 3}', 400, "`parameters` must be", id="parameters"),
        pytest.param('{"instances": [' + ",".join(["[1,1,1]"] * 10_001) + "]}", 413, "rows", id="too many rows"),
    ],
)  # fmt: skip
def test_bad_bodies_are_refused(crime: Client, body: str, status: int, sentence: str) -> None:
    """Whatever is wrong is one sentence for people, in the form of the protocol, without a caller's value."""
    document = refused(post(crime, body, PREDICT), status)
    assert list(document) == ["error"]
    assert sentence in document["error"]
    assert "secret" not in document["error"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"Content_Type": "application/json; charset=utf-8"}, 200, id="with a charset"),
        pytest.param({"Content_Type": ""}, 200, id="no type"),
        pytest.param({"Content_Type": "text/csv"}, 415, id="CSV"),
        pytest.param({"Content_Encoding": "gzip"}, 415, id="compressed"),
        pytest.param({"Accept": "*/*"}, 200, id="any answer"),
        pytest.param({"Accept": "text/csv"}, 406, id="an answer in CSV"),
    ],
)
def test_media_types(crime: Client, headers: dict[str, str], status: int) -> None:
    """JSON is read and written, also where a request does not say that it is JSON."""
    response = post(crime, json.dumps({"instances": ROWS}), PREDICT, **headers)
    assert response.status_code == status
    if status != 200:
        assert "error" in refused(response, status)


def test_other_methods_are_refused_in_the_protocols_form(crime: Client) -> None:
    """A method that a route does not have is 405 with `Allow`, as everywhere."""
    response = post(crime, "{}", "/v1/models")
    assert "error" in refused(response, 405)
    assert response.headers["Allow"] == "GET, HEAD, OPTIONS"


@given(bodies)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_json_has_an_answer(crime: Client, value: object) -> None:
    """No JSON is a failure of ours: it is predictions or a refusal."""
    for body in (value, {"instances": value}, {"instances": ROWS, "parameters": value}):
        response = post(crime, json.dumps(body), PREDICT)
        if response.status_code == 200:
            assert list(json.loads(response.data)) == ["predictions"]
        else:
            assert list(refused(response, 400)) == ["error"]


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        pytest.param("", 200, id="nothing"),
        pytest.param("*/*", 200, id="anything"),
        pytest.param("application/json", 200, id="JSON"),
        pytest.param("text/html,application/xhtml+xml,*/*;q=0.8", 307, id="a browser"),
        pytest.param("image/png", 307, id="no JSON"),
    ],
)
def test_the_root_says_that_the_server_lives(crime: Client, accept: str, status: int) -> None:
    """The root is KServe's sign of life, and leads those who name HTML to the documentation."""
    response = crime.get("/", headers={"Accept": accept} if accept else {})
    assert response.status_code == status
    if status == 200:
        assert json.loads(response.data) == {"status": "alive"}
    else:
        assert response.headers["Location"] == "/api/docs"


def test_without_the_protocol_the_root_leads_to_the_documentation() -> None:
    """Switched off, the root has one answer for everybody, and the document says so."""
    client = serve_folder(EXAMPLES["crime"], protocols=("mlflow",))
    document = json.loads(client.get("/openapi.json").data)
    assert next(iter(document["paths"]["/"]["get"]["responses"])) == "307"
    assert client.get("/").status_code == 307
