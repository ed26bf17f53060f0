"""A model to its document: OpenAPI 3.1, the contract. Pure.

Formats: OpenAPI 3.1.1 with JSON Schema 2020-12.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from apispec import APISpec

from server.columns import Named
from server.formats.delimited import write_csv
from server.model import Model
from server.negotiation import ARROW, CSV
from server.parameter import Kind
from server.problems import MEDIA_TYPE, TYPES
from server.schemas import (
    Schema,
    answer_schema,
    detail_schema,
    input_schema,
    object_schema,
    problem_schema,
)
from server.schemes import SCOPE_OF, openapi_schemes, protect
from server.settings import Settings

ANSWER_HEADERS: Final[Mapping[str, str]] = {
    "X-Request-ID": "The caller's request id, or a new one.",
    "X-Model-Name": "The model's name, percent-encoded where it is not plain ASCII.",
    "X-Model-Version": "The model's version.",
    "Server-Timing": "Milliseconds of the parts of the answer (W3C Server Timing).",
}
BINARY: Final[Schema] = {"description": "An Arrow stream with a column for each field.", "contentMediaType": ARROW}
PROBLEMS_OF: Final[Mapping[str, Sequence[int]]] = {
    "predict": (400, 405, 406, 408, 413, 415, 422, 500, 503, 504),
    "read": (400, 405, 406, 500),
    "ready": (400, 405, 406, 500, 503),
    "page": (400, 405, 500, 503, 504),
    "guarded": (401, 403, 429),
}


def params(model: Model) -> dict[str, Any]:
    """Give what `/api/predict/params` says: the labels of a category, 0 for a number, false or "" for the rest."""
    simple = {Kind.NUMBER: 0, Kind.INTEGER: 0, Kind.BOOLEAN: False, Kind.TEXT: ""}
    return {
        parameter.name: (
            [*parameter.labels, *([None] if parameter.nullable else [])]
            if parameter.kind is Kind.CATEGORY
            else simple[parameter.kind]
        )
        for parameter in model.signature.parameters
    }


@dataclass(frozen=True, slots=True)
class Part:
    """What a protocol adds to the document: operations by path and method, their schemas, and the scopes of paths."""

    paths: Mapping[str, Mapping[str, Any]]
    schemas: Mapping[str, Schema]
    scopes: Mapping[str, str]

    def without(self, paths: Container[str]) -> Self:
        """Leave out some paths."""
        kept = {path: operations for path, operations in self.paths.items() if path not in paths}
        return replace(self, paths=kept, scopes={path: of for path, of in self.scopes.items() if path in kept})


def openapi_document(
    model: Model, settings: Settings, example_answer: object, parts: Iterable[Part] = ()
) -> dict[str, Any]:
    """Write the OpenAPI 3.1 document; `example_answer` is the model's own for the signature's example."""
    spec = APISpec(
        title=model.identity.name,
        version=model.identity.version_text,
        openapi_version="3.1.0",
        info={"description": description(model)},
        servers=[{"url": settings.root_path or "/"}],
    )
    spec.components.schema("Input", input_schema(model))
    spec.components.schema("Answer", answer_schema(model.outputs))
    spec.components.schema("DetailedAnswer", detail_schema(model.outputs))
    spec.components.schema("Problem", problem_schema())
    spec.components.schema("RowResult", _row_result())
    for name, sentence in ANSWER_HEADERS.items():
        spec.components.header(name, {"description": sentence, "schema": {"type": "string"}})
    _add_predict(spec, model, settings, example_answer)
    _add_reads(spec, params(model), settings)
    scopes = dict(SCOPE_OF)
    schemas: Schema = {}
    for part in parts:
        scopes |= part.scopes
        schemas |= part.schemas  # protocols share some
        for path, operations in part.paths.items():
            spec.path(path, operations=dict(operations))
    for name, schema in schemas.items():
        spec.components.schema(name, dict(schema))
    document = spec.to_dict()
    if settings.auth:
        schemes = openapi_schemes(settings)
        document["components"]["securitySchemes"] = schemes
        protect(document["paths"], scopes, settings, schemes, problems("guarded"))
    return {"openapi": document.pop("openapi"), **document}


def description(model: Model) -> str:
    """Give the sentence that says what the model is."""
    return str(model.metadata.get("description") or f"Predictions of a {model.estimator_class}.")


def _row_result() -> Schema:
    result = {"anyOf": [ref("Answer"), ref("DetailedAnswer")]}
    good = object_schema({"status": {"const": 200}, "result": result})
    bad = object_schema({"status": {"type": "integer", "minimum": 400}, "problem": ref("Problem")})
    return {"anyOf": [good, bad], "description": "One row of a batch sent with `Prefer: handling=lenient`."}


def ref(name: str) -> Schema:
    """Refer to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def _add_predict(spec: APISpec, model: Model, settings: Settings, example_answer: object) -> None:
    example = model.signature.example()
    columns = [Named(name, str, [value]) for name, value in example.items()]
    body = {
        "anyOf": [
            ref("Input"),
            {"type": "array", "items": ref("Input"), "minItems": 1, "maxItems": settings.max_rows},
        ]
    }
    row = [ref("Answer"), ref("DetailedAnswer")]
    answer = {"anyOf": [*row, {"type": "array", "items": {"anyOf": [*row, ref("RowResult")]}}]}
    ok = ok_response("The answer for the row, or an array with one for each row in the same order.", answer)
    ok["headers"]["Preference-Applied"] = {
        "description": "`handling=lenient` where the batch was answered row by row.",
        "schema": {"type": "string"},
    }
    ok["content"]["application/json"]["examples"] = {"one row": {"value": example_answer}}
    ok["content"] |= {CSV: {"schema": {"type": "string"}}, ARROW: {"schema": BINARY}}
    operation = {
        "operationId": "predict",
        "summary": "Predict for one row, or for each of an array of rows",
        # No parameter of its own: whatever is short enough to be of use there may as well be too short.
        "description": "The header `X-Request-Timeout`, seconds such as `2.5`, asks for an answer by then, or for 504.",
        "tags": ["prediction"],
        "parameters": [
            {
                "name": "detail",
                "in": "query",
                "description": "`full` adds an id, the model, and the prediction beside its numbers.",
                "schema": {"type": "string", "enum": ["full"]},
            },
            _header("Prefer", "`handling=lenient` answers a batch row by row: one bad row does not cost the others."),
            _header("X-Request-ID", "An id of your own, given back and logged; at most 128 plain characters."),
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": body,
                    "examples": {"one row": {"value": example}, "a batch": {"value": [example]}},
                },
                CSV: {
                    "schema": {"type": "string", "description": "A line with the fields' names, and one for each row."},
                    "examples": {"a batch": {"value": write_csv(columns).decode()}},
                },
                ARROW: {"schema": BINARY},
            },
        },
        "responses": {"200": ok, **problems("predict")},
    }
    spec.path("/api/predict", operations={"post": operation})


def _add_reads(spec: APISpec, listing: Mapping[str, Any], settings: Settings) -> None:
    anything = {"type": "object"}
    health = object_schema({"status": {"type": "string"}, "components": anything})
    entry = {"anyOf": [{"type": "array"}, {"type": ["integer", "boolean", "string"]}]}
    listed = {"type": "object", "properties": dict.fromkeys(listing, entry), "required": list(listing)}
    reads: Sequence[tuple[str, str, str, str, Schema]] = (
        ("/api/predict/params", "params", "The labels of each parameter, or 0 for a number", "prediction", listed),
        ("/api/info", "info", "What is served, by which versions", "operation", anything),
        ("/api/health", "health", "The state of each component", "operation", health),
        ("/api/health/live", "live", "Whether the process answers; looks at nothing", "operation", anything),
        ("/api/health/ready", "ready", "Whether requests are welcome", "operation", anything),
        ("/openapi.json", "openapi", "This document", "documents", anything),
        ("/swagger.json", "swagger", "The single-object request as Swagger 2.0", "documents", anything),
    )
    for path, name, summary, tag, schema in reads:
        responses = {"200": ok_response(summary, schema), **problems("ready" if name == "ready" else "read")}
        _add_get(spec, path, name, summary, tag, responses)
    text = {"description": "Prometheus or OpenMetrics text.", "headers": answer_headers()}
    text["content"] = {
        media: {"schema": {"type": "string"}} for media in ("text/plain", "application/openmetrics-text")
    }
    _add_get(spec, "/metrics", "metrics", "Metrics of all workers", "operation", {"200": text, **problems("page")})
    page = {"description": "A page for people.", "headers": answer_headers()}
    page["content"] = {"text/html": {"schema": {"type": "string"}}}
    _add_get(spec, "/api/docs", "docs", "This document as a page", "documents", {"200": page, **problems("page")})
    there: Schema = {"description": "To the documentation.", "headers": answer_headers()}
    there["headers"]["Location"] = {"schema": {"type": "string"}}
    root = {"307": there, **problems("page")}
    if "kserve" in settings.protocols:
        root = {
            "200": ok_response("To who does not ask for HTML: the server is alive, as KServe says it.", anything)
        } | root
    _add_get(spec, "/", "root", "To the documentation", "documents", root)


def _add_get(spec: APISpec, path: str, name: str, summary: str, tag: str, responses: Mapping[str, Any]) -> None:
    operation = {"operationId": name, "summary": summary, "tags": [tag], "responses": responses}
    spec.path(path, operations={"get": operation})


def _header(name: str, sentence: str) -> Schema:
    return {"name": name, "in": "header", "description": sentence, "schema": {"type": "string"}}


def answer_headers() -> Schema:
    """Refer to the headers that every answer has."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in ANSWER_HEADERS}


def ok_response(sentence: str, schema: Schema) -> Schema:
    """Write the response with an answer in JSON."""
    return {"description": sentence, "headers": answer_headers(), "content": {"application/json": {"schema": schema}}}


def problems(kind: str) -> dict[str, Any]:
    """Write the responses for the statuses that a kind of route can answer with."""
    return refusals(PROBLEMS_OF[kind], {MEDIA_TYPE: {"schema": ref("Problem")}})


def refusals(statuses: Iterable[int], content: Mapping[str, Any]) -> dict[str, Any]:
    """Write the response for each of some statuses, whose bodies are of the form that `content` says."""
    responses: dict[str, Any] = {}
    for status in statuses:
        titles = dict.fromkeys(each.title for each in TYPES.values() if each.status == status)
        described = "; ".join(titles) + "."
        responses[str(status)] = {"description": described, "headers": answer_headers(), "content": dict(content)}
    return responses
