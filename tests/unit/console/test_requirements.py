"""What `brinery requirements` prints for pip."""

import json
import pickle
from pathlib import Path

import numpy
import pytest
import sklearn

from server.__main__ import main
from server.bundle import Files
from server.console.requirements import requirements
from server.errors import BundleError
from server.manifest import make_manifest
from tests.models import estimators, settings


class Own:
    """Belongs to nobody's package."""

    def __reduce__(self) -> tuple[object, ...]:
        return print, ("this ran",)


def written(folder: Path, model: object) -> dict[str, bytes]:
    """Write a bundle of one file, and give its content."""
    content = pickle.dumps(model)
    (folder / "model.pkl").write_bytes(content)
    return {"model.pkl": content}


def seal(folder: Path, contents: dict[str, bytes], versions: dict[str, str]) -> None:
    """Write a manifest that says these releases."""
    manifest = json.loads(make_manifest(Files(folder, contents), {}, ()))
    (folder / "manifest.json").write_text(json.dumps(manifest | {"versions": versions}))


def test_what_the_model_tells(tmp_path: Path) -> None:
    """Without a manifest the model tells its scikit-learn; what else it names is a comment."""
    written(tmp_path, estimators()["binary"])
    lines = requirements(tmp_path, settings()).splitlines()
    assert [line for line in lines if not line.startswith("#")] == [f"scikit-learn=={sklearn.__version__}"]
    assert "# numpy: the model names it, and nothing tells its release" in lines


def test_what_the_manifest_tells(tmp_path: Path) -> None:
    """The manifest tells the others; of scikit-learn the model's own word counts; Python is no package of pip's."""
    contents = written(tmp_path, estimators()["binary"])
    said = {"python": "3.11.9", "brinery": "0.1.0", "scikit-learn": "1.0", "numpy": "2.3.1", "own-steps": "1.0+cpu"}
    seal(tmp_path, contents, said)
    assert requirements(tmp_path, settings()) == (
        f"# Python 3.11.9\nnumpy==2.3.1\nown-steps==1.0+cpu\nscikit-learn=={sklearn.__version__}\n"
    )


def test_sealing_writes_the_releases_down(tmp_path: Path) -> None:
    """A manifest tells the releases of what the pickles name, but for modules that nobody installed."""
    named = {"model.pkl": ["sklearn.tree._tree.Tree", "joblib.x.Y", "pandas.z", "collections.OrderedDict", "mine.Own"]}
    said = json.loads(make_manifest(Files(tmp_path, {}), named, ()))["versions"]
    assert said.keys() == {"python", "brinery", "numpy", "scikit-learn", "joblib", "pandas"}
    assert said["numpy"] == numpy.__version__


def test_nothing_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A pickle that the gate would refuse is read and not run."""
    written(tmp_path, Own())
    assert main(["requirements", str(tmp_path)]) == 0
    assert "this ran" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "versions",
    [{"numpy": "2 --index-url x"}, {"numpy": "2\n-r /etc/passwd"}, {"-r": "1"}, {"a b": "1"}, {"numpy": ""}],
    ids=["an option", "a line", "no name", "two names", "nothing"],
)
def test_nothing_else_reaches_pip(tmp_path: Path, versions: dict[str, str]) -> None:
    """A manifest cannot give pip an option, an address or another file."""
    seal(tmp_path, written(tmp_path, estimators()["binary"]), versions)
    with pytest.raises(BundleError, match="there cannot be"):
        requirements(tmp_path, settings())


@pytest.mark.parametrize("module", ["x\n--index-url=http://a.example\n", "x\r-r x", "a b", "\u2028x"])
def test_no_module_reaches_pip(tmp_path: Path, module: str) -> None:
    """What a pickle calls a module is a comment, and cannot end it."""
    name = module.encode()
    (tmp_path / "model.pkl").write_bytes(b"\x80\x04\x8c%c%b\x8c\x01X\x93." % (len(name), name))
    with pytest.raises(BundleError, match="there cannot be"):
        requirements(tmp_path, settings())


def test_what_cannot_be_read(tmp_path: Path) -> None:
    """No pickle, and a file that was changed after it was sealed, are refused."""
    contents = written(tmp_path, estimators()["binary"])
    seal(tmp_path, contents, {})
    (tmp_path / "model.pkl").write_bytes(b"nonsense")
    with pytest.raises(BundleError, match="not the file that was sealed"):
        requirements(tmp_path, settings())
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(BundleError, match="is no pickle that can be read"):
        requirements(tmp_path, settings())


def test_skops(tmp_path: Path) -> None:
    """An archive of skops tells its release too."""
    skops = pytest.importorskip("skops.io")
    skops.dump(estimators()["binary"], tmp_path / "model.skops")
    assert f"scikit-learn=={sklearn.__version__}" in requirements(tmp_path, settings()).splitlines()
