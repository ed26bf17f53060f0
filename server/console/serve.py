"""`brinery serve`: settles the environment and becomes Gunicorn."""

import contextlib
import os
import re
import resource
import socket
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NoReturn

from server.errors import SettingError
from server.settings import Settings, options

METRICS_FOLDER_PREFIX: Final = "brinery-metrics-"

# One thread a worker for the numerics: more of them only fight over the CPUs that the workers share, and one that was
# started before the fork hangs after it.
METRICS_FILE = re.compile(r"(counter|histogram|summary|gauge_[a-z]+)_[0-9]+\.db")  # the names that the client gives
NUMERIC_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")


def serve(given: Mapping[str, str]) -> NoReturn:
    """Serve by Gunicorn with the environment's settings, over which those `given` by name go; does not return.

    Raises `SettingError` before anything starts.
    """
    environ = dict(os.environ)
    environ.update({option.variable: given[option.name] for option in options() if option.name in given})
    settings = Settings.from_environ(environ)
    for name, port in (("PORT", settings.port), ("GRPC_PORT", settings.grpc_port)):
        if port is not None:
            _check_address(settings.host, name, port)
    for variable in NUMERIC_THREADS:
        environ.setdefault(variable, "1")
    environ.setdefault("GRPC_VERBOSITY", "NONE")  # its library writes what strangers do on standard error
    environ["PROMETHEUS_MULTIPROC_DIR"] = _metrics_folder(environ.get("PROMETHEUS_MULTIPROC_DIR"))
    _raise_limit_of_files()
    command = [sys.executable, "-m", "gunicorn", "-c", "python:server.gunicorn_conf", f"server.{settings.front}:app"]
    os.execve(sys.executable, command, environ)  # noqa: S606  # our own interpreter, no shell


def _raise_limit_of_files() -> None:
    """Let each process open as many files as it may: a connection is one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # some systems name a limit that they do not grant
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _check_address(host: str, name: str, port: int) -> None:
    """Raise `SettingError` for an address that we cannot listen on: Gunicorn would try for seconds, and say less."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            msg = (
                f"BRINERY_HOST {host} and BRINERY_{name} {port} cannot be listened on "
                f"({error.strerror}); expected an address of this machine and a port that is free."
            )
            raise SettingError(msg) from None


def _metrics_folder(given: str | None) -> str:
    """Make the folder in which workers add up their metrics, or take the one that is given, emptied of earlier runs.

    Raises `SettingError` for a folder that cannot be made or emptied.
    """
    if not given:
        try:
            return tempfile.mkdtemp(prefix=METRICS_FOLDER_PREFIX)
        except OSError as error:
            msg = (
                f"There is no folder for temporary files, in which workers add up their metrics ({error.strerror}); "
                "mount one at /tmp that we may write to (a tmpfs will do), or name one by TMPDIR."
            )
            raise SettingError(msg) from None
    try:
        folder = Path(given)
        folder.mkdir(parents=True, exist_ok=True)
        for file in folder.iterdir():
            if METRICS_FILE.fullmatch(file.name):
                file.unlink()
    except OSError as error:
        msg = (
            f"PROMETHEUS_MULTIPROC_DIR is {given!r}, where workers cannot add up their metrics ({error.strerror}); "
            "expected a folder that we may write to."
        )
        raise SettingError(msg) from None
    return given
