"""What is told of a model and its tensors before there is one: names, datatypes, shapes, labels. Pure.

Format: the metadata of the Open Inference Protocol, version 2, over HTTP and gRPC.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from server.model import Identity
from server.outputs import Form, Outputs
from server.parameter import EXACT_BELOW, Kind, Label, Parameter
from server.protocols.raw import BOOL, BYTES
from server.signature import Signature

PLATFORM: Final = "sklearn_estimator"
PREDICT: Final = "predict"
PREDICT_PROBA: Final = "predict_proba"
OF_KIND: Final = {Kind.NUMBER: "FP64", Kind.INTEGER: "INT64", Kind.BOOLEAN: BOOL, Kind.TEXT: BYTES}


@dataclass(frozen=True, slots=True)
class Metadata:
    """What is known of a tensor before there is one; -1 stands for any number of rows.

    `labels` are those that its values are of, or the names of its columns. `place` is that of the model's output that
    it tells of.
    """

    name: str
    datatype: str
    shape: tuple[int, ...] = (-1,)
    labels: tuple[Label, ...] = ()
    place: int = 0

    @property
    def basics(self) -> dict[str, Any]:
        """What is told of it over HTTP and gRPC alike."""
        return {"name": self.name, "datatype": self.datatype, "shape": self.shape}

    @property
    def parameters(self) -> dict[str, Any]:
        """The labels as a parameter, a JSON text: the protocol has no lists there."""
        return {"labels": orjson.dumps(self.labels).decode()} if self.labels else {}

    @property
    def written(self) -> dict[str, Any]:
        """The parameters that an answer repeats: the labels of columns, which say what a number is of."""
        return self.parameters if len(self.shape) > 1 else {}


def model_metadata(
    identity: Identity,
    inputs: Sequence[Metadata],
    outputs: Sequence[Metadata],
    write: Callable[[Metadata], Mapping[str, Any]],
) -> dict[str, Any]:
    """Say what a model takes and gives; `write` writes the metadata of each tensor."""
    return {
        "name": identity.name,
        "versions": [identity.version_text],
        "platform": PLATFORM,
        "inputs": list(map(write, inputs)),
        "outputs": list(map(write, outputs)),
    }


def inputs_of(signature: Signature) -> list[Metadata]:
    """Say which tensors the model takes as columns."""
    return [Metadata(each.name, _datatype(each), labels=each.labels) for each in signature.parameters]


def _datatype(parameter: Parameter) -> str:
    """Give the datatype in which a parameter's labels or numbers are best sent."""
    return _of_labels(parameter.labels) if parameter.kind is Kind.CATEGORY else OF_KIND[parameter.kind]


def _of_labels(labels: Sequence[Label]) -> str:
    types = set(map(type, labels))
    if types == {bool}:
        return BOOL
    return "INT64" if types == {int} and all(abs(label) < EXACT_BELOW for label in labels) else BYTES  # type: ignore[arg-type]


def outputs_of(outputs: Outputs) -> list[Metadata]:
    """Say which tensors the model gives: the predictions, and the probabilities if it has them."""
    each, names = outputs.outputs, tuple(output.name for output in outputs.outputs)
    if outputs.form is Form.VALUES:
        return [Metadata(PREDICT, "FP64", (-1, len(each)), names) if len(each) > 1 else Metadata(PREDICT, "FP64")]
    behind = [f".{name}" for name in names] if len(each) > 1 else [""]
    written = [
        Metadata(PREDICT + end, _of_labels(output.labels), labels=output.labels, place=at)
        for at, (output, end) in enumerate(zip(each, behind, strict=True))
    ]
    if outputs.form is not Form.PROBABILITIES:
        return written
    if outputs.multilabel:  # one probability for each output
        return [*written, Metadata(PREDICT_PROBA, "FP64", (-1, len(each)), names)]
    return written + [
        Metadata(PREDICT_PROBA + end, "FP64", (-1, len(output.labels)), output.labels, at)
        for at, (output, end) in enumerate(zip(each, behind, strict=True))
    ]
