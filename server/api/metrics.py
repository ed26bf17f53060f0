"""`GET /metrics`: Prometheus' page, right across all workers."""

from collections.abc import Sequence

from server.exchange import Request, Response, Route
from server.telemetry import Telemetry


def metrics_routes(telemetry: Telemetry) -> Sequence[Route]:
    """Make the route of the metrics."""

    def get(request: Request) -> Response:
        media_type, body = telemetry.expose(request.headers.get("Accept", ""))
        return Response(200, body, media_type)

    return [Route("/metrics", {"GET": get}, blocking=True)]
