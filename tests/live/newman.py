"""Runs the Postman collection by Newman, as a tester does, and reads its JUnit report."""

import json
import os
import subprocess
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.live.running import REPOSITORY

POSTMAN = REPOSITORY / "postman"
COLLECTION = POSTMAN / "brinery.postman_collection.json"
NEWMAN = POSTMAN / "node_modules" / ".bin" / "newman"
SECONDS = 240
TABLE = "the table of cases"


@dataclass(frozen=True)
class Run:
    """What Newman found: its exit status, and each test by request and name, with its message where it failed."""

    status: int
    said: str
    tests: Mapping[tuple[str, str], str]

    @property
    def failures(self) -> list[str]:
        """The tests that failed: request, name and message."""
        return [" / ".join([*test, message]) for test, message in self.tests.items() if message]

    def check(self) -> None:
        """Fail unless there were tests and all passed."""
        assert self.status == 0, "\n".join(self.failures) or self.said
        assert self.tests
        assert not self.failures


def need() -> None:
    """Skip the test where Newman is missing; fail in CI."""
    if not NEWMAN.exists():
        assert os.environ.get("CI") != "true", "Newman is missing"
        pytest.skip("Newman is not installed; tests/tools.sh installs it")


def run(url: str, *options: str, collection: Path = COLLECTION, skip: Sequence[str] = (), **variables: object) -> Run:
    """Run a collection against a server; `variables` are those of its environment, with `_` for `-`."""
    need()
    values = {"api-host": url, "skip": ";".join(skip)} | {
        name.replace("_", "-"): str(value) for name, value in variables.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        environment, report = Path(folder, "environment.json"), Path(folder, "report.xml")
        listed = [{"key": key, "value": value, "enabled": True} for key, value in values.items()]
        environment.write_text(json.dumps({"name": "test", "values": listed}), encoding="utf-8")
        command: list[str | Path] = [NEWMAN, "run", collection, "--environment", environment, *options]
        command += [
            "--reporters",
            "cli,junit",
            "--reporter-junit-export",
            report,
            "--disable-unicode",
            "--color",
            "off",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
        said = done.stdout + done.stderr
        assert report.exists(), said
        return Run(done.returncode, said, dict(_tests(report)))


def _tests(report: Path) -> list[tuple[tuple[str, str], str]]:
    found = []
    for suite in ET.parse(report).getroot():  # noqa: S314  Newman wrote it, for us
        request = suite.get("name", "").rpartition(" / ")[2]
        for test in suite.iter("testcase"):
            failure = test.find("failure")
            message = "" if failure is None else failure.get("message", "") + "".join(failure.itertext())
            found.append(((request, test.get("name", "")), message))
        if suite.get("errors", "0") != "0":
            found.append(((request, "runs to its end"), "".join(suite.itertext()) or "an error"))
    return found
