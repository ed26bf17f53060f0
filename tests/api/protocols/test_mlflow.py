"""MLflow's scoring protocol, which is SageMaker's too: forms of frames, refusals, probes."""

import csv
import io
import json
from importlib.metadata import version
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import Client

from tests.api.fronts import application_of
from tests.api.protocols.asking import ROWS, bodies, example_of, predictions_of, probabilities_of, refused
from tests.api.serving import EXAMPLES, check_headers, post, serve, serve_folder
from tests.models import estimators

PATH = "/invocations"
NAMES = list(ROWS[0])
LISTED = [list(row.values()) for row in ROWS]
COLUMNS = {name: [row[name] for row in ROWS] for name in NAMES}
BACKWARDS = {"columns": NAMES[::-1], "data": [row[::-1] for row in LISTED]}


def split(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Write rows as MLflow's client writes a DataFrame."""
    names = list(rows[0])
    return {"index": [*range(len(rows))], "columns": names, "data": [[row[name] for name in names] for row in rows]}


def ask(client: Client, body: object, **headers: str) -> Any:
    """Post a body, a text or what is written as JSON, that must be answered; give the predictions."""
    response = post(client, body if isinstance(body, str) else json.dumps(body), PATH, **headers)
    assert response.status_code == 200, response.text
    assert response.content_type == "application/json"
    check_headers(response)
    assert list(json.loads(response.data)) == ["predictions"]
    return json.loads(response.data)["predictions"]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"dataframe_split": split(ROWS)}, id="split"),
        pytest.param({"dataframe_split": BACKWARDS}, id="split, in another order"),
        pytest.param({"dataframe_split": {"data": LISTED}}, id="split, without names"),
        pytest.param({"dataframe_split": {"columns": [0, 1, 2], "data": LISTED}}, id="split, with numbers for names"),
        pytest.param({"dataframe_split": {"columns": None, "index": None, "data": LISTED}}, id="split, null"),
        pytest.param({"dataframe_records": ROWS}, id="records"),
        pytest.param({"instances": ROWS}, id="instances"),
        pytest.param({"instances": LISTED}, id="instances in lists"),
        pytest.param({"inputs": COLUMNS}, id="inputs by column"),
        pytest.param({"inputs": LISTED}, id="inputs in lists"),
        pytest.param({"inputs": ROWS, "params": None, "client_request_id": "7"}, id="other members"),
        pytest.param({"dataframe_records": [row | {"month": row["month"] * 1.0} for row in ROWS]}, id="6.0"),
    ],
)
def test_predictions_are_those_of_predict(crime: Client, body: object) -> None:
    """Whatever the form of the rows, the answer is what /api/predict predicts for them."""
    assert ask(crime, body) == predictions_of(crime, ROWS)


def test_inputs_may_be_one_record(crime: Client) -> None:
    """An object of values is one row."""
    assert ask(crime, {"inputs": ROWS[0]}) == predictions_of(crime, ROWS[:1])


def test_examples_answer_in_each_form(example: Client) -> None:
    """Each example answers its own row as /api/predict does."""
    row = example_of(example)
    expected = predictions_of(example, [row, row])
    for body in ({"dataframe_split": split([row, row])}, {"dataframe_records": [row, row]}):
        assert ask(example, body) == expected


@pytest.mark.parametrize("name", list(estimators()))
def test_any_estimator_answers(name: str) -> None:
    """Classifiers, regressors, clusterers and models of several outputs answer as /api/predict does."""
    client = serve(estimators()[name])
    rows = [example_of(client)] * 2
    assert ask(client, {"dataframe_split": split(rows)}) == predictions_of(client, rows)


@pytest.mark.parametrize("member", ["params", "parameters"])
def test_params_choose_the_method(crime: Client, member: str) -> None:
    """A request may ask for the probabilities, in the order of the labels."""
    body = {"dataframe_split": split(ROWS), member: {"predict_method": "predict_proba"}}
    assert ask(crime, body) == probabilities_of(crime, ROWS)


def test_what_is_missing_is_null_or_nan(adult: Client) -> None:
    """JSON's null and the NaN that Python writes are a missing value, but not in a text."""
    row = example_of(adult)
    nullable = next(each.name for each in application_of(adult).model.signature.parameters if each.nullable)
    expected = predictions_of(adult, [row | {nullable: None}])
    assert ask(adult, json.dumps({"dataframe_split": split([row | {nullable: float("nan")}])})) == expected
    assert ask(adult, {"dataframe_records": [row | {nullable: None}]}) == expected
    text = json.dumps({"dataframe_records": [row | {nullable: "NaN"}], "x": float("nan")})
    assert f"/0/{nullable}: " in refused(post(adult, text, PATH), 400)["message"]


@pytest.mark.parametrize(
    ("body", "status", "code", "sentence"),
    [
        pytest.param("{", 400, "BAD_REQUEST", "The body is not JSON", id="no JSON"),
        pytest.param("", 400, "BAD_REQUEST", "The body is empty", id="empty"),
        pytest.param("[]", 400, "BAD_REQUEST", "exactly one of the members dataframe_split", id="a list"),
        pytest.param("{}", 400, "BAD_REQUEST", "exactly one of the members dataframe_split", id="no form"),
        pytest.param(
            '{"instances": [], "inputs": []}', 400, "BAD_REQUEST", "exactly one of the members", id="two forms"
        ),
        pytest.param('{"instances": 3}', 400, "BAD_REQUEST", "`instances` must be a list", id="a number"),
        pytest.param('{"dataframe_records": {}}', 400, "BAD_REQUEST", "`dataframe_records` must be", id="no list"),
        pytest.param('{"dataframe_records": [1]}', 400, "INVALID_PARAMETER_VALUE", "Expected an", id="no object"),
        pytest.param('{"dataframe_records": []}', 400, "INVALID_PARAMETER_VALUE", "at least one", id="no row"),
        pytest.param('{"dataframe_split": []}', 400, "BAD_REQUEST", "`dataframe_split` must be", id="no frame"),
        pytest.param('{"dataframe_split": {"columns": ["month"]}}', 400, "BAD_REQUEST", "`data`", id="no data"),
        pytest.param(
            '{"dataframe_split": {"data": [[6, 0, 0]], "secret": 1}}', 400, "BAD_REQUEST", "at most", id="more"
        ),
        pytest.param(
            '{"dataframe_split": {"columns": [["a"]], "data": [[1]]}}', 400, "BAD_REQUEST", "columns", id="odd names"
        ),
        pytest.param(
            '{"dataframe_split": {"columns": "month", "data": [[1]]}}', 400, "BAD_REQUEST", "columns", id="a name alone"
        ),
        pytest.param(
            '{"dataframe_split": {"columns": ["month", "month"], "data": [[1, 1]]}}',
            400, "BAD_REQUEST", "the same name twice", id="a name twice",
        ),
        pytest.param(
            '{"dataframe_split": {"columns": ["month", "force"], "data": [[1, 1], [1]]}}',
            400, "BAD_REQUEST", "row 1: expected a list of 2 values", id="ragged",
        ),
        pytest.param(
            '{"dataframe_split": {"columns": ["month", "x"], "data": [[13, 1], [1, 1]]}}',
            400, "INVALID_PARAMETER_VALUE", "/0/force: force is missing", id="other columns",
        ),
        pytest.param(
            '{"dataframe_split": {"data": [[1e300, "secret", true]]}}',
            400, "INVALID_PARAMETER_VALUE", "/0/force: force must be", id="wrong values",
        ),
        pytest.param('{"inputs": [[Infinity, 0, 0]]}', 400, "BAD_REQUEST", "The body is not JSON", id="Infinity"),
        pytest.param('{"inputs": [[NaN, 0, -NaN]]}', 400, "BAD_REQUEST", "The body is not JSON", id="-NaN"),
        pytest.param('{"inputs": [[NaN, 0, 0]]}', 400, "INVALID_PARAMETER_VALUE", "/0/month: month must be", id="NaN"),
        pytest.param('{"inputs": [[1, 1, 1]], "params": 3}', 400, "BAD_REQUEST", "`params` must be", id="params"),
        pytest.param(
            '{"inputs": [[1, 1, 1]], "params": {"predict_method": "secret"}}',
            400, "BAD_REQUEST", "`params.predict_method` must be", id="a method",
        ),
        pytest.param(
            '{"inputs": [' + ",".join(["[1,1,1]"] * 10_001) + "]}", 413, "BAD_REQUEST", "rows", id="too many rows"
        ),
    ],
)  # fmt: skip
def test_bad_bodies_are_refused(crime: Client, body: str, status: int, code: str, sentence: str) -> None:
    """Whatever is wrong has MLflow's name and one sentence for people, without a caller's value."""
    document = refused(post(crime, body, PATH), status)
    assert list(document) == ["error_code", "message"]
    assert document["error_code"] == code
    assert sentence in document["message"]
    assert "secret" not in document["message"]


def test_wrong_columns_are_told_once(crime: Client) -> None:
    """A column that is missing, or too many, is so in every row, and costs one sentence."""
    frame = {"columns": ["month", "force", "x"], "data": [[1, 1, 1]] * 5_000}
    message = refused(post(crime, json.dumps({"dataframe_split": frame}), PATH), 400)["message"]
    assert message.count("/0/") == 2
    assert "/0/crime: crime is missing" in message
    assert "/0/x: There is no such field" in message


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"Content_Type": "application/json; charset=UTF-8"}, 200, id="with a charset"),
        pytest.param({"Content_Type": ""}, 200, id="no type"),
        pytest.param({"Content_Type": "application/json; format=pandas-split"}, 415, id="of MLflow 1"),
        pytest.param({"Content_Type": "application/json-numpy-split"}, 415, id="another of MLflow 1"),
        pytest.param({"Content_Type": "application/json; charset=latin-1"}, 415, id="another charset"),
        pytest.param({"Content_Type": "application/vnd.apache.parquet"}, 415, id="Parquet"),
        pytest.param({"Content_Encoding": "gzip"}, 415, id="compressed"),
        pytest.param({"Accept": "*/*"}, 200, id="any answer"),
        pytest.param({"Accept": "application/x-npy"}, 406, id="an answer of numpy's"),
    ],
)
def test_media_types(crime: Client, headers: dict[str, str], status: int) -> None:
    """JSON is read and written; what MLflow read before its release 2.0 is refused in its form."""
    response = post(crime, json.dumps({"dataframe_records": ROWS}), PATH, **headers)
    assert response.status_code == status
    if status != 200:
        assert refused(response, status)["error_code"] == "BAD_REQUEST"


@pytest.mark.parametrize("media_type", ["application/json", "text/csv"])
def test_another_charset_is_told_what_is_read_here(crime: Client, media_type: str) -> None:
    """The refusal names no media type that this route does not read."""
    said = refused(post(crime, "", PATH, Content_Type=f"{media_type}; charset=latin-1"), 415)["message"]
    assert "in UTF-8" in said
    assert "arrow" not in said


def lines_of(rows: list[dict[str, Any]], *, header: bool) -> str:
    """Write rows as CSV."""
    target = io.StringIO()
    writer = csv.writer(target)
    if header:
        writer.writerow(rows[0])
    writer.writerows(row.values() for row in rows)
    return target.getvalue()


@pytest.mark.parametrize("content_type", ["text/csv", "text/csv; charset=utf-8", "TEXT/CSV; header=present"])
def test_csv_is_read(example: Client, content_type: str) -> None:
    """CSV with names is the same rows as JSON; so is one without, in the parameters' order, as SageMaker sends it."""
    rows = [example_of(example)] * 2
    expected = predictions_of(example, rows)
    assert ask(example, lines_of(rows, header=True), Content_Type=content_type) == expected
    if "present" not in content_type:
        assert ask(example, lines_of(rows, header=False), Content_Type=content_type) == expected


@pytest.mark.parametrize("name", ["pipeline", "regressor", "several", "several numbers"])
def test_csv_is_written_where_it_is_asked_for(name: str) -> None:
    """Who accepts CSV alone gets a line for each row, without names."""
    client = serve(estimators()[name])
    rows = [example_of(client)] * 2
    response = post(client, json.dumps({"dataframe_records": rows}), PATH, Accept="text/csv")
    assert response.status_code == 200
    assert response.content_type == "text/csv; charset=utf-8; header=absent"
    expected = [value if isinstance(value, list) else [value] for value in predictions_of(client, rows)]
    assert list(csv.reader(response.text.splitlines())) == [list(map(str, row)) for row in expected]
    assert post(client, json.dumps({"inputs": rows}), PATH, Accept="text/csv;q=0.5, */*").is_json


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        pytest.param("", "The body is empty", id="empty"),
        pytest.param("month,force,crime\n", "at least one", id="no row"),
        pytest.param("month,force\n1,Kent Police\n", "crime is missing", id="missing"),
        pytest.param("month,force,crime,x\n1,Kent Police,Drugs,2\n", "There is no such field", id="extra"),
        pytest.param("month,month\n1,1\n", "same name", id="a name twice"),
        pytest.param("month,force,crime\n1,secret,Drugs\n", "force must be one of its", id="no label"),
        pytest.param("month,force,crime\n1,2\n", "expected 3 cells", id="ragged"),
        pytest.param("1,2\n", "has 2 cells", id="short"),
    ],
)
def test_bad_csv_is_refused(crime: Client, body: str, sentence: str) -> None:
    """What is wrong with CSV is told in JSON, in the same form."""
    document = refused(post(crime, body, PATH, Content_Type="text/csv"), 400)
    assert list(document) == ["error_code", "message"]
    assert sentence in document["message"]
    assert "secret" not in document["message"]


@given(st.text(alphabet='month,force,crime"\n\r1 \x00é', max_size=40) | st.text(max_size=30))
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_csv_has_an_answer(crime: Client, text: str) -> None:
    """No text is a failure of ours."""
    assert post(crime, text.encode("utf-8", "surrogatepass"), PATH, Content_Type="text/csv").status_code in (200, 400)


@given(bodies)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_json_has_an_answer(crime: Client, value: object) -> None:
    """No JSON is a failure of ours: it is predictions or a refusal."""
    frames = [{form: value} for form in ("dataframe_split", "dataframe_records", "instances", "inputs")]
    parts = [{"dataframe_split": split(ROWS) | {name: value}} for name in ("columns", "index", "data")]
    for body in (value, *frames, *parts, {"instances": ROWS, "params": value}):
        response = post(crime, json.dumps(body), PATH)
        if response.status_code == 200:
            assert list(json.loads(response.data)) == ["predictions"]
        else:
            assert list(refused(response, 400)) == ["error_code", "message"]


@pytest.mark.parametrize("path", ["/ping", "/health"])
def test_probes_say_whether_requests_are_welcome(path: str) -> None:
    """A ready server answers with an empty line, one that stops with 503 in MLflow's form."""
    client = serve_folder(EXAMPLES["crime"])
    response = client.get(path)
    assert (response.status_code, response.data) == (200, b"\n")
    check_headers(response)
    application_of(client).common.readiness.drain()
    assert refused(client.get(path), 503)["error_code"] == "TEMPORARILY_UNAVAILABLE"


def test_the_version_is_ours(crime: Client) -> None:
    """The version is that of the server, as text."""
    response = crime.get("/version")
    assert (response.status_code, response.text) == (200, version("brinery"))
    assert response.mimetype == "text/plain"


def test_who_may_not_call_is_told_in_mlflows_form() -> None:
    """Without credentials, where they are needed, nothing is predicted; probes are open."""
    client = serve_folder(EXAMPLES["crime"], auth=("predict",), api_keys=f"someone sha256:{'0' * 64} predict")
    assert refused(post(client, "{}", PATH), 401)["error_code"] == "UNAUTHENTICATED"
    assert client.get("/ping").status_code == 200
    responses = json.loads(client.get("/openapi.json").data)["paths"][PATH]["post"]["responses"]
    assert responses["401"]["content"] == responses["400"]["content"]
