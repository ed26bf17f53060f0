"""The catalogue of metrics, and the metrics of one server."""

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from server.scoreboard import Record
from server.telemetry import EVENTS, METRICS, MODEL_INFO, Telemetry

INFO = dict.fromkeys(MODEL_INFO.labels, "x")
RECORD = Record(starts=3, crashes={"SIGKILL": 2}, reloads_succeeded=5, reloads_failed=1)


@pytest.fixture(autouse=True)
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count for one process."""
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)


def samples(telemetry: Telemetry) -> dict[tuple[str, tuple[str, ...]], float]:
    """Give every sample of the page by its name and the values of its labels, sorted."""
    page = telemetry.expose("", INFO, RECORD)[1].decode()
    return {
        (sample.name, tuple(sorted(sample.labels.values()))): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def used() -> Telemetry:
    """Make metrics of which each was counted."""
    telemetry = Telemetry()
    telemetry.in_flight.inc()
    telemetry.closed("idle")
    telemetry.answered("/api/predict", "POST", 200, 0.002)
    telemetry.answered("unmatched", "BREW", 404, 0.1)
    telemetry.rejected(["invalid-input", "invalid-input"])
    telemetry.predicted(3, {("prediction", "yes"): 2, ("prediction", "no"): 1}, 0.003)
    telemetry.fetched_keys(failed=False)
    return telemetry


def test_counts() -> None:
    """What happened stands on the page under its labels; an unknown method is called other."""
    found = samples(used())
    assert found["brinery_http_requests_total", ("/api/predict", "200", "POST")] == 1
    assert found["brinery_http_requests_total", ("404", "other", "unmatched")] == 1
    assert found["brinery_http_request_duration_seconds_count", ("/api/predict",)] == 1
    assert found["brinery_http_requests_in_flight", ()] == 1
    assert found["brinery_connections_closed_total", ("idle",)] == 1
    assert found["brinery_rejected_total", ("invalid-input",)] == 2
    assert found["brinery_predictions_total", ("prediction", "yes")] == 2
    assert found["brinery_request_rows_sum", ()] == 3
    assert found["brinery_model_duration_seconds_sum", ()] == pytest.approx(0.003)
    assert found["brinery_model_info", ("x",) * 9] == 1


@pytest.mark.parametrize("ready", [True, False], ids=["ready", "not-ready"])
def test_readiness(ready: bool) -> None:
    """Whether the server is ready stands on the page as 1 or 0."""
    page = used().expose("", INFO, RECORD, ready=ready)[1].decode()
    assert f"\nbrinery_ready {float(ready)}\n" in page


def test_counts_of_the_master() -> None:
    """What the master counted stands on every worker's page."""
    found = samples(used())
    assert found["brinery_worker_starts_total", ()] == 3
    assert found["brinery_worker_crashes_total", ("SIGKILL",)] == 2
    assert found["brinery_reloads_total", ("succeeded",)] == 5
    assert found["brinery_reloads_total", ("failed",)] == 1


def test_page_is_as_in_the_catalogue() -> None:
    """Each metric on the page has the catalogue's name, kind, help and labels, and none is missing."""
    page = used().expose("", INFO, RECORD)[1].decode()
    families = {family.name: family for family in text_string_to_metric_families(page)}
    families = {name: family for name, family in families.items() if not name.endswith("_created")}
    assert set(families) == {metric.name.removesuffix("_total") for metric in METRICS}
    for metric in METRICS:
        family = families[metric.name.removesuffix("_total")]
        assert (family.type, family.documentation) == (metric.kind, metric.help)
        assert {label for sample in family.samples for label in sample.labels} - {"le"} == set(metric.labels)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_catalogue(metric: object) -> None:
    """Each metric of the catalogue has our prefix and a sentence; a histogram has buckets that rise."""
    found = next(each for each in METRICS if each is metric)
    assert found.name.startswith("brinery_")
    assert found.help.endswith(".")
    assert (found.kind == "counter") is found.name.endswith("_total")
    assert (found.kind == "histogram") is bool(found.buckets)
    assert list(found.buckets) == sorted(found.buckets)


def test_events_are_described() -> None:
    """Each event has a sentence."""
    assert all(sentence.endswith(".") for sentence in EVENTS.values())


def test_openmetrics() -> None:
    """Whoever accepts OpenMetrics gets it."""
    media_type, page = used().expose("application/openmetrics-text; version=1.0.0", INFO, RECORD)
    assert media_type.startswith("application/openmetrics-text")
    assert list(parse_openmetrics(page.decode()))  # type: ignore[no-untyped-call]


def test_plain_text() -> None:
    """Whoever says nothing gets Prometheus' text."""
    assert used().expose("", INFO, RECORD)[0].startswith("text/plain")


def test_applications_do_not_share() -> None:
    """Two applications in one process count for themselves."""
    used()
    assert ("brinery_rejected_total", ("invalid-input",)) not in samples(Telemetry())
