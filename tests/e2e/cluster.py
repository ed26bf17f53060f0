"""A real cluster: releases of the chart by Helm's own engine, and what kubectl says of them."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import helm_python as helm

from tests.live.running import REPOSITORY, Answer, Client, eventually

CHART: Final = REPOSITORY / "helm" / "brinery"
SERVES: Final = 10  # good answers in a row: kube-proxy learns of pods later than Helm
SECONDS: Final = 180  # for a rollout, on machines that do much else
Values = Mapping[str, Any]

# Small, so that two releases and what a rollout has besides fit on one node.
SMALL: Final[Values] = {
    "image": {"repository": "brinery-e2e", "pullPolicy": "Never"},
    "resources": {"requests": {"cpu": "50m", "memory": "200Mi"}, "limits": {"cpu": "1", "memory": "600Mi"}},
}


def run(*command: str | Path) -> str:
    """Run a program to its end and give what it wrote; fail with that where it did not end well."""
    done = subprocess.run([str(each) for each in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def merged(*values: Values) -> dict[str, Any]:
    """Give values over values, as Helm merges them: mappings by their keys, all else as a whole."""
    result: dict[str, Any] = {}
    for each in values:
        for name, value in each.items():
            under = result.get(name)
            both = isinstance(value, Mapping) and isinstance(under, Mapping)
            result[name] = merged(under, value) if both else value  # type: ignore[arg-type]
    return result


@dataclass(frozen=True)
class Release:
    """A release of the chart in a namespace; its Service answers at `host` and `port`."""

    name: str
    namespace: str
    engine: helm.Config

    def kubectl(self, *arguments: str) -> str:
        """Run kubectl in the release's namespace."""
        return run("kubectl", "--namespace", self.namespace, *arguments)

    def get(self, kind: str) -> list[dict[str, Any]]:
        """Give all objects of a kind that are the release's."""
        said = self.kubectl("get", kind, "--selector", f"app.kubernetes.io/instance={self.name}", "--output", "json")
        items: list[dict[str, Any]] = json.loads(said)["items"]
        return items

    @property
    def host(self) -> str:
        """The address of the Service, which answers on the node too."""
        (service,) = self.get("services")
        address: str = service["spec"]["clusterIP"]
        return address

    @property
    def port(self) -> int:
        """The Service's port."""
        (service,) = self.get("services")
        port: int = service["spec"]["ports"][0]["port"]
        return port

    @property
    def url(self) -> str:
        """The Service's address as a URL."""
        return f"http://{self.host}:{self.port}"

    def request(self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Answer:
        """Send one request through the Service."""
        with Client(self.host, self.port) as client:
            return client(method, path, body, headers)

    def install(self, *values: Values) -> None:
        """Install the release and wait until it serves."""
        self.engine.install(CHART, self.name, merged(SMALL, *values), wait="watcher", timeout=SECONDS)
        self._rolled_out()
        eventually(self._serves, f"{self.name} to answer through its Service")

    def upgrade(self, *values: Values, wait: bool = True) -> None:
        """Upgrade the release to other values, and by default wait until that is done."""
        self.engine.upgrade(CHART, self.name, merged(SMALL, *values), wait="watcher" if wait else None, timeout=SECONDS)
        if wait:
            self._rolled_out()

    def rollback(self) -> None:
        """Go back to the revision before, and wait until that is done."""
        self.engine.rollback(self.name, wait="watcher", timeout=SECONDS)
        self._rolled_out()

    def _rolled_out(self) -> None:
        """See the rollout to its end: Helm's own wait may return before."""
        (deployment,) = self.get("deployments")
        self.kubectl("rollout", "status", f"deployment/{deployment['metadata']['name']}", f"--timeout={SECONDS}s")

    def _serves(self) -> bool:
        try:
            return all(self.request("GET", "/api/health/ready").status == 200 for _ in range(SERVES))
        except OSError:
            return False

    def pods(self) -> dict[str, bool]:
        """Give the pods that serve or shall serve, by name: whether they are ready."""
        return {
            pod["metadata"]["name"]: any(
                each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", ())
            )
            for pod in self.get("pods")
            if "deletionTimestamp" not in pod["metadata"]
        }

    def is_tried_again(self) -> bool:
        """Tell whether a container that ended was started for the third time."""
        return any(
            each["restartCount"] >= 2 for pod in self.get("pods") for each in pod["status"].get("containerStatuses", ())
        )
