"""Answers of one value for each row: what the estimator's own method gives."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from jsonschema import Draft202012Validator

from server.errors import WrongForm
from server.outputs import Form, Output, Outputs
from server.predictor import Batch, Predictor
from server.protocols.answers import MEMBERS, METHODS, Question, method_asked, values
from server.protocols.forms import row_schemas, with_choice
from tests.models import ARRAY, FRAME, estimators, real_model, settings

BOTH = Outputs(Form.PROBABILITIES, (Output("prediction", ("no", "yes"), (0, 1)),))
NUMBERS = Outputs(Form.VALUES, (Output("prediction"),))


@pytest.mark.parametrize(
    ("parameters", "default", "outputs", "method"),
    [
        pytest.param(None, "predict", BOTH, "predict", id="none"),
        pytest.param({}, "predict_proba", BOTH, "predict_proba", id="the operator's"),
        pytest.param({"predict_method": "predict"}, "predict_proba", BOTH, "predict", id="the caller's"),
        pytest.param({"predict_method": "predict_proba"}, "predict", BOTH, "predict_proba", id="probabilities"),
        pytest.param({"other": 1}, "predict_proba", NUMBERS, "predict", id="there are none"),
        pytest.param({"predict_method": "predict"}, "predict_proba", NUMBERS, "predict", id="numbers"),
    ],
)
def test_the_method_is_the_callers_or_the_operators(
    parameters: object, default: str, outputs: Outputs, method: str
) -> None:
    """A request may choose the method; the setting does otherwise, where the model has it."""
    assert method_asked({"params": parameters}, default, outputs) == method


@pytest.mark.parametrize(
    ("parameters", "outputs"),
    [
        pytest.param([], BOTH, id="a list"),
        pytest.param("predict", BOTH, id="a text"),
        pytest.param({"predict_method": "transform"}, BOTH, id="another method"),
        pytest.param({"predict_method": ["predict"]}, BOTH, id="a list of methods"),
        pytest.param({"predict_method": "predict_proba"}, NUMBERS, id="no probabilities"),
    ],
)
def test_another_method_is_refused(parameters: object, outputs: Outputs) -> None:
    """A method that the model does not have is refused by the member's name."""
    with pytest.raises(WrongForm, match="`params"):
        method_asked({"params": parameters}, "predict", outputs)


@pytest.mark.parametrize(
    ("document", "method"),
    [
        pytest.param({}, "predict_proba", id="the operator's"),
        pytest.param({"params": None, "parameters": {}}, "predict_proba", id="nothing"),
        pytest.param({"params": {"predict_method": "predict"}}, "predict", id="params"),
        pytest.param({"parameters": {"predict_method": "predict"}}, "predict", id="parameters"),
        pytest.param(
            {"params": {"other": 1}, "parameters": {"predict_method": "predict"}}, "predict", id="one of both"
        ),
    ],
)
def test_either_member_asks(document: dict[str, object], method: str) -> None:
    """A body may ask for a method in the member of any protocol."""
    assert method_asked(document, "predict_proba", BOTH) == method
    assert method_asked(document, "predict_proba", NUMBERS) == "predict"


@pytest.mark.parametrize("other", METHODS)
def test_a_method_is_asked_for_once(other: str) -> None:
    """A body that asks in both members is refused, whether they agree or not, as its schema says."""
    document = {"parameters": {"predict_method": "predict"}, "params": {"predict_method": other}}
    with pytest.raises(WrongForm, match="leave one out"):
        method_asked(document, "predict", BOTH)
    validator = Draft202012Validator(with_choice({"properties": {}}, BOTH))
    assert not validator.is_valid(document)
    assert all(validator.is_valid({**document, member: None}) for member in MEMBERS)


def test_probabilities_alone_need_no_prediction() -> None:
    """Only who asks for predictions has the estimator give them."""
    batch = Batch([], single=False)
    assert Question.of(batch, "predict").full
    assert not Question.of(batch, "predict_proba").full


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", list(estimators()))
def test_values_are_those_of_the_estimator(name: str, method: str) -> None:
    """Each value is what the estimator's method gives for the row, as its schema says; several outputs make a list."""
    estimator = estimators()[name]
    model = real_model(estimator)
    if method == "predict_proba" and model.outputs.form is not Form.PROBABILITIES:
        return
    predictor = Predictor(model, max_rows=20)
    table = FRAME if name == "pipeline" else pd.DataFrame(ARRAY, columns=["x0", "x1"])
    batch = predictor.batch(table.to_dict("records"))
    asked = Question.of(batch, method)
    outcome = predictor.outcome(batch, predictor.evaluate(batch, full=asked.full))
    given = values(outcome, method, model.outputs)
    theirs: Any = getattr(estimator, method)(table if name == "pipeline" else ARRAY)
    if isinstance(theirs, list):  # of each output
        theirs = np.stack(theirs, axis=1)
    if np.asarray(theirs).dtype.kind == "f":
        assert np.asarray(given) == pytest.approx(np.asarray(theirs), rel=1e-12, abs=1e-12)
    else:
        assert given == theirs.tolist()
    Draft202012Validator(row_schemas(model, settings(max_rows=20))["Predictions"]).validate(given)
