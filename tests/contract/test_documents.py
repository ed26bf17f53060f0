"""Both documents are valid for any model, and their examples are what they say."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV2SpecValidator, OpenAPIV31SpecValidator

from server.application import prepare
from server.bundle import Bundle
from server.openapi import openapi_document
from server.outputs import Form, Output, Outputs
from server.swagger import swagger_document
from tests.contract.test_accepts_iff_schema import models
from tests.models import estimators, fake_model
from tests.models import settings as make_settings

# The validator of documents takes any member called `$ref` for a reference, even where it is a field's name.
NAMES = st.sampled_from(["a", "é", " ", "/", "~1", "\N{GRINNING FACE}", '"', "type", "properties", "0"]) | st.text(
    min_size=1, max_size=6
).filter(lambda name: not name.startswith("$"))
LABELS = st.lists(NAMES | st.integers(-3, 3) | st.booleans(), min_size=1, max_size=4, unique_by=str)


@st.composite
def outputs(draw: st.DrawFn) -> Outputs:
    """Draw the outputs of a model."""
    form = draw(st.sampled_from(Form))
    names = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    multilabel = form is Form.PROBABILITIES and draw(st.booleans())
    each: list[Output] = []
    for name in names:
        labels: tuple[Any, ...] = (0, 1) if multilabel else tuple(draw(LABELS))
        each.append(Output(name) if form is Form.VALUES else Output(name, labels, labels))
    several = multilabel or form is Form.VALUES or len(each) > 1
    return Outputs(form, tuple(each), several, multilabel)


@given(models(NAMES), outputs(), st.sampled_from(["", "/crime-65"]), st.sampled_from(["m", "M/1 é", "\N{SNOWMAN}"]))
@settings(max_examples=60)
def test_generated_documents_are_valid(model: Any, some: Outputs, root_path: str, name: str) -> None:
    """For any signature and any outputs, the documents are valid OpenAPI 3.1 and Swagger 2.0."""
    model = fake_model(*model.signature.parameters, outputs=some, name=name)
    given = make_settings(root_path=root_path)
    OpenAPIV31SpecValidator(openapi_document(model, given, {"a": 1})).validate()
    OpenAPIV2SpecValidator(swagger_document(model, given, {"a": 1})).validate()


@pytest.mark.parametrize("name", list(estimators()))
def test_documents_of_a_model_are_valid(name: str) -> None:
    """The documents of a fitted estimator are valid, can be written as JSON, and carry the model's own answer."""
    prepared = prepare(make_settings(), Bundle("real", estimators()[name]))
    model, answer = prepared.model, prepared.example_answer
    openapi = orjson.loads(orjson.dumps(openapi_document(model, make_settings(), answer)))
    swagger = orjson.loads(orjson.dumps(swagger_document(model, make_settings(), answer)))
    OpenAPIV31SpecValidator(openapi).validate()
    OpenAPIV2SpecValidator(swagger).validate()
    operation = openapi["paths"]["/api/predict"]["post"]
    ok = operation["responses"]["200"]["content"]["application/json"]
    assert ok["examples"]["one row"]["value"] == answer
    components = {"components": openapi["components"]}
    Draft202012Validator({**ok["schema"], **components}).validate(answer)
    requests = operation["requestBody"]["content"]["application/json"]
    for example in requests["examples"].values():
        Draft202012Validator({**requests["schema"], **components}).validate(example["value"])
