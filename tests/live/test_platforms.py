"""Acts the part of platforms that run containers: their variables, their routes, their times."""

import shutil
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.live.bundles import Gate
from tests.live.running import BIN, PATIENCE, Program, Server, bundle_of, environ_with, eventually, free_port

pytestmark = [pytest.mark.live, pytest.mark.slow]

ROWS: list[dict[str, Any]] = [
    {"month": 10, "force": "Thames Valley Police", "crime": "Bicycle theft"},
    {"month": 3, "force": "Kent Police", "crime": "Drugs"},
]
LISTED = [list(row.values()) for row in ROWS]
SPLIT = {"columns": list(ROWS[0]), "index": [0, 1], "data": LISTED}
CSV = "month,force,crime\n" + "".join(",".join(map(str, row)) + "\n" for row in LISTED)

HEALTH = "/v1/endpoints/12/deployedModels/34"
PREDICT = f"{HEALTH}:predict"
PING_SECONDS = 2.0  # what SageMaker waits for
INVOCATION_SECONDS = 60.0

# What is wrong with a body in any protocol: its name, and the rows.
BAD_ROWS: Mapping[str, object] = {
    "ragged": [[10, "Kent Police", "Drugs"], [10, "Kent Police"]],
    "another type": [["ten", "Kent Police", "Drugs"]],
    "another label": [{"month": 10, "force": "Sherlock Holmes", "crime": "Drugs"}],
    "another name": [{"month": 10, "police": "Kent Police", "crime": "Drugs"}],
    "nothing": [],
    "no rows": "Sherlock Holmes",
}


class Platform(Server):
    """A server that is told by the variables of a platform, and by none of ours but the address and the workers."""

    def __init__(self, environ: Mapping[str, str], port: int, front: str) -> None:
        self.host, self.port = "127.0.0.1", port
        ours = environ_with({"host": self.host, "workers": 1, "front": front})
        Program.__init__(self, BIN / "brinery", "serve", environ={**ours, **environ})


def predicted(server: Server) -> list[Any]:
    """Give what /api/predict says of the rows."""
    return [each["prediction"] for each in server.request("POST", "/api/predict?detail=full", ROWS).json]


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    """Make a folder of artifacts, with the bundle in a folder of its own, as archives are often made."""
    shutil.copytree(bundle_of("crime"), tmp_path / "artifacts" / "crime")
    return tmp_path / "artifacts"


@pytest.fixture(name="vertex")
def _vertex(folder: Path, front: str) -> Iterator[Server]:
    """Run a server as Vertex AI does, with a folder where it has a bucket."""
    port = free_port()
    environ = {
        "AIP_MODE": "PREDICTION",
        "AIP_HTTP_PORT": str(port),
        "AIP_HEALTH_ROUTE": HEALTH,
        "AIP_PREDICT_ROUTE": PREDICT,
        "AIP_STORAGE_URI": (folder / "crime").as_uri(),
    }
    with Platform(environ, port, front) as server:
        yield server


@pytest.fixture(name="azure")
def _azure(folder: Path, front: str) -> Iterator[Server]:
    """Run a server as Azure Machine Learning does; the port is what its environment is configured to."""
    port = free_port()
    with Platform({"AZUREML_MODEL_DIR": str(folder), "BRINERY_PORT": str(port)}, port, front) as server:
        yield server


@pytest.fixture(name="sagemaker")
def _sagemaker(folder: Path, front: str) -> Iterator[Server]:
    """Run a server as SageMaker does, but for the place of the artifacts, which is not ours on this machine."""
    port = free_port()
    environ = {"BRINERY_BUNDLE": str(folder / "crime"), "SAGEMAKER_BIND_TO_PORT": str(port)}
    with Platform(environ, port, front) as server:
        yield server


def test_vertex_ai(vertex: Server) -> None:
    """It listens where the variables say, is healthy there, and predicts what /api/predict does, one for each row."""
    assert vertex.request("GET", HEALTH).status == 200
    for instances in (ROWS, LISTED):
        answer = vertex.request("POST", PREDICT, {"instances": instances})
        assert (answer.status, answer.json) == (200, {"predictions": predicted(vertex)})
    assert vertex.request("GET", "/api/info").json["metadata"]["name"] == "crime"
    for rows in BAD_ROWS.values():
        answer = vertex.request("POST", PREDICT, {"instances": rows})
        assert (answer.status, answer.json.keys()) == (400, {"error"})
        assert "Sherlock" not in answer.body.decode()


def test_vertex_ai_with_a_port_that_is_none(front: str) -> None:
    """A port that is none stops the start with a sentence that names the platform's variable."""
    environ = {**environ_with({"front": front, "bundle": bundle_of("crime")}), "AIP_HTTP_PORT": "http"}
    with Program(BIN / "brinery", "serve", environ=environ) as program:
        assert program.wait() != 0
        assert program.err == ["brinery: AIP_HTTP_PORT is 'http'; expected a whole number from 1 to 65535."]


def test_azure_ml(azure: Server) -> None:
    """It finds the registered model, is alive and ready, and scores tables and rows as /api/predict does."""
    assert azure.request("GET", "/api/health/live").status == 200
    assert azure.request("GET", "/api/health/ready").status == 200
    for body in ({"input_data": SPLIT}, {"input_data": ROWS}, {"data": LISTED}):
        answer = azure.request("POST", "/score", body)
        assert (answer.status, answer.json) == (200, predicted(azure))
    for rows in BAD_ROWS.values():
        answer = azure.request("POST", "/score", {"input_data": rows})
        assert (answer.status, answer.json.keys()) == (400, {"message"})
        assert "Sherlock" not in answer.body.decode()


def test_sagemaker(sagemaker: Server) -> None:
    """Its ping is answered in time, and what it invokes, JSON or CSV, gets what /api/predict predicts."""
    began = time.monotonic()
    assert sagemaker.request("GET", "/ping").status == 200
    assert time.monotonic() - began < PING_SECONDS
    bodies: list[tuple[object, str]] = [
        ({"instances": ROWS}, "application/json"),
        ({"dataframe_split": SPLIT}, "application/json"),
        (CSV.encode(), "text/csv"),
    ]
    for body, media_type in bodies:
        began = time.monotonic()
        answer = sagemaker.request("POST", "/invocations", body, {"Content-Type": media_type})
        assert time.monotonic() - began < INVOCATION_SECONDS
        assert (answer.status, answer.json) == (200, {"predictions": predicted(sagemaker)})
    for rows in BAD_ROWS.values():
        answer = sagemaker.request("POST", "/invocations", {"instances": rows})
        assert answer.status == 400
        assert "Sherlock" not in answer.body.decode()


def test_sagemaker_stops(tmp_path: Path, front: str) -> None:
    """While a request is in flight a ping is answered; after SIGTERM the request is, too, and the status is 0."""
    gate, port = Gate(tmp_path), free_port()
    environ = {**gate.environ, "SAGEMAKER_BIND_TO_PORT": str(port), "BRINERY_BUNDLE": str(gate.bundle)}
    with Platform(environ, port, front) as server, ThreadPoolExecutor() as pool:
        inside = pool.submit(server.request, "POST", "/invocations", {"instances": [[42]]})
        gate.wait_until_entered()
        assert server.request("GET", "/ping").status == 200
        server.terminate()
        eventually(lambda: not server.is_listening(), "the end of listening")
        assert server.process.poll() is None
        gate.open()
        answer = inside.result(PATIENCE)
        assert (answer.status, answer.json) == (200, {"predictions": [0.0]})
        server.check_end()


def test_a_start_says_what_it_took(folder: Path) -> None:
    """`brinery settings` names the variable that each value comes from."""
    environ = {**environ_with({"workers": 3}), "AIP_HTTP_PORT": "8085", "AZUREML_MODEL_DIR": str(folder)}
    with Program(BIN / "brinery", "settings", environ=environ) as program:
        assert program.wait() == 0
    blocks = "\n".join(program.out)
    assert f"BRINERY_BUNDLE={folder / 'crime'}\n" in blocks
    for source in ("AIP_HTTP_PORT", "AZUREML_MODEL_DIR", "BRINERY_WORKERS"):
        assert f" Set by {source}." in blocks
