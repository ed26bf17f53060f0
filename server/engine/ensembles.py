"""Tree ensembles as heads: a matrix in, the estimator's own numbers out, to the last bit."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server.engine.evaluator import Evaluation
from server.engine.trees import Matrix, TreeSum, from_histogram, from_sklearn, known_sets
from server.introspection import Estimator, is_a
from server.outputs import Form


class Forest:
    """A tree, or a forest: the mean of its trees' leaves."""

    def __init__(self, estimator: Estimator, form: Form) -> None:
        trees = (
            [each.tree_ for each in estimator.estimators_] if hasattr(estimator, "estimators_") else [estimator.tree_]
        )
        first = estimator.estimators_[0] if hasattr(estimator, "estimators_") else estimator
        self._sum = TreeSum(
            [from_sklearn(each) for each in trees], n_features=first.n_features_in_, single_precision=True
        )
        self.thresholds = self._sum.thresholds
        self._count = len(trees) if hasattr(estimator, "estimators_") else None
        self._form = form
        self._width = trees[0].n_outputs * trees[0].max_n_classes
        self._classes = _classes(estimator) if form is not Form.VALUES else []
        self._stride = trees[0].max_n_classes
        self.takes_missing = bool(first._support_missing_values(np.zeros((1, first.n_features_in_))))

    def evaluate(self, x: Matrix, *, with_classes: bool) -> Evaluation:
        """Evaluate the rows of a matrix."""
        # A tree gives its leaf as it is, be it -0.0, which only -0.0 does not change; a forest's sum begins with 0.0.
        total = self._sum.add_to(np.full((len(x), self._width), -0.0 if self._count is None else 0.0), x)
        if self._count is not None:
            total /= self._count
        if self._form is Form.VALUES:
            return Evaluation(numbers=[total])
        numbers = [
            total[:, index * self._stride : index * self._stride + len(classes)]
            for index, classes in enumerate(self._classes)
        ]
        if not with_classes:
            return Evaluation(numbers=numbers)
        chosen = [classes.take(each.argmax(axis=1)) for classes, each in zip(self._classes, numbers, strict=True)]
        return Evaluation(numbers=numbers, classes=_columns(chosen))


class Boosting:
    """Gradient boosting: a start, the trees' sum on it, and a link from that to probabilities or values."""

    def __init__(
        self,
        trees: TreeSum,
        start: Matrix,
        link: Callable[[Matrix], Matrix],
        choose: Callable[[Matrix], NDArray[Any]] | None,
        *,
        takes_missing: bool,
    ) -> None:
        self._trees, self._start, self._link, self._choose = trees, start, link, choose
        self.thresholds = trees.thresholds
        self.takes_missing = takes_missing

    @np.errstate(all="ignore")
    def evaluate(self, x: Matrix, *, with_classes: bool) -> Evaluation:
        """Evaluate the rows of a matrix."""
        raw = self._trees.add_to(np.repeat(self._start, len(x), axis=0), x)
        classes = self._choose(raw).reshape(-1, 1) if with_classes and self._choose is not None else None
        return Evaluation(numbers=[self._link(raw)], classes=classes)


def _classes(estimator: Estimator) -> Sequence[NDArray[Any]]:
    return estimator.classes_ if isinstance(estimator.classes_, list) else [estimator.classes_]


def _columns(columns: Sequence[NDArray[Any]]) -> NDArray[Any]:
    if len(columns) == 1:
        return columns[0].reshape(-1, 1)
    together = np.empty((len(columns[0]), len(columns)), dtype=np.result_type(*columns))
    for index, column in enumerate(columns):
        together[:, index] = column
    return together


def gradient_boosting(estimator: Estimator, form: Form) -> Boosting | None:
    """Make the head of a classic gradient boosting; None where its start depends on the row."""
    if not isinstance(estimator.init_, str) and not is_a(estimator.init_, "DummyClassifier", "DummyRegressor"):
        return None
    n_stages, n_columns = estimator.estimators_.shape
    trees = TreeSum(
        [from_sklearn(each.tree_) for each in estimator.estimators_.ravel()],
        n_features=estimator.n_features_in_,
        columns=list(range(n_columns)) * n_stages,
        scale=estimator.learning_rate,
        single_precision=True,
    )
    start = estimator._raw_predict_init(np.zeros((1, estimator.n_features_in_), dtype=np.float32))
    start = np.asarray(start, dtype=np.float64).reshape(1, -1)
    if form is Form.VALUES:
        return Boosting(trees, start, lambda raw: raw, None, takes_missing=False)

    classes = estimator.classes_  # not the estimator itself, which is to be forgotten

    def squeezed(raw: Matrix) -> Matrix:
        return raw[:, 0] if raw.shape[1] == 1 else raw

    def choose(raw: Matrix) -> NDArray[Any]:
        chosen = (raw[:, 0] >= 0).astype(int) if raw.shape[1] == 1 else raw.argmax(axis=1)
        return np.asarray(classes[chosen])

    predict_proba = estimator._loss.predict_proba
    return Boosting(trees, start, lambda raw: predict_proba(squeezed(raw)), choose, takes_missing=False)


def histogram_boosting(estimator: Estimator, form: Form) -> Boosting:
    """Make the head of a histogram gradient boosting; its categorical features come as codes 0, 1, 2, ..."""
    stages = estimator._predictors
    mapper = estimator._bin_mapper
    known = zip(mapper.bin_thresholds_, mapper.is_categorical_, strict=True)
    trees = TreeSum(
        [from_histogram(each) for stage in stages for each in stage],
        n_features=estimator.n_features_in_,
        columns=[column for stage in stages for column in range(len(stage))],
        single_precision=False,
        known_sets=known_sets(values if categorical else None for values, categorical in known),
    )
    start = np.asarray(estimator._baseline_prediction, dtype=np.float64).reshape(1, -1)
    loss = estimator._loss
    if form is Form.VALUES:
        return Boosting(trees, start, lambda raw: loss.link.inverse(raw), None, takes_missing=True)

    classes = estimator.classes_

    def choose(raw: Matrix) -> NDArray[Any]:
        return np.asarray(classes[loss.predict_proba(raw).argmax(axis=1)])

    return Boosting(trees, start, loss.predict_proba, choose, takes_missing=True)
