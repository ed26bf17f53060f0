"""`instances` in, `predictions` out: what the protocols of TensorFlow Serving's family have in common."""

from typing import Any

import orjson

from server.decoding import decode
from server.errors import WrongForm
from server.exchange import Endpoint, Request, Response
from server.model import Model
from server.openapi import ref
from server.protocols.answers import Question, method_asked, values
from server.protocols.envelopes import as_error
from server.protocols.forms import PREDICTIONS, ROWS, with_choice
from server.protocols.protocol import REFUSALS, Context, body_of, check_json, operation
from server.protocols.rows import RowReader
from server.routing import Route
from server.schemas import object_schema


def predict_endpoint(context: Context, reader: RowReader) -> Endpoint:
    """Make the endpoint that predicts."""
    model, flow, settings = context.model, context.flow, context.settings

    def parse(body: bytes) -> Question:
        value = decode(body)
        if not isinstance(value, dict) or "instances" not in value:
            msg = "The body must be an object with the member `instances`, the rows."
            raise WrongForm(msg)
        method = method_asked(value, settings.predictions, model.outputs)
        return Question.of(reader.read(value["instances"], "instances"), method)

    def predict(request: Request) -> Response:
        check_json(request)
        asked, outcome = flow.predict(request, parse)
        return Response(200, orjson.dumps({"predictions": values(outcome, asked.method, model.outputs)}))

    return predict


def predict_route(rule: str, predict: Endpoint, reader: RowReader) -> Route:
    """Make the route to that endpoint, or to one before it."""
    return Route(rule, {"POST": predict}, scope="predict", envelope=as_error, count=reader.count)


def predict_operation(name: str, tag: str, model: Model, **more: object) -> dict[str, Any]:
    """Write the operation; `more` is put in. Its schemas are `Error` and `forms.row_schemas`."""
    asked = with_choice(object_schema({"instances": ref(ROWS)}), model.outputs)
    body = body_of(asked, {"instances": [model.signature.example()]})
    answer = object_schema({"predictions": ref(PREDICTIONS)})
    return operation(name, "Predict", tag, answer, error="Error", statuses=REFUSALS, requestBody=body, **more)
