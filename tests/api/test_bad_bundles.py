"""Bundles that cannot be served: refused at the start, in a sentence that names the file or the parameter."""

import gzip
import json
import lzma
import os
import pickle
import shutil
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import sklearn
from sklearn.cluster import KMeans
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from server.errors import BundleError
from tests.api.estimators import ARRAY, BINARY, FRAME, NUMBER, NUMERIC_FRAME, SEVERAL, TERNARY
from tests.api.serving import EXAMPLES, predict, serve_folder

MINOR = sklearn.__version__.rpartition(".")[0]
COUNTED = ["a", "b", "c", "d"]
LOOKUP = dict.fromkeys(COUNTED, 0)


def classifier() -> Any:
    """A classifier of four nameless numbers."""
    return LogisticRegression().fit(ARRAY, BINARY)


def named_classifier() -> Any:
    """A classifier whose columns have names."""
    return LogisticRegression().fit(NUMERIC_FRAME, BINARY)


def encoded_classifier() -> Any:
    """A pipeline whose encoder knows its categories, and takes no others."""
    return make_pipeline(OneHotEncoder(), LogisticRegression()).fit(FRAME[["city", "class"]], BINARY)


def write(folder: Path, **parts: Any) -> Path:
    """Write a bundle; a part that is bytes is written as it is, and one that is None not at all."""
    folder.mkdir(exist_ok=True)
    for name, part in ({"model": classifier()} | parts).items():
        path = folder / (f"{name}.json" if name == "metadata" else f"{name}.pkl")
        if isinstance(part, bytes):
            path.write_bytes(part)
        elif name == "metadata":
            path.write_text(json.dumps(part), encoding="utf-8")
        elif part is not None:
            joblib.dump(part, path)
    return folder


def refusal(folder: Path, **settings: Any) -> BundleError:
    """Try to serve a folder; give the error, which must be one line for people."""
    start = time.process_time()
    with pytest.raises(BundleError) as caught:
        serve_folder(folder, **settings)
    assert time.process_time() - start < 5
    text = str(caught.value)
    assert "\n" not in text
    assert "Traceback" not in text
    assert all(reason.endswith((".", "?")) and not reason.endswith("..") for reason in caught.value.reasons)
    return caught.value


def other_version(version: str) -> bytes:
    """Pickle a model as another scikit-learn would have."""
    content = pickle.dumps(classifier())
    assert sklearn.__version__.encode() in content
    short = sklearn.__version__.encode()
    return content.replace(bytes([len(short)]) + short, bytes([len(version)]) + version.encode())


UNREADABLE: dict[str, tuple[str, bytes]] = {
    "empty": ("is empty", b""),
    "a text": ("cannot be unpickled", b"I am no pickle\n"),
    "half a pickle": ("cannot be unpickled", pickle.dumps(list(range(1_000)))[:-20]),
    "random bytes": ("cannot be unpickled", bytes(range(256)) * 20),
    "zeros": ("cannot be unpickled", b"\0" * 1_000),
    "a module that is not there": ("names no_such_module.Thing, which is not on", b"cno_such_module\nThing\n."),
    "a name that is not there": ("names sklearn.svm.NoSuchThing, which is not on", b"csklearn.svm\nNoSuchThing\n."),
    "a call that raises": ("cannot be unpickled", b"c_codecs\nencode\n(V\\u2603\nVlatin1\ntR."),
    "broken gzip": ("cannot be decompressed", gzip.compress(b"x" * 1_000)[:-12]),
    "broken zlib": ("cannot be decompressed", zlib.compress(b"x" * 1_000)[:-5]),
    "broken xz": ("cannot be decompressed", lzma.compress(b"x" * 1_000)[:-9]),
    "an archive": ("cannot be unpickled", b"PK\x03\x04" + b"\0" * 100),
    "a stored pointer": ("cannot be unpickled", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"),
}


@pytest.mark.parametrize(("why", "content"), UNREADABLE.values(), ids=UNREADABLE)
@pytest.mark.parametrize("name", ["model", "lookup", "labels"])
def test_files_that_cannot_be_read(tmp_path: Path, name: str, why: str, content: bytes) -> None:
    """A file that is no pickle is named, whatever it is instead."""
    if name != "model" and "decompressed" in why:
        why = "cannot be"
    error = refusal(write(tmp_path, **{name: content}))
    assert f"{name}.pkl" in str(error)
    assert why in str(error)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """The folder is named, and so is the setting."""
    assert "There is no bundle at" in str(refusal(tmp_path / "none"))
    assert "BRINERY_BUNDLE" in str(refusal(tmp_path / "none"))


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    """The missing file is named."""
    assert "model.pkl is missing" in str(refusal(write(tmp_path, model=None, lookup=LOOKUP)))


def test_a_file_instead_of_a_folder(tmp_path: Path) -> None:
    """The bundle is the folder, not the model's file."""
    write(tmp_path)
    assert "There is no bundle at" in str(refusal(tmp_path / "model.pkl"))


def test_a_folder_instead_of_a_file(tmp_path: Path) -> None:
    """What cannot be opened is named, with what the system says."""
    write(tmp_path, model=None)
    (tmp_path / "model.pkl").mkdir()
    assert "model.pkl cannot be read: Is a directory" in str(refusal(tmp_path))


def test_a_pipe_instead_of_a_file(tmp_path: Path) -> None:
    """Nobody waits for what will be written to it."""
    write(tmp_path, model=None)
    os.mkfifo(tmp_path / "model.pkl")
    assert "model.pkl is no regular file" in str(refusal(tmp_path))


METADATA: dict[str, tuple[bytes | dict[str, Any], str]] = {
    "no JSON": (b"{", "metadata.json is not JSON"),
    "empty": (b"", "metadata.json is not JSON"),
    "not UTF-8": (b'{"name":"\xff"}', "metadata.json is not JSON"),
    "NaN": (b'{"accuracy":NaN}', "metadata.json is not JSON"),
    "an array": (b"[]", "must hold a JSON object"),
    "a name that is no text": ({"name": 7}, "`name`"),
    "an empty name": ({"name": ""}, "`name`"),
    "a version that is a fraction": ({"version": 1.5}, "`version`"),
    "a version that is true": ({"version": True}, "`version`"),
    "a description that is no text": ({"description": ["x"]}, "`description`"),
    "parameters that are a list": ({"parameters": ["a"]}, "`parameters`"),
    "a parameter that is no object": ({"parameters": {"x0": "integer"}}, "`parameters`"),
    "a parameter that is not there": ({"parameters": {"y": {}}}, "names 'y'"),
    "an unknown keyword": ({"parameters": {"x0": {"enum": [1]}}}, "parameter 'x0' has the keyword 'enum'"),
    "an unknown type": ({"parameters": {"x0": {"type": "date"}}}, "parameter 'x0' has the type 'date'"),
    "two types": ({"parameters": {"x0": {"type": ["number", "string"]}}}, "parameter 'x0' has the type"),
    "only null": ({"parameters": {"x0": {"type": "null"}}}, "parameter 'x0' has the type"),
    "null that the model does not take": ({"parameters": {"x0": {"type": ["number", "null"]}}}, "'x0' may be null"),
    "a minimum that is a text": ({"parameters": {"x0": {"minimum": "1"}}}, "parameter 'x0' has a `minimum`"),
    "bounds that cross": ({"parameters": {"x0": {"minimum": 2, "maximum": 1}}}, "above its `maximum`"),
    "no integer between the bounds": (
        {"parameters": {"x0": {"type": "integer", "minimum": 1.2, "maximum": 1.8}}},
        "parameter 'x0'",
    ),
    "no multiple between the bounds": (
        {"parameters": {"x0": {"multipleOf": 10, "minimum": 1, "maximum": 9}}},
        "parameter 'x0'",
    ),
    "a multiple of a fraction": ({"parameters": {"x0": {"multipleOf": 0.1}}}, "`multipleOf`"),
    "a multiple of nothing": ({"parameters": {"x0": {"multipleOf": 0}}}, "`multipleOf`"),
    "lengths of a number": ({"parameters": {"x0": {"maxLength": 3}}}, "`maxLength`"),
    "a default out of bounds": ({"parameters": {"x0": {"maximum": 1, "default": 2}}}, "in `default`"),
    "a default of another type": ({"parameters": {"x0": {"default": "1"}}}, "in `default`"),
    "a default that is null": ({"parameters": {"x0": {"default": None}}}, "in `default`"),
    "examples out of bounds": ({"parameters": {"x0": {"maximum": 1, "examples": [0, 2]}}}, "in `examples`"),
    "examples that are no list": ({"parameters": {"x0": {"examples": 1}}}, "`examples`"),
    "a description of a parameter that is no text": ({"parameters": {"x0": {"description": 1}}}, "`description`"),
    "a threshold above one": ({"threshold": 1.1}, "`threshold`"),
    "a threshold that is a text": ({"threshold": "0.5"}, "`threshold`"),
}


@pytest.mark.parametrize(("metadata", "why"), METADATA.values(), ids=METADATA)
def test_metadata(tmp_path: Path, metadata: bytes | dict[str, Any], why: str) -> None:
    """Metadata that cannot be understood, or that the model does not fit, are refused."""
    error = str(refusal(write(tmp_path, metadata=metadata)))
    assert why in error
    assert "metadata.json" in error or "says the bundle" in error


LOOKUPS: dict[str, tuple[Callable[[], Any], Any, str]] = {
    "a list": (classifier, COUNTED, "lookup.pkl holds a list"),
    "a number": (classifier, 3, "lookup.pkl holds a int"),
    "nothing": (classifier, {}, "lookup.pkl is empty"),
    "a name that is no text": (classifier, {1: 0, "b": 0, "c": 0, "d": 0}, "names a parameter 1"),
    "an empty name": (classifier, {"": 0, "b": 0, "c": 0, "d": 0}, "names a parameter ''"),
    "a name that is no Unicode": (classifier, LOOKUP | {"\ud800": 0}, "not valid Unicode"),
    "too few": (classifier, {"a": 0}, "lookup.pkl names 1 parameters, and the model was fitted on 4 columns"),
    "too many": (classifier, LOOKUP | {"e": 0}, "lookup.pkl names 5 parameters"),
    "names that are not the columns": (
        named_classifier,
        {"speed": 0, "bruises": 0, "a/b~c": 0, "größe": 0},
        "it lacks 'bruises?'; the model has no 'bruises'",
    ),
    "a list of labels": (classifier, LOOKUP | {"b": ["x", "y"]}, "parameter 'b'"),
    "one": (classifier, LOOKUP | {"b": 1}, "lookup.pkl says 1 of parameter 'b'"),
    "true": (classifier, LOOKUP | {"b": True}, "lookup.pkl says True of parameter 'b'"),
    "none": (classifier, LOOKUP | {"b": None}, "lookup.pkl says None of parameter 'b'"),
    "a word": (classifier, LOOKUP | {"b": "number"}, "lookup.pkl says 'number' of parameter 'b'"),
    "no labels": (classifier, LOOKUP | {"b": {}}, "lookup.pkl says {} of parameter 'b'"),
    "a label that is a fraction": (classifier, LOOKUP | {"b": {0.5: 1}}, "parameter 'b' has the label 0.5"),
    "a label that is a tuple": (classifier, LOOKUP | {"b": {("x",): 1}}, "parameter 'b' has the label ('x',)"),
    "a label that is bytes": (classifier, LOOKUP | {"b": {b"x": 1}}, "parameter 'b' has the label b'x'"),
    "a label beyond 2^53": (classifier, LOOKUP | {"b": {2**53: 1}}, "parameter 'b' has the label 9007199254740992"),
    "a label that is no Unicode": (classifier, LOOKUP | {"b": {"\udcff": 1}}, "parameter 'b'"),
    "a code that is a list": (classifier, LOOKUP | {"b": {"x": [1]}}, "maps a label of 'b' to a list"),
    "a code that is a text": (classifier, LOOKUP | {"b": {"x": "y"}}, "fails on"),
    "a code that is not a number": (classifier, LOOKUP | {"b": {"x": 1.0, "y": float("nan")}}, "the label 'y'"),
    "a code that is infinite": (classifier, LOOKUP | {"b": {"x": 1.0, "y": float("inf")}}, "the label 'y'"),
    "null that the model does not take": (
        classifier,
        LOOKUP | {"b": {"x": 1.0, None: float("nan")}},
        "Parameter 'b' may be null",
    ),
    "a code that the encoder never saw": (
        encoded_classifier,
        {"city": {"Oslo": "Oslo", "Rom": "Roma"}, "class": {1: 1, 2: 2, 3: 3}},
        "maps a label of 'city' to 'Roma', a code that the model's encoder never saw; it knows 'Kyiv', 'Lima'",
    ),
    "a code of another type": (
        encoded_classifier,
        {"city": {"Oslo": "Oslo"}, "class": {"first": "1"}},
        "maps a label of 'class' to '1', a code that the model's encoder never saw",
    ),
    "a number for an encoder": (
        encoded_classifier,
        {"city": {"Oslo": "Oslo"}, "class": 0},
        "The estimator fails on an example of its own input",
    ),
}


@pytest.mark.parametrize(("make", "lookup", "why"), LOOKUPS.values(), ids=LOOKUPS)
def test_lookups(tmp_path: Path, make: Callable[[], Any], lookup: Any, why: str) -> None:
    """A lookup that is no lookup, or not this model's, is refused."""
    assert why in str(refusal(write(tmp_path, model=make(), lookup=lookup)))


def _several() -> Any:
    return MultiOutputClassifier(LogisticRegression(max_iter=500)).fit(ARRAY, SEVERAL)


LABELS: dict[str, tuple[Callable[[], Any], Any, str]] = {
    "too few": (classifier, ["no"], "labels.pkl has 1 labels, and the model has 2: 0, 1"),
    "too many": (classifier, ["no", "yes", "maybe"], "labels.pkl has 3 labels, and the model has 2"),
    "none": (classifier, [], "labels.pkl holds a list"),
    "a text": (classifier, "no", "labels.pkl holds a str"),
    "a number": (classifier, 2, "labels.pkl holds a int"),
    "a set": (classifier, {"no", "yes"}, "labels.pkl holds a set"),
    "twice the same": (classifier, ["no", "no"], "two labels that are both written no"),
    "written alike": (classifier, ["1", 1], "two labels that are both written 1"),
    "true and its text": (classifier, [True, "true"], "two labels that are both written true"),
    "a fraction": (classifier, ["no", 0.5], "the label 0.5"),
    "null": (classifier, ["no", None], "the label None"),
    "bytes": (classifier, ["no", b"yes"], "the label b'yes'"),
    "no Unicode": (classifier, ["no", "\ud800"], "not valid Unicode"),
    "a mapping for one output": (classifier, {"a": ["no", "yes"]}, "the model has one output only"),
    "a regressor's": (lambda: LinearRegression().fit(ARRAY, NUMBER), ["x", "y"], "must be a list of 1 names"),
    "a clusterer's": (
        lambda: KMeans(3, n_init=1).fit(ARRAY),
        ["x", "y"],
        "labels.pkl has 2 labels, and the model has 3",
    ),
    "several outputs'": (_several, ["a", "b", "c"], "must be a list of 2 names"),
    "several outputs' classes": (_several, {"a": ["x", "y"], "b": ["x", "y"]}, "labels.pkl has 2 labels"),
    "several outputs', not all": (_several, {"a": ["x", "y", "z"]}, "2 names"),
}


@pytest.mark.parametrize(("make", "labels", "why"), LABELS.values(), ids=LABELS)
def test_labels(tmp_path: Path, make: Callable[[], Any], labels: Any, why: str) -> None:
    """Labels that are not one name for each output are refused."""
    error = str(refusal(write(tmp_path, model=make(), labels=labels)))
    assert why in error
    assert "labels.pkl" in error


def test_the_older_name_of_the_labels(tmp_path: Path) -> None:
    """`flags.pkl` is read where there is no `labels.pkl`, and told of under its own name."""
    client = serve_folder(write(tmp_path, flags=["no", "yes"]))
    assert list(predict(client, {f"x{index}": 1 for index in range(4)})) == ["no", "yes"]
    (tmp_path / "flags.pkl").write_bytes(b"no pickle")
    assert "flags.pkl cannot be unpickled" in str(refusal(tmp_path))


@pytest.mark.parametrize("version", ["0.24.2", "1.0", "1.3.2", "9.9.9", "1.99.dev0"])
def test_another_scikit_learn(tmp_path: Path, version: str) -> None:
    """A model of another minor release is refused, both versions named, and so is the setting that allows it."""
    folder = write(tmp_path, model=other_version(version))
    error = str(refusal(folder))
    assert version in error
    assert sklearn.__version__ in error
    assert "BRINERY_VERSION_MISMATCH=warn" in error


def test_another_scikit_learn_may_be_tried(tmp_path: Path) -> None:
    """With the setting the model is tried, and info and a metric say who pickled it."""
    folder = write(tmp_path, model=other_version("1.3.2"))
    client = serve_folder(folder, version_mismatch="warn")
    info = client.get("/api/info").json
    assert info is not None
    assert info["model"]["sklearn_version"] == "1.3.2"
    assert 'pickled_by="1.3.2"' in client.get("/metrics").text


def test_a_patch_release_is_no_other(tmp_path: Path) -> None:
    """Patch releases read each other's models."""
    serve_folder(write(tmp_path, model=other_version(f"{MINOR}.99")))


@pytest.mark.parametrize(
    "compress", [("zlib", 3), ("gzip", 3), ("bz2", 3), ("xz", 3), ("lzma", 3)], ids=lambda each: each[0]
)
def test_compressed_models_are_judged_alike(tmp_path: Path, compress: tuple[str, int]) -> None:
    """A compressed model is served, and its version is seen through the compression."""
    write(tmp_path, model=None)
    joblib.dump(classifier(), tmp_path / "model.pkl", compress=compress)
    client = serve_folder(tmp_path)
    info = client.get("/api/info").json
    assert info is not None
    assert info["model"]["sklearn_version"] == sklearn.__version__


def test_an_estimator_that_is_not_fitted(tmp_path: Path) -> None:
    """The estimator is named, and what to do."""
    assert "The LogisticRegression is not fitted; call its `fit`" in str(
        refusal(write(tmp_path, model=LogisticRegression()))
    )


def test_a_transformer(tmp_path: Path) -> None:
    """What does not predict is named."""
    assert "The StandardScaler has no `predict`" in str(refusal(write(tmp_path, model=StandardScaler().fit(ARRAY))))


def test_a_threshold_without_probabilities(tmp_path: Path) -> None:
    """A threshold only goes with two probabilities."""
    for model in (LinearRegression().fit(ARRAY, NUMBER), LogisticRegression(max_iter=500).fit(ARRAY, TERNARY)):
        assert "`threshold`" in str(refusal(write(tmp_path, model=model, metadata={"threshold": 0.5})))


def test_faults_of_several_files_are_told_together(tmp_path: Path) -> None:
    """Every file that cannot be read is told of at once."""
    error = refusal(write(tmp_path, model=b"", lookup=b"x", labels=b"", metadata=b"["))
    assert len(error.reasons) == 4
    for name in ("model.pkl", "lookup.pkl", "labels.pkl", "metadata.json"):
        assert name in str(error)


def test_faults_of_several_parameters_are_told_together(tmp_path: Path) -> None:
    """Every parameter that cannot be understood is told of at once."""
    error = refusal(write(tmp_path, lookup=LOOKUP | {"b": [], "d": {0.5: 1}}, metadata={"name": 3}))
    assert len(error.reasons) == 3
    assert all(part in str(error) for part in ("'b'", "'d'", "`name`"))


def test_faults_of_name_and_parameters_are_told_together(tmp_path: Path) -> None:
    """The metadata's faults are told beside each other."""
    parameters = {"x0": {"minimum": "a"}, "x1": {"type": "date"}, "x3": {"format": "x"}}
    error = refusal(write(tmp_path, metadata={"version": [], "parameters": parameters}))
    assert len(error.reasons) == 4


def test_a_bundle_of_another_model(tmp_path: Path) -> None:
    """A model beside the lookup of another one does not start."""
    for name in ("lookup.pkl", "labels.pkl", "metadata.json"):
        shutil.copy(EXAMPLES["crime"] / name, tmp_path)
    shutil.copy(EXAMPLES["titanic"] / "model.pkl", tmp_path)
    assert "lookup.pkl does not name the model's columns: it lacks 'Pclass'" in str(refusal(tmp_path))


def test_a_long_list_of_labels_is_cut(tmp_path: Path) -> None:
    """A sentence stays a sentence, however many categories there are."""
    column = np.array([f"label {index}" for index in range(500)], dtype=object).reshape(-1, 1)
    model = make_pipeline(OrdinalEncoder(), LogisticRegression(max_iter=1_000)).fit(column, np.arange(500) % 2)
    error = str(refusal(write(tmp_path, model=model, lookup={"a": {"x": "y"}})))
    assert "never saw" in error
    assert "and 495 more." in error
    assert len(error) < 500
