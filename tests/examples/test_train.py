"""The examples: what is committed serves, and is what one command makes of the data.

The commands run as a user runs them, each once; nothing of the server is imported.
"""

import json
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_wine

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = REPOSITORY.parent / "shared" / "data"
CITY = DATA / "police_uk_2019-01-city-of-london-street.raw.csv"
LARGEST = 1_500_000

NAMES = ["crime", "titanic", "wine", "adult", "reviews"]
SEAL = {"manifest.json", "golden.json"}
SOURCES = {
    "crime": "police_uk_street_outcome_counts.csv",
    "titanic": "titanic.csv",
    "adult": "adult_train.csv",
}
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in NAMES]


@dataclass(frozen=True)
class Retrained:
    """A bundle that a command has just written, and what the command said."""

    name: str
    folder: Path
    output: str


def committed(name: str) -> Path:
    """Return the folder of the committed bundle."""
    return REPOSITORY / "pickles" if name == "crime" else REPOSITORY / "examples" / name / "bundle"


def run(name: str, *options: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the example's command."""
    command = [sys.executable, REPOSITORY / "examples" / name / "train.py", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def script(name: str) -> dict[str, Any]:
    """Return the names that the example's script defines, without running its command."""
    return runpy.run_path(str(REPOSITORY / "examples" / name / "train.py"))


def metadata(folder: Path) -> dict[str, Any]:
    """Return the bundle's metadata, empty if it has none."""
    file = folder / "metadata.json"
    facts: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return facts


def figures(facts: dict[str, Any]) -> dict[str, float]:
    """Return what was measured: the numbers among the metadata."""
    return {key: value for key, value in facts.items() if type(value) in (int, float) and key != "version"}


def printed(output: str) -> dict[str, float]:
    """Return the figures that a command printed."""
    return {key: float(value) for key, value in re.findall(r"^(\w+): ([\d.]+)$", output, flags=re.MULTILINE)}


def documented(name: str) -> dict[str, float]:
    """Return the figures that the documentation gives for the example."""
    page = (REPOSITORY / "docs" / "examples.md").read_text(encoding="utf-8")
    section = re.split(r"^## ", page.partition(f"\n## {name}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    rows = re.findall(r"^\| `(\w+)` \| ([\d.,]+) \|", section, flags=re.MULTILINE)
    return {key: float(value.replace(",", "")) for key, value in rows}


def some_rows(name: str) -> Any:
    """Return rows as the example's model takes them."""
    if name == "crime":
        months = [1, 6, 10, 12]
        grid = [(month, force, crime) for month in months for force in range(41) for crime in range(14)]
        return pd.DataFrame(grid, columns=["month", "force", "crime"])
    if name == "titanic":
        columns = ["Pclass", "Sex", "Age", "SibSp", "Parch", "Fare", "Embarked"]
        return pd.DataFrame([[3, 1, 22.0, 1, 0, 7.25, 2], [1, 0, np.nan, 0, 2, 80.0, 0]], columns=columns)
    if name == "wine":
        return load_wine(as_frame=True).data.drop(columns="alcohol")
    if name == "adult":
        sample: dict[str, list[Any]] = {
            "age": [39.0, 52.0, 1e300],
            "workclass": ["State-gov", np.nan, "Self-emp-inc"],
            "fnlwgt": [77516.0, 287927.0, np.nan],
            "education": ["Bachelors", "HS-grad", "not a label"],
            "education_num": [13.0, 9.0, -1e300],
            "marital_status": ["Never-married", "Married-civ-spouse", "Divorced"],
            "occupation": ["Adm-clerical", "Exec-managerial", np.nan],
            "relationship": ["Not-in-family", "Wife", "Unmarried"],
            "race": ["White", "Black", "Other"],
            "sex": ["Male", "Female", "Female"],
            "capital_gain": [2174.0, 15024.0, 0.0],
            "capital_loss": [0.0, 0.0, 0.0],
            "hours_per_week": [40.0, 45.0, 20.0],
            "native_country": ["United-States", "Jamaica", np.nan],
        }
        return pd.DataFrame(sample).astype({key: "object" for key, of in sample.items() if type(of[0]) is str})
    return [
        "The kettle is not bad at all and I use it every day.",
        "A lamp.",
        "What a useless radio, avoid it!",
        "",
    ]


def answers(folder: Path, name: str) -> Any:
    """Return what the bundle's model says of some rows."""
    model = joblib.load(folder / "model.pkl")
    return (model.predict if name == "wine" else model.predict_proba)(some_rows(name))


def leaves(value: Any) -> Iterator[Any]:
    """Yield every value in nested mappings and lists, keys included."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner)
    else:
        yield value


@pytest.fixture(scope="module")
def retrained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Retrained:
    """Run an example's command on its own data; skip where these are absent."""
    name = request.param
    if name in SOURCES and not (DATA / SOURCES[name]).exists():
        pytest.skip(f"{SOURCES[name]} is not beside the repository")
    folder = tmp_path_factory.mktemp(name)
    done = run(name, "--out", folder)
    assert done.returncode == 0, done.stderr
    return Retrained(name, folder, done.stdout)


@pytest.mark.parametrize("name", NAMES)
def test_committed_bundle_is_small(name: str) -> None:
    """No file of a committed bundle is larger than a repository likes."""
    sizes = {file.name: file.stat().st_size for file in committed(name).iterdir()}
    assert "model.pkl" in sizes
    assert max(sizes.values()) < LARGEST


@pytest.mark.parametrize("name", NAMES)
def test_committed_bundle_predicts(name: str) -> None:
    """A committed bundle loads without a warning and gives finite answers, one per row."""
    said = answers(committed(name), name)
    assert len(said) == len(some_rows(name))
    assert np.isfinite(said).all()
    if name != "wine":
        np.testing.assert_allclose(said.sum(axis=1), 1.0, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_committed_files_agree(name: str) -> None:
    """Lookup, metadata and labels name the model's columns and outputs, in plain Python types only."""
    folder = committed(name)
    model = joblib.load(folder / "model.pkl")
    columns = list(getattr(model, "feature_names_in_", ["review"]))
    described = metadata(folder).get("parameters")
    assert described is None or list(described) == columns
    if (folder / "lookup.pkl").exists():
        lookup = joblib.load(folder / "lookup.pkl")
        assert list(lookup) == columns
        assert {type(leaf) for leaf in leaves(lookup)} <= {str, int}
    if (folder / "labels.pkl").exists():
        labels = joblib.load(folder / "labels.pkl")
        assert len(labels) == len(getattr(model, "classes_", ["value"]))
        assert {type(label) for label in labels} == {str}


def test_adult_is_one_file() -> None:
    """The adult bundle is a model and its seal: the pipeline knows columns, labels and classes."""
    assert {file.name for file in committed("adult").iterdir()} - SEAL == {"model.pkl"}


@pytest.mark.parametrize("name", NAMES)
def test_committed_bundle_is_sealed(name: str) -> None:
    """A committed bundle has a manifest that lists all of its files, and golden requests."""
    folder = committed(name)
    there = {file.name for file in folder.iterdir()}
    assert there >= SEAL
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert set(manifest["files"]) == there - {"manifest.json"}
    golden = json.loads((folder / "golden.json").read_text(encoding="utf-8"))
    assert len(golden["requests"]) >= 4  # of a free text there is little to draw


def test_every_outcome_of_the_site_is_decided() -> None:
    """The table of outcomes has both answers, and takes a crime without an outcome for not caught."""
    caught = script("crime")["CAUGHT"]
    assert caught[""] is False
    assert caught["Offender sent to prison"] is True
    assert {type(answer) for answer in caught.values()} == {bool}


@pytest.mark.parametrize("name", [name for name in NAMES if name != "adult"])
def test_documented_figures(name: str) -> None:
    """The documentation gives every figure as the committed metadata has it."""
    measured = figures(metadata(committed(name)))
    assert documented(name) == pytest.approx(measured, abs=5e-5)


@pytest.mark.parametrize("name", SOURCES)
def test_absent_data(name: str, tmp_path: Path) -> None:
    """Without data a command ends with one sentence that names the path and says where to get them."""
    done = run(name, "--data", tmp_path / "absent.csv", "--out", tmp_path)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert str(tmp_path / "absent.csv") in done.stderr
    assert script(name)["WHERE"] in done.stderr


def test_undecided_outcome(tmp_path: Path) -> None:
    """An outcome that nobody has decided about stops the crime example with a sentence that names it."""
    street = tmp_path / "2030-01-kent-street.csv"
    header = "Month,Reported by,Crime type,Last outcome category"
    street.write_text(f"{header}\n2030-01,Kent Police,Drugs,Offender sent to Mars\n", encoding="utf-8")
    done = run("crime", "--data", street, "--out", tmp_path)
    assert done.returncode == 1
    assert "Offender sent to Mars" in done.stderr.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.skipif(not CITY.exists(), reason=f"{CITY.name} is not beside the repository")
@pytest.mark.parametrize("as_folder", [False, True], ids=["file", "folder"])
def test_crime_reads_the_site_layout(tmp_path: Path, as_folder: bool) -> None:
    """The crime example trains on files as data.police.uk publishes them, one by one or a folder of them."""
    month = tmp_path / "data" / "2019-01"
    month.mkdir(parents=True)
    street = month / "2019-01-city-of-london-street.csv"
    street.write_bytes(CITY.read_bytes())
    done = run("crime", "--data", tmp_path / "data" if as_folder else street, "--out", tmp_path / "bundle")
    assert done.returncode == 0, done.stderr
    facts = metadata(tmp_path / "bundle")
    assert facts["training_rows"] + facts["held_out_rows"] == 617
    assert list(joblib.load(tmp_path / "bundle" / "lookup.pkl")["force"]) == ["City of London Police"]


@pytest.mark.parametrize("retrained", SLOW, indirect=True)
def test_retraining_gives_the_same_files(retrained: Retrained) -> None:
    """The command writes the committed files, with the same lookup and labels."""
    folder = committed(retrained.name)
    assert {file.name for file in retrained.folder.iterdir()} == {file.name for file in folder.iterdir()}
    for name in ("lookup.pkl", "labels.pkl"):
        if (folder / name).exists():
            assert joblib.load(retrained.folder / name) == joblib.load(folder / name)


@pytest.mark.parametrize("retrained", SLOW, indirect=True)
def test_retraining_gives_the_same_figures(retrained: Retrained) -> None:
    """The figures measured anew are those of the committed metadata; adult's stand in the documentation."""
    measured = printed(retrained.output)
    assert measured == pytest.approx(documented(retrained.name), abs=1e-3)
    if facts := figures(metadata(committed(retrained.name))):
        assert measured == pytest.approx(facts, abs=1e-3)


@pytest.mark.parametrize("retrained", SLOW, indirect=True)
def test_retraining_gives_the_same_model(retrained: Retrained) -> None:
    """The model trained anew answers as the committed one does."""
    expected = answers(committed(retrained.name), retrained.name)
    np.testing.assert_allclose(answers(retrained.folder, retrained.name), expected, rtol=0, atol=1e-9)
