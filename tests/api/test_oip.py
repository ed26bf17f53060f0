"""The Open Inference Protocol over HTTP."""

import json
import math
import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from werkzeug.test import Client, TestResponse

from server.protocols.raw import DATATYPES, decode, encode
from tests.api.estimators import CASES
from tests.api.fronts import application_of
from tests.api.rows import draw_row
from tests.api.serving import EXAMPLES, GOOD, check_headers, post, predict, serve, serve_folder

ROWS = 12
LENGTH = "Inference-Header-Content-Length"
KINDS = [
    "logistic-bool",
    "forest-int",
    "forest-float",
    "multi-output-forest",
    "multi-output-neighbors",
    "multi-output-one",
    "multilabel-one-vs-rest",
    "chain",
    "ridge-classifier",
    "linear",
    "ridge-named",
    "k-means-named",
    "isolation-forest",
    "columns",
    "boolean-column",
    "ordinal-boosting",
    "texts",
]


def json_of(response: TestResponse) -> Any:
    """Give the JSON of an answer."""
    return response.json


def metadata_of(client: Client) -> dict[str, Any]:
    """Give the metadata of the model that is served."""
    name = application_of(client).model.identity.name
    metadata: dict[str, Any] = json_of(client.get(f"/v2/models/{name}"))
    return metadata


def rows_of(client: Client, count: int = ROWS) -> list[dict[str, Any]]:
    """Draw rows that the model takes."""
    schema = json_of(client.get("/openapi.json"))["components"]["schemas"]["Input"]
    rng = random.Random(7)
    return [draw_row(schema, rng) for _ in range(count)]


def by_columns(metadata: Mapping[str, Any], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Write rows as tensors, one for each input."""
    return [{**each, "shape": [len(rows)], "data": [row[each["name"]] for row in rows]} for each in metadata["inputs"]]


def infer(client: Client, request: object, name: str | None = None, **headers: str) -> TestResponse:
    """Send a request of JSON."""
    name = name or application_of(client).model.identity.name
    return post(client, json.dumps(request), f"/v2/models/{name}/infer", **headers)


def with_tail(client: Client, request: dict[str, Any], tail: bytes, **headers: str) -> TestResponse:
    """Send a request with the bytes of tensors behind its JSON."""
    text = json.dumps(request).encode()
    given = {"Content-Type": "application/octet-stream", LENGTH: str(len(text))} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    name = application_of(client).model.identity.name
    return client.post(f"/v2/models/{name}/infer", data=text + tail, headers=given)


def outputs_of(response: TestResponse) -> dict[str, Any]:
    """Give the outputs of an answer as numpy's arrays, whether they are JSON or bytes."""
    assert response.status_code == 200, response.text
    check_headers(response)
    length = int(response.headers.get(LENGTH, len(response.data)))
    outputs, at = {}, length
    for each in json.loads(response.data[:length])["outputs"]:
        if (size := each.get("parameters", {}).get("binary_data_size")) is not None:
            data = decode(each["datatype"], each["shape"], response.data[at : at + size])
            at += size
            each["data"] = [one.decode() if isinstance(one, bytes) else one for one in data]
        assert math.prod(each["shape"]) == len(each["data"])
        outputs[each["name"]] = np.array(each["data"], dtype=object).reshape(each["shape"])
    assert at == len(response.data)
    return outputs


def expected_of(client: Client, rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Give what /api/predict says of the rows, by the names of outputs."""
    outputs = application_of(client).model.outputs
    expected: dict[str, list[Any]] = {}
    for full in predict(client, rows, "/api/predict?detail=full"):
        several = len(outputs.outputs) > 1
        if "values" in full:
            numbers = list(full["values"].values())
            expected.setdefault("predict", []).append(numbers if several else numbers[0])
            continue
        predictions = full["prediction"] if outputs.several else {"": full["prediction"]}
        for name, label in predictions.items():
            expected.setdefault(f"predict.{name}" if several else "predict", []).append(label)
        if "probabilities" not in full:
            continue
        if outputs.multilabel:
            expected.setdefault("predict_proba", []).append(list(full["probabilities"].values()))
            continue
        probabilities = full["probabilities"] if outputs.several else {"": full["probabilities"]}
        for name, each in probabilities.items():
            expected.setdefault(f"predict_proba.{name}" if several else "predict_proba", []).append(list(each.values()))
    return expected


def check_same(client: Client) -> None:
    """See that rows are answered as by /api/predict, one and many, in JSON and in bytes."""
    metadata = metadata_of(client)
    for rows in (rows_of(client), rows_of(client, 1)):
        expected = expected_of(client, rows)
        columns = by_columns(metadata, rows)
        assert [each["name"] for each in metadata["outputs"]] == list(expected)
        for parameters in ({}, {"binary_data_output": True}):
            outputs = outputs_of(infer(client, {"inputs": columns, "parameters": parameters}))
            assert {name: array.tolist() for name, array in outputs.items()} == expected
            for announced in metadata["outputs"]:
                assert list(outputs[announced["name"]].shape) == [len(rows), *announced["shape"][1:]]


def test_answers_are_those_of_the_api(example: Client) -> None:
    """For each of the examples."""
    check_same(example)


@pytest.mark.parametrize("kind", KINDS)
def test_answers_of_any_kind_of_estimator_are_those_of_the_api(kind: str) -> None:
    """With one output and several, with labels of all types, with numbers, with and without probabilities."""
    case = CASES[kind]
    check_same(serve(case.fitted(), lookup=case.lookup, labels=case.labels))


@pytest.mark.parametrize("name", ["crime", "wine", "titanic", "adult"])
def test_tensors_in_bytes_are_read_as_those_in_json(name: str, request: pytest.FixtureRequest) -> None:
    """Numbers in their own size, labels and texts with their lengths, a missing number as NaN."""
    client: Client = request.getfixturevalue(name)
    rows = [row for row in rows_of(client, 40) if not any(value is None for value in row.values())]
    columns = by_columns(metadata_of(client), rows)
    tail = b""
    written = []
    for each in columns:
        data = encode(each["datatype"], each["data"])
        tail += data
        head = {key: value for key, value in each.items() if key != "data"}
        written.append(head | {"parameters": {"binary_data_size": len(data)}})
    outputs = outputs_of(with_tail(client, {"inputs": written}, tail))
    assert {key: value.tolist() for key, value in outputs.items()} == expected_of(client, rows)


def test_a_matrix_of_codes_is_what_the_estimator_knows(crime: Client) -> None:
    """One input of any name, flat or nested, in the order of the columns: as a notebook sends it."""
    model = application_of(crime).model
    rows = rows_of(crime)
    codes = [list(map(float, model.signature.parse(row))) for row in rows]  # type: ignore[arg-type]
    expected = expected_of(crime, rows)
    shape = [len(rows), len(codes[0])]
    flat = [value for row in codes for value in row]
    for data in (codes, flat):
        tensor = {"name": "input-0", "datatype": "FP32", "shape": shape, "data": data}
        outputs = outputs_of(infer(crime, {"inputs": [tensor]}))
        assert {key: value.tolist() for key, value in outputs.items()} == expected
    raw = {"name": "x", "datatype": "FP32", "shape": shape, "parameters": {"binary_data_size": 4 * len(flat)}}
    outputs = outputs_of(with_tail(crime, {"inputs": [raw]}, encode("FP32", flat)))
    assert {key: value.tolist() for key, value in outputs.items()} == expected


def test_a_missing_value_is_nan_or_null(adult: Client) -> None:
    """Where the parameter is nullable: a text or number by null in JSON, a number by NaN in bytes."""
    rows = [row for row in rows_of(adult, 200) if None in row.values()]
    assert rows
    outputs = outputs_of(infer(adult, {"inputs": by_columns(metadata_of(adult), rows)}))
    assert {key: value.tolist() for key, value in outputs.items()} == expected_of(adult, rows)


def crime_inputs(**replaced: Any) -> list[dict[str, Any]]:
    """Give one row of the crime model by columns; a mapping replaces members of a tensor, None leaves it out."""
    columns: dict[str, dict[str, Any]] = {
        "month": {"name": "month", "datatype": "FP64", "shape": [1], "data": [GOOD["month"]]},
        "force": {"name": "force", "datatype": "BYTES", "shape": [1], "data": [GOOD["force"]]},
        "crime": {"name": "crime", "datatype": "BYTES", "shape": [1], "data": [GOOD["crime"]]},
    }
    for name, members in replaced.items():
        columns[name] = columns.get(name, {}) | members if members is not None else {}
    return [each for each in columns.values() if each]


def test_the_server_and_the_model_describe_themselves(crime: Client) -> None:
    """Names, versions and extensions; inputs with their labels as a JSON text; outputs."""
    server = json_of(crime.get("/v2"))
    assert server["name"] == "brinery"
    assert server["extensions"] == ["binary_tensor_data"]
    metadata = metadata_of(crime)
    assert json_of(crime.get("/v2/models/crime/versions/1")) == metadata
    assert {key: metadata[key] for key in ("name", "versions", "platform")} == {
        "name": "crime",
        "versions": ["1"],
        "platform": "sklearn_estimator",
    }
    labels = json.loads(metadata["inputs"][1]["parameters"]["labels"])
    assert metadata["inputs"][1]["datatype"] == "BYTES"
    assert GOOD["force"] in labels
    assert metadata["outputs"] == [
        {
            "name": "predict",
            "datatype": "BYTES",
            "shape": [-1],
            "parameters": {"labels": '["notCaughtProb","caughtProb"]'},
        },
        {
            "name": "predict_proba",
            "datatype": "FP64",
            "shape": [-1, 2],
            "parameters": {"labels": '["notCaughtProb","caughtProb"]'},
        },
    ]


def test_health_is_what_readiness_says(front: str) -> None:
    """Live and ready are 200; a server that drains is live, and not ready."""
    client = serve_folder(EXAMPLES["crime"])
    paths = ("/v2/health/ready", "/v2/models/crime/ready", "/v2/models/crime/versions/1/ready")
    assert json_of(client.get("/v2/health/live")) == {"live": True}
    assert [json_of(client.get(path))["ready"] for path in paths] == [True] * 3
    application_of(client).common.readiness.drain()
    assert client.get("/v2/health/live").status_code == 200
    for path in paths:
        response = client.get(path)
        assert response.status_code == 503
        assert list(json_of(response)) == ["error"]


def test_outputs_can_be_selected_and_the_id_comes_back(crime: Client) -> None:
    """In the order of the request; without an id of the caller's there is the request's."""
    wanted = [{"name": "predict_proba", "parameters": {"binary_data": False}}, {"name": "predict"}]
    response = infer(crime, {"id": "Über 9", "inputs": crime_inputs(), "outputs": wanted})
    assert json_of(response)["id"] == "Über 9"
    assert (json_of(response)["model_name"], json_of(response)["model_version"]) == ("crime", "1")
    assert [each["name"] for each in json_of(response)["outputs"]] == ["predict_proba", "predict"]
    one = infer(crime, {"inputs": crime_inputs(), "outputs": wanted[:1]}, X_Request_ID="mine")
    assert [each["name"] for each in json_of(one)["outputs"]] == ["predict_proba"]
    assert json_of(one)["id"] == "mine"


def test_one_output_may_come_as_bytes_beside_json(crime: Client) -> None:
    """Each output says by itself how it comes, or the request for all that do not."""
    wanted: list[Any] = [{"name": "predict"}, {"name": "predict_proba", "parameters": {"binary_data": True}}]
    response = infer(crime, {"inputs": crime_inputs(), "outputs": wanted})
    assert response.content_type == "application/octet-stream"
    some = json.loads(response.data[: int(response.headers[LENGTH])])["outputs"]
    assert ["data" in each for each in some] == [True, False]
    assert outputs_of(response)["predict_proba"].shape == (1, 2)
    wanted[1]["parameters"] = {"binary_data": False}
    request = {"inputs": crime_inputs(), "outputs": wanted, "parameters": {"binary_data_output": True}}
    mixed = infer(crime, request)
    some = json.loads(mixed.data[: int(mixed.headers[LENGTH])])["outputs"]
    assert ["data" in each for each in some] == [False, True]


@pytest.mark.parametrize("members", [{"id": None, "outputs": None, "parameters": None}, {"outputs": []}, {"x": 1}])
def test_members_without_meaning_are_passed_over(crime: Client, members: dict[str, Any]) -> None:
    """As are nulls of members that may be left out."""
    assert infer(crime, {"inputs": crime_inputs(), **members}).status_code == 200


@pytest.mark.parametrize("content_type", ["", "application/json; charset=utf-8"])
def test_json_needs_no_content_type(crime: Client, content_type: str) -> None:
    """Clients of the protocol leave it out."""
    headers = {"Content-Type": content_type} if content_type else {}
    body = json.dumps({"inputs": crime_inputs()})
    assert crime.post("/v2/models/crime/infer", data=body, headers=headers).status_code == 200


BAD: dict[str, Any] = {
    "no object": [],
    "no inputs": {"id": "1"},
    "no input": {"inputs": []},
    "inputs no array": {"inputs": {}},
    "input no object": {"inputs": [1]},
    "id no text": {"id": 1, "inputs": crime_inputs()},
    "unknown output": {"inputs": crime_inputs(), "outputs": [{"name": "probabilities"}]},
    "output no object": {"inputs": crime_inputs(), "outputs": ["predict"]},
    "output twice": {"inputs": crime_inputs(), "outputs": [{"name": "predict"}, {"name": "predict"}]},
    "classification": {
        "inputs": crime_inputs(),
        "outputs": [{"name": "predict", "parameters": {"classification": 2}}],
    },
    "binary_data no boolean": {
        "inputs": crime_inputs(),
        "outputs": [{"name": "predict", "parameters": {"binary_data": 1}}],
    },
    "unknown name": {"inputs": crime_inputs(month={"name": "Month"})},
    "missing": {"inputs": crime_inputs(month=None)},
    "twice": {"inputs": [*crime_inputs(), *crime_inputs()]},
    "name no text": {"inputs": crime_inputs(month={"name": 1})},
    "no shape": {"inputs": crime_inputs(month={"shape": None})},
    "shape of a text": {"inputs": crime_inputs(month={"shape": ["1"]})},
    "shape of true": {"inputs": crime_inputs(month={"shape": [True]})},
    "shape of fractions": {"inputs": crime_inputs(month={"shape": [1.0]})},
    "rank 0": {"inputs": crime_inputs(month={"shape": []})},
    "rank 3": {"inputs": crime_inputs(month={"shape": [1, 1, 1]})},
    "negative": {"inputs": crime_inputs(month={"shape": [-1]})},
    "huge": {"inputs": crime_inputs(month={"shape": [2**62, 2**62]})},
    "beyond 64 bits": {"inputs": crime_inputs(month={"shape": [10**4000]})},
    "too little data": {"inputs": crime_inputs(month={"data": []})},
    "too much data": {"inputs": crime_inputs(month={"data": [1, 2]})},
    "data no array": {"inputs": crime_inputs(month={"data": 1})},
    "no data": {"inputs": crime_inputs(month={"data": None})},
    "ragged": {"inputs": [{"name": "x", "datatype": "FP64", "shape": [2, 3], "data": [[1, 2, 3], [1, 2]]}]},
    "three dimensions": {"inputs": [{"name": "x", "datatype": "FP64", "shape": [1, 1, 3], "data": [[[1, 2, 3]]]}]},
    "half nested": {"inputs": [{"name": "x", "datatype": "FP64", "shape": [2, 3], "data": [[1, 2, 3], 1, 2, 3]}]},
    "nested too deeply": {"inputs": crime_inputs(month={"data": [[[1]]]})},
    "a column too few": {"inputs": [{"name": "x", "datatype": "FP64", "shape": [1, 2], "data": [1, 2]}]},
    "another number of rows": {"inputs": crime_inputs(month={"shape": [2], "data": [1, 2]})},
    "no row": {"inputs": [{"name": "x", "datatype": "FP64", "shape": [0, 3], "data": []}]},
    "unknown datatype": {"inputs": crime_inputs(month={"datatype": "FLOAT"})},
    "another datatype": {"inputs": crime_inputs(month={"datatype": "INT64", "data": ["6"]})},
    "beyond the datatype": {"inputs": crime_inputs(month={"datatype": "INT8", "data": [600]})},
    "a label as a number": {"inputs": crime_inputs(month={"datatype": "BYTES", "data": ["6"]})},
    "an unknown label": {"inputs": crime_inputs(force={"data": ["Legoland"]})},
    "an unknown code": {"inputs": crime_inputs(force={"datatype": "INT64", "data": [4711]})},
    "null": {"inputs": crime_inputs(month={"data": [None]})},
    "no base64": {"inputs": crime_inputs(force={"parameters": {"content_type": "base64"}})},
    "bytes in JSON": {"inputs": crime_inputs(month={"parameters": {"binary_data_size": 8}})},
    "no method": {"inputs": crime_inputs(), "parameters": {"predict_method": "transform"}},
    "parameters no object": {"inputs": crime_inputs(month={"parameters": 1})},
}


@pytest.mark.parametrize("request_", BAD.values(), ids=BAD)
def test_bad_requests_are_refused_in_the_protocols_form(crime: Client, request_: Any) -> None:
    """With 400, a sentence, and nothing of the caller's values."""
    response = infer(crime, request_)
    assert response.status_code == 400, response.text
    check_headers(response)
    assert list(json_of(response)) == ["error"]
    assert "Legoland" not in response.text
    assert "4711" not in response.text
    assert len(response.data) < 8_192


@pytest.mark.parametrize(
    ("path", "said"),
    [
        pytest.param("crime/stats", "The model has no such route", id="of the model"),
        pytest.param("crime/versions/1/stats", "The model has no such route", id="of the version"),
        pytest.param("other/stats", "There is no such model; the one", id="of another model"),
    ],
)
def test_routes_that_there_are_not(crime: Client, path: str, said: str) -> None:
    """What is missing below the model is told as a route."""
    response = crime.get(f"/v2/models/{path}")
    assert response.status_code == 404
    assert json_of(response)["error"].startswith(said)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        pytest.param(
            "a column too few", "`inputs`, 0: a matrix of all inputs has 3 columns; this one has 2.", id="width"
        ),
        pytest.param("three dimensions", "`shape` must be [rows] or [rows, columns]", id="rank"),
        pytest.param("another datatype", "`inputs`, 0, month: `data` holds what is no INT64.", id="name"),
    ],
)
def test_tensors_are_told_by_what_is_wrong(crime: Client, name: str, said: str) -> None:
    """A matrix is told by its width, a shape by its rank, and a tensor by its name."""
    assert said in json_of(infer(crime, BAD[name]))["error"]


def test_refused_values_are_told_by_row_and_field(crime: Client) -> None:
    """The sentence names the place, as everywhere."""
    response = infer(crime, {"inputs": crime_inputs(force={"data": ["Legoland"]})})
    assert json_of(response)["error"].startswith("/0/force: force must be one of its ")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v2/models/other", 404),
        ("/v2/models/other/ready", 404),
        ("/v2/models/other/infer", 404),
        ("/v2/models/crime/versions/2", 404),
        ("/v2/models/crime/versions/2/ready", 404),
        ("/v2/models/crime/versions/2/infer", 404),
        ("/v2/models/crime/versions/1/infer", 200),
    ],
)
def test_other_models_and_versions_are_not_found(crime: Client, path: str, status: int) -> None:
    """In the protocol's form of error."""
    response = infer(crime, {"inputs": crime_inputs()}, path.removeprefix("/v2/models/").removesuffix("/infer"))
    if not path.endswith("infer"):
        response = crime.get(path)
    assert response.status_code == status
    assert ("error" in json_of(response)) == (status == 404)


TEXT = {"name": "force", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": 9}}
NUMBER = {"name": "month", "datatype": "FP64", "shape": [1], "parameters": {"binary_data_size": 8}}
OTHERS = crime_inputs(month=None)


@pytest.mark.parametrize(
    ("inputs", "tail", "headers"),
    [
        pytest.param([NUMBER, *OTHERS], bytes(7), {}, id="too few bytes"),
        pytest.param([NUMBER, *OTHERS], bytes(9), {}, id="bytes left over"),
        pytest.param([NUMBER | {"parameters": {"binary_data_size": 4}}, *OTHERS], bytes(4), {}, id="another size"),
        pytest.param([NUMBER | {"parameters": {"binary_data_size": -8}}, *OTHERS], b"", {}, id="negative"),
        pytest.param([NUMBER | {"parameters": {"binary_data_size": "8"}}, *OTHERS], bytes(8), {}, id="a text"),
        pytest.param([NUMBER | {"parameters": {"binary_data_size": 2**70}}, *OTHERS], bytes(8), {}, id="huge"),
        pytest.param([NUMBER | {"shape": [2**40]}, *OTHERS], bytes(8), {}, id="a huge shape"),
        pytest.param([NUMBER | {"data": [6]}, *OTHERS], bytes(8), {}, id="data twice"),
        pytest.param([TEXT], b"\xff\xff\xff\xffabcde", {}, id="a text that is too long"),
        pytest.param([TEXT], b"\x05\0\0\0abcd\xff", {}, id="a text that is not UTF-8"),
        pytest.param([NUMBER, *OTHERS], bytes(8), {LENGTH: "100000"}, id="more JSON than there is"),
        pytest.param([NUMBER, *OTHERS], bytes(8), {LENGTH: "10"}, id="less JSON than there is"),
        pytest.param([NUMBER, *OTHERS], bytes(8), {LENGTH: "-1"}, id="a negative length"),
        pytest.param([NUMBER, *OTHERS], bytes(8), {LENGTH: "9" * 30}, id="a huge length"),
        pytest.param([NUMBER, *OTHERS], bytes(8), {LENGTH: "²"}, id="a length that is none"),
    ],
)
def test_bytes_that_do_not_fit_together_are_refused(
    crime: Client, inputs: list[Any], tail: bytes, headers: dict[str, str]
) -> None:
    """With 400 and a sentence."""
    response = with_tail(crime, {"inputs": inputs}, tail, **headers)
    assert response.status_code == 400, response.text
    assert list(json_of(response)) == ["error"]


@pytest.mark.parametrize(
    "headers",
    [{"Content-Type": "application/octet-stream"}, {"Content-Type": "text/csv"}, {"Content-Encoding": "gzip"}],
    ids=["no length", "another media type", "compressed"],
)
def test_what_is_not_read_is_415(crime: Client, headers: dict[str, str]) -> None:
    """A media type, a coding, or bytes without the length of the JSON before them."""
    response = crime.post("/v2/models/crime/infer", data=json.dumps({"inputs": crime_inputs()}), headers=headers)
    assert response.status_code == 415
    assert list(json_of(response)) == ["error"]


def test_too_many_rows_are_413(front: str) -> None:
    """As for the API, and before they are looked at."""
    client = serve_folder(EXAMPLES["crime"], max_rows=2)
    tensor = {"name": "x", "datatype": "FP64", "shape": [3, 3], "data": [0] * 9}
    assert infer(client, {"inputs": [tensor]}).status_code == 413


def test_all_datatypes_are_documented(crime: Client) -> None:
    """The schema of a request names them."""
    assert all(f'"{name}"' in crime.get("/openapi.json").text for name in DATATYPES)
