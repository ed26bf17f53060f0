"""The servers that are measured: how each is started, when it answers, what memory it has, how it ends."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from benchmarks.points import ASGI, BARE_ASGI, BARE_WSGI, NAIVE, WSGI

REPOSITORY: Final = Path(__file__).resolve().parents[1]
BIN: Final = Path(sys.executable).parent
PATH: Final = "/api/predict"
WORKERS: Final = 2
PATIENCE: Final = 60  # seconds for a start
# One numeric thread a process, for everyone: what `brinery serve` sets by itself and the naive application would not.
ONE_THREAD: Final = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def command(target: str, folder: Path, port: int) -> list[str]:
    """Give the command that serves a bundle's folder, or nothing, on a port."""
    bind = ["--workers", str(WORKERS), "--bind", f"127.0.0.1:{port}", "--no-control-socket", "--log-level", "error"]
    gunicorn = [sys.executable, "-m", "gunicorn", *bind]
    given = ["--host", "127.0.0.1", "--port", str(port), "--workers", str(WORKERS), "--bundle", str(folder)]
    return {
        ASGI: [str(BIN / "brinery"), "serve", *given],
        WSGI: [str(BIN / "brinery"), "serve", *given],
        NAIVE: [*gunicorn, "--worker-class", "sync", f"benchmarks.naive:create_app({str(folder)!r})"],
        BARE_ASGI: [*gunicorn, "--worker-class", "uvicorn_worker.UvicornWorker", "benchmarks.bare:asgi"],
        BARE_WSGI: [*gunicorn, "--worker-class", "gthread", "--threads", "4", "benchmarks.bare:wsgi"],
    }[target]


def environ(target: str) -> dict[str, str]:
    """Give this process's environment without settings of ours, and with those that the target is measured with."""
    ours = ("BRINERY_", "GUNICORN_", "WEB_CONCURRENCY", "PROMETHEUS_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    front = {"BRINERY_FRONT": target, "BRINERY_ACCESS_LOG": "false"} if target in (ASGI, WSGI) else {}
    return kept | ONE_THREAD | front


class Server:
    """A server that starts when it is made; as a context, from its first answer to its end.

    `seconds` is the time from the start to that answer.
    """

    def __init__(self, target: str, folder: Path, body: bytes) -> None:
        self.target, self._body = target, body
        self.port = _free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.url = self.address + PATH
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  # closed when it ends
        self.seconds = 0.0
        self._start = time.perf_counter()
        self._process = subprocess.Popen(
            command(target, folder, self.port),
            env=environ(target),
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def wait(self) -> None:
        """Return at its first answer; end the program with a sentence where none comes, or where it is no success."""
        end = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(OSError):
                status, said = self.ask(self._body)
                if status == 200:
                    self.seconds = time.perf_counter() - self._start
                    return
                raise SystemExit(f"The server {self.target} answers {status}: {said[:500]!r}")
            if self._process.poll() is not None or time.monotonic() > end:
                self._said.seek(0)
                raise SystemExit(f"The server {self.target} does not start: {self._said.read()[-2000:].decode()}")
            time.sleep(0.005)

    def ask(self, body: bytes) -> tuple[int, bytes]:
        """Post a body on a connection of its own; give status and body of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request("POST", PATH, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, response.read()

    def memory_mb(self) -> float:
        """Give the memory of the process and all below it: a shared page counts to each sharer in its part (PSS)."""
        return sum(proportional_kb(pid) for pid in _tree(self._process.pid)) / 1024

    def end(self) -> None:
        """Stop it."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)  # a group of its own
            self._process.wait()
        self._said.close()

    def __enter__(self) -> Self:
        try:
            self.wait()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()


def proportional_kb(pid: int) -> int:
    """Give the proportional set size of a process, in kB; 0 where it has ended."""
    try:
        return pss_of(Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines())
    except OSError:
        return 0


def pss_of(lines: Iterable[str]) -> int:
    """Read the line `Pss:` of the kernel's `smaps_rollup`, in kB."""
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def _tree(pid: int) -> Sequence[int]:
    try:
        below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        below = []
    return [pid, *(each for child in below for each in _tree(int(child)))]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
