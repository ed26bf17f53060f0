"""Alerts fire when they should and not before, and every query is one that Prometheus takes, on metrics that exist."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from server.problems import TYPES
from server.telemetry import METRICS
from tests.chart.cases import MONITORED
from tests.chart.cluster import NEW, OPERATOR, cluster
from tests.chart.rendering import ROOT, Objects
from tests.docs.documentation import DOCS, anchors_of, section_of

OURS: Final = 'namespace="models", service="crime-65"'
OTHERS: Final = 'namespace="models", service="crime-66"'
REQUESTS: Final = f'brinery_http_requests_total{{{OURS}, route="/api/predict", method="POST", status='
BUCKET: Final = f'brinery_http_request_duration_seconds_bucket{{{OURS}, route="/api/predict", le='
CRASHES: Final = f'brinery_worker_crashes_total{{{OURS}, pod="a", cause="SIGKILL"}}'
FETCHES: Final = f'brinery_token_key_fetches_total{{{OURS}, pod="a", outcome='
UP: Final = f"up{{{OURS}, pod="
INFO: Final = f"brinery_model_info{{{OURS}, pod="

# An alert, the minute that is looked at, whether it fires then, and the series, a sample a minute.
SCENES: Final[Mapping[str, tuple[str, int, bool, Mapping[str, str]]]] = {
    "no-pod-answers": ("BrineryDown", 5, True, {UP + '"a"}': "0x20", f'up{{{OTHERS}, pod="c"}}': "1x20"}),
    "there-is-no-pod": ("BrineryDown", 5, True, {f'up{{{OTHERS}, pod="c"}}': "1x20"}),
    "one-pod-answers": ("BrineryDown", 5, False, {UP + '"a"}': "0x20", UP + '"b"}': "1x20"}),
    "a-pod-never-answers": ("BrineryPodDown", 12, True, {UP + '"a"}': "0x20", UP + '"b"}': "1x20"}),
    "a-pod-ends-again-and-again": ("BrineryPodDown", 25, True, {UP + '"a"}': "1x3 0x2 1 0x3 1 0x4 1 0x4 1 0x4 1 0x9"}),
    "a-pod-that-never-answered-is-gone": ("BrineryPodDown", 15, False, {UP + '"a"}': "0x8 stale"}),
    "a-pod-was-restarted-once": ("BrineryPodDown", 25, False, {UP + '"a"}': "1x9 0x3 1x20"}),
    "a-pod-starts-slowly": ("BrineryPodDown", 12, False, {UP + '"a"}': "0x4 1x20"}),
    "a-pod-starts": ("BrineryPodDown", 5, False, {UP + '"a"}': "0x5 1x20", UP + '"b"}': "1x20"}),
    "unstable": ("BrineryNotReady", 5, True, {f'brinery_ready{{{OURS}, pod="a"}}': "1 0x20"}),
    "draining": ("BrineryNotReady", 5, False, {f'brinery_ready{{{OURS}, pod="a"}}': "1x3 0x1"}),
    "failures": ("BrineryErrors", 12, True, {REQUESTS + '"500"}': "0+3x20", REQUESTS + '"200"}': "0+97x20"}),
    "few-failures": ("BrineryErrors", 12, False, {REQUESTS + '"500"}': "0+1x20", REQUESTS + '"200"}': "0+99x20"}),
    "failures-of-callers": (
        "BrineryErrors",
        12,
        False,
        {REQUESTS + '"422"}': "0+50x20", REQUESTS + '"503"}': "0+9x20", REQUESTS + '"200"}': "0+9x20"},
    ),
    "nobody-calls": ("BrineryErrors", 12, False, {REQUESTS + '"500"}': "5x20", REQUESTS + '"200"}': "7x20"}),
    "slow": (
        "BrinerySlow",
        16,
        True,
        {BUCKET + '"0.5"}': "0+90x20", BUCKET + '"2.5"}': "0+100x20", BUCKET + '"+Inf"}': "0+100x20"},
    ),
    "quick": (
        "BrinerySlow",
        16,
        False,
        {BUCKET + '"0.5"}': "0+100x20", BUCKET + '"2.5"}': "0+100x20", BUCKET + '"+Inf"}': "0+100x20"},
    ),
    "a-queue": ("BrineryQueueing", 16, True, {f'brinery_queue_requests{{{OURS}, pod="a"}}': "40x20"}),
    "a-burst": ("BrineryQueueing", 16, False, {f'brinery_queue_requests{{{OURS}, pod="a"}}': "0x12 64x2 0x9"}),
    "overloaded": (
        "BrineryOverloaded",
        12,
        True,
        {f'brinery_rejected_total{{{OURS}, reason="overloaded"}}': "0+5x20", REQUESTS + '"200"}': "0+100x20"},
    ),
    "refused-for-other-reasons": (
        "BrineryOverloaded",
        12,
        False,
        {f'brinery_rejected_total{{{OURS}, reason="invalid-input"}}': "0+50x20", REQUESTS + '"200"}': "0+100x20"},
    ),
    "callers-of-another-model": (
        "BrineryInvalidRequests",
        25,
        True,
        {REQUESTS + '"422"}': "0+60x40", REQUESTS + '"200"}': "0+40x40"},
    ),
    "some-mistakes": (
        "BrineryInvalidRequests",
        25,
        False,
        {REQUESTS + '"422"}': "0+30x40", REQUESTS + '"200"}': "0+70x40"},
    ),
    "the-first-crash": ("BrineryWorkersCrash", 20, True, {CRASHES: "_x17 1x20"}),
    "another-crash": ("BrineryWorkersCrash", 40, True, {CRASHES: "1x30 2x20"}),
    "a-crash-of-long-ago": ("BrineryWorkersCrash", 40, False, {CRASHES: "1x50"}),
    "a-failed-reload": (
        "BrineryReloadFailed",
        5,
        True,
        {f'brinery_reloads_total{{{OURS}, pod="a", result="failed"}}': "0x3 1x20"},
    ),
    "a-reload": (
        "BrineryReloadFailed",
        5,
        False,
        {
            f'brinery_reloads_total{{{OURS}, pod="a", result="failed"}}': "0x20",
            f'brinery_reloads_total{{{OURS}, pod="a", result="succeeded"}}': "0x3 1x20",
        },
    ),
    "a-stuck-rollout": (
        "BrineryModelsDiffer",
        40,
        True,
        {INFO + '"a", digest="1"}': "1x50", INFO + '"b", digest="2"}': "1x50"},
    ),
    "a-rollout": (
        "BrineryModelsDiffer",
        40,
        False,
        {INFO + '"a", digest="1"}': "1x25", INFO + '"b", digest="2"}': "_x10 1x40"},
    ),
    "pods-of-one-model": (
        "BrineryModelsDiffer",
        40,
        False,
        {INFO + '"a", digest="1"}': "1x50", INFO + '"b", digest="1"}': "1x50"},
    ),
    "stale-keys": ("BrineryTokenKeysStale", 55, True, {FETCHES + '"failed"}': "0+1x60", FETCHES + '"ok"}': "5x60"}),
    "one-fetch-failed": (
        "BrineryTokenKeysStale",
        55,
        False,
        {FETCHES + '"failed"}': "0+1x60", FETCHES + '"ok"}': "0+1x60"},
    ),
}


@pytest.fixture(name="objects", scope="module")
def _objects() -> Objects:
    with cluster("1.37", {**NEW, **OPERATOR}) as running:
        return running.install({"metrics": MONITORED})


@pytest.fixture(name="alerts", scope="module")
def _alerts(objects: Objects) -> list[Any]:
    (group,) = objects["PrometheusRule"]["spec"]["groups"]
    found: list[Any] = group["rules"]
    return found


@pytest.fixture(name="dashboard", scope="module")
def _dashboard(objects: Objects) -> Any:
    (text,) = objects["ConfigMap"]["data"].values()
    return json.loads(text)


def promtool(*arguments: str | Path) -> str:
    """Run promtool, which must find nothing wrong."""
    if shutil.which("promtool") is None:
        assert os.environ.get("CI") != "true", "promtool is missing"
        pytest.skip("promtool is missing: `make tools` fetches it")
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def written(folder: Path, name: str, content: Any) -> Path:
    """Write a file for promtool."""
    file = folder / name
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return file


def queries_of(dashboard: Any) -> Iterator[str]:
    """Give the queries of a dashboard, with what Grafana puts into them."""
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield target["expr"].replace("$__rate_interval", "5m")


def test_alerts_fire_when_they_should(objects: Objects, tmp_path: Path) -> None:
    """Over made-up series each alert fires where something is wrong, and not where nothing is, or only for a moment."""
    written(tmp_path, "alerts.yml", objects["PrometheusRule"]["spec"])
    tests = [
        {
            "name": name,
            "interval": "1m",
            "input_series": [{"series": each, "values": values} for each, values in series.items()],
            "promql_expr_test": [
                {
                    "expr": f'count(ALERTS{{alertname="{alert}", alertstate="firing", release="crime-65"}})',
                    "eval_time": f"{minute}m",
                    "exp_samples": [{"labels": "{}", "value": 1}] if fires else [],
                }
            ],
        }
        for name, (alert, minute, fires, series) in SCENES.items()
    ]
    content = {"rule_files": ["alerts.yml"], "evaluation_interval": "1m", "tests": tests}
    promtool("test", "rules", written(tmp_path, "scenes.yml", content))


def test_every_alert_has_its_scenes(alerts: Sequence[Any]) -> None:
    """Each alert is seen firing and not firing."""
    assert {(alert, fires) for alert, _, fires, _ in SCENES.values()} == {
        (each["alert"], fires) for each in alerts for fires in (True, False)
    }


def test_what_an_alert_says(objects: Objects, tmp_path: Path) -> None:
    """An alert names the release, the figure, and the section that says what to do."""
    written(tmp_path, "alerts.yml", objects["PrometheusRule"]["spec"])
    scene = {
        "interval": "1m",
        "input_series": [{"series": each, "values": values} for each, values in SCENES["failures"][3].items()],
        "alert_rule_test": [
            {
                "alertname": "BrineryErrors",
                "eval_time": "12m",
                "exp_alerts": [
                    {
                        "exp_labels": {"severity": "critical", "release": "crime-65"},
                        "exp_annotations": {
                            "summary": "Predictions of models/crime-65 fail.",
                            "description": "3% of the predictions get 500 or 504.",
                            "runbook_url": "docs/operations.md#brineryerrors",
                        },
                    }
                ],
            }
        ],
    }
    content = {"rule_files": ["alerts.yml"], "evaluation_interval": "1m", "tests": [scene]}
    promtool("test", "rules", written(tmp_path, "said.yml", content))


def test_every_query_is_one(objects: Objects, dashboard: Any, tmp_path: Path) -> None:
    """Prometheus takes the alerts' queries, the dashboard's, and those of the page about metrics."""
    assert "SUCCESS" in promtool("check", "rules", written(tmp_path, "alerts.yml", objects["PrometheusRule"]["spec"]))
    documented = re.findall(r"```promql\n(.*?)```", (DOCS / "observability.md").read_text("utf-8"), re.DOTALL)
    rules = [
        {"record": f"query:{number}", "expr": query}
        for number, query in enumerate([*queries_of(dashboard), *documented])
    ]
    assert len(rules) > 20
    promtool("check", "rules", written(tmp_path, "queries.yml", {"groups": [{"name": "queries", "rules": rules}]}))


def test_queries_use_metrics_that_exist(alerts: Sequence[Any], dashboard: Any) -> None:
    """Each name in a query is a metric of the catalogue, with labels and values that it can have."""
    parts = {"histogram": ("_bucket", "_sum", "_count")}
    names = {metric.name + part: metric for metric in METRICS for part in parts.get(metric.kind, ("",))}
    queries = [*(each["expr"] for each in alerts), *queries_of(dashboard)]
    used = set(re.findall(r"\bbrinery_\w+", " ".join(queries)))
    assert used <= set(names)
    for query in queries:
        assert re.findall(r"\bbrinery_\w+|\bup\b", query)
        for name, matchers in re.findall(r"\b(brinery_\w+)\{(.*?)\}", query):
            assert OURS in matchers
            labels = set(re.findall(r"(\w+)\s*(?:=~|!=|=)", matchers)) - {"namespace", "service"}
            assert labels <= set(names[name].labels), query
        for reasons in re.findall(r'reason=~"([^"]*)"', query):
            assert set(reasons.split("|")) <= {kind.slug for kind in TYPES.values()}


def test_the_dashboard_shows_every_metric(dashboard: Any) -> None:
    """No metric is missing on the dashboard, but for how often keys of tokens were fetched, which alerts watch."""
    shown = " ".join(queries_of(dashboard))
    assert {metric.name for metric in METRICS if metric.name not in shown} == {"brinery_token_key_fetches_total"}


def test_a_dashboard_is_one_release(dashboard: Any) -> None:
    """A dashboard has a title and an id of its release's, and series of no other."""
    assert dashboard["title"] == "Brinery: models/crime-65"
    assert re.fullmatch(r"[0-9a-f]{40}", dashboard["uid"])
    assert "$series" not in json.dumps(dashboard)
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    for panel in dashboard["panels"]:
        assert panel["title"]
        assert panel["description"].endswith(".")


def test_other_series() -> None:
    """Whoever scrapes by other labels says which; alerts and dashboard follow."""
    with cluster("1.37", {**NEW, **OPERATOR}) as running:
        other = running.install({"metrics": {**MONITORED, "series": 'job="models", app="crime"'}})
    (group,) = other["PrometheusRule"]["spec"]["groups"]
    (text,) = other["ConfigMap"]["data"].values()
    for query in (*(each["expr"] for each in group["rules"]), *queries_of(json.loads(text))):
        assert 'job="models", app="crime"' in query
        assert "namespace" not in query


def test_every_alert_says_what_to_do(alerts: Sequence[Any]) -> None:
    """Each alert leads to a section that says what to do; sections are for alerts that exist."""
    page = DOCS / "operations.md"
    anchors = anchors_of(page)
    for each in alerts:
        name, _, anchor = each["annotations"]["runbook_url"].partition("#")
        assert name == page.relative_to(ROOT).as_posix()
        assert anchors.count(anchor) == 1, each["alert"]
        assert len(section_of(page, each["alert"]).split()) > 20
    documented = re.findall(r"^### (Brinery\w+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert documented == [each["alert"] for each in alerts]
