"""A model to its documents: OpenAPI 3.1, the contract, and Swagger 2.0 for older tools. Pure.

Each parameter's schema says exactly what its encoder accepts. Formats: OpenAPI 3.1.1 with JSON Schema 2020-12;
Swagger 2.0, which cannot say `null` or a batch and describes the request of a single object.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from apispec import APISpec

from server.errors import InvalidInput
from server.model import Model
from server.outputs import Form, Output, Outputs
from server.parameter import MAX_SAFE_INTEGER, Absent, Kind, Label, Parameter
from server.problems import FIELD_CODES, MEDIA_TYPE, PAGE, TYPES
from server.schemes import openapi_schemes, protect
from server.settings import Settings
from server.signature import MAX_ERRORS

Schema: TypeAlias = dict[str, Any]

JSON_TYPES: Final[Mapping[type, str]] = {str: "string", int: "integer", bool: "boolean"}
EXAMPLE_PROBLEM: Final = {
    "type": f"{PAGE}#missing-field",
    "title": TYPES[InvalidInput].title,
    "status": 422,
    "detail": "age is missing; give a number.",
    "error": "age is missing; give a number.",
    "error_count": 1,
    "errors": [{"pointer": "/age", "code": "missing", "detail": "age is missing; give a number."}],
    "request_id": "5d7f2f9a",
}
ANSWER_HEADERS: Final[Mapping[str, str]] = {
    "X-Request-ID": "The caller's request id, or a new one.",
    "X-Model-Name": "The model's name, percent-encoded where it is not plain ASCII.",
    "X-Model-Version": "The model's version.",
    "Server-Timing": "Milliseconds of the parts of the answer (W3C Server Timing).",
}
PROBLEMS_OF: Final[Mapping[str, Sequence[int]]] = {
    "predict": (400, 405, 406, 408, 413, 415, 422, 500, 503, 504),
    "read": (400, 405, 406, 500),
    "ready": (400, 405, 406, 500, 503),
    "page": (400, 405, 500, 503, 504),
    "guarded": (401, 403, 429),
}


def parameter_schema(parameter: Parameter) -> Schema:
    """Write a parameter as JSON Schema 2020-12."""
    schema = _core(parameter)
    if parameter.nullable:
        if "enum" in schema:
            schema["enum"] = [*schema["enum"], None]
        if "type" in schema:
            types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
            schema["type"] = [*types, "null"]
    if parameter.examples or parameter.open:
        schema["examples"] = list(parameter.examples or parameter.labels[:5])
    return schema | _annotations(parameter)


def swagger_parameter_schema(parameter: Parameter) -> Schema:
    """Write a parameter as a schema of Swagger 2.0."""
    schema = _core(parameter)
    if isinstance(schema.get("type"), list):
        del schema["type"]  # a list of types is not known there; the labels say it
    if parameter.nullable:
        schema["x-nullable"] = True
    schema["example"] = parameter.example()
    schema |= _annotations(parameter)
    if parameter.default is None:
        del schema["default"]  # there, a default has the type that stands beside it
    return schema


def _core(parameter: Parameter) -> Schema:
    match parameter.kind:
        case Kind.CATEGORY if parameter.open:
            bounds = {"minimum": -MAX_SAFE_INTEGER, "maximum": MAX_SAFE_INTEGER}
            return {"type": "string"} if parameter.label_type is str else {"type": "integer", **bounds}
        case Kind.CATEGORY:
            return {"type": _types(parameter.labels), "enum": list(parameter.labels)}
        case Kind.BOOLEAN:
            return {"type": "boolean"}
        case Kind.TEXT:
            return {"type": "string"} | _present(minLength=parameter.min_length, maxLength=parameter.max_length)
        case Kind.INTEGER | Kind.NUMBER:
            return {"type": parameter.kind.value} | _present(
                minimum=parameter.minimum, maximum=parameter.maximum, multipleOf=parameter.multiple_of
            )


def _types(labels: Sequence[Label]) -> str | list[str]:
    types = list(dict.fromkeys(JSON_TYPES[type(label)] for label in labels))
    return types[0] if len(types) == 1 else types


def _annotations(parameter: Parameter) -> Schema:
    default = {} if isinstance(parameter.default, Absent) else {"default": parameter.default}
    return _present(description=parameter.description or None) | default


def _present(**members: object) -> Schema:
    return {name: value for name, value in members.items() if value is not None}


def input_schema(model: Model, write: Any = parameter_schema) -> Schema:  # noqa: ANN401
    """Write the schema of one row."""
    parameters = model.signature.parameters
    schema: Schema = {
        "type": "object",
        "properties": {parameter.name: write(parameter) for parameter in parameters},
    }
    if required := [parameter.name for parameter in parameters if parameter.required]:
        schema["required"] = required
    if not model.signature.ignore_unknown:
        schema["additionalProperties"] = False
    return schema


def answer_schema(outputs: Outputs) -> Schema:
    """Write the schema of the answer for one row."""
    if outputs.form is Form.PREDICTION:
        return _object({"prediction": _prediction(outputs)})
    return _numbers(outputs)


def detail_schema(outputs: Outputs) -> Schema:
    """Write the schema of the answer for one row with `detail=full`."""
    model = _object({"name": {"type": "string"}, "version": {"type": "string"}, "digest": {"type": "string"}})
    members: Schema = {"id": {"type": "string"}, "model": model}
    if outputs.form is not Form.VALUES:
        members["prediction"] = _prediction(outputs)
    if outputs.form is not Form.PREDICTION:
        members[outputs.form.value] = _numbers(outputs)
    return _object(members)


def _numbers(outputs: Outputs) -> Schema:
    number: Schema = {"type": "number"}
    if outputs.form is Form.PROBABILITIES:
        number |= {"minimum": 0, "maximum": 1}
    if outputs.form is Form.VALUES or outputs.multilabel:
        return _object({output.name: number for output in outputs.outputs})
    each = {output.name: _object(dict.fromkeys(output.keys, number)) for output in outputs.outputs}
    return _object(each) if outputs.several else next(iter(each.values()))


def _prediction(outputs: Outputs) -> Schema:
    each = {output.name: _label(output) for output in outputs.outputs}
    return _object(each) if outputs.several else next(iter(each.values()))


def _label(output: Output) -> Schema:
    return {"type": _types(output.labels), "enum": list(output.labels)}


def _object(members: Mapping[str, Schema]) -> Schema:
    return {"type": "object", "properties": dict(members), "required": list(members)}


def problem_schema() -> Schema:
    """Write the schema of a problem document (RFC 9457)."""
    label = {"type": ["string", "integer", "boolean", "null"]}
    field = _object({"pointer": {"type": "string"}, "code": {"enum": list(FIELD_CODES)}, "detail": {"type": "string"}})
    field["properties"] |= {
        "allowed": {"type": "array", "items": label},
        "allowed_count": {"type": "integer"},
        "did_you_mean": {"type": "string"},
    }
    schema = _object(
        {
            "type": {"type": "string", "format": "uri-reference"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "error": {"type": "string", "description": "The same sentence as `detail`, for older clients."},
            "request_id": {"type": "string"},
        }
    )
    schema["properties"] |= {
        "errors": {"type": "array", "maxItems": MAX_ERRORS, "items": field},
        "error_count": {"type": "integer", "minimum": 1},
    }
    schema["example"] = EXAMPLE_PROBLEM
    return schema


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


def openapi_document(model: Model, settings: Settings, example_answer: object) -> dict[str, Any]:
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
    _add_reads(spec, params(model))
    document = spec.to_dict()
    if settings.auth:
        schemes = openapi_schemes(settings)
        document["components"]["securitySchemes"] = schemes
        protect(document["paths"], settings, schemes, _problems("guarded"))
    return {"openapi": document.pop("openapi"), **document}


def description(model: Model) -> str:
    """Give the sentence that says what the model is."""
    return str(model.metadata.get("description") or f"Predictions of a {model.estimator_class}.")


def _row_result() -> Schema:
    result = {"anyOf": [_ref("Answer"), _ref("DetailedAnswer")]}
    good = _object({"status": {"const": 200}, "result": result})
    bad = _object({"status": {"type": "integer", "minimum": 400}, "problem": _ref("Problem")})
    return {"anyOf": [good, bad], "description": "One row of a batch sent with `Prefer: handling=lenient`."}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _add_predict(spec: APISpec, model: Model, settings: Settings, example_answer: object) -> None:
    example = model.signature.example()
    body = {
        "anyOf": [
            _ref("Input"),
            {"type": "array", "items": _ref("Input"), "minItems": 1, "maxItems": settings.max_rows},
        ]
    }
    row = [_ref("Answer"), _ref("DetailedAnswer")]
    answer = {"anyOf": [*row, {"type": "array", "items": {"anyOf": [*row, _ref("RowResult")]}}]}
    ok = _ok("The answer for the row, or an array with one for each row in the same order.", answer)
    ok["headers"]["Preference-Applied"] = {
        "description": "`handling=lenient` where the batch was answered row by row.",
        "schema": {"type": "string"},
    }
    ok["content"]["application/json"]["examples"] = {"one row": {"value": example_answer}}
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
                }
            },
        },
        "responses": {"200": ok, **_problems("predict")},
    }
    spec.path("/api/predict", operations={"post": operation})


def _add_reads(spec: APISpec, listing: Mapping[str, Any]) -> None:
    anything = {"type": "object"}
    health = _object({"status": {"type": "string"}, "components": anything})
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
        responses = {"200": _ok(summary, schema), **_problems("ready" if name == "ready" else "read")}
        _add_get(spec, path, name, summary, tag, responses)
    text = {"description": "Prometheus or OpenMetrics text.", "headers": _answer_headers()}
    text["content"] = {
        media: {"schema": {"type": "string"}} for media in ("text/plain", "application/openmetrics-text")
    }
    _add_get(spec, "/metrics", "metrics", "Metrics of all workers", "operation", {"200": text, **_problems("page")})
    page = {"description": "A page for people.", "headers": _answer_headers()}
    page["content"] = {"text/html": {"schema": {"type": "string"}}}
    _add_get(spec, "/api/docs", "docs", "This document as a page", "documents", {"200": page, **_problems("page")})
    there: Schema = {"description": "To the documentation.", "headers": _answer_headers()}
    there["headers"]["Location"] = {"schema": {"type": "string"}}
    _add_get(spec, "/", "root", "To the documentation", "documents", {"307": there, **_problems("page")})


def _add_get(spec: APISpec, path: str, name: str, summary: str, tag: str, responses: Mapping[str, Any]) -> None:
    operation = {"operationId": name, "summary": summary, "tags": [tag], "responses": responses}
    spec.path(path, operations={"get": operation})


def _header(name: str, sentence: str) -> Schema:
    return {"name": name, "in": "header", "description": sentence, "schema": {"type": "string"}}


def _answer_headers() -> Schema:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in ANSWER_HEADERS}


def _ok(sentence: str, schema: Schema) -> Schema:
    return {"description": sentence, "headers": _answer_headers(), "content": {"application/json": {"schema": schema}}}


def _problems(kind: str) -> dict[str, Any]:
    """Write the responses for the statuses that a kind of route can answer with."""
    responses: dict[str, Any] = {}
    for status in PROBLEMS_OF[kind]:
        titles = dict.fromkeys(each.title for each in TYPES.values() if each.status == status)
        responses[str(status)] = {
            "description": "; ".join(titles) + ".",
            "headers": _answer_headers(),
            "content": {MEDIA_TYPE: {"schema": _ref("Problem")}},
        }
    return responses
