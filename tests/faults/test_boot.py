"""Faults at a first start: what is not whole, or answers otherwise, never serves.

That a model of another scikit-learn is refused with both versions named stands in `tests/live/test_boot_refusals.py`.
"""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from tests.live.bundles import write_bundle
from tests.live.running import BIN, Program, Server, bundle_of, environ_with
from tests.live.test_boot_refusals import check_refusal, of_another_version

pytestmark = pytest.mark.live

SEAL = ("manifest.json", "golden.json")


def truncate(content: bytes) -> bytes:
    """Keep the first half."""
    return content[: len(content) // 2]


def flip(content: bytes) -> bytes:
    """Flip one bit in the middle."""
    place = len(content) // 2
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def html(_: bytes) -> bytes:
    """Give what a store answers instead of a file."""
    return b"<!doctype html><title>404 Not Found</title>"


def linear(folder: Path, slope: float = 2.0) -> Path:
    """Write a bundle of a regression with this slope."""
    x = np.arange(6.0).reshape(-1, 1)
    return write_bundle(folder, LinearRegression().fit(x, slope * x.ravel() + 1.0))


def brinery(*arguments: str | Path, **settings: object) -> str:
    """Run the console script to a good end; give what it printed."""
    with Program(BIN / "brinery", *arguments, environ=environ_with(settings)) as program:
        assert program.wait() == 0, program.said
        return "\n".join(program.out)


def list_again(folder: Path, name: str) -> None:
    """Write a file's new digest into the manifest, as whoever changes both would."""
    manifest = json.loads((folder / "manifest.json").read_text())
    content = (folder / name).read_bytes()
    manifest["files"][name] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.fixture
def crime(tmp_path: Path) -> Path:
    """A copy of the default bundle, which is sealed."""
    return Path(shutil.copytree(bundle_of("crime"), tmp_path / "crime"))


@pytest.mark.parametrize("is_sealed", [True, False], ids=["sealed", "unsealed"])
@pytest.mark.parametrize("damage", [truncate, flip, html], ids=lambda damage: str(damage.__name__))
def test_corrupt_model_at_boot(crime: Path, damage: Callable[[bytes], bytes], is_sealed: bool) -> None:
    """A damaged model ends the start with a line that names it; sealed, before anybody looks into it."""
    for name in () if is_sealed else SEAL:
        (crime / name).unlink()
    model = crime / "model.pkl"
    model.write_bytes(damage(model.read_bytes()))
    line = check_refusal(bundle=crime)
    assert "model.pkl " in line
    assert ("is not the file that was sealed" in line) == is_sealed


def test_the_exit_status_of_a_broken_seal(crime: Path) -> None:
    """A changed file that is no pickle is seen too, named with both digests, and the status is 3."""
    metadata = crime / "metadata.json"
    metadata.write_text(metadata.read_text().replace("1", "2", 1))
    with Program(BIN / "brinery", "serve", environ=environ_with({"bundle": crime, "workers": 1})) as program:
        assert program.wait() == 3
        (line,) = program.err
    assert line.startswith("brinery: metadata.json is not the file that was sealed: it has ")
    assert line.count("SHA-256") == 2


@pytest.mark.slow
def test_a_sealed_bundle_starts(tmp_path: Path) -> None:
    """A bundle that was just sealed serves where a manifest is required, and says so; an unsealed one does not."""
    folder = linear(tmp_path / "bundle")
    assert "BRINERY_MANIFEST is 'required'" in check_refusal(bundle=folder, manifest="required")
    assert "50 golden requests" in brinery("seal", folder)
    with Server(bundle=folder, manifest="required") as server:
        server.wait_for_event("started", sealed=True, signed=False, golden_requests=50)
        said = server.request("GET", "/api/info").json["seal"]
        assert said == {"sealed": True, "signed": False, "golden_requests": 50}


@pytest.mark.slow
def test_another_model_under_the_old_answers(tmp_path: Path) -> None:
    """A model that answers otherwise than its golden requests is refused, with both numbers and both releases."""
    folder = linear(tmp_path / "bundle")
    brinery("seal", folder)
    linear(folder, slope=2.0000001)
    list_again(folder, "model.pkl")
    line = check_refusal(bundle=folder)
    for part in ("golden.json: request ", "prediction is ", "expected ", "Numeric drift: made by scikit-learn "):
        assert part in line


@pytest.mark.slow
@pytest.mark.parametrize("is_sealed", [True, False], ids=["sealed", "unsealed"])
def test_the_last_bit_of_a_forest(crime: Path, is_sealed: bool) -> None:
    """A forest must give the very doubles of its golden answers, which are heeded without a manifest too."""
    golden: Any = json.loads((crime / "golden.json").read_text())
    answer = golden["requests"][7]["answer"]
    answer["caughtProb"] = float(np.nextafter(answer["caughtProb"], 1.0))
    (crime / "golden.json").write_text(json.dumps(golden))
    if is_sealed:
        list_again(crime, "golden.json")
    else:
        (crime / "manifest.json").unlink()
    line = check_refusal(bundle=crime)
    assert "golden.json: request 7 (the first is 0) is answered otherwise: caughtProb is " in line
    assert f"expected {answer['caughtProb']!r}" in line


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_signed_bundles_by_openssl(tmp_path: Path) -> None:
    """Keys of openssl's sign a bundle, by Brinery or by openssl alike; a signature by another key is refused."""

    def sh(command: str) -> None:
        subprocess.run(["sh", "-ec", command], cwd=tmp_path, check=True, capture_output=True)

    for name in ("signer", "other"):  # as docs/operations.md has it
        sh(f"openssl genpkey -algorithm ed25519 -out {name}.pem && chmod 600 {name}.pem")
        sh(f"openssl pkey -in {name}.pem -pubout -out {name}.pub.pem")
    folder, key = linear(tmp_path / "bundle"), tmp_path / "signer.pub.pem"
    demands: dict[str, Any] = {"bundle": folder, "manifest": "signed", "trusted_keys": key}

    brinery("seal", folder)
    assert "manifest.json is not signed" in check_refusal(**demands)
    sh("{ printf 'brinery manifest 1\\n'; cat bundle/manifest.json; } > signed")
    sh("openssl pkeyutl -sign -rawin -inkey signer.pem -in signed | base64 -w 0 > bundle/manifest.json.sig")
    by_openssl = (folder / "manifest.json.sig").read_text()
    with Server(**demands) as server:
        server.wait_for_event("started", sealed=True, signed=True)
    brinery("seal", folder, "--key", tmp_path / "signer.pem")
    assert (folder / "manifest.json.sig").read_text().strip() == by_openssl

    brinery("seal", folder, "--key", tmp_path / "other.pem")
    assert "manifest.json.sig is no signature under this manifest.json" in check_refusal(**demands)
    both = f"{key},{tmp_path / 'other.pub.pem'}"
    assert "yes, and signed by a trusted key" in brinery("check", folder, manifest="signed", trusted_keys=both)


def test_signatures_without_keys() -> None:
    """A demand that nobody could meet is refused before the bundle is read."""
    assert "BRINERY_MANIFEST=signed needs a key" in check_refusal(manifest="signed")


@pytest.mark.slow
def test_a_key_that_cannot_be_used(tmp_path: Path) -> None:
    """A trusted key that is none ends the start with a line that names the setting and the file."""
    key = tmp_path / "key.pem"
    assert "BRINERY_TRUSTED_KEYS names key.pem, which cannot be read" in check_refusal(trusted_keys=key)
    key.write_text("no key")
    line = check_refusal(trusted_keys=key)
    assert line.startswith("brinery: BRINERY_TRUSTED_KEYS names key.pem, which holds something else than Ed25519")


@pytest.mark.slow
def test_version_mismatch_is_warned_of(tmp_path: Path) -> None:
    """A model of another scikit-learn that is served as asked is warned of, with both versions."""
    of_another_version(tmp_path / "bundle")
    with Server(bundle=tmp_path / "bundle", version_mismatch="warn") as server:
        event = server.wait_for_event("version_mismatch", level="warning")
        assert event["pickled_by"].startswith("1.2.3")
        assert event["running"] != event["pickled_by"]
        assert server.request("POST", "/api/predict", {"x0": 3, "x1": 3}).status == 200
