"""`/metrics` under real traffic: two workers, several callers, and every request counted exactly once."""

import os
import random
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics_families

from tests.live.metrics import Series, counters, read_page, scrape
from tests.live.running import REPOSITORY, Answer, Server

pytestmark = pytest.mark.live

REQUESTS, CALLERS, MAX_ROWS = 2_000, 8, 40
OPEN_METRICS = "application/openmetrics-text; version=1.0.0"
PLAIN = {"Content-Type": "text/plain"}
LENIENT = {"Prefer": "handling=lenient"}
THEFT = {"force": "Thames Valley Police", "crime": "Bicycle theft", "month": 10}
NOBODY = THEFT | {"force": "Sherlock Holmes"}


@dataclass(frozen=True)
class Kind:
    """A kind of request, with what it must be counted as."""

    method: str
    path: str
    status: int
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)
    route: str = "/api/predict"
    counted_method: str = ""
    reasons: tuple[str, ...] = ()


POST, UNMATCHED = ("POST", "/api/predict"), "unmatched"
KINDS = (
    Kind(*POST, 200, THEFT),
    Kind(*POST, 200, THEFT | {"force": "City of London Police", "crime": "Drugs", "month": 1}),
    Kind(*POST, 200, [THEFT | {"month": month} for month in range(1, 13)]),
    Kind("POST", "/api/predict?detail=full", 200, [THEFT, THEFT]),
    Kind(*POST, 200, [THEFT, NOBODY, THEFT, 7], LENIENT, reasons=("invalid-input",) * 2),
    Kind(*POST, 200, [NOBODY], LENIENT, reasons=("invalid-input",)),
    Kind(*POST, 422, [THEFT, NOBODY], reasons=("invalid-input",)),
    Kind(*POST, 422, {}, reasons=("invalid-input",)),
    Kind(*POST, 422, [], reasons=("invalid-input",)),
    Kind("POST", "/api/predict?detail=some", 422, THEFT, reasons=("invalid-input",)),
    Kind(*POST, 400, b"{", reasons=("malformed-body",)),
    Kind(*POST, 400, b'{"month": 1, "month": 1}', reasons=("malformed-body",)),
    Kind(*POST, 413, [THEFT] * (MAX_ROWS + 1), reasons=("too-many-rows",)),
    Kind(*POST, 413, b"[" + b" " * 2_000_000, reasons=("body-too-large",)),
    Kind(*POST, 415, b"month=1", PLAIN, reasons=("unsupported-media-type",)),
    Kind(*POST, 406, THEFT, {"Accept": "text/html"}, reasons=("not-acceptable",)),
    Kind("GET", "/api/predict", 405, route=UNMATCHED, reasons=("method-not-allowed",)),
    Kind("DELETE", "/api/info", 405, route=UNMATCHED, reasons=("method-not-allowed",)),
    Kind("PROPFIND", "/api/predict", 405, route=UNMATCHED, counted_method="other", reasons=("method-not-allowed",)),
    Kind("GET", "/no/such/route", 404, route=UNMATCHED, reasons=("not-found",)),
    Kind("POST", "/api/predict/", 404, THEFT, route=UNMATCHED, reasons=("not-found",)),
    Kind("GET", "/api/predict/params", 200, route="/api/predict/params"),
    Kind("GET", "/api/info", 200, route="/api/info"),
    Kind("HEAD", "/api/info", 200, route="/api/info"),
    Kind("OPTIONS", "/api/predict", 204),
    Kind("GET", "/api/health/live", 200, route="/api/health/live"),
    Kind("GET", "/openapi.json", 200, route="/openapi.json"),
)


@dataclass
class Expected:
    """What the page must have counted."""

    requests: Counter[Series] = field(default_factory=Counter)
    routes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    predictions: Counter[str] = field(default_factory=Counter)
    rows: list[int] = field(default_factory=list)

    def count(self, kind: Kind, answer: Answer) -> None:
        """Count a request by its kind, and its rows by what was answered."""
        method = kind.counted_method or kind.method
        self.requests[f"method={method}", f"route={kind.route}", f"status={kind.status}"] += 1
        self.routes[kind.route] += 1
        self.reasons.update(kind.reasons)
        if kind.method == "POST" and answer.status == 200:
            labels = list(predicted(answer.json))
            self.predictions.update(labels)
            if labels:  # where every row was refused the model did nothing
                self.rows.append(len(labels))


def predicted(answer: Any) -> Iterator[str]:
    """Give the label of each row that an answer has a result for: the likeliest."""
    if isinstance(answer, list):
        for each in answer:
            yield from predicted(each)
    elif "status" in answer:
        if answer["status"] == 200:
            yield from predicted(answer["result"])
    else:
        probabilities = answer.get("probabilities", answer)
        yield max(probabilities, key=probabilities.get)


@pytest.fixture(scope="module")
def folder(front: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder for the workers' numbers, with those of an earlier run."""
    folder = tmp_path_factory.mktemp("numbers")
    (folder / "counter_1.db").write_bytes(b"of an earlier run")
    return folder


@pytest.fixture(scope="module")
def server(folder: Path, front: str) -> Iterator[Server]:
    """Serve crime with two workers, a folder of ours for their numbers, and a small limit of rows."""
    environ = {"PROMETHEUS_MULTIPROC_DIR": str(folder)}
    with Server(workers=2, max_rows=MAX_ROWS, front=front, environ=environ) as server:
        yield server


def called(server: Server, kinds: list[Kind]) -> list[tuple[Kind, Answer]]:
    """Send these requests one after the other on one connection, which is kept as long as it can be."""
    with server.connect() as client:
        return [(kind, client(kind.method, kind.path, kind.body, kind.headers)) for kind in kinds]


def grown(before: dict[Series, float], after: dict[Series, float], name: str) -> dict[Series, float]:
    """Give how much each series of a metric grew, without its name, and without those that did not."""
    each = {series[1:]: value - before.get(series, 0) for series, value in after.items() if series[0] == name}
    return {series: value for series, value in each.items() if value}


def test_every_request_is_counted_once(server: Server) -> None:
    """2,000 requests of all kinds from several callers: the counters of both workers sum to what was sent."""
    draw = random.Random(5)
    sent = [KINDS[index % len(KINDS)] for index in range(REQUESTS)]
    draw.shuffle(sent)
    before = scrape(server)
    with ThreadPoolExecutor(CALLERS) as pool:
        answers = list(pool.map(lambda start: called(server, sent[start::CALLERS]), range(CALLERS)))
    expected = Expected()
    for kind, answer in (each for some in answers for each in some):
        assert (kind, answer.status) == (kind, kind.status)
        expected.count(kind, answer)
    assert sum(expected.requests.values()) == REQUESTS
    # The page that was read before counted itself after it was written.
    expected.requests["method=GET", "route=/metrics", "status=200"] += 1
    expected.routes["/metrics"] += 1

    after = scrape(server)
    assert grown(before, after, "brinery_http_requests_total") == expected.requests
    assert grown(before, after, "brinery_http_request_duration_seconds_count") == {
        (f"route={route}",): count for route, count in expected.routes.items()
    }
    assert grown(before, after, "brinery_rejected_total") == {
        (f"reason={reason}",): count for reason, count in expected.reasons.items()
    }
    assert grown(before, after, "brinery_predictions_total") == {
        (f"label={label}", "output=prediction"): count for label, count in expected.predictions.items()
    }
    assert grown(before, after, "brinery_request_rows_count") == {(): len(expected.rows)}
    assert grown(before, after, "brinery_request_rows_sum") == {(): sum(expected.rows)}
    assert grown(before, after, "brinery_request_rows_bucket")[("le=1.0",)] == sum(rows <= 1 for rows in expected.rows)
    assert grown(before, after, "brinery_model_duration_seconds_count") == {(): len(expected.rows)}
    assert after["brinery_http_requests_in_flight",] == 1, "only the one that asks"


def test_both_workers_count(server: Server) -> None:
    """The numbers are those of both workers, whichever answers: pages read at once never differ by a worker's share."""
    route = ("brinery_http_requests_total", "method=GET", "route=/api/info", "status=200")
    for _ in range(20):
        before = scrape(server).get(route, 0)
        server.request("GET", "/api/info")
        assert scrape(server)[route] == before + 1


def test_a_folder_that_is_given(server: Server, folder: Path) -> None:
    """A folder for the numbers may be given; what is left there of an earlier run does not count."""
    scrape(server)
    files = [file.name for file in folder.iterdir()]
    assert "counter_1.db" not in files
    assert any(name.startswith("counter_") for name in files)


def test_a_bogus_address_makes_no_series(server: Server) -> None:
    """However many addresses, queries, methods and ids callers invent, the page has the same series."""
    with server.connect() as client:
        client("GET", "/nowhere")
        client("BREW", "/nowhere")
        before = set(scrape(server))
        for index in range(100):
            client("GET", f"/{index}/wp-login.php?{index}=%00", headers={"X-Request-ID": f"id-{index}"})
            client(f"BREW{'X' * (index % 9)}", f"/api/{index}")
        assert set(scrape(server)) == before


def test_what_is_served_stands_there(server: Server) -> None:
    """One series names the model, its digest, its engine and the libraries that serve it."""
    told = server.request("GET", "/api/info").json
    [(series, value)] = [each for each in scrape(server).items() if each[0][0] == "brinery_model_info"]
    assert value == 1
    labels = dict(part.split("=", 1) for part in series[1:])
    assert labels["name"] == "crime"
    assert labels["version"] == "1"
    assert labels["digest"] == told["model"]["digest"]
    assert labels["engine"] == told["model"]["engine"]
    assert {name: labels[name] for name in ("python", "sklearn", "numpy", "brinery")} == {
        name: told["runtime"][name] for name in ("python", "sklearn", "numpy", "brinery")
    }


def test_open_metrics(server: Server) -> None:
    """Who accepts OpenMetrics gets it, with the same numbers as in Prometheus' format."""
    answer = server.request("GET", "/metrics", headers={"Accept": f"{OPEN_METRICS},text/plain;q=0.5"})
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    text = answer.body.decode()
    assert text.endswith("# EOF\n")
    families = open_metrics_families(text)  # type: ignore[no-untyped-call]
    names = {sample.name for family in families for sample in family.samples}
    plain = server.request("GET", "/metrics")
    assert plain.headers["Content-Type"].startswith("text/plain")
    assert {series[0] for series in counters(read_page(plain.body.decode()))} <= names


def test_promtool_has_nothing_to_say(server: Server) -> None:
    """`promtool check metrics` finds nothing to criticise in names, types and help texts."""
    promtool = shutil.which("promtool", path=f"{os.environ['PATH']}{os.pathsep}{REPOSITORY / '.tools' / 'bin'}")
    if promtool is None:
        assert os.environ.get("CI") != "true", "promtool is missing"
        pytest.skip("promtool is not installed; tests/tools.sh fetches it")
    page = server.request("GET", "/metrics").body
    done = subprocess.run([promtool, "check", "metrics"], input=page, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
