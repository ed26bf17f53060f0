"""Another model in place: no request is lost, whatever the new bundle is like.

Faults: sighup_reload_under_load, corrupt_model_at_reload.
"""

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.faults.load import THEFT, Load, posted
from tests.faults.processes import descriptors, memory, tree_of
from tests.live.bundles import small_classifier, write_bundle
from tests.live.metrics import scrape
from tests.live.running import BIN, Server, bundle_of, environ_with, eventually

pytestmark = pytest.mark.live
SLOW = pytest.mark.slow

MIXED = (0.0, 0.0, 0.05, 0.3, 1.0, 2.5)  # callers that never rest, and some whose connections are mostly idle


class Shelf:
    """A folder that a server serves, and the bundles that are put there in one step."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._count = folder, 0
        self.path = folder / "served"
        self.put(version=0)

    def put(self, *, version: int, damaged: str | None = None) -> None:
        """Serve the crime model under a version from the next reload on, whole or damaged."""
        self._count += 1
        new = self._folder / f"bundle-{self._count}"
        shutil.copytree(bundle_of("crime"), new, ignore=shutil.ignore_patterns("manifest.json*"))
        metadata = new / "metadata.json"
        metadata.write_text(json.dumps({**json.loads(metadata.read_text()), "version": version}))
        if damaged is not None:
            _damage(new / "model.pkl", damaged)
        link = self._folder / "link"
        link.symlink_to(new)
        link.replace(self.path)


def _damage(file: Path, how: str) -> None:
    content = file.read_bytes()
    if how == "truncated":
        file.write_bytes(content[: len(content) // 2])
    elif how == "flipped":
        middle = len(content) // 2
        file.write_bytes(content[:middle] + bytes([content[middle] ^ 0x10]) + content[middle + 1 :])
    elif how == "html":
        file.write_bytes(b"<html>404</html>")
    else:
        file.unlink()


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """Give a folder with version 0."""
    return Shelf(tmp_path)


@pytest.fixture
def server(shelf: Shelf) -> Iterator[Server]:
    """Serve it by two workers."""
    with Server(bundle=shelf.path, workers=2, access_log="false") as server:
        eventually(lambda: len(server.workers()) == 2, "both workers")
        yield server


def reload(server: Server) -> subprocess.CompletedProcess[str]:
    """Reload as an operator does."""
    environ = {**environ_with({"port": server.port}), "TMPDIR": str(server.scratch)}
    return subprocess.run([BIN / "brinery", "reload"], env=environ, text=True, capture_output=True, check=False)


@SLOW
def test_reload_under_load(server: Server, shelf: Shelf) -> None:
    """Each reload brings the next version; nobody fails, no connection is closed, and no answer mixes two versions."""
    with Load(server, pauses=MIXED) as load:
        load.until(50)
        for version in (1, 2, 3):
            shelf.put(version=version)
            done = reload(server)
            assert done.returncode == 0, done.stderr
            assert done.stdout.startswith("Reloaded; the bundle is now sha256:")
            load.until(50)
            eventually(lambda: len(server.workers()) == 2, "the end of the old workers")
            assert server.request("GET", "/api/health/ready").headers["X-Model-Version"] == str(version)
    assert not load.failed
    assert load.closed == 0
    assert set(load.versions) == {"0", "1", "2", "3"}
    assert server.request("GET", "/api/info").json["reload"]["succeeded"] == 3
    page = scrape(server)
    assert page["brinery_reloads_total", "result=succeeded"] == 3
    assert page["brinery_http_requests_total", "method=POST", "route=/api/predict", "status=200"] == load.answered


@SLOW
def test_nothing_new(server: Server, shelf: Shelf) -> None:
    """Where a reload finds the bundle that is served already, it says so: it may not be what was meant."""
    digest = server.request("GET", "/api/info").json["model"]["digest"]
    assert reload(server).stdout == f"Reloaded; it is the same bundle as before, {digest}.\n"
    shelf.put(version=1)
    said = reload(server).stdout
    assert said == f"Reloaded; the bundle is now {server.request('GET', '/api/info').json['model']['digest']}.\n"
    assert digest not in said


def test_an_idle_connection_goes_on(server: Server, shelf: Shelf) -> None:
    """A connection that was idle during a reload serves the new version afterwards, as if nothing had happened."""
    with server.connect() as client:
        assert client("POST", "/api/predict", THEFT).headers["X-Model-Version"] == "0"
        kept = client.connection.sock
        shelf.put(version=1)
        assert reload(server).returncode == 0
        eventually(lambda: len(server.workers()) == 2, "the end of the old workers")
        assert client("POST", "/api/predict", THEFT).headers["X-Model-Version"] == "1"
        assert client.connection.sock is kept


@pytest.mark.parametrize("damaged", ["truncated", *(pytest.param(each, marks=SLOW) for each in ("html", "missing"))])
def test_a_damaged_bundle_changes_nothing(server: Server, shelf: Shelf, damaged: str) -> None:
    """The old model goes on without a lost request, and everyone who asks is told why; the next reload works."""
    workers = server.workers()
    with Load(server) as load:
        load.until(20)
        shelf.put(version=1, damaged=damaged)
        done = reload(server)
        load.until(20)
    assert not load.failed
    assert set(load.versions) == {"0"}
    assert server.workers() == workers
    assert done.returncode == 1
    assert "brinery: The reload failed, and the model before it goes on." in done.stderr.splitlines()
    assert "model.pkl" in done.stderr
    told = server.request("GET", "/api/info").json["reload"]
    assert (told["succeeded"], told["failed"], told["last"]["result"]) == (0, 1, "failed")
    assert told["last"]["reason"] == server.wait_for_event("reload_failed")["reason"]
    assert scrape(server)["brinery_reloads_total", "result=failed"] == 1
    shelf.put(version=2)
    assert reload(server).returncode == 0
    eventually(
        lambda: server.request("GET", "/api/health/live").headers["X-Model-Version"] == "2", "the version after that"
    )


@SLOW
def test_signals_without_pause(server: Server, shelf: Shelf) -> None:
    """Many signals at once are at least one reload, after the last of them, and no request is lost."""
    with Load(server, pauses=MIXED) as load:
        load.until(20)
        for version in range(1, 30):
            shelf.put(version=version)
            server.process.send_signal(signal.SIGHUP)
        eventually(
            lambda: server.request("GET", "/api/health/live").headers["X-Model-Version"] == "29", "the last version"
        )
        load.until(20)
    assert not load.failed


@SLOW
def test_a_request_that_is_sent_during_a_reload(server: Server, shelf: Shelf) -> None:
    """A request of which half was sent before a reload gets its answer, and its connection stays."""
    with server.connect() as client:
        assert client("GET", "/api/health/live").status == 200
        sent = json.dumps(THEFT).encode()
        client.connection.sock.sendall(posted(sent)[:-10])
        shelf.put(version=1)
        assert reload(server).returncode == 0
        client.connection.sock.sendall(sent[-10:])
        with client.connection.sock.makefile("rb") as answer:
            assert answer.readline().startswith(b"HTTP/1.1 200")
            assert b"Connection: close\r\n" not in iter(answer.readline, b"\r\n")


@SLOW
def test_the_model_before_is_gone(tmp_path: Path) -> None:
    """Neither the files of a bundle nor the model before stay in anybody's memory."""
    model = small_classifier()
    model.ballast_ = np.random.default_rng(0).random(8_000_000)
    bundle = write_bundle(tmp_path / "bundle", model)
    with Server(bundle=bundle, workers=2) as server:
        eventually(lambda: len(server.workers()) == 2, "both workers")
        before = sum(memory(pid) for pid in tree_of(server))
        for _ in range(2):
            assert reload(server).returncode == 0
            eventually(lambda: len(server.workers()) == 2, "the end of the old workers")
        assert sum(memory(pid) for pid in tree_of(server)) < before + model.ballast_.nbytes / 2


@pytest.mark.by_hand
def test_twenty_reloads_in_a_minute(server: Server, shelf: Shelf, capsys: pytest.CaptureFixture[str]) -> None:
    """Twenty reloads in sixty seconds under load: no failure, whole versions, descriptors and memory flat."""
    taken: list[tuple[int, int]] = []
    with Load(server, pauses=MIXED) as load:
        for version in range(1, 21):
            start = time.monotonic()
            shelf.put(version=version)
            assert reload(server).returncode == 0
            eventually(lambda: len(server.workers()) == 2, "the end of the old workers")
            taken.append((descriptors(server.process.pid), sum(memory(pid) for pid in tree_of(server))))
            load.lasting(max(0.0, start + 3 - time.monotonic()))
    with capsys.disabled():
        print(
            f"\n{load.answered} answered, {len(load.failed)} failed, {load.closed} closed; descriptors and PSS: {taken}"
        )
    assert not load.failed
    assert load.closed == 0
    assert set(load.versions) == {str(version) for version in range(21)}
    assert len({count for count, _ in taken}) <= 3
    assert max(size for _, size in taken[10:]) < 1.1 * max(size for _, size in taken[:5])
    page = scrape(server)
    assert page["brinery_http_requests_total", "method=POST", "route=/api/predict", "status=200"] == load.answered
    assert len(list(server.scratch.glob("brinery-metrics-*/*.db"))) < 20
