"""What can be set, called, counted, logged or answered is in the documentation."""

import configparser
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import flask
import pytest

from server import problems
from server.__main__ import main
from server.app import create_app
from server.errors import BrineryError, PredictionError
from server.options import Option
from server.settings import Settings, options
from server.telemetry import EVENTS, METRICS, Metric
from tests.docs.documentation import DOCS, ROOT, anchors_of, section_of, whole_reference

ERRORS = ROOT / problems.PAGE
OBSERVABILITY = DOCS / "observability.md"
ROW = {"month": 10, "force": "Thames Valley Police", "crime": "Bicycle theft"}
ASSETS = "/api/docs/assets/"


@pytest.fixture(name="app", scope="module")
def _app() -> flask.Flask:
    return create_app(Settings(bundle=ROOT / "pickles"))


def test_configuration_is_the_generated_page(capsys: pytest.CaptureFixture[str]) -> None:
    """docs/configuration.md is what `brinery settings --markdown` prints: `make docs` writes it."""
    assert main(["settings", "--markdown"]) == 0
    assert (DOCS / "configuration.md").read_text(encoding="utf-8") == capsys.readouterr().out


@pytest.mark.parametrize("option", options(), ids=lambda option: option.name)
def test_settings_are_documented(option: Option) -> None:
    """Each setting stands on the page with its meaning."""
    page = (DOCS / "configuration.md").read_text(encoding="utf-8")
    assert f"`{option.variable}`" in page
    assert option.sentence in page


def test_no_page_names_a_setting_that_does_not_exist() -> None:
    """A variable with our prefix on any page is a setting."""
    named = set(re.findall(r"BRINERY_[A-Z_]*[A-Z]", whole_reference() + (ROOT / "README.md").read_text("utf-8")))
    assert named <= {option.variable for option in options()}


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_metrics_are_documented(metric: Metric) -> None:
    """Each metric has a section with its kind, its labels, and a query that uses it."""
    section = section_of(OBSERVABILITY, metric.name)
    assert metric.kind in section.lower()
    for label in metric.labels:
        assert f"`{label}`" in section
    queries = re.findall(r"```promql\n(.*?)```", section, flags=re.DOTALL)
    assert any(metric.name in query for query in queries)


def test_no_page_names_a_metric_that_does_not_exist() -> None:
    """A query or a link uses metrics of the catalogue only."""
    names = {metric.name for metric in METRICS}
    used = re.findall(r"\bbrinery_[a-z_]+[a-z]", whole_reference())
    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in used} <= names


@pytest.mark.parametrize("event", EVENTS)
def test_events_are_documented(event: str) -> None:
    """Each log event has a section with a table of its fields."""
    assert "| field | holds |" in section_of(OBSERVABILITY, event)


def test_fields_of_log_lines_are_documented(
    app: flask.Flask, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The lines of a start, of a request with a trace and of a failure have no field that its section lacks."""

    def fail(*_: object, **__: object) -> None:
        raise PredictionError("The model failed on these rows (ValueError).")

    create_app(Settings(bundle=ROOT / "pickles"))
    client = app.test_client()
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    assert client.post("/api/predict", json=ROW, headers={"traceparent": trace}).status_code == 200
    monkeypatch.setattr("server.predictor.Predictor.evaluate", fail)
    assert client.post("/api/predict", json=ROW).status_code == 500

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["event"] for line in lines} == {"started", "request", "request_failed"}
    for line in lines:
        section = section_of(OBSERVABILITY, "Logs") + section_of(OBSERVABILITY, line["event"])
        for name in line:
            assert f"`{name}`" in section, f"{line['event']} has {name}"


def test_routes_are_documented(app: flask.Flask) -> None:
    """Each path of the OpenAPI document and each route of the application is on a page about the API or protocols."""
    pages = "".join((DOCS / name).read_text(encoding="utf-8") for name in ("api.md", "protocols.md"))
    paths = set(app.test_client().get("/openapi.json").get_json()["paths"])
    routes = [route for some in app.extensions["brinery"].routes.values() for route in some]
    for path in paths | {ASSETS if route.path.startswith(ASSETS) else route.path for route in routes}:
        assert f"`{path}`" in pages


def test_the_files_of_the_docs_page_can_be_fetched(app: flask.Flask) -> None:
    """Each file of the page is there, those of the installed package too."""
    client = app.test_client()
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith(ASSETS):
            assert client.get(rule.rule).status_code == 200, rule.rule


@pytest.mark.parametrize("path", ["/api/info", "/api/health"])
def test_members_of_reports_are_documented(app: flask.Flask, path: str) -> None:
    """Each member of what a route reports on itself is on the page about the API, the bundle's own apart."""
    page = (DOCS / "api.md").read_text(encoding="utf-8")
    report = app.test_client().get(path).get_json() | {"metadata": {}}
    report.get("signature", {}).pop("parameters", None)
    for name in set(_members(report)) - {"signature"}:
        assert f"`{name}`" in page or f'"{name}"' in page, name


def test_headers_of_answers_are_documented(app: flask.Flask) -> None:
    """Each header that an answer carries is on the page about the API."""
    page = (DOCS / "api.md").read_text(encoding="utf-8")
    answer = app.test_client().post("/api/predict", json=[ROW], headers={"Prefer": "handling=lenient"})
    for name in {name for name, _ in answer.headers} - {"Content-Length"}:
        assert f"`{name}`" in page, name


@pytest.mark.parametrize("kind", problems.TYPES.values(), ids=lambda kind: kind.slug)
def test_problems_are_documented(kind: problems.ProblemType) -> None:
    """Each kind of problem has a section under its anchor, with status and title."""
    assert anchors_of(ERRORS).count(kind.slug) == 1
    assert f"**{kind.status}, {kind.title}.**" in section_of(ERRORS, kind.slug)


@pytest.mark.parametrize(("code", "anchor"), problems.FIELD_CODES.items())
def test_field_codes_are_documented(code: str, anchor: str) -> None:
    """Each code of a field has a section under its anchor, with the code and an example."""
    assert anchors_of(ERRORS).count(anchor) == 1
    section = section_of(ERRORS, anchor)
    assert section.strip().startswith(f"`{code}`: ")
    assert f'"code": "{code}"' in section


def test_every_error_leads_to_a_section() -> None:
    """The type of each exception's problem ends in an anchor of the page."""
    anchors = anchors_of(ERRORS)
    for error in _below(BrineryError):
        assert problems.type_of(error.__new__(error)).slug in anchors


def test_every_module_has_its_place_on_the_page_about_architecture() -> None:
    """No module of the server is missing where one looks for behaviour."""
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    for module in (ROOT / "server").rglob("*.py"):
        if module.name != "__init__.py":
            assert f"`{module.name}`" in page or re.search(rf"`[a-z_]+/{module.name}`", page), module.name


def test_architecture_has_the_layers() -> None:
    """The page's picture has each module that the check of imports places, in an order that the check allows."""
    setup = configparser.ConfigParser(interpolation=None)
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    layers = setup["importlinter:contract:layers"]["layers"].strip().splitlines()
    places = {name: place for place, layer in enumerate(layers) for name in layer.split(" | ")}
    picture = (DOCS / "architecture.md").read_text(encoding="utf-8").split("```text\n")[1].split("```")[0]
    names = [name for line in picture.splitlines() for name in re.split(" {2,}", line[16:])[0].split(" | ")]
    assert sorted(names) == sorted(places)
    assert [places[name] for name in names] == sorted(places[name] for name in names)


def test_architecture_names_no_module_that_does_not_exist() -> None:
    """The page about architecture follows when a module goes."""
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    there = {module.name for module in (ROOT / "server").rglob("*.py")}
    assert set(re.findall(r"`(\w+\.py)`", page)) <= there


def _below(kind: type[BrineryError]) -> Iterator[type[BrineryError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _below(child)


def _members(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, member in value.items():
            yield name
            yield from _members(member)
    elif isinstance(value, list):
        for member in value:
            yield from _members(member)


def test_changelog_speaks_of_this_version() -> None:
    """The changelog has a section for what is to come, or for the current version."""
    declared = re.search(r"^version = (.+)$", (ROOT / "setup.cfg").read_text(encoding="utf-8"), re.MULTILINE)
    assert declared is not None
    headings = re.findall(r"^## \[?([^\]\n]+)\]?", Path(ROOT, "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert headings[0] in ("Unreleased", declared[1])
