"""`GET /api/health`, `/api/health/live` and `/api/health/ready`."""

from collections.abc import Sequence

import orjson

from server.admission import Readiness
from server.exchange import Request, Response
from server.model import Model
from server.negotiation import check_accepts
from server.routing import Route

ALIVE = b'{"status":"alive"}'
READY = b'{"status":"ready"}'


def health_routes(model: Model, readiness: Readiness) -> Sequence[Route]:
    """Make the health routes; that there is a `model` says that it was loaded, tried and warmed up."""

    def live(request: Request) -> Response:
        check_accepts(request.headers.get("Accept", ""))
        return Response(200, ALIVE)

    def ready(request: Request) -> Response:
        check_accepts(request.headers.get("Accept", ""))
        readiness.check()
        return Response(200, READY)

    def health(request: Request) -> Response:
        check_accepts(request.headers.get("Accept", ""))
        server = "draining" if readiness.draining else "unstable" if readiness.unstable else "ready"
        report = {
            "status": server,
            "components": {
                "server": {"status": server},
                "model": {"status": "ready", "name": model.identity.name, "version": model.identity.version_text},
                "engine": {"status": "ready", "name": model.engine.name},
            },
        }
        return Response(200, orjson.dumps(report))

    return [
        Route("/api/health", {"GET": health}, scope=None),
        Route("/api/health/live", {"GET": live}, scope=None, probe=True),
        Route("/api/health/ready", {"GET": ready}, scope=None, probe=True),
    ]
