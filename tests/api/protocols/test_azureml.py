"""Azure Machine Learning's scoring: forms of rows, refusals, and where it is not."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from werkzeug.test import Client

from tests.api.protocols.asking import ROWS, bodies, example_of, predictions_of, probabilities_of, refused
from tests.api.serving import check_headers, post

NAMES = list(ROWS[0])
LISTED = [list(row.values()) for row in ROWS]
SPLIT = {"columns": NAMES, "index": [7, 8, 9], "data": LISTED}


def ask(client: Client, body: object) -> Any:
    """Post a body that must be answered; give the list."""
    response = post(client, json.dumps(body), "/score")
    assert response.status_code == 200, response.text
    assert response.content_type == "application/json"
    check_headers(response)
    return json.loads(response.data)


@pytest.mark.parametrize("member", ["input_data", "data"])
@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(SPLIT, id="split"),
        pytest.param({"data": LISTED, "columns": NAMES}, id="split without index"),
        pytest.param({"data": LISTED}, id="split without columns"),
        pytest.param(
            {"columns": NAMES[::-1], "index": None, "data": [row[::-1] for row in LISTED]}, id="another order"
        ),
        pytest.param(ROWS, id="records"),
        pytest.param(LISTED, id="lists"),
        pytest.param({name: [row[name] for row in ROWS] for name in NAMES}, id="columns"),
    ],
)
def test_values_are_those_of_predict(crime: Client, member: str, rows: object) -> None:
    """Whatever the form of the rows, the answer is a list of what /api/predict predicts for them."""
    assert ask(crime, {member: rows}) == predictions_of(crime, ROWS)


def test_every_example(example: Client) -> None:
    """Each of the examples answers its own example row, in a table as its document shows it."""
    body = example.get("/openapi.json").get_json()["paths"]["/score"]["post"]["requestBody"]
    (shown,) = body["content"]["application/json"]["examples"].values()
    assert ask(example, shown["value"]) == predictions_of(example, [example_of(example)])


def test_probabilities(crime: Client) -> None:
    """A request may ask for the probabilities."""
    body = {"input_data": SPLIT, "params": {"predict_method": "predict_proba"}}
    assert ask(crime, body) == probabilities_of(crime, ROWS)


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        pytest.param("{", 400, "JSON", id="not JSON"),
        pytest.param("[]", 400, "`input_data`", id="no object"),
        pytest.param('{"Inputs": []}', 400, "`input_data`", id="no rows"),
        pytest.param('{"input_data": [[1,1,1]], "data": [[1,1,1]]}', 400, "`input_data`", id="both"),
        pytest.param('{"input_data": 3}', 400, "`input_data` must be", id="a number"),
        pytest.param('{"input_data": []}', 400, "give at least one", id="none"),
        pytest.param('{"input_data": {"columns": "month", "data": []}}', 400, "`input_data.columns`", id="columns"),
        pytest.param('{"input_data": {"columns": ["a", "a"], "data": [[1, 2]]}}', 400, "same name twice", id="twice"),
        pytest.param('{"input_data": {"columns": [[]], "data": [[1]]}}', 400, "the parameters' names", id="no names"),
        pytest.param('{"input_data": {"columns": ["month"], "data": 3}}', 400, "`data`, a list of rows", id="data"),
        pytest.param('{"input_data": {"columns": ["month", "x"], "data": [[1]]}}', 400, "row 0: expected", id="ragged"),
        pytest.param('{"input_data": {"columns": ["month"], "data": [[6]]}}', 400, "force is missing", id="missing"),
        pytest.param('{"input_data": [{"month": 13}]}', 400, "/0/month", id="out of range"),
        pytest.param('{"input_data": [[6, "secret", 0]]}', 400, "/0/force", id="no label"),
        pytest.param('{"input_data": [[1,1,1]], "params": {"predict_method": "x"}}', 400, "`params.", id="method"),
        pytest.param('{"data": [' + ",".join(["[1,1,1]"] * 10_001) + "]}", 413, "rows", id="too many rows"),
    ],
)
def test_refusals(crime: Client, body: str, status: int, said: str) -> None:
    """What cannot be read is refused by a message in Azure's form, without the caller's values."""
    document = refused(post(crime, body, "/score"), status)
    assert document.keys() == {"message"}
    assert said in document["message"]
    assert "secret" not in document["message"]


def test_other_refusals(crime: Client) -> None:
    """Methods and media types are refused in the same form."""
    assert refused(crime.get("/score"), 405).keys() == {"message"}
    assert refused(post(crime, "a,b", "/score", Content_Type="text/csv"), 415).keys() == {"message"}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=bodies)
def test_never_a_failure_of_ours(crime: Client, rows: Any) -> None:
    """Whatever the rows are, they are answered or refused."""
    assert post(crime, json.dumps({"input_data": rows}), "/score").status_code in (200, 400, 413)
