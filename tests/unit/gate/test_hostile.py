"""Nothing of a hostile file runs, whichever file of the bundle it is."""

import os
import pickle
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.bundle import Files, load
from server.errors import BundleError
from server.gate import Gate, gate_of_data, gate_of_model
from tests.models import tree
from tests.unit.gate.hostile import files

CANARY = Path(tempfile.gettempdir()) / f"brinery-canary-{os.getpid()}"
FILES = files(CANARY)


@pytest.fixture(autouse=True)
def canary() -> Iterator[Path]:
    """Give the file that nothing may make, and take it away for the next test."""
    yield CANARY
    CANARY.unlink(missing_ok=True)


@pytest.mark.parametrize("file", ["model.pkl", "lookup.pkl", "labels.pkl"])
@pytest.mark.parametrize("name", FILES)
def test_hostile_files(tmp_path: Path, canary: Path, name: str, file: str) -> None:
    """It is refused in one line that names the file, before anything of it runs."""
    contents = {"model.pkl": pickle.dumps(tree()), file: FILES[name]}
    with pytest.raises(BundleError) as caught:
        load(Files(tmp_path, contents))
    assert not canary.exists()
    assert len(caught.value.reasons) == 1
    text = str(caught.value)
    assert text.startswith(f"{file} ")
    assert text.isprintable()
    assert str(tmp_path) not in text
    assert len(text) < 800


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(
            b"cos\nsystem\n.",
            "model.pkl names os.system, which is not on the list of what a model may hold; if you trust it, add it to "
            "BRINERY_ALLOWED_GLOBALS.",
            id="one",
        ),
        pytest.param(
            b"".join(b"ca\nf%d\n" % each for each in range(9)) + b".",
            "model.pkl names a.f0, a.f1, a.f2, a.f3, a.f4 and 4 more, which are not on the list of what a model may "
            "hold; if you trust them, add them to BRINERY_ALLOWED_GLOBALS.",
            id="nine",
        ),
        pytest.param(
            b"cos\nsys tem\\x00\n.",
            "model.pkl names 'os.sys tem\\\\x00', which is not on the list of what a model may hold; if you trust it, "
            "add it to BRINERY_ALLOWED_GLOBALS.",
            id="one that is no name",
        ),
        pytest.param(
            b"ca\nf\nc__main__\nScaler\n.",
            "model.pkl names __main__.Scaler, which was defined in the script that wrote the file, and can be imported "
            "by no other program; move it to a module of a package that is installed beside Brinery, import it from "
            "there, and export the model again.",
            id="one of a script",
        ),
    ],
)
def test_what_is_told_of_a_model(content: bytes, message: str) -> None:
    """The globals are named, and the setting that would allow them; for those of a script there is none."""
    assert refusal(gate_of_model("model.pkl"), content) == message


def test_what_is_told_of_lookup_and_labels() -> None:
    """There is no setting for these: it is said what they are written with."""
    assert refusal(gate_of_data("lookup.pkl"), b"csklearn.svm._classes\nSVC\n.") == (
        "lookup.pkl names sklearn.svm._classes.SVC, which is not on the list of what it may hold: Python's own types "
        "and numpy's scalars and arrays; write it again with these."
    )


def test_what_is_told_of_a_listed_one() -> None:
    """A listed global that is used otherwise than it is written is named, too."""
    assert refusal(gate_of_model("model.pkl"), b"csklearn.svm._classes\nSVC\n(tR.") == (
        "model.pkl uses sklearn.svm._classes.SVC in a way in which neither pickle nor joblib writes it: it may be an "
        "attack; if it is your own, export it again."
    )


def refusal(gate: Gate, content: bytes) -> str:
    """Give what is said of a refused file."""
    with pytest.raises(BundleError) as caught:
        gate.refuse(gate.judge(content))
    return str(caught.value)
