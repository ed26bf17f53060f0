"""The application that both fronts serve: the only place that wires parts together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import sklearn
import structlog

from server.admission import Readiness
from server.api.docs import docs_routes
from server.api.health import health_routes
from server.api.info import info_routes, metric_labels
from server.api.metrics import metrics_routes
from server.api.predict import predict_routes
from server.bundle import Bundle, is_other_version, read_bundle
from server.exchange import Exchange, Route
from server.logs import make_logger
from server.model import Model, make_model
from server.openapi import openapi_document
from server.predictor import Predictor
from server.problems import describe
from server.settings import Settings
from server.swagger import swagger_document
from server.telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class Application:
    """What both fronts serve: routes, the exchange that answers them, and the parts that those who run it need."""

    settings: Settings
    model: Model
    exchange: Exchange
    routes: Mapping[str, Sequence[Route]]
    readiness: Readiness
    log: structlog.typing.FilteringBoundLogger


def assemble(settings: Settings, *, bundle: Bundle | None = None) -> Application:
    """Read the bundle, unless one is given, try it, warm it up, and wire the routes.

    Raises `BundleError` for a bundle that cannot be served.
    """
    if bundle is None:
        bundle = read_bundle(settings.bundle, allow_other_version=settings.version_mismatch == "warn")
    model = make_model(bundle, settings)
    predictor = Predictor(model, max_rows=settings.max_rows)
    example_answer = example_of(predictor, model)
    log = make_logger(settings)
    telemetry = Telemetry(metric_labels(model))
    readiness = Readiness()
    routes = {
        "predict": predict_routes(model, predictor, telemetry, settings),
        "info": info_routes(model),
        "health": health_routes(model, readiness),
        "metrics": metrics_routes(telemetry),
        "docs": docs_routes(
            openapi_document(model, settings, example_answer),
            swagger_document(model, settings, example_answer),
            settings,
        ),
    }
    _log_start(log, model)
    return Application(settings, model, Exchange(settings, model.identity, telemetry, log), routes, readiness, log)


def _log_start(log: structlog.typing.FilteringBoundLogger, model: Model) -> None:
    engine = model.engine
    if is_other_version(model.sklearn_version):
        log.warning("version_mismatch", pickled_by=model.sklearn_version, running=sklearn.__version__)
    if engine.comparison.fault is not None:
        log.warning("engine_refused", reason=engine.fallback, rows_compared=engine.comparison.rows)
    log.info(
        "started",
        model=model.identity.name,
        model_version=model.identity.version_text,
        engine=engine.name,
        microseconds_of_a_row=round(engine.cost.first_row * 1e6, 1),
        rows_compared=engine.comparison.rows,
    )


def example_of(predictor: Predictor, model: Model) -> Any:  # noqa: ANN401
    """Give the model's own answer for the signature's example: the documents' example, and the warm-up."""
    batch = predictor.parse(orjson.dumps(model.signature.example()))
    answer = predictor.render(batch, predictor.evaluate(batch), describe=lambda error: describe(error, ""))
    return orjson.loads(answer.body)
