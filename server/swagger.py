"""A model's single-object request as a Swagger 2.0 document, for tools that read nothing newer. Pure.

It knows no `null` beside a type (hence `x-nullable`), no alternatives and no array beside an object: the OpenAPI
document is the contract. Format: the OpenAPI Specification 2.0.
"""

from typing import Any

from apispec import APISpec

from server.model import Model
from server.openapi import description
from server.schemas import answer_schema, input_schema, swagger_parameter_schema
from server.schemes import SCOPE_OF, protect, swagger_schemes
from server.settings import Settings


def swagger_document(model: Model, settings: Settings, example_answer: object) -> dict[str, Any]:
    """Write the Swagger 2.0 document."""
    spec = APISpec(
        title=model.identity.name,
        version=model.identity.version_text,
        openapi_version="2.0",
        info={"description": description(model)},
        basePath=settings.root_path or "/",
        consumes=["application/json"],
        produces=["application/json", "application/problem+json"],
    )
    spec.components.schema("Input", input_schema(model, swagger_parameter_schema))
    spec.components.schema("Answer", _without_type_lists(answer_schema(model.outputs)))
    members = {name: {"type": "string"} for name in ("type", "title", "detail", "error", "request_id")}
    spec.components.schema(
        "Problem",
        {
            "type": "object",
            "properties": {
                **members,
                "status": {"type": "integer"},
                "error_count": {"type": "integer"},
                "errors": {"type": "array", "items": {"type": "object"}},
            },
            "required": [*members, "status"],
        },
    )
    ok = {
        "description": "The answer for the row.",
        "schema": {"$ref": "#/definitions/Answer"},
        "examples": {"application/json": example_answer},
    }
    problem = {"description": "What was wrong, and what to do.", "schema": {"$ref": "#/definitions/Problem"}}
    body = {"in": "body", "name": "row", "required": True, "schema": {"$ref": "#/definitions/Input"}}
    predict = {
        "operationId": "predict",
        "summary": "Predict for one row",
        "parameters": [body],
        "responses": {"200": ok, "default": problem},
    }
    spec.path("/api/predict", operations={"post": predict})
    for path, name, summary in (
        ("/api/predict/params", "params", "The labels of each parameter, or 0 for a number"),
        ("/api/info", "info", "What is served, by which versions"),
        ("/api/health", "health", "The state of each component"),
    ):
        answer = {"description": summary, "schema": {"type": "object"}}
        operation = {"operationId": name, "summary": summary, "responses": {"200": answer, "default": problem}}
        spec.path(path, operations={"get": operation})
    document = spec.to_dict()
    if settings.auth:
        document["securityDefinitions"] = swagger_schemes(settings)
        protect(document["paths"], SCOPE_OF, settings, document["securityDefinitions"], {})
    return {"swagger": document.pop("swagger"), **document}


def _without_type_lists(schema: Any) -> Any:  # noqa: ANN401
    """Drop the types of labels of several types: their list says it."""
    if isinstance(schema, dict):
        return {
            key: _without_type_lists(value)
            for key, value in schema.items()
            if not (key == "type" and isinstance(value, list))
        }
    return schema
