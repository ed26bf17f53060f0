"""`GET /metrics`: Prometheus' page, right across all workers."""

from collections.abc import Mapping, Sequence

from server.admission import Readiness
from server.exchange import Request, Response
from server.routing import Route
from server.scoreboard import Scoreboard
from server.telemetry import Telemetry


def metrics_routes(
    telemetry: Telemetry, model_info: Mapping[str, str], scoreboard: Scoreboard, readiness: Readiness
) -> Sequence[Route]:
    """Make the route of the metrics; `model_info` are the labels of the model that is served."""

    def get(request: Request) -> Response:
        accept = request.headers.get("Accept", "")
        media_type, body = telemetry.expose(accept, model_info, scoreboard.read(), ready=readiness.ready)
        return Response(200, body, media_type)

    return [Route("/metrics", {"GET": get}, blocking=True, scope="metrics")]
