"""Any estimator that predicts is served, and every number in an answer is its own, to the last bit."""

import json
import math
import random
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import jsonschema
import numpy as np
import pandas as pd
import pytest
from sklearn.base import is_regressor
from sklearn.cluster import DBSCAN, AffinityPropagation
from sklearn.decomposition import PCA
from sklearn.ensemble import StackingRegressor
from sklearn.feature_extraction import DictVectorizer
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors, RadiusNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import LabelEncoder, OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from server.errors import BundleError
from tests.api.estimators import ARRAY, BINARY, CASES, DATED, Case
from tests.api.fronts import BEFORE_ANY
from tests.api.rows import draw_row
from tests.api.serving import post, predict, problem, serve

ROWS = 100
SINGLES = 4
EXACT = ("pickle", "forest", "gradient boosting", "histogram boosting")  # the others are near


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items()])
def test_every_number_is_the_estimators_own(case: Case) -> None:
    """Whatever predicts is served: brief and full, a batch and single rows, all as the published schema says."""
    estimator = case.fitted()
    client = serve(estimator, lookup=case.lookup, labels=case.labels)
    schemas = client.get("/openapi.json").json["components"]["schemas"]  # type: ignore[index]  # it is JSON
    info: Any = client.get("/api/info").json
    exact = info["engine"]["name"].removeprefix("pipeline, ") in EXACT
    rng = random.Random(len(str(type(estimator))))
    rows = [draw_row(schemas["Input"], rng) for _ in range(ROWS)]
    batches = [rows, *([row] for row in rows[:SINGLES])]
    for batch in batches:
        brief, full = expected(estimator, form(batch, case), case.labels)
        answer = predict(client, batch if len(batch) > 1 else batch[0])
        check_equal(answer if len(batch) > 1 else [answer], brief, schemas["Answer"], exact=exact)
        detailed = predict(client, batch, "/api/predict?detail=full")
        check_equal([without_identity(each) for each in detailed], full, None, exact=exact)
        jsonschema.Draft202012Validator({"type": "array", "items": schemas["DetailedAnswer"]}).validate(detailed)


def check_equal(answers: list[Any], wanted: list[Any], schema: Any, *, exact: bool) -> None:
    """See that answers are what is wanted: the same text, hence the same names, order, types and, if `exact`, bits."""
    assert json.dumps(answers if exact else near(answers, wanted)) == json.dumps(wanted)
    if schema is not None:
        jsonschema.Draft202012Validator({"type": "array", "items": schema}).validate(answers)


def near(found: Any, wanted: Any) -> Any:
    """Give what was found, with each number that is wanted but for rounding as it is wanted."""
    if isinstance(found, dict) and isinstance(wanted, dict) and found.keys() == wanted.keys():
        return {name: near(value, wanted[name]) for name, value in found.items()}
    if isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted):
        return [near(*pair) for pair in zip(found, wanted, strict=True)]
    if isinstance(found, float) and isinstance(wanted, float):
        return wanted if math.isclose(found, wanted, rel_tol=1e-12, abs_tol=1e-12) else found
    return found


def without_identity(answer: dict[str, Any]) -> dict[str, Any]:
    """Drop the members that do not come from the estimator."""
    return {name: value for name, value in answer.items() if name not in ("id", "model")}


def form(rows: list[dict[str, Any]], case: Case) -> Any:
    """Give rows of a request in the form that the estimator was fitted on."""
    if isinstance(case.X, list):
        return [next(iter(row.values())) for row in rows]
    coded = [{name: _coded(value, (case.lookup or {}).get(name)) for name, value in row.items()} for row in rows]
    if isinstance(case.X, pd.DataFrame):
        frame = pd.DataFrame(coded, columns=case.X.columns).astype(case.X.dtypes.to_dict())
        return frame.where(frame.notna(), np.nan) if object in frame.dtypes.to_list() else frame
    names = list(case.lookup or {}) or [f"x{index}" for index in range(case.X.shape[1])]
    return np.array([[row[name] for name in names] for row in coded], dtype=case.X.dtype)


def _coded(value: Any, entry: Any) -> Any:
    return entry[value] if isinstance(entry, dict) else value


def expected(estimator: Any, X: Any, labels: Any) -> tuple[list[Any], list[Any]]:
    """Ask the estimator itself: the answers that are wanted, in brief and in full."""
    predicted = np.asarray(estimator.predict(X))
    if is_regressor(estimator):
        columns = predicted.reshape(len(predicted), -1).T
        names = labels or (["prediction"] if len(columns) == 1 else [f"y{index}" for index in range(len(columns))])
        values = named(names, columns)
        return values, [{"values": each} for each in values]
    classes = getattr(estimator, "classes_", None)
    predictions = predictions_of(predicted, classes, labels, hasattr(estimator, "predict_proba"))
    if not hasattr(estimator, "predict_proba"):
        brief = [{"prediction": each} for each in predictions]
        return brief, brief
    probabilities = probabilities_of(estimator.predict_proba(X), predicted, classes, labels)
    full = [{"prediction": a, "probabilities": b} for a, b in zip(predictions, probabilities, strict=True)]
    return probabilities, full


def probabilities_of(numbers: Any, predicted: Any, classes: Any, labels: Any) -> list[Any]:
    """Name the estimator's probabilities."""
    if isinstance(numbers, list):
        outputs = list(labels) if labels else [f"y{index}" for index in range(len(numbers))]
        keys = list(labels.values()) if labels else [[key(value) for value in some] for some in classes]
        parts = [named(some, each.T) for some, each in zip(keys, numbers, strict=True)]
        return [dict(zip(outputs, row, strict=True)) for row in zip(*parts, strict=True)]
    if predicted.ndim == 2:
        return named(output_names(predicted, classes, labels), numbers.T)
    known = range(numbers.shape[1]) if classes is None else classes
    return named(labels or [key(value) for value in known], numbers.T)


def predictions_of(predicted: Any, classes: Any, labels: Any, has_probabilities: bool) -> list[Any]:
    """Name the estimator's predictions."""
    if predicted.ndim == 1:
        known = sorted(set(predicted.tolist())) if classes is None else [label(value) for value in classes]
        if labels and classes is None:
            known = [-1, 1] if -1 in known else list(range(len(labels)))
        by_class = dict(zip(known, labels or known, strict=True))
        return [by_class[label(value)] for value in predicted]
    if isinstance(labels, dict):
        columns = [
            [names[list(some).index(value)] for value in column]
            for names, some, column in zip(labels.values(), classes, predicted.T, strict=True)
        ]
        return [dict(zip(labels, row, strict=True)) for row in zip(*columns, strict=True)]
    flat = has_probabilities and not isinstance(classes, list)
    names = output_names(predicted, classes if flat else None, labels)
    return [dict(zip(names, [label(value) for value in row], strict=True)) for row in predicted]


def output_names(predicted: Any, classes: Any, labels: Any) -> list[str]:
    """Name the outputs of an estimator that has several: by labels, by its classes, or by their numbers."""
    if labels:
        return list(labels)
    if classes is not None and not isinstance(classes, list):
        return [key(value) for value in classes]
    return [f"y{index}" for index in range(predicted.shape[1])]


def named(names: list[str], columns: Any) -> list[dict[str, float]]:
    """Give a mapping from name to number for each row."""
    return [dict(zip(names, map(float, row), strict=True)) for row in zip(*columns, strict=True)]


def label(value: Any) -> Any:
    """Write a class as JSON has it: numpy's scalars as Python's, whole floats as integers."""
    value = value.item() if isinstance(value, np.generic) else value
    return int(value) if isinstance(value, float) and value.is_integer() else value


def key(value: Any) -> str:
    """Write a class as the name of a member."""
    value = label(value)
    return json.dumps(value) if isinstance(value, bool) else str(value)


class _Given:
    """An estimator that is none of scikit-learn's: it answers what it was given, whatever it is asked."""

    n_features_in_ = 2

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def predict(self, X: Any) -> Any:
        return self._answer(X)


class _GivenClasses(_Given):
    classes_ = ("no", "yes")


class _GivenNumbers(_Given):
    _estimator_type = "regressor"


class _Trap:
    """An object that fails when it is looked at."""

    @property
    def n_features_in_(self) -> int:
        msg = "it is a trap"
        raise RuntimeError(msg)

    def predict(self, X: Any) -> Any:
        return X


def test_what_only_looks_like_an_estimator_is_served() -> None:
    """An object that has the methods and attributes of an estimator needs no base class of scikit-learn's."""
    classes = serve(_GivenClasses(lambda X: np.where(X[:, 0] > 0, "yes", "no")))
    assert predict(classes, [{"x0": 1, "x1": 0}, {"x0": -1, "x1": 0}]) == [{"prediction": "yes"}, {"prediction": "no"}]
    numbers = serve(_GivenNumbers(lambda X: list(X.sum(axis=1))))
    assert predict(numbers, {"x0": 0.1, "x1": 0.2}) == {"prediction": 0.1 + 0.2}


def _fit(estimator: Any, X: Any = ARRAY, y: Any = BINARY) -> Any:
    return estimator.fit(X, y)


LOOKED_UP: dict[str, Any] = {}
UNSERVABLE: dict[str, tuple[Callable[[], Any], str]] = {
    "a transformer": (lambda: _fit(StandardScaler()), "The StandardScaler has no `predict`"),
    "a pipeline that ends in a transformer": (
        lambda: _fit(make_pipeline(StandardScaler(), PCA(2))),
        "The Pipeline has no `predict`",
    ),
    "a clusterer of what it has seen": (lambda: _fit(DBSCAN()), "The DBSCAN has no `predict`"),
    "an outlier factor of what it has seen": (lambda: _fit(LocalOutlierFactor()), "The LocalOutlierFactor has no"),
    "a search for neighbours": (lambda: _fit(NearestNeighbors()), "The NearestNeighbors has no `predict`"),
    "a label encoder": (lambda: LabelEncoder().fit(BINARY), "The LabelEncoder has no `predict`"),
    "a clusterer that found nothing": (
        lambda: _quietly(AffinityPropagation(max_iter=1)),
        "The AffinityPropagation does not say which predictions it can give",
    ),
    "an unfitted classifier": (LogisticRegression, "The LogisticRegression is not fitted"),
    "an unfitted pipeline": (lambda: make_pipeline(StandardScaler(), LogisticRegression()), "is not fitted"),
    "an unfitted search": (lambda: GridSearchCV(LogisticRegression(), {"C": [1]}), "The GridSearchCV is not fitted"),
    "an unfitted stack": (lambda: StackingRegressor([("a", Ridge())]), "The StackingRegressor is not fitted"),
    "an unfitted transformer": (StandardScaler, "The StandardScaler is not fitted"),
    "a half fitted pipeline": (
        lambda: Pipeline([("scaler", StandardScaler()), ("model", _fit(LogisticRegression()))]),
        "does not know its input columns",
    ),
    "no column names": (lambda: _fit(IsotonicRegression(), ARRAY[:, 0]), "add a lookup.pkl"),
    "a vectorizer of dictionaries": (
        lambda: _fit(make_pipeline(DictVectorizer(), LogisticRegression()), [{"a": 1}, {"b": 2}], [0, 1]),
        "add a lookup.pkl",
    ),
    "a class": (lambda: LogisticRegression, "holds the class LogisticRegression itself"),
    "a function": (lambda: len, "has no `predict`"),
    "nothing": (lambda: None, "The NoneType has no `predict`"),
    "a dictionary": (dict, "The dict has no `predict`"),
    "an array": (lambda: ARRAY, "The ndarray has no `predict`"),
    "an object that fails when looked at": (_Trap, "RuntimeError: it is a trap"),
    "a predict that is no function": (lambda: SimpleNamespace(predict=3), "The SimpleNamespace has no `predict`"),
    "a predict that gives no array": (lambda: _GivenClasses(lambda _: "banana"), "the shape () for 1 rows"),
    "a predict that gives too many": (lambda: _GivenClasses(lambda _: ["no", "yes"]), "the shape (2,) for 1 rows"),
    "a predict that raises": (lambda: _GivenNumbers(lambda _: LOOKED_UP["a"]), "KeyError: 'a'"),
    "complex numbers": (lambda: _GivenNumbers(lambda X: X[:, 0] + 1j), "of type complex128"),
    "texts for numbers": (lambda: _GivenNumbers(lambda X: ["a"] * len(X)), "which is no number"),
    "a number that is not finite": (lambda: _GivenNumbers(lambda X: X[:, 0] * np.nan), "its answer is not finite"),
    "no classes": (lambda: _Given(lambda X: X[:, 0]), "does not say which predictions it can give"),
    "classes of bytes": (lambda: _fit(DecisionTreeClassifier(), y=np.where(BINARY, b"y", b"n")), "the label b'n'"),
    "classes of fractions": (lambda: _of_classes(0.5, 1.5), "the label 0.5"),
    "classes that are written alike": (lambda: _of_classes(1, "1"), "both written 1 in JSON"),
    "categories of dates": (
        lambda: _fit(
            make_pipeline(OneHotEncoder(), LogisticRegression()),
            pd.DataFrame({"day": pd.to_datetime(["2020-01-01", "2021-01-01"] * 4)}),
            [0, 1] * 4,
        ),
        "column 'day' has a category of type datetime",
    ),
    "categories of fractions": (
        lambda: _fit(make_pipeline(OneHotEncoder(), LogisticRegression()), [[0.5], [1.5]] * 4, [0, 1] * 4),
        "column 'x0' has the label 0.5",
    ),
    "neighbours that are too far": (
        lambda: _fit(RadiusNeighborsClassifier(radius=1e-9)),
        "fails on an example of its own input {'x0': 0",
    ),
    "categories that only XGBoost knows": (
        lambda: _fit(pytest.importorskip("xgboost").XGBClassifier(n_estimators=2, enable_categorical=True), DATED),
        "fails on an example of its own input {'age': 0",
    ),
    "categories that only LightGBM knows": (
        lambda: _fit(pytest.importorskip("lightgbm").LGBMClassifier(n_estimators=2, verbose=-1), DATED),
        "fails on an example of its own input {'age': 0",
    ),
}


def _quietly(estimator: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _fit(estimator)


def _of_classes(*classes: Any) -> Any:
    made = _Given(lambda X: np.full(len(X), classes[0], dtype=object))
    made.classes_ = classes  # type: ignore[attr-defined]
    return made


@BEFORE_ANY
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    ("make", "why"), [pytest.param(make, why, id=name) for name, (make, why) in UNSERVABLE.items()]
)
def test_what_cannot_be_served_is_refused(make: Callable[[], Any], why: str) -> None:
    """What cannot be served is refused before anything listens, in one line that says why."""
    with pytest.raises(BundleError) as caught:
        serve(make())
    text = str(caught.value)
    assert why in text
    assert text.endswith(".")
    assert not text.endswith("..")
    assert "\n" not in text
    assert "Traceback" not in text


def test_rows_without_an_answer_are_a_problem() -> None:
    """An estimator that answers for fewer rows than it was asked for is a failure, never a short answer."""
    client = serve(_GivenClasses(lambda _: ["no"]))
    assert predict(client, {"x0": 1, "x1": 2}) == {"prediction": "no"}
    rows = [{"x0": 1, "x1": 2}] * 2
    assert problem(post(client, json.dumps(rows)), 500)["type"].endswith("#prediction-failed")
