"""KServe's first protocol, which is TensorFlow Serving's: `instances` in, `predictions` out.

Format: the "V1 data plane" of KServe's documentation. Its `GET /`, which says that the server is alive, is
`server.api.docs`'s.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from server.decoding import decode
from server.errors import ModelNotFound, NotReady, Unimplemented, WrongForm
from server.exchange import Request, Response
from server.model import Model
from server.negotiation import check_accepts
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
    path_parameter,
)
from server.protocols.rows import RowReader
from server.routing import Route
from server.schemas import object_schema
from server.settings import Settings

TAG: Final = "KServe v1"


def routes(context: Context) -> Sequence[Route]:
    """Make the routes."""
    model, flow, settings = context.model, context.flow, context.settings
    name, reader = model.identity.name, RowReader(model.signature, flow.predictor)
    listing, ready = orjson.dumps({"models": [name]}), orjson.dumps({"name": name, "ready": True})

    def check_name(request: Request) -> None:
        if request.variables["name"] != name:
            raise ModelNotFound(f"There is no such model; the one that is served here is {name}.")

    def parse(body: bytes) -> Question:
        value = decode(body)
        if not isinstance(value, dict) or "instances" not in value:
            msg = "The body must be an object with the member `instances`, the rows."
            raise WrongForm(msg)
        method = method_of(value.get("parameters"), settings.predictions, model.outputs, "parameters")
        return Question.of(reader.read(value["instances"], "instances"), method)

    def predict(request: Request) -> Response:
        check_name(request)
        check_json(request)
        asked, outcome = flow.predict(request, parse)
        return Response(200, orjson.dumps({"predictions": values(outcome, asked.method, model.outputs)}))

    def explain(request: Request) -> Response:
        check_name(request)
        raise Unimplemented("There is no explainer for this model; ask it to predict.")

    def list_models(request: Request) -> Response:
        check_accepts(request.headers.get("Accept", ""))
        return Response(200, listing)

    def show(request: Request) -> Response:
        check_name(request)
        check_accepts(request.headers.get("Accept", ""))
        if not context.readiness.ready:
            raise NotReady("The model is not ready: its server is about to stop, or its workers crash.")
        return Response(200, ready)

    return [
        Route("/v1/models", {"GET": list_models}, envelope=as_error),
        Route("/v1/models/<path:name>", {"GET": show}, scope=None, envelope=as_error),
        Route(
            "/v1/models/<path:name>:predict", {"POST": predict}, scope="predict", envelope=as_error, count=reader.count
        ),
        Route("/v1/models/<path:name>:explain", {"POST": explain}, scope="predict", envelope=as_error),
    ]


def part(model: Model, settings: Settings) -> Part:
    """Write the dialect's part of the OpenAPI document."""
    asked = object_schema({"instances": ref(ROWS)})
    asked["properties"]["parameters"] = parameters_schema()
    named = [path_parameter("name", model.identity.name)]
    of_model = object_schema({"name": {"type": "string"}, "ready": {"const": True}})
    listed = object_schema({"models": {"type": "array", "items": {"type": "string"}}})
    predictions = object_schema({"predictions": ref(PREDICTIONS)})
    asking = {"parameters": named, "requestBody": body_of(asked, {"instances": [model.signature.example()]})}

    def write(name: str, summary: str, answer: Mapping[str, Any], statuses: Sequence[int], **more: object) -> Any:  # noqa: ANN401
        return operation(name, summary, TAG, dict(answer), error="Error", statuses=statuses, **more)

    explain = write("v1_explain", "Explain: there is no explainer", {}, (*REFUSALS, 501), parameters=named)
    del explain["responses"]["200"]
    show = write("v1_model", "Whether the model is ready", of_model, (*REFUSALS_OF_READS, 503), parameters=named)
    return Part(
        {
            "/v1/models": {"get": write("v1_models", "The models that are served", listed, REFUSALS_OF_READS)},
            "/v1/models/{name}": {"get": show},
            "/v1/models/{name}:predict": {"post": write("v1_predict", "Predict", predictions, REFUSALS, **asking)},
            "/v1/models/{name}:explain": {"post": explain},
        },
        {"Error": ERROR, **row_schemas(model, settings)},
        {"/v1/models": "info", "/v1/models/{name}:predict": "predict", "/v1/models/{name}:explain": "predict"},
    )


KSERVE: Final = Protocol(routes, part)
