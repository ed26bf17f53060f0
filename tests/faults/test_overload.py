"""More work than can be done: some is refused at once, the rest is done in time, and probes notice nothing."""

import asyncio
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.faults.callers import LIVE, Callers, Heard, percentile, play, posted
from tests.live.bundles import Gate, write_bundle
from tests.live.metrics import scrape
from tests.live.running import PATIENCE, Answer, Server, eventually

pytestmark = pytest.mark.live

QUEUE = ("brinery_queue_requests",)
PREDICTED = ("brinery_request_rows_count",)
SLOW = '''
"""A model that takes 20 ms for each row."""

import time

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin


class Slow(RegressorMixin, BaseEstimator):
    def fit(self, X, y=None):
        self.n_features_in_ = 1
        return self

    def predict(self, X):
        time.sleep(0.02 * len(X))
        return np.zeros(len(X))
'''


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    """Make a bundle whose model stops where it is told to."""
    return Gate(tmp_path)


@pytest.fixture
def full(gate: Gate) -> Iterator[Server]:
    """Serve it by one thread, with room for three that wait."""
    with Server(bundle=gate.bundle, front="asgi", environ=gate.environ, threads=1, max_queue_requests=3) as server:
        yield server


def test_a_full_queue_refuses_the_rest(full: Server, gate: Gate) -> None:
    """Beside the one that is worked on exactly as many wait as may; the rest is told when to come back."""
    with ThreadPoolExecutor(20) as pool:
        first = pool.submit(full.request, "POST", "/api/predict", {"x0": 42})
        gate.wait_until_entered()
        others = [pool.submit(full.request, "POST", "/api/predict", {"x0": 1}) for _ in range(15)]
        eventually(lambda: sum(other.done() for other in others) == 12, "refusals")
        for path in ("/api/health/live", "/api/health/ready", "/api/health", "/api/info"):
            assert full.request("GET", path).status == 200
        assert scrape(full)[QUEUE] == 3
        gate.let_through()
        answers: list[Answer] = [other.result(PATIENCE) for other in others]
        assert first.result(PATIENCE).status == 200
    assert sorted(answer.status for answer in answers) == [200] * 3 + [503] * 12
    for answer in answers:
        if answer.status == 503:
            assert answer.json["type"] == "docs/errors.md#overloaded"
            assert int(answer.headers["Retry-After"]) >= 1
    page = scrape(full)
    assert (page[QUEUE], page[PREDICTED]) == (0, 4)
    assert page["brinery_rejected_total", "reason=overloaded"] == 12


def test_what_is_late_is_not_computed(full: Server, gate: Gate) -> None:
    """Callers are told at their deadline, though the only thread is stuck; what waited is never worked on."""
    timeout = {"X-Request-Timeout": "0.2"}
    with ThreadPoolExecutor(5) as pool:
        stuck = pool.submit(full.request, "POST", "/api/predict", {"x0": 42}, timeout)
        gate.wait_until_entered()
        assert stuck.result(PATIENCE).status == 504
        late = [pool.submit(full.request, "POST", "/api/predict", {"x0": 1}, timeout) for _ in range(3)]
        for each in late:
            answer = each.result(PATIENCE)
            assert answer.status == 504
            assert "its X-Request-Timeout allows" in answer.json["detail"]
    assert not gate.path.is_file()
    gate.let_through()
    assert full.request("POST", "/api/predict", {"x0": 1}).status == 200
    page = scrape(full)
    assert (page[QUEUE], page[PREDICTED]) == (0, 1)
    assert page["brinery_rejected_total", "reason=deadline-exceeded"] == 4


@pytest.mark.by_hand
def test_ten_times_the_load(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """At ten times its rate a server does as much as ever, in time, and refuses the rest at once."""
    (tmp_path / "slowly.py").write_text(SLOW)
    sys.path.insert(0, str(tmp_path))
    try:
        from slowly import Slow  # type: ignore[import-not-found]

        bundle = write_bundle(tmp_path / "bundle", Slow().fit(None))
    finally:
        sys.path.remove(str(tmp_path))
        sys.modules.pop("slowly", None)
    deadline, seconds, request = 5.0, 10.0, posted({"x0": 1})
    environ = {"PYTHONPATH": str(tmp_path), "BRINERY_ALLOWED_GLOBALS": "slowly.Slow"}
    with Server(bundle=bundle, front="asgi", environ=environ, deadline=deadline) as server:

        async def scene(callers: Callers) -> None:
            await callers.by_turns(LIVE, 200, 1)  # to connect is no part of what is measured
            start = time.perf_counter()
            best = [each for each in await callers.by_turns(request, 32, 5) if each.status == 200]
            peak = len(best) / (time.perf_counter() - start)
            probing = asyncio.create_task(callers.by_the_clock(LIVE, 20, seconds))
            start = time.perf_counter()
            heard = await callers.by_the_clock(request, 10 * peak, seconds)
            health = await probing
            by_status: dict[int, list[Heard]] = {}
            for each in heard:
                by_status.setdefault(each.status, []).append(each)
            good, refused = by_status[200], by_status[503]
            # By the end, when those who still wait are answered, and not by that of the load.
            rate = len(good) / (time.perf_counter() - start)
            with capsys.disabled():
                print(f"\npeak {peak:.1f}/s; asked {len(heard) / seconds:.0f}/s, done {rate:.1f}/s")
                for name, some in {"done": good, "refused": refused, "health": health}.items():
                    p99, slowest = (1_000 * percentile(some, share) for share in (0.99, 1))
                    print(f"{name}: {len(some)}, p99 {p99:.1f} ms, slowest {slowest:.1f} ms")
            assert set(by_status) == {200, 503}
            assert rate >= 0.9 * peak
            assert percentile(good, 0.99) < deadline
            assert percentile(refused, 0.99) < 0.05
            assert percentile(health, 1) < 0.1

        play(server, scene)
