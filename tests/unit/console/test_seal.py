"""`brinery seal`: what it writes, what it keeps, and what it refuses."""

import json
import pickle
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression

from server.application import prepare
from server.bundle import read_files
from server.console.check import check
from server.console.seal import seal
from server.errors import BundleError, FileError
from server.settings import Settings
from tests.models import ARRAY, BINARY, Estimator, estimators, pipeline, settings
from tests.unit.keypairs import make_pair


def written(folder: Path, estimator: Estimator) -> Path:
    """Write a bundle of one file."""
    folder.mkdir(exist_ok=True)
    joblib.dump(estimator, folder / "model.pkl")
    return folder


def golden(folder: Path) -> Any:
    """Read the golden requests."""
    return json.loads((folder / "golden.json").read_text())


def sealed_line(folder: Path, made: Settings) -> str:
    """Give what `check` says of the seal."""
    return next(line.strip() for line in check(folder, made).splitlines() if line.startswith("  sealed"))


@pytest.mark.parametrize("name", estimators())
def test_every_form_of_answer(tmp_path: Path, name: str) -> None:
    """A bundle of any estimator is sealed, with the estimator's own answers, and is accepted afterwards."""
    said = seal(written(tmp_path, estimators()[name]), settings())
    count = len(golden(tmp_path)["requests"])
    assert said == f"{tmp_path} is sealed, not signed: golden.json, model.pkl; {count} golden requests.\n"
    assert count >= 10
    for made in (settings(manifest="required"), settings(manifest="required", engine="pickle")):
        prepared = prepare(made, read_files(tmp_path))
        assert (prepared.seal.sealed, prepared.seal.signed, len(prepared.golden.cases)) == (True, False, count)


def test_answers_are_the_estimators(tmp_path: Path) -> None:
    """Each answer is what the estimator itself says of that row, to the last digit."""
    model = RandomForestRegressor(5, random_state=0).fit(ARRAY, ARRAY.sum(axis=1) / 3)
    seal(written(tmp_path, model), settings(), rows=20)
    cases = golden(tmp_path)["requests"]
    assert len(cases) == 20
    for case in cases:
        assert case["answer"] == {"prediction": model.predict([list(case["request"].values())])[0]}


def test_sealing_again_gives_the_same_bytes(tmp_path: Path) -> None:
    """The same bundle is sealed alike, and its digest is that of the bundle before."""
    folder = written(tmp_path, pipeline())
    unsealed = check(folder, settings()).splitlines()[2]
    seal(folder, settings())
    first = {file.name: file.read_bytes() for file in folder.iterdir()}
    seal(folder, settings())
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == first
    seal(folder, settings(), rows=50)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == first
    assert check(folder, settings()).splitlines()[2] == unsealed
    assert set(first) == {"model.pkl", "golden.json", "manifest.json"}


def test_given_requests_are_kept(tmp_path: Path) -> None:
    """A golden.json of the trainer's own stays as it is, and is covered by the manifest."""
    folder = written(tmp_path, LinearRegression().fit(ARRAY, BINARY))
    seal(folder, settings(), rows=3)
    own = json.dumps({"format": 1, "requests": golden(folder)["requests"][:2]}).encode()
    (folder / "golden.json").write_bytes(own)
    assert "2 golden requests" in seal(folder, settings())
    assert (folder / "golden.json").read_bytes() == own
    assert "golden.json" in json.loads((folder / "manifest.json").read_text())["files"]


def test_given_requests_must_hold(tmp_path: Path) -> None:
    """Requests of a model that is no more stop the sealing before anything is written; new ones may be asked for."""
    folder = written(tmp_path, LinearRegression().fit(ARRAY, BINARY))
    seal(folder, settings())
    written(tmp_path, LinearRegression().fit(ARRAY, BINARY * 2.0))
    before = (folder / "manifest.json").read_bytes()
    with pytest.raises(BundleError, match=r"golden\.json: request 0 .* is answered otherwise: prediction is .*drift"):
        seal(folder, settings())
    assert (folder / "manifest.json").read_bytes() == before
    seal(folder, settings(), rows=50)
    assert "yes" in sealed_line(folder, settings())


ROWS = {
    "rows.json": '[{"force": "Kent", "month": 3}, {"force": "Essex", "month": 1}]',
    "rows.jsonl": '{"force": "Kent", "month": 3}\n{"force": "Essex", "month": 1}\n',
    "rows.csv": "force,month\nKent,3\nEssex,1\n",
}


@pytest.mark.parametrize("name", ROWS)
def test_requests_from_a_file(tmp_path: Path, name: str) -> None:
    """Requests come from a file as `predict` reads it, in their order."""
    (tmp_path / name).write_text(ROWS[name])
    folder = written(tmp_path / "bundle", pipeline())
    seal(folder, settings(), rows_file=str(tmp_path / name))
    requests = [case["request"] for case in golden(folder)["requests"]]
    assert requests == [{"force": "Kent", "month": 3}, {"force": "Essex", "month": 1}]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("[]", "has no rows"),
        ('[{"force": "Kent"}]', r"Row 0 .* is refused: month is missing"),
        (json.dumps([{"force": "Kent", "month": 1}] * 1_001), "has too many rows; give from 1 to 1000"),
    ],
    ids=["none", "refused", "too many"],
)
def test_files_of_requests_that_cannot_be_used(tmp_path: Path, content: str, why: str) -> None:
    """A file without rows, with too many, or with one that is refused is told, and nothing is written."""
    (tmp_path / "rows.json").write_text(content)
    folder = written(tmp_path / "bundle", pipeline())
    with pytest.raises(FileError, match=why):
        seal(folder, settings(), rows_file=str(tmp_path / "rows.json"))
    assert [file.name for file in folder.iterdir()] == ["model.pkl"]


def test_signing(tmp_path: Path) -> None:
    """With a key the manifest is signed; sealing without one takes the old signature away."""
    pair = make_pair(tmp_path, "signer")
    folder = written(tmp_path / "bundle", pipeline())
    demanding = settings(manifest="signed", trusted_keys=(pair.public,))
    with pytest.raises(BundleError, match=r"manifest\.json is missing"):
        check(folder, demanding)
    assert "signed with" in seal(folder, demanding, key=pair.private)
    assert sealed_line(folder, demanding).startswith("sealed      yes, and signed by a trusted key")
    assert sealed_line(folder, settings()).startswith("sealed      yes, not signed")
    seal(folder, demanding)
    with pytest.raises(BundleError, match=r"manifest\.json is not signed"):
        check(folder, demanding)


def test_allowed_globals(tmp_path: Path) -> None:
    """Exact names of globals go into the manifest; what is none is refused; `check` says that they are ignored."""
    folder = written(tmp_path, pipeline())
    seal(folder, settings(), allow=["my_models.blend.Blend"])
    assert json.loads((folder / "manifest.json").read_text())["allowed_globals"] == ["my_models.blend.Blend"]
    assert "the manifest allows my_models.blend.Blend, which counts only if a trusted key" in check(folder, settings())
    for name in ("Blend", "my_models.*", "os.system()", ""):
        with pytest.raises(FileError, match=r"--allow is .*; expected the exact name"):
            seal(folder, settings(), allow=[name])


def test_the_globals_of_a_pickle_are_named(tmp_path: Path) -> None:
    """A manifest names what each pickle refers to, compressed ones too."""
    (tmp_path / "lookup.pkl").write_bytes(pickle.dumps({"x0": np.float64(0), "x1": 0}))
    joblib.dump(estimators()["binary"], tmp_path / "model.pkl", compress=("xz", 3))
    seal(tmp_path, settings())
    named = json.loads((tmp_path / "manifest.json").read_text())["globals"]
    assert "sklearn.tree._classes.DecisionTreeClassifier" in named["model.pkl"]
    assert "numpy.dtype" in named["lookup.pkl"]


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a file cannot be written, it is named."""

    def fail(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    folder = written(tmp_path, pipeline())
    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(FileError, match=r"golden\.json cannot be written: Permission denied"):
        seal(folder, settings())
