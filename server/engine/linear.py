"""Linear models as heads: one product and a link. Equal to the estimator within 1e-12, its labels to the letter.

scikit-learn itself is not bit-stable here: its products differ by rounding between one row and many.
"""

from collections.abc import Callable
from typing import Any

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


class Linear:
    """A linear model: scores, and what its kind makes of them."""

    takes_missing = False
    thresholds = ()

    def __init__(
        self,
        estimator: Estimator,
        link: Callable[[Matrix], Matrix] | None,
        classes: NDArray[Any] | None,
    ) -> None:
        coefficients = np.atleast_2d(np.asarray(estimator.coef_, dtype=np.float64))
        self._weights = np.ascontiguousarray(coefficients.T)
        self._intercept = np.asarray(estimator.intercept_, dtype=np.float64).reshape(-1)
        self._link, self._classes = link, classes

    def evaluate(self, x: Matrix, *, with_classes: bool) -> Evaluation:
        """Evaluate the rows of a matrix."""
        scores = x @ self._weights
        scores += self._intercept
        classes = None
        if self._classes is not None and (with_classes or self._link is None):
            binary = scores.shape[1] == 1
            chosen = (scores[:, 0] > 0).astype(int) if binary else scores.argmax(axis=1)
            classes = self._classes.take(chosen).reshape(-1, 1)
        return Evaluation(numbers=None if self._link is None else [self._link(scores)], classes=classes)


def linear_head(estimator: Estimator, form: Form) -> Linear | None:
    """Make the head of a linear model; None for one whose link is not known here."""
    if form is Form.VALUES:
        if is_a(estimator, *REGRESSORS):
            return Linear(estimator, lambda scores: scores, None)
        if is_a(estimator, *GENERALIZED):
            return Linear(estimator, estimator._base_loss.link.inverse, None)
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
        return Linear(estimator, _softmax, estimator.classes_)
    if is_a(estimator, *LOGISTIC) or (is_a(estimator, "SGDClassifier") and estimator.loss == "log_loss"):
        return Linear(estimator, _one_against_rest, estimator.classes_)
    return None


def _softmax(scores: Matrix) -> Matrix:
    scores = np.exp(scores - scores.max(axis=1, keepdims=True))
    scores /= scores.sum(axis=1, keepdims=True)
    return np.asarray(scores)


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
