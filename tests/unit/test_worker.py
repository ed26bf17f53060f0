"""A boot that ends with a sentence, and a stop that drains first."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gunicorn.config import Config

from server.errors import BundleError, StartError
from server.worker import REFUSED, DrainingStop, exit_if_refused


class FakeArbiter:
    """Notes what it is asked; its own stop ends the loop, as Gunicorn's does."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def handle_term(self) -> None:
        self.asked.append("stop")
        raise StopIteration

    def manage_workers(self) -> None:
        self.asked.append("look")


class Drained:
    """An arbiter with a draining stop, and a clock that stands until it is moved."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
        self.arbiter = FakeArbiter()
        self.now, self.drained = 100.0, 0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        DrainingStop(self.arbiter, self.drain, seconds)

    def drain(self) -> None:
        self.drained += 1


@pytest.fixture
def drained(monkeypatch: pytest.MonkeyPatch) -> Drained:
    """Give an arbiter that drains for five seconds."""
    return Drained(monkeypatch, 5)


def test_workers_are_looked_after(drained: Drained) -> None:
    """Until it is asked to stop, the arbiter does what it always does."""
    drained.arbiter.manage_workers()
    assert (drained.arbiter.asked, drained.drained) == (["look"], 0)


def test_drains_first(drained: Drained) -> None:
    """Asked to stop, it drains at once, goes on until the time has come, and stops then."""
    drained.arbiter.handle_term()
    assert drained.drained == 1
    drained.now += 4.9
    drained.arbiter.manage_workers()
    assert drained.arbiter.asked == ["look"]
    drained.now += 0.2
    with pytest.raises(StopIteration):
        drained.arbiter.manage_workers()
    assert drained.arbiter.asked == ["look", "stop"]


def test_asked_twice(drained: Drained) -> None:
    """Asked a second time, it stops at once."""
    drained.arbiter.handle_term()
    with pytest.raises(StopIteration):
        drained.arbiter.handle_term()
    assert (drained.arbiter.asked, drained.drained) == (["stop"], 1)


def test_without_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a delay it stops as soon as it looks after its workers."""
    drained = Drained(monkeypatch, 0)
    drained.arbiter.handle_term()
    with pytest.raises(StopIteration):
        drained.arbiter.manage_workers()
    assert drained.drained == 1


@pytest.mark.parametrize("error", [StartError("No."), BundleError("No.", "Nor that.")], ids=["start", "bundle"])
def test_refused_start(error: StartError, capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot start ends the process by a line, with the status at which Gunicorn gives up."""
    with pytest.raises(SystemExit) as raised, exit_if_refused():
        raise error
    assert raised.value.code == REFUSED != 0
    assert capsys.readouterr().err == f"brinery: {error}\n"


def test_other_errors_pass() -> None:
    """An error that was not foreseen shows its traceback as ever."""
    with pytest.raises(ZeroDivisionError), exit_if_refused():
        raise ZeroDivisionError


def test_nothing_refused() -> None:
    """What can start, starts."""
    with exit_if_refused():
        pass


class Importer:
    """Stands for the application object of Gunicorn that imports ours: it holds the configuration."""

    def __init__(self, workers: int) -> None:
        self.cfg = Config()
        self.cfg.set("workers", workers)

    def start(self, inside: Callable[[], Any]) -> Any:
        """Run what is inside with ourselves on the stack."""
        return inside()


def boot() -> str:
    """Start what can start."""
    with exit_if_refused():
        return "started"


@pytest.mark.parametrize("folder", [None, "", "/nonexistent"], ids=["none", "empty", "not there"])
def test_workers_without_a_folder(
    folder: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Several workers without a folder for their metrics do not start, and the line says why."""
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    if folder is not None:
        monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", folder)
    with pytest.raises(SystemExit):
        Importer(2).start(boot)
    assert capsys.readouterr().err.startswith("brinery: With 2 workers PROMETHEUS_MULTIPROC_DIR must name an empty ")
    assert Importer(1).start(boot) == "started"


def test_workers_with_a_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Several workers with a folder start."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    assert Importer(2).start(boot) == "started"
