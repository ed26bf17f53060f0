"""Ordinary models, lookups and labels go through the gate, however they are written, and are what they were."""

import collections
import datetime
import pickle
import warnings
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from scipy import sparse, special
from sklearn.feature_selection import SelectKBest, mutual_info_classif
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, make_scorer
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import BallTree, KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder
from sklearn.svm import SVC

from server.bundle import read_bundle
from server.errors import BundleError
from server.gate import gate_of_data, gate_of_model
from tests.api.estimators import ARRAY, BINARY, CASES, FRAME, TERNARY, Case
from tests.models import tree
from tests.unit.engine.test_all_estimators import OTHERS, PREDICTING, TARGETS, fitted
from tests.unit.gate.writing import by_joblib, through, written

MODEL = gate_of_model("model.pkl")
DATA = gate_of_data("lookup.pkl")

MORE: dict[str, Case] = {
    "function-log1p": Case(
        lambda: make_pipeline(FunctionTransformer(np.log1p), LogisticRegression()), np.abs(ARRAY), BINARY
    ),
    "function-of-scipy": Case(
        lambda: make_pipeline(FunctionTransformer(special.expit), LogisticRegression()), ARRAY, BINARY
    ),
    "ball-tree": Case(lambda: KNeighborsClassifier(algorithm="ball_tree", metric="minkowski", p=3), ARRAY, BINARY),
    "distances": Case(lambda: KNeighborsClassifier(algorithm="ball_tree", metric="chebyshev"), ARRAY, BINARY),
    "probabilities-of-vectors": Case(lambda: SVC(kernel="poly"), ARRAY, TERNARY),
    "search-with-a-scorer": Case(
        lambda: GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, scoring=make_scorer(f1_score), cv=2),
        ARRAY,
        BINARY,
    ),
    "chosen-by-information": Case(
        lambda: make_pipeline(SelectKBest(mutual_info_classif, k=2), LogisticRegression()), ARRAY, BINARY
    ),
    "types-as-parameters": Case(
        lambda: make_pipeline(OrdinalEncoder(dtype=int), OneHotEncoder(dtype=np.float32), LogisticRegression()),
        FRAME[["city"]],
        BINARY,
    ),
}


@pytest.mark.parametrize("name", [*CASES, *MORE])
def test_models(name: str) -> None:
    """A model is loaded under the list as it is, and answers as it did."""
    case = (CASES | MORE)[name]
    estimator = case.fitted()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = estimator.predict(case.X)
        for way, content in written(estimator, compressed=False).items():
            loaded = through(MODEL, content)
            assert type(loaded) is type(estimator), way
            predicted = loaded.predict(case.X)
            if predicted.dtype.kind == "f":  # threads and the places of arrays in memory change the last bits
                np.testing.assert_allclose(predicted, expected, rtol=1e-9, err_msg=way)
            else:
                np.testing.assert_array_equal(predicted, expected, err_msg=way)


@pytest.mark.parametrize("name", ["columns-forest", "logistic-text", "texts", "grid-search", "ball-tree"])
def test_compressed_models(tmp_path: Path, name: str) -> None:
    """Compression changes nothing."""
    case = (CASES | MORE)[name]
    estimator = case.fitted()
    for way, content in written(estimator).items():
        (tmp_path / "model.pkl").write_bytes(content)
        loaded = read_bundle(tmp_path).estimator
        np.testing.assert_array_equal(loaded.predict(case.X), estimator.predict(case.X), err_msg=way)


@pytest.mark.parametrize("name", PREDICTING)
def test_every_estimator(name: str) -> None:
    """Every estimator of scikit-learn is loaded."""
    for y in TARGETS.values():
        estimator = fitted(name, y)
        if estimator is not None:
            for content in (pickle.dumps(estimator, 0), pickle.dumps(estimator, 4), by_joblib(estimator)):
                assert type(through(MODEL, content)) is type(estimator)
            return
    pytest.fail("it was not fitted")


@pytest.mark.parametrize("name", OTHERS)
def test_everything_else(name: str) -> None:
    """Whatever else scikit-learn has is loaded, too, as a part of something that predicts."""
    needed: dict[str, Any] = {"ColumnTransformer": [], "FeatureUnion": [], "SparseCoder": ARRAY[:3]}
    needed |= dict.fromkeys(("FrozenEstimator", "SelectFromModel", "SequentialFeatureSelector"), LogisticRegression())
    estimator = OTHERS[name](*([needed[name]] if name in needed else []))
    assert type(through(MODEL, pickle.dumps(estimator))) is type(estimator)


def test_names_of_older_releases() -> None:
    """numpy's names before 2, and Python 2's of the early protocols, are the same things."""
    for protocol in (0, 1, 2):
        content = pickle.dumps(tree(), protocol).replace(b"numpy._core.", b"numpy.core.")
        assert b"numpy.core.multiarray" in content
        np.testing.assert_array_equal(through(MODEL, content).predict([[1, 2]]), tree().predict([[1, 2]]))


# numpy warns of them where they are made, once, or more often: that depends on what else was imported.
with warnings.catch_warnings(action="ignore"):
    MATRIX = np.matrix([[1, 2]])

ARRAYS: dict[str, Any] = {
    "numbers": np.arange(6.0).reshape(2, 3),
    "in columns": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "a slice": np.arange(12).reshape(3, 4)[::2, 1:],
    "of other bytes": np.arange(4, dtype=">i4"),
    "texts": np.array(["a", "größe"]),
    "no texts": np.array(["", ""]),
    "bytes": np.array([b"a", b"bc"]),
    "objects": np.array(["a", 1, None], dtype=object),
    "objects in objects": np.array([np.array([1, "a"], dtype=object), None], dtype=object),
    "times": np.array(["2020-01-01"], "M8[D]"),
    "records": np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
    "complex": np.array([1j]),
    "nothing": np.zeros((0, 3)),
    "a number": np.array(5),
    "a matrix": MATRIX,
    "many": np.arange(10_000),
}


@pytest.mark.parametrize("gate", [MODEL, DATA], ids=["model", "data"])
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays(name: str, gate: Any) -> None:
    """An array is what it was, and can be written to."""
    if name == "a matrix" and gate is DATA:
        pytest.skip("no part of the list")
    array = ARRAYS[name]
    for way, content in written(array, compressed=False).items():
        loaded = through(gate, content)
        assert loaded.dtype.newbyteorder("=") == array.dtype.newbyteorder("=")
        assert loaded.shape == array.shape
        assert loaded.flags.writeable, way
        for ours, theirs in zip(loaded.flat, array.flat, strict=True):
            np.testing.assert_array_equal(ours, theirs)


VALUES: dict[str, Any] = {
    "mapping": {"a": {"x": 0, "y": 1}, "b": 0.5, "c": False, "d": ""},
    "ordered": collections.OrderedDict(a=1, b=2),
    "scalars": {"a": {np.str_("x"): np.int64(1), np.str_("y"): np.float64(2)}, "b": np.bool_(True)},
    "no text": [np.str_("")],
    "tuple": ("a", "b"),
    "sets": [{1, 2}, frozenset({"a"})],
    "others": [slice(1, 2), 1j, range(3), bytearray(b"ab"), b"x", b"", None],
    "large": {"a" * 1_000: b"b" * 1_000, "c": list(range(1_000)), "d": 2**70},
}


@pytest.mark.parametrize("name", VALUES)
def test_lookups_and_labels(name: str) -> None:
    """Python's own types and numpy's scalars are loaded."""
    for way, content in written(VALUES[name]).items():
        if "by" not in way:
            assert repr(through(DATA, content)) == repr(VALUES[name]), way


# Without pyarrow, which a server does not have and pandas keeps texts by where it is installed.
with pd.option_context("mode.string_storage", "python"):
    TEXTS: dict[str, Any] = {
        "index": pd.Index(["a", "b"]),
        "categories": pd.CategoricalDtype(["a", "b"]),
        "categorical": pd.Categorical(["a", "b", None]),
        "texts": pd.array(["a", None], dtype="string"),
    }
PARTS: dict[str, Any] = {
    **TEXTS,
    "index of objects": pd.Index(["a", 1], dtype=object),
    "range": pd.RangeIndex(3),
    "sparse": sparse.csr_matrix([[1, 0]]),
    "sparse array": sparse.coo_array([[1, 0]]),
    "masked": np.ma.masked_array([1, 2], mask=[True, False]),
    "masked objects": np.ma.masked_array(["a", 2], mask=[True, False], dtype=object),
    "random": np.random.RandomState(3),  # scikit-learn keeps these
    "generator": np.random.default_rng(3),
    "neighbors": BallTree(ARRAY),
    "default": collections.defaultdict(list, a=[1]),
    "date": datetime.date(2020, 1, 2),
    "missing": pd.NA,
}


@pytest.mark.parametrize("name", PARTS)
def test_parts_of_models(name: str) -> None:
    """What estimators keep of numpy, scipy and pandas is loaded."""
    for content in written(PARTS[name], compressed=False).values():
        loaded = through(MODEL, content)
        assert type(loaded) is type(PARTS[name])
        if name != "neighbors" and name not in ("random", "generator", "sparse", "sparse array"):
            assert repr(loaded) == repr(PARTS[name])


def test_a_model_that_was_mapped(tmp_path: Path) -> None:
    """Arrays that were mapped from a file when they were written are arrays."""
    joblib.dump(np.arange(9.0), tmp_path / "first")
    mapped = joblib.load(tmp_path / "first", mmap_mode="r")
    loaded = through(MODEL, by_joblib({"a": mapped}))
    assert type(loaded["a"]) is np.ndarray
    assert loaded["a"].tolist() == list(range(9))


class Own(LogisticRegression):  # type: ignore[misc]  # scikit-learn ships no types
    """A class that is no part of the list."""


def test_globals_that_the_operator_trusts() -> None:
    """A class of one's own is refused until it is named, and then is made, called and kept as it was written."""
    model = [Own().fit(ARRAY, BINARY), Own]
    name = f"{Own.__module__}.Own"
    for content in written(model, compressed=False).values():
        with pytest.raises(BundleError, match=f"names {name}, which is not on the list"):
            through(MODEL, content)
        loaded = through(gate_of_model("model.pkl", frozenset({name})), content)
        assert type(loaded[0]) is loaded[1] is Own
