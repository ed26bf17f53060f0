"""What the master does beside Gunicorn's own work: its arbiter is replaced here, processes are real."""

import faulthandler
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from server.accepting import Shares
from server.application import Application, Common, assemble, prepare
from server.bundle import Bundle, Files
from server.metric_files import MetricFiles
from server.supervisor import Supervisor
from server.urls import Url
from tests.models import settings, tree
from tests.unit.sources.packing import tar_gz

PICKLES = Path(__file__).resolve().parents[2] / "pickles"
PATIENCE = 30.0


class FakeWorker:
    """A worker as the arbiter holds it; it has begun."""

    age = 1

    def __init__(self) -> None:
        self.tmp = SimpleNamespace(close=lambda: None, last_update=lambda: 0.0)


class FakeArbiter:
    """Notes what it is asked; its own stop ends the loop, as Gunicorn's does. Its workers are children that wait."""

    def __init__(self, workers: int = 2) -> None:
        self.asked: list[str] = []
        self.num_workers, self.reexec_pid = workers, 0
        self.WORKERS: dict[int, Any] = {}
        self.app = SimpleNamespace(callable="old")

    def handle_term(self) -> None:
        self.asked.append("stop")
        raise StopIteration

    def handle_hup(self) -> None:
        raise AssertionError

    def reap_workers(self) -> None:
        raise AssertionError

    def spawn_worker(self) -> int:
        # A signal waits until the child ends by it: the tests' own process has more to do then, again for each.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        pid = os.fork()
        if pid == 0:
            faulthandler.disable()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
            signal.pause()
            os._exit(0)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        self.WORKERS[pid] = FakeWorker()
        return pid

    def kill_worker(self, pid: int, number: int) -> None:
        os.kill(pid, number)

    def manage_workers(self) -> None:
        raise AssertionError


class World:
    """An arbiter under supervision, and a clock that goes on with the real one unless it is moved."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path, **given: Any) -> None:
        self.skipped = 0.0
        real = time.monotonic
        monkeypatch.setattr(time, "monotonic", lambda: real() + self.skipped)
        monkeypatch.setattr("tempfile.tempdir", str(folder))
        made = settings(log_level="error", **given)
        self.arbiter = FakeArbiter()
        self.application: Application = assemble(made, prepare(made, Bundle("tree", tree(), digest="sha256:0")))
        self.renewed: list[Files] = []
        Supervisor(self.arbiter, self.application, self.renew, MetricFiles(None))

    @property
    def common(self) -> Common:
        return self.application.common

    def renew(self, files: Files) -> object:
        self.renewed.append(files)
        return "new"

    def until(self, condition: Callable[[], bool]) -> None:
        """Do what the arbiter's loop does until something holds."""
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end
            self.arbiter.reap_workers()
            self.arbiter.manage_workers()
            time.sleep(0.005)

    def close(self) -> None:
        for pid in self.arbiter.WORKERS:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


MakeWorld = Callable[..., World]


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[MakeWorld]:
    """Make a supervised arbiter with settings."""
    worlds: list[World] = []

    def world(**given: Any) -> World:
        worlds.append(World(monkeypatch, tmp_path, **given))
        return worlds[-1]

    yield world
    for each in worlds:
        each.close()


def test_workers_are_looked_after(make: MakeWorld) -> None:
    """There are as many workers as there should be, also when that changes, and their starts are counted."""
    world = make()
    world.arbiter.manage_workers()
    assert len(world.arbiter.WORKERS) == 2
    assert world.arbiter.asked == []
    assert not world.common.readiness.draining
    assert world.common.scoreboard.read().starts == 2


def test_drains_first(make: MakeWorld) -> None:
    """Asked to stop, it drains at once, goes on until the time has come, and stops then."""
    world = make(drain_delay=5.0)
    world.arbiter.handle_term()
    assert world.common.readiness.draining
    world.skipped += 4.5
    world.arbiter.manage_workers()
    assert world.arbiter.asked == []
    world.skipped += 1
    with pytest.raises(StopIteration):
        world.arbiter.manage_workers()
    assert world.arbiter.asked == ["stop"]


def test_asked_twice(make: MakeWorld) -> None:
    """Asked a second time, it stops at once."""
    world = make(drain_delay=5.0)
    world.arbiter.handle_term()
    with pytest.raises(StopIteration):
        world.arbiter.handle_term()
    assert world.arbiter.asked == ["stop"]


def test_without_delay(make: MakeWorld) -> None:
    """Without a delay it stops as soon as it looks after its workers."""
    world = make()
    world.arbiter.handle_term()
    with pytest.raises(StopIteration):
        world.arbiter.manage_workers()


def test_another_number_of_workers(make: MakeWorld) -> None:
    """Where fewer workers are wanted the oldest end, where more are, they start."""
    world = make()
    world.arbiter.manage_workers()
    oldest, youngest = world.arbiter.WORKERS
    world.arbiter.num_workers = 1
    world.until(lambda: list(world.arbiter.WORKERS) == [youngest])
    world.arbiter.num_workers = 3
    world.arbiter.manage_workers()
    assert len(world.arbiter.WORKERS) == 3
    assert oldest not in world.arbiter.WORKERS
    assert world.common.scoreboard.read().crashes == {}


def test_a_worker_that_leaves_has_a_successor_at_once(make: MakeWorld) -> None:
    """Who only ends what he was asked is not counted on: another one starts, and nobody else is ended for it."""
    world = make()
    shares = Shares()
    world.arbiter.manage_workers()
    first, second = world.arbiter.WORKERS
    for age, worker in enumerate(world.arbiter.WORKERS.values(), start=1):
        worker.shares, worker.age = shares, age
        shares.tell(age, 0)
    world.arbiter.manage_workers()
    assert len(world.arbiter.WORKERS) == 2
    shares.forget(2)
    for _ in range(3):
        world.arbiter.reap_workers()
        world.arbiter.manage_workers()
    assert {first, second} < set(world.arbiter.WORKERS)
    assert len(world.arbiter.WORKERS) == 3


@pytest.mark.parametrize(
    ("number", "crashes"),
    [(signal.SIGKILL, {"SIGKILL": 1}), (signal.SIGSEGV, {"SIGSEGV": 1}), (signal.SIGTERM, {})],
    ids=["killed", "segfault", "asked"],
)
def test_crashes_are_counted(make: MakeWorld, number: signal.Signals, crashes: dict[str, int]) -> None:
    """A worker that ends by a signal is counted under its name, and replaced; who was asked to end did not crash."""
    world = make()
    world.arbiter.manage_workers()
    victim, other = world.arbiter.WORKERS
    os.kill(victim, number)
    world.until(lambda: victim not in world.arbiter.WORKERS and len(world.arbiter.WORKERS) == 2)
    assert other in world.arbiter.WORKERS
    record = world.common.scoreboard.read()
    assert (record.starts, record.crashes) == (3, crashes)


def test_crashes_make_unstable(make: MakeWorld) -> None:
    """Crashes again and again make the server unready and slow the starts, until a minute has passed."""
    world = make(max_crashes=2)
    world.arbiter.manage_workers()
    for pid in list(world.arbiter.WORKERS):
        os.kill(pid, signal.SIGKILL)
    world.until(lambda: world.common.readiness.unstable)
    world.until(lambda: len(world.arbiter.WORKERS) == 2)
    world.skipped += 61
    world.arbiter.manage_workers()
    assert not world.common.readiness.unstable


def test_reload(make: MakeWorld) -> None:
    """A bundle that can be served is loaded and replaces the workers only after another process tried it."""
    world = make(bundle=PICKLES)
    world.arbiter.manage_workers()
    old = set(world.arbiter.WORKERS)
    world.arbiter.handle_hup()
    world.until(lambda: world.arbiter.app.callable == "new")
    assert [files.folder for files in world.renewed] == [PICKLES]
    assert old < set(world.arbiter.WORKERS)
    assert len(world.arbiter.WORKERS) == 4
    record = world.common.scoreboard.read()
    assert (record.reloads_succeeded, record.reloads_failed) == (1, 0)
    assert record.last_reload is not None
    assert record.last_reload.succeeded


def test_no_worker_of_the_model_before_stays(make: MakeWorld) -> None:
    """Where one of the new workers crashes meanwhile, another takes its place, and all of the old ones go."""
    world = make(bundle=PICKLES)
    world.arbiter.manage_workers()
    old = set(world.arbiter.WORKERS)
    world.arbiter.handle_hup()
    world.until(lambda: world.arbiter.app.callable == "new")
    os.kill(max(set(world.arbiter.WORKERS) - old), signal.SIGKILL)
    world.until(lambda: not old & set(world.arbiter.WORKERS) and len(world.arbiter.WORKERS) == 2)


def test_the_model_before_goes_on_until_another_does(make: MakeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long none of the new workers serves, the old ones do."""
    world = make(bundle=PICKLES)
    world.arbiter.manage_workers()
    old = set(world.arbiter.WORKERS)
    monkeypatch.setattr("server.supervisor._serves", lambda _: False)
    world.arbiter.handle_hup()
    world.until(lambda: world.arbiter.app.callable == "new")
    world.skipped += 60
    world.arbiter.manage_workers()
    world.arbiter.reap_workers()
    assert old < set(world.arbiter.WORKERS)


def test_no_process_is_left(make: MakeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system has no process left for a worker, or for a trial, the master goes on and tries again."""
    world = make(bundle=PICKLES)

    def full() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fork", full)
        assert world.arbiter.spawn_worker() == 0
        before = len(list(Path("/dev/fd").iterdir()))
        world.arbiter.handle_hup()
        patch.setattr(world.arbiter, "num_workers", 0)
        world.arbiter.manage_workers()
        assert len(list(Path("/dev/fd").iterdir())) == before
    record = world.common.scoreboard.read()
    assert (record.starts, record.reloads_failed) == (0, 1)
    world.arbiter.manage_workers()
    assert len(world.arbiter.WORKERS) == 2


def test_reload_without_a_bundle(make: MakeWorld, tmp_path: Path) -> None:
    """The reason names no path: callers may read it."""
    world = make(bundle=tmp_path / "none")
    world.arbiter.handle_hup()
    world.until(lambda: world.common.scoreboard.read().reloads_failed == 1)
    last = world.common.scoreboard.read().last_reload
    assert last is not None
    assert last.reason.startswith("There is no bundle at BRINERY_BUNDLE: ")
    assert str(tmp_path) not in last.reason


def test_reload_of_what_cannot_be_served(make: MakeWorld, tmp_path: Path) -> None:
    """A bundle that cannot be served, or is not there, changes nothing, and the reason is noted."""
    broken = tmp_path / "bundle"
    broken.mkdir()
    world = make(bundle=broken)
    world.arbiter.manage_workers()
    world.arbiter.handle_hup()
    world.until(lambda: world.common.scoreboard.read().reloads_failed == 1)
    (broken / "model.pkl").write_bytes(b"<html>")
    world.arbiter.handle_hup()
    world.until(lambda: world.common.scoreboard.read().reloads_failed == 2)
    assert world.arbiter.app.callable == "old"
    assert not world.renewed
    assert len(world.arbiter.WORKERS) == 2
    last = world.common.scoreboard.read().last_reload
    assert last is not None
    assert "model.pkl" in last.reason


def test_a_stop_ends_a_trial(make: MakeWorld) -> None:
    """A server that is asked to stop while it tries a bundle stops, and does not begin to serve another."""
    world = make(bundle=PICKLES)
    before = _children()
    world.arbiter.handle_hup()
    world.arbiter.manage_workers()
    (trial,) = _children() - before - world.arbiter.WORKERS.keys()
    world.arbiter.handle_term()
    with pytest.raises(StopIteration):
        world.arbiter.manage_workers()
    assert os.waitstatus_to_exitcode(os.waitpid(trial, 0)[1]) == -signal.SIGKILL
    assert not world.renewed
    assert world.arbiter.app.callable == "old"


def archive_of(folder: Path, version: str) -> Path:
    """Pack the bundle of the repository under a version."""
    archive = folder / "crime.tar.gz"
    content = {each.name: each.read_bytes() for each in PICKLES.iterdir() if not each.name.startswith("manifest")}
    content["metadata.json"] = b'{"version": "%s"}' % version.encode()
    archive.write_bytes(tar_gz(content))
    return archive


def test_reload_of_an_archive(make: MakeWorld, tmp_path: Path) -> None:
    """What has to be fetched or unpacked is so by a child process, while the workers are looked after."""
    world = make(bundle=archive_of(tmp_path, "2"))
    world.arbiter.manage_workers()
    (victim, _) = world.arbiter.WORKERS
    world.arbiter.handle_hup()
    world.arbiter.manage_workers()
    os.kill(victim, signal.SIGKILL)
    world.until(lambda: world.arbiter.app.callable == "new")
    (files,) = world.renewed
    assert files.contents["metadata.json"] == b'{"version": "2"}'
    assert world.common.scoreboard.read().crashes == {"SIGKILL": 1}


def test_reload_of_what_cannot_be_fetched(make: MakeWorld, tmp_path: Path) -> None:
    """A fetch that fails changes nothing; the reason names no place."""
    archive = archive_of(tmp_path, "2")
    archive.write_bytes(b"<html>")
    world = make(bundle=archive)
    world.arbiter.handle_hup()
    world.until(lambda: world.common.scoreboard.read().reloads_failed == 1)
    world = make(bundle=Url("https://127.0.0.1:9/crime.tar.gz?sig=geheim"), fetch_attempts=1)
    world.arbiter.handle_hup()
    world.until(lambda: world.common.scoreboard.read().reloads_failed == 1)
    last = world.common.scoreboard.read().last_reload
    assert last is not None
    assert last.reason.startswith("BRINERY_BUNDLE cannot be reached, or broke off (")
    assert world.arbiter.app.callable == "old"


def test_a_stop_ends_a_fetch(make: MakeWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is asked to stop while it fetches a bundle stops, and leaves nothing behind."""
    monkeypatch.setattr("server.sources.fetching.unpack", lambda *_: signal.pause())
    world = make(bundle=archive_of(tmp_path, "2"))
    before = _children()
    world.arbiter.handle_hup()
    world.arbiter.manage_workers()
    (fetch,) = _children() - before - world.arbiter.WORKERS.keys()
    assert list(tmp_path.glob("brinery-fetch-*"))
    world.arbiter.handle_term()
    with pytest.raises(StopIteration):
        world.arbiter.manage_workers()
    assert fetch not in _children()
    assert not list(tmp_path.glob("brinery-fetch-*"))
    assert not world.renewed


def _children() -> set[int]:
    """Give our child processes."""
    pid = os.getpid()
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}
