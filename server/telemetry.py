"""The catalogue of metrics and log events, and the metrics of one server.

Prometheus' client reads `PROMETHEUS_MULTIPROC_DIR` by itself: with it, the numbers of all workers are added up from
its files, and those of a worker that died stay; without it, one process counts for itself.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import prometheus_client
from prometheus_client import CollectorRegistry, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from server.metric_files import MetricFiles
from server.rendering import Tally
from server.scoreboard import Record


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric as the catalogue has it; `name` is the one on the page, with its unit and suffix."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


LATENCY_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
ROWS_BUCKETS: Final = (1.0, 2.0, 5.0, 10.0, 50.0, 100.0, 500.0, 1_000.0, 5_000.0, 10_000.0)

REQUESTS: Final = Metric(
    "brinery_http_requests_total",
    "counter",
    "Requests answered, by route template, method and status.",
    ("route", "method", "status"),
)
LATENCY: Final = Metric(
    "brinery_http_request_duration_seconds",
    "histogram",
    "Time from a request's arrival in a worker to its answer, by route template.",
    ("route",),
    LATENCY_BUCKETS,
)
IN_FLIGHT: Final = Metric("brinery_http_requests_in_flight", "gauge", "Requests that threads are working on now.")
QUEUE: Final = Metric("brinery_queue_requests", "gauge", "Requests that wait for a thread now.")
CONNECTIONS: Final = Metric("brinery_connections_open", "gauge", "Connections that workers hold now.")
CLOSED: Final = Metric(
    "brinery_connections_closed_total",
    "counter",
    "Connections that we ended without an answer, by the reason.",
    ("reason",),
)
REJECTED: Final = Metric(
    "brinery_rejected_total",
    "counter",
    "Requests, and rows of lenient batches, that got a problem instead of a result, by its type.",
    ("reason",),
)
PREDICTIONS: Final = Metric(
    "brinery_predictions_total",
    "counter",
    "Rows predicted, by output and predicted label; the label is empty for a number.",
    ("output", "label"),
)
ROWS: Final = Metric("brinery_request_rows", "histogram", "Rows predicted in one request.", (), ROWS_BUCKETS)
MODEL_LATENCY: Final = Metric(
    "brinery_model_duration_seconds", "histogram", "Time the model took for one request.", (), LATENCY_BUCKETS
)
MODEL_INFO: Final = Metric(
    "brinery_model_info",
    "gauge",
    "Always 1; its labels name the model, the scikit-learn that pickled it, and the libraries that serve it.",
    ("name", "version", "digest", "engine", "pickled_by", "python", "sklearn", "numpy", "brinery"),
)
KEY_FETCHES: Final = Metric(
    "brinery_token_key_fetches_total",
    "counter",
    "Fetches of the keys by which tokens are verified, by outcome: ok or failed.",
    ("outcome",),
)
WORKER_STARTS: Final = Metric("brinery_worker_starts_total", "counter", "Worker processes started.")
WORKER_CRASHES: Final = Metric(
    "brinery_worker_crashes_total",
    "counter",
    "Workers that ended otherwise than they should: by a signal, a status, or since a prediction was stuck.",
    ("cause",),
)
RELOADS: Final = Metric(
    "brinery_reloads_total", "counter", "Reloads of the bundle, by result: succeeded or failed.", ("result",)
)
READY: Final = Metric("brinery_ready", "gauge", "Whether the server is ready: 0 while it drains or is unstable.")
METRICS: Final = (
    *(REQUESTS, LATENCY, IN_FLIGHT, QUEUE, REJECTED, PREDICTIONS, ROWS, MODEL_LATENCY, MODEL_INFO, KEY_FETCHES),
    *(CONNECTIONS, CLOSED),
    *(WORKER_STARTS, WORKER_CRASHES, RELOADS, READY),
)

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})

EVENTS: Final[Mapping[str, str]] = {
    "request": "A request was answered.",
    "request_failed": "A request failed through our fault: the kind of error and where it was raised, without values.",
    "caller_refused": "A request had no credentials, wrong ones, or some for something else: why, without them.",
    "started": "The model was loaded, tried and warmed up.",
    "library_warning": "A library warned of something for the first time: the kind of warning and its place.",
    "version_mismatch": "The model was pickled by another minor release of scikit-learn, and is served as asked.",
    "globals_ignored": "The manifest allows globals, and no trusted key signed it: they are not allowed.",
    "engine_refused": "The compiled engine did not answer as the estimator does; the pickle itself serves.",
    "token_keys_not_fetched": "The keys of tokens could not be fetched again; those that are known serve on.",
    "accepting_paused": "The system had nothing left for another connection; the worker takes none for a second.",
    "connections_limited": "The limit of open files allows fewer connections than the setting.",
    "draining": "The server was asked to stop; it is not ready and goes on answering for the drain delay.",
    "reload_started": "The server was asked to reload the bundle; a process of its own tries it.",
    "reload_failed": "The bundle cannot be served; the model before it goes on.",
    "worker_crashed": "A worker ended otherwise than it should; its requests are lost, and another one starts.",
    "worker_not_started": "The system had no process or file left for a worker; it is tried again in a second.",
    "worker_stuck": "A prediction did not end by its deadline; its worker ends as soon as the others are answered.",
    "unstable": "Workers crash again and again: the server is not ready, and starts them more slowly.",
    "stable": "Workers no longer crash: the server is ready again.",
}


class Telemetry:
    """The metrics of one server, whichever model it serves; every method is safe to call from several threads."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._files = MetricFiles(os.environ.get("PROMETHEUS_MULTIPROC_DIR"))
        self._requests = _counter(REQUESTS, self._registry)
        self._latency = _histogram(LATENCY, self._registry)
        self.in_flight = _gauge(IN_FLIGHT, self._registry)
        self.queue = _gauge(QUEUE, self._registry)
        self.connections = _gauge(CONNECTIONS, self._registry)
        self._closed = _counter(CLOSED, self._registry)
        self._rejected = _counter(REJECTED, self._registry)
        self._predictions = _counter(PREDICTIONS, self._registry)
        self._rows = _histogram(ROWS, self._registry)
        self._model_latency = _histogram(MODEL_LATENCY, self._registry)
        self._key_fetches = _counter(KEY_FETCHES, self._registry)
        self._info = Gauge(
            MODEL_INFO.name, MODEL_INFO.help, MODEL_INFO.labels, registry=self._registry, multiprocess_mode="livemax"
        )
        # Finding a child by its labels costs as much as counting; the children of one model and its routes are few.
        self._request = lru_cache(maxsize=1024)(self._requests.labels)
        self._prediction = lru_cache(maxsize=4096)(self._predictions.labels)
        self._route = lru_cache(maxsize=256)(self._latency.labels)

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request; `route` is a template, so that no URL of a caller makes a new series."""
        self._request(route, known_method(method), str(status)).inc()
        self._route(route).observe(seconds)

    def closed(self, reason: str) -> None:
        """Count a connection that we ended without an answer."""
        self._closed.labels(reason).inc()

    def rejected(self, reasons: Iterable[str]) -> None:
        """Count problems by their type."""
        for reason, count in Counter(reasons).items():
            self._rejected.labels(reason).inc(count)

    def predicted(self, rows: int, tally: Tally, seconds: float) -> None:
        """Count one request's predictions."""
        for (output, label), count in tally.items():
            self._prediction(output, label).inc(count)
        if rows:  # where all were refused the model did nothing
            self._rows.observe(rows)
            self._model_latency.observe(seconds)

    def fetched_keys(self, *, failed: bool) -> None:
        """Count a fetch of the keys of tokens."""
        self._key_fetches.labels("failed" if failed else "ok").inc()

    def expose(
        self, accept: str, model_info: Mapping[str, str], record: Record, *, ready: bool = True
    ) -> tuple[str, bytes]:
        """Give the media type and the text of the metrics page: Prometheus' format, or OpenMetrics if accepted.

        `model_info` are the labels of the model that is served, `record` is what the master counted, `ready` is
        whether the server takes requests.
        """
        # Set by whoever answers: the file of a worker, and of its model, exists only after its fork.
        self._info.labels(**model_info).set(1)
        encode, media_type = choose_encoder(accept)
        registry = CollectorRegistry()
        registry.register(_Books(record, ready=ready))
        with self._files.reading():
            try:
                MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
            except ValueError:  # no folder of several processes: this one counts for itself
                registry.register(self._registry)
            return media_type, encode(registry)


class _Books(Collector):
    """What the master counted, and says of the whole server, as Prometheus' client collects it."""

    def __init__(self, record: Record, *, ready: bool) -> None:
        self._record, self._ready = record, ready

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        record = self._record
        yield _family(WORKER_STARTS, {(): record.starts})
        yield _family(WORKER_CRASHES, {(cause,): count for cause, count in record.crashes.items()})
        yield _family(RELOADS, {("succeeded",): record.reloads_succeeded, ("failed",): record.reloads_failed})
        yield GaugeMetricFamily(READY.name, READY.help, value=float(self._ready))


def known_method(method: str) -> str:
    """Give a method as metrics and logs name it: a caller's own invention is `other`."""
    return method if method in METHODS else "other"


def _family(metric: Metric, counts: Mapping[tuple[str, ...], int]) -> CounterMetricFamily:
    family = CounterMetricFamily(metric.name.removesuffix("_total"), metric.help, labels=metric.labels)
    for labels, count in counts.items():
        family.add_metric(labels, count)
    return family


def _gauge(metric: Metric, registry: CollectorRegistry) -> Gauge:
    return Gauge(metric.name, metric.help, registry=registry, multiprocess_mode="livesum")


def _counter(metric: Metric, registry: CollectorRegistry) -> prometheus_client.Counter:
    return prometheus_client.Counter(metric.name.removesuffix("_total"), metric.help, metric.labels, registry=registry)


def _histogram(metric: Metric, registry: CollectorRegistry) -> Histogram:
    return Histogram(metric.name, metric.help, metric.labels, registry=registry, buckets=metric.buckets)
