"""What Helm prints after an install works when it is typed."""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

import helm_python as helm
import pytest

from tests.chart.cases import CASES, GATEWAY, KEY, MONITORED
from tests.chart.cluster import GATEWAY_API, NEW, cluster
from tests.chart.rendering import CHART
from tests.live.running import Server

EXAMPLE = '{"month": 10, "force": "Thames Valley Police", "crime": "Bicycle theft"}'


def notes(values: Mapping[str, Any]) -> str:
    """Give what Helm prints."""
    with helm.Chart.load(CHART) as chart:
        texts = chart.render(dict(values), name="crime-65", namespace="models")
    return texts["brinery/templates/NOTES.txt"]


@pytest.fixture(name="server", scope="module")
def _server() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.mark.live
@pytest.mark.parametrize("values", [{}, {"model": {"example": EXAMPLE}}], ids=["of-the-document", "of-the-values"])
def test_the_curl_predicts(server: Server, values: Mapping[str, Any]) -> None:
    """The curl in the notes, sent to a server of any model instead of the forwarded port, predicts."""
    command = re.search(r"^  curl (?:.*\\\n)*.*$", notes(values), re.MULTILINE)
    assert command is not None
    typed = f"PORT={server.port}\n{command[0]}"
    done = subprocess.run(["sh", "-ec", typed], capture_output=True, text=True, check=True)
    head, _, body = done.stdout.partition("\n\n")
    assert "\nX-Model-Version: 1\n" in f"{head}\n"
    assert set(json.loads(body)) == {"notCaughtProb", "caughtProb"}


def test_the_forward_has_a_port_of_its_own() -> None:
    """Another release's forward never answers: the port is one that is free when the commands are typed."""
    said = notes({})
    command = re.search(r"^  PORT=.*$", said, re.MULTILINE)
    assert command is not None
    done = subprocess.run(["sh", "-ec", f"{command[0]}\necho $PORT"], capture_output=True, text=True, check=True)
    assert 1024 <= int(done.stdout) < 65536
    assert "service/crime-65 $PORT:80 &\n" in said
    assert ":8000" not in said


def test_the_way_back_names_a_revision() -> None:
    """After several failures the revision before is one of them: the notes let choose one that served."""
    assert "  helm history crime-65 --namespace models\n  helm rollback crime-65 REVISION " in notes({})


def test_addresses_outside_the_cluster() -> None:
    """Where an Ingress or a route has hosts, the notes name what they are called there."""
    said = notes(CASES["ingress"])
    assert "at https://models.example.com/crime-65/\n" in said
    assert "at http://*.models.example.com/crime-65/\n" in said
    assert "Ingress" not in notes(CASES["ingress-of-everything"])
    routed = {**CASES["canary"], "httpRoute": {**CASES["canary"]["httpRoute"], "hostnames": ["a.example"]}}
    assert "HTTPRoute at" not in notes(routed)  # which this cluster does not have
    with cluster("1.37", {**NEW, **GATEWAY_API}) as running:
        assert "at https://a.example/crime/ (" in running.notes(routed)


def test_the_curl_has_what_the_server_wants() -> None:
    """Credentials and TLS are in the command where the release has them."""
    assert ' -H "Authorization: Bearer $KEY" http:' in notes({"auth": {"scopes": ["predict"], "apiKeys": [KEY]}})
    assert " --insecure https:" in notes(CASES["tls"])
    assert " --cert client.crt --key client.key https:" in notes(CASES["tls-for-clients-with-certificates"])
    assert "service/crime-65 $PORT:443" in notes(CASES["tls"])


def test_what_was_not_made_is_said() -> None:
    """Whoever switches on what the cluster does not have is told; so is who tests without a key."""
    said = notes({"metrics": MONITORED, "httpRoute": GATEWAY})
    for kind in ("ServiceMonitor", "PrometheusRule", "HTTPRoute"):
        assert f"this cluster has no {kind} (" in said
    assert "this cluster has no" not in notes({})
    unable = notes(CASES["keys-of-ones-own"])
    assert "` asks whether the release is ready" in unable
    assert "To predict, `helm test` needs a key" in unable
    assert "` predicts in the cluster" in notes(CASES["keys"])
    assert "helm test" not in notes(CASES["tls-for-clients-with-certificates"])
