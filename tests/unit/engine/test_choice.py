"""Which engine serves: the compiled one only if nothing tells it from the estimator."""

# scikit-learn ships no types.
# mypy: allow-subclassing-any

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from server.engine import EngineReport, FallbackEvaluator
from server.engine.choice import Choice, choose
from server.engine.compiled import Compiled
from server.engine.timing import Cost
from server.introspection import Shape
from server.outputs import Form
from tests.models import number
from tests.unit.engine.comparing import form_of

DRAW = np.random.default_rng(20190131)
X = DRAW.normal(size=(80, 2))
BINARY = (X[:, 0] + X[:, 1] > 0).astype(int)
PARAMETERS = (number("x0", minimum=-1e9, maximum=1e9), number("x1", minimum=-1e9, maximum=1e9))


class OneBitOff(DecisionTreeClassifier):
    """Gives probabilities that differ from its tree's by one bit, for some rows."""

    def predict_proba(self, X: Any) -> Any:
        numbers = super().predict_proba(X)
        X = np.asarray(X)
        return np.where(X[:, :1] > 0.5, np.nextafter(numbers, 2), numbers)


class OtherLabels(DecisionTreeClassifier):
    """Predicts the class that is less probable."""

    def predict(self, X: Any) -> Any:
        return self.classes_[super().predict_proba(X).argmin(axis=1)]


class TakesAll(DecisionTreeClassifier):
    """Takes infinite numbers, which its tree refuses."""

    def predict_proba(self, X: Any) -> Any:
        return super().predict_proba(np.clip(X, -1e9, 1e9))

    def predict(self, X: Any) -> Any:
        return super().predict(np.clip(X, -1e9, 1e9))


class TakesLess(DecisionTreeClassifier):
    """Refuses missing values, which its tree takes."""

    def predict_proba(self, X: Any) -> Any:
        if np.isnan(X).any():
            msg = "a value is missing"
            raise ValueError(msg)
        return super().predict_proba(X)


class Moody(DecisionTreeClassifier):
    """Fails on some of the rows that its signature takes."""

    def predict_proba(self, X: Any) -> Any:
        if len(X) > 100:
            msg = "so many"
            raise RuntimeError(msg)
        return super().predict_proba(X)


class OneShape(DecisionTreeClassifier):
    """Gives a probability more than it has classes."""

    def predict_proba(self, X: Any) -> Any:
        return np.column_stack([super().predict_proba(X), np.zeros(len(X))])


class SometimesInfinite(DecisionTreeRegressor):
    """Gives numbers that are not finite, where its tree's are."""

    def predict(self, X: Any) -> Any:
        return np.where(np.asarray(X)[:, 0] > 0.5, np.inf, super().predict(X))


class WithinRounding(LogisticRegression):
    """Gives probabilities that differ from its scores' by less than anybody sees."""

    def predict_proba(self, X: Any) -> Any:
        return super().predict_proba(X) * (1 - 1e-13)


class BeyondRounding(LogisticRegression):
    """Gives probabilities that differ from its scores' by a billionth."""

    def predict_proba(self, X: Any) -> Any:
        return super().predict_proba(X) * (1 - 1e-9)


class NoTree(DecisionTreeClassifier):
    """Bears a name that is known here, and has nothing of what it stands for."""

    n_outputs_, n_features_in_, classes_ = 1, 2, np.array([0, 1])

    def fit(self, *_: Any) -> Any:
        return self

    def predict_proba(self, X: Any) -> Any:
        return np.full((len(X), 2), 0.5)

    def predict(self, X: Any) -> Any:
        return np.zeros(len(X), dtype=int)


class AgainstItsCompany(ClassifierMixin, BaseEstimator):
    """Gives probabilities that depend on the other rows of a call."""

    classes_ = np.array([0, 1])
    n_features_in_ = 2

    def predict_proba(self, X: Any) -> Any:
        share = 1 / (1 + np.exp(-(X - X.mean(axis=0)).sum(axis=1)))
        return np.column_stack([1 - share, share])

    def predict(self, X: Any) -> Any:
        return self.predict_proba(X).argmax(axis=1)


class Hermit(AgainstItsCompany):
    """Takes only one row at a time."""

    def predict_proba(self, X: Any) -> Any:
        if len(X) > 1:
            msg = "one at a time"
            raise ValueError(msg)
        return super().predict_proba(X)


class Sociable(AgainstItsCompany):
    """Takes only several rows at a time, once it has been asked for its example."""

    def predict_proba(self, X: Any) -> Any:
        if len(X) == 1 and X.any():
            msg = "two at least"
            raise ValueError(msg)
        return np.full((len(X), 2), 0.5)


class Independent(AgainstItsCompany):
    """Gives each row what it would have alone."""

    def predict_proba(self, X: Any) -> Any:
        share = 1 / (1 + np.exp(-X.sum(axis=1)))
        return np.column_stack([1 - share, share])


def choice_of(estimator: Any, *, compiled: bool = True) -> Choice:
    """Choose the engine of an estimator of two numbers."""
    return choose(estimator, PARAMETERS, Shape.ARRAY, form_of(estimator), compiled=compiled)


def report_of(estimator: Any, *, compiled: bool = True) -> EngineReport:
    """Choose the engine of an estimator of two numbers, and give the report."""
    return choice_of(estimator, compiled=compiled).report


def test_the_compiled_engine_serves() -> None:
    """An engine that answers as the estimator serves; the report says of how many rows that was seen."""
    chosen = choice_of(RandomForestClassifier(5, random_state=0).fit(X, BINARY))
    report = chosen.report
    assert (report.name, chosen.evaluator.name, chosen.parameters) == ("forest", "forest", PARAMETERS)
    assert report.fallback is None
    assert report.comparison.fault is None
    assert report.comparison.largest_difference == 0
    assert report.comparison.rows >= 256 + 2 * 5  # and what is to be refused, in either column
    assert report.shared_rows == 1  # several threads may evaluate at once
    assert report.cost.first_row > 0


@pytest.mark.parametrize(
    ("estimator", "reason"),
    [
        pytest.param(OneBitOff(random_state=0), "its numbers differ by up to", id="one bit"),
        pytest.param(OtherLabels(random_state=0), "it predicts other labels", id="another label"),
        pytest.param(TakesAll(random_state=0), "it does not refuse inf alike", id="refuses more"),
        pytest.param(TakesLess(random_state=0), "it does not refuse nan alike", id="refuses less"),
        pytest.param(OneShape(random_state=0), "its answer has another shape", id="another shape"),
        pytest.param(Moody(random_state=0), "the estimator fails on drawn rows (RuntimeError: so many)", id="moody"),
        pytest.param(
            SometimesInfinite(random_state=0),
            "its answer is finite where the estimator's is not, or the reverse",
            id="not finite",
        ),
        pytest.param(BeyondRounding(), "its numbers differ by up to", id="a billionth"),
        pytest.param(make_pipeline(StandardScaler(), BeyondRounding()), "its numbers differ by", id="in a pipeline"),
        pytest.param(NoTree(random_state=0), "it cannot be compiled (AttributeError: ", id="only a name"),
    ],
)
def test_an_engine_that_differs_does_not_serve(estimator: Any, reason: str) -> None:
    """Whatever tells the engine from the estimator, the pickle serves then, and the report says why."""
    chosen = choice_of(estimator.fit(X, BINARY))
    assert (chosen.report.name, chosen.evaluator.name) == ("pickle", "pickle")
    assert chosen.parameters == PARAMETERS
    assert chosen.report.fallback is not None
    assert chosen.report.fallback.startswith(reason)
    given = chosen.evaluator.evaluate(X.tolist(), with_classes=True)
    assert given.numbers is not None
    wanted = estimator.predict(X) if isinstance(estimator, DecisionTreeRegressor) else estimator.predict_proba(X)
    np.testing.assert_array_equal(given.numbers[0], wanted.reshape(len(X), -1))


def test_differences_of_rounding_are_none() -> None:
    """A linear engine whose numbers differ by less than 1e-12 serves; the report says by how much."""
    report = report_of(WithinRounding().fit(X, BINARY))
    assert report.name == "linear"
    assert 0 < report.comparison.largest_difference <= 1e-12


def test_an_exception_while_compiling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong while an engine is made, the pickle serves, and the report says what it was."""

    def fail(*_: Any) -> Any:
        msg = "no such attribute.\n It is another release."
        raise KeyError(msg)

    monkeypatch.setattr("server.engine.choice.compile_estimator", fail)
    report = report_of(DecisionTreeClassifier(random_state=0).fit(X, BINARY))
    assert report.name == "pickle"
    assert report.fallback is not None
    assert report.fallback.startswith("it cannot be compiled (KeyError: ")
    assert "\n" not in report.fallback


def test_an_installation_without_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the loop over trees could not be built the pickle serves, and the report says why."""
    monkeypatch.setattr("server.engine.trees.Walker", None)
    report = report_of(DecisionTreeClassifier(random_state=0).fit(X, BINARY))
    assert report.name == "pickle"
    assert report.fallback is not None
    assert "found no C compiler" in report.fallback
    assert report_of(LogisticRegression().fit(X, BINARY)).name == "linear"


def test_the_pickle_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no engine is wanted nothing is compiled and nothing is compared, and the setting is the reason."""
    compiled: list[Any] = []
    monkeypatch.setattr("server.engine.choice.compile_estimator", lambda *given: compiled.append(given))
    chosen = choice_of(DecisionTreeClassifier(random_state=0).fit(X, BINARY), compiled=False)
    assert isinstance(chosen.evaluator, FallbackEvaluator)
    assert (chosen.report.name, chosen.report.fallback, chosen.report.comparison.rows) == (
        "pickle",
        "compiled engines are left out by a setting",
        0,
    )
    assert not compiled


class Unequal:
    """An engine that answers as a tree does, but for what a test wants to differ."""

    name = "unequal"
    serial = False

    def __init__(self, estimator: Any, *, alone: bool = False, refuses: bool = False) -> None:
        self._oracle = FallbackEvaluator(estimator, PARAMETERS, Shape.ARRAY, Form.PROBABILITIES)
        self._alone, self._refuses = alone, refuses

    def evaluate(self, rows: Sequence[Any], *, with_classes: bool = False) -> Any:
        evaluation = self._oracle.evaluate(rows, with_classes=with_classes)
        if self._refuses and len(rows) > 1:
            raise ValueError
        if self._alone and len(rows) == 1 and evaluation.numbers is not None:
            evaluation.numbers[0][0, 0] += 1e-16 if evaluation.numbers[0][0, 0] < 0.1 else 1e-15
        return evaluation


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        pytest.param({"alone": True}, "it answers a row alone differently", id="alone"),
        pytest.param({"refuses": True}, "it refuses rows that the estimator takes", id="refuses"),
    ],
)
def test_an_engine_that_differs_in_how_it_is_asked(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, bool], reason: str
) -> None:
    """An engine that is right for many rows has to be so for one, and the reverse."""
    estimator = DecisionTreeClassifier(random_state=0).fit(X, BINARY)
    engine = Compiled(Unequal(estimator, **given), PARAMETERS, exact=True, thresholds=())
    monkeypatch.setattr("server.engine.choice.compile_estimator", lambda *_: engine)
    assert report_of(estimator).fallback == reason


def with_cost(monkeypatch: pytest.MonkeyPatch, first: float, further: float) -> None:
    """Let every engine cost this much."""
    monkeypatch.setattr("server.engine.choice.cost_of", lambda *_: Cost(first, further))


@pytest.mark.parametrize(
    ("first", "further", "rows"),
    [
        pytest.param(0.01, 0.001, 10, id="as many as take the time of one more"),
        pytest.param(0.01, 0.0, 1_000, id="they cost nothing"),
        pytest.param(0.01, 1e-9, 1_000, id="a thousand at most"),
        pytest.param(0.01, 0.005, 2, id="two"),
        pytest.param(0.01, 0.0051, 1, id="less than two"),
        pytest.param(0.01, 0.02, 1, id="more than alone"),
        pytest.param(5.0, 0.5, 10, id="very slow"),
    ],
)
def test_how_many_rows_share(monkeypatch: pytest.MonkeyPatch, first: float, further: float, rows: int) -> None:
    """So many rows share an evaluation as take about the time of one more, a thousand at most."""
    with_cost(monkeypatch, first, further)
    assert report_of(Independent()).shared_rows == rows


@pytest.mark.parametrize("estimator", [AgainstItsCompany(), Hermit(), Sociable()], ids=lambda each: type(each).__name__)
def test_rows_that_may_not_share(monkeypatch: pytest.MonkeyPatch, estimator: Any) -> None:
    """Where an answer depends on the rows beside it, or an estimator takes only one or only several, none share."""
    with_cost(monkeypatch, 0.01, 0.001)
    assert report_of(estimator).shared_rows == 1


def test_an_engine_for_several_threads_shares_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that may be called by several threads at once needs no sharing."""
    with_cost(monkeypatch, 0.01, 0.001)
    tree = DecisionTreeClassifier(random_state=0).fit(X, BINARY)
    assert report_of(tree).shared_rows == 1
    assert report_of(tree, compiled=False).shared_rows == 10


class Counting(Independent):
    """Notes how many rows each call has."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def predict_proba(self, X: Any) -> Any:
        self.calls.append(len(X))
        return super().predict_proba(X)


@pytest.mark.parametrize(("first", "tried"), [(0.001, 16), (0.05, 5), (10.0, 2)], ids=["fast", "slow", "very slow"])
def test_a_slow_estimator_is_tried_with_fewer_rows(monkeypatch: pytest.MonkeyPatch, first: float, tried: int) -> None:
    """Whether rows may share is tried with fewer rows the slower the estimator is, so that the start ends."""
    with_cost(monkeypatch, first, first / 100)
    estimator = Counting()
    assert report_of(estimator).shared_rows == 100
    assert max(estimator.calls) == tried


def test_numbers_of_another_type() -> None:
    """An estimator whose numbers are booleans is tried as any other."""

    class Booleans(Independent):
        def predict_proba(self, X: Any) -> Any:
            return super().predict_proba(X) > 0.5

    assert report_of(Booleans()).name == "pickle"
