"""The application that both fronts serve: the only place that wires parts together."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
import sklearn
import structlog

from server.admission import Readiness
from server.api.docs import docs_routes
from server.api.health import health_routes
from server.api.info import info_routes, metric_labels
from server.api.metrics import metrics_routes
from server.api.predict import predict_routes
from server.bundle import GOLDEN, Bundle, Files, is_other_version, load
from server.exchange import Exchange
from server.flow import Flow
from server.golden import MAX_REQUESTS, Golden, check_golden, read_golden
from server.guard import Guard
from server.keys import read_keys
from server.logs import make_logger
from server.manifest import Seal, trust_of, verify
from server.model import Model, make_model
from server.openapi import openapi_document
from server.predictor import Predictor
from server.problems import describe
from server.protocols.protocol import Context
from server.protocols.registry import methods_of, parts_of, routes_of
from server.rates import Limiter
from server.routing import Route
from server.scoreboard import Scoreboard
from server.settings import Settings
from server.sources.fetching import read
from server.swagger import swagger_document
from server.telemetry import Telemetry
from server.tokens import read_tokens

# Engines whose answers are sums of numbers in the model, chosen by comparisons: the same bits on every machine. An
# exponential's last bit is its library's.
SAME_EVERYWHERE: Final = ("forest",)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A model that was verified and tried and can answer; `example_answer` is its own, for the signature's example."""

    model: Model
    predictor: Predictor
    example_answer: Any
    seal: Seal = Seal()
    golden: Golden = Golden()


@dataclass(frozen=True, slots=True)
class Common:
    """What outlives a model: made before the first fork, and handed on when another model replaces one."""

    telemetry: Telemetry = field(default_factory=Telemetry)
    readiness: Readiness = field(default_factory=Readiness)
    scoreboard: Scoreboard = field(default_factory=Scoreboard)
    limiter: Limiter = field(default_factory=Limiter)


@dataclass(frozen=True, slots=True)
class Application:
    """What the fronts serve: routes, the exchange that answers them, and the parts that those who run it need.

    `methods` are those of gRPC, which has a port of its own.
    """

    settings: Settings
    model: Model
    exchange: Exchange
    routes: Mapping[str, Sequence[Route]]
    common: Common
    log: structlog.typing.FilteringBoundLogger
    methods: Sequence[Route] = ()


def prepare(settings: Settings, bundle: Bundle | Files | None = None) -> Prepared:
    """Verify and load a bundle, the settings' own unless one is given, try it, check its answers and warm it up.

    Raises `BundleError` for one that cannot be served, and `SettingError` for a trusted key that cannot be used.
    """
    if bundle is None:
        bundle = read(settings)
    seal, golden = Seal(), Golden()
    if isinstance(bundle, Files):
        seal = verify(bundle, trust_of(settings))
        if GOLDEN in bundle.proofs:
            golden = read_golden(bundle.proofs[GOLDEN])
        bundle = load(
            bundle,
            allow_other_version=settings.version_mismatch == "warn",
            allowed=frozenset([*settings.allowed_globals, *seal.allowed_globals]),
            max_model_bytes=settings.max_model_bytes,
        )
    model = make_model(bundle, settings)
    check_answers(model, golden)
    predictor = Predictor(model, max_rows=settings.max_rows)
    return Prepared(model, predictor, answer_of(predictor, model.signature.example()), seal, golden)


def check_answers(model: Model, golden: Golden) -> None:
    """See that the golden requests are answered as they were; raise `BundleError` if not."""
    predictor = Predictor(model, max_rows=MAX_REQUESTS)  # whatever the limit that callers have
    exact = model.engine.comparison.exact and model.engine.name in SAME_EVERYWHERE
    check_golden(
        golden,
        lambda request: answer_of(predictor, request),
        exact=exact,
        made_by=model.sklearn_version,
    )


def assemble(settings: Settings, prepared: Prepared, common: Common | None = None) -> Application:
    """Wire the routes of a model; `common` is what it has from the model before it, if there was one.

    Raises `SettingError` for credentials that cannot be read, and for an extra that is missing.
    """
    model, example_answer = prepared.model, prepared.example_answer
    common = common or Common()
    log = make_logger(settings)
    flow = Flow(prepared.predictor, common.telemetry, settings)
    context = Context(model, flow, settings, common.readiness)
    routes: dict[str, Sequence[Route]] = {
        "predict": predict_routes(model, flow),
        "info": info_routes(model, prepared.seal, prepared.golden, common.scoreboard),
        "health": health_routes(model, common.readiness),
        "metrics": metrics_routes(common.telemetry, metric_labels(model), common.scoreboard, common.readiness),
        "docs": docs_routes(
            openapi_document(model, settings, example_answer, parts_of(model, settings)),
            swagger_document(model, settings, example_answer),
            settings,
        ),
    }
    ours = [route.rule for some in routes.values() for route in some]
    routes |= routes_of(context, ours)
    methods = methods_of(context)
    if settings.auth:
        guard = _guard(settings, common, log)
        routes, methods = {**guard.protect(routes)}, guard.protect({"": methods})[""]
    _log_start(log, prepared, settings)
    exchange = Exchange(settings, model.identity, common.telemetry, log)
    return Application(settings, model, exchange, routes, common, log, methods)


def _guard(settings: Settings, common: Common, log: structlog.typing.FilteringBoundLogger) -> Guard:
    def report(error: Exception | None) -> None:
        common.telemetry.fetched_keys(failed=error is not None)
        if error is not None:
            log.warning("token_keys_not_fetched", error_type=type(error).__name__)

    tokens = read_tokens(settings, report)
    return Guard(settings.auth, common.limiter, keys=read_keys(settings), tokens=tokens, rate=settings.rate_limit)


def _log_start(log: structlog.typing.FilteringBoundLogger, prepared: Prepared, settings: Settings) -> None:
    model, seal = prepared.model, prepared.seal
    engine = model.engine
    if is_other_version(model.sklearn_version):
        log.warning("version_mismatch", pickled_by=model.sklearn_version, running=sklearn.__version__)
    if engine.comparison.fault is not None:
        log.warning("engine_refused", reason=engine.fallback, rows_compared=engine.comparison.rows)
    if seal.ignored_globals:
        log.warning("globals_ignored", globals=list(seal.ignored_globals))
    log.info(
        "started",
        model=model.identity.name,
        model_version=model.identity.version_text,
        engine=engine.name,
        microseconds_of_a_row=round(engine.cost.first_row * 1e6, 1),
        rows_compared=engine.comparison.rows,
        sealed=seal.sealed,
        signed=seal.signed,
        golden_requests=len(prepared.golden.cases),
        grpc_port=settings.grpc_port,
    )


def answer_of(predictor: Predictor, request: object) -> Any:  # noqa: ANN401
    """Give the answer for a request as a caller would get it; raise what the request would be refused with."""
    batch = predictor.parse(json.dumps(request, ensure_ascii=False).encode())
    answer = predictor.render(batch, predictor.evaluate(batch), describe=lambda error: describe(error, ""))
    return orjson.loads(answer.body)
