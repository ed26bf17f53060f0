"""Serves an estimator behind a test client of either front, and reads what comes back."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from werkzeug.test import Client, TestResponse

from server.bundle import Bundle
from server.settings import Settings
from tests.api.fronts import Fronts

REPOSITORY = Path(__file__).resolve().parents[2]
EXAMPLES = {
    "crime": REPOSITORY / "pickles",
    "titanic": REPOSITORY / "examples" / "titanic" / "bundle",
    "wine": REPOSITORY / "examples" / "wine" / "bundle",
    "adult": REPOSITORY / "examples" / "adult" / "bundle",
    "reviews": REPOSITORY / "examples" / "reviews" / "bundle",
}
ANSWER_HEADERS = ("X-Request-ID", "X-Model-Name", "X-Model-Version", "Server-Timing")
MAX_PROBLEM_BYTES = 8 * 1024
FRONTS = Fronts()  # the one that is tested just now: see the fixture `front`
GOOD = {"month": 6, "force": "Thames Valley Police", "crime": "Bicycle theft"}


def serve(
    estimator: Any,
    *,
    lookup: Any = None,
    labels: Any = None,
    metadata: Mapping[str, Any] | None = None,
    **settings: Any,
) -> Client:
    """Serve an estimator as if it had been read from a bundle's folder."""
    bundle = Bundle(
        name="model", estimator=estimator, lookup=lookup, labels=labels, metadata=metadata, digest="sha256:0"
    )
    return FRONTS.client(Settings(**({"log_level": "error"} | settings)), bundle)


def serve_folder(folder: Path, **settings: Any) -> Client:
    """Serve the bundle in a folder."""
    return FRONTS.client(Settings(bundle=folder, **({"log_level": "error"} | settings)))


def post(client: Client, body: bytes | str, path: str = "/api/predict", **headers: str) -> TestResponse:
    """Post a body, JSON unless a header says otherwise; underscores in the headers' names are dashes."""
    named = {"Content-Type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(path, data=body, headers=named)


def predict(client: Client, value: object, path: str = "/api/predict", **headers: str) -> Any:
    """Post a value that must be accepted; give the answer's own."""
    response = post(client, json.dumps(value), path, **headers)
    assert response.status_code == 200, response.text
    return response.json


def check_headers(response: TestResponse) -> None:
    """See that an answer carries what every answer does."""
    for name in ANSWER_HEADERS:
        assert response.headers.get(name), f"{name} is missing"
    assert re.fullmatch(r"(\w+;dur=[0-9.]+, )*total;dur=[0-9.]+", response.headers["Server-Timing"])
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def problem(response: TestResponse, status: int, *, head: bool = False) -> dict[str, Any]:
    """See that an answer is a problem document with this status, and give it."""
    assert response.status_code == status, response.text
    assert response.content_type == "application/problem+json"
    check_headers(response)
    if head:
        assert not response.data
        return {}
    return check_document(json.loads(response.data), status, response.headers["X-Request-ID"], len(response.data))


def check_document(document: dict[str, Any], status: int, request_id: str, size: int = 0) -> dict[str, Any]:
    """See that a document has a problem's members, right in themselves and within bounds."""
    members = {"type", "title", "status", "detail", "error", "request_id"}
    assert members <= document.keys() <= members | {"errors", "error_count"}
    assert document["status"] == status
    assert document["error"] == document["detail"]
    assert document["request_id"] == request_id
    assert re.fullmatch(r"docs/errors\.md#[a-z-]+", document["type"])
    assert (size or len(json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode())) <= MAX_PROBLEM_BYTES
    assert document["title"]
    assert document["detail"].endswith((".", "?"))
    assert ("errors" in document) == ("error_count" in document) == (status == 422)
    for error in document.get("errors", []):
        optional = {"allowed", "allowed_count", "did_you_mean"}
        assert {"pointer", "code", "detail"} <= error.keys() <= {"pointer", "code", "detail"} | optional
        assert len(error.get("allowed", [])) <= 20
        assert all(len(label) <= 64 for label in error.get("allowed", []) if isinstance(label, str))
    if "errors" in document:
        assert 1 <= len(document["errors"]) <= 20
        assert len(document["errors"]) <= document["error_count"]
    return document
