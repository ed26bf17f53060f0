"""What a model answers: its form, and the names of what it gives. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from server.parameter import Label


class Form(StrEnum):
    """The form of an answer for a row."""

    PROBABILITIES = "probabilities"  # {label: probability}, or that for each output
    VALUES = "values"  # {output: number}
    PREDICTION = "prediction"  # {"prediction": label}, or {"prediction": {output: label}}


@dataclass(frozen=True, slots=True)
class Output:
    """One output of a model: its name and its labels, in the order of the estimator's own `classes`.

    A class is the value that the estimator's `predict` gives; its label is the name that the caller sees. A
    regressor's output has neither.
    """

    name: str
    labels: tuple[Label, ...] = ()
    classes: tuple[Label | float, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """The labels as names of members of a JSON object."""
        return tuple(key_of(label) for label in self.labels)


@dataclass(frozen=True, slots=True)
class Outputs:
    """All outputs of a model; immutable.

    `several` says that an answer names each output, even if there is only one. `multilabel` is the case of one
    probability per output, that it holds. `threshold` decides the prediction of a binary classifier: its second
    label is predicted if its probability is not less.
    """

    form: Form
    outputs: tuple[Output, ...]
    several: bool = False
    multilabel: bool = False
    threshold: float | None = None


def key_of(label: Label) -> str:
    """Write a label as the name of a member of a JSON object: `true` for True, `1` for 1."""
    return str(label).lower() if isinstance(label, bool) else str(label)
