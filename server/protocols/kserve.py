"""KServe's first protocol, which is TensorFlow Serving's: `instances` in, `predictions` out.

Format: the "V1 data plane" of KServe's documentation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from server.decoding import decode
from server.errors import ModelNotFound, Unimplemented, WrongForm
from server.exchange import Request, RequestHeaders, Response
from server.flow import Asked
from server.model import Model
from server.openapi import Part
from server.protocols.answers import method_of, values
from server.protocols.envelopes import as_error
from server.protocols.protocol import (
    ERROR,
    REFUSALS,
    REFUSALS_OF_READS,
    Context,
    Protocol,
    body_of,
    operation,
    path_parameter,
)
from server.protocols.rows import RowReader
from server.routing import Route, Rows
from server.schemas import object_schema
from server.settings import Settings

TAG: Final = "KServe v1"


@dataclass(frozen=True, slots=True)
class Prediction(Asked):
    """Rows, and which of the estimator's methods is to answer."""

    method: str = "predict"


def routes(context: Context) -> Sequence[Route]:
    """Make the routes."""
    model, flow, settings = context.model, context.flow, context.settings
    name, reader = model.identity.name, RowReader(model.signature, flow.predictor)

    def check_name(request: Request) -> None:
        if request.variables["name"] != name:
            raise ModelNotFound(f"There is no such model; the one that is served here is {name}.")

    def parse(body: bytes) -> Prediction:
        value = decode(body)
        if not isinstance(value, dict) or "instances" not in value:
            msg = "The body must be an object with the member `instances`, the rows."
            raise WrongForm(msg)
        method = method_of(value.get("parameters"), settings.predictions, model.outputs, "parameters")
        return Prediction(reader.read(value["instances"], "instances"), method == "predict", method)

    def predict(request: Request) -> Response:
        check_name(request)
        asked, outcome = flow.predict(request, parse)
        return Response(200, orjson.dumps({"predictions": values(outcome, asked.method, model.outputs)}))

    def explain(request: Request) -> Response:
        check_name(request)
        raise Unimplemented("There is no explainer for this model; ask it to predict.")

    def show(request: Request) -> Response:
        check_name(request)
        return Response(200, orjson.dumps({"name": name, "ready": context.readiness.ready}))

    def count(_: RequestHeaders, body: bytes) -> Rows:
        return Rows(1, body.count(b",") // len(reader.names) + 1)

    return [
        Route("/v1/models", {"GET": lambda _: Response(200, orjson.dumps({"models": [name]}))}, envelope=as_error),
        Route("/v1/models/<path:name>", {"GET": show}, scope=None, envelope=as_error),
        Route("/v1/models/<path:name>:predict", {"POST": predict}, scope="predict", envelope=as_error, count=count),
        Route("/v1/models/<path:name>:explain", {"POST": explain}, scope="predict", envelope=as_error),
    ]


def part(model: Model, _: Settings) -> Part:
    """Write the dialect's part of the OpenAPI document."""
    example = model.signature.example()
    rows = {"anyOf": [{"type": "array", "minItems": 1}, {"type": "object"}]}
    asked = object_schema({"instances": rows})
    named = [path_parameter("name", model.identity.name)]
    of_model = object_schema({"name": {"type": "string"}, "ready": {"type": "boolean"}})
    listed = object_schema({"models": {"type": "array", "items": {"type": "string"}}})

    def read(operation_id: str, summary: str, answer: Mapping[str, Any], **more: object) -> dict[str, Any]:
        statuses = REFUSALS_OF_READS
        return operation(operation_id, summary, TAG, dict(answer), error="Error", statuses=statuses, **more)

    predictions = object_schema({"predictions": {"type": "array"}})
    asking = {"parameters": named, "requestBody": body_of(asked, {"instances": [example]})}
    explain = operation(
        "v1_explain",
        "Explain: there is no explainer",
        TAG,
        {},
        error="Error",
        statuses=(*REFUSALS, 501),
        parameters=named,
    )
    del explain["responses"]["200"]
    return Part(
        {
            "/v1/models": {"get": read("v1_models", "The models that are served", listed)},
            "/v1/models/{name}": {"get": read("v1_model", "Whether the model is ready", of_model, parameters=named)},
            "/v1/models/{name}:predict": {
                "post": operation("v1_predict", "Predict", TAG, predictions, error="Error", statuses=REFUSALS, **asking)
            },
            "/v1/models/{name}:explain": {"post": explain},
        },
        {"Error": ERROR},
        {"/v1/models": "info", "/v1/models/{name}:predict": "predict", "/v1/models/{name}:explain": "predict"},
    )


KSERVE: Final = Protocol(routes, part)
