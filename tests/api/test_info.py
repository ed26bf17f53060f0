"""`GET /api/info`: what is served, by which versions."""

import json
import platform
from importlib.metadata import version
from typing import Any

from werkzeug.test import Client

from tests.api.estimators import CASES
from tests.api.moody import Moody
from tests.api.serving import EXAMPLES, check_headers, serve


def info(client: Client) -> Any:
    """Read what is said."""
    response = client.get("/api/info")
    assert response.status_code == 200
    assert response.content_type == "application/json"
    check_headers(response)
    return response.json


def test_older_clients_find_status_and_metadata(crime: Client) -> None:
    """`status` is alive, and `metadata` is the bundle's file as it stands."""
    said = info(crime)
    assert said["status"] == "alive"
    assert said["metadata"] == json.loads((EXAMPLES["crime"] / "metadata.json").read_text())


def test_the_model_is_named(crime: Client) -> None:
    """Name, version, digest, class, engine, and the scikit-learn that pickled it."""
    model = info(crime)["model"]
    assert model["name"] == "crime"
    assert model["version"] == 1
    assert model["digest"].startswith("sha256:")
    assert len(model["digest"]) == len("sha256:") + 64
    assert model["class"] == "RandomForestClassifier"
    assert model["engine"] == "forest"
    assert model["sklearn_version"].split(".")[:2] == version("scikit-learn").split(".")[:2]


def test_the_runtime_is_named(crime: Client) -> None:
    """The versions are those of what runs."""
    runtime = info(crime)["runtime"]
    assert runtime["python"] == platform.python_version()
    for name, package in (
        ("sklearn", "scikit-learn"),
        ("numpy", "numpy"),
        ("pandas", "pandas"),
        ("brinery", "brinery"),
    ):
        assert runtime[name] == version(package)


def test_the_signature_is_told(example: Client) -> None:
    """Each parameter's schema is told in the model's order, and what the model answers."""
    signature = info(example)["signature"]
    document: Any = example.get("/openapi.json").json
    schema = document["components"]["schemas"]["Input"]
    assert [each["name"] for each in signature["parameters"]] == list(schema["properties"])
    for each in signature["parameters"]:
        name, required = each.pop("name"), each.pop("required")
        assert each == schema["properties"][name]
        assert required == (name in schema.get("required", []))
    assert signature["answer"] in ("probabilities", "values")


def test_a_bundle_without_metadata() -> None:
    """Without metadata the name is the folder's and the version is 1."""
    said = info(serve(Moody()))
    assert said["metadata"] == {}
    assert (said["model"]["name"], said["model"]["version"]) == ("model", 1)


def test_versions_are_shown_as_they_are() -> None:
    """A text stays a text and a number a number; elsewhere the version is text."""
    for given in (7, "2024-06-01", "1.0"):
        client = serve(Moody(), metadata={"version": given})
        assert info(client)["model"]["version"] == given
        assert client.get("/api/info").headers["X-Model-Version"] == str(given)
        document: Any = client.get("/openapi.json").json
        assert document["info"]["version"] == str(given)


def test_metadata_of_any_shape_are_shown() -> None:
    """What the metadata say beyond our own members is shown and nothing else."""
    metadata = {"anything": {"nested": [1, None, {"ü": 1e-7}]}, "accuracy": 0.5}
    assert info(serve(Moody(), metadata=metadata))["metadata"] == metadata


def test_classes_of_pipelines_and_searches_are_told() -> None:
    """What a pipeline is made of, and what a search found."""
    case = CASES["k-means-search"]
    assert info(serve(case.fitted()))["model"]["class"] == "GridSearchCV(Pipeline(StandardScaler, KMeans))"


def test_paths_stay_inside(crime: Client) -> None:
    """No path of the machine is told."""
    assert str(EXAMPLES["crime"].parent) not in crime.get("/api/info").text
