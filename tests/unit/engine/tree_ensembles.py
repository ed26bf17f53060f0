"""Fitted trees and ensembles of trees of every kind, on small data that are always the same."""

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any, Final

import numpy as np
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier, ExtraTreeRegressor

from tests.unit.engine.comparing import Matrix

ROWS: Final = 200
_DRAW: Final = np.random.default_rng(20190131)

X: Final = _DRAW.normal(size=(ROWS, 4)) * [1.0, 50.0, 1e-3, 3.0]
X[:, 3] = X[:, 3].round()  # with ties
GAPPY: Final = np.where(_DRAW.random(X.shape) < 0.15, np.nan, X)
_SIGNAL: Final = X[:, 0] + X[:, 1] / 50 + 0.3 * X[:, 3] + _DRAW.normal(size=ROWS) * 0.5
BINARY: Final = (_SIGNAL > 0).astype(int)
TERNARY: Final = np.digitize(_SIGNAL, [-0.8, 0.8])
TEXT: Final = np.array(["low", "middle", "high"])[TERNARY]
NUMBER: Final = _SIGNAL * 3
POSITIVE: Final = np.exp(_SIGNAL / 2)
COUNTS: Final = POSITIVE.round()
NUMBERS: Final = np.column_stack([NUMBER, X[:, 0] * X[:, 3], POSITIVE])
SEVERAL: Final = np.column_stack([TERNARY * 10, BINARY, X[:, 3].astype(int)])  # of 3, 2 and many classes
SEVERAL_TEXT: Final = np.column_stack([TEXT, np.where(BINARY, "yes", "no")])
WEIGHTS: Final = _DRAW.random(ROWS) * np.where(_DRAW.random(ROWS) < 0.2, 0, 3)
MINUS_ZERO: Final = np.where(BINARY, 1.5, -0.0)

Make = Callable[[], Any]


def _tree(kind: Any, y: Any, x: Matrix = X, weights: Any = None, **options: Any) -> Make:
    return lambda: kind(random_state=0, **options).fit(x, y, sample_weight=weights)


def _forest(kind: Any, y: Any, x: Matrix = X, weights: Any = None, **options: Any) -> Make:
    return _tree(partial(kind, n_estimators=7), y, x, weights, **options)


def _boosting(kind: Any, y: Any, x: Matrix = X, weights: Any = None, **options: Any) -> Make:
    return _tree(kind, y, x, weights, **{"n_estimators": 12, **options})


def _histogram(kind: Any, y: Any, x: Matrix = X, weights: Any = None, **options: Any) -> Make:
    return _tree(kind, y, x, weights, **{"max_iter": 10, "min_samples_leaf": 5, **options})


FORESTS: Final[Mapping[str, Make]] = {
    "tree": _tree(DecisionTreeClassifier, TEXT),
    "tree of booleans": _tree(DecisionTreeClassifier, BINARY.astype(bool)),
    "tree of one class": _tree(DecisionTreeClassifier, np.full(ROWS, "always")),
    "tree of floats": _tree(DecisionTreeClassifier, TERNARY.astype(float)),
    "tree, entropy, weights": _tree(DecisionTreeClassifier, TERNARY, weights=WEIGHTS, criterion="entropy"),
    "tree, class weights": _tree(DecisionTreeClassifier, TERNARY, class_weight="balanced"),
    "tree, best first": _tree(DecisionTreeClassifier, TERNARY, max_leaf_nodes=17),
    "tree, pruned": _tree(DecisionTreeClassifier, TERNARY, ccp_alpha=0.01),
    "tree, a stump": _tree(DecisionTreeClassifier, BINARY, max_depth=1),
    "tree, monotonic": _tree(DecisionTreeClassifier, BINARY, monotonic_cst=[1, 0, 0, -1], max_depth=5),
    "tree, several outputs": _tree(DecisionTreeClassifier, SEVERAL),
    "tree, several texts": _tree(DecisionTreeClassifier, SEVERAL_TEXT, max_depth=4),
    "tree, missing values": _tree(DecisionTreeClassifier, TEXT, GAPPY),
    "tree, missing values, best first": _tree(DecisionTreeClassifier, TEXT, GAPPY, max_leaf_nodes=20),
    "tree regressor": _tree(DecisionTreeRegressor, NUMBER),
    "tree regressor, weights": _tree(DecisionTreeRegressor, NUMBER, weights=WEIGHTS, max_leaf_nodes=25),
    "tree regressor, medians": _tree(DecisionTreeRegressor, MINUS_ZERO, criterion="absolute_error"),
    "tree regressor, poisson": _tree(DecisionTreeRegressor, COUNTS, criterion="poisson"),
    "tree regressor, monotonic": _tree(DecisionTreeRegressor, NUMBER, monotonic_cst=[1, 1, 0, 0]),
    "tree regressor, several": _tree(DecisionTreeRegressor, NUMBERS),
    "tree regressor, missing values": _tree(DecisionTreeRegressor, NUMBER, GAPPY),
    "extra tree": _tree(ExtraTreeClassifier, TEXT),
    "extra tree, best first": _tree(ExtraTreeClassifier, SEVERAL, max_leaf_nodes=30),
    "extra tree, missing values": _tree(ExtraTreeClassifier, TERNARY, GAPPY),
    "extra tree regressor": _tree(ExtraTreeRegressor, NUMBERS, max_depth=6),
    "extra tree regressor, missing values": _tree(ExtraTreeRegressor, NUMBER, GAPPY, max_leaf_nodes=30),
    "forest": _forest(RandomForestClassifier, TEXT),
    "forest of two classes": _forest(RandomForestClassifier, BINARY * 5 - 7),
    "forest, weights": _forest(RandomForestClassifier, TERNARY, weights=WEIGHTS, max_leaf_nodes=20),
    "forest, balanced": _forest(RandomForestClassifier, TERNARY, class_weight="balanced_subsample", max_depth=5),
    "forest, monotonic": _forest(RandomForestClassifier, BINARY, monotonic_cst=[0, 1, 0, 0]),
    "forest, several outputs": _forest(RandomForestClassifier, SEVERAL),
    "forest, several texts": _forest(RandomForestClassifier, SEVERAL_TEXT, n_jobs=2),
    "forest, missing values": _forest(RandomForestClassifier, TEXT, GAPPY),
    "forest, without drawing": _forest(RandomForestClassifier, TEXT, bootstrap=False, max_features=None),
    "forest regressor": _forest(RandomForestRegressor, NUMBER),
    "forest regressor, absolute error": _forest(RandomForestRegressor, NUMBER, criterion="absolute_error", max_depth=4),
    "forest regressor, several": _forest(RandomForestRegressor, NUMBERS, max_leaf_nodes=40),
    "forest regressor, missing values": _forest(RandomForestRegressor, NUMBER, GAPPY),
    "extra trees": _forest(ExtraTreesClassifier, TEXT),
    "extra trees, several outputs": _forest(ExtraTreesClassifier, SEVERAL, bootstrap=True),
    "extra trees, missing values": _forest(ExtraTreesClassifier, TERNARY, GAPPY),
    "extra trees regressor": _forest(ExtraTreesRegressor, NUMBERS),
    "extra trees regressor, missing values": _forest(ExtraTreesRegressor, NUMBER, GAPPY, max_depth=6),
}
GRADIENT: Final[Mapping[str, Make]] = {
    "two classes": _boosting(GradientBoostingClassifier, np.where(BINARY, "yes", "no")),
    "two classes, exponential": _boosting(GradientBoostingClassifier, BINARY, loss="exponential"),
    "two classes, drawn": _boosting(GradientBoostingClassifier, BINARY, subsample=0.6, max_features=2),
    "three classes": _boosting(GradientBoostingClassifier, TEXT, learning_rate=0.3),
    "three classes, weights": _boosting(GradientBoostingClassifier, TERNARY, weights=WEIGHTS + 0.1, max_leaf_nodes=9),
    "from zero": _boosting(GradientBoostingClassifier, TERNARY, init="zero"),
    "from zero, two classes": _boosting(GradientBoostingClassifier, BINARY, init="zero"),
    "stopped early": _boosting(GradientBoostingClassifier, TERNARY, n_estimators=60, n_iter_no_change=2),
    "regressor": _boosting(GradientBoostingRegressor, NUMBER),
    "regressor, from zero": _boosting(GradientBoostingRegressor, NUMBER, init="zero"),
    "regressor, huber": _boosting(GradientBoostingRegressor, NUMBER, loss="huber", max_depth=5),
    "regressor, absolute error": _boosting(GradientBoostingRegressor, NUMBER, loss="absolute_error"),
    "regressor, quantile": _boosting(GradientBoostingRegressor, NUMBER, loss="quantile", alpha=0.2, learning_rate=0.7),
}
HISTOGRAM: Final[Mapping[str, Make]] = {
    "two classes": _histogram(HistGradientBoostingClassifier, np.where(BINARY, "yes", "no")),
    "two classes, missing values": _histogram(HistGradientBoostingClassifier, BINARY, GAPPY),
    "three classes": _histogram(HistGradientBoostingClassifier, TEXT, l2_regularization=0.1),
    "three classes, missing values": _histogram(HistGradientBoostingClassifier, TERNARY, GAPPY, learning_rate=0.5),
    "weights": _histogram(HistGradientBoostingClassifier, TERNARY, GAPPY, WEIGHTS, class_weight="balanced"),
    "stopped early": _histogram(HistGradientBoostingClassifier, BINARY, early_stopping=True, n_iter_no_change=1),
    "regressor": _histogram(HistGradientBoostingRegressor, NUMBER, max_leaf_nodes=7),
    "regressor, missing values": _histogram(HistGradientBoostingRegressor, NUMBER, GAPPY),
    "regressor, monotonic": _histogram(HistGradientBoostingRegressor, NUMBER, GAPPY, monotonic_cst=[1, 0, 0, 1]),
    "regressor, few bins": _histogram(HistGradientBoostingRegressor, NUMBER, GAPPY, max_bins=8),
    "regressor, absolute error": _histogram(HistGradientBoostingRegressor, NUMBER, GAPPY, loss="absolute_error"),
    "regressor, poisson": _histogram(HistGradientBoostingRegressor, COUNTS, GAPPY, loss="poisson"),
    "regressor, gamma": _histogram(HistGradientBoostingRegressor, POSITIVE, GAPPY, loss="gamma"),
    "regressor, quantile": _histogram(HistGradientBoostingRegressor, NUMBER, GAPPY, loss="quantile", quantile=0.8),
}
ENSEMBLES: Final[Mapping[str, Mapping[str, Make]]] = {
    "forest": FORESTS,
    "gradient boosting": GRADIENT,
    "histogram boosting": HISTOGRAM,
}


@cache
def fitted(engine: str, name: str) -> Any:
    """Give a fitted estimator, the same each time."""
    estimator = ENSEMBLES[engine][name]()
    if "n_jobs" in estimator.get_params():
        estimator.set_params(n_jobs=1)
    return estimator
