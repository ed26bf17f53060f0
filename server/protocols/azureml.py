"""Azure Machine Learning's scoring: `input_data`, or `data`, in; a list with a value for each row out.

Formats: the requests of MLflow models that online endpoints of Azure Machine Learning serve; the errors of its package
azureml-inference-server-http.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import orjson

from server.decoding import decode
from server.errors import WrongForm
from server.exchange import Request, Response
from server.model import Model
from server.openapi import Part, ref
from server.predictor import Batch
from server.protocols.answers import Question, method_of, values
from server.protocols.envelopes import error_response, sentence
from server.protocols.forms import PREDICTIONS, ROWS, parameters_schema, row_schemas, value_schema
from server.protocols.protocol import REFUSALS, Context, Protocol, body_of, check_json, operation
from server.protocols.rows import RowReader
from server.routing import Route
from server.schemas import Schema, object_schema
from server.settings import Settings

TAG: Final = "Azure ML"
SCORE: Final = "/score"
MEMBERS: Final = ("input_data", "data")
SPLIT: Final = frozenset({"columns", "index", "data"})


def as_message(error: Exception, _: str) -> Response:
    """Write an error as `{"message": sentence}`."""
    return error_response(error, {"message": sentence(error)})


def routes(context: Context) -> Sequence[Route]:
    """Make the route."""
    model, flow, settings = context.model, context.flow, context.settings
    reader = RowReader(model.signature, flow.predictor)

    def parse(body: bytes) -> Question:
        value = decode(body)
        if not isinstance(value, dict) or ("input_data" in value) == ("data" in value):
            msg = "The body must be an object with the rows as its member `input_data`, or `data`."
            raise WrongForm(msg)
        method = method_of(value.get("params"), settings.predictions, model.outputs, "params")
        member = "data" if "data" in value else "input_data"
        rows = value[member]
        batch = _split(reader, rows, member) if _is_split(rows) else reader.read(rows, member)
        return Question.of(batch, method)

    def score(request: Request) -> Response:
        check_json(request)
        asked, outcome = flow.predict(request, parse)
        return Response(200, orjson.dumps(values(outcome, asked.method, model.outputs)))

    return [Route(SCORE, {"POST": score}, scope="predict", envelope=as_message, count=reader.count)]


def _is_split(rows: object) -> bool:
    return isinstance(rows, dict) and rows.keys() >= {"columns", "data"} and rows.keys() <= SPLIT


def _split(reader: RowReader, table: Mapping[str, object], member: str) -> Batch:
    """Read a table as pandas splits it, whose `index` says nothing; raise `WrongForm`, or as `RowReader.lists` does."""
    names, rows = table["columns"], table["data"]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        msg = f"`{member}.columns` must be a list of names, each of them once."
        raise WrongForm(msg)
    if not isinstance(rows, list):
        msg = f"`{member}.data` must be a list of rows, each a list of values."
        raise WrongForm(msg)
    return reader.lists(rows, f"{member}.data", names)


def part(model: Model, settings: Settings) -> Part:
    """Write the dialect's part of the OpenAPI document."""
    row = model.signature.example()
    example = {"input_data": {"columns": list(row), "index": [0], "data": [list(row.values())]}}
    rows = {"anyOf": [ref(ROWS), ref("Split")]}
    asked: Schema = {
        "type": "object",
        "properties": {**dict.fromkeys(MEMBERS, rows), "params": parameters_schema()},
        "oneOf": [{"required": [member]} for member in MEMBERS],
    }
    body = body_of(asked, example)
    post = operation("score", "Predict", TAG, ref(PREDICTIONS), error="Message", statuses=REFUSALS, requestBody=body)
    schemas = {
        "Message": object_schema({"message": {"type": "string"}}),
        "Split": _split_schema(model, settings),
        **row_schemas(model, settings),
    }
    return Part({SCORE: {"post": post}}, schemas, {SCORE: "predict"})


def _split_schema(model: Model, settings: Settings) -> Schema:
    """Write the schema of a table whose columns have the parameters' order, since it cannot say that of all orders."""
    parameters = model.signature.parameters
    rows = [ref("ListedRow"), *([value_schema(parameters[0])] if len(parameters) == 1 else [])]
    data = {"type": "array", "items": {"anyOf": rows}, "minItems": 1, "maxItems": settings.max_rows}
    split = object_schema({"columns": {"const": [parameter.name for parameter in parameters]}, "data": data})
    split["properties"]["index"] = {"description": "Names of the rows, which are not used."}
    return {**split, "additionalProperties": False, "description": "The columns may have any order, as the values do."}


AZUREML: Final = Protocol(routes, part)
