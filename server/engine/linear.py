"""Linear models as heads: one product and a link. Equal to the estimator within 1e-12, its labels to the letter.

scikit-learn itself is not bit-stable here: its products differ by rounding between one row and many.
"""

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from server.engine.evaluator import Evaluation
from server.engine.trees import Matrix
from server.introspection import Estimator, is_a
from server.outputs import Form

REGRESSORS = ("LinearModel", "SGDRegressor", "LinearSVR")
GENERALIZED = ("_GeneralizedLinearRegressor",)
LOGISTIC = ("LogisticRegression", "LogisticRegressionCV")
FEW_SCORES: Final = 16  # of one row, for which Python is quicker than the calls of numpy


@dataclass(frozen=True, slots=True)
class Link:
    """What is made of scores: of a matrix of them, and of those of one row, where that has a short form."""

    of_rows: Callable[[Matrix], Matrix]
    of_row: Callable[[list[float]], list[float]] | None = None


class Linear:
    """A linear model: scores, and what its kind makes of them."""

    takes_missing = False
    thresholds = ()

    def __init__(self, estimator: Estimator, link: Link | None, classes: NDArray[Any] | None) -> None:
        coefficients = np.atleast_2d(np.asarray(estimator.coef_, dtype=np.float64))
        intercept = np.broadcast_to(np.asarray(estimator.intercept_, dtype=np.float64).reshape(-1), len(coefficients))
        self._weights, self._intercept = coefficients.T, intercept
        self._link, self._classes = link, classes
        self._of_row = link.of_row if link is not None and len(coefficients) <= FEW_SCORES else None
        self._intercepts = intercept.tolist()

    def evaluate(self, x: Matrix, *, with_classes: bool) -> Evaluation:
        """Evaluate the rows of a matrix."""
        if self._of_row is not None and len(x) == 1:
            scores = list(map(operator.add, (x @ self._weights).tolist()[0], self._intercepts))
            if all(map(math.isfinite, scores)):
                classes = self._class_of_row(scores) if with_classes else None
                return Evaluation(numbers=[np.array([self._of_row(scores)])], classes=classes)
        return self._product(x, with_classes=with_classes)

    def _class_of_row(self, scores: list[float]) -> NDArray[Any] | None:
        if self._classes is None:
            return None
        chosen = int(scores[0] > 0) if len(scores) == 1 else scores.index(max(scores))
        return self._classes[chosen : chosen + 1].reshape(1, 1)

    @np.errstate(all="ignore")
    def _product(self, x: Matrix, *, with_classes: bool) -> Evaluation:
        scores = x @ self._weights
        scores += self._intercept
        classes = None
        if self._classes is not None and (with_classes or self._link is None):
            binary = scores.shape[1] == 1
            chosen = (scores[:, 0] > 0).astype(int) if binary else scores.argmax(axis=1)
            classes = self._classes.take(chosen).reshape(-1, 1)
        return Evaluation(numbers=None if self._link is None else [self._link.of_rows(scores)], classes=classes)


def linear_head(estimator: Estimator, form: Form) -> Linear | None:
    """Make the head of a linear model; None for one whose link is not known here."""
    if form is Form.VALUES:
        if is_a(estimator, *REGRESSORS):
            return Linear(estimator, IDENTITY, None)
        if is_a(estimator, *GENERALIZED):
            return Linear(estimator, Link(estimator._base_loss.link.inverse), None)
        return None
    if not is_a(estimator, "LinearClassifierMixin") or np.ndim(estimator.classes_) != 1:
        return None
    if getattr(estimator, "_label_binarizer", None) is not None and estimator._label_binarizer.y_type_ == (
        "multilabel-indicator"
    ):
        return None
    if form is Form.PREDICTION:
        return Linear(estimator, None, estimator.classes_)
    if is_a(estimator, *LOGISTIC) and len(estimator.classes_) > 2:
        return Linear(estimator, SOFTMAX, estimator.classes_)
    if is_a(estimator, *LOGISTIC) or (is_a(estimator, "SGDClassifier") and estimator.loss == "log_loss"):
        return Linear(estimator, ONE_AGAINST_REST, estimator.classes_)
    return None


def _softmax(scores: Matrix) -> Matrix:
    # The ufuncs themselves, in place: the methods around them cost as much again for few rows.
    np.subtract(scores, np.maximum.reduce(scores, axis=1, keepdims=True), out=scores)
    np.exp(scores, out=scores)
    return np.divide(scores, np.add.reduce(scores, axis=1, keepdims=True), out=scores)


def _one_against_rest(scores: Matrix) -> Matrix:
    """Give the logistic function of each score, over their sum; of one score, its complement beside it."""
    positive = expit(scores)
    if positive.shape[1] == 1:
        return np.concatenate([1 - positive, positive], axis=1)
    total = positive.sum(axis=1, keepdims=True)
    none = total[:, 0] == 0  # each is zero: all are alike
    positive[none] = 1
    total[none] = positive.shape[1]
    positive /= total
    return np.asarray(positive)


def _softmax_of_row(scores: list[float]) -> list[float]:
    largest = max(scores)
    powers = [math.exp(score - largest) for score in scores]
    total = sum(powers)
    return [power / total for power in powers]


def _one_against_rest_of_row(scores: list[float]) -> list[float]:
    positive = [_logistic(score) for score in scores]
    if len(positive) == 1:
        return [1 - positive[0], positive[0]]
    total = sum(positive)
    return [each / total for each in positive] if total else [1 / len(positive)] * len(positive)


def _logistic(score: float) -> float:
    """Give the logistic function; of a very negative score too, whose exponential would overflow."""
    if score >= 0:
        return 1 / (1 + math.exp(-score))
    power = math.exp(score)
    return power / (1 + power)


IDENTITY: Final = Link(lambda scores: scores, lambda scores: scores)
SOFTMAX: Final = Link(_softmax, _softmax_of_row)
ONE_AGAINST_REST: Final = Link(_one_against_rest, _one_against_rest_of_row)
