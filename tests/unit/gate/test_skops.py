"""model.skops: judged by the same list, and loaded as the pickle would have been."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn
import skops.io
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import FunctionTransformer

from server.bundle import Bundle, read_bundle
from server.errors import BundleError
from tests.api.estimators import ARRAY, BINARY, CASES
from tests.models import tree

KINDS = ["columns-forest", "logistic-text", "texts", "grid-search", "hist-boosting", "xgboost-binary", "neighbors"]


def read(folder: Path, content: bytes, **given: Any) -> Bundle:
    """Write model.skops and read the folder."""
    (folder / "model.skops").write_bytes(content)
    return read_bundle(folder, **given)


def changed(change: Callable[[dict[str, Any]], None], estimator: Any = None) -> bytes:
    """Write a model by skops, and change its schema."""
    before, after = io.BytesIO(skops.io.dumps(tree() if estimator is None else estimator)), io.BytesIO()
    with zipfile.ZipFile(before) as old, zipfile.ZipFile(after, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "schema.json":
                schema = json.loads(content)
                change(schema)
                content = json.dumps(schema).encode()
            new.writestr(name, content)
    return after.getvalue()


@pytest.mark.parametrize("name", KINDS)
def test_models(tmp_path: Path, name: str) -> None:
    """A model is loaded without any setting, answers as it did, and its version is known."""
    estimator = CASES[name].fitted()
    bundle = read(tmp_path, skops.io.dumps(estimator))
    np.testing.assert_array_equal(bundle.estimator.predict(CASES[name].X), estimator.predict(CASES[name].X))
    assert bundle.sklearn_version == (None if name.startswith("xgboost") else sklearn.__version__)
    assert bundle.sizes is not None
    assert list(bundle.sizes) == ["model.skops"]


class Own(LogisticRegression):  # type: ignore[misc]  # scikit-learn ships no types
    """A class that is no part of the list."""


def test_globals_that_the_operator_trusts(tmp_path: Path) -> None:
    """A class of one's own is refused until it is named."""
    content, name = skops.io.dumps(Own().fit(ARRAY, BINARY)), f"{Own.__module__}.Own"
    with pytest.raises(BundleError, match=rf"^model\.skops names {name}, which is not on the list .*ALLOWED_GLOBALS"):
        read(tmp_path, content)
    assert type(read(tmp_path, content, allowed=frozenset({name})).estimator) is Own


def test_other_version(tmp_path: Path) -> None:
    """A model of another minor release is refused before it is loaded."""

    def older(schema: dict[str, Any]) -> None:
        schema["content"]["content"]["_sklearn_version"]["content"] = '"1.2.3"'

    with pytest.raises(BundleError, match=r"model\.skops was pickled by scikit-learn 1\.2\.3"):
        read(tmp_path, changed(older))


def node(loader: str, module: str, name: str, content: Any = None) -> dict[str, Any]:
    """Make a node."""
    return {"__loader__": loader, "__module__": module, "__class__": name, "content": content, "__id__": 1}


HOSTILE = {
    "a function": (node("FunctionNode", "os", "system"), "names os.system"),
    "a function that skops trusts": (node("FunctionNode", "numpy", "frompyfunc"), "names numpy.frompyfunc"),
    "a type": (node("TypeNode", "subprocess", "Popen"), "names subprocess.Popen"),
    "a class as a value": (node("TypeNode", "xgboost.core", "Booster"), "uses xgboost.core.Booster"),
    "a dotted name": (node("TypeNode", "sklearn", "os.system"), "names sklearn.os.system"),
    "an operator": (node("OperatorFuncNode", "operator", "attrgetter"), "uses skops.OperatorFuncNode"),
    "a method": (node("MethodNode", "builtins", "method"), "uses skops.MethodNode"),
    "a partial": (node("PartialNode", "functools", "partial"), "uses skops.PartialNode"),
    "a reduced one": (node("ConstructorFromReduceNode", "os", "system"), "uses skops.ConstructorFromReduceNode"),
    "a loader that is none": (node("X", "os", "system"), "uses skops.X"),
    "a loss of another class": (node("LossNode", "xgboost.core", "Booster"), "uses xgboost.core.Booster"),
    "a mapping of another class": (node("DictNode", "xgboost.core", "Booster"), "uses xgboost.core.Booster"),
    "a list of another class": (node("ListNode", "numpy", "mean"), "uses numpy.mean"),
    "an array of a function": (node("NdArrayNode", "numpy", "fromfile"), "names numpy.fromfile"),
    "an object of a function": (node("ObjectNode", "numpy", "mean"), "uses numpy.mean"),
}


@pytest.mark.parametrize(("hidden", "why"), HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("place", ["state", "elsewhere"])
def test_hostile_nodes(tmp_path: Path, hidden: dict[str, Any], why: str, place: str) -> None:
    """Whatever a node names is judged before anything is loaded, wherever it stands."""

    def hide(schema: dict[str, Any]) -> None:
        if place == "state":
            schema["content"]["content"]["evil"] = hidden
        else:
            schema["more"] = [{"deep": [hidden]}]

    with pytest.raises(BundleError, match=rf"^model\.skops {why}"):
        read(tmp_path, changed(hide))


def test_a_vectorizer_of_files(tmp_path: Path) -> None:
    """A vectorizer that would read the files that callers name is refused."""
    content = skops.io.dumps(CountVectorizer(input="filename"))
    with pytest.raises(BundleError, match=r"uses sklearn\.feature_extraction\.text\.CountVectorizer"):
        read(tmp_path, content)
    read(tmp_path, skops.io.dumps(FunctionTransformer(np.log1p)))


def test_vectorizers_in_a_pipeline(tmp_path: Path) -> None:
    """Ordinary vectorizers are loaded, beside whatever else skops gives an id twice."""
    texts = make_union(CountVectorizer(), TfidfVectorizer(), HashingVectorizer(n_features=8))
    model = make_pipeline(texts, RandomForestClassifier(5)).fit(["a bc de", "de fg", "bc bc"], [0, 1, 1])
    assert read(tmp_path, skops.io.dumps(model)).estimator.predict(["bc de"]).shape == (1,)


def _state_elsewhere(schema: dict[str, Any]) -> None:
    schema["more"] = schema["content"]
    schema["content"] = node("CachedNode", "builtins", "dict") | {"__id__": schema["more"]["__id__"]}


def _other_with_the_same_id(schema: dict[str, Any]) -> None:
    given = schema["content"]["content"]["input"]
    schema["more"] = {**given, "content": '"content"'}


def _under_another_key(schema: dict[str, Any]) -> None:
    entries = schema["content"]["content"]
    entries["input\0"] = entries.pop("input")


@pytest.mark.parametrize("change", [_state_elsewhere, _other_with_the_same_id, _under_another_key])
def test_a_vectorizer_of_files_in_disguise(tmp_path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """What says where a vectorizer's texts are from stands in its state, once and plainly."""
    content = changed(change, CountVectorizer(input="filename"))
    with pytest.raises(BundleError, match=r"uses sklearn\.feature_extraction\.text\.CountVectorizer"):
        read(tmp_path, content)


@pytest.mark.parametrize(
    "content", [b"", b"PK", b"<html>", skops.io.dumps(tree())[:-40]], ids=["empty", "short", "html", "cut"]
)
def test_no_archive(tmp_path: Path, content: bytes) -> None:
    """What is no archive is refused by the file's name."""
    with pytest.raises(BundleError, match=r"^model\.skops is no archive of skops, or damaged"):
        read(tmp_path, content)


def test_a_damaged_archive(tmp_path: Path) -> None:
    """What skops cannot load is refused in a sentence."""

    def lose(schema: dict[str, Any]) -> None:
        del schema["content"]["content"]["tree_"]["content"]

    with pytest.raises(BundleError, match=r"^model\.skops cannot be loaded \(.*\); write it again with skops\."):
        read(tmp_path, changed(lose))


def test_two_of_a_name(tmp_path: Path) -> None:
    """Two members of one name could be two things to two readers."""
    buffer = io.BytesIO(skops.io.dumps(tree()))
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("schema.json", "{}")
    with pytest.raises(BundleError, match="is no archive of skops"):
        read(tmp_path, buffer.getvalue())


def test_too_much(tmp_path: Path) -> None:
    """It is measured before it is decompressed."""
    with pytest.raises(BundleError, match="has more than 9000 bytes once it is decompressed"):
        read(tmp_path, skops.io.dumps(tree(), compression=zipfile.ZIP_DEFLATED), max_model_bytes=9_000)


def test_both(tmp_path: Path) -> None:
    """Of two models none is served."""
    (tmp_path / "model.pkl").write_bytes(b"N.")
    with pytest.raises(BundleError, match=r"There are model\.pkl and model\.skops"):
        read(tmp_path, b"PK")


def test_without_skops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where skops is not installed, it is said how to install it."""
    monkeypatch.setitem(__import__("sys").modules, "skops.io", None)
    with pytest.raises(BundleError, match=r"needs skops, which is not installed; install brinery\[skops\]"):
        read(tmp_path, skops.io.dumps(tree()))
