"""Sealed bundles, served: what is told of them, and that nothing is served that is not what was sealed."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from sklearn.linear_model import LinearRegression
from werkzeug.test import Client

from server.console.seal import seal
from server.errors import BundleError
from server.settings import Settings
from tests.api.fronts import BEFORE_ANY
from tests.api.moody import Moody
from tests.api.serving import predict, serve, serve_folder
from tests.models import ARRAY, BINARY
from tests.unit.keypairs import make_pair


class Line(LinearRegression):  # type: ignore[misc]  # scikit-learn ships no types
    """A model of a class that is on nobody's list."""


def sealed(folder: Path, **given: Any) -> Path:
    """Write and seal a bundle."""
    folder.mkdir(exist_ok=True)
    (folder / "model.pkl").write_bytes(pickle.dumps(LinearRegression().fit(ARRAY, BINARY)))
    seal(folder, Settings(bundle=folder), **given)
    return folder


def told(client: Client) -> Any:
    """Give what info says of the seal."""
    said: Any = client.get("/api/info").json
    return said["seal"]


def test_info_of_an_unsealed_bundle() -> None:
    """Without a manifest and golden requests there is nothing to tell."""
    assert told(serve(Moody())) == {"sealed": False, "signed": False, "golden_requests": 0}


def test_info_of_the_examples(example: Client) -> None:
    """All examples are sealed, and their golden requests are answered."""
    said = told(example)
    assert (said["sealed"], said["signed"]) == (True, False)
    assert said["golden_requests"] >= 4


def test_info_of_a_signed_bundle(tmp_path: Path) -> None:
    """A signature by a trusted key is told; the same one counts for nothing where no key is trusted."""
    pair = make_pair(tmp_path, "signer")
    folder = sealed(tmp_path / "bundle", key=pair.private, rows=10)
    client = serve_folder(folder, manifest="signed", trusted_keys=(pair.public,))
    assert told(client) == {"sealed": True, "signed": True, "golden_requests": 10}
    assert told(serve_folder(folder)) == {"sealed": True, "signed": False, "golden_requests": 10}


def test_golden_requests_are_what_is_answered(tmp_path: Path) -> None:
    """A caller who sends a golden request gets its answer."""
    folder = sealed(tmp_path / "bundle")
    client = serve_folder(folder)
    for case in json.loads((folder / "golden.json").read_text())["requests"]:
        answer = predict(client, case["request"])
        assert answer == pytest.approx(case["answer"], rel=1e-12, abs=1e-12)


def test_golden_requests_of_a_batch(tmp_path: Path) -> None:
    """A request may be an array, and need not fit into the limit that callers have."""
    folder = sealed(tmp_path / "bundle", rows=2)
    cases = json.loads((folder / "golden.json").read_text())["requests"]
    batch = {key: [case[key] for case in cases] for key in ("request", "answer")}
    (folder / "golden.json").write_text(json.dumps({"format": 1, "requests": [batch]}))
    (folder / "manifest.json").unlink()
    assert told(serve_folder(folder, max_rows=1)) == {"sealed": False, "signed": False, "golden_requests": 1}


@BEFORE_ANY
def test_what_a_start_logs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The line of a start tells of the seal; globals that no trusted key allows are warned of before."""
    folder = sealed(tmp_path / "bundle", allow=["my_models.Blend"], rows=5)
    serve_folder(folder, log_level="info")
    ignored, started = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (ignored["event"], ignored["level"]) == ("globals_ignored", "warning")
    assert ignored["globals"] == ["my_models.Blend"]
    assert started["event"] == "started"
    assert (started["sealed"], started["signed"], started["golden_requests"]) == (True, False, 5)


@BEFORE_ANY
def test_nothing_is_unpickled_before_it_is_verified(tmp_path: Path) -> None:
    """A pickle that is not the sealed one never runs."""
    folder, canary = sealed(tmp_path / "bundle"), tmp_path / "canary"
    code = f"cpathlib\nPath\n(V{canary}\ntRp0\n0cbuiltins\ngetattr\n(g0\nVtouch\ntR(tR."
    for name in ("model.pkl", "lookup.pkl"):
        whole = (folder / name).read_bytes() if (folder / name).exists() else None
        (folder / name).write_text(code)
        with pytest.raises(BundleError, match=name):
            serve_folder(folder)
        assert not canary.exists()
        (folder / name).unlink() if whole is None else (folder / name).write_bytes(whole)
    pickle.loads(code.encode())  # it would have run
    assert canary.exists()


@BEFORE_ANY
@pytest.mark.parametrize(
    ("name", "most"), [("manifest.json", 1_048_576), ("golden.json", 4_194_304), ("manifest.json.sig", 1_024)]
)
def test_huge_files(tmp_path: Path, name: str, most: int) -> None:
    """What is said about a bundle is not read beyond a bound."""
    folder = sealed(tmp_path / "bundle")
    (folder / name).write_bytes(b" " * (most + 1))
    with pytest.raises(BundleError, match=rf"{name} has more than {most} bytes"):
        serve_folder(folder)


@BEFORE_ANY
def test_a_trusted_signature_lets_a_pickle_name_more(tmp_path: Path) -> None:
    """A model of a class of one's own is served if its signed manifest allows that class, and not otherwise."""
    pair, name = make_pair(tmp_path, "signer"), f"{Line.__module__}.Line"
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "model.pkl").write_bytes(pickle.dumps(Line().fit(ARRAY, BINARY)))
    with pytest.raises(BundleError, match=f"model.pkl names {name}"):
        seal(folder, Settings(bundle=folder))
    seal(folder, Settings(bundle=folder), allow=[name])
    with pytest.raises(BundleError, match=f"model.pkl names {name}"):
        serve_folder(folder, trusted_keys=(pair.public,))
    seal(folder, Settings(bundle=folder), allow=[name], key=pair.private)
    with pytest.raises(BundleError, match=f"model.pkl names {name}"):
        serve_folder(folder)
    assert told(serve_folder(folder, trusted_keys=(pair.public,)))["signed"]
    assert name in json.loads((folder / "manifest.json").read_text())["globals"]["model.pkl"]
