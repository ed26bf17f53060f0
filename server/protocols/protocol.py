"""What every protocol is made of, and gives."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from server.admission import Readiness
from server.errors import ModelNotFound, RouteNotFound
from server.exchange import Request
from server.flow import Flow
from server.model import Identity, Model
from server.negotiation import JSON, check_accepts, check_json_body
from server.openapi import Part, ok_response, ref, refusals
from server.routing import Route
from server.schemas import Schema, object_schema
from server.settings import Settings

ERROR: Final = object_schema({"error": {"type": "string"}})
# What any operation with a body, and any without one, may be refused with.
REFUSALS: Final = (400, 404, 405, 406, 408, 413, 415, 500, 503, 504)
REFUSALS_OF_READS: Final = (400, 404, 405, 406, 500)


@dataclass(frozen=True, slots=True)
class Context:
    """What a protocol speaks of: one model, the flow of requests to it, and the server's state."""

    model: Model
    flow: Flow
    settings: Settings
    readiness: Readiness


@dataclass(frozen=True, slots=True)
class Protocol:
    """A protocol: its routes, and its part of the OpenAPI document."""

    routes: Callable[[Context], Sequence[Route]]
    part: Callable[[Model, Settings], Part]


def check_model(identity: Identity, name: str, version: str = "") -> None:
    """See that a model is the one that is served, and so is its version, if there is one; raise `ModelNotFound`.

    Raises `RouteNotFound` for what would be a route below the one or the other: a placeholder may hold slashes.
    """
    if name == identity.name and version in ("", identity.version_text):
        return
    if name.startswith((f"{identity.name}/", f"{identity.name}:")) or version.startswith(f"{identity.version_text}/"):
        raise RouteNotFound("The model has no such route; /api/docs lists them all.")
    if name != identity.name:
        raise ModelNotFound(f"There is no such model; the one that is served here is {identity.name}.")
    raise ModelNotFound(f"There is no such version; the one that is served here is {identity.version_text}.")


def check_json(request: Request) -> None:
    """Raise what is wrong with a request's media types; a body of none is taken for JSON."""
    headers = request.headers
    check_json_body(headers.get("Content-Type", "") or JSON, headers.get("Content-Encoding", ""))
    check_accepts(headers.get("Accept", ""))


def operation(
    name: str, summary: str, tag: str, answer: Schema, *, error: str, statuses: Sequence[int], **more: object
) -> dict[str, Any]:
    """Write an operation whose answer is JSON, and whose errors have the schema named `error`; `more` is put in."""
    refused = refusals(statuses, {JSON: {"schema": ref(error)}})
    responses = {"200": ok_response("The answer.", answer), **refused}
    return {"operationId": name, "summary": summary, "tags": [tag], **more, "responses": responses}


def body_of(schema: Schema, example: object, media_type: str = "application/json") -> dict[str, Any]:
    """Write the body of an operation."""
    return {"required": True, "content": {media_type: {"schema": schema, "examples": {"rows": {"value": example}}}}}


def path_parameter(name: str, value: str) -> Mapping[str, Any]:
    """Write a part of a path that has one value."""
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "enum": [value]}}
