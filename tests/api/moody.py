"""An estimator that fails in every way, when it is asked to; everything else it answers."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, RegressorMixin

RAISE, NOT_FINITE, SLEEP, WAIT, CRASH = 13.0, 14.0, 15.0, 16.0, 17.0


class Moody(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Gives its only input back, but for the numbers above; `wait` is called for one of them."""

    n_features_in_ = 1

    def __init__(self, wait: Callable[[], object] = lambda: None) -> None:
        self.wait = wait

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def predict(self, X: NDArray[Any]) -> NDArray[Any]:
        first = X[:, 0]
        if RAISE in first:
            msg = f"I do not like {X.tolist()}"
            raise ValueError(msg)
        if CRASH in first:
            raise MemoryError
        if SLEEP in first:
            time.sleep(0.1)
        if WAIT in first:
            self.wait()
        return np.where(first == NOT_FINITE, np.nan, first)
