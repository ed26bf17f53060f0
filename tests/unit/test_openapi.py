"""Pieces of the OpenAPI document."""

from typing import Any

import pytest

from server.openapi import PROBLEMS_OF, description, openapi_document, params
from server.outputs import Form, Output, Outputs
from server.parameter import MAX_SAFE_INTEGER, Parameter
from server.problems import FIELD_CODES, TYPES
from server.schemas import (
    answer_schema,
    detail_schema,
    input_schema,
    parameter_schema,
    problem_schema,
    swagger_parameter_schema,
)
from server.swagger import swagger_document
from tests.models import PROBABILITIES, boolean, category, fake_model, integer, number, real_model, settings, text, tree


@pytest.mark.parametrize(
    ("parameter", "schema"),
    [
        pytest.param(category(), {"type": "string", "enum": ["red", "green"]}, id="texts"),
        pytest.param(category(labels=(2, 1)), {"type": "integer", "enum": [2, 1]}, id="integers"),
        pytest.param(
            category(labels=("x", 1, True), nullable=True),
            {"type": ["string", "integer", "boolean", "null"], "enum": ["x", 1, True, None]},
            id="mixed or null",
        ),
        pytest.param(category(open=True), {"type": "string", "examples": ["red", "green"]}, id="open"),
        pytest.param(
            category(labels=(1,), open=True, nullable=True),
            {
                "type": ["integer", "null"],
                "minimum": -MAX_SAFE_INTEGER,
                "maximum": MAX_SAFE_INTEGER,
                "examples": [1],
            },
            id="open to integers",
        ),
        pytest.param(
            number(minimum=0, maximum=1.5, multiple_of=2, default=0, description="d", examples=(1,)),
            {
                "type": "number",
                "minimum": 0,
                "maximum": 1.5,
                "multipleOf": 2,
                "default": 0,
                "description": "d",
                "examples": [1],
            },
            id="number",
        ),
        pytest.param(
            integer(nullable=True, default=None), {"type": ["integer", "null"], "default": None}, id="integer"
        ),
        pytest.param(boolean(), {"type": "boolean"}, id="boolean"),
        pytest.param(text(min_length=0, max_length=9), {"type": "string", "minLength": 0, "maxLength": 9}, id="text"),
    ],
)
def test_parameter_schema(parameter: Parameter, schema: dict[str, Any]) -> None:
    """A parameter's schema says exactly what it takes."""
    assert parameter_schema(parameter) == schema


@pytest.mark.parametrize(
    ("parameter", "schema"),
    [
        pytest.param(category(), {"type": "string", "enum": ["red", "green"], "example": "red"}, id="texts"),
        pytest.param(category(labels=("x", 1)), {"enum": ["x", 1], "example": "x"}, id="mixed"),
        pytest.param(
            number(nullable=True, default=None), {"type": "number", "x-nullable": True, "example": 0}, id="null default"
        ),
        pytest.param(number(default=5), {"type": "number", "default": 5, "example": 5}, id="default"),
    ],
)
def test_swagger_parameter_schema(parameter: Parameter, schema: dict[str, Any]) -> None:
    """The older document knows neither lists of types nor null."""
    assert swagger_parameter_schema(parameter) == schema


def test_input_schema() -> None:
    """Fields without a default are required; others are refused unless they are ignored."""
    model = fake_model(number("a"), number("b", default=1))
    schema = input_schema(model)
    assert (schema["required"], schema["additionalProperties"]) == (["a"], False)
    schema = input_schema(fake_model(number("b", default=1), ignore_unknown=True))
    assert schema == {"type": "object", "properties": {"b": {"type": "number", "default": 1}}}


NUMBER = {"type": "number"}
PROBABILITY = {"type": "number", "minimum": 0, "maximum": 1}


def members(**properties: Any) -> dict[str, Any]:
    """Make the schema of an object that has all of these."""
    return {"type": "object", "properties": properties, "required": list(properties)}


@pytest.mark.parametrize(
    ("outputs", "answer", "detail"),
    [
        pytest.param(
            PROBABILITIES,
            members(no=PROBABILITY, yes=PROBABILITY),
            {
                "prediction": {"type": "string", "enum": ["no", "yes"]},
                "probabilities": members(no=PROBABILITY, yes=PROBABILITY),
            },
            id="probabilities",
        ),
        pytest.param(
            Outputs(Form.VALUES, (Output("x"),), several=True),
            members(x=NUMBER),
            {"values": members(x=NUMBER)},
            id="values",
        ),
        pytest.param(
            Outputs(Form.PREDICTION, (Output("prediction", (1, True), (0, 1)),)),
            members(prediction={"type": ["integer", "boolean"], "enum": [1, True]}),
            {"prediction": {"type": ["integer", "boolean"], "enum": [1, True]}},
            id="prediction",
        ),
        pytest.param(
            Outputs(Form.PROBABILITIES, (Output("a", (True, 2), (0, 1)),), several=True),
            members(a=members(**{"true": PROBABILITY, "2": PROBABILITY})),
            {
                "prediction": members(a={"type": ["boolean", "integer"], "enum": [True, 2]}),
                "probabilities": members(a=members(**{"true": PROBABILITY, "2": PROBABILITY})),
            },
            id="several outputs",
        ),
        pytest.param(
            Outputs(Form.PROBABILITIES, (Output("a", (0, 1), (0, 1)),), several=True, multilabel=True),
            members(a=PROBABILITY),
            {"prediction": members(a={"type": "integer", "enum": [0, 1]}), "probabilities": members(a=PROBABILITY)},
            id="multilabel",
        ),
    ],
)
def test_answer_schemas(outputs: Outputs, answer: dict[str, Any], detail: dict[str, Any]) -> None:
    """Both answers are described as they are written."""
    assert answer_schema(outputs) == answer
    schema = detail_schema(outputs)
    assert schema["required"] == ["id", "model", *detail]
    assert {name: schema["properties"][name] for name in detail} == detail


def test_problem_schema_knows_all_codes() -> None:
    """The schema of a problem lists every code of a field error."""
    assert problem_schema()["properties"]["errors"]["items"]["properties"]["code"]["enum"] == list(FIELD_CODES)


def test_params() -> None:
    """The listing says the labels of a category, with null where it is taken, and one value of any other type."""
    model = fake_model(
        category("c", nullable=True), number("n"), integer("i"), boolean("b"), text("t"), category("d", (1, True))
    )
    assert params(model) == {"c": ["red", "green", None], "n": 0, "i": 0, "b": False, "t": "", "d": [1, True]}


def test_description() -> None:
    """The description is the metadata's, or says what the model is."""
    assert description(real_model(tree())) == "Predictions of a DecisionTreeClassifier."
    assert description(real_model(tree(), metadata={"description": "Crimes."})) == "Crimes."


@pytest.mark.parametrize(("root_path", "url"), [("", "/"), ("/crime-65", "/crime-65")])
def test_documents_follow_the_root_path(root_path: str, url: str) -> None:
    """Both documents say under which path we are published."""
    model, given = fake_model(number()), settings(root_path=root_path)
    assert openapi_document(model, given, {})["servers"] == [{"url": url}]
    assert swagger_document(model, given, {})["basePath"] == url


def test_documents_begin_with_their_version() -> None:
    """A reader of a document sees first what it is."""
    assert next(iter(openapi_document(fake_model(number()), settings(), {}).items())) == ("openapi", "3.1.0")
    assert next(iter(swagger_document(fake_model(number()), settings(), {}).items())) == ("swagger", "2.0")


def test_identity_in_documents() -> None:
    """Documents have the model's name and, as text, its version."""
    model = fake_model(number(), name="Crime", version=3)
    for document in (openapi_document(model, settings(), {}), swagger_document(model, settings(), {})):
        assert (document["info"]["title"], document["info"]["version"]) == ("Crime", "3")


def test_every_status_is_documented() -> None:
    """Every status of the table of problems can be found at a route of the document."""
    undocumented = {404, 414, 431, 501}  # what no route of our own answers with
    assert {status for some in PROBLEMS_OF.values() for status in some} == {
        kind.status for kind in TYPES.values()
    } - undocumented


def test_operations_have_names_of_their_own() -> None:
    """No two operations share an id, and each has a summary and a tag."""
    paths = openapi_document(fake_model(number()), settings(), {})["paths"]
    operations = [operation for path in paths.values() for operation in path.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    assert all(operation["summary"] and operation["tags"] for operation in operations)
