"""A bundle's folder: every form in which its files are written, and every way in which they are broken."""

import bz2
import copyreg
import gzip
import hashlib
import io
import json
import lzma
import os
import pickle
import re
import shutil
import subprocess
import sys
import tracemalloc
import types
import zlib
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from server import gate
from server.bundle import MAX_OTHER_BYTES, Bundle, read_bundle, read_files
from server.errors import BundleError
from tests.models import ARRAY, BINARY, tree

MINOR = ".".join(sklearn.__version__.split(".")[:2])


def joblib_bytes(compress: Any, estimator: Any = None) -> bytes:
    """Write an estimator as joblib does."""
    buffer = io.BytesIO()
    joblib.dump(tree() if estimator is None else estimator, buffer, compress=compress)
    return buffer.getvalue()


def lzma_alone(content: bytes) -> bytes:
    """Compress in the older format of the standard library."""
    return lzma.compress(content, format=lzma.FORMAT_ALONE)


def made_by(version: str) -> bytes:
    """Pickle a model, and rewrite the version of scikit-learn that made it."""
    content = pickle.dumps(tree(), 2)  # later protocols have frames, whose lengths would no longer be right

    def text(value: str) -> bytes:
        return b"X" + len(value).to_bytes(4, "little") + value.encode()

    assert text(sklearn.__version__) in content
    return content.replace(text(sklearn.__version__), text(version))


class Stated:
    """Is pickled as a tree with this state."""

    def __init__(self, state: dict[str, Any]) -> None:
        self.state = state

    def __reduce__(self) -> Any:
        return copyreg._reconstructor, (DecisionTreeClassifier, object, None), self.state  # type: ignore[attr-defined]


def read(folder: Path, model: bytes, **given: Any) -> Bundle:
    """Write model.pkl and read the folder."""
    (folder / "model.pkl").write_bytes(model)
    return read_bundle(folder, **given)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1), ids=lambda protocol: f"protocol {protocol}")
@pytest.mark.parametrize("kind", ["alone", "in a pipeline"])
def test_every_protocol(tmp_path: Path, protocol: int, kind: str) -> None:
    """A pickle of every protocol is read, and so is the version that it was made by."""
    scaled = make_pipeline(StandardScaler(), LogisticRegression()).fit(ARRAY, BINARY)
    bundle = read(tmp_path, pickle.dumps(tree() if kind == "alone" else scaled, protocol))
    np.testing.assert_array_equal(bundle.estimator.predict(ARRAY).shape, BINARY.shape)
    assert bundle.sklearn_version == sklearn.__version__


@pytest.mark.parametrize(
    "compress", [0, 3, ("zlib", 9), ("gzip", 3), ("bz2", 3), ("xz", 3), ("lzma", 3)], ids=lambda compress: str(compress)
)
def test_every_compression(tmp_path: Path, compress: Any) -> None:
    """A file that joblib compressed with the standard library is read, and so is its version."""
    bundle = read(tmp_path, joblib_bytes(compress))
    np.testing.assert_array_equal(bundle.estimator.predict(ARRAY), tree().predict(ARRAY))
    assert bundle.sklearn_version == sklearn.__version__


@pytest.mark.parametrize(
    "compress",
    [zlib.compress, gzip.compress, bz2.compress, lzma.compress, lzma_alone],
    ids=["zlib", "gzip", "bz2", "xz", "lzma"],
)
@pytest.mark.parametrize("half", [False, True], ids=["whole", "truncated"])
def test_compressed_pickles(tmp_path: Path, compress: Any, half: bool) -> None:
    """A compressed pickle is read as joblib's are; a truncated one is called damaged."""
    content = compress(pickle.dumps(tree()))
    if not half:
        assert read(tmp_path, content).estimator.n_features_in_ == 2
        return
    with pytest.raises(BundleError, match=r"model\.pkl is compressed and cannot be decompressed: it is damaged"):
        read(tmp_path, content[: len(content) // 2])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "is empty; write it again", id="empty"),
        pytest.param(pickle.dumps(BINARY)[:-20], r"cannot be unpickled \(\w+.*\); write it again", id="truncated"),
        pytest.param(joblib_bytes(0)[:-20], "cannot be unpickled", id="joblib's, truncated"),
        pytest.param(b"<!DOCTYPE html>\n<html></html>", "cannot be unpickled", id="HTML"),
        pytest.param(b"version https://git-lfs.github.com/spec/v1\n", "cannot be unpickled", id="pointer"),
        pytest.param(b"\x00" * 100, "cannot be unpickled", id="zeros"),
        pytest.param(b"cposix\nno_such_name\n.", "names posix.no_such_name, which is not on the list", id="a name"),
    ],
)
def test_broken_pickles(tmp_path: Path, content: bytes, message: str) -> None:
    """A file that is no pickle is refused in one line that names it."""
    with pytest.raises(BundleError, match=rf"model\.pkl {message}") as raised:
        read(tmp_path, content)
    assert "\n" not in str(raised.value)


def test_missing_module(tmp_path: Path) -> None:
    """A pickle of a class of a module that is not installed is refused by the module's name."""
    module = types.ModuleType("brinery_absent")
    sys.modules["brinery_absent"] = module
    try:
        exec("class Thing: pass", module.__dict__)  # noqa: S102  # a class of a module that will be gone
        content = pickle.dumps(module.__dict__["Thing"]())
    finally:
        del sys.modules["brinery_absent"]
    with pytest.raises(BundleError, match="needs the module 'brinery_absent', which is not installed"):
        read(tmp_path, content, allowed=frozenset({"brinery_absent.Thing"}))


def test_missing_name(tmp_path: Path) -> None:
    """A pickle of a class that its module does not have is refused with what to do."""
    with pytest.raises(BundleError, match="needs a class or a function that is not found here"):
        read(tmp_path, b"cposix\nno_such_name\n.", allowed=frozenset({"posix.no_such_name"}))


@pytest.mark.parametrize("compress", [bytes, zlib.compress], ids=["plain", "compressed"])
@pytest.mark.parametrize("version", ["0.24.2", "1.0.1", "99.0rc1"])
def test_other_version(tmp_path: Path, version: str, compress: Any) -> None:
    """A model of another minor release is refused before it is unpickled, and read where that is allowed."""
    content = compress(made_by(version))
    with pytest.raises(
        BundleError, match=f"was pickled by scikit-learn {version}, and {sklearn.__version__} runs here"
    ):
        read(tmp_path, content)
    assert read(tmp_path, content, allow_other_version=True).sklearn_version == version


def test_other_patch(tmp_path: Path) -> None:
    """Another patch of the same minor release is read without a warning."""
    other = f"{MINOR}.99"
    assert read(tmp_path, made_by(other)).sklearn_version == other


@pytest.mark.parametrize("version", ["1.7rc1", "1.7.dev0", "1.6.1.post1", "1.6.1"])
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_forms_of_versions(tmp_path: Path, version: str, protocol: int) -> None:
    """The version is read exactly from a model's state, and from nowhere else."""
    estimator = tree().__getstate__() | {"_sklearn_version": version}
    content = pickle.dumps([b"_sklearn_version9.9.9", Stated(estimator)], protocol)
    assert read(tmp_path, content, allow_other_version=True).sklearn_version == version


def test_no_version(tmp_path: Path) -> None:
    """A pickle of something else than scikit-learn's has no version."""
    assert read(tmp_path, pickle.dumps({"a": 1})).sklearn_version is None


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a complete bundle."""
    folder = tmp_path / "crime"
    folder.mkdir()
    joblib.dump(tree(), folder / "model.pkl")
    joblib.dump({"a": 0, "b": 0}, folder / "lookup.pkl")
    joblib.dump(["no", "yes"], folder / "labels.pkl")
    (folder / "metadata.json").write_text('{"name": "Crime"}')
    return folder


def test_all_files(folder: Path) -> None:
    """Every file is read; the bundle has its folder's name."""
    bundle = read_bundle(folder)
    assert bundle.name == "crime"
    assert bundle.lookup == {"a": 0, "b": 0}
    assert bundle.labels == ["no", "yes"]
    assert bundle.metadata == {"name": "Crime"}
    assert bundle.sizes == {file.name: file.stat().st_size for file in folder.iterdir()}


def test_older_name_of_labels(folder: Path) -> None:
    """flags.pkl is read where there is no labels.pkl."""
    joblib.dump(["old"], folder / "flags.pkl")
    assert read_bundle(folder).labels == ["no", "yes"]
    (folder / "labels.pkl").unlink()
    assert read_bundle(folder).labels == ["old"]


def test_model_alone(folder: Path) -> None:
    """All but the model may be missing."""
    for file in folder.iterdir():
        if file.name != "model.pkl":
            file.unlink()
    bundle = read_bundle(folder)
    assert (bundle.lookup, bundle.labels, bundle.metadata) == (None, None, None)


def test_digest(folder: Path) -> None:
    """The digest is the SHA-256 of what `sha256sum` prints for the files in the order of their names."""
    lines = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in sorted(folder.iterdir())]
    expected = "sha256:" + hashlib.sha256("".join(lines).encode()).hexdigest()
    (folder / "README.md").write_text("not read, so not in the digest")
    assert read_bundle(folder).digest == expected
    if shutil.which("sha256sum"):
        files = ["labels.pkl", "lookup.pkl", "metadata.json", "model.pkl"]
        said = subprocess.run(["sha256sum", *files], cwd=folder, capture_output=True, check=True).stdout
        assert expected == "sha256:" + hashlib.sha256(said).hexdigest()


def test_digest_changes(folder: Path) -> None:
    """Any change of a file changes the digest."""
    before = read_bundle(folder).digest
    (folder / "metadata.json").write_text('{"name": "crime"}')
    assert read_bundle(folder).digest != before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("{", r"metadata\.json is not JSON: .* at line 1, column \d+\.", id="no JSON"),
        pytest.param("[]", r"metadata\.json must hold a JSON object\.", id="array"),
        pytest.param("", r"metadata\.json is not JSON", id="empty"),
    ],
)
def test_broken_metadata(folder: Path, content: str, message: str) -> None:
    """Metadata that is no JSON object is refused."""
    (folder / "metadata.json").write_text(content)
    with pytest.raises(BundleError, match=message):
        read_bundle(folder)


def test_no_folder(tmp_path: Path) -> None:
    """A folder that is not there is refused by the setting that names it."""
    with pytest.raises(BundleError, match=r"There is no bundle at .*/none: .*BRINERY_BUNDLE"):
        read_bundle(tmp_path / "none")


def test_no_model(folder: Path) -> None:
    """A folder without a model is refused."""
    (folder / "model.pkl").unlink()
    with pytest.raises(BundleError, match=r"model\.pkl is missing: a bundle needs a fitted estimator"):
        read_bundle(folder)


def test_file_that_cannot_be_read(folder: Path) -> None:
    """A file that cannot be read is refused by its name and the system's reason."""
    (folder / "lookup.pkl").unlink()
    (folder / "lookup.pkl").mkdir()
    with pytest.raises(BundleError, match=rf"lookup\.pkl cannot be read: {os.strerror(21)}; check its owner and mode"):
        read_bundle(folder)


def test_files_that_are_too_large(folder: Path) -> None:
    """A file of more bytes than it may have is refused before the rest of it is read."""
    with pytest.raises(BundleError, match=r"^model\.pkl has more than 100 bytes; .*BRINERY_MAX_MODEL_BYTES"):
        read_bundle(folder, max_model_bytes=100)
    with (folder / "lookup.pkl").open("wb") as file:
        file.truncate(MAX_OTHER_BYTES + 1)
    with pytest.raises(BundleError, match=rf"^lookup\.pkl has more than {MAX_OTHER_BYTES} bytes"):
        read_bundle(folder)


def test_memory_is_asked_for_by_what_is_there(folder: Path) -> None:
    """However large a model may be, a small one needs little memory; one that is too large is not read at all."""
    tracemalloc.start()
    try:
        read_files(folder)
        with (folder / "model.pkl").open("wb") as file:
            file.truncate(2 * MAX_OTHER_BYTES)
        with pytest.raises(BundleError, match=r"^model\.pkl has more than"):
            read_files(folder, max_model_bytes=MAX_OTHER_BYTES)
        assert tracemalloc.get_traced_memory()[1] < MAX_OTHER_BYTES // 8
    finally:
        tracemalloc.stop()


def test_file_that_grows(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that has become longer since its size was looked at is refused: it may be half of a new one."""
    before = os.stat_result((0o100644, 0, 0, 1, 0, 0, 7, 0, 0, 0))
    monkeypatch.setattr("server.bundle.os.fstat", lambda _: before)
    with pytest.raises(BundleError, match=r"^model\.pkl grew while it was read; put it there in one step"):
        read_files(folder)


def test_files_that_decompress_to_too_much(folder: Path) -> None:
    """A compressed file is decompressed up to the limit and no further."""
    joblib.dump(np.zeros(100_000), folder / "model.pkl", compress=3)
    with pytest.raises(BundleError, match=r"^model\.pkl has more than 700000 bytes once it is decompressed; "):
        read_bundle(folder, max_model_bytes=700_000)


def test_all_reasons_together(folder: Path) -> None:
    """What is wrong with several files is told together."""
    for file in folder.iterdir():
        file.write_bytes(b"<html>")
    with pytest.raises(BundleError) as raised:
        read_bundle(folder)
    named = [name for reason in raised.value.reasons for name in re.findall(r"^(\w+\.\w+) ", reason)]
    assert named == ["model.pkl", "lookup.pkl", "labels.pkl", "metadata.json"]


def test_pickle_that_asks_for_too_much_memory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that asks for more memory than there is, as a damaged one may, is refused in a sentence."""

    def load(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(gate, "_load", load)
    with pytest.raises(BundleError, match="cannot be unpickled"):
        read_bundle(folder)


def test_metadata_is_read_as_it_is(folder: Path) -> None:
    """Metadata comes as the JSON that it is."""
    facts = {"name": "é", "accuracy": 0.5, "tags": ["a"], "parameters": {"a": {"minimum": 0}}}
    (folder / "metadata.json").write_text(json.dumps(facts, ensure_ascii=False), encoding="utf-8")
    assert read_bundle(folder).metadata == facts
