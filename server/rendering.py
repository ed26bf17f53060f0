"""Numbers to labelled answers: an evaluation in, JSON-able objects out. Pure."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import orjson
from numpy.typing import NDArray

from server.columns import Named
from server.engine import Evaluation
from server.outputs import Form, Outputs, key_of

Result: TypeAlias = dict[str, Any]
Tally: TypeAlias = Mapping[tuple[str, str], int]


class Renderer:
    """Writes the answers of one model. Values are the estimator's own: Python floats that equal its numbers."""

    def __init__(self, outputs: Outputs) -> None:
        self._outputs = outputs
        self._names = [output.name for output in outputs.outputs]
        self._keys = [output.keys for output in outputs.outputs]
        self._labels = [dict(zip(output.classes, output.labels, strict=True)) for output in outputs.outputs]
        self._classes = [output.classes for output in outputs.outputs]
        self._texts = [dict(zip(output.classes, output.keys, strict=True)) for output in outputs.outputs]
        self._numbers = self._numbers_renderer()
        self._template = self._make_template()
        # Callers send batches of a few sizes.
        self._template_of = lru_cache(maxsize=8)(lambda count: b"[" + b",".join([self._template or b""] * count) + b"]")

    def text(self, evaluation: Evaluation, *, single: bool) -> bytes:
        """Give the answers of `brief` as JSON: an array, or that of the only row."""
        if self._template is None:
            results = self.brief(evaluation)
            return orjson.dumps(results[0] if single else results)
        # Filling in a form is quicker than writing an object for each row, and gives the same text.
        numbers = _numbers_of(evaluation)
        together = numbers[0] if len(numbers) == 1 else np.concatenate(numbers, axis=1)
        written = tuple(orjson.dumps(together.ravel().tolist())[1:-1].split(b","))
        if single:
            return self._template % written
        return self._template_of(len(together)) % written

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

    def columns(self, evaluation: Evaluation | None, *, full: bool) -> list[Named]:
        """Give the answers of `full`, or of `brief`, by columns; a member of a member is named `output.label`.

        Without an evaluation they are those of no rows.
        """
        form, outputs = self._outputs.form, self._outputs.outputs
        columns: list[Named] = []
        if form is Form.PREDICTION or (full and form is Form.PROBABILITIES):
            predictions = [[] for _ in outputs] if evaluation is None else self.predictions(evaluation)
            for output, values in zip(outputs, predictions, strict=True):
                name = f"prediction.{output.name}" if self._outputs.several else "prediction"
                columns.append(_labels(name, {type(label) for label in output.labels}, values))
        if form is not Form.PREDICTION:
            prefix = f"{form.value}." if full else ""
            columns += [Named(prefix + name, float, numbers) for name, numbers in self._named_numbers(evaluation)]
        return columns

    def _named_numbers(self, evaluation: Evaluation | None) -> Iterator[tuple[str, list[float]]]:
        names = [
            f"{output}.{key}" if self._outputs.several else key
            for output, keys in zip(self._names, self._keys, strict=True)
            for key in keys
        ]
        if self._outputs.form is Form.VALUES or self._outputs.multilabel:
            names = self._names
        if evaluation is None:
            return zip(names, itertools.repeat([]))
        return zip(
            names, itertools.chain.from_iterable(each.T.tolist() for each in _numbers_of(evaluation)), strict=True
        )

    def tally(
        self, evaluation: Evaluation, finite: NDArray[np.bool_] | None, classes: Sequence[list[Any]] | None = None
    ) -> Tally:
        """Count rows by (output, label), those that are `finite`, or all; of numbers the likeliest label counts.

        `classes` are those of the rows, where they were looked for before.
        """
        if self._outputs.form is Form.VALUES:
            rows = len(_numbers_of(evaluation)[0]) if finite is None else int(finite.sum())
            return {(name, ""): rows for name in self._names}
        tally: dict[tuple[str, str], int] = {}
        for name, texts, chosen in zip(self._names, self._texts, classes or self.classes(evaluation), strict=True):
            values = chosen if finite is None else list(itertools.compress(chosen, finite.tolist()))
            for value, count in Counter(values).items() if len(values) > 1 else [(each, 1) for each in values]:
                key = name, texts[value] if value in texts else key_of(value)
                tally[key] = tally.get(key, 0) + count
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

    def _make_template(self) -> bytes | None:
        """Write the form of a row's numbers, with a place for each; None where there are none."""
        if self._outputs.form is Form.PREDICTION:
            return None
        if self._outputs.form is Form.VALUES or self._outputs.multilabel:
            return _form(dict.fromkeys(self._names, b"%b"))
        forms = [_form(dict.fromkeys(keys, b"%b")) for keys in self._keys]
        return _form(dict(zip(self._names, forms, strict=True))) if self._outputs.several else forms[0]

    def predictions(self, evaluation: Evaluation, classes: Sequence[list[Any]] | None = None) -> list[list[Any]]:
        """Give a list for each output: the label of each row, or a regressor's number; see `tally`."""
        if self._outputs.form is Form.VALUES:
            return _numbers_of(evaluation)[0].T.tolist()  # type: ignore[no-any-return]  # it has two dimensions
        return [
            [labels.get(value, value) for value in chosen]
            for labels, chosen in zip(self._labels, classes or self.classes(evaluation), strict=True)
        ]

    def _predictions(self, evaluation: Evaluation) -> list[Any]:
        columns = self.predictions(evaluation)
        if not self._outputs.several:
            return columns[0]
        return [dict(zip(self._names, row, strict=True)) for row in zip(*columns, strict=True)]

    def classes(self, evaluation: Evaluation) -> list[list[Any]]:
        """Give the class of each row, one list for each output; a regressor has none."""
        if self._outputs.form is Form.VALUES:
            return []
        if self._outputs.threshold is None and evaluation.classes is not None:
            return evaluation.classes.T.tolist()  # type: ignore[no-any-return]  # it has two dimensions
        numbers = _numbers_of(evaluation)
        if self._outputs.threshold is not None:
            places = [(numbers[0][:, 1] >= self._outputs.threshold).tolist()]
        elif self._outputs.multilabel:
            places = [(column > 0.5).tolist() for column in numbers[0].T]
        else:
            places = [_likeliest(each) for each in numbers]
        return [[classes[place] for place in some] for classes, some in zip(self._classes, places, strict=True)]


def _numbers_of(evaluation: Evaluation) -> Sequence[NDArray[Any]]:
    assert evaluation.numbers is not None, "this form of answer has numbers"
    return evaluation.numbers


def _labels(name: str, types: set[type], values: Sequence[Any]) -> Named:
    """Make a column of labels; where they have several types, each is written as text."""
    if len(types) == 1:
        return Named(name, types.pop(), values)
    return Named(name, str, [key_of(value) for value in values])


def _form(members: Mapping[str, bytes]) -> bytes:
    written = [orjson.dumps(name).replace(b"%", b"%%") + b":" + member for name, member in members.items()]
    return b"{" + b",".join(written) + b"}"


def _likeliest(numbers: NDArray[Any]) -> list[int]:
    """Give the place of the first largest number of each row."""
    if len(numbers) > 1:
        places: list[int] = numbers.argmax(axis=1).tolist()
        return places
    row = numbers.tolist()[0]  # numpy's calls cost more than a few numbers
    return [row.index(max(row))]


def _named(keys: Sequence[str], numbers: NDArray[Any]) -> list[Result]:
    return [dict(zip(keys, row, strict=True)) for row in numbers.tolist()]
