"""`create_app`: the only place that wires parts together."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import flask
import orjson
import sklearn
import structlog
from werkzeug.exceptions import HTTPException, NotFound
from werkzeug.exceptions import MethodNotAllowed as FlaskMethodNotAllowed
from werkzeug.wrappers import Response as FlaskResponse

from server.admission import Readiness, Slots
from server.api.blueprint import answer, make_blueprint
from server.api.docs import docs_routes
from server.api.health import health_routes
from server.api.info import info_routes, metric_labels
from server.api.metrics import metrics_routes
from server.api.predict import predict_routes
from server.bundle import Bundle, is_other_version, read_bundle
from server.errors import MethodNotAllowed, RequestError, RouteNotFound
from server.exchange import UNMATCHED, Exchange, Request, Response
from server.logs import make_logger
from server.model import Model, make_model
from server.openapi import openapi_document
from server.predictor import Predictor
from server.problems import describe
from server.settings import Settings
from server.swagger import swagger_document
from server.telemetry import Telemetry

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


@dataclass(frozen=True, slots=True)
class Parts:
    """What an application is made of, for those who run it."""

    model: Model
    readiness: Readiness
    log: structlog.typing.FilteringBoundLogger


def create_app(settings: Settings, *, bundle: Bundle | None = None) -> flask.Flask:
    """Make the whole application: read the bundle, unless one is given, try it, warm it up, and wire its routes.

    Raises `BundleError` for a bundle that cannot be served. The parts are in `app.extensions["brinery"]`.
    """
    if bundle is None:
        bundle = read_bundle(settings.bundle, allow_other_version=settings.version_mismatch == "warn")
    model = make_model(bundle, settings)
    predictor = Predictor(model, max_rows=settings.max_rows)
    example_answer = example_of(predictor, model)
    log = make_logger(settings)
    telemetry = Telemetry(metric_labels(model))
    readiness = Readiness()
    exchange = Exchange(settings, model.identity, telemetry, log)
    # One at a time: scikit-learn swaps the process's warning filters while it predicts, which two threads at once leave
    # broken; and threads that compete for the interpreter are slower than a queue.
    slots = Slots(1)
    routes = {
        "predict": predict_routes(model, predictor, slots, telemetry, settings),
        "info": info_routes(model),
        "health": health_routes(model, readiness),
        "metrics": metrics_routes(telemetry),
        "docs": docs_routes(
            openapi_document(model, settings, example_answer),
            swagger_document(model, settings, example_answer),
            settings,
        ),
    }
    app = flask.Flask("server", static_folder=None)
    app.url_map.merge_slashes = False  # a redirect to a tidier path would be a page of HTML
    for name, some in routes.items():
        app.register_blueprint(make_blueprint(name, some, exchange))
    _answer_what_no_route_takes(app, exchange)
    if settings.root_path:
        app.wsgi_app = _below(settings.root_path, app.wsgi_app)  # type: ignore[assignment]
    app.extensions["brinery"] = Parts(model, readiness, log)
    if is_other_version(bundle.sklearn_version):
        log.warning("version_mismatch", pickled_by=bundle.sklearn_version, running=sklearn.__version__)
    log.info(
        "started", model=model.identity.name, model_version=model.identity.version_text, engine=model.evaluator.name
    )
    return app


def example_of(predictor: Predictor, model: Model) -> Any:  # noqa: ANN401
    """Give the model's own answer for the signature's example: the documents' example, and the warm-up."""
    batch = predictor.parse(orjson.dumps(model.signature.example()))
    answer = predictor.render(batch, predictor.evaluate(batch), describe=lambda error: describe(error, ""))
    return orjson.loads(answer.body)


def _answer_what_no_route_takes(app: flask.Flask, exchange: Exchange) -> None:
    """Answer in our own form what Flask itself refuses, and what only Flask would take."""

    @app.before_request
    def refuse_leading_slashes() -> None:
        # Werkzeug takes `//metrics` for `/metrics`: a proxy that guards the one would let the other through.
        if flask.request.environ.get("PATH_INFO", "").startswith("//"):
            raise NotFound

    def refuse(error: HTTPException) -> FlaskResponse:
        def endpoint(_: Request) -> Response:
            if isinstance(error, FlaskMethodNotAllowed):
                allowed = sorted(error.valid_methods or ())
                msg = f"The route has the methods {', '.join(allowed)}."
                raise MethodNotAllowed(msg, allowed)
            if isinstance(error, NotFound):
                msg = "There is no such route; /api/docs lists them all."
                raise RouteNotFound(msg)
            if error.code is not None and error.code < 500:
                msg = "The request cannot be understood; look at its address and its headers."
                raise RequestError(msg)
            raise getattr(error, "original_exception", None) or error

        return answer(exchange, UNMATCHED, endpoint)

    app.register_error_handler(HTTPException, refuse)


def _below(root_path: str, application: "WSGIApplication") -> "WSGIApplication":
    """Take requests with the proxy's path in front as well as without it."""

    def strip(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == root_path or path.startswith(f"{root_path}/"):
            environ["PATH_INFO"] = path.removeprefix(root_path) or "/"
            environ["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "") + root_path
        return application(environ, start_response)

    return strip
