"""A boot that ends with a sentence."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gunicorn.config import Config

from server.errors import BundleError, StartError
from server.worker import REFUSED, exit_if_refused


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
