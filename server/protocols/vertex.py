"""Vertex AI: `instances` in, `predictions` out, on the paths that the platform names.

Format: "Custom container requirements for prediction" of Vertex AI's documentation.
"""

from collections.abc import Sequence
from typing import Any, Final

import orjson

from server.exchange import Request, Response
from server.model import Model
from server.openapi import Part
from server.protocols.envelopes import as_error
from server.protocols.forms import row_schemas
from server.protocols.instances import predict_endpoint, predict_operation, predict_route
from server.protocols.protocol import ERROR, REFUSALS_OF_READS, Context, Protocol, operation
from server.protocols.rows import RowReader
from server.routing import Route
from server.schemas import object_schema
from server.settings import Settings

TAG: Final = "Vertex AI"
OWN_PROBES: Final = ("/api/health/live", "/api/health/ready")  # which are good health routes as they are


def routes(context: Context) -> Sequence[Route]:
    """Make the routes that the settings name; a probe of our own that they name answers by itself."""
    settings, ready = context.settings, orjson.dumps({"status": "ready"})
    reader = RowReader(context.model.signature, context.flow.predictor)

    def health(_: Request) -> Response:
        context.readiness.check()
        return Response(200, ready)

    made = []
    if path := settings.vertex_predict_route:
        made.append(predict_route(path, predict_endpoint(context, reader), reader))
    if path := _health_route(settings):
        made.append(Route(path, {"GET": health}, scope=None, envelope=as_error, probe=True))
    return made


def part(model: Model, settings: Settings) -> Part:
    """Write the protocol's part of the OpenAPI document."""
    paths: dict[str, dict[str, Any]] = {}
    if path := settings.vertex_predict_route:
        paths[path] = {"post": predict_operation("vertex_predict", TAG, model)}
    if path := _health_route(settings):
        answer, statuses = object_schema({"status": {"const": "ready"}}), (*REFUSALS_OF_READS, 503)
        summary = "Whether requests are welcome"
        paths[path] = {"get": operation("vertex_health", summary, TAG, answer, error="Error", statuses=statuses)}
    schemas = {"Error": ERROR, **row_schemas(model, settings)} if paths else {}
    return Part(paths, schemas, dict.fromkeys({settings.vertex_predict_route} & paths.keys(), "predict"))


def _health_route(settings: Settings) -> str:
    return "" if settings.vertex_health_route in OWN_PROBES else settings.vertex_health_route


VERTEX: Final = Protocol(routes, part)
