"""`GET /metrics`: everything is counted once, and no caller makes a series."""

import json
import random
import re
from collections.abc import Iterable

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from sklearn.svm import LinearSVC
from werkzeug.test import Client

from server.telemetry import METRICS
from tests.api.estimators import ARRAY, CASES, TEXT
from tests.api.moody import RAISE, Moody
from tests.api.rows import draw_row
from tests.api.serving import post, predict, serve


@pytest.fixture
def client() -> Client:
    """An application that has counted nothing yet."""
    return serve(Moody(), metadata={"name": 'a "b" \\ c', "version": 3})


def families(client: Client) -> dict[str, Metric]:
    """Read the page as Prometheus does."""
    return {family.name: family for family in parse_text(client.get("/metrics").text)}


def value(client: Client, name: str, /, **labels: str) -> float:
    """Add up a metric's samples that have these labels."""
    family = families(client)[re.sub("_(total|count|sum)$", "", name)]
    return sum(each.value for each in family.samples if each.name == name and labels.items() <= each.labels.items())


def series(metrics: Iterable[Metric]) -> set[tuple[str, ...]]:
    """Name every series."""
    return {(sample.name, *sorted(map(str, sample.labels.items()))) for metric in metrics for sample in metric.samples}


def test_the_page_is_prometheus_text(client: Client) -> None:
    """Without more the page is Prometheus' text format; OpenMetrics is written where it is accepted."""
    plain = client.get("/metrics")
    assert plain.content_type.startswith("text/plain; version=")
    assert list(parse_text(plain.text))
    accept = "application/openmetrics-text; version=1.0.0; charset=utf-8"
    modern = client.get("/metrics", headers={"Accept": accept})
    assert modern.content_type.startswith("application/openmetrics-text")
    assert list(parse_openmetrics(modern.text))  # type: ignore[no-untyped-call]
    assert modern.text.endswith("# EOF\n")


def test_the_page_is_the_catalogue(client: Client) -> None:
    """Every metric of the catalogue is there with its help and type, and no other."""
    post(client, json.dumps({"x0": 1}))
    post(client, "{")
    found = families(client)
    ours = {metric.name.removesuffix("_total"): metric for metric in METRICS}
    assert {name for name in found if not name.endswith("_created")} == set(ours)
    for name, metric in ours.items():
        assert found[name].documentation == metric.help
        assert found[name].type == metric.kind
        for sample in found[name].samples:
            assert set(sample.labels) - {"le"} == set(metric.labels)


def test_requests_are_counted_by_template_method_and_status(client: Client) -> None:
    """Each request is counted once, with its latency."""
    for _ in range(3):
        post(client, json.dumps({"x0": 1}))
    post(client, json.dumps({"x0": "a"}))
    client.get("/api/predict")
    client.get("/api/info?x=1")
    name, route = "brinery_http_requests_total", "/api/predict"
    assert value(client, name, route=route, method="POST", status="200") == 3
    assert value(client, name, route=route, method="POST", status="422") == 1
    assert value(client, name, route="/api/info", method="GET", status="200") == 1
    assert value(client, "brinery_http_request_duration_seconds_count", route=route) == 4
    assert 0 < value(client, "brinery_http_request_duration_seconds_sum", route=route) < 4
    total = value(client, name)
    assert value(client, name) == total + 1, "the page counts itself, but not before it is written"


def test_bogus_requests_make_no_series(client: Client) -> None:
    """A made-up URL, method, header or label is counted where others of its kind are."""

    def bogus(index: int) -> None:
        client.get(f"/{index}/x")
        client.get(f"/api/info?{index}={index}")
        client.open("/api/predict", method=f"BREW{index}")
        client.open(f"/{index}", method=f"BREW{index}")
        post(client, json.dumps({f"x{index}": index}))
        post(client, json.dumps([{"x0": index}] * (1 + index % 7)), X_Request_ID=str(index))
        post(client, f"{{{index}")

    bogus(100)
    client.get("/metrics")
    before = series(families(client).values())
    for index in range(101, 140):
        bogus(index)
    assert series(families(client).values()) == before
    assert value(client, "brinery_http_requests_total", method="other") == 80


def test_predictions_are_counted_by_label() -> None:
    """Rows are counted under the label that was predicted, the likeliest where only probabilities are given."""
    for name in ("linear-svc", "logistic-text", "forest-named", "fixed-threshold", "logistic-bool"):
        case = CASES[name]
        client = serve(case.fitted(), labels=case.labels)
        document = client.get("/openapi.json").json
        assert document is not None
        rng = random.Random(0)
        rows = [draw_row(document["components"]["schemas"]["Input"], rng) for _ in range(60)]
        answers = predict(client, rows)
        counts: dict[str, int] = {}
        for answer in answers:
            label = answer.get("prediction") or max(answer, key=answer.__getitem__)
            counts[str(label)] = counts.get(str(label), 0) + 1
        for label, count in counts.items():
            assert value(client, "brinery_predictions_total", output="prediction", label=label) == count, name
        assert value(client, "brinery_predictions_total") == 60


@pytest.mark.parametrize("name", ["multi-output-logistic", "chain-one-two", "multilabel-ridge", "linear-several"])
def test_predictions_are_counted_by_output(name: str) -> None:
    """Each output counts each row once."""
    case = CASES[name]
    client = serve(case.fitted())
    row = {f"x{index}": 0.5 for index in range(4)}
    answer = predict(client, [row] * 5, "/api/predict?detail=full")[0]
    outputs = answer.get("prediction") or answer["values"]
    for output, label in outputs.items():
        label = str(label) if "prediction" in answer else ""
        assert value(client, "brinery_predictions_total", output=output, label=label) == 5
    assert value(client, "brinery_predictions_total") == 5 * len(outputs)


def test_rows_and_the_models_time_are_measured(client: Client) -> None:
    """Each request's rows are one observation, and so is the model's time."""
    for count in (1, 10, 100):
        post(client, json.dumps([{"x0": 1}] * count))
    post(client, json.dumps([{"x0": 1}, {}]))
    assert value(client, "brinery_request_rows_count") == 3
    assert value(client, "brinery_request_rows_sum") == 111
    assert value(client, "brinery_model_duration_seconds_count") == 3


def test_rejections_are_counted_by_reason(client: Client) -> None:
    """Each problem is counted under its kind."""
    post(client, "{")
    post(client, "{}")
    post(client, "{}", Content_Type="text/plain")
    post(client, json.dumps({"x0": RAISE}))
    post(client, " " * 1_100_000)
    client.get("/nowhere")
    client.put("/api/predict")
    for reason in (
        "malformed-body",
        "invalid-input",
        "unsupported-media-type",
        "prediction-failed",
        "body-too-large",
        "not-found",
        "method-not-allowed",
    ):
        assert value(client, "brinery_rejected_total", reason=reason) == 1, reason
    assert value(client, "brinery_rejected_total") == 7


def test_the_model_is_named(client: Client) -> None:
    """The info metric is 1 and names the model and the libraries, whatever letters the name has."""
    assert value(client, "brinery_model_info", name='a "b" \\ c', version="3", engine="pickle", digest="sha256:0") == 1
    assert value(client, "brinery_model_info", pickled_by="") == 1, "this one does not say"
    (sample,) = families(client)["brinery_model_info"].samples
    assert all(re.fullmatch(r"\d+\.\d+.*", sample.labels[name]) for name in ("python", "sklearn", "numpy", "brinery"))


def test_requests_in_flight_come_back_to_what_they_were(client: Client) -> None:
    """After answers of all kinds only the request for the page itself is in flight."""
    for body in ("{", "{}", '{"x0":1}', f'{{"x0":{RAISE}}}'):
        post(client, body)
    assert value(client, "brinery_http_requests_in_flight") == 1


def test_a_label_may_hold_anything() -> None:
    """Labels of a model with quotes, line breaks and other letters are escaped on the page."""
    client = serve(LinearSVC().fit(ARRAY, [f'{each}"\n\\ü' for each in TEXT]))
    label = predict(client, {f"x{index}": 0.5 for index in range(4)})["prediction"]
    assert value(client, "brinery_predictions_total", label=label) == 1
