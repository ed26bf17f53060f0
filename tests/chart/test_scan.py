"""A scanner of configurations finds nothing of weight in what the chart makes."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.chart.cases import CASES
from tests.chart.rendering import render


def test_trivy_finds_nothing_of_weight(tmp_path: Path) -> None:
    """Trivy's checks of Kubernetes objects fail nowhere at high or critical severity, whatever the values."""
    program = shutil.which("trivy")
    if program is None:
        assert os.environ.get("CI") != "true", "trivy is missing"
        pytest.skip("trivy is missing: `make test` installs it")
    for name, values in CASES.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump_all(list(render(values))), encoding="utf-8")
    command = [program, "config", "--skip-check-update", "--quiet", "--format", "json", str(tmp_path)]
    done = subprocess.run(
        command,
        env={**os.environ, "TRIVY_CACHE_DIR": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)["Results"]
    assert len(results) == len(CASES)
    found = {
        f"{each['ID']} {each['Severity']}: {each['Message']}"
        for result in results
        for each in result.get("Misconfigurations", ())
        if each["Severity"] in ("HIGH", "CRITICAL")
    }
    assert not found, found
    assert all(result["MisconfSummary"]["Successes"] > 50 for result in results)
