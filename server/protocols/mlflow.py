"""MLflow's scoring protocol, which is also what Amazon SageMaker asks of a container.

Formats: the scoring server's part of MLflow's documentation, since its release 2.0; "Use Your Own Inference Code with
Hosting Services" of SageMaker's.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.metadata import version
from typing import Any, Final

import orjson

from server.errors import InvalidInput, NotReady, UnsupportedMediaType
from server.exchange import Request, Response
from server.model import Model
from server.negotiation import check_accepts
from server.openapi import Part, answer_headers, ref
from server.protocols.answers import Question, method_of, values
from server.protocols.envelopes import error_response, sentence, status_of
from server.protocols.forms import PREDICTIONS, ROWS, parameters_schema, row_schemas
from server.protocols.frames import FORMS, FrameReader, decode_frames
from server.protocols.protocol import REFUSALS, Context, Protocol, body_of, check_json, operation
from server.routing import Route
from server.schemas import Schema, object_schema
from server.settings import Settings

TAG: Final = "MLflow and SageMaker"
TEXT: Final = "text/plain; charset=utf-8"
# MLflow's names for what else went wrong: BAD_REQUEST.
ERROR_CODES: Final[Mapping[int, str]] = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "ENDPOINT_NOT_FOUND",
    429: "REQUEST_LIMIT_EXCEEDED",
    500: "INTERNAL_ERROR",
    503: "TEMPORARILY_UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def as_mlflow_error(error: Exception, _: str) -> Response:
    """Write an error as MLflow does: a name for its kind, and a sentence."""
    code = ERROR_CODES.get(status_of(error), "BAD_REQUEST")
    if isinstance(error, InvalidInput):
        code = "INVALID_PARAMETER_VALUE"
    return error_response(error, {"error_code": code, "message": sentence(error)})


@lru_cache(maxsize=64)  # clients send the same header again and again
def check_parameters(content_type: str) -> None:
    """Raise `UnsupportedMediaType` for a parameter of a media type that says what MLflow's releases before 2.0 read."""
    names = [part.partition("=")[0].strip().lower() for part in content_type.split(";")[1:]]
    if any(name not in ("", "charset", "header") for name in names):
        msg = (
            "The media type has parameters of a protocol that MLflow had before its release 2.0; send application/json "
            f"without them, and the rows as one of the members {', '.join(FORMS)}."
        )
        raise UnsupportedMediaType(msg)


def routes(context: Context) -> Sequence[Route]:
    """Make the routes."""
    model, flow, settings = context.model, context.flow, context.settings
    reader, ours = FrameReader(model.signature, flow.predictor), version("brinery").encode()

    def parse(body: bytes) -> Question:
        document = decode_frames(body)
        params = document.get("params") if isinstance(document, dict) else None
        method = method_of(params, settings.predictions, model.outputs, "params")
        return Question.of(reader.read_body(document), method)

    def invoke(request: Request) -> Response:
        check_parameters(request.headers.get("Content-Type", ""))
        check_json(request)
        asked, outcome = flow.predict(request, parse)
        return Response(200, orjson.dumps({"predictions": values(outcome, asked.method, model.outputs)}))

    def ping(_: Request) -> Response:
        if not context.readiness.ready:
            msg = "The server is about to stop, or its workers crash; send requests to another one."
            raise NotReady(msg)
        return Response(200, b"\n", TEXT)

    def tell_version(request: Request) -> Response:
        check_accepts(request.headers.get("Accept", ""), "text/plain")
        return Response(200, ours, TEXT)

    return [
        Route("/invocations", {"POST": invoke}, scope="predict", envelope=as_mlflow_error, count=reader.count),
        Route("/ping", {"GET": ping}, scope=None, envelope=as_mlflow_error),
        Route("/health", {"GET": ping}, scope=None, envelope=as_mlflow_error),
        Route("/version", {"GET": tell_version}, envelope=as_mlflow_error),
    ]


def part(model: Model, settings: Settings) -> Part:
    """Write the dialect's part of the OpenAPI document."""
    names = [parameter.name for parameter in model.signature.parameters]
    row = model.signature.example()
    predictions = object_schema({"predictions": ref(PREDICTIONS)})
    error = object_schema({"error_code": {"type": "string"}, "message": {"type": "string"}})
    body = body_of(_body_schema(names, settings), {"dataframe_split": {"columns": names, "data": [[*row.values()]]}})
    examples = body["content"]["application/json"]["examples"]
    examples["records"] = {"value": {"dataframe_records": [row]}}

    def write(name: str, summary: str, statuses: Sequence[int], **more: object) -> dict[str, Any]:
        return operation(name, summary, TAG, predictions, error="MlflowError", statuses=statuses, **more)

    def read(name: str, summary: str, statuses: Sequence[int]) -> Mapping[str, Any]:
        made = write(name, summary, statuses)
        text = {"text/plain": {"schema": {"type": "string"}}}
        made["responses"]["200"] = {"description": summary + ".", "headers": answer_headers(), "content": text}
        return {"get": made}

    return Part(
        {
            "/invocations": {"post": write("invocations", "Predict for rows", REFUSALS, requestBody=body)},
            "/ping": read("ping", "Whether requests are welcome", (400, 405, 500, 503)),
            "/health": read("mlflow_health", "Whether requests are welcome", (400, 405, 500, 503)),
            "/version": read("version", "The version of the server", (400, 405, 406, 500)),
        },
        {"MlflowError": error, **row_schemas(model, settings)},
        {"/invocations": "predict", "/version": "info"},
    )


def _body_schema(names: Sequence[str], settings: Settings) -> Schema:
    count = {"minItems": 1, "maxItems": settings.max_rows}
    records = {"type": "array", "items": ref("Record"), **count}
    split = object_schema({"data": {"type": "array", **count}})
    split["additionalProperties"] = False
    split["properties"] |= {
        "columns": {
            "description": "The columns' names in the order of the values; without them that of the parameters.",
            "anyOf": [
                {"type": "array", "items": {"type": "string", "examples": list(names)}, "uniqueItems": True},
                {"const": list(range(len(names)))},
                {"type": "null"},
            ],
        },
        "index": {"type": ["array", "null"], "description": "Names of the rows, which are not used."},
    }
    forms = {
        "dataframe_split": split,
        "dataframe_records": records,
        "instances": ref(ROWS),
        "inputs": {"anyOf": [ref(ROWS), ref("Record")]},
    }
    return {
        "type": "object",
        "properties": {**forms, "params": parameters_schema()},
        "oneOf": [{"required": [form]} for form in FORMS],
    }


MLFLOW: Final = Protocol(routes, part)
