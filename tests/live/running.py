"""Starts programs as a user does and hears what they say: the server, and others like it."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

REPOSITORY = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
FRONTS = ("wsgi", "asgi")
PATIENCE = 30  # seconds for what should take a few at most, on a machine that does much else
JSON = {"Content-Type": "application/json"}


def bundle_of(name: str) -> Path:
    """Give the folder of a committed bundle."""
    return REPOSITORY / "pickles" if name == "crime" else REPOSITORY / "examples" / name / "bundle"


def free_port(host: str = "127.0.0.1") -> int:
    """Give a port on which nobody listens."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def eventually(condition: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
    """Return as soon as the condition holds; fail where it does not in good time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s in vain: {what}"
        time.sleep(0.01)


def environ_with(settings: Mapping[str, object]) -> dict[str, str]:
    """Give this process's environment with no settings of ours but these, and no hints to Gunicorn."""
    ours = ("BRINERY_", "AIP_", "AZUREML_", "GUNICORN_", "OMP_", "WEB_CONCURRENCY", "PROMETHEUS_", "PYTHONWARNINGS")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    environ["PATH"] = f"{BIN}{os.pathsep}{environ.get('PATH', os.defpath)}"
    return environ | {f"BRINERY_{name.upper()}": str(value) for name, value in settings.items()}


class Program:
    """A program that runs: its lines as they come, and its end.

    It has a home and a folder for temporary files of its own, `scratch`.
    """

    def __init__(
        self, *command: str | Path, environ: Mapping[str, str], cwd: Path = REPOSITORY, stdin: int | None = None
    ) -> None:
        self.command = [str(each) for each in command]
        self._folder = tempfile.TemporaryDirectory(prefix="live-")
        self.scratch = Path(self._folder.name)
        self._heard = threading.Condition()
        self.out: list[str] = []
        self.err: list[str] = []
        self.process = subprocess.Popen(
            self.command,
            env={**environ, "TMPDIR": str(self.scratch), "HOME": str(self.scratch)},
            cwd=cwd,
            stdin=stdin or subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self._ears = [
            threading.Thread(target=self._hear, args=pair, daemon=True)
            for pair in ((self.process.stdout, self.out), (self.process.stderr, self.err))
        ]
        for ear in self._ears:
            ear.start()

    def _hear(self, pipe: IO[str], lines: list[str]) -> None:
        with pipe:
            for line in pipe:
                with self._heard:
                    lines.append(line.rstrip("\n"))
                    self._heard.notify_all()

    @property
    def said(self) -> str:
        """Everything it has written so far, for people who look into a failure."""
        return "\n".join([" ".join(self.command), "--- stdout", *self.out[-50:], "--- stderr", *self.err[-50:]])

    def wait_for_line(self, found: Callable[[str], bool]) -> str:
        """Give the first line, of either output, for which `found` holds; fail where none comes."""

        def line() -> str | None:
            return next((each for each in (*self.out, *self.err) if found(each)), None)

        with self._heard:
            heard = self._heard.wait_for(line, PATIENCE)
        assert heard, f"the line never came\n{self.said}"
        return heard

    def wait(self, seconds: float = PATIENCE) -> int:
        """Give the exit status, as soon as the program has ended and all that it wrote was read."""
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end within {seconds} s\n{self.said}") from None
        for ear in self._ears:
            ear.join(PATIENCE)
        return status

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(ProcessLookupError):  # its children too, should it have left any
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for ear in self._ears:
            ear.join(PATIENCE)
        self._folder.cleanup()


@dataclass(frozen=True)
class Answer:
    """What came back for a request."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass
class Client:
    """One kept connection to a server; reconnects where the server closed it."""

    host: str
    port: int
    connection: http.client.HTTPConnection = field(init=False)

    def __post_init__(self) -> None:
        self.connection = http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE)

    def __call__(self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Answer:
        """Send a request; a body that is neither bytes nor None is written as JSON."""
        sent = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        given = {**({} if sent is None else JSON), **(headers or {})}
        self.connection.request(method, path, sent, given)
        response = self.connection.getresponse()
        return Answer(response.status, response.headers, response.read())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.connection.close()


class Server(Program):
    """`brinery serve`, or another command that serves: as a context, from ready to a clean end.

    `settings` go into its environment, `options` behind the command. On leaving it is stopped by SIGTERM, must end
    with status 0, and must have written nothing on standard error, and left no file behind.
    """

    def __init__(
        self,
        *options: str | Path,
        command: Sequence[str | Path] = (BIN / "brinery", "serve"),
        host: str = "127.0.0.1",
        environ: Mapping[str, str] | None = None,
        **settings: object,
    ) -> None:
        self.host = host
        self.port = int(str(settings.get("port") or free_port(host)))
        settings = {"host": host, "port": self.port, "workers": 1, **settings}
        super().__init__(*command, *options, environ={**environ_with(settings), **(environ or {})})

    def connect(self) -> Client:
        """Make a client with a connection of its own."""
        return Client(self.host, self.port)

    def request(self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Answer:
        """Send one request on a connection of its own."""
        with self.connect() as client:
            return client(method, path, body, headers)

    @property
    def url(self) -> str:
        """The address without a path."""
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"

    def is_listening(self) -> bool:
        """Tell whether someone takes connections."""
        with socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET) as probe:
            return probe.connect_ex((self.host, self.port)) == 0

    def is_ready(self) -> bool:
        """Tell whether it wants requests."""
        assert self.process.poll() is None, f"it ended before it was ready\n{self.said}"
        try:
            return self.request("GET", "/api/health/ready").status == 200
        except OSError:
            return False

    def wait_for_event(self, event: str, **members: object) -> dict[str, Any]:
        """Give the first log line of this event with these members; fail where none comes."""

        def found(line: str) -> bool:
            return line.startswith("{") and {"event": event, **members}.items() <= json.loads(line).items()

        parsed: dict[str, Any] = json.loads(self.wait_for_line(found))
        return parsed

    def workers(self) -> list[int]:
        """Give the process ids of the workers that live."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    def terminate(self) -> None:
        """Send SIGTERM, as every orchestrator does."""
        self.process.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        """Stop it and see that it ended well."""
        self.terminate()
        self.check_end()

    def check_end(self) -> None:
        """Wait for its end and see that it ended well."""
        assert self.wait() == 0, self.said
        assert self.err == [], self.said
        assert "Traceback" not in self.said
        assert not list(self.scratch.glob("brinery-*")), "files were left behind"

    def __enter__(self) -> Self:
        try:
            eventually(self.is_ready, f"readiness\n{self.said}")
        except BaseException:
            super().__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and self.process.poll() is None:
                self.stop()
        finally:
            super().__exit__(kind, error, trace)
