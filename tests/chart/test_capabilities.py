"""What the chart makes on clusters old and new, with custom kinds and without."""

from collections.abc import Iterator

import helm_python as helm
import kubernetes_validate
import pytest

from tests.chart.cases import CASES, GATEWAY, MONITORED
from tests.chart.cluster import GATEWAY_API, NEW, OLD, OLD_GATEWAY_API, OPERATOR, Cluster, cluster

EVERYTHING = {"autoscaling": {"enabled": True}, "metrics": MONITORED, "httpRoute": GATEWAY}
CUSTOM = ("HTTPRoute", "ServiceMonitor", "PrometheusRule")


@pytest.fixture(name="old", scope="module")
def _old() -> Iterator[Cluster]:
    with cluster("1.20", OLD) as running:
        yield running


@pytest.fixture(name="new", scope="module")
def _new() -> Iterator[Cluster]:
    with cluster("1.37", {**NEW, **OPERATOR, **GATEWAY_API}) as running:
        yield running


def test_an_old_cluster_gets_what_it_knows(old: Cluster) -> None:
    """Kubernetes 1.20 has neither autoscaling/v2 nor policy/v1, and no custom kinds."""
    objects = old.install(EVERYTHING)
    assert objects["HorizontalPodAutoscaler"]["apiVersion"] == "autoscaling/v2beta2"
    assert objects["PodDisruptionBudget"]["apiVersion"] == "policy/v1beta1"
    assert "unhealthyPodEvictionPolicy" not in objects["PodDisruptionBudget"]["spec"]
    assert not any(kind in objects for kind in CUSTOM)


def test_a_new_cluster_gets_everything(new: Cluster) -> None:
    """Where the APIs are there and switched on, their objects are made."""
    objects = new.install(EVERYTHING)
    assert objects["HorizontalPodAutoscaler"]["apiVersion"] == "autoscaling/v2"
    assert objects["PodDisruptionBudget"]["apiVersion"] == "policy/v1"
    assert objects["PodDisruptionBudget"]["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    assert all(kind in objects for kind in CUSTOM)
    assert "replicas" not in objects["Deployment"]["spec"]


@pytest.mark.parametrize("version", ["1.25", "1.26", "1.27"])
def test_a_budget_fits_the_version(version: str) -> None:
    """A budget says what becomes of pods that are not ready only where the API knows it, from 1.27 on."""
    with cluster(version, NEW) as running:
        budget = running.install({})["PodDisruptionBudget"]
    assert ("unhealthyPodEvictionPolicy" in budget["spec"]) is (version == "1.27")
    kubernetes_validate.validate(budget, version, strict=True)


def test_nothing_is_made_that_is_not_switched_on(new: Cluster) -> None:
    """By default no object stands there that a cluster may not have."""
    assert not any(kind in new.install({}) for kind in (*CUSTOM, "Ingress", "HorizontalPodAutoscaler"))


def test_a_gateway_of_before() -> None:
    """A cluster that has only the API before v1 gets its route in that."""
    with cluster("1.24", {**NEW, **OLD_GATEWAY_API}) as running:
        assert running.install(EVERYTHING)["HTTPRoute"]["apiVersion"] == "gateway.networking.k8s.io/v1beta1"


def test_older_clusters_are_refused() -> None:
    """A version of Kubernetes that is too old is refused by Helm itself."""
    with cluster("1.19", NEW) as running, pytest.raises(helm.HelmError, match="incompatible with Kubernetes"):
        running.install({})


def test_newer_clusters_are_not_refused() -> None:
    """A cluster that goes on to a version which is not out yet can still be given the next release."""
    with cluster("1.99", NEW) as running:
        assert "Deployment" in running.install({})


def test_a_canary_shares_the_route(new: Cluster) -> None:
    """Requests under the shared path go to both releases by weight, without the path, whatever their own is."""
    route = new.install(CASES["canary"])["HTTPRoute"]["spec"]
    assert route["parentRefs"] == GATEWAY["parentRefs"]
    bare, slash, *prefixes = route["rules"]
    for exact, path in ((bare, "/crime"), (slash, "/crime/")):
        assert exact["matches"] == [{"path": {"type": "Exact", "value": path}}]
        assert exact["filters"][0]["urlRewrite"] == {"path": {"type": "ReplaceFullPath", "replaceFullPath": "/"}}
    assert [rule["matches"][0]["path"]["value"] for rule in prefixes] == [
        "/crime/api",
        "/crime/openapi.json",
        "/crime/swagger.json",
    ]
    rewrite = prefixes[0]["filters"][0]["urlRewrite"]
    assert rewrite == {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/api"}}
    for rule in route["rules"]:
        assert rule["backendRefs"] == [
            {"name": "crime-65", "port": 80, "weight": 95},
            {"name": "crime-66", "port": 80, "weight": 5},
        ]


def test_a_shadow_gets_a_copy(new: Cluster) -> None:
    """A mirror gets a copy of each request, or of a share; the release itself answers."""
    for rule in new.install(CASES["shadow"])["HTTPRoute"]["spec"]["rules"]:
        assert rule["filters"] == [
            {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "crime-66", "port": 80}, "percent": 10}}
        ]
        assert [each["name"] for each in rule["backendRefs"]] == ["crime-65"]


def test_prometheus_has_its_key(new: Cluster) -> None:
    """Where metrics are protected, the monitor sends the key that it was given."""
    (endpoint,) = new.install(CASES["tokens"])["ServiceMonitor"]["spec"]["endpoints"]
    assert endpoint["authorization"]["credentials"] == {"name": "scraper", "key": "key"}
