"""The samples of pipelines are what their services read, and ask nothing of us that is not there."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.live.running import BIN, REPOSITORY

FOLDER = REPOSITORY / "examples" / "delivery"
CHECKS = {
    "github-actions.yml": ["--builtin-schema", "vendor.github-workflows"],
    "azure-pipelines.yml": [
        *("--builtin-schema", "vendor.azure-pipelines", "--data-transform", "azure-pipelines"),
        *("--regex-variant", "nonunicode"),
    ],
}
each_sample = pytest.mark.parametrize("sample", CHECKS)


def scripts(node: Any) -> list[str]:
    """Give every script in a parsed pipeline, in its order."""
    if isinstance(node, list):
        return [script for each in node for script in scripts(each)]
    if not isinstance(node, dict):
        return []
    own = [node[name] for name in ("run", "script") if name in node]
    return own + [script for each in node.values() for script in scripts(each)]


def of(sample: str) -> str:
    """Give all scripts of a sample as one."""
    found = scripts(yaml.safe_load((FOLDER / sample).read_text()))
    assert found
    return "\n".join(found).replace("\\\n", "")


def test_every_sample_is_checked() -> None:
    """No pipeline is left out of these tests."""
    assert {file.name for file in FOLDER.iterdir()} == set(CHECKS)


@each_sample
def test_schema(sample: str) -> None:
    """It holds what the service's schema allows, and nothing else."""
    command = [BIN / "check-jsonschema", *CHECKS[sample], FOLDER / sample]
    done = subprocess.run([str(each) for each in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@each_sample
def test_scripts(sample: str) -> None:
    """Its scripts can be parsed, and the targets, verbs, settings of the chart and files that they name are there."""
    said = of(sample)
    assert subprocess.run(["sh", "-n"], input=said, text=True, check=False).returncode == 0
    makefile = (REPOSITORY / "Makefile").read_text()
    for target in re.findall(r"\bmake ([a-z-]+)", said):
        assert f"\n{target}:" in makefile, target
    assert "--logs" not in said  # Helm 3 looks for the log of a test that passed where it has removed the pod
    help_text = subprocess.run([BIN / "brinery", "--help"], capture_output=True, text=True, check=True).stdout
    for verb in re.findall(r"\bbrinery ([a-z]+) (?!--)", said):
        assert f"\n    {verb} " in help_text, verb
    values = yaml.safe_load((REPOSITORY / "helm" / "brinery" / "values.yaml").read_text())
    for path in re.findall(r"--set(?:-string)? ([a-zA-Z.]+)=", said):
        node = values
        for name in path.split("."):
            assert name in node, path
            node = node[name]
    assert Path(REPOSITORY, "helm/brinery").is_dir()
    assert Path(REPOSITORY, "examples/wine/train.py").is_file()


def test_both_do_the_same() -> None:
    """The two ask for the same of make, brinery, docker, helm and kubectl, in the same order."""
    commands = [
        re.findall(r"^(?:\S*/)?((?:make|brinery|docker|helm|kubectl) \S+)", of(name), re.MULTILINE) for name in CHECKS
    ]
    github, azure = ([each for each in found if each != "docker login"] for found in commands)
    assert github == azure
    assert github[-3:] == ["helm upgrade", "kubectl rollout", "helm test"]  # Helm's own wait may return before
