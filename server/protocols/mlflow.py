"""MLflow's scoring protocol, which is also what Amazon SageMaker asks of a container.

Formats: the scoring server's part of MLflow's documentation, since its release 2.0; "Use Your Own Inference Code with
Hosting Services" of SageMaker's.
"""

import csv
import io
import itertools
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from importlib.metadata import version
from typing import Any, Final

import orjson

from server.columns import Named
from server.errors import InvalidInput, NotReady, UnsupportedMediaType
from server.exchange import Request, RequestHeaders, Response
from server.formats.delimited import CsvReader, count_lines, write_csv, written
from server.model import Model
from server.negotiation import CSV, JSON, BodyForm, check_accepts, form_of_body, is_utf_8, preferred, read_media_type
from server.openapi import Part, answer_headers, ref
from server.outputs import Outputs
from server.parameter import Scalar
from server.protocols.answers import Question, method_asked, values
from server.protocols.envelopes import error_response, sentence, status_of
from server.protocols.forms import PREDICTIONS, ROWS, SPLIT, frame_schemas, with_choice
from server.protocols.frames import FORMS, FrameReader, decode_frames
from server.protocols.protocol import REFUSALS, Context, Protocol, body_of, operation
from server.routing import Route, Rows
from server.schemas import Schema, object_schema
from server.settings import Settings

TAG: Final = "MLflow and SageMaker"
TEXT: Final = "text/plain; charset=utf-8"
LINES: Final = f"{CSV}; charset=utf-8; header=absent"
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


@lru_cache(maxsize=64)  # clients send the same headers again and again
def form_of_frames(content_type: str, content_encoding: str) -> BodyForm:
    """Give the form of a body, JSON where none is said; raise `UnsupportedMediaType` for one that is not read."""
    media_type, parameters = read_media_type(content_type)
    if media_type not in ("", JSON, CSV) or not is_utf_8(parameters):
        msg = f"The body must be {JSON} or {CSV}, in UTF-8; say which by the header Content-Type."
        raise UnsupportedMediaType(msg)
    if any(name not in ("charset", "header") for name, _ in parameters):
        msg = (
            "The media type has parameters of a protocol that MLflow had before its release 2.0; send application/json "
            f"without them, and the rows as one of the members {', '.join(FORMS)}."
        )
        raise UnsupportedMediaType(msg)
    return form_of_body(content_type or JSON, content_encoding)


def write_lines(values: Sequence[Any]) -> bytes:
    """Write the value of each row as a line of CSV, without names, as the containers of SageMaker do."""
    target = io.StringIO(newline="")
    csv.writer(target).writerows(written(_flat(value)) for value in values)
    return target.getvalue().encode()


def _flat(value: object) -> Iterable[object]:
    return itertools.chain.from_iterable(map(_flat, value)) if isinstance(value, list) else [value]


def routes(context: Context) -> Sequence[Route]:
    """Make the routes."""
    model, flow, settings = context.model, context.flow, context.settings
    reader, tables = FrameReader(model.signature, flow.predictor), CsvReader(model.signature)
    ours = version("brinery").encode()

    def parse(body: bytes) -> Question:
        document = decode_frames(body)
        asked = document if isinstance(document, dict) else {}
        method = method_asked(asked, settings.predictions, model.outputs)
        return Question.of(reader.read_body(document), method)

    def parse_csv(body: bytes, header: bool | None) -> Question:
        columns, count = tables.columns(body, header=header, most=flow.predictor.max_rows)
        method = method_asked({}, settings.predictions, model.outputs)
        return Question.of(flow.predictor.batch_of_columns(columns, count), method)

    def invoke(request: Request) -> Response:
        headers = request.headers
        form = form_of_frames(headers.get("Content-Type", ""), headers.get("Content-Encoding", ""))
        media_type = preferred(headers.get("Accept", ""), (JSON, CSV))
        read = parse if form.media_type == JSON else lambda body: parse_csv(body, form.header)
        asked, outcome = flow.predict(request, read)
        answer = values(outcome, asked.method, model.outputs)
        if media_type == CSV:
            return Response(200, write_lines(answer), LINES)
        return Response(200, orjson.dumps({"predictions": answer}))

    def count(headers: RequestHeaders, body: bytes) -> Rows:
        is_csv = headers.get("Content-Type", "").strip().lower().startswith(CSV)
        return Rows(*count_lines(body)) if is_csv else reader.count(headers, body)

    def ping(_: Request) -> Response:
        if not context.readiness.ready:
            msg = "The server is about to stop, or its workers crash; send requests to another one."
            raise NotReady(msg)
        return Response(200, b"\n", TEXT)

    def tell_version(request: Request) -> Response:
        check_accepts(request.headers.get("Accept", ""), "text/plain")
        return Response(200, ours, TEXT)

    return [
        Route("/invocations", {"POST": invoke}, scope="predict", envelope=as_mlflow_error, count=count),
        Route("/ping", {"GET": ping}, scope=None, envelope=as_mlflow_error, probe=True),
        Route("/health", {"GET": ping}, scope=None, envelope=as_mlflow_error, probe=True),
        Route("/version", {"GET": tell_version}, envelope=as_mlflow_error),
    ]


def part(model: Model, settings: Settings) -> Part:
    """Write the protocol's part of the OpenAPI document."""
    names = [parameter.name for parameter in model.signature.parameters]
    row = model.signature.example()
    predictions = object_schema({"predictions": ref(PREDICTIONS)})
    error = object_schema({"error_code": {"type": "string"}, "message": {"type": "string"}})
    split = {"dataframe_split": {"columns": names, "data": [[*row.values()]]}}
    body = body_of(_body_schema(model.outputs, settings), split)
    examples = body["content"]["application/json"]["examples"]
    examples["records"] = {"value": {"dataframe_records": [row]}}
    text = {"schema": {"type": "string"}}
    body["content"][CSV] = {**text, "examples": {"rows": {"value": _csv_of(row)}}}

    def write(name: str, summary: str, statuses: Sequence[int], **more: object) -> dict[str, Any]:
        return operation(name, summary, TAG, predictions, error="MlflowError", statuses=statuses, **more)

    def read(name: str, summary: str, statuses: Sequence[int]) -> Mapping[str, Any]:
        made = write(name, summary, statuses)
        answer = {"description": summary + ".", "headers": answer_headers(), "content": {"text/plain": text}}
        made["responses"]["200"] = answer
        return {"get": made}

    invocations = write("invocations", "Predict for rows", REFUSALS, requestBody=body)
    invocations["responses"]["200"]["content"][CSV] = text
    return Part(
        {
            "/invocations": {"post": invocations},
            "/ping": read("ping", "Whether requests are welcome", (400, 405, 500, 503)),
            "/health": read("mlflow_health", "Whether requests are welcome", (400, 405, 500, 503)),
            "/version": read("version", "The version of the server", (400, 405, 406, 500)),
        },
        {"MlflowError": error, **frame_schemas(model, settings)},
        {"/invocations": "predict", "/version": "info"},
    )


def _csv_of(row: Mapping[str, Scalar]) -> str:
    return write_csv([Named(name, str, [value]) for name, value in row.items()]).decode()


def _body_schema(outputs: Outputs, settings: Settings) -> Schema:
    count = {"minItems": 1, "maxItems": settings.max_rows}
    records = {"type": "array", "items": ref("Record"), **count}
    forms = {
        "dataframe_split": ref(SPLIT),
        "dataframe_records": records,
        "instances": ref(ROWS),
        "inputs": {"anyOf": [ref(ROWS), ref("Record")]},
    }
    body = {"type": "object", "properties": forms, "oneOf": [{"required": [form]} for form in FORMS]}
    return with_choice(body, outputs)


MLFLOW: Final = Protocol(routes, part)
