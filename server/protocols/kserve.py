"""KServe's first protocol, which is TensorFlow Serving's: `instances` in, `predictions` out.

Format: the "V1 data plane" of KServe's documentation. Its `GET /`, which says that the server is alive, is
`server.api.docs`'s.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from server.errors import Unimplemented
from server.exchange import Request, Response
from server.model import Model
from server.negotiation import check_accepts
from server.openapi import Part
from server.protocols.envelopes import as_error
from server.protocols.forms import row_schemas
from server.protocols.instances import predict_endpoint, predict_operation, predict_route
from server.protocols.protocol import (
    ERROR,
    REFUSALS,
    REFUSALS_OF_READS,
    Context,
    Protocol,
    check_model,
    operation,
    path_parameter,
)
from server.protocols.rows import RowReader
from server.routing import Route
from server.schemas import object_schema
from server.settings import Settings

TAG: Final = "KServe v1"


def routes(context: Context) -> Sequence[Route]:
    """Make the routes."""
    model = context.model
    name, reader = model.identity.name, RowReader(model.signature, context.flow.predictor)
    answer = predict_endpoint(context, reader)
    listing, ready = orjson.dumps({"models": [name]}), orjson.dumps({"name": name, "ready": True})

    def check_name(request: Request) -> None:
        check_model(model.identity, request.variables["name"])

    def predict(request: Request) -> Response:
        check_name(request)
        return answer(request)

    def explain(request: Request) -> Response:
        check_name(request)
        raise Unimplemented("There is no explainer for this model; ask it to predict.")

    def list_models(request: Request) -> Response:
        check_accepts(request.headers.get("Accept", ""))
        return Response(200, listing)

    def show(request: Request) -> Response:
        check_name(request)
        check_accepts(request.headers.get("Accept", ""))
        context.readiness.check()
        return Response(200, ready)

    return [
        Route("/v1/models", {"GET": list_models}, envelope=as_error),
        Route("/v1/models/<path:name>", {"GET": show}, scope=None, envelope=as_error),
        predict_route("/v1/models/<path:name>:predict", predict, reader),
        Route("/v1/models/<path:name>:explain", {"POST": explain}, scope="predict", envelope=as_error),
    ]


def part(model: Model, settings: Settings) -> Part:
    """Write the protocol's part of the OpenAPI document."""
    named = [path_parameter("name", model.identity.name)]
    of_model = object_schema({"name": {"type": "string"}, "ready": {"const": True}})
    listed = object_schema({"models": {"type": "array", "items": {"type": "string"}}})

    def write(name: str, summary: str, answer: Mapping[str, Any], statuses: Sequence[int], **more: object) -> Any:  # noqa: ANN401
        return operation(name, summary, TAG, dict(answer), error="Error", statuses=statuses, **more)

    explain = write("v1_explain", "Explain: there is no explainer", {}, (*REFUSALS, 501), parameters=named)
    del explain["responses"]["200"]
    show = write("v1_model", "Whether the model is ready", of_model, (*REFUSALS_OF_READS, 503), parameters=named)
    return Part(
        {
            "/v1/models": {"get": write("v1_models", "The models that are served", listed, REFUSALS_OF_READS)},
            "/v1/models/{name}": {"get": show},
            "/v1/models/{name}:predict": {"post": predict_operation("v1_predict", TAG, model, parameters=named)},
            "/v1/models/{name}:explain": {"post": explain},
        },
        {"Error": ERROR, **row_schemas(model, settings)},
        {"/v1/models": "info", "/v1/models/{name}:predict": "predict", "/v1/models/{name}:explain": "predict"},
    )


KSERVE: Final = Protocol(routes, part)
