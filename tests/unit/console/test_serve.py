"""How `brinery serve` settles the environment before it becomes Gunicorn."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from server.console.serve import NUMERIC_THREADS, serve
from server.errors import SettingError


class Executed(Exception):
    """Stands for the program that took our place."""


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """Give what the program that takes our place is given."""
    given: dict[str, Any] = {}

    def execve(program: str, command: list[str], environ: dict[str, str]) -> None:
        given.update(environ, program=program, command=command)
        raise Executed

    monkeypatch.setattr(os, "execve", execve)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for variable in (*NUMERIC_THREADS, "PROMETHEUS_MULTIPROC_DIR", "BRINERY_PORT"):
        monkeypatch.delenv(variable, raising=False)
    return given


def run(**given: str) -> None:
    """Serve until another program takes our place."""
    with pytest.raises(Executed):
        serve(given)


def test_becomes_gunicorn(environ: dict[str, Any]) -> None:
    """Our own interpreter runs Gunicorn with our settings, one thread for the numerics, and a folder for metrics."""
    run()
    assert environ["program"] == sys.executable
    assert environ["command"][1:] == ["-m", "gunicorn", "-c", "python:server.gunicorn_conf", "server.asgi:app"]
    assert [environ[variable] for variable in NUMERIC_THREADS] == ["1"] * 4
    folder = Path(environ["PROMETHEUS_MULTIPROC_DIR"])
    assert folder.is_dir()
    assert folder.name.startswith("brinery-metrics-")


def test_options_go_over_the_environment(environ: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """What is given as an option counts before a variable."""
    monkeypatch.setenv("BRINERY_PORT", "1234")
    run(port="4321", max_rows="5")
    assert (environ["BRINERY_PORT"], environ["BRINERY_MAX_ROWS"]) == ("4321", "5")


def test_threads_of_the_operator(environ: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A number of threads that the operator set stays."""
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    run()
    assert environ["OMP_NUM_THREADS"] == "3"


def test_folder_of_the_operator(environ: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder that is given is made, and emptied of an earlier run's metrics and of nothing else."""
    folder = tmp_path / "deep" / "metrics"
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(folder))
    run()
    assert folder.is_dir()
    (folder / "counter_7.db").touch()
    (folder / "notes.txt").touch()
    run()
    assert [file.name for file in folder.iterdir()] == ["notes.txt"]
    assert environ["PROMETHEUS_MULTIPROC_DIR"] == str(folder)


def test_no_folder(environ: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where nothing can be written, the folder that is missing is told: the given one, or that for temporary files."""

    def refuse(**_: Any) -> str:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    with pytest.raises(SettingError, match=r"temporary files, .* \(Read-only file system\); mount one at /tmp"):
        run()
    (tmp_path / "file").touch()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "file"))
    with pytest.raises(SettingError, match=r"PROMETHEUS_MULTIPROC_DIR is '.*/file', where workers cannot add up"):
        run()
    assert environ == {}


def test_bad_setting(environ: dict[str, Any]) -> None:
    """A bad option stops us before anything starts."""
    with pytest.raises(SettingError, match="BRINERY_PORT is 'x'"):
        serve({"port": "x"})
    assert environ == {}
