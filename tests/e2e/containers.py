"""Images built by the Dockerfile, and containers of them, by a real docker engine."""

import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.live.running import REPOSITORY, Answer, Client, eventually

BASE_IMAGE = os.environ.get("BASE_IMAGE") or "python:3.11-slim-bookworm"
# What docs/containers.md tells an operator to say.
HARDENED = (
    *("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),  # noqa: S108
    *("--memory", "512m", "--memory-swap", "512m", "--user", "10001:10001"),
)


class Hostile:
    """What runs a command where it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("echo this-ran >&2",)


@cache
def docker_client() -> str:
    """Give the docker client that the engine understands; fail where there is none."""
    found = os.environ.get("DOCKER") or "docker"
    for each in (found, "/usr/bin/docker"):
        if shutil.which(each) and subprocess.run([each, "version"], capture_output=True, check=False).returncode == 0:
            return each
    raise AssertionError("no docker engine answers; start dockerd, or name a client by DOCKER")


def docker(*arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command of docker to its end, both outputs in one."""
    command = [docker_client(), *map(str, arguments)]
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert not check or done.returncode == 0, done.stdout
    return done


class Context:
    """A copy of what the repository holds, to which a test adds bundles, as a user does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True)
        for name in filter(None, listed.stdout.split("\0")):
            if (REPOSITORY / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(REPOSITORY / name, folder / name)

    def build(self, name: str, *, check: bool = True, **given: str) -> subprocess.CompletedProcess[str]:
        """Build the image `brinery-e2e:NAME` with these arguments of the Dockerfile."""
        arguments = [f"--build-arg={key.upper()}={value}" for key, value in {"base_image": BASE_IMAGE, **given}.items()]
        return docker("build", *arguments, "--tag", f"brinery-e2e:{name}", self.folder, check=check)


class Container:
    """A container that serves, with all that hardens it, from its start until it is taken away."""

    def __init__(
        self, image: str, *options: str | Path, command: tuple[str, ...] = (), listens: int = 8000, **settings: object
    ) -> None:
        self.name, self.listens = f"brinery-e2e-{uuid.uuid4().hex[:12]}", listens
        variables = [f"--env=BRINERY_{name.upper()}={value}" for name, value in settings.items()]
        arguments = ("--name", self.name, "--publish", f"127.0.0.1::{listens}", *HARDENED, *variables, *options)
        docker("run", "--detach", *arguments, f"brinery-e2e:{image}", *command)

    @property
    def state(self) -> Mapping[str, Any]:
        """What docker knows of it."""
        found: Mapping[str, Any] = json.loads(docker("inspect", "--format", "{{json .State}}", self.name).stdout)
        return found

    @property
    def said(self) -> str:
        """Everything that it wrote."""
        return docker("logs", self.name).stdout

    @property
    def port(self) -> int:
        """The port of this machine that leads to it."""
        return int(docker("port", self.name, f"{self.listens}/tcp").stdout.split()[0].rpartition(":")[2])

    @property
    def url(self) -> str:
        """Its address without a path."""
        return f"http://127.0.0.1:{self.port}"

    def request(self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Answer:
        """Send one request on a connection of its own."""
        with Client("127.0.0.1", self.port) as client:
            return client(method, path, body, headers)

    def is_ready(self) -> bool:
        """Tell whether it wants requests."""
        assert self.state["Running"], f"it ended before it was ready\n{self.said}"
        try:
            return self.request("GET", "/api/health/ready").status == 200
        except OSError:
            return False

    def execute(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command inside."""
        return docker("exec", self.name, *command, check=False)

    def wait(self, seconds: float = 60) -> int:
        """Give the exit status once it has ended; fail where it does not."""
        command = [docker_client(), "wait", self.name]
        try:
            done = subprocess.run(command, timeout=seconds, capture_output=True, text=True, check=True)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end within {seconds} s\n{self.said}") from None
        return int(done.stdout)

    def stop(self) -> None:
        """Stop it as docker and every orchestrator do, and see that it ended well."""
        docker("stop", "--time", "40", self.name)
        assert self.wait() == 0, self.said
        assert "Traceback" not in self.said

    def __enter__(self) -> Self:
        try:
            eventually(self.is_ready, "readiness")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        docker("rm", "--force", self.name, check=False)
