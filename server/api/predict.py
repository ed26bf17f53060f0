"""`POST /api/predict` and `GET /api/predict/params`."""

from collections.abc import Sequence

import orjson

from server.errors import FieldError, InvalidInput
from server.exchange import Request, Response
from server.flow import Asked, Flow
from server.model import Model
from server.negotiation import check_accepts, check_json_body, prefers_lenient
from server.openapi import params
from server.problems import describe
from server.routing import Route


def predict_routes(model: Model, flow: Flow) -> Sequence[Route]:
    """Make the routes that predict and that say what can be sent."""
    listing, predictor = orjson.dumps(params(model)), flow.predictor

    def predict(request: Request) -> Response:
        headers = request.headers
        check_json_body(headers.get("Content-Type", ""), headers.get("Content-Encoding", ""))
        check_accepts(headers.get("Accept", ""))
        full = _wants_full(request.query.get("detail"))
        lenient = prefers_lenient(headers.get("Prefer", ""))
        asked, evaluation = flow.evaluate(request, lambda body: Asked(predictor.parse(body, lenient=lenient), full))
        answer = predictor.render(
            asked.batch,
            evaluation,
            describe=lambda error: describe(error, request.id),
            prediction_id=request.id,
            full=full,
        )
        flow.count(request, answer.rows, answer.tally, answer.failures)
        preferences = [("Preference-Applied", "handling=lenient")] if asked.batch.lenient else []
        return Response(200, answer.body, headers=preferences)

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
