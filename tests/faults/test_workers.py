"""Workers that end: killed, crashed, stuck, or after their share.

Faults: kill9_worker, segv_worker, stuck_predict, metrics_after_worker_death, sigterm_stuck_request, oom.
"""

import json
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from sklearn.tree import DecisionTreeClassifier

from tests.faults.load import THEFT, Load, posted
from tests.faults.processes import descriptors, memory, tree_of
from tests.live.bundles import write_bundle
from tests.live.grpc_client import GrpcClient
from tests.live.metrics import counters, scrape
from tests.live.running import BIN, FRONTS, PATIENCE, Program, Server, environ_with, eventually, free_port

pytestmark = pytest.mark.live

NAUGHTY = '''
"""A model that does what its one number says: 1001 ends the process, 1002 never ends, 1003 takes memory without end."""

import ctypes
import time

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin


class Naughty(RegressorMixin, BaseEstimator):
    def __init__(self, at_once=False):
        self.at_once = at_once

    def fit(self, X, y=None):
        self.n_features_in_ = 1
        return self

    def predict(self, X):
        numbers = np.asarray(X)
        if self.at_once or 1001 in numbers:
            ctypes.string_at(0)
        while 1002 in numbers:
            time.sleep(3600)
        if 1003 in numbers:
            bytearray(1 << 60)
        return np.zeros(len(numbers))
'''
BROKEN = ("RemoteDisconnected", "ConnectionResetError", "BrokenPipe")
CRASH, STUCK, GREEDY, FINE = {"x0": 1001}, {"x0": 1002}, {"x0": 1003}, {"x0": 3}


def naughty(folder: Path, *, at_once: bool = False) -> dict[str, object]:
    """Write a bundle of such a model; give what a server of it needs."""
    (folder / "naughty.py").write_text(NAUGHTY)
    sys.path.insert(0, str(folder))
    try:
        from naughty import Naughty  # type: ignore[import-not-found]

        bundle = write_bundle(folder / "bundle", Naughty(at_once).fit(None))
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop("naughty", None)
    return {"bundle": bundle, "allowed_globals": "naughty.Naughty", "environ": {"PYTHONPATH": str(folder)}}


def starts(server: Server) -> float:
    """Give how many workers were started."""
    return scrape(server)["brinery_worker_starts_total",]


def test_a_killed_worker_under_load() -> None:
    """Only what the killed worker held fails, as a closed connection; it is counted and replaced, and nothing leaks."""
    with Server(workers=2, access_log="false") as server:
        eventually(lambda: len(server.workers()) == 2, "both workers")
        with Load(server, pauses=(0.0,) * 4) as load:
            load.until(50)
            before = [descriptors(server.process.pid), *sorted(map(descriptors, server.workers()))]
            victim, other = server.workers()
            os.kill(victim, signal.SIGKILL)
            _wait_for_another(server, victim, 2)
            load.until(50)
        assert other in server.workers()
        assert len(load.failed) <= 4, load.failed  # a caller at most has one request in flight
        assert all(
            what.startswith(("RemoteDisconnected", "ConnectionResetError", "BrokenPipe")) for what in load.failed
        )
        page = scrape(server)
        assert page["brinery_worker_crashes_total", "cause=SIGKILL"] == 1
        assert page["brinery_worker_starts_total",] == 3
        counted = page["brinery_http_requests_total", "method=POST", "route=/api/predict", "status=200"]
        assert load.answered <= counted <= load.answered + len(load.failed)
        server.wait_for_event("worker_crashed", cause="SIGKILL", pid=victim)
        after = [descriptors(server.process.pid), *sorted(map(descriptors, server.workers()))]
        assert after[0] == before[0]
        server.terminate()
        assert server.wait() == 0


def test_a_model_that_crashes_at_once_never_serves(tmp_path: Path) -> None:
    """A model that ends the process in which it is tried is refused with a sentence, and nothing listens."""
    made = naughty(tmp_path, at_once=True)
    settings = {name: made[name] for name in ("bundle", "allowed_globals")}
    with Program(BIN / "brinery", "serve", environ={**environ_with(settings), "PYTHONPATH": str(tmp_path)}) as program:
        assert program.wait() == 3
        (line,) = program.err
        assert line.startswith("brinery: The process that tried the model ended by SIGSEGV: the model is damaged, or ")
        assert not program.out


def test_a_tree_with_a_broken_node_never_serves(tmp_path: Path) -> None:
    """A tree whose nodes lead nowhere loads like any other and crashes when it is asked: not here."""
    x = np.random.default_rng(0).random((200, 3))
    model = DecisionTreeClassifier(max_depth=4, random_state=0).fit(x, (x[:, 0] > 0.5).astype(int))
    state = model.tree_.__getstate__()
    state["nodes"] = state["nodes"].copy()
    state["nodes"]["left_child"][0] = state["nodes"]["right_child"][0] = 1 << 40
    model.tree_.__setstate__(state)
    bundle = write_bundle(tmp_path / "bundle", model)
    with Program(BIN / "brinery", "serve", environ=environ_with({"bundle": bundle})) as program:
        assert program.wait() == 3
        assert program.err[0].startswith("brinery: The process that tried the model ended by SIGSEGV")


@pytest.mark.slow
def test_crashes_again_and_again(tmp_path: Path) -> None:
    """A crash costs its own request; after some, readiness goes off, starts are slow, and the log says why."""
    with Server(workers=2, max_crashes=3, **naughty(tmp_path)) as server:  # type: ignore[arg-type]
        for crash in range(3):
            with pytest.raises(OSError):  # noqa: PT011  # the connection breaks in one way or another
                server.request("POST", "/api/predict", CRASH)
            server.wait_for_event("worker_crashed", cause="SIGSEGV")
            _wait_for_crashes(server, crash + 1)
            assert server.request("POST", "/api/predict", FINE).status == 200
        server.wait_for_event("unstable", crashes={"SIGSEGV": 3})
        eventually(lambda: server.request("GET", "/api/health/ready").status == 503, "readiness off")
        assert server.request("GET", "/api/health").json["status"] == "unstable"
        assert scrape(server)["brinery_ready",] == 0
        assert server.request("GET", "/api/health/live").status == 200
        server.terminate()
        assert server.wait() == 0


def _wait_for_crashes(server: Server, count: int) -> None:
    series = ("brinery_worker_crashes_total", "cause=SIGSEGV")
    eventually(lambda: scrape(server).get(series) == count, "the crash in the metrics")


def _wait_for_reloads(server: Server, count: int) -> None:
    eventually(lambda: scrape(server)["brinery_reloads_total", "result=succeeded"] == count, "a reload")


def _wait_for_another(server: Server, victim: int, workers: int) -> None:
    eventually(lambda: len(set(server.workers()) - {victim}) == workers, "another worker")


@pytest.mark.slow
def test_a_prediction_that_never_ends(tmp_path: Path) -> None:
    """Its caller gets 504 at the deadline, others their answers, and the worker is replaced."""
    with Server(workers=1, deadline=1, **naughty(tmp_path)) as server:  # type: ignore[arg-type]
        (stuck,) = server.workers()
        answer = server.request("POST", "/api/predict", STUCK)
        assert answer.status == 504
        server.wait_for_event("worker_stuck", predictions=1)
        eventually(lambda: len(server.workers()) == 1 and stuck not in server.workers(), "another worker")
        assert server.request("POST", "/api/predict", FINE).status == 200
        assert scrape(server)["brinery_worker_crashes_total", "cause=stuck"] == 1
        server.terminate()
        assert server.wait() == 0


@pytest.mark.slow
@pytest.mark.parametrize("front", FRONTS)
def test_a_call_whose_prediction_never_ends(front: str, tmp_path: Path) -> None:
    """By gRPC its caller hears of the deadline too, and on either front the worker is replaced."""
    port = free_port()
    settings = {"deadline": 1, "grpc_port": port, **naughty(tmp_path)}
    with Server(front=front, workers=1, **settings) as server, GrpcClient(port) as client:  # type: ignore[arg-type]
        name = client.refusal("ModelMetadata", {"name": "?"})[1].rpartition(" ")[2].rstrip(".")
        asked, method = client.method("ModelInfer")

        def code_of(value: float) -> str:
            tensor = {"name": "x0", "datatype": "FP64", "shape": [1], "contents": {"fp64_contents": [value]}}
            return str(method.future(asked(model_name=name, inputs=[tensor])).code().name)

        (stuck,) = server.workers()
        assert code_of(1002) == "DEADLINE_EXCEEDED"
        server.wait_for_event("worker_stuck", predictions=1)
        eventually(lambda: len(server.workers()) == 1 and stuck not in server.workers(), "another worker")
        eventually(lambda: code_of(3) == "OK", "an answer")
        assert scrape(server)["brinery_worker_crashes_total", "cause=stuck"] == 1
        server.terminate()
        assert server.wait() == 0


@pytest.mark.slow
def test_a_stop_with_a_prediction_that_never_ends(tmp_path: Path) -> None:
    """The server ends when the grace is over, with status 0."""
    settings = {"deadline": 60, "graceful_timeout": 1, **naughty(tmp_path)}
    with Server(workers=1, **settings) as server:  # type: ignore[arg-type]
        asking = threading.Thread(target=_ask_in_vain, args=(server,), daemon=True)
        asking.start()
        eventually(lambda: scrape(server)["brinery_http_requests_in_flight",] == 2, "a request in the model")
        server.terminate()
        assert server.wait(15) == 0
        asking.join(15)


def _ask_in_vain(server: Server) -> None:
    with pytest.raises(OSError):  # noqa: PT011
        server.request("POST", "/api/predict", STUCK)


@pytest.mark.slow
def test_no_memory_for_a_prediction(tmp_path: Path) -> None:
    """A prediction for which there is no memory is a problem of its own caller, and the worker lives."""
    with Server(workers=1, **naughty(tmp_path)) as server:  # type: ignore[arg-type]
        workers = server.workers()
        assert server.request("POST", "/api/predict", GREEDY).status == 500
        server.wait_for_event("request_failed", error_type="MemoryError")
        assert server.request("POST", "/api/predict", FINE).status == 200
        assert server.workers() == workers


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_workers_are_replaced_after_their_share(workers: int) -> None:
    """After so many requests a worker is replaced, and nobody notices: no failure, no closed connection, no crash."""
    with Server(workers=workers, max_requests=200, max_requests_jitter=50, access_log="false") as server:
        first = set(server.workers())
        with Load(server, pauses=(0.0, 0.0, 0.3, 1.0)) as load:
            eventually(lambda: not first & set(server.workers()) and len(server.workers()) == workers, "other workers")
            load.until(50)
        assert not load.failed
        assert load.closed == 0
        page = scrape(server)
        assert not [series for series in page if series[0] == "brinery_worker_crashes_total"]
        assert page["brinery_http_requests_total", "method=POST", "route=/api/predict", "status=200"] == load.answered


@pytest.mark.by_hand
def test_many_deaths(capsys: pytest.CaptureFixture[str]) -> None:
    """A hundred killed workers: counters never go down, files are merged, a page of metrics stays quick."""
    with Server(workers=4, max_crashes=1000, access_log="false") as server:
        seen, slowest = counters(scrape(server)), 0.0
        with Load(server, pauses=(0.01, 0.01)) as load:
            for _ in range(100):
                victim = server.workers()[0]
                os.kill(victim, signal.SIGKILL)
                _wait_for_another(server, victim, 4)
                start = time.perf_counter()
                page = counters(scrape(server))
                slowest = max(slowest, time.perf_counter() - start)
                assert all(page.get(series, -1.0) >= value for series, value in seen.items())
                seen = page
        files = list(server.scratch.glob("brinery-metrics-*/*.db"))
        with capsys.disabled():
            print(f"\n{load.answered} answered, {len(load.failed)} failed")
            print(f"{len(files)} files, slowest page {slowest:.3f} s")
        assert seen["brinery_worker_crashes_total", "cause=SIGKILL"] == 100
        assert len(files) < 30


@pytest.mark.by_hand
def test_a_million_requests(capsys: pytest.CaptureFixture[str]) -> None:
    """A million requests with kills and reloads between them: counters exact, memory within a tenth."""
    rows, rounds = 0, 20
    with Server(workers=2, access_log="false", max_crashes=1000) as server:
        sizes: list[int] = []
        for turn in range(rounds):
            rows += _ask(server, 50_000)
            if turn % 4 == 1:
                victim = server.workers()[0]
                os.kill(victim, signal.SIGKILL)
                _wait_for_another(server, victim, 2)
            if turn % 4 == 3:
                server.process.send_signal(signal.SIGHUP)
                _wait_for_reloads(server, (turn + 1) // 4)
                eventually(lambda: len(server.workers()) == 2, "the end of the old workers")
            sizes.append(sum(memory(pid) for pid in tree_of(server)))
        page = scrape(server)
        with capsys.disabled():
            print(f"\n{rows} requests; PSS {[size // 1_000_000 for size in sizes]} MB")
        assert page["brinery_http_requests_total", "method=POST", "route=/api/predict", "status=200"] == rows
        assert max(sizes[4:]) < 1.1 * max(sizes[:4])


def _ask(server: Server, count: int) -> int:
    """Ask for so many predictions, a hundred at a time on one connection; give how many were answered."""
    request, wanted = posted(json.dumps(THEFT).encode()), server.request("POST", "/api/predict", THEFT).body
    answered = 1
    with socket.create_connection((server.host, server.port), PATIENCE) as connection:
        while answered < count:
            together = min(100, count - answered)
            connection.sendall(request * together)
            came = b""
            while came.count(wanted) < together:
                part = connection.recv(1 << 20)
                assert part, came[-1000:]
                came += part
            assert came.count(b"HTTP/1.1 200 OK\r\n") == together
            answered += together
    return answered
