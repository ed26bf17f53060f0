"""Values that cannot be meant are refused before anything is installed, and what is made of the values is current."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import helm_python as helm
import pytest
import yaml

from tests.chart.cases import EGRESS, KEY, PEM
from tests.chart.rendering import CHART, ROOT, render

# What values alone cannot be, with what Helm says of them.
WRONG: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "a-misspelt-value": ({"replicas": 2}, "additional properties 'replicas' not allowed"),
    "a-misspelt-value-within": ({"image": {"name": "x"}}, "at '/image': additional properties 'name' not allowed"),
    "fewer-than-no-pods": ({"replicaCount": -1}, "at '/replicaCount': minimum: got -1, want 0"),
    "half-a-pod": ({"replicaCount": 1.5}, "at '/replicaCount': got number, want integer"),
    "a-text-for-a-port": ({"service": {"port": "http"}}, "at '/service/port': got string, want integer"),
    "no-port": ({"service": {"port": None}}, "at '/service': missing property 'port'"),
    "a-port-of-root": ({"containerPort": 80}, "at '/containerPort': minimum: got 80, want 1,024"),
    "a-misspelt-setting": ({"settings": {"MAX_ROW": 5}}, "at '/settings': additional properties 'MAX_ROW' not allowed"),
    "a-setting-of-another-value": (
        {"settings": {"PORT": 1}},
        "at '/settings': additional properties 'PORT' not allowed",
    ),
    "a-setting-that-is-no-choice": (
        {"settings": {"LOG_LEVEL": "loud"}},
        "at '/settings/LOG_LEVEL': value must be one of 'debug', 'info', 'warning', 'error'",
    ),
    "a-setting-out-of-bounds": ({"settings": {"WORKERS": 0}}, "at '/settings/WORKERS': minimum: got 0, want 1"),
    "a-truth-that-is-a-text": (
        {"settings": {"ACCESS_LOG": "no"}},
        "at '/settings/ACCESS_LOG': got string, want boolean",
    ),
    "a-repository-with-its-tag": ({"image": {"repository": "crime:65"}}, "at '/image/repository': 'crime:65' does not"),
    "slower-than-is-measured": (
        {"metrics": {"prometheusRule": {"slowSeconds": 30}}},
        "at '/metrics/prometheusRule/slowSeconds': exclusiveMaximum: got 30, want 30",
    ),
    "a-version-that-lost-its-zero": (
        {"model": {"version": 1.1}},
        "at '/model/version': got number, want",
    ),
    "a-tag-that-lost-its-zero": ({"image": {"tag": 65.1}}, "at '/image/tag': got number, want"),
    "root": ({"user": 0}, "at '/user': minimum: got 0, want 1"),
    "a-digest-of-something-else": (
        {"bundle": {"digest": "md5:1"}},
        "at '/bundle/digest': 'md5:1' does not match pattern",
    ),
    "two-volumes": (
        {"bundle": {"volume": {"emptyDir": {}, "hostPath": {}}}},
        "at '/bundle/volume': maxProperties: got 2, want 1",
    ),
    "a-folder-that-is-none": ({"bundle": {"path": "pickles"}}, "at '/bundle/path': 'pickles' does not match pattern"),
    "an-address-that-is-none": ({"bundle": {"url": "/models"}}, "at '/bundle/url': '/models' does not match pattern"),
    "a-key-that-is-not-hashed": ({"auth": {"apiKeys": ["secret"]}}, "at '/auth/apiKeys/0'"),
    "a-scope-that-is-none": ({"auth": {"scopes": ["admin"]}}, "value must be one of 'predict', 'info', 'metrics'"),
    "a-private-key": (
        {"bundle": {"trustedKeys": {"pem": PEM.replace("PUBLIC", "PRIVATE")}}},
        "at '/bundle/trustedKeys/pem'",
    ),
    "a-path-with-a-slash-at-its-end": ({"rootPath": "/crime/"}, "at '/rootPath': '/crime/' does not match pattern"),
    "a-kind-of-service-that-is-none": ({"service": {"type": "Public"}}, "at '/service/type': value must be one of"),
    "a-weight-below-nothing": ({"httpRoute": {"weight": -1}}, "at '/httpRoute/weight': minimum: got -1, want 0"),
    "a-release-without-a-name": ({"httpRoute": {"backends": [{"weight": 5}]}}, "missing property 'service'"),
    "a-share-above-all": ({"metrics": {"prometheusRule": {"errorRatio": 2}}}, "maximum: got 2, want 1"),
    "memory-that-is-none": ({"tmp": {"sizeLimit": "much"}}, "at '/tmp/sizeLimit': 'much' does not match pattern"),
    "a-name-that-is-none": ({"fullnameOverride": "Crime_65"}, "at '/fullnameOverride'"),
    "a-label-of-the-chart": (
        {"podLabels": {"app.kubernetes.io/name": "x"}},
        "invalid propertyName 'app.kubernetes.io/name'",
    ),
    "no-margin": ({"drain": {"marginSeconds": 0}}, "at '/drain/marginSeconds': minimum: got 0, want 1"),
}

FOR_ALL_TO_SEE = (
    "bundle.url holds a password or a signature, which everybody could read who may see the Deployment; put the "
    "address into a Secret, and name it in bundle.urlSecret."
)

# What values cannot be together, with the chart's own sentences.
TOGETHER: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "two-protocols-on-one-port": (
        {"grpc": {"enabled": True, "containerPort": 8000}},
        (
            "grpc has the port of the HTTP API; give grpc.containerPort and grpc.port others than containerPort and "
            "service.port."
        ),
    ),
    "fetched-and-mounted": (
        {"bundle": {"url": "s3://a/b", "volume": {"emptyDir": {}}}, "networkPolicy": {"egress": EGRESS}},
        (
            "bundle.volume is set, and so is bundle.url or bundle.urlSecret, but a bundle is either fetched or "
            "mounted; leave one of them empty."
        ),
    ),
    "an-address-twice": (
        {"bundle": {"url": "s3://a/b", "urlSecret": {"name": "store"}}, "networkPolicy": {"egress": EGRESS}},
        "bundle.url and bundle.urlSecret.name are both set; keep the address in one of them.",
    ),
    "a-password-for-all-to-see": ({"bundle": {"url": "https://reader:secret@store/crime"}}, FOR_ALL_TO_SEE),
    "a-folder-of-no-volume": (
        {"bundle": {"subPath": "crime-65"}},
        (
            "bundle.subPath is a folder of bundle.volume, which is empty; set the volume, or bundle.path for a folder "
            "of the image."
        ),
    ),
    "trusted-keys-twice": (
        {"bundle": {"trustedKeys": {"pem": PEM, "existingSecret": "x"}}},
        "bundle.trustedKeys has more than one source of keys; give one of pem, existingConfigMap and existingSecret.",
    ),
    "signed-by-nobody": (
        {"settings": {"MANIFEST": "signed"}},
        "settings.MANIFEST is signed, but nothing says whose signature counts; give bundle.trustedKeys.",
    ),
    "keys-twice": (
        {"auth": {"scopes": ["predict"], "apiKeys": [KEY], "existingSecret": "x"}},
        "auth.apiKeys and auth.existingSecret are both set; keep the keys in one of them.",
    ),
    "closed-to-everybody": (
        {"auth": {"scopes": ["predict"]}},
        (
            "auth.scopes asks for credentials, but nobody has any; give auth.apiKeys, auth.existingSecret or "
            "settings.JWT_JWKS."
        ),
    ),
    "keys-for-nothing": (
        {"auth": {"apiKeys": [KEY]}},
        (
            "There are API keys or tokens, but auth.scopes names nothing that they protect; set it, to [predict, "
            "info] say."
        ),
    ),
    "certificates-of-clients-alone": (
        {"tls": {"clientCA": True}},
        "tls.clientCA needs a certificate of the server's own; set tls.secretName.",
    ),
    "a-rollout-shorter-than-a-start": (
        {"rollout": {"progressDeadlineSeconds": 300}},
        (
            "rollout.progressDeadlineSeconds is 300, but a start may take 300 seconds by probes.startup; "
            "set it to more than that."
        ),
    ),
    "fewest-above-most": (
        {"autoscaling": {"enabled": True, "minReplicas": 12}},
        (
            "autoscaling.minReplicas is 12, more than autoscaling.maxReplicas, which is 10; raise the one or "
            "lower the other."
        ),
    ),
    "scaled-by-nothing": (
        {"autoscaling": {"enabled": True, "cpu": 0}},
        "autoscaling.enabled has nothing to scale by; set autoscaling.cpu or autoscaling.pods.",
    ),
    "both-budgets": (
        {"podDisruptionBudget": {"minAvailable": 1}},
        'podDisruptionBudget takes either minAvailable or maxUnavailable; set one, and the other to "".',
    ),
    "a-setting-as-a-variable": (
        {"env": [{"name": "BRINERY_PORT", "value": "1"}]},
        "env sets BRINERY_PORT, but Brinery's settings are made by the values, most of them by settings; set it there.",
    ),
    "a-budget-that-keeps-every-pod": (
        {"replicaCount": 1, "podDisruptionBudget": {"minAvailable": 1, "maxUnavailable": ""}},
        (
            "podDisruptionBudget.minAvailable is 1, but the number of pods may be 1, so that no node could be "
            "emptied; lower the one or raise the other."
        ),
    ),
    "metrics-by-tls-of-nobody": (
        {"tls": {"secretName": "crime-tls"}, "metrics": {"serviceMonitor": {"enabled": True}}},
        (
            "tls.secretName makes the pods speak TLS, and their certificate does not hold the addresses that "
            "Prometheus asks; say in metrics.serviceMonitor.tlsConfig whose name and authority it has, as serverName "
            "and ca."
        ),
    ),
    "a-route-without-a-gateway": (
        {"httpRoute": {"enabled": True}},
        "httpRoute.enabled needs a Gateway; name it in httpRoute.parentRefs.",
    ),
    "a-bundle-behind-a-closed-door": (
        {"bundle": {"url": "s3://models/crime"}},
        (
            "The network policy would keep the server from fetching its bundle or the keys of tokens; say in "
            "networkPolicy.egress where they are, or set networkPolicy.enabled to false."
        ),
    ),
    "metrics-behind-a-closed-door": (
        {"auth": {"scopes": ["metrics"], "apiKeys": [KEY]}, "metrics": {"serviceMonitor": {"enabled": True}}},
        (
            "auth.scopes protects the metrics, so Prometheus needs a key; name its secret in "
            "metrics.serviceMonitor.keySecret."
        ),
    ),
}


@pytest.mark.parametrize(("values", "said"), WRONG.values(), ids=WRONG)
def test_nonsense_is_refused(values: Mapping[str, Any], said: str) -> None:
    """The schema refuses a value by its place, and says what it got and what it wants."""
    with pytest.raises(helm.HelmValuesError) as refusal:
        render(values)
    assert said in str(refusal.value)


@pytest.mark.parametrize(("values", "said"), TOGETHER.values(), ids=TOGETHER)
def test_what_makes_no_sense_together_is_refused(values: Mapping[str, Any], said: str) -> None:
    """The chart refuses values that contradict each other with a sentence that says what to do."""
    with pytest.raises(helm.HelmRenderError) as refusal:
        render(values)
    assert str(refusal.value).endswith(f": {said}")


@pytest.mark.parametrize(
    "url",
    [
        "https://reader:secret@store/crime.tar.gz",
        "https://token@store/crime.tar.gz",
        "s3://key:se@cret@bucket/crime",
        "https://store/crime?se=2026&sig=abc%3D",
        "https://store/crime?X-Amz-Expires=60&X-Amz-Signature=abc",
        "https://store/$(NAME)?access_token=abc",
    ],
)
def test_an_address_that_is_a_secret_is_refused(url: str) -> None:
    """No password and no signature stands in an object that is no Secret."""
    with pytest.raises(helm.HelmRenderError) as refusal:
        render({"bundle": {"url": url}, "networkPolicy": {"egress": EGRESS}})
    assert str(refusal.value).endswith(f": {FOR_ALL_TO_SEE}")


@pytest.mark.parametrize(
    "url",
    [
        "https://reader:$(PASSWORD)@store/crime.tar.gz",
        "https://$(TOKEN)@store/crime.tar.gz",
        "https://store:8443/a@b/crime:65",
        "https://store/crime?sv=1&sig=$(SIGNATURE)",
        "https://store/crime?versionId=3&design=new",
        "abfss://container@account.dfs.core.windows.net/crime-65/",
        "oci://registry:5000/models/crime@sha256:00",
        "models:/crime@champion",
    ],
)
def test_an_address_that_is_none_is_not(url: str) -> None:
    """What names a place, and what Kubernetes takes from a variable, may be read by everybody."""
    environ = render({"bundle": {"url": url}, "networkPolicy": {"egress": EGRESS}}).environ
    assert environ["BRINERY_BUNDLE"] == url


def test_every_refusal_is_tried() -> None:
    """Each sentence of the chart's checks is in the table above."""
    checks = (CHART / "templates" / "_checks.tpl").read_text(encoding="utf-8")
    assert checks.count("{{- fail ") == len(TOGETHER)


def test_the_schema_knows_every_value_and_no_other() -> None:
    """Every value has a place in the schema, and objects take no others; a value that is not there would be a typo."""
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))

    def compare(values: Any, schema: Mapping[str, Any], path: str) -> None:
        assert schema["additionalProperties"] is False, path
        if values:  # or its members stand in the sentence alone
            assert set(values) == set(schema["properties"]) - {"global"}, path
        for name, each in schema["properties"].items():
            if "properties" in each and name not in ("settings", "resources"):
                compare(values[name], each, f"{path}.{name}")

    compare(values, schema, "")


def test_every_value_has_a_sentence() -> None:
    """Each value, but for the names of groups, is described in one sentence above it."""
    lines = (CHART / "values.yaml").read_text(encoding="utf-8").splitlines()
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))

    def leaves(node: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        if "description" in node or "properties" not in node:
            return [node]
        return [leaf for name, child in node["properties"].items() if name != "global" for leaf in leaves(child)]

    for leaf in leaves(schema):
        assert re.fullmatch(r"[A-Z].*\.", leaf["description"]), leaf
    assert sum(line.lstrip().startswith("# -- ") for line in lines) == len(leaves(schema))


def test_what_is_made_from_values_and_settings_is_current() -> None:
    """The chart's README and schema are what `make docs` writes."""
    command = [sys.executable, str(ROOT / "helm" / "reference.py"), "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
