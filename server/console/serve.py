"""`brinery serve`: settles the environment and becomes Gunicorn."""

import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from server.settings import Settings, options
from server.worker import METRICS_FOLDER_PREFIX

# One thread a worker for the numerics: more of them only fight over the CPUs that the workers share, and one that was
# started before the fork hangs after it.
NUMERIC_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")


def serve(given: Mapping[str, str]) -> NoReturn:
    """Serve by Gunicorn with the environment's settings, over which those `given` by name go; does not return.

    Raises `SettingError` before anything starts.
    """
    environ = dict(os.environ)
    environ.update({option.variable: given[option.name] for option in options() if option.name in given})
    Settings.from_environ(environ)
    for variable in NUMERIC_THREADS:
        environ.setdefault(variable, "1")
    environ["PROMETHEUS_MULTIPROC_DIR"] = _metrics_folder(environ.get("PROMETHEUS_MULTIPROC_DIR"))
    command = [sys.executable, "-m", "gunicorn", "-c", "python:server.gunicorn_conf", "server.wsgi:app"]
    os.execve(sys.executable, command, environ)  # noqa: S606  # our own interpreter, no shell


def _metrics_folder(given: str | None) -> str:
    """Make the folder in which workers add up their metrics, or empty the one that is given of an earlier run."""
    if given is None:
        return tempfile.mkdtemp(prefix=METRICS_FOLDER_PREFIX)
    folder = Path(given)
    folder.mkdir(parents=True, exist_ok=True)
    for file in folder.glob("*.db"):
        file.unlink()
    return given
