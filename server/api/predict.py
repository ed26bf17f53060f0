"""`POST /api/predict` and `GET /api/predict/params`."""

import time
from collections.abc import Sequence

import orjson

from server.admission import Deadline
from server.batching import EngineBusy
from server.errors import FieldError, InvalidInput
from server.exchange import Request, Response, Route
from server.model import Model
from server.negotiation import check_accepts, check_json_body, prefers_lenient
from server.openapi import params
from server.predictor import Predictor
from server.problems import describe, type_of
from server.settings import Settings
from server.telemetry import Telemetry


def predict_routes(model: Model, predictor: Predictor, telemetry: Telemetry, settings: Settings) -> Sequence[Route]:
    """Make the routes that predict and that say what can be sent."""
    listing = orjson.dumps(params(model))

    def predict(request: Request) -> Response:
        headers = request.headers
        check_json_body(headers.get("Content-Type", ""), headers.get("Content-Encoding", ""))
        check_accepts(headers.get("Accept", ""))
        full = _wants_full(request.query.get("detail"))
        lenient = prefers_lenient(headers.get("Prefer", ""))
        deadline = request.deadline or Deadline(settings.deadline)
        body = request.read(settings.max_body_bytes)

        start = time.perf_counter()
        batch = predictor.parse(body, lenient=lenient)
        parsed = time.perf_counter()
        request.rows = len(batch.rows)
        deadline.check()  # no work for an answer that comes too late
        try:
            evaluation = predictor.evaluate(batch, full=full, timeout=deadline.remaining())
        except EngineBusy:
            raise deadline.exceeded() from None
        evaluated = time.perf_counter()
        answer = predictor.render(
            batch,
            evaluation,
            describe=lambda error: describe(error, request.id),
            prediction_id=request.id,
            full=full,
        )
        deadline.check()
        seconds = evaluated - parsed - evaluation.waited
        request.timings["queue"] = request.timings.get("queue", 0.0) + evaluation.waited
        request.timings |= {"parse": parsed - start, "model": seconds}
        telemetry.predicted(answer.rows, answer.tally, seconds)
        if answer.failures:
            telemetry.rejected(type_of(failure).slug for failure in answer.failures)
        return Response(200, answer.body, headers=[("Preference-Applied", "handling=lenient")] if batch.lenient else [])

    def list_params(request: Request) -> Response:
        check_accepts(request.headers.get("Accept", ""))
        return Response(200, listing)

    return [
        Route("/api/predict", {"POST": predict}, scope="predict"),
        Route("/api/predict/params", {"GET": list_params}),
    ]


def _wants_full(values: Sequence[str] | None) -> bool:
    """Read the query parameter `detail`; raise `InvalidInput` for any value that is not `full`."""
    if values is None:
        return False
    if values == ["full"]:
        return True
    detail = "The query parameter detail must be `full`, or be left out."
    raise InvalidInput([FieldError("?detail", "not_allowed", detail, allowed=("full",))], 1)
