"""A front of a few routes, which do what a test tells them."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import structlog

from server.application import Application, Common
from server.exchange import Exchange, Request, Response
from server.front import Front
from server.guard import Guard
from server.problems import type_of
from server.routing import Route
from server.scoreboard import Record
from server.telemetry import MODEL_INFO, Telemetry
from tests.models import FakeEvaluator, fake_model, settings

PATIENCE: Final = 30  # seconds for what should take none


class Gate:
    """Holds up whoever comes to it, until it is opened."""

    def __init__(self) -> None:
        self.entered, self._open = threading.Event(), threading.Event()

    def wait(self) -> None:
        """Wait in front of it."""
        self.entered.set()
        assert self._open.wait(PATIENCE), "nobody opened it"

    def open(self) -> None:
        """Let everybody through."""
        self._open.set()


def fake_front(
    *, serial: bool = False, gate: Callable[[], None] = lambda: None, guard: Guard | None = None, **given: Any
) -> Front:
    """Make a front with five routes, behind a guard if one is given: each says which thread answered, and its body.

    `POST /predict` goes through the gate last; `GET /slow` is one that blocks, `GET /live` one that does not, and `/`
    is the root.
    """
    evaluator = FakeEvaluator()
    evaluator.serial = serial
    model, made = fake_model(evaluator=evaluator), settings(log_level="error", **given)

    def answer(request: Request) -> Response:
        body = request.read(made.max_body_bytes)
        return Response(200, f"{threading.current_thread().name}|{body.decode()}".encode(), "text/plain")

    def predict(request: Request) -> Response:
        response = answer(request)
        gate()
        return response

    routes: Mapping[str, Sequence[Route]] = {
        "all": [
            Route("/", {"GET": answer}),
            Route("/live", {"GET": answer}),
            Route("/slow", {"GET": answer}, blocking=True),
            Route("/predict", {"POST": predict}),
            Route("/own", {"POST": answer}, envelope=as_own),
        ]
    }
    if guard is not None:
        routes = guard.protect(routes)
    log = structlog.wrap_logger(None, processors=[_drop], wrapper_class=structlog.BoundLogger)
    telemetry = Telemetry()
    exchange = Exchange(made, model.identity, telemetry, log)
    return Front(Application(made, model, exchange, routes, Common(telemetry), log))


def as_own(error: Exception, _: str) -> Response:
    """Write an error in a form that no problem has."""
    return Response(type_of(error).status, b"own", "text/plain")


def metrics_of(front: Front) -> str:
    """Give the page of a front's metrics."""
    info = dict.fromkeys(MODEL_INFO.labels, "x")
    return front.application.common.telemetry.expose("", info, Record())[1].decode()


def _drop(*_: object) -> Any:
    raise structlog.DropEvent
