"""The Open Inference Protocol, version 2, over HTTP: as KServe, Triton and MLServer speak it.

Format: the protocol's specification for HTTP/REST.
"""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, Final

import orjson

from server.exchange import Request, Response
from server.protocols.envelopes import as_error
from server.protocols.metadata import Metadata, model_metadata
from server.protocols.oip_bodies import Bodies, length_of
from server.protocols.oip_document import part
from server.protocols.protocol import Context, Protocol, check_model
from server.protocols.tensors import Tensors
from server.routing import Route

EXTENSIONS: Final = ("binary_tensor_data",)
LIVE: Final = b'{"live":true}'
READY: Final = b'{"ready":true}'


def routes(context: Context) -> Sequence[Route]:
    """Make the routes."""
    identity, flow = context.model.identity, context.flow
    tensors = Tensors(context.model, flow.predictor)
    bodies = Bodies(tensors, identity)
    server = orjson.dumps({"name": "brinery", "version": version("brinery"), "extensions": EXTENSIONS})
    metadata = orjson.dumps(model_metadata(identity, tensors.inputs, tensors.outputs, _with_labels))
    model_ready = orjson.dumps({"name": identity.name, "ready": True})

    def check(request: Request) -> None:
        check_model(identity, request.variables["name"], request.variables.get("version", ""))

    def ready(_: Request) -> Response:
        context.readiness.check()
        return Response(200, READY)

    def show(request: Request) -> Response:
        check(request)
        return Response(200, metadata)

    def show_ready(request: Request) -> Response:
        check(request)
        context.readiness.check()
        return Response(200, model_ready)

    def infer(request: Request) -> Response:
        check(request)
        length = length_of(request.headers)
        asked, outcome = flow.predict(request, lambda body: bodies.read(body, length))
        return bodies.write(asked, outcome, request.id)

    of_server = [
        Route("/v2", {"GET": lambda _: Response(200, server)}, envelope=as_error),
        Route("/v2/health/live", {"GET": lambda _: Response(200, LIVE)}, scope=None, envelope=as_error, probe=True),
        Route("/v2/health/ready", {"GET": ready}, scope=None, envelope=as_error, probe=True),
    ]
    for rule in ("/v2/models/<path:name>", "/v2/models/<path:name>/versions/<path:version>"):
        of_server += [
            Route(rule, {"GET": show}, envelope=as_error),
            Route(f"{rule}/ready", {"GET": show_ready}, scope=None, envelope=as_error),
            Route(f"{rule}/infer", {"POST": infer}, scope="predict", envelope=as_error, count=bodies.count),
        ]
    return of_server


def _with_labels(of: Metadata) -> dict[str, Any]:
    return of.basics | ({"parameters": of.parameters} if of.labels else {})


OIP: Final = Protocol(routes, part)
