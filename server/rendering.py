"""Numbers to labelled answers: an evaluation in, JSON-able objects out. Pure."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from server.engine import Evaluation
from server.outputs import Form, Outputs, key_of

Result: TypeAlias = dict[str, Any]
Tally: TypeAlias = Counter[tuple[str, str]]


class Renderer:
    """Writes the answers of one model. Values are the estimator's own: Python floats that equal its numbers."""

    def __init__(self, outputs: Outputs) -> None:
        self._outputs = outputs
        self._names = [output.name for output in outputs.outputs]
        self._keys = [output.keys for output in outputs.outputs]
        self._labels = [dict(zip(output.classes, output.labels, strict=True)) for output in outputs.outputs]
        self._classes = [np.array(output.classes) for output in outputs.outputs]
        self._texts = [dict(zip(output.classes, output.keys, strict=True)) for output in outputs.outputs]
        self._numbers = self._numbers_renderer()

    def brief(self, evaluation: Evaluation) -> list[Result]:
        """Give the answer for each row: the numbers by label, or the prediction where there are none."""
        if self._outputs.form is Form.PREDICTION:
            return [{"prediction": prediction} for prediction in self._predictions(evaluation)]
        return self._numbers(evaluation)

    def full(self, evaluation: Evaluation) -> list[Result]:
        """Give for each row what `detail=full` adds to id and model: the prediction and the numbers."""
        if self._outputs.form is Form.VALUES:
            return [{"values": values} for values in self._numbers(evaluation)]
        predictions = self._predictions(evaluation)
        if self._outputs.form is Form.PREDICTION:
            return [{"prediction": prediction} for prediction in predictions]
        return [
            {"prediction": prediction, "probabilities": probabilities}
            for prediction, probabilities in zip(predictions, self._numbers(evaluation), strict=True)
        ]

    def tally(self, evaluation: Evaluation, finite: NDArray[np.bool_] | None) -> Tally:
        """Count rows by (output, label), those that are `finite`, or all; of numbers the likeliest label counts."""
        tally: Tally = Counter()
        if self._outputs.form is Form.VALUES:
            rows = len(_numbers_of(evaluation)[0]) if finite is None else int(finite.sum())
            return Counter({(name, ""): rows for name in self._names})
        for name, texts, chosen in zip(self._names, self._texts, self._chosen(evaluation), strict=True):
            values = (chosen if finite is None else chosen[finite]).tolist()
            for value, count in Counter(values).items():
                tally[name, texts[value] if value in texts else key_of(value)] += count
        return tally

    def _numbers_renderer(self) -> Callable[[Evaluation], list[Result]]:
        """Choose once how numbers are named."""
        if self._outputs.form is Form.VALUES or self._outputs.multilabel:
            return lambda evaluation: _named(self._names, _numbers_of(evaluation)[0])
        if not self._outputs.several:
            keys = self._keys[0]
            return lambda evaluation: _named(keys, _numbers_of(evaluation)[0])

        def by_output(evaluation: Evaluation) -> list[Result]:
            parts = [_named(keys, numbers) for keys, numbers in zip(self._keys, _numbers_of(evaluation), strict=True)]
            return [dict(zip(self._names, row, strict=True)) for row in zip(*parts, strict=True)]

        return by_output

    def _predictions(self, evaluation: Evaluation) -> list[Any]:
        columns = [
            [labels.get(value, value) for value in chosen.tolist()]
            for labels, chosen in zip(self._labels, self._chosen(evaluation), strict=True)
        ]
        if not self._outputs.several:
            return columns[0]
        return [dict(zip(self._names, row, strict=True)) for row in zip(*columns, strict=True)]

    def _chosen(self, evaluation: Evaluation) -> list[NDArray[Any]]:
        """Give the class of each row, one array for each output."""
        if self._outputs.threshold is not None:
            second = _numbers_of(evaluation)[0][:, 1] >= self._outputs.threshold
            return [self._classes[0].take(second.astype(int))]
        if evaluation.classes is not None:
            return list(evaluation.classes.T)
        numbers = _numbers_of(evaluation)
        if self._outputs.multilabel:
            likely = [(column > 0.5).astype(int) for column in numbers[0].T]
        else:
            likely = [each.argmax(axis=1) for each in numbers]
        return [classes.take(places) for classes, places in zip(self._classes, likely, strict=True)]


def _numbers_of(evaluation: Evaluation) -> Sequence[NDArray[Any]]:
    assert evaluation.numbers is not None, "this form of answer has numbers"
    return evaluation.numbers


def _named(keys: Sequence[str], numbers: NDArray[Any]) -> list[Result]:
    return [dict(zip(keys, row, strict=True)) for row in numbers.tolist()]
