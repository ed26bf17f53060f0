"""Vertex AI: `instances` in, `predictions` out, on the paths that the platform names.

Format: "Custom container requirements for prediction" of Vertex AI's documentation.
"""

from collections.abc import Sequence
from typing import Any, Final

import orjson

from server.decoding import decode
from server.errors import WrongForm
from server.exchange import PROBES, Request, Response
from server.model import Model
from server.openapi import Part, ref
from server.protocols.answers import Question, method_of, values
from server.protocols.envelopes import as_error
from server.protocols.forms import PREDICTIONS, ROWS, parameters_schema, row_schemas
from server.protocols.protocol import (
    ERROR,
    REFUSALS,
    REFUSALS_OF_READS,
    Context,
    Protocol,
    body_of,
    check_json,
    operation,
)
from server.protocols.rows import RowReader
from server.routing import Route
from server.schemas import object_schema
from server.settings import Settings

TAG: Final = "Vertex AI"


def routes(context: Context) -> Sequence[Route]:
    """Make the routes that the settings name; a probe of our own that they name answers by itself."""
    model, flow, settings = context.model, context.flow, context.settings
    reader, ready = RowReader(model.signature, flow.predictor), orjson.dumps({"status": "ready"})

    def parse(body: bytes) -> Question:
        value = decode(body)
        if not isinstance(value, dict) or "instances" not in value:
            msg = "The body must be an object with the member `instances`, the rows."
            raise WrongForm(msg)
        method = method_of(value.get("parameters"), settings.predictions, model.outputs, "parameters")
        return Question.of(reader.read(value["instances"], "instances"), method)

    def predict(request: Request) -> Response:
        check_json(request)
        asked, outcome = flow.predict(request, parse)
        return Response(200, orjson.dumps({"predictions": values(outcome, asked.method, model.outputs)}))

    def health(_: Request) -> Response:
        context.readiness.check()
        return Response(200, ready)

    made = []
    if path := settings.vertex_predict_route:
        made.append(Route(path, {"POST": predict}, scope="predict", envelope=as_error, count=reader.count))
    if path := _health_route(settings):
        made.append(Route(path, {"GET": health}, scope=None, envelope=as_error))
    return made


def part(model: Model, settings: Settings) -> Part:
    """Write the dialect's part of the OpenAPI document."""
    paths: dict[str, dict[str, Any]] = {}
    if path := settings.vertex_predict_route:
        asked = object_schema({"instances": ref(ROWS)})
        asked["properties"]["parameters"] = parameters_schema()
        body = body_of(asked, {"instances": [model.signature.example()]})
        answer = object_schema({"predictions": ref(PREDICTIONS)})
        paths[path] = {
            "post": operation(
                "vertex_predict", "Predict", TAG, answer, error="Error", statuses=REFUSALS, requestBody=body
            )
        }
    if path := _health_route(settings):
        answer, statuses = object_schema({"status": {"const": "ready"}}), (*REFUSALS_OF_READS, 503)
        summary = "Whether requests are welcome"
        paths[path] = {"get": operation("vertex_health", summary, TAG, answer, error="Error", statuses=statuses)}
    schemas = {"Error": ERROR, **row_schemas(model, settings)} if paths else {}
    return Part(paths, schemas, dict.fromkeys({settings.vertex_predict_route} & paths.keys(), "predict"))


def _health_route(settings: Settings) -> str:
    return "" if settings.vertex_health_route in PROBES else settings.vertex_health_route


VERTEX: Final = Protocol(routes, part)
