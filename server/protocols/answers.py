"""Answers of one value for each row, as KServe v1, MLflow, Vertex AI and Azure ML give them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from server.errors import WrongForm
from server.flow import Asked
from server.outputs import Form, Outputs
from server.predictor import Batch, Outcome

METHODS: Final = ("predict", "predict_proba")
METHOD: Final = "predict_method"
MEMBERS: Final = ("parameters", "params")  # where a request may ask for it: clients of one dialect know another's


@dataclass(frozen=True, slots=True)
class Question(Asked):
    """Rows, and which of the estimator's methods is to answer."""

    method: str = "predict"

    @classmethod
    def of(cls, batch: Batch, method: str) -> "Question":
        """Ask a method about rows."""
        return cls(batch, method == "predict", method)


def method_asked(document: Mapping[str, object], default: str, outputs: Outputs) -> str:
    """Give which of the estimator's methods a body asks for in any of the `MEMBERS`; raise as `method_of` does."""
    asked = {method_of(document.get(member), "", outputs, member) for member in MEMBERS} - {""}
    if len(asked) > 1:
        msg = f"`{METHOD}` must be the same in `{MEMBERS[0]}` and `{MEMBERS[1]}`; send one of them."
        raise WrongForm(msg)
    return asked.pop() if asked else default


def method_of(parameters: object, default: str, outputs: Outputs, member: str) -> str:
    """Give which of the estimator's methods is asked for; raise `WrongForm` for one that it does not have.

    `parameters` is what the request's `member` holds, None if it has none.
    """
    if parameters is not None and not isinstance(parameters, dict):
        msg = f'`{member}` must be an object, such as {{"{METHOD}": "predict_proba"}}.'
        raise WrongForm(msg)
    has_both = outputs.form is Form.PROBABILITIES
    if not parameters or METHOD not in parameters:
        return default if has_both else "predict"  # the operator's choice is for models that have it
    method = parameters[METHOD]
    if method not in METHODS:
        msg = f"`{member}.{METHOD}` must be `predict` or `predict_proba`."
        raise WrongForm(msg)
    if method != "predict" and not has_both:
        msg = f"This model gives no probabilities; leave out `{member}.{METHOD}`."
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
    return [list(row) for row in zip(*arrays, strict=True)] if several else arrays[0]
