"""The documents and the page that shows them."""

import json
import re
from collections.abc import Callable, Mapping
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin, urlsplit

import jsonschema
import numpy as np
import pytest
from openapi_spec_validator import OpenAPIV2SpecValidator, OpenAPIV31SpecValidator, validate
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from werkzeug.test import Client

from tests.api.estimators import CASES, COUNTS, TEXT
from tests.api.fronts import application_of
from tests.api.moody import Moody
from tests.api.serving import EXAMPLES, GOOD, post, predict, serve, serve_folder
from tests.cases import requests


def of_case(name: str) -> Client:
    """Serve one of the estimators."""
    case = CASES[name]
    return serve(case.fitted(), lookup=case.lookup, labels=case.labels)


def _tree(**options: Any) -> Client:
    return serve(DecisionTreeClassifier(max_depth=3).fit(COUNTS, TEXT), **options)


ODD: dict[str, Callable[[], Client]] = {
    **{name: lambda name=name: serve_folder(EXAMPLES[name]) for name in EXAMPLES},  # type: ignore[misc]  # bound early
    **{
        name: lambda name=name: of_case(name)  # type: ignore[misc]  # bound early
        for name in (
            "columns",
            "linear-several",
            "multi-output-forest",
            "multi-output-neighbors",
            "multilabel-one-vs-rest",
            "chain-one-two",
            "multi-output-svc",
            "k-means",
            "isolation-forest",
            "gaussian-mixture",
            "forest-float",
            "logistic-bool",
            "categorical-boosting",
            "texts-and-numbers",
            "boolean-column",
            "one-class-only",
        )
    },
    "odd names": lambda: serve(
        DecisionTreeRegressor().fit(np.eye(8), np.arange(8)),
        lookup={
            "bruises?": 0,
            "a/b~c": 0,
            "größe": 0,
            "{x}": 0,
            "$ref": 0,
            "type": 0,
            "x" * 200: 0,
            "\U0001f600 \n": 0,
        },
    ),
    "odd labels": lambda: _tree(
        lookup={"a": {1: 0, "1": 1, False: 2, None: 3}, "b": {"": 0, " ": 1, "\n": 2, "null": 3}, "c": 0},
        labels=["", "$ref", "a/b"],
    ),
    "refined": lambda: _tree(
        metadata={
            "name": "größe <b>",
            "version": "β",
            "description": "Two\nlines & <i>markup</i>.",
            "parameters": {
                "x0": {"type": "integer", "minimum": 1, "maximum": 9, "multipleOf": 3, "default": 3, "examples": [6]},
                "x1": {"type": ["number", "null"], "minimum": 0.5, "description": "Length."},
                "x2": {"type": ["integer", "null"], "default": None},
            },
        }
    ),
    "all optional": lambda: serve(Moody(), metadata={"parameters": {"x0": {"default": 1}}}),
    "open": lambda: serve_folder(EXAMPLES["adult"], unknown_labels="accept", unknown_fields="ignore"),
    "below a path": lambda: serve(Moody(), root_path="/crime-65"),
}


@pytest.fixture(scope="module", params=sorted(ODD))
def client(front: str, request: pytest.FixtureRequest) -> Client:
    """The examples, and models with everything that a document could stumble over."""
    made: Client = ODD[request.param]()
    return made


def document(client: Client, name: str = "openapi") -> Any:
    """Read a document."""
    response = client.get(f"/{name}.json")
    assert response.status_code == 200
    assert response.content_type == "application/json"
    return response.json


def test_openapi_is_valid(client: Client) -> None:
    """The OpenAPI 3.1 document passes the validator."""
    read = document(client)
    assert next(iter(read)) == "openapi"
    assert read["openapi"].startswith("3.1")
    validate(read, cls=OpenAPIV31SpecValidator)


def test_swagger_is_valid(client: Client) -> None:
    """The Swagger 2.0 document passes the validator."""
    read = document(client, "swagger")
    assert next(iter(read)) == "swagger"
    assert read["swagger"] == "2.0"
    validate(read, cls=OpenAPIV2SpecValidator)


def test_every_schema_is_a_json_schema(client: Client) -> None:
    """Each component is a schema of JSON Schema 2020-12."""
    for schema in document(client)["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_the_examples_are_true(client: Client) -> None:
    """The example of the request is accepted, is what the schema says, and is answered by the example of the answer."""
    read = document(client)
    operation = read["paths"]["/api/predict"]["post"]
    content = operation["requestBody"]["content"]["application/json"]
    shown = operation["responses"]["200"]["content"]["application/json"]["examples"]["one row"]["value"]
    for example in content["examples"].values():
        resolved(read, content["schema"]).validate(example["value"])
    assert predict(client, content["examples"]["one row"]["value"]) == shown
    assert predict(client, content["examples"]["a batch"]["value"]) == [shown]
    swagger = document(client, "swagger")
    assert swagger["paths"]["/api/predict"]["post"]["responses"]["200"]["examples"] == {"application/json": shown}


def test_answers_are_what_the_schema_says(client: Client) -> None:
    """Brief, whole, lenient and refused answers are all described."""
    read = document(client)
    operation = read["paths"]["/api/predict"]["post"]
    row = operation["requestBody"]["content"]["application/json"]["examples"]["one row"]["value"]
    good = resolved(read, operation["responses"]["200"]["content"]["application/json"]["schema"])
    for answer in (
        predict(client, row),
        predict(client, [row, row]),
        predict(client, row, "/api/predict?detail=full"),
        predict(client, [row, 1], Prefer="handling=lenient"),
        predict(client, [row, 1], "/api/predict?detail=full", Prefer="handling=lenient"),
    ):
        good.validate(answer)
    for body, status in (("{", 400), ("[1]", 422)):
        response = post(client, body)
        assert response.status_code == status
        content = operation["responses"][str(status)]["content"]["application/problem+json"]
        resolved(read, content["schema"]).validate(response.json)


def resolved(read: Mapping[str, Any], schema: Any) -> jsonschema.Draft202012Validator:
    """Make a validator of a schema that refers to the document's components."""
    return jsonschema.Draft202012Validator({**schema, "components": read["components"]})


def test_every_route_is_described(crime: Client) -> None:
    """The paths and methods of the document are those that the application has, but for the page's own files."""
    described = {
        (path, method.upper())
        for path, operations in document(crime)["paths"].items()
        for method in operations
        if method != "parameters"
    }
    served = {
        (route.path, method)
        for routes in application_of(crime).routes.values()
        for route in routes
        for method in route.endpoints
        if "/assets/" not in route.rule
    }
    assert described == served


def test_statuses_of_the_table_are_described(crime: Client) -> None:
    """Each status that the table of cases expects of a described route is described."""

    paths = document(crime)["paths"]
    for case in requests():
        operation = paths.get(case.path.partition("?")[0], {}).get(case.method.lower())
        if operation and case.expect != (405,):
            assert str(case.expect[0]) in operation["responses"], (case.id, case.expect)


def test_operations_have_names_of_their_own(crime: Client) -> None:
    """Each operation has an id and a summary, so that clients can be made from the document."""
    operations = [each for path in document(crime)["paths"].values() for each in path.values()]
    assert len({each["operationId"] for each in operations}) == len(operations)
    assert all(each["summary"] and each["tags"] for each in operations)


def test_the_crime_models_input_to_the_letter(crime: Client) -> None:
    """An integer with its bounds and two enums, all required, nothing else."""
    schema = document(crime)["components"]["schemas"]["Input"]
    assert schema["required"] == list(schema["properties"]) == ["month", "force", "crime"]
    assert schema["additionalProperties"] is False
    month = schema["properties"]["month"]
    assert (month["type"], month["minimum"], month["maximum"]) == ("integer", 1, 12)
    assert "Thames Valley Police" in schema["properties"]["force"]["enum"]


def test_limits_are_described() -> None:
    """The least and the most rows of a batch are in the document."""
    body = document(serve(Moody(), max_rows=7))["paths"]["/api/predict"]["post"]["requestBody"]
    array = body["content"]["application/json"]["schema"]["anyOf"][1]
    assert (array["minItems"], array["maxItems"]) == (1, 7)


def test_swagger_says_null_in_its_own_way(adult: Client) -> None:
    """Swagger 2.0 has no null: `x-nullable` stands for it, and no type is a list."""
    text = adult.get("/swagger.json").text
    assert '"x-nullable":true' in text
    assert not re.search(r'"type":\[', text)


def test_documents_are_the_same_each_time(crime: Client) -> None:
    """A document does not change between reads, nor between two applications of one bundle."""
    for name in ("/openapi.json", "/swagger.json"):
        assert crime.get(name).data == crime.get(name).data == serve_folder(EXAMPLES["crime"]).get(name).data


class _Links(HTMLParser):
    """Collects what a page refers to, and what it would run or style by itself."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.inline: list[str] = []
        self._in_script = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.links += [value for name in ("href", "src", "action") if (value := given.get(name))]
        self.inline += [name for name in given if name.startswith("on") or name == "style"]
        self._in_script = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._in_script = False

    def handle_data(self, data: str) -> None:
        if self._in_script and data.strip():
            self.inline.append(data)


def test_the_pages_links_are_relative_and_lead_somewhere(crime: Client) -> None:
    """Every link of the page is relative, ours, and served: the page needs no network and works below any path."""
    page = crime.get("/api/docs")
    assert page.content_type == "text/html; charset=utf-8"
    links = _Links(page.text).links
    assert len(links) >= 4
    for link in links:
        parts = urlsplit(link)
        assert not parts.scheme
        assert not parts.netloc
        assert not link.startswith("/")
        assert crime.get(urljoin("/api/docs", link)).status_code == 200, link
    script = crime.get("/api/docs/assets/docs.js").text
    assert "://" not in script
    assert '"../openapi.json"' in script


def test_the_page_obeys_its_own_policy(crime: Client) -> None:
    """A policy allows our own files only, and the page has no script or style of its own that it would forbid."""
    page = crime.get("/api/docs")
    policy = dict(part.strip().split(" ", 1) for part in page.headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert policy["connect-src"] == "'self'"
    assert "http" not in page.headers["Content-Security-Policy"]
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    assert policy["frame-ancestors"] == "'none'"
    assert page.headers["X-Frame-Options"] == "DENY"
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert _Links(page.text).inline == []
    assert page.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("swagger-ui.css", "text/css; charset=utf-8"),
        ("swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
        ("docs.js", "text/javascript; charset=utf-8"),
        ("favicon-32x32.png", "image/png"),
    ],
)
def test_assets_are_served_by_us(crime: Client, name: str, media_type: str) -> None:
    """The page's files come from us, with their types, and may be kept."""
    response = crime.get(f"/api/docs/assets/{name}")
    assert response.status_code == 200
    assert response.content_type == media_type
    assert len(response.data) > 100
    assert "max-age" in response.headers["Cache-Control"]


@pytest.mark.parametrize("name", ["index.html", "../docs.html", "%2e%2e/docs.html", "swagger-initializer.js", "", "."])
def test_no_other_files_are_served(crime: Client, name: str) -> None:
    """Only the files that the page needs can be read."""
    assert crime.get(f"/api/docs/assets/{name}").status_code == 404


def test_the_root_leads_to_the_page(crime: Client) -> None:
    """`/` leads a browser to the documentation."""
    response = crime.get("/", headers={"Accept": "text/html"})
    assert response.status_code == 307
    assert response.headers["Location"] == "/api/docs"
    assert b"<" not in response.data


def test_the_document_is_strict_json(client: Client) -> None:
    """No document holds NaN or Infinity, nor the same key twice."""
    for name in ("openapi", "swagger"):

        def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
            assert len({key for key, _ in pairs}) == len(pairs)
            return dict(pairs)

        def refuse(text: str) -> None:
            pytest.fail(f"{text} is no JSON")

        json.loads(client.get(f"/{name}.json").data, object_pairs_hook=unique, parse_constant=refuse)


def test_the_readmes_request_is_the_documents(crime: Client) -> None:
    """What people copy from the README is accepted by the published schema."""
    read = document(crime)
    resolved(read, read["components"]["schemas"]["Input"]).validate(GOOD)
