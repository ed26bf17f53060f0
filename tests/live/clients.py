"""Other servers' clients, unmodified, pointed at ours: scripts in tests/clients/ ask by them and print the answers.

They run in environments of their own, which tests/tools.sh makes, and import nothing of ours.
"""

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.live.running import REPOSITORY, Server, bundle_of

SECONDS = 120
# By name: the environment, the script and its arguments.
CLIENTS = {
    "triton-http": ("clients", "ask_triton.py", "http"),
    "triton-grpc": ("clients", "ask_triton.py", "grpc"),
    "kserve": ("clients", "ask_kserve.py"),
    "mlserver": ("mlserver", "ask_mlserver.py"),
    "mlflow": ("clients", "ask_mlflow.py", "ask"),
}


def environment(name: str) -> Path:
    """Give the folder of an environment; skip where there is none, but fail in CI."""
    if name == "mlserver" and sys.version_info >= (3, 13):
        pytest.skip("MLServer wants a Python before 3.13")
    folder = REPOSITORY / ".tools" / name
    if not (folder / ".lock").exists():
        assert os.environ.get("CI") != "true", f"the environment {name} is missing"
        pytest.skip(f"the environment {name} is missing (tests/tools.sh clients)")
    return folder


def run(name: str, script: str, *arguments: str | Path, given: object = None) -> Any:
    """Run a script in an environment, with some JSON as its input, and give the JSON that it prints."""
    done = subprocess.run(
        [environment(name) / "bin" / "python", REPOSITORY / "tests" / "clients" / script, *arguments],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@dataclass(frozen=True)
class Expected:
    """What /api/predict answers for some rows, as lists: predictions, and probabilities in the labels' order."""

    predict: list[Any]
    predict_proba: list[list[float]] | None

    @classmethod
    def of(cls, server: Server, rows: Sequence[dict[str, Any]]) -> "Expected":
        """Ask for it."""
        answer = server.request("POST", "/api/predict?detail=full", rows)
        assert answer.status == 200, answer.body
        values = [each["values"] if "values" in each else [each["prediction"]] for each in answer.json]
        first = [next(iter(each.values())) if isinstance(each, dict) else each[0] for each in values]
        probabilities = [each.get("probabilities") for each in answer.json]
        return cls(first, [list(each.values()) for each in probabilities] if probabilities[0] else None)

    @property
    def outputs(self) -> dict[str, list[Any]]:
        """The tensors of the Open Inference Protocol."""
        return {"predict": self.predict, **({"predict_proba": self.predict_proba} if self.predict_proba else {})}


def target_of(name: str, server: Server, **more: object) -> dict[str, Any]:
    """Say what to ask a server of a committed bundle: rows in which each label stands, and what the scripts must know.

    The rows with null are apart, since tensors of texts cannot hold it.
    """
    answer = server.request("GET", "/api/predict/params")
    params, about = answer.json, answer.headers
    golden = [each["request"] for each in json.loads((bundle_of(name) / "golden.json").read_bytes())["requests"]]
    labels = {each: [label for label in params[each] if label is not None] for each in params if params[each]}
    rows = [
        {
            each: labels[each][at % len(labels[each])] if each in labels else value
            for each, value in golden[at % len(golden)].items()
        }
        for at in range(max([5, *map(len, labels.values())]))
    ]
    rows = [row for row in rows if None not in row.values()]
    return {
        "name": name,
        "url": f"{server.host}:{server.port}",
        "model": about["X-Model-Name"],
        "version": about["X-Model-Version"],
        "rows": rows,
        "nulls": [row for row in golden if None in row.values()][:5],
        "columns": [[each, datatype_of(params[each], rows[0][each])] for each in params],
        "labelled": next((each for each in labels if isinstance(labels[each][0], str)), None),
        **numbers_of(name, params, rows),
        "saved": None,
        **more,
    }


def datatype_of(accepted: object, value: object) -> str:
    """Give the datatype in which a value is sent."""
    if isinstance(value, str):
        return "BYTES"
    return "INT64" if isinstance(accepted, list) else "FP64"


def numbers_of(name: str, params: dict[str, Any], rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Give the rows as the estimator's own application would have had them: codes for labels that are texts."""
    lookup = bundle_of(name) / "lookup.pkl"
    codes = pickle.loads(lookup.read_bytes()) if lookup.exists() else {}
    if any(isinstance(row[each], str) and not codes.get(each) for row in rows[:1] for each in params):
        return {"numbers": None, "datatypes": []}
    numbers = [[codes[each][row[each]] if isinstance(row[each], str) else row[each] for each in params] for row in rows]
    whole = all(isinstance(number, int) and 0 <= number < 128 for row in numbers for number in row)
    return {"numbers": numbers, "datatypes": ["FP64", *(["INT64", "INT32", "UINT8", "FP32"] if whole else [])]}
