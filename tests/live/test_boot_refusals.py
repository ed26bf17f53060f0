"""What cannot be served never half starts: it ends at once with one sentence."""

import json
import pickle
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from tests.live.bundles import small_classifier, write_bundle
from tests.live.running import BIN, PATIENCE, Program, Server, environ_with, free_port

pytestmark = pytest.mark.live

NUMBERS = {"x0": 0, "x1": 0}


@dataclass(frozen=True)
class Refusal:
    """A bundle that cannot be served: how it is made, and what the sentence must say."""

    make: Callable[[Path], object]
    says: tuple[str, ...]


def classifier_on_colours() -> Any:
    """Fit a pipeline whose encoder saw the codes 0 and 1, and refuses others."""
    X = pd.DataFrame({"colour": [0, 1, 0, 1], "size": [1.0, 2.0, 3.0, 4.0]})
    encoder = make_column_transformer((OneHotEncoder(), ["colour"]), remainder="passthrough")
    return make_pipeline(encoder, LogisticRegression()).fit(X, [0, 1, 0, 1])


def of_another_version(folder: Path) -> None:
    """Write a model that says that scikit-learn 1.2.3 pickled it."""
    pickled = pickle.dumps(small_classifier())
    ours = sklearn.__version__.encode()
    assert b"_sklearn_version" in pickled
    other = b"1.2.3".ljust(len(ours), b"4")[: len(ours)]
    folder.mkdir()
    (folder / "model.pkl").write_bytes(pickled.replace(ours, other))


def without_a_module(folder: Path) -> None:
    """Write a model of a class that is not installed here."""
    folder.mkdir()
    (folder / "model.pkl").write_bytes(b"cno_such_module\nModel\n.")


def file_instead_of_model(content: bytes) -> Callable[[Path], None]:
    """Make a writer of a bundle whose model is these bytes."""

    def write(folder: Path) -> None:
        folder.mkdir()
        (folder / "model.pkl").write_bytes(content)

    return write


def folder_instead_of(name: str) -> Callable[[Path], None]:
    """Make a writer of a bundle in which a folder stands for a file: root may read any file."""

    def write(folder: Path) -> None:
        write_bundle(folder, small_classifier())
        (folder / name).unlink(missing_ok=True)
        (folder / name).mkdir()

    return write


def with_metadata(content: object) -> Callable[[Path], None]:
    """Make a writer of a bundle with this metadata."""

    def write(folder: Path) -> None:
        write_bundle(folder, small_classifier())
        (folder / "metadata.json").write_text(content if isinstance(content, str) else json.dumps(content))

    return write


def with_pickles(**others: object) -> Callable[[Path], object]:
    """Make a writer of a bundle of the small classifier and these pickles."""
    return lambda folder: write_bundle(folder, small_classifier(), **others)


BUNDLES = {
    "no folder": Refusal(lambda _: None, ("no bundle", "model.pkl", "BRINERY_BUNDLE")),
    "empty folder": Refusal(lambda folder: folder.mkdir(), ("model.pkl", "missing")),
    "unreadable model": Refusal(folder_instead_of("model.pkl"), ("model.pkl", "cannot be read")),
    "corrupted model": Refusal(file_instead_of_model(b"\x80\x04not a pickle"), ("model.pkl", "cannot be unpickled")),
    "truncated model": Refusal(
        file_instead_of_model(pickle.dumps(small_classifier())[:-100]), ("model.pkl", "cannot be unpickled")
    ),
    "a class of its own": Refusal(
        without_a_module, ("model.pkl", "no_such_module.Model", "not on the list", "BRINERY_ALLOWED_GLOBALS")
    ),
    "another scikit-learn": Refusal(
        of_another_version, ("model.pkl", "scikit-learn 1.2.3", sklearn.__version__, "BRINERY_VERSION_MISMATCH=warn")
    ),
    "not fitted": Refusal(
        lambda folder: write_bundle(folder, LogisticRegression()), ("LogisticRegression", "not fitted", "fit")
    ),
    "no prediction": Refusal(
        lambda folder: write_bundle(folder, PCA(1).fit(np.eye(3))), ("PCA", "predict", "cannot be served")
    ),
    "lookup that is no mapping": Refusal(with_pickles(lookup=["x0", "x1"]), ("lookup.pkl", "list", "mapping")),
    "lookup of other names": Refusal(
        lambda folder: write_bundle(folder, classifier_on_colours(), lookup={"colour": {"red": 0}, "weight": 0}),
        ("lookup.pkl", "weight", "size"),
    ),
    "lookup with too few names": Refusal(with_pickles(lookup={"x0": 0}), ("lookup.pkl", "2")),
    "a code that was never seen": Refusal(
        lambda folder: write_bundle(
            folder, classifier_on_colours(), lookup={"colour": {"red": 0, "blue": 7}, "size": 0}
        ),
        ("lookup.pkl", "colour", "7"),
    ),
    "too many labels": Refusal(with_pickles(labels=["no", "maybe", "yes"]), ("labels.pkl", "3", "2")),
    "metadata that is no JSON": Refusal(with_metadata("{"), ("metadata.json", "JSON")),
    "a parameter that is not there": Refusal(with_metadata({"parameters": {"height": {}}}), ("height",)),
    "a multiple that is no integer": Refusal(
        with_metadata({"parameters": {"x0": {"multipleOf": 0.5}}}), ("multipleOf", "x0", "integer")
    ),
    "two things at once": Refusal(
        with_metadata({"name": 7, "parameters": {"height": {}}}), ("metadata.json", "name", "height")
    ),
}
# The others are told in the same way, after another check.
BASIC = {
    "no folder",
    "unreadable model",
    "corrupted model",
    "another scikit-learn",
    "not fitted",
    "lookup that is no mapping",
    "lookup of other names",
    "a code that was never seen",
    "too many labels",
    "two things at once",
}
SETTINGS = {
    "port": ("many", "a whole number"),
    "workers": ("0", "a whole number"),
    "threads": ("-1", "a whole number"),
    "max_rows": ("1.5", "a whole number"),
    "max_body_bytes": ("1e6", "a whole number"),
    "unknown_fields": ("maybe", "`refuse` or `ignore`"),
    "version_mismatch": ("ask", "`refuse` or `warn`"),
    "allowed_globals": ("mine.*", "package.module.Name"),
    "max_model_bytes": ("4 GiB", "a whole number"),
    "log_format": ("xml", "`json` or `console`"),
    "log_level": ("loud", "`debug`"),
    "access_log": ("perhaps", "`true` or `false`"),
    "root_path": ("crime", "/crime-65"),
    "cors_origins": ("app.example", "https://"),
    "deadline": ("soon", "seconds"),
    "drain_delay": ("nan", "seconds"),
    "front": ("uwsgi", "`wsgi`"),
    "bundle": ("", "a folder"),
}


def check_refusal(*options: str | Path, **settings: object) -> str:
    """Start the server, see that it ends in time without ever having listened, and give the line that it wrote."""
    port = free_port()
    environ = environ_with({"host": "127.0.0.1", "port": port, "workers": 2, **settings})
    start = time.monotonic()
    with Program(BIN / "brinery", "serve", *options, environ=environ) as program:
        while program.process.poll() is None:
            with socket.socket() as probe:
                assert probe.connect_ex(("127.0.0.1", port)) != 0, "it listened"
            try:
                program.process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
        took = time.monotonic() - start
        assert program.wait() not in (0, None)
        assert took < PATIENCE
        assert "Traceback" not in program.said
        assert program.out == []
        assert len(program.err) == 1, program.said
        assert not list(program.scratch.iterdir()), "files were left behind"
        return program.err[0]


@pytest.fixture(scope="module")
def refused(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[str]]]:
    """Give the line that each bundle ends with; they start two at a time, so that two processors have work."""
    folder = tmp_path_factory.mktemp("refused")

    def attempt(name: str) -> str:
        BUNDLES[name].make(folder / name)
        return check_refusal(bundle=folder / name)

    selected = [
        name
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.originalname == test_bundle.__name__
        for name in BUNDLES
        if item.callspec.params["bundle"] == name
    ]
    with ThreadPoolExecutor(2) as pool:
        yield {name: pool.submit(attempt, name) for name in selected}


@pytest.mark.parametrize(
    "bundle", [pytest.param(name, marks=[] if name in BASIC else pytest.mark.slow) for name in BUNDLES]
)
def test_bundle(bundle: str, refused: dict[str, Future[str]]) -> None:
    """A bundle that cannot be served ends the start with a sentence that says why."""
    line = refused[bundle].result()
    assert line.startswith("brinery: ")
    assert line.endswith(".")
    for part in BUNDLES[bundle].says:
        assert part in line


@pytest.mark.parametrize("name", SETTINGS)
def test_setting(name: str) -> None:
    """A setting that cannot be read ends the start with its variable, its value and what was expected."""
    value, expected = SETTINGS[name]
    line = check_refusal(**{name: value})
    assert line.startswith(f"brinery: BRINERY_{name.upper()} is {value!r}; expected ")
    assert expected in line


def test_option() -> None:
    """An option that cannot be read is refused like its variable."""
    assert "expected a whole number" in check_refusal("--workers", "many")


def test_what_is_wrong_with_settings_is_told_at_once() -> None:
    """Settings are read before what takes long to import, which would be imported twice over if they are good."""
    environ = environ_with({"workers": "many"}) | {"PYTHONPROFILEIMPORTTIME": "1"}
    with Program(BIN / "brinery", "serve", environ=environ) as program:
        assert program.wait() == 1
        imported = {line.rpartition("|")[2].strip() for line in program.err if line.startswith("import time:")}
    assert "server.settings" in imported
    assert imported.isdisjoint({"numpy", "pandas", "scipy", "sklearn", "flask", "gunicorn"})


def test_unknown_setting() -> None:
    """A variable with our prefix that is no setting, a misspelt one say, ends the start with its name."""
    assert "BRINERY_WROKERS is not a setting" in check_refusal(wrokers=2)


def test_another_version_may_be_tried(tmp_path: Path) -> None:
    """A model of another scikit-learn is served where a setting says so."""
    of_another_version(tmp_path / "bundle")
    with Server(bundle=tmp_path / "bundle", version_mismatch="warn") as server:
        assert server.request("POST", "/api/predict", {"x0": 3, "x1": 3}).status == 200
        assert server.request("GET", "/api/info").json["model"]["sklearn_version"].startswith("1.2.3")
