"""Every estimator of scikit-learn that predicts is served as it answers itself, or refused with a sentence."""

import contextlib
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVR
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import all_estimators

from server.engine import Evaluation
from server.errors import BundleError
from server.model import Model
from server.parameter import Parameter
from tests.api.estimators import ARRAY, BINARY, COUNTS, INDICATORS, NUMBER, NUMBERS, SEVERAL_TEXT, TEXT
from tests.models import real_model
from tests.unit.engine.comparing import Matrix, asked, near, same_classes

EXACT = ("pickle", "forest", "gradient boosting", "histogram boosting")
ROWS, ALONE = 60, 4
DRAWN = np.random.default_rng(7).normal(size=(ROWS, 4)) * [2.0, 20.0, 0.2, 6.0] + [0.0, 50.0, 0.0, -2.0]

TARGETS: Mapping[str, Any] = {
    "two classes": BINARY,
    "three classes": TEXT,
    "two outputs of classes": SEVERAL_TEXT,
    "three labels at once": INDICATORS,
    "a positive number": np.exp(NUMBER / 6),
    "three numbers": NUMBERS,
}
Logistic, Small = LogisticRegression(), DecisionTreeClassifier(max_depth=2, random_state=0)
# What an estimator needs to be made, or to answer at all.
ARGUMENTS: Mapping[str, Mapping[str, Any]] = {
    **{
        name: {"estimator": Logistic}
        for name in ("ClassifierChain", "MultiOutputClassifier", "OneVsOneClassifier", "OneVsRestClassifier")
    },
    **{name: {"estimator": Logistic} for name in ("OutputCodeClassifier", "SelfTrainingClassifier")},
    **{name: {"estimator": Ridge()} for name in ("MultiOutputRegressor", "RegressorChain", "RFE", "RFECV")},
    "FixedThresholdClassifier": {"estimator": Logistic, "threshold": 0.7},
    "TunedThresholdClassifierCV": {"estimator": Logistic, "cv": 2},
    "GridSearchCV": {"estimator": Logistic, "param_grid": {"C": [0.1, 1.0]}, "cv": 2},
    "RandomizedSearchCV": {"estimator": Ridge(), "param_distributions": {"alpha": [0.1, 1.0]}, "n_iter": 2, "cv": 2},
    "Pipeline": {"steps": [("scaler", StandardScaler()), ("tree", Small)]},
    **{
        name: {"estimators": [("logistic", Logistic), ("tree", Small)]}
        for name in ("StackingClassifier", "VotingClassifier")
    },
    **{
        name: {"estimators": [("ridge", Ridge()), ("vectors", LinearSVR())]}
        for name in ("StackingRegressor", "VotingRegressor")
    },
    **{name: {"radius": 1e15} for name in ("RadiusNeighborsClassifier", "RadiusNeighborsRegressor")},
    **{name: {"kernel": "knn"} for name in ("LabelPropagation", "LabelSpreading")},
    "LocalOutlierFactor": {"novelty": True},
    "MeanShift": {"bandwidth": 20.0, "bin_seeding": True},
    "CategoricalNB": {"min_categories": 4},
    "IsotonicRegression": {"out_of_bounds": "clip"},
}
SMALLER: Mapping[str, Any] = {"n_estimators": 6, "random_state": 0, "n_init": 1}
INPUTS: Mapping[str, Matrix] = {
    **dict.fromkeys(("CategoricalNB", "ComplementNB", "MultinomialNB"), COUNTS),
    "IsotonicRegression": ARRAY[:, :1],
}
LOOKUPS: Mapping[str, Any] = {
    "CategoricalNB": {
        f"x{index}": {name: code for code, name in enumerate(("0", "1", "2", "3"))} for index in range(3)
    },
    "IsotonicRegression": {"x0": 0},
}
PREDICTING = {name: kind for name, kind in all_estimators() if hasattr(kind, "predict")}
OTHERS = {name: kind for name, kind in all_estimators() if name not in PREDICTING}


def fitted(name: str, y: Any) -> Any:
    """Make a small estimator and fit it, None if it cannot be on this target; that it may not converge is no matter."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator = clone(PREDICTING[name](**ARGUMENTS.get(name, {})))
        known = estimator.get_params(deep=False)
        estimator.set_params(**{key: value for key, value in SMALLER.items() if key in known})
        # Some regressors take classes, of which nothing new is seen, and a dummy takes any number for a class.
        numbers = y.dtype.kind == "f"
        if (is_regressor(estimator) and not numbers) or (is_classifier(estimator) and numbers):
            return None
        try:
            return estimator.fit(INPUTS.get(name, ARRAY), y)
        except Exception:  # it raises whatever it likes
            return None


def drawn(model: Model) -> tuple[list[dict[str, Any]], Matrix]:
    """Draw rows that the model's schema accepts: as a request has them, and as the estimator has them."""
    parameters = model.signature.parameters
    if parameters[0].labels:
        x = np.random.default_rng(3).integers(0, 4, size=(ROWS, len(parameters))).astype(float)
        return [{f"x{index}": str(int(code)) for index, code in enumerate(row)} for row in x], x
    low, high = (
        np.array([float(bound or 0) for bound in bounds]) for bounds in zip(*map(_bounds, parameters), strict=True)
    )
    x = np.clip(DRAWN[:, : len(parameters)], low, high)
    return [{f"x{index}": value for index, value in enumerate(row)} for row in x.tolist()], x


def _bounds(parameter: Parameter) -> tuple[float | None, float | None]:
    return parameter.minimum, parameter.maximum


def same(found: Evaluation, wanted: Evaluation) -> None:
    """See that two evaluations are equal to the last bit."""
    assert (found.numbers is None) == (wanted.numbers is None)
    for ours, theirs in zip(found.numbers or (), wanted.numbers or (), strict=True):
        assert ours.dtype == theirs.dtype
        assert ours.tobytes() == theirs.tobytes()
    same_classes(found, wanted)


@pytest.mark.parametrize("name", PREDICTING)
def test_every_estimator(name: str) -> None:
    """Whatever predicts is served as it answers itself, in a batch and row by row."""
    served = 0
    for y in TARGETS.values():
        estimator = fitted(name, y)
        if estimator is None:
            continue
        model = real_model(estimator, lookup=LOOKUPS.get(name))
        served += 1
        if not is_classifier(estimator) and not is_regressor(estimator) and served > 1:
            break  # it looks at no target
        rows, x = drawn(model)
        codes = model.signature.parse_rows(rows)
        form = model.outputs.form
        equal = same if model.engine.name.removeprefix("pipeline, ") in EXACT else near
        equal(model.evaluator.evaluate(codes, with_classes=True), asked(estimator, x, form))
        for index in range(ALONE):
            alone = model.evaluator.evaluate([codes[index]], with_classes=True)
            equal(alone, asked(estimator, x[index : index + 1], form))
    assert served


@pytest.mark.parametrize("name", OTHERS)
def test_everything_else(name: str) -> None:
    """What does not predict is refused with a sentence that says so, fitted or not."""
    needed: dict[str, Any] = {"ColumnTransformer": [], "FeatureUnion": [], "SparseCoder": ARRAY[:3]}
    needed |= dict.fromkeys(("FrozenEstimator", "SelectFromModel", "SequentialFeatureSelector"), Logistic)
    estimator = OTHERS[name](*([needed[name]] if name in needed else []))
    if "max_iter" in estimator.get_params(deep=False):
        estimator.set_params(max_iter=2)
    with warnings.catch_warnings(), contextlib.suppress(Exception):  # what cannot be fitted on this is refused, too
        warnings.simplefilter("ignore")
        estimator.fit(ARRAY, BINARY)
    with pytest.raises(BundleError) as caught:
        real_model(estimator)
    text = str(caught.value)
    assert text.startswith(f"The {name} ")
    assert text.endswith(".")
    assert "\n" not in text
