"""Small models for tests: fitted estimators, bundles, and models that are served."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.compose import make_column_transformer
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier

from server.bundle import Bundle
from server.columns import Row
from server.engine import EngineReport, Evaluation
from server.engine.parity import Comparison
from server.engine.timing import Cost
from server.model import Identity, Model, make_model
from server.outputs import Form, Output, Outputs
from server.parameter import Kind, Parameter
from server.settings import Settings
from server.signature import Signature

Estimator = Any  # scikit-learn ships no types

FRAME = pd.DataFrame({"force": ["Kent", "Essex", "Sussex", "Kent"] * 3, "month": np.arange(12.0) % 5})
ARRAY = np.column_stack([np.arange(12.0) % 5, np.arange(12.0) % 3])
BINARY = np.array([0, 1, 1, 0] * 3)

PROBABILITIES = Outputs(Form.PROBABILITIES, (Output("prediction", ("no", "yes"), (0, 1)),))


class FakeEvaluator:
    """Gives the same numbers for every row, and keeps the rows that it was asked about."""

    name = "fake"
    serial = False

    def __init__(self, numbers: Sequence[float] = (0.25, 0.75), classes: Sequence[Any] = (1,)) -> None:
        self._numbers, self._classes = numbers, classes
        self.rows: list[Row] = []

    def evaluate(self, rows: Sequence[Row], *, with_classes: bool = False) -> Evaluation:
        self.rows.extend(rows)
        classes = np.array([self._classes] * len(rows)) if with_classes else None
        return Evaluation([np.array([self._numbers] * len(rows))], classes)


def settings(**given: Any) -> Settings:
    """Make settings for tests, which do not depend on the machine."""
    return Settings(**{"workers": 1, **given})


def fake_model(*parameters: Parameter, evaluator: Any = None, outputs: Outputs = PROBABILITIES, **given: Any) -> Model:
    """Make a model of these parameters that answers with fixed numbers."""
    signature = Signature(parameters, ignore_unknown=given.pop("ignore_unknown", False))
    return Model(
        identity=Identity(given.pop("name", "fake"), given.pop("version", 1), "sha256:0"),
        signature=signature,
        outputs=outputs,
        evaluator=evaluator or FakeEvaluator(),
        engine=EngineReport("fake", Cost(1e-6, 1e-6), given.pop("shared_rows", 1), Comparison()),
        estimator_class="Fake",
        metadata=given.pop("metadata", None) or {},
        sizes={},
        sklearn_version=None,
    )


def real_model(estimator: Estimator, **given: Any) -> Model:
    """Make a model of an estimator; what is given beside settings are parts of the bundle."""
    parts = {name: given.pop(name) for name in ("lookup", "labels", "metadata") if name in given}
    return make_model(Bundle("real", estimator, **parts), settings(**given))


def number(name: str = "n", **given: Any) -> Parameter:
    """Make a number."""
    return Parameter(name=name, kind=Kind.NUMBER, **given)


def integer(name: str = "i", **given: Any) -> Parameter:
    """Make an integer."""
    return Parameter(name=name, kind=Kind.INTEGER, **given)


def boolean(name: str = "b", **given: Any) -> Parameter:
    """Make a boolean."""
    return Parameter(name=name, kind=Kind.BOOLEAN, **given)


def text(name: str = "t", **given: Any) -> Parameter:
    """Make a free text."""
    return Parameter(name=name, kind=Kind.TEXT, **given)


def category(name: str = "c", labels: Sequence[Any] = ("red", "green"), **given: Any) -> Parameter:
    """Make a category whose codes are the places of its labels, unless others are given."""
    codes = tuple(given.pop("codes", range(len(labels))))
    return Parameter(name=name, kind=Kind.CATEGORY, labels=tuple(labels), codes=codes, **given)


@cache
def tree() -> Estimator:
    """Give a binary classifier of two unnamed columns."""
    return DecisionTreeClassifier(random_state=0).fit(ARRAY, BINARY)


@cache
def pipeline() -> Estimator:
    """Give a binary classifier of a DataFrame with a column of texts and one of numbers."""
    transformer = make_column_transformer((OneHotEncoder(), ["force"]), remainder="passthrough")
    return make_pipeline(transformer, LogisticRegression()).fit(FRAME, np.where(BINARY, "caught", "free"))


@cache
def estimators() -> Mapping[str, Estimator]:
    """Give an estimator for each form of an answer."""
    both = np.column_stack([BINARY, 1 - BINARY])
    named = np.where(both, "on", "off")
    return {
        "binary": tree(),
        "pipeline": pipeline(),
        "several": DecisionTreeClassifier(random_state=0).fit(ARRAY, named),
        "multi-output": MultiOutputClassifier(LogisticRegression()).fit(ARRAY, named),
        "regressor": LinearRegression().fit(ARRAY, BINARY),
        "several numbers": LinearRegression().fit(ARRAY, both),
        "no probabilities": RidgeClassifier().fit(ARRAY, BINARY),
        "clusterer": KMeans(2, random_state=0, n_init=1).fit(ARRAY),
        "outliers": IsolationForest(n_estimators=5, random_state=0).fit(ARRAY),
    }
