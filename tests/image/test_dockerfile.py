"""The Dockerfile is clean, and says what the settings say; what it does is tried by `make e2e-container`."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from server.settings import Settings, options

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "Dockerfile"
TEXT = DOCKERFILE.read_text(encoding="utf-8")
LAST = TEXT[TEXT.rindex("\nFROM ") :]
ARGUMENTS = dict(re.findall(r"^ARG (\w+)=(.*)$", TEXT, re.MULTILINE))


def run(program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a program of the environment's; skip where it is missing, but in CI fail."""
    if shutil.which(program) is None:
        assert os.environ.get("CI") != "true", f"{program} is missing"
        pytest.skip(f"{program} is not installed")
    return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False)


def test_hadolint() -> None:
    """Nothing is found in it, by shellcheck in its commands neither."""
    done = run("hadolint", "--no-color", DOCKERFILE)
    assert (done.returncode, done.stdout) == (0, "")


def test_trivy(tmp_path: Path) -> None:
    """No misconfiguration at HIGH or above, by the checks that came with the program."""
    shutil.copy(DOCKERFILE, tmp_path)
    options = (
        "--skip-check-update",
        "--severity",
        "HIGH,CRITICAL",
        "--format",
        "json",
        "--cache-dir",
        tmp_path / "cache",
    )
    done = run("trivy", "config", *options, tmp_path)
    assert done.returncode == 0, done.stderr
    (scanned,) = json.loads(done.stdout)["Results"]
    assert scanned["Target"] == "Dockerfile"
    assert scanned["MisconfSummary"]["Successes"] > 0
    assert "Misconfigurations" not in scanned


def test_it_is_what_the_settings_say() -> None:
    """Port and settings are real ones, and the bundle is where it is put."""
    assert re.findall(r"^EXPOSE (.+)$", LAST, re.MULTILINE) == [str(Settings().port)]
    given = dict(re.findall(r"\b(BRINERY_\w+)=(\S+)", LAST))
    assert given.keys() <= {option.variable for option in options()}
    assert re.findall(r"^WORKDIR (.+)$", LAST, re.MULTILINE) == ["/"]
    assert f"COPY --from=build /pickles /{Settings().bundle}\n" in LAST
    assert "BRINERY_BUNDLE" not in given, "it would hide what a platform says"


def test_its_user_is_the_charts() -> None:
    """It does not run as root, and the number is the one that the chart's pods run as."""
    assert re.findall(r"^USER (.+)$", LAST, re.MULTILINE) == ["${UID}:${UID}"]
    values = (ROOT / "helm" / "brinery" / "values.yaml").read_text("utf-8")
    assert re.findall(r"^user: (\d+)$", values, re.MULTILINE) == [ARGUMENTS["UID"]]


def test_its_version_is_ours() -> None:
    """The label says the version that the package has."""
    declared = re.search(r"^version = (.+)$", (ROOT / "setup.cfg").read_text("utf-8"), re.MULTILINE)
    assert declared is not None
    assert f'org.opencontainers.image.version="{declared[1]}"' in LAST


def test_its_arguments_are_documented() -> None:
    """Each has its line on the page about containers, with its default; what is made of others is none."""
    made = {name for name, default in ARGUMENTS.items() if "$" in default}
    assert made == {"END", "LOCK"}
    page = (ROOT / "docs" / "containers.md").read_text("utf-8")
    for name, default in ARGUMENTS.items():
        if name == "END":  # but a step to LOCK
            continue
        row = next((line for line in page.splitlines() if line.startswith(f"| `{name}` |")), "")
        assert row, name
        assert name in made or default in row, name


def test_compose_hardens_as_the_page_says() -> None:
    """compose.yaml runs one service with what hardens a container, and stops it as patiently as it drains."""
    (service,) = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"].values()
    assert service["build"]["args"].keys() <= ARGUMENTS.keys()
    assert service["user"] == f"{ARGUMENTS['UID']}:{ARGUMENTS['UID']}"
    assert (service["read_only"], service["tmpfs"], service["cap_drop"]) == (True, ["/tmp"], ["ALL"])  # noqa: S108
    assert service["security_opt"] == ["no-new-privileges:true"]
    grace = float(service["stop_grace_period"].removesuffix("s"))
    assert grace > Settings().drain_delay + Settings().graceful_timeout


def ignored(path: str) -> bool:
    """Tell whether .dockerignore keeps a path, or a folder above it, from the builder."""
    patterns = [line for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if not line.startswith("#")]
    parts = path.split("/")
    above = ["/".join(parts[: count + 1]) for count in range(len(parts))]
    return any(re.fullmatch(expression(pattern), each) for pattern in patterns for each in above)


def expression(pattern: str) -> str:
    """Write a pattern of .dockerignore as a regular expression."""
    found = re.escape(pattern).replace(r"\*\*/", "(.*/)?").replace(r"\*", "[^/]*")
    return found.replace(r"\[cod\]", "[cod]")


@pytest.mark.parametrize(
    "path",
    [
        *(".git/config", ".venv/bin/python", "models/.venv/x", ".env", ".tools/bin/promtool", "data/crimes.csv"),
        *("postman/node_modules/newman/x.js", "node_modules/x", "server/engine/_walk.abi3.so", "signer.pem", "tls.key"),
        *("server/__pycache__/x.pyc", "models/mine/signer.pem", "tests/conftest.py", "brinery.egg-info/PKG-INFO"),
    ],
)  # fmt: skip
def test_what_is_not_sent_to_the_builder(path: str) -> None:
    """Environments, caches, secrets and what is large stay here, wherever they stand."""
    assert ignored(path)


@pytest.mark.parametrize(
    "path",
    ["examples/titanic/bundle/model.pkl", "models/mine/wheels/own-1.0-py3-none-any.whl", "fruit/requirements.txt"],
)
def test_any_folder_may_hold_a_bundle(path: str) -> None:
    """A bundle of one's own is sent, wherever it stands in the repository."""
    assert not ignored(path)


def test_what_it_copies_is_sent() -> None:
    """No source of a COPY is kept back, and all that is sent is small."""
    sources = [source for line in re.findall(r"^COPY ([^-$].+)$", TEXT, re.MULTILINE) for source in line.split()[:-1]]
    for source in [*sources, "requirements.lock", "requirements-remote.lock"]:
        assert (ROOT / source).exists()
        assert not ignored(source)
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    sent = [name for name in listed.stdout.split("\0") if name and (ROOT / name).exists() and not ignored(name)]
    assert sum((ROOT / name).stat().st_size for name in sent) < 20_000_000
