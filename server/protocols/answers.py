"""Answers of one value for each row, as KServe v1, MLflow, Vertex AI and Azure ML give them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from server.errors import WrongForm
from server.flow import Asked
from server.outputs import Form, Outputs
from server.predictor import Batch, Outcome

METHODS: Final = ("predict", "predict_proba")
METHOD: Final = "predict_method"
MEMBERS: Final = ("parameters", "params")  # where a request may ask for it: clients of one protocol know another's


@dataclass(frozen=True, slots=True)
class Question(Asked):
    """Rows, and which of the estimator's methods is to answer."""

    method: str = "predict"

    @classmethod
    def of(cls, batch: Batch, method: str) -> "Question":
        """Ask a method about rows."""
        return cls(batch, method == "predict", method)


def method_asked(document: Mapping[str, object], default: str, outputs: Outputs) -> str:
    """Give which of the estimator's methods is to answer: that which a body asks for in one of the `MEMBERS`, or ours.

    Raises `WrongForm` for one that the model does not have, and for a body that asks twice.
    """
    named = {member: parameters[METHOD] for member, parameters in _choices(document) if METHOD in parameters}
    if len(named) > 1:
        msg = f"`{METHOD}` may stand in one of `{MEMBERS[0]}` and `{MEMBERS[1]}`, which mean the same; leave one out."
        raise WrongForm(msg)
    has_both = outputs.form is Form.PROBABILITIES
    if not named:
        return default if has_both else "predict"  # the operator's choice is for models that have it
    ((member, method),) = named.items()
    return _checked(method, member, has_both=has_both)


def _choices(document: Mapping[str, object]) -> Iterator[tuple[str, dict[str, object]]]:
    for member in MEMBERS:
        parameters = document.get(member)
        if isinstance(parameters, dict):
            yield member, parameters
        elif parameters is not None:
            msg = f'`{member}` must be an object, such as {{"{METHOD}": "predict_proba"}}.'
            raise WrongForm(msg)


def _checked(method: object, member: str, *, has_both: bool) -> str:
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
