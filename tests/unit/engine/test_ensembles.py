"""Compiled trees and ensembles are equal to the estimator to the last bit, wherever they are looked at."""

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge

from server.engine.compiled import Compiled
from server.engine.evaluator import Unsupported
from tests.models import real_model
from tests.unit.engine.comparing import (
    asked,
    at_thresholds,
    beside,
    compiled,
    evaluate,
    refused,
    same_bits,
    strange_rows,
    thresholds_of,
)
from tests.unit.engine.tree_ensembles import BINARY, ENSEMBLES, NUMBER, ROWS, TERNARY, TEXT, X, fitted

RANDOM = np.random.default_rng(7).normal(size=(1_000, 4)) * [2.0, 100.0, 2e-3, 5.0]
RANDOM[:, 3] = RANDOM[:, 3].round()
GAPS = np.where(np.random.default_rng(8).random(RANDOM.shape) < 0.2, np.nan, RANDOM)

every_ensemble = pytest.mark.parametrize(
    ("engine", "name"),
    [pytest.param(engine, name, id=f"{engine}: {name}") for engine, some in ENSEMBLES.items() for name in some],
)


@cache
def engine_of(engine: str, name: str) -> Compiled:
    """Compile an ensemble."""
    return compiled(fitted(engine, name))


@every_ensemble
def test_random_rows(engine: str, name: str) -> None:
    """Random rows, and the rows that it was fitted on, get the estimator's own bits and classes."""
    estimator, ours = fitted(engine, name), engine_of(engine, name)
    assert (ours.evaluator.name, ours.evaluator.serial, ours.exact) == (engine, False, True)
    for x in (RANDOM, X):
        same_bits(evaluate(ours, x), asked(estimator, x))


@every_ensemble
def test_every_threshold(engine: str, name: str) -> None:
    """At every threshold of every tree, beside it in both precisions, and where rounding turns, the bits are equal."""
    estimator = fitted(engine, name)
    x = at_thresholds(thresholds_of(estimator), RANDOM)
    same_bits(evaluate(engine_of(engine, name), x), asked(estimator, x))


@every_ensemble
def test_missing_values(engine: str, name: str) -> None:
    """Missing values are taken or refused as the estimator does it, and where they are taken the bits are equal."""
    estimator, ours = fitted(engine, name), engine_of(engine, name)
    wanted = refused(lambda x: asked(estimator, x), GAPS)
    found = refused(lambda x: evaluate(ours, x), GAPS)
    assert (found is None) == (wanted is None)
    if found is not None and wanted is not None:
        same_bits(found, wanted)
        assert found.numbers is not None
        for count in (1, 7, 8, 9, 64, 65):  # rows with gaps go another way than rows without
            part = evaluate(ours, GAPS[:count])
            same_bits(part, wanted.part(0, count))


@every_ensemble
def test_strange_numbers(engine: str, name: str) -> None:
    """Infinite, huge and tiny numbers are refused alike, and where they are taken the bits are equal."""
    estimator, ours = fitted(engine, name), engine_of(engine, name)
    for x in strange_rows(X[0]):
        wanted = refused(lambda x: asked(estimator, x), x)
        found = refused(lambda x: evaluate(ours, x), x)
        assert (found is None) == (wanted is None), x
        if found is not None and wanted is not None:
            same_bits(found, wanted)


@every_ensemble
def test_rows_alone(engine: str, name: str) -> None:
    """A row alone has the bits that it has among others, and classes only if they are asked for."""
    estimator, ours = fitted(engine, name), engine_of(engine, name)
    wanted = asked(estimator, RANDOM[:70])
    for count in (1, 2, 7, 8, 9, 63, 64, 65, 70):
        same_bits(evaluate(ours, RANDOM[:count]), wanted.part(0, count))
    assert ours.evaluator.evaluate(RANDOM[:2].tolist()).classes is None


@every_ensemble
def test_thresholds_for_the_comparison(engine: str, name: str) -> None:
    """The thresholds that the comparison at the start looks at are the estimator's own, all where they are few."""
    wanted = thresholds_of(fitted(engine, name))
    for ours, theirs in zip(engine_of(engine, name).thresholds, wanted, strict=True):
        assert set(ours) <= set(theirs)
        assert len(ours) == min(len(theirs), 256)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: GradientBoostingClassifier(init=LogisticRegression()).fit(X, BINARY), id="classifier"),
        pytest.param(lambda: GradientBoostingRegressor(init=Ridge()).fit(X, NUMBER), id="regressor"),
    ],
)
def test_a_start_that_depends_on_the_row(make: Any) -> None:
    """Gradient boosting that starts from another estimator's answer has no compiled form."""
    with pytest.raises(Unsupported, match=r"GradientBoosting.* has no compiled form"):
        compiled(make())


@pytest.mark.parametrize("strategy", ["prior", "uniform", "most_frequent"])
def test_a_start_that_was_given(strategy: str) -> None:
    """Gradient boosting that starts from a dummy, which answers every row alike, is compiled."""
    start = DummyClassifier(strategy=strategy)
    estimator = GradientBoostingClassifier(init=start, n_estimators=5, random_state=0).fit(X, TERNARY)
    same_bits(evaluate(compiled(estimator), RANDOM), asked(estimator, RANDOM))


CODES = X.copy()
CODES[:, 0] = np.random.default_rng(3).integers(0, 40, ROWS) * 3 - 20  # negative ones, and gaps between them
CODES[:, 2] = np.where(np.arange(ROWS) % 9, np.random.default_rng(4).integers(0, 250, ROWS), np.nan)
FRAME = pd.DataFrame(
    {
        "speed": X[:, 0],
        "city": pd.Categorical(np.array(["Oslo", "Rome", "Lima", "Kyiv"])[np.arange(ROWS) * 7 % 4]),
        "gap": np.where(np.arange(ROWS) % 5, X[:, 1], np.nan),
        "port": pd.Categorical(np.array(["S", "C", "Q", None], dtype=object)[np.arange(ROWS) % 11 % 4]),
        "level": pd.Categorical(np.arange(ROWS) * 5 % 23),
    }
)
Histograms = HistGradientBoostingClassifier | HistGradientBoostingRegressor


def _categorical(kind: Any, features: Any, data: Any, y: Any, **options: Any) -> Any:
    estimator = kind(max_iter=10, min_samples_leaf=3, categorical_features=features, random_state=0, **options)
    return estimator.fit(data, y)


CATEGORICAL = {
    "codes, classifier": lambda: _categorical(HistGradientBoostingClassifier, [0, 2], CODES, TEXT),
    "codes, regressor": lambda: _categorical(HistGradientBoostingRegressor, [2], CODES, NUMBER),
    "only codes": lambda: _categorical(HistGradientBoostingRegressor, [0, 1], CODES[:, [0, 2]], NUMBER),
    "from dtype, classifier": lambda: _categorical(HistGradientBoostingClassifier, "from_dtype", FRAME, BINARY),
    "from dtype, poisson": lambda: _categorical(
        HistGradientBoostingRegressor, "from_dtype", FRAME, BINARY, loss="poisson"
    ),
    "by name": lambda: _categorical(
        HistGradientBoostingClassifier, ["port", "level"], FRAME.drop(columns="city"), TEXT
    ),
    "monotonic beside": lambda: _categorical(
        HistGradientBoostingRegressor, "from_dtype", FRAME, NUMBER, monotonic_cst={"speed": 1}
    ),
}


@pytest.mark.parametrize("name", CATEGORICAL)
def test_categories(name: str) -> None:
    """Categories, known ones, unknown ones and missing ones, get the estimator's own bits, beside any number."""
    estimator = CATEGORICAL[name]()
    ours = real_model(estimator, unknown_labels="accept")
    pickle = real_model(estimator, unknown_labels="accept", engine="pickle")
    assert (ours.engine.name, pickle.engine.name) == ("pipeline, histogram boosting", "pickle")
    draw = np.random.default_rng(5)
    # The nodes name the columns as the estimator's own encoder has them: categories first.
    numbers = np.concatenate(thresholds_of(estimator)[sum(estimator.is_categorical_) :] or [np.zeros(1)])
    near = beside(numbers)
    rows = []
    for index in range(500):
        row: dict[str, Any] = {}
        for parameter in ours.signature.parameters:
            if parameter.labels:
                choices = [*parameter.labels, *([None] if parameter.nullable else [])]
                if parameter.open:
                    choices.append("elsewhere" if parameter.label_type is str else 5_000)
                row[parameter.name] = choices[draw.integers(len(choices))]
            else:
                row[parameter.name] = float(near[index % len(near)] if draw.random() < 0.5 else draw.normal() * 30)
        rows.append(row)
    found = ours.evaluator.evaluate(ours.signature.parse_rows(rows), with_classes=True)
    wanted = pickle.evaluator.evaluate(pickle.signature.parse_rows(rows), with_classes=True)
    same_bits(found, wanted)
    for row in rows[:20]:
        same_bits(
            ours.evaluator.evaluate([ours.signature.parse(row)], with_classes=True),
            pickle.evaluator.evaluate([pickle.signature.parse(row)], with_classes=True),
        )
