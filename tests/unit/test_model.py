"""A bundle that is understood and tried, or refused with every reason."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.ensemble import BaggingClassifier, RandomForestClassifier, StackingClassifier, VotingClassifier
from sklearn.feature_selection import SelectFromModel
from sklearn.frozen import FrozenEstimator
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import PoissonRegressor
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from server.bundle import Bundle
from server.errors import BundleError
from server.model import Identity, make_model
from server.outputs import Form
from server.parameter import Kind
from tests.models import ARRAY, BINARY, Estimator, pipeline, real_model, settings, tree


def test_identity() -> None:
    """A model is called by its metadata, or by its folder."""
    assert make_model(Bundle("crime", tree(), digest="d"), settings()).identity == Identity("crime", 1, "d")
    metadata = {"name": "Crime", "version": "2.1"}
    assert real_model(tree(), metadata=metadata).identity == Identity("Crime", "2.1", "")
    assert real_model(tree(), metadata=metadata).metadata == metadata


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        pytest.param({"name": ""}, "`name` must be a text of 1 to 256 characters", id="empty name"),
        pytest.param({"name": "a" * 257}, "`name` must be a text of 1 to 256 characters", id="long name"),
        pytest.param({"version": "1" * 257}, "`version` must be an integer, or a text", id="long version"),
        pytest.param({"name": 5}, "`name` must be a text", id="number for a name"),
        pytest.param({"version": True}, "`version` must be an integer, or a text", id="true for a version"),
        pytest.param({"version": 1.5}, "`version` must be an integer, or a text", id="fraction for a version"),
        pytest.param({"version": ""}, "`version` must be an integer, or a text", id="empty version"),
        pytest.param({"description": 5}, "`description` must be a text", id="description"),
        pytest.param({"threshold": 2}, "`threshold` must be a number from 0 to 1", id="threshold"),
        pytest.param({"parameters": {"x9": {}}}, "names 'x9', which the model does not have", id="parameter"),
    ],
)
def test_refused_metadata(metadata: dict[str, Any], message: str) -> None:
    """Metadata that cannot be used is refused by its member."""
    with pytest.raises(BundleError, match=message):
        real_model(tree(), metadata=metadata)


def test_all_reasons_together() -> None:
    """What is wrong with the metadata and with the lookup is told together."""
    with pytest.raises(BundleError) as raised:
        real_model(tree(), metadata={"name": ""}, lookup={"a": 1, "b": 2})
    assert len(raised.value.reasons) == 3


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        pytest.param(
            DecisionTreeClassifier(), "The DecisionTreeClassifier is not fitted; call its `fit`", id="unfitted"
        ),
        pytest.param(DecisionTreeClassifier, "holds the class DecisionTreeClassifier itself", id="class"),
        pytest.param({"model": 1}, "The dict has no `predict`", id="dict"),
        pytest.param(StandardScaler().fit(ARRAY), "The StandardScaler has no `predict`", id="transformer"),
    ],
)
def test_refused_estimators(estimator: Estimator, message: str) -> None:
    """What is no fitted estimator that predicts is refused."""
    with pytest.raises(BundleError, match=message):
        real_model(estimator)


def test_estimator_that_raises() -> None:
    """An estimator whose own code fails, whatever it is asked, is refused and never crashes the start."""

    class Hostile:
        def __getattr__(self, name: str) -> Any:
            if name == "predict":
                return lambda _: None
            raise ZeroDivisionError(name)

    with pytest.raises(BundleError, match="Hostile"):
        real_model(Hostile())


def test_foreign_estimator() -> None:
    """An estimator that is none of scikit-learn's is served if it behaves like one."""

    class Ours:
        n_features_in_ = 1
        classes_ = np.array(["no", "yes"])

        def predict(self, x: Any) -> Any:
            return np.array(["yes"] * len(x))

        def predict_proba(self, x: Any) -> Any:
            return np.array([[0.25, 0.75]] * len(x))

    model = real_model(Ours())
    assert model.outputs.outputs[0].labels == ("no", "yes")
    assert model.estimator_class == "Ours"


def test_one_file() -> None:
    """A pipeline that was fitted on a DataFrame needs no lookup."""
    model = real_model(pipeline())
    force, month = model.signature.parameters
    assert (force.kind, force.labels) == (Kind.CATEGORY, ("Essex", "Kent", "Sussex"))
    assert month.kind is Kind.NUMBER
    assert model.outputs.form is Form.PROBABILITIES
    assert model.estimator_class == "Pipeline(ColumnTransformer, LogisticRegression)"


def test_class_of_a_search() -> None:
    """A search is called with what it found."""
    search = GridSearchCV(make_pipeline(StandardScaler(), DecisionTreeClassifier()), {}, cv=2).fit(ARRAY, BINARY)
    assert real_model(search).estimator_class == "GridSearchCV(Pipeline(StandardScaler, DecisionTreeClassifier))"


def test_one_thread() -> None:
    """No estimator starts threads of its own for a few rows."""
    forest = RandomForestClassifier(3, n_jobs=2, random_state=0).fit(ARRAY, BINARY)
    nested = make_pipeline(StandardScaler(), RandomForestClassifier(3, n_jobs=2)).fit(ARRAY, BINARY)
    for estimator in (forest, nested):
        real_model(estimator)
        assert {value for name, value in estimator.get_params().items() if name.endswith("n_jobs")} == {1}


def forest(jobs: int) -> Estimator:
    """Give a small forest that is not fitted."""
    return RandomForestClassifier(3, n_jobs=jobs, random_state=0)


@pytest.mark.parametrize(
    ("estimator", "inner"),
    [
        pytest.param(VotingClassifier([("f", forest(2))]), lambda e: e.estimators_[0], id="voting"),
        pytest.param(StackingClassifier([("f", forest(2))], cv=2), lambda e: e.named_estimators_["f"], id="stacking"),
        pytest.param(
            make_pipeline(GridSearchCV(forest(2), {}, cv=2)), lambda e: e[-1].best_estimator_, id="search in a pipeline"
        ),
        pytest.param(BaggingClassifier(forest(2), 2), lambda e: e.estimators_[1], id="bagging"),
        pytest.param(OneVsRestClassifier(forest(2)), lambda e: e.estimators_[0], id="one against the rest"),
        pytest.param(
            CalibratedClassifierCV(forest(2), cv=2), lambda e: e.calibrated_classifiers_[1].estimator, id="calibrated"
        ),
        pytest.param(FrozenEstimator(forest(2).fit(ARRAY, BINARY)), lambda e: e.estimator, id="frozen"),
        pytest.param(
            make_pipeline(make_column_transformer((make_union(SelectFromModel(forest(2), threshold=0)), [0])), tree()),
            lambda e: e[0].transformers_[0][1].transformer_list[0][1].estimator_,
            id="transformers",
        ),
    ],
)
def test_one_thread_inside(estimator: Estimator, inner: Callable[[Estimator], Estimator]) -> None:
    """What an estimator has fitted inside starts no threads either."""
    estimator = clone(estimator).fit(ARRAY, BINARY)
    assert inner(estimator).n_jobs == 2
    real_model(estimator)
    assert inner(estimator).n_jobs == 1


def test_one_thread_in_circles() -> None:
    """Parts that hold each other are each visited once."""
    outer = VotingClassifier([("f", forest(2))]).fit(ARRAY, BINARY)
    outer.named_estimators_["outer"] = [outer]
    real_model(outer)
    assert outer.estimators_[0].n_jobs == 1


def test_exponential_link() -> None:
    """The numbers of a regressor with an exponential link are bounded to where its answer is finite."""
    regressor = PoissonRegressor().fit(ARRAY, ARRAY.sum(axis=1))
    assert {parameter.maximum for parameter in real_model(regressor).signature.parameters} == {1e3}


def test_range_of_training() -> None:
    """A regressor that answers within its trained range only is refused until the metadata tells that range."""
    regressor = IsotonicRegression().fit(ARRAY[:, :1], BINARY)
    with pytest.raises(BundleError, match=r"not finite; give the `minimum` and `maximum` .*: 'x0'"):
        real_model(regressor, lookup={"x0": 0})
    metadata = {"parameters": {"x0": {"minimum": 0, "maximum": 4}}}
    assert real_model(regressor, lookup={"x0": 0}, metadata=metadata).signature.parameters[0].maximum == 4


def test_promised_null() -> None:
    """A null that the metadata or the lookup promises must work, or the bundle is refused."""
    plain = make_pipeline(StandardScaler(), tree())
    plain.fit(ARRAY, BINARY)
    tolerant = real_model(tree(), metadata={"parameters": {"x0": {"type": ["number", "null"]}}})
    assert tolerant.signature.parameters[0].nullable
    forest = RandomForestClassifier(3, random_state=0).fit(ARRAY, BINARY)
    with pytest.raises(BundleError, match="'c' may be null, says the bundle, but the estimator fails on it"):
        real_model(forest, lookup={"c": {"a": 0, "b": 1, None: "nothing"}, "n": 0})


@pytest.mark.parametrize(("setting", "expected"), [("refuse", False), ("ignore", True)])
def test_unknown_fields(setting: str, expected: bool) -> None:
    """Whether unknown fields are passed over is a setting."""
    assert real_model(tree(), unknown_fields=setting).signature.ignore_unknown is expected


def test_numbers_of_trees() -> None:
    """The numbers of a tree are bounded to what fits into float32."""
    assert real_model(tree()).signature.parameters[0].maximum == pytest.approx(3.4028234663852886e38, abs=0)


def test_metadata_cannot_suggest_what_is_refused() -> None:
    """A default that the estimator does not take is refused, so that no document promises it."""
    metadata = {"parameters": {"x0": {"examples": [1], "default": 1e300}}}
    with pytest.raises(BundleError, match=r"suggests 1e\+300 for parameter 'x0'"):
        real_model(tree(), metadata=metadata)
