"""What a user packs into a wheel of his own: a classifier that answers 0 or 1, slowly for 42, greedily for 43."""

import time
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

ENTERED, GO = Path("/tmp/entered"), Path("/tmp/go")  # noqa: S108  # the container's own


class Odd(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Tells odd numbers; works on 42 until there is a file, and on 43 until memory is used up."""

    def fit(self, _: Any, y: Any) -> Self:
        """Remember the classes."""
        self.classes_, self.n_features_in_ = np.unique(y), 1
        return self

    def predict_proba(self, X: Any) -> Any:
        """Give certainties."""
        numbers = np.asarray(X)[:, 0]
        if 42 in numbers:
            ENTERED.touch()
            while not GO.exists():
                time.sleep(0.01)
        if 43 in numbers:
            kept = []
            while True:
                kept.append(np.ones(1_000_000))
        odd = numbers % 2
        return np.column_stack([1 - odd, odd])

    def predict(self, X: Any) -> Any:
        """Give classes."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]
