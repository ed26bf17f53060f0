"""A bundle's documents, without serving it."""

import json
from pathlib import Path

import joblib
import pytest

from server.console.documents import document, postman_collection
from tests.models import pipeline, settings


@pytest.mark.parametrize(("swagger", "first"), [(False, ("openapi", "3.1.0")), (True, ("swagger", "2.0"))])
def test_document(tmp_path: Path, swagger: bool, first: tuple[str, str]) -> None:
    """Either document is written as indented JSON, for the settings that are given."""
    joblib.dump(pipeline(), tmp_path / "model.pkl")
    said = document(tmp_path, settings(root_path="/crime"), swagger=swagger)
    assert said.startswith("{\n  ")
    read = json.loads(said)
    assert next(iter(read.items())) == first
    assert "/crime" in (read.get("basePath"), read.get("servers", [{}])[0].get("url"))


@pytest.mark.parametrize(
    ("host", "expected"),
    [(None, "http://127.0.0.1:8123/crime"), ("https://models.example/crime/", "https://models.example/crime")],
)
def test_postman_collection(tmp_path: Path, host: str | None, expected: str) -> None:
    """The collection is for the server that is named, or for one on this machine with these settings."""
    joblib.dump(pipeline(), tmp_path / "model.pkl")
    written = json.loads(postman_collection(tmp_path, settings(root_path="/crime", port=8123), host=host))
    assert written["variable"] == [{"key": "api-host", "value": expected}]
