"""Compiled linear models give the estimator's own labels, and its numbers within 1e-12."""

import warnings
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest
from sklearn import linear_model, svm

from server.engine.compiled import Compiled
from server.engine.evaluator import Unsupported
from tests.unit.engine.comparing import Matrix, asked, compiled, evaluate, near, refused, same_classes

ROWS = 120
DRAW = np.random.default_rng(20190131)
X = DRAW.normal(size=(ROWS, 5))
SIGNAL = X @ [1.0, -2.0, 0.5, 0.0, 1.5] + DRAW.normal(size=ROWS) * 0.7
BINARY = (SIGNAL > 0).astype(int)
TERNARY = np.digitize(SIGNAL, [-1.5, 1.5])
TEXT = np.array(["low", "middle", "high"])[TERNARY]
POSITIVE = np.exp(SIGNAL / 4) + 0.1
COUNTS = POSITIVE.round()
NUMBERS = np.column_stack([SIGNAL, X[:, 0], SIGNAL**2])
WEIGHTS = DRAW.random(ROWS)
INDICATORS = np.column_stack([BINARY, TERNARY == 1, X[:, 0] > 0]).astype(int)
MANY = DRAW.normal(size=(ROWS, 70))  # more features than a row of few has

RANDOM = np.random.default_rng(7).normal(size=(1_000, 5))
# Probabilities at their ends: scores from where a probability is one half to where an exponential overflows.
EXTREME = np.concatenate([RANDOM[:300] * 10.0**exponent for exponent in (-300, -5, 1, 2, 3, 4, 6)] + [np.zeros((1, 5))])

Case = tuple[Any, Any]
CLASSIFIERS: Mapping[str, Case] = {
    "logistic": (linear_model.LogisticRegression(), np.where(BINARY, "yes", "no")),
    "logistic, no intercept": (linear_model.LogisticRegression(fit_intercept=False), BINARY),
    "logistic, liblinear": (linear_model.LogisticRegression(solver="liblinear"), BINARY.astype(bool)),
    "logistic, weights": (linear_model.LogisticRegression(class_weight="balanced"), TERNARY * 10.0),
    "logistic, three classes": (linear_model.LogisticRegression(), TEXT),
    "logistic, without penalty": (linear_model.LogisticRegression(C=np.inf), TERNARY),
    "logistic, cross-validated": (
        linear_model.LogisticRegressionCV(Cs=3, cv=2, use_legacy_attributes=False),
        TEXT,
    ),
    "descent, logistic": (linear_model.SGDClassifier(loss="log_loss", random_state=0), BINARY),
    "descent, logistic, three classes": (linear_model.SGDClassifier(loss="log_loss", random_state=0), TEXT),
}
LABELS: Mapping[str, Case] = {
    "ridge": (linear_model.RidgeClassifier(), TEXT),
    "ridge, two classes": (linear_model.RidgeClassifier(), BINARY),
    "ridge, cross-validated": (linear_model.RidgeClassifierCV(), TERNARY.astype(float)),
    "support vectors": (svm.LinearSVC(), TEXT),
    "support vectors, two classes": (svm.LinearSVC(), BINARY.astype(bool)),
    "support vectors, crammer-singer": (svm.LinearSVC(multi_class="crammer_singer"), TERNARY),
    "descent, hinge": (linear_model.SGDClassifier(random_state=0), TEXT),
    "descent, hinge, two classes": (linear_model.SGDClassifier(random_state=0), BINARY * 3 - 5),
    "perceptron": (linear_model.Perceptron(random_state=0), TEXT),
}
REGRESSORS: Mapping[str, Case] = {
    "least squares": (linear_model.LinearRegression(), SIGNAL),
    "least squares, a column": (linear_model.LinearRegression(), SIGNAL.reshape(-1, 1)),
    "least squares, several": (linear_model.LinearRegression(), NUMBERS),
    "least squares, no intercept": (linear_model.LinearRegression(fit_intercept=False), NUMBERS),
    "least squares, positive": (linear_model.LinearRegression(positive=True), SIGNAL),
    "ridge": (linear_model.Ridge(), SIGNAL),
    "ridge, several": (linear_model.Ridge(alpha=[0.1, 1.0, 10.0]), NUMBERS),
    "ridge, cross-validated": (linear_model.RidgeCV(), NUMBERS),
    "lasso": (linear_model.Lasso(alpha=0.1), SIGNAL),
    "lasso, cross-validated": (linear_model.LassoCV(cv=3), SIGNAL),
    "lasso, several": (linear_model.MultiTaskLasso(alpha=0.1), NUMBERS),
    "elastic net": (linear_model.ElasticNet(alpha=0.1), SIGNAL),
    "elastic net, cross-validated": (linear_model.ElasticNetCV(cv=3), SIGNAL),
    "elastic net, several": (linear_model.MultiTaskElasticNet(alpha=0.1), NUMBERS),
    "least angles": (linear_model.Lars(), NUMBERS),
    "least angles, lasso": (linear_model.LassoLars(alpha=0.01), SIGNAL),
    "matching pursuit": (linear_model.OrthogonalMatchingPursuit(), SIGNAL),
    "bayesian ridge": (linear_model.BayesianRidge(), SIGNAL),
    "relevance": (linear_model.ARDRegression(), SIGNAL),
    "huber": (linear_model.HuberRegressor(), SIGNAL),
    "quantile": (linear_model.QuantileRegressor(alpha=0.01), SIGNAL),
    "theil-sen": (linear_model.TheilSenRegressor(random_state=0, max_subpopulation=100), SIGNAL),
    "support vectors": (svm.LinearSVR(), SIGNAL),
    "descent": (linear_model.SGDRegressor(random_state=0), SIGNAL),
}
GENERALIZED: Mapping[str, Case] = {
    "poisson": (linear_model.PoissonRegressor(), COUNTS),
    "gamma": (linear_model.GammaRegressor(), POSITIVE),
    "tweedie, normal": (linear_model.TweedieRegressor(power=0), SIGNAL),
    "tweedie, compound": (linear_model.TweedieRegressor(power=1.5), COUNTS),
    "tweedie, inverse gaussian": (linear_model.TweedieRegressor(power=3), POSITIVE),
    "tweedie, identity": (linear_model.TweedieRegressor(power=1, link="identity"), COUNTS + 1),
    "no intercept": (linear_model.PoissonRegressor(fit_intercept=False), COUNTS),
}
GROUPS = {"classifier": CLASSIFIERS, "labels": LABELS, "regressor": REGRESSORS, "generalized": GENERALIZED}

every_model = pytest.mark.parametrize(
    ("group", "name"),
    [pytest.param(group, name, id=f"{group}: {name}") for group, some in GROUPS.items() for name in some],
)


@cache
def fitted(group: str, name: str) -> Any:
    """Fit a model; that it may not have converged does not matter here."""
    estimator, y = GROUPS[group][name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return estimator.fit(X, y)


@cache
def engine_of(group: str, name: str) -> Compiled:
    """Compile a model."""
    return compiled(fitted(group, name))


@every_model
def test_random_rows(group: str, name: str) -> None:
    """Random rows get the estimator's own labels, and its numbers within 1e-12."""
    estimator, ours = fitted(group, name), engine_of(group, name)
    assert (ours.evaluator.name, ours.evaluator.serial, ours.exact) == ("linear", False, False)
    for x in (RANDOM, X):
        near(evaluate(ours, x), asked(estimator, x))


@every_model
def test_extreme_scores(group: str, name: str) -> None:
    """Scores so small or large that probabilities are 0, a half or 1, or overflow, are no exception."""
    estimator, ours = fitted(group, name), engine_of(group, name)
    with np.errstate(all="ignore"):
        wanted = asked(estimator, EXTREME)
    near(evaluate(ours, EXTREME), wanted)
    for index in range(0, len(EXTREME), 37):
        near(evaluate(ours, EXTREME[index : index + 1]), wanted.part(index, index + 1))


@every_model
def test_rows_alone(group: str, name: str) -> None:
    """A row alone is as it is among others, whether its class is asked for or not."""
    estimator, ours = fitted(group, name), engine_of(group, name)
    x = np.concatenate([RANDOM[:30], EXTREME[::50], np.zeros((1, 5))])
    with np.errstate(all="ignore"):
        wanted = asked(estimator, x)
    for index in range(len(x)):
        row = x[index : index + 1]
        near(evaluate(ours, row), wanted.part(index, index + 1))
        brief = ours.evaluator.evaluate(row.tolist())
        assert (brief.classes is None) == (wanted.numbers is not None)
        near(brief, wanted.part(index, index + 1))


@every_model
def test_what_is_not_finite_is_refused(group: str, name: str) -> None:
    """Missing and infinite values are refused as the estimator refuses them, alone and among others."""
    estimator, ours = fitted(group, name), engine_of(group, name)
    for value in (np.nan, np.inf, -np.inf):
        for count in (1, 3):
            x = RANDOM[:count].copy()
            x[-1, 2] = value
            assert refused(lambda x: asked(estimator, x), x) is None
            assert refused(lambda x: evaluate(ours, x), x) is None


def test_probabilities_are_probabilities() -> None:
    """Probabilities lie between 0 and 1, and their sum is 1 but for rounding, however extreme the scores."""
    for name in CLASSIFIERS:
        for x in (EXTREME, *EXTREME[::100, None]):
            numbers = engine_of("classifier", name).evaluator.evaluate(x.tolist()).numbers
            assert numbers is not None
            assert ((numbers[0] >= 0) & (numbers[0] <= 1)).all()
            np.testing.assert_allclose(numbers[0].sum(axis=1), 1, rtol=0, atol=1e-15 * 8)


@pytest.mark.parametrize(
    ("make", "x", "y"),
    [
        pytest.param(linear_model.LogisticRegression, MANY, TEXT, id="classes"),
        pytest.param(linear_model.LogisticRegression, MANY, BINARY, id="two classes"),
        pytest.param(linear_model.Ridge, MANY, NUMBERS, id="numbers"),
        pytest.param(linear_model.LinearRegression, X[:, :1], SIGNAL, id="one feature"),
        pytest.param(linear_model.LogisticRegression, X[:, :1], BINARY, id="one feature, two classes"),
    ],
)
def test_many_features_and_one(make: Callable[[], Any], x: Matrix, y: Any) -> None:
    """With many features or a single one the answer is the estimator's own as well."""
    estimator = make().fit(x, y)
    ours = compiled(estimator)
    wanted = asked(estimator, x)
    near(evaluate(ours, x), wanted)
    near(ours.evaluator.evaluate(x[:1].tolist()), wanted.part(0, 1))


def test_ties() -> None:
    """Rows whose scores are all the same, or zero, get the class that the estimator gives them."""
    x = np.zeros((4, 2))
    for classes in (2, 3):
        estimator = linear_model.RidgeClassifier(fit_intercept=False).fit(np.eye(6, 2), np.arange(6) % classes)
        estimator.coef_ = np.zeros_like(estimator.coef_)
        same_classes(evaluate(compiled(estimator), x), asked(estimator, x))
    for classes in (2, 3):
        logistic = linear_model.LogisticRegression(fit_intercept=False).fit(np.eye(6, 2), np.arange(6) % classes)
        for rows in (x, x[:1]):
            near(evaluate(compiled(logistic), rows), asked(logistic, rows))


@pytest.mark.parametrize(
    ("estimator", "y"),
    [
        pytest.param(linear_model.RidgeClassifier(), INDICATORS, id="several labels at once"),
        pytest.param(linear_model.SGDClassifier(loss="modified_huber", random_state=0), BINARY, id="another link"),
        pytest.param(linear_model.RANSACRegressor(random_state=0), SIGNAL, id="a model around another"),
    ],
)
def test_what_has_no_linear_form(estimator: Any, y: Any) -> None:
    """A linear model whose answer is made in another way has no compiled form."""
    with pytest.raises(Unsupported, match="has no compiled form"):
        compiled(estimator.fit(X, y))
