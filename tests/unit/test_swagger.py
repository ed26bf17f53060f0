"""Pieces of the Swagger document."""

from server.outputs import Form, Output, Outputs
from server.swagger import swagger_document
from tests.models import category, fake_model, number, settings


def test_single_object() -> None:
    """The document describes the request and the answer of one object, with the model's own answer as an example."""
    document = swagger_document(fake_model(number("a"), name="m"), settings(), {"no": 0.5, "yes": 0.5})
    operation = document["paths"]["/api/predict"]["post"]
    assert operation["parameters"][0]["schema"] == {"$ref": "#/definitions/Input"}
    assert operation["responses"]["200"]["examples"] == {"application/json": {"no": 0.5, "yes": 0.5}}
    assert document["definitions"]["Input"]["required"] == ["a"]


def test_no_lists_of_types() -> None:
    """Labels of several types are described by their list alone."""
    outputs = Outputs(Form.PREDICTION, (Output("prediction", ("x", 1), (0, 1)),))
    model = fake_model(category("c", ("x", True)), outputs=outputs)
    definitions = swagger_document(model, settings(), {})["definitions"]
    assert definitions["Input"]["properties"]["c"] == {"enum": ["x", True], "example": "x"}
    assert definitions["Answer"]["properties"]["prediction"] == {"enum": ["x", 1]}
