"""Schemathesis, which knows only the document of the Open Inference Protocol, finds nothing that we do otherwise.

The document is nobody's that we would publish: MLServer's package brings one, and `make oip` takes the protocol's own.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.live.clients import environment
from tests.live.running import BIN, Server, bundle_of

pytestmark = [pytest.mark.live, pytest.mark.slow]

HERE = Path(__file__).parent
SECONDS = 300
EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES") or 50)  # of each operation and phase
BODY_BYTES = 64 * 1024 * 1024  # more than any batch has: that a text is too long is no matter of the schema
# What the document is silent about: it has 200 and 400 at most.
STATUSES = ("400", "404", "405", "408", "413", "415", "503", "504")
ERROR = {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}
# What MLServer adds to the protocol.
FOREIGN = ("infer_stream", "generate", "generate_stream")


def document_of(source: str) -> dict[str, Any]:
    """Read the document that MLServer brings, or the file that OIP_SPEC names; skip where there is none."""
    if source == "given":
        if not os.environ.get("OIP_SPEC"):
            pytest.skip("OIP_SPEC names no file (make oip)")
        file = Path(os.environ["OIP_SPEC"])
    else:
        (file,) = environment("mlserver").glob("lib/python*/site-packages/mlserver/rest/openapi/dataplane.json")
    document: dict[str, Any] = yaml.safe_load(file.read_text())
    return document


def adapt(document: dict[str, Any], names: dict[str, str], example: object) -> dict[str, Any]:
    """Put in our statuses, a request that is answered and, for the path's parameters, the only values that are.

    Members that may be left out may be null, as the models of KServe write them.
    """
    document["openapi"] = "3.1.0"
    document["paths"] = {path: item for path, item in document["paths"].items() if not path.endswith(FOREIGN)}
    for path, item in document["paths"].items():
        for method in item.keys() & {"get", "post"}:
            operation = item[method]
            for parameter in (*item.get("parameters", ()), *operation.get("parameters", ())):
                if names:
                    parameter["schema"] = {"type": "string", "enum": [names[parameter["name"].lower()]]}
            for status in STATUSES:
                operation["responses"].setdefault(status, {"description": "Refused"})
                operation["responses"][status]["content"] = {"application/json": {"schema": ERROR}}
            if path.endswith("/infer"):
                operation["requestBody"]["required"] = True
                operation["requestBody"]["content"]["application/json"]["example"] = example
    for name, schema in document["components"]["schemas"].items():
        if name.lower().replace("_", "") in ("inferencerequest", "requestinput", "requestoutput"):
            for member in schema["properties"].keys() - schema["required"]:
                schema["properties"][member] = {"anyOf": [schema["properties"][member], {"type": "null"}]}
        # What MLServer says of its own parameters, and of bytes, which no JSON holds.
        schema.pop({"TensorData": "oneOf", "Parameters": "properties"}.get(name, ""), None)
    return document


@pytest.mark.parametrize("names", ["ours", "any"])
@pytest.mark.parametrize("source", ["mlserver", pytest.param("given", marks=pytest.mark.by_hand)])
def test_nothing_is_found(source: str, names: str, front: str, tmp_path: Path) -> None:
    """All checks in all phases hold, for our model and for names and versions that nobody has."""
    document = document_of(source)
    columns: dict[str, tuple[str, object]] = {
        "month": ("INT64", 10),
        "force": ("BYTES", "Kent Police"),
        "crime": ("BYTES", "Drugs"),
    }
    inputs = [
        {"name": name, "datatype": datatype, "shape": [1], "data": [value]}
        for name, (datatype, value) in columns.items()
    ]
    known = {"model_name": "crime", "model_version": "1"} if names == "ours" else {}
    written = tmp_path / "open_inference.json"
    written.write_text(json.dumps(adapt(document, known, {"id": "order-17", "inputs": inputs})))
    with Server(bundle=bundle_of("crime"), workers=2, front=front, max_body_bytes=BODY_BYTES) as server:
        command: list[object] = [BIN / "schemathesis", "--config-file", HERE / "open_inference.toml"]
        command += ["run", written, "--url", server.url, "--checks", "all", "--phases", "examples,coverage,fuzzing"]
        command += ["--max-examples", EXAMPLES, "--continue-on-failure", "--generation-deterministic"]
        command += ["--request-timeout", 20, "--no-color"]
        done = subprocess.run(
            [str(each) for each in command],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, "\n".join(line[:500] for line in done.stdout.splitlines()) + done.stderr
        assert "Traceback" not in server.said
