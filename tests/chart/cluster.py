"""A stand-in for a cluster's API server: it knows which kinds it has, and nothing else.

Helm asks it what a chart sees as `.Capabilities`; a dry run then renders as an install on such a cluster would.
"""

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import helm_python as helm
import yaml

from tests.chart.rendering import CHART, Objects

CORE = ("Service", "ServiceAccount", "Secret", "ConfigMap", "Pod")
OLD = {
    "v1": CORE,
    "apps/v1": ("Deployment",),
    "networking.k8s.io/v1": ("Ingress", "NetworkPolicy"),
    "autoscaling/v2beta2": ("HorizontalPodAutoscaler",),
    "policy/v1beta1": ("PodDisruptionBudget",),
}
NEW = {
    **OLD,
    "autoscaling/v2": ("HorizontalPodAutoscaler",),
    "policy/v1": ("PodDisruptionBudget",),
}
OPERATOR = {"monitoring.coreos.com/v1": ("ServiceMonitor", "PrometheusRule")}
NOT_FOUND = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
GATEWAY_API = {"gateway.networking.k8s.io/v1": ("HTTPRoute",)}
OLD_GATEWAY_API = {"gateway.networking.k8s.io/v1beta1": ("HTTPRoute",)}


@dataclass(frozen=True)
class Cluster:
    """An API server's address."""

    url: str

    def install(self, values: Mapping[str, Any], name: str = "crime-65", namespace: str = "models") -> Objects:
        """Give the objects that an install would make, but for those of `helm test`."""
        release = self._tried(values, name, namespace)
        return Objects(each for each in yaml.safe_load_all(release["manifest"]) if each)

    def notes(self, values: Mapping[str, Any], name: str = "crime-65", namespace: str = "models") -> str:
        """Give what Helm would print after an install."""
        said: str = self._tried(values, name, namespace)["notes"]
        return said

    def _tried(self, values: Mapping[str, Any], name: str, namespace: str) -> Mapping[str, Any]:
        with helm.Config(kube_apiserver=self.url, namespace=namespace, qps=1000, burst_limit=1000) as config:
            release: Mapping[str, Any] = config.install(CHART, name, dict(values), dry_run="server")
        return release


@contextlib.contextmanager
def cluster(version: str, kinds: Mapping[str, Sequence[str]]) -> Iterator[Cluster]:
    """Run an API server of a version, such as 1.20, that has these kinds by their group and version."""
    answers: dict[str, Mapping[str, Any]] = {
        "/openapi/v2": {},
        "/version": {"major": "1", "minor": version.partition(".")[2], "gitVersion": f"v{version}.0"},
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": list(_groups(kinds))},
    }
    for api, names in kinds.items():
        resources = [
            {"name": f"{kind.lower()}s", "singularName": "", "namespaced": True, "kind": kind, "verbs": ["get", "list"]}
            for kind in names
        ]
        path = f"/api/{api}" if api == "v1" else f"/apis/{api}"
        answers[path] = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api, "resources": resources}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            body = json.dumps(answers.get(path, NOT_FOUND)).encode()
            if path == "/openapi/v2":
                body = b""  # protobuf's empty document: no kind is described, so none is validated
            self.send_response(200 if path in answers else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield Cluster(f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _groups(kinds: Mapping[str, Sequence[str]]) -> Iterator[Mapping[str, Any]]:
    for group in sorted({api.partition("/")[0] for api in kinds if "/" in api}):
        versions = [
            {"groupVersion": api, "version": api.partition("/")[2]} for api in kinds if api.startswith(f"{group}/")
        ]
        yield {"name": group, "versions": versions, "preferredVersion": versions[-1]}
