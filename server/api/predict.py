"""`POST /api/predict` and `GET /api/predict/params`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import orjson

from server.errors import FieldError, InvalidInput, UnsupportedMediaType
from server.exchange import Request, RequestHeaders, Response
from server.flow import Asked, Flow
from server.formats.arrow import count_stream
from server.formats.arrow_reader import ArrowReader
from server.formats.arrow_writer import write_arrow
from server.formats.delimited import CsvReader, count_lines, write_csv
from server.model import Model
from server.negotiation import (
    ARROW,
    CSV,
    JSON,
    BodyForm,
    check_accepts,
    form_of_body,
    preferred,
    prefers_lenient,
)
from server.openapi import params
from server.predictor import Batch, Write
from server.problems import describe
from server.routing import Route, Rows, count_objects

WRITTEN: Final = (JSON, CSV, ARROW)
MEDIA_TYPES: Final[Mapping[str, str]] = {JSON: JSON, CSV: f"{CSV}; charset=utf-8; header=present", ARROW: ARROW}
WRITERS: Final[Mapping[str, Write]] = {CSV: write_csv, ARROW: write_arrow}
COUNTS: Final[Mapping[str, Callable[[bytes], tuple[int, int]]]] = {CSV: count_lines, ARROW: count_stream}


def predict_routes(model: Model, flow: Flow) -> Sequence[Route]:
    """Make the routes that predict and that say what can be sent."""
    listing, predictor = orjson.dumps(params(model)), flow.predictor
    csv, arrow, most = CsvReader(model.signature), ArrowReader(model.signature), predictor.max_rows

    def read(body: bytes, form: BodyForm, *, lenient: bool) -> Batch:
        if form.media_type == JSON:
            return predictor.parse(body, lenient=lenient)
        columns, count = (
            csv.columns(body, header=form.header, most=most)
            if form.media_type == CSV
            else arrow.columns(body, most=most)
        )
        return predictor.batch_of_columns(columns, count, lenient=lenient)

    def predict(request: Request) -> Response:
        headers = request.headers
        form = form_of_body(headers.get("Content-Type", ""), headers.get("Content-Encoding", ""))
        media_type = preferred(headers.get("Accept", ""), WRITTEN)
        full = _wants_full(request.query.get("detail"))
        lenient = prefers_lenient(headers.get("Prefer", ""))
        asked, evaluation = flow.evaluate(request, lambda body: Asked(read(body, form, lenient=lenient), full))
        answer = predictor.render(
            asked.batch,
            evaluation,
            describe=lambda error: describe(error, request.id),
            prediction_id=request.id,
            full=full,
            write=WRITERS.get(media_type),
        )
        flow.count(request, answer.rows, answer.tally, answer.failures)
        preferences = [("Preference-Applied", "handling=lenient")] if asked.batch.lenient else []
        return Response(200, answer.body, MEDIA_TYPES[media_type], headers=preferences)

    def list_params(request: Request) -> Response:
        check_accepts(request.headers.get("Accept", ""))
        return Response(200, listing)

    return [
        Route("/api/predict", {"POST": predict}, scope="predict", count=count_rows),
        Route("/api/predict/params", {"GET": list_params}),
    ]


def count_rows(headers: RequestHeaders, body: bytes) -> Rows:
    """Count the rows of a body in any form that is read."""
    media_type = headers.get("Content-Type", "")
    if media_type == JSON:
        return count_objects(headers, body)
    try:
        name = form_of_body(media_type, "").media_type
    except UnsupportedMediaType:
        return Rows(1, 1)
    return Rows(*COUNTS[name](body)) if name in COUNTS else count_objects(headers, body)


def _wants_full(values: Sequence[str] | None) -> bool:
    """Read the query parameter `detail`; raise `InvalidInput` for any value that is not `full`."""
    if values is None:
        return False
    if values == ["full"]:
        return True
    detail = "The query parameter detail must be `full`, or be left out."
    raise InvalidInput([FieldError("?detail", "not_allowed", detail, allowed=("full",))], 1)
