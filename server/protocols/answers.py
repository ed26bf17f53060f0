"""Answers of one value for each row, as KServe v1, MLflow, Vertex AI and Azure ML give them."""

from typing import Any, Final

from server.errors import WrongForm
from server.outputs import Outputs
from server.predictor import Outcome

METHODS: Final = ("predict", "predict_proba")


def method_of(parameters: object, default: str, outputs: Outputs, member: str) -> str:
    """Give which of the estimator's methods is asked for; raise `WrongForm` for one that it does not have.

    `parameters` is what the request's `member` holds, if it has one.
    """
    method = parameters.get("predict_method", default) if isinstance(parameters, dict) else default
    if method not in METHODS:
        msg = f"`{member}.predict_method` must be `predict` or `predict_proba`."
        raise WrongForm(msg)
    if method == "predict_proba" and outputs.form is not outputs.form.PROBABILITIES:
        if not isinstance(parameters, dict) or "predict_method" not in parameters:
            return "predict"  # the operator's choice is for models that have it
        msg = f"This model gives no probabilities; leave out `{member}.predict_method`."
        raise WrongForm(msg)
    return str(method)


def values(outcome: Outcome, method: str, outputs: Outputs) -> list[Any]:
    """Give a value for each row: what the method gives, with labels for classes; a list where there are several."""
    if method == "predict_proba":
        assert outcome.numbers is not None, "this form of answer has numbers"
        arrays = [numbers.tolist() for numbers in outcome.numbers]
    else:
        arrays = outcome.predictions()
    several = len(outputs.outputs) > 1 and len(arrays) > 1
    return [list(row) for row in zip(*arrays, strict=True)] if several else list(arrays[0])
