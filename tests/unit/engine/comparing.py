"""Compiles fitted estimators, and compares what they evaluate with what the estimator itself gives."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from server.engine import Evaluation
from server.engine.compiled import Compiled, compile_estimator
from server.introspection import Shape
from server.outputs import Form
from tests.models import number

Matrix = NDArray[np.float64]

LARGEST: Final = float(np.finfo(np.float32).max)
EDGE: Final = LARGEST + 2.0**103  # what is nearer to zero rounds to a number of single precision
STRANGE: Final = (
    *(math.nan, math.inf, -math.inf, 1e300, -1e300, 3.5e38, EDGE, -EDGE, math.nextafter(EDGE, 0)),
    *(LARGEST, -LARGEST, 0.0, -0.0, 1e-310, -1e-45, 1e-38, 16_777_217.0),
)


def form_of(estimator: Any) -> Form:
    """Tell the form of an estimator's answer."""
    if hasattr(estimator, "predict_proba"):
        return Form.PROBABILITIES
    return Form.PREDICTION if hasattr(estimator, "classes_") else Form.VALUES


def compiled(estimator: Any) -> Compiled:
    """Compile an estimator that takes an array of numbers."""
    parameters = [number(f"x{index}") for index in range(estimator.n_features_in_)]
    return compile_estimator(estimator, parameters, Shape.ARRAY, form_of(estimator))


def evaluate(engine: Compiled, x: Matrix) -> Evaluation:
    """Evaluate the rows of a matrix, with classes."""
    return engine.evaluator.evaluate(x.tolist(), with_classes=True)


@np.errstate(all="ignore")
def asked(estimator: Any, x: Matrix, form: Form | None = None) -> Evaluation:
    """Ask an estimator itself, for what a form of answer needs; its own, unless one is given."""
    predicted = np.asarray(estimator.predict(x)).reshape(len(x), -1)
    form = form or form_of(estimator)
    if form is Form.VALUES:
        return Evaluation([predicted])
    if form is Form.PREDICTION:
        return Evaluation(None, predicted)
    numbers = estimator.predict_proba(x)
    return Evaluation(numbers if isinstance(numbers, list) else [numbers], predicted)


def refused(ask: Any, x: Matrix) -> Evaluation | None:
    """Give an evaluation, None where the rows are refused as scikit-learn refuses them."""
    try:
        with np.errstate(all="ignore"):
            return ask(x)  # type: ignore[no-any-return]
    except ValueError:
        return None


def same_bits(found: Evaluation, wanted: Evaluation) -> None:
    """See that two evaluations are equal to the last bit, and their classes in type and value."""
    assert found.numbers is not None
    assert wanted.numbers is not None
    for ours, theirs in zip(found.numbers, wanted.numbers, strict=True):
        assert ours.dtype == theirs.dtype == np.float64
        np.testing.assert_array_equal(
            np.ascontiguousarray(ours).view(np.uint64), np.ascontiguousarray(theirs).view(np.uint64)
        )
    same_classes(found, wanted)


def same_classes(found: Evaluation, wanted: Evaluation) -> None:
    """See that the classes of two evaluations are the same in type and value."""
    assert (found.classes is None) == (wanted.classes is None)
    if found.classes is not None and wanted.classes is not None:
        assert found.classes.dtype == wanted.classes.dtype
        assert found.classes.tolist() == wanted.classes.tolist()


def near(found: Evaluation, wanted: Evaluation) -> None:
    """See that classes are the same, and numbers within 1e-12 of them where they are above 1."""
    if found.classes is not None:
        same_classes(found, wanted)
    assert (found.numbers is None) == (wanted.numbers is None)
    for ours, theirs in zip(found.numbers or (), wanted.numbers or (), strict=True):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


def trees_of(estimator: Any) -> Iterator[tuple[NDArray[np.integer], Matrix]]:
    """Give the features and thresholds of the numeric splits of each tree, as scikit-learn holds them."""
    stages = getattr(estimator, "_predictors", None)
    if stages is not None:
        for predictor in (each for stage in stages for each in stage):
            nodes = predictor.nodes
            split = (nodes["is_leaf"] == 0) & (nodes["is_categorical"] == 0)
            yield nodes["feature_idx"][split].astype(int), nodes["num_threshold"][split]
        return
    for each in np.ravel(getattr(estimator, "estimators_", [estimator])):
        split = each.tree_.children_left >= 0
        yield each.tree_.feature[split], each.tree_.threshold[split]


def thresholds_of(estimator: Any) -> list[Matrix]:
    """Give all thresholds of each feature."""
    features, thresholds = (np.concatenate(parts) for parts in zip(*trees_of(estimator), strict=True))
    return [np.unique(thresholds[features == index]) for index in range(estimator.n_features_in_)]


def beside(numbers: Matrix) -> Matrix:
    """Give numbers, what they are in single precision, and what is next to either of them in its precision."""
    numbers = numbers[np.isfinite(numbers)]  # a split of missing values from all others has an infinite threshold
    single = numbers.astype(np.float32)
    up, down = np.float32(np.inf), np.float32(-np.inf)
    near = [numbers, np.nextafter(numbers, np.inf), np.nextafter(numbers, -np.inf)]
    near += [each.astype(np.float64) for each in (single, np.nextafter(single, up), np.nextafter(single, down))]
    # Halfway between two of single precision, where rounding decides, and a step to either side of that.
    for other in (np.nextafter(single, up), np.nextafter(single, down)):
        half = (single.astype(np.float64) + other.astype(np.float64)) / 2
        near += [half, np.nextafter(half, np.inf), np.nextafter(half, -np.inf)]
    together: Matrix = np.concatenate(near)
    within: Matrix = together[np.abs(together) < EDGE]
    return within


def at_thresholds(thresholds: Sequence[Matrix], rows: Matrix) -> Matrix:
    """Give rows in which one feature after the other is at each of its thresholds, or beside it."""
    parts = [rows[:1]]
    for index, numbers in enumerate(thresholds):
        near = beside(numbers)
        part: Matrix = rows[np.arange(len(near)) % len(rows)]
        part[:, index] = near
        parts.append(part)
    return np.concatenate(parts)


def strange_rows(row: Matrix) -> Iterator[Matrix]:
    """Give a row with each strange number in each of its places, one at a time."""
    for index in range(len(row)):
        for strange in STRANGE:
            changed = row.copy().reshape(1, -1)
            changed[0, index] = strange
            yield changed
