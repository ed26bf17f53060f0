"""A million rows for each kind of tree ensemble, and all its thresholds: not one bit differs."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
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

from tests.unit.engine.comparing import Matrix, asked, at_thresholds, compiled, evaluate, thresholds_of

ROWS, CHUNK = 1_000_000, 50_000
DRAW = np.random.default_rng(20190131)
SCALES = np.array([1.0, 50.0, 1e-3, 3.0, 1e6])
X = DRAW.normal(size=(1_500, 5)) * SCALES
X[:, 3] = X[:, 3].round()
GAPPY = np.where(DRAW.random(X.shape) < 0.1, np.nan, X)
SIGNAL = (X / SCALES).sum(axis=1) + DRAW.normal(size=len(X))
CLASSES = np.digitize(SIGNAL, [-1.5, 1.5])
SEVERAL = np.column_stack([CLASSES, SIGNAL > 0])
NUMBERS = np.column_stack([SIGNAL, SIGNAL**2])

KINDS: dict[str, Callable[[], Any]] = {
    "DecisionTreeClassifier": lambda: DecisionTreeClassifier(random_state=0).fit(GAPPY, CLASSES),
    "DecisionTreeRegressor": lambda: DecisionTreeRegressor(random_state=0).fit(GAPPY, NUMBERS),
    "ExtraTreeClassifier": lambda: ExtraTreeClassifier(random_state=0).fit(GAPPY, SEVERAL),
    "ExtraTreeRegressor": lambda: ExtraTreeRegressor(random_state=0).fit(GAPPY, SIGNAL),
    "RandomForestClassifier": lambda: RandomForestClassifier(12, random_state=0).fit(GAPPY, SEVERAL),
    "RandomForestRegressor": lambda: RandomForestRegressor(12, random_state=0).fit(GAPPY, SIGNAL),
    "ExtraTreesClassifier": lambda: ExtraTreesClassifier(12, random_state=0).fit(GAPPY, CLASSES),
    "ExtraTreesRegressor": lambda: ExtraTreesRegressor(12, random_state=0, max_leaf_nodes=300).fit(GAPPY, NUMBERS),
    "GradientBoostingClassifier": lambda: GradientBoostingClassifier(n_estimators=15, random_state=0).fit(X, CLASSES),
    "GradientBoostingRegressor": lambda: GradientBoostingRegressor(n_estimators=30, random_state=0).fit(X, SIGNAL),
    "HistGradientBoostingClassifier": lambda: HistGradientBoostingClassifier(max_iter=15).fit(GAPPY, CLASSES),
    "HistGradientBoostingRegressor": lambda: HistGradientBoostingRegressor(max_iter=30).fit(GAPPY, SIGNAL),
}


def differing_bits(estimator: Any, engine: Any, x: Matrix) -> int:
    """Count the numbers and classes that differ by a bit."""
    ours, theirs = evaluate(engine, x), asked(estimator, x)
    assert ours.numbers is not None
    assert theirs.numbers is not None
    count = 0
    for mine, its in zip(ours.numbers, theirs.numbers, strict=True):
        bits = np.ascontiguousarray(mine).view(np.uint64), np.ascontiguousarray(its).view(np.uint64)
        count += 0 if np.array_equal(*bits) else int((bits[0] != bits[1]).sum())
    if theirs.classes is not None and ours.classes is not None:
        count += int((ours.classes != theirs.classes).sum())
    return count


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_not_one_bit_differs(name: str) -> None:
    """A million random rows, a part of them with gaps, and every threshold with its neighbours get the same bits."""
    estimator = KINDS[name]()
    engine = compiled(estimator)
    draw = np.random.default_rng(7)
    takes_missing = not name.startswith("Gradient")
    thresholds = thresholds_of(estimator)
    rows = at_thresholds(thresholds, draw.normal(size=(CHUNK, 5)) * SCALES)
    differing = differing_bits(estimator, engine, rows)
    for chunk in range(ROWS // CHUNK):
        x = draw.normal(size=(CHUNK, 5)) * SCALES * 10.0 ** draw.integers(-2, 2)
        if takes_missing and chunk % 2:
            x[draw.random(x.shape) < 0.05] = np.nan
        differing += differing_bits(estimator, engine, x)
    print(f"{name}: {ROWS} random rows, {sum(map(len, thresholds))} thresholds in {len(rows)} rows, {differing} differ")
    assert differing == 0
