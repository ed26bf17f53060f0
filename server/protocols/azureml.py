"""Azure Machine Learning's scoring: `input_data`, or `data`, in; a list with a value for each row out.

Formats: the requests of MLflow models that online endpoints of Azure Machine Learning serve; the errors of its package
azureml-inference-server-http.
"""

from collections.abc import Sequence
from typing import Final

import orjson

from server.decoding import decode
from server.errors import WrongForm
from server.exchange import Request, Response
from server.model import Model
from server.openapi import Part, ref
from server.protocols.answers import Question, method_asked, values
from server.protocols.envelopes import error_response, sentence
from server.protocols.forms import PREDICTIONS, ROWS, SPLIT, frame_schemas, with_choice
from server.protocols.frames import FrameReader
from server.protocols.protocol import REFUSALS, Context, Protocol, body_of, check_json, operation
from server.routing import Route
from server.schemas import Schema, object_schema
from server.settings import Settings

TAG: Final = "Azure ML"
SCORE: Final = "/score"
MEMBERS: Final = ("input_data", "data")


def as_message(error: Exception, _: str) -> Response:
    """Write an error as `{"message": sentence}`."""
    return error_response(error, {"message": sentence(error)})


def routes(context: Context) -> Sequence[Route]:
    """Make the route."""
    model, flow, settings = context.model, context.flow, context.settings
    reader = FrameReader(model.signature, flow.predictor)

    def parse(body: bytes) -> Question:
        value = decode(body)
        if not isinstance(value, dict) or ("input_data" in value) == ("data" in value):
            msg = "The body must be an object with the rows as its member `input_data`, or `data`."
            raise WrongForm(msg)
        method = method_asked(value, settings.predictions, model.outputs)
        member = "data" if "data" in value else "input_data"
        rows = value[member]
        batch = reader.split(rows, member) if reader.is_split(rows) else reader.read(rows, member)
        return Question.of(batch, method)

    def score(request: Request) -> Response:
        check_json(request)
        asked, outcome = flow.predict(request, parse)
        return Response(200, orjson.dumps(values(outcome, asked.method, model.outputs)))

    return [Route(SCORE, {"POST": score}, scope="predict", envelope=as_message, count=reader.count)]


def part(model: Model, settings: Settings) -> Part:
    """Write the protocol's part of the OpenAPI document."""
    row = model.signature.example()
    example = {"input_data": {"columns": list(row), "index": [0], "data": [list(row.values())]}}
    rows = {"anyOf": [ref(ROWS), ref(SPLIT)]}
    asked: Schema = {
        "type": "object",
        "properties": dict.fromkeys(MEMBERS, rows),
        "oneOf": [{"required": [member]} for member in MEMBERS],
    }
    body = body_of(with_choice(asked, model.outputs), example)
    post = operation("score", "Predict", TAG, ref(PREDICTIONS), error="Message", statuses=REFUSALS, requestBody=body)
    schemas = {"Message": object_schema({"message": {"type": "string"}}), **frame_schemas(model, settings)}
    return Part({SCORE: {"post": post}}, schemas, {SCORE: "predict"})


AZUREML: Final = Protocol(routes, part)
