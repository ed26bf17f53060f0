"""Behind a proxy that publishes us under a path: every link works, whether the proxy strips the path or not."""

import json
from typing import Any
from urllib.parse import urljoin

import pytest
from werkzeug.test import Client

from tests.api.moody import Moody
from tests.api.serving import post, problem, serve

ROOT = "/models/crime-65"
IDENTITY = {"name": "moody", "version": "1"}


@pytest.fixture(scope="module")
def client(front: str) -> Client:
    """A model below a path."""
    return serve(Moody(), metadata=IDENTITY, root_path=ROOT)


@pytest.mark.parametrize("prefix", ["", ROOT], ids=["stripped", "kept"])
@pytest.mark.parametrize(
    "path",
    [
        "/api/predict/params",
        "/api/info",
        "/api/health/ready",
        "/metrics",
        "/openapi.json",
        "/swagger.json",
        "/api/docs",
    ],
)
def test_routes_answer_with_and_without_the_path(client: Client, prefix: str, path: str) -> None:
    """A proxy may strip the path or leave it: both are answered."""
    assert client.get(prefix + path).status_code == 200
    assert post(client, '{"x0":2}', f"{prefix}/api/predict").json == {"prediction": 2.0}


@pytest.mark.parametrize("path", ["/", ROOT, f"{ROOT}/"])
def test_the_root_leads_to_the_published_page(client: Client, path: str) -> None:
    """`/`, and the path itself, lead to the page where the proxy publishes it."""
    response = client.get(path, headers={"Accept": "text/html"})
    assert response.status_code == 307
    assert response.headers["Location"] == f"{ROOT}/api/docs"


def test_documents_name_the_path(client: Client) -> None:
    """Both documents say where the API is; their paths do not repeat it."""
    openapi: Any = client.get("/openapi.json").json
    swagger: Any = client.get("/swagger.json").json
    assert openapi["servers"] == [{"url": ROOT}]
    assert swagger["basePath"] == ROOT
    assert "/api/predict" in openapi["paths"]
    assert "/api/predict" in swagger["paths"]
    for path in openapi["paths"]:
        assert client.get(ROOT + path.format(**IDENTITY)).status_code in (200, 405)


def test_links_of_the_page_stay_below_the_path(client: Client) -> None:
    """The page's relative links lead to our files below the path."""
    for link in ("docs/assets/swagger-ui.css", "docs/assets/docs.js", "../openapi.json"):
        assert urljoin(f"{ROOT}/api/docs", link).startswith(ROOT)
        assert client.get(urljoin(f"{ROOT}/api/docs", link)).status_code == 200


@pytest.mark.parametrize(
    "path", ["/models", f"{ROOT}5/api/info", f"{ROOT}{ROOT}/api/info", f"/x{ROOT}/api/info", f"{ROOT}//api/info"]
)
def test_other_paths_are_not_found(client: Client, path: str) -> None:
    """Only the path itself is taken away, and only once."""
    problem(client.get(path), 404)


def test_the_metrics_know_no_path(client: Client) -> None:
    """The same route is the same series, with the path and without."""
    client.get("/api/info")
    client.get(f"{ROOT}/api/info")
    assert 'brinery_http_requests_total{method="GET",route="/api/info",status="200"}' in client.get("/metrics").text
    assert "crime-65" not in client.get("/metrics").text


def test_without_the_setting_nothing_is_taken_away(crime: Client) -> None:
    """A path that nobody configured is no route."""
    problem(crime.get(f"{ROOT}/api/info"), 404)
    assert json.loads(crime.get("/openapi.json").data)["servers"] == [{"url": "/"}]
