"""The names of outputs and labels, for each form of an answer."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn.cluster import Birch, KMeans, MeanShift
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from server.engine import Evaluation, FallbackEvaluator
from server.errors import BundleError
from server.introspection import columns_of, shape_of
from server.labels import form_of, make_outputs
from server.outputs import Form, Outputs
from server.parameters import make_parameters
from tests.models import ARRAY, BINARY, Estimator, tree

THREE = np.arange(12) % 3
BOTH = np.column_stack([BINARY, 1 - BINARY])
WORDS = np.where(BOTH, "on", "off")


def outputs_of(estimator: Estimator, labels: object = None, threshold: object = None) -> Outputs:
    """Name the outputs of an estimator that was fitted on the array."""
    columns = columns_of(estimator)
    parameters = make_parameters(None, None, columns, by_name=False)
    form = form_of(estimator)
    evaluator = FallbackEvaluator(estimator, parameters, shape_of(estimator, columns), form)
    sample = evaluator.evaluate([[1.0, 1.0]], with_classes=form is Form.PROBABILITIES)
    return make_outputs(estimator, form, sample, labels, threshold)


def named(outputs: Outputs) -> dict[str, tuple[Any, ...]]:
    """Give the labels of each output."""
    return {output.name: output.labels for output in outputs.outputs}


def multilabel() -> Estimator:
    """Fit one classifier for each of two labels."""
    return OneVsRestClassifier(LogisticRegression()).fit(ARRAY, BOTH)


@pytest.mark.parametrize(
    ("estimator", "form"),
    [
        pytest.param(tree(), Form.PROBABILITIES, id="classifier"),
        pytest.param(LinearRegression(), Form.VALUES, id="regressor"),
        pytest.param(make_pipeline(StandardScaler(), LinearRegression()), Form.VALUES, id="regressor in a pipeline"),
        pytest.param(RidgeClassifier(), Form.PREDICTION, id="classifier without probabilities"),
        pytest.param(KMeans(), Form.PREDICTION, id="clusterer"),
        pytest.param(IsolationForest(), Form.PREDICTION, id="outlier detector"),
        pytest.param(GaussianMixture(), Form.PROBABILITIES, id="mixture"),
    ],
)
def test_form(estimator: Estimator, form: Form) -> None:
    """The form follows from what the estimator can do."""
    assert form_of(estimator) is form


def test_no_predict() -> None:
    """What does not predict cannot be served."""
    with pytest.raises(BundleError, match="StandardScaler has no `predict`: it cannot be served"):
        form_of(StandardScaler())


@pytest.mark.parametrize(
    ("estimator", "expected", "classes"),
    [
        pytest.param(tree(), (0, 1), (0, 1), id="integers"),
        pytest.param(DecisionTreeClassifier().fit(ARRAY, WORDS[:, 0]), ("off", "on"), ("off", "on"), id="texts"),
        pytest.param(DecisionTreeClassifier().fit(ARRAY, BINARY == 1), (False, True), (False, True), id="booleans"),
        pytest.param(DecisionTreeClassifier().fit(ARRAY, BINARY * 2.0), (0, 2), (0.0, 2.0), id="whole doubles"),
        pytest.param(RidgeClassifier().fit(ARRAY, THREE), (0, 1, 2), (0, 1, 2), id="without probabilities"),
        pytest.param(KMeans(3, n_init=1, random_state=0).fit(ARRAY), (0, 1, 2), (0, 1, 2), id="clusters"),
        pytest.param(
            make_pipeline(StandardScaler(), KMeans(2, n_init=1, random_state=0)).fit(ARRAY), (0, 1), (0, 1),
            id="clusters in a pipeline",
        ),
        pytest.param(
            GridSearchCV(KMeans(n_init=1, random_state=0), {"n_clusters": [2]}, cv=2).fit(ARRAY), (0, 1), (0, 1),
            id="clusters in a search",
        ),
        pytest.param(IsolationForest(n_estimators=3).fit(ARRAY), (-1, 1), (-1, 1), id="outliers"),
        pytest.param(
            make_pipeline(StandardScaler(), LocalOutlierFactor(2, novelty=True)).fit(ARRAY), (-1, 1), (-1, 1),
            id="novelties in a pipeline",
        ),
        pytest.param(GaussianMixture(2, random_state=0).fit(ARRAY), (0, 1), (0, 1), id="mixture"),
        pytest.param(DummyClassifier().fit(ARRAY, np.zeros(12)), (0,), (0.0,), id="one class"),
    ],
)  # fmt: skip
def test_labels_of_the_model(estimator: Estimator, expected: tuple[Any, ...], classes: tuple[Any, ...]) -> None:
    """Without labels.pkl a single output is called `prediction`, with the model's own classes as labels."""
    outputs = outputs_of(estimator)
    (output,) = outputs.outputs
    assert (output.name, output.labels, output.classes) == ("prediction", expected, classes)
    assert [type(each) for each in output.labels] == [type(each) for each in expected]
    assert not outputs.several


@pytest.mark.parametrize("cluster", [Birch(n_clusters=2), MeanShift()], ids=["Birch", "mean shift"])
def test_clusters_without_a_number(cluster: Estimator) -> None:
    """Every cluster that the clusterer can answer with has a label."""
    fitted = cluster.fit(ARRAY)
    assert set(fitted.predict(ARRAY)) <= set(outputs_of(fitted).outputs[0].labels)


def test_unknown_clusters() -> None:
    """An estimator that does not say what it can answer is refused."""

    class Oracle:
        n_features_in_ = 2

        def predict(self, x: Any) -> Any:
            return np.zeros(len(x))

    with pytest.raises(BundleError, match="Oracle does not say which predictions it can give"):
        outputs_of(Oracle())


@pytest.mark.parametrize(
    "labels",
    [["no", "yes"], ("no", "yes"), np.array(["no", "yes"]), np.array(["no", "yes"], dtype=object)],
    ids=["list", "tuple", "array", "array of objects"],
)
def test_names_of_labels(labels: object) -> None:
    """labels.pkl names the classes in their order."""
    outputs = outputs_of(tree(), labels)
    assert (outputs.outputs[0].labels, outputs.outputs[0].classes) == (("no", "yes"), (0, 1))


@pytest.mark.parametrize(
    ("estimator", "labels", "expected"),
    [
        pytest.param(LinearRegression().fit(ARRAY, BINARY), None, ["prediction"], id="one"),
        pytest.param(LinearRegression().fit(ARRAY, BINARY), ["price"], ["price"], id="one by name"),
        pytest.param(LinearRegression().fit(ARRAY, BOTH), None, ["y0", "y1"], id="two"),
        pytest.param(LinearRegression().fit(ARRAY, BOTH), ["a", True], ["a", "true"], id="two by name"),
    ],
)
def test_numbers(estimator: Estimator, labels: object, expected: list[str]) -> None:
    """A regressor's outputs have names, and no labels."""
    outputs = outputs_of(estimator, labels)
    assert named(outputs) == dict.fromkeys(expected, ())
    assert outputs.several


@pytest.mark.parametrize(
    "estimator",
    [
        pytest.param(DecisionTreeClassifier().fit(ARRAY, WORDS), id="tree"),
        pytest.param(MultiOutputClassifier(LogisticRegression()).fit(ARRAY, WORDS), id="one for each"),
    ],
)
@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        pytest.param(None, {"y0": ("off", "on"), "y1": ("off", "on")}, id="no names"),
        pytest.param(["a", "b"], {"a": ("off", "on"), "b": ("off", "on")}, id="names of outputs"),
        pytest.param({"a": [1, 2], "b": ["x", "y"]}, {"a": (1, 2), "b": ("x", "y")}, id="names of both"),
        pytest.param(
            {"a": np.array([1, 2]), "b": ("x", "y")}, {"a": (1, 2), "b": ("x", "y")}, id="names of both in an array"
        ),
    ],
)
def test_several_outputs(estimator: Estimator, labels: object, expected: dict[str, tuple[Any, ...]]) -> None:
    """Several outputs have names, and labels each."""
    outputs = outputs_of(estimator, labels)
    assert named(outputs) == expected
    assert outputs.several
    assert not outputs.multilabel


def test_several_outputs_of_one() -> None:
    """A classifier of several outputs that has only one names it nevertheless."""
    outputs = outputs_of(MultiOutputClassifier(LogisticRegression()).fit(ARRAY, BINARY[:, None]))
    assert (named(outputs), outputs.several) == ({"y0": (0, 1)}, True)


def test_several_predictions() -> None:
    """Several outputs without probabilities are indicators, unless the model says more."""
    outputs = outputs_of(RidgeClassifier().fit(ARRAY, BOTH))
    assert (outputs.form, named(outputs)) == (Form.PREDICTION, {"y0": (0, 1), "y1": (0, 1)})
    several = MultiOutputClassifier(RidgeClassifier()).fit(ARRAY, WORDS)
    assert named(outputs_of(several, {"a": ["x", "y"], "b": ["p", "q"]})) == {"a": ("x", "y"), "b": ("p", "q")}
    one = MultiOutputClassifier(RidgeClassifier()).fit(ARRAY, WORDS[:, :1])
    assert named(outputs_of(one)) == {"prediction": ("off", "on")}


@pytest.mark.parametrize(
    ("labels", "expected"),
    [pytest.param(None, ["0", "1"], id="classes"), pytest.param(["a", "b"], ["a", "b"], id="names")],
)
def test_multilabel(labels: object, expected: list[str]) -> None:
    """A multilabel classifier has one probability for each of its labels, which are its outputs."""
    outputs = outputs_of(multilabel(), labels)
    assert (list(named(outputs)), outputs.multilabel, outputs.several) == (expected, True, True)
    assert set(named(outputs).values()) == {(0, 1)}


def test_multilabel_of_a_stranger() -> None:
    """A multilabel classifier that does not name its labels has them counted."""
    sample = Evaluation([np.array([[0.2, 0.8, 0.1]])], np.array([[0, 1, 0]]))
    outputs = make_outputs(SimpleNamespace(), Form.PROBABILITIES, sample, None, None)
    assert (list(named(outputs)), outputs.multilabel) == (["y0", "y1", "y2"], True)


@pytest.mark.parametrize(
    ("target", "expected"),
    [pytest.param(BOTH, (0, 1), id="indicators"), pytest.param(BOTH + 3, (3, 4), id="other classes")],
)
def test_chain(target: Sequence[Any], expected: tuple[Any, ...]) -> None:
    """A chain has one probability for each of its outputs, of its second class."""
    outputs = outputs_of(ClassifierChain(LogisticRegression()).fit(ARRAY, target))
    assert named(outputs) == {"y0": expected, "y1": expected}
    assert outputs.multilabel


@pytest.mark.parametrize(
    ("estimator", "labels", "message"),
    [
        pytest.param(tree(), "yes", "labels.pkl holds a str; expected a list", id="text"),
        pytest.param(tree(), [], "labels.pkl holds a list; expected a list with a name", id="empty"),
        pytest.param(tree(), {}, "labels.pkl holds a dict; expected a list", id="empty mapping"),
        pytest.param(tree(), {"a": "b"}, "labels.pkl holds a str; expected a list", id="mapping to texts"),
        pytest.param(tree(), {"a": ["x", "y"]}, "for the outputs a, and the model has one output only", id="mapping"),
        pytest.param(tree(), ["a"], r"has 1 labels, and the model has 2: 0, 1; give a name for each", id="few"),
        pytest.param(
            DecisionTreeClassifier().fit(ARRAY, np.arange(12) % 6), ["a"], r"0, 1, 2, 3, 4, \.\.\.;", id="few of many"
        ),
        pytest.param(tree(), ["a", None], "labels.pkl has the label None", id="None"),
        pytest.param(tree(), ["a", 1.5], "labels.pkl has the label 1.5", id="fraction"),
        pytest.param(tree(), ["a", "a"], "labels.pkl has two labels that are both written a", id="same"),
        pytest.param(tree(), ["1", 1], "labels.pkl has two labels that are both written 1", id="same in JSON"),
        pytest.param(tree(), [True, "true"], "both written true", id="same as a boolean"),
        pytest.param(LinearRegression().fit(ARRAY, BOTH), ["a"], "must be a list of 2 names.*; it holds 1", id="names"),
        pytest.param(LinearRegression().fit(ARRAY, BOTH), ["a", "a"], "both written a", id="same outputs"),
        pytest.param(
            LinearRegression().fit(ARRAY, BOTH), {"a": ["x"]}, "must be a list of 2 names", id="mapping for numbers"
        ),
        pytest.param(
            DecisionTreeClassifier().fit(ARRAY, WORDS), {"a": ["x", "y"]}, "must be a list of 2 names", id="few outputs"
        ),
        pytest.param(
            DecisionTreeClassifier().fit(ARRAY, WORDS), {"a": ["x"], "b": ["x"]}, "has 1 labels", id="few of an output"
        ),
    ],
)
def test_labels_that_do_not_fit(estimator: Estimator, labels: object, message: str) -> None:
    """Labels that do not fit the model are refused in a sentence that says how."""
    with pytest.raises(BundleError, match=message):
        outputs_of(estimator, labels)


def test_fractional_classes() -> None:
    """Classes that JSON cannot name are refused, unless labels.pkl names them."""
    estimator = SimpleNamespace(classes_=np.array([0.5, 1.5]))
    sample = Evaluation([np.array([[0.2, 0.8]])], np.array([[1.5]]))
    with pytest.raises(BundleError, match=r"the model's classes has the label 0\.5"):
        make_outputs(estimator, Form.PROBABILITIES, sample, None, None)
    (output,) = make_outputs(estimator, Form.PROBABILITIES, sample, ["low", "high"], None).outputs
    assert (output.labels, output.classes) == (("low", "high"), (0.5, 1.5))


@pytest.mark.parametrize("threshold", [0, 0.3, 1], ids=str)
def test_threshold(threshold: float) -> None:
    """A binary classifier takes a threshold."""
    assert outputs_of(tree(), None, threshold).threshold == threshold


@pytest.mark.parametrize(
    ("estimator", "threshold", "message"),
    [
        pytest.param(tree(), 1.5, "must be a number from 0 to 1", id="above"),
        pytest.param(tree(), -0.1, "must be a number from 0 to 1", id="below"),
        pytest.param(tree(), True, "must be a number from 0 to 1", id="true"),
        pytest.param(tree(), "0.5", "must be a number from 0 to 1", id="text"),
        pytest.param(DecisionTreeClassifier().fit(ARRAY, THREE), 0.5, "only goes with a binary classifier", id="three"),
        pytest.param(RidgeClassifier().fit(ARRAY, BINARY), 0.5, "only goes with a binary", id="no probabilities"),
        pytest.param(LinearRegression().fit(ARRAY, BINARY), 0.5, "only goes with a binary", id="regressor"),
        pytest.param(multilabel(), 0.5, "only goes with a binary", id="multilabel"),
    ],
)
def test_refused_threshold(estimator: Estimator, threshold: object, message: str) -> None:
    """Any other model, and any other threshold, is refused."""
    with pytest.raises(BundleError, match=message):
        outputs_of(estimator, None, threshold)


def test_classes_count_if_they_fit() -> None:
    """Where the number of classes is not that of the columns, labels are counted."""
    sample = Evaluation([np.array([[0.2, 0.3, 0.5]])], np.array([[0]]))
    assert make_outputs(tree(), Form.PROBABILITIES, sample, None, None).outputs[0].labels == (0, 1, 2)
