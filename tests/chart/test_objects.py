"""What the chart makes: objects that Kubernetes takes, hardened, and stopped in order."""

import itertools
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import helm_python as helm
import kubernetes_validate
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kubernetes_validate import utils

from tests.chart.cases import CASES, EGRESS, KEY, PEM
from tests.chart.rendering import CHART, Objects, render

WRITABLE = {"/tmp", "/dev/shm"}  # noqa: S108  # of the pod
CHECKS = (CHART / "templates" / "_checks.tpl").read_text(encoding="utf-8")
VERSIONS = [f"1.{minor}" for minor in range(25, 38)]
RELEASE = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"  # what Helm takes as a release's name
SERVICE = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")  # RFC 1035
LABEL = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")

each_case = pytest.mark.parametrize("values", CASES.values(), ids=CASES)


def pods(objects: Objects) -> Iterator[Any]:
    """Give the pods of the deployment and of `helm test`."""
    yield objects.pod["spec"]
    if "Pod" in objects:
        yield objects["Pod"]["spec"]


@pytest.fixture(scope="module", autouse=True)
def schemas_are_read_once() -> Iterator[None]:
    """Keep the schemas of Kubernetes, megabytes each, which the library reads again for every object."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils, "schema_contents", lru_cache(maxsize=256)(utils.schema_contents))
        yield


@each_case
def test_lint_finds_nothing(values: Mapping[str, Any]) -> None:
    """A strict `helm lint` has nothing to say but that charts may have icons, on the oldest and the newest cluster."""
    for version in ("v1.20.2", "v1.37.0"):
        report = helm.lint(CHART, dict(values), strict=True, kube_version=version)
        assert report["errors"] == []
        assert [each["error"] for each in report["messages"]] == ["icon is recommended"]


def test_every_object_is_valid_in_each_version_of_kubernetes() -> None:
    """What the cases make is valid from 1.25 to 1.37, without a member that the API does not have."""
    made = {repr(each): each for values in CASES.values() for each in render(values)}
    assert len(made) > 50
    for each, version in itertools.product(made.values(), VERSIONS):
        kubernetes_validate.validate(_of(each, version), version, strict=True)


@settings(max_examples=60)
@given(names=st.lists(st.sampled_from(sorted(CASES)), min_size=2, max_size=5, unique=True))
def test_cases_go_together(names: list[str]) -> None:
    """Whatever values are combined, they are refused with one of the chart's sentences, or make valid objects."""
    values: dict[str, Any] = {}
    for name in names:
        values = merged(values, CASES[name])
    try:
        objects = render(values)
    except helm.HelmRenderError as refusal:
        assert str(refusal).rpartition(": ")[2] in CHECKS  # noqa: PT017  # it may as well be made
        return
    for each in objects:
        kubernetes_validate.validate(each, VERSIONS[-1], strict=True)
    names_of = [(each["kind"], each["metadata"]["name"]) for each in objects]
    assert len(names_of) == len(set(names_of))
    assert objects.environ
    for pod in pods(objects):
        volumes = [volume["name"] for volume in pod["volumes"]]
        assert len(volumes) == len(set(volumes))


def merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Lay values over others, as Helm does."""
    both = {name: merged(one[name], other[name]) for name in one if isinstance(one[name], Mapping) and name in other}
    return {**one, **other, **both}


def _of(rendered: Any, version: str) -> Any:
    """Give an object that was rendered for the newest version as it is for another one."""
    if rendered["kind"] == "PodDisruptionBudget" and version < "1.27":
        spec = {name: value for name, value in rendered["spec"].items() if name != "unhealthyPodEvictionPolicy"}
        return {**rendered, "spec": spec}
    return rendered


@each_case
def test_ports_say_their_protocol(values: Mapping[str, Any]) -> None:
    """Every port says TCP: Kubernetes 1.20 refuses one without where it merges objects itself."""
    objects = render(values)
    for port in (*objects["Service"]["spec"]["ports"], *objects.container["ports"]):
        assert port["protocol"] == "TCP"


def test_grpc_has_ports_of_its_own() -> None:
    """The container, the service and the policy have a port for gRPC where it is spoken, and only there."""
    objects = render({"grpc": {"enabled": True, "containerPort": 8081, "port": 81}})
    assert objects.environ["BRINERY_GRPC_PORT"] == "8081"
    assert [each["containerPort"] for each in objects.container["ports"]] == [8000, 8081]
    port = objects["Service"]["spec"]["ports"][1]
    assert (port["name"], port["port"], port["targetPort"]) == ("grpc", 81, "grpc")
    assert port["appProtocol"] == "kubernetes.io/h2c"
    assert [each["port"] for each in objects["NetworkPolicy"]["spec"]["ingress"][0]["ports"]] == [8000, 8081]
    secure = render({"grpc": {"enabled": True}, "tls": {"secretName": "tls"}})["Service"]["spec"]["ports"][1]
    assert "appProtocol" not in secure
    without = render()
    assert "BRINERY_GRPC_PORT" not in without.environ
    for some in (without["Service"]["spec"]["ports"], without.container["ports"]):
        assert len(some) == 1


@each_case
def test_pods_are_hardened(values: Mapping[str, Any]) -> None:
    """Each pod runs as nobody of note, without rights, a token, or a place to write but in memory and /tmp."""
    for pod in pods(render(values)):
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        (container,) = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]
        assert {mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")} <= WRITABLE
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        assert {mount["name"] for mount in container["volumeMounts"]} == set(volumes)
        assert all(volume["emptyDir"]["sizeLimit"] for volume in volumes.values() if "emptyDir" in volume)


@each_case
def test_pods_say_why_they_ended(values: Mapping[str, Any]) -> None:
    """Where Kubernetes shows why a container ended stands what it wrote last: the sentence of its refusal."""
    for pod in pods(render(values)):
        assert [each["terminationMessagePolicy"] for each in pod["containers"]] == ["FallbackToLogsOnError"]


@each_case
def test_labels_select_the_pods_that_serve(values: Mapping[str, Any]) -> None:
    """Service, Deployment and policies select the pods that serve, not the test's, by labels that never change."""
    objects = render(values)
    selector = objects["Deployment"]["spec"]["selector"]["matchLabels"]
    assert selector == {
        "app.kubernetes.io/name": "brinery",
        "app.kubernetes.io/instance": "crime-65",
        "app.kubernetes.io/component": "server",
    }
    assert selector.items() <= objects.pod["metadata"]["labels"].items()
    assert objects["Service"]["spec"]["selector"] == selector
    for kind in ("PodDisruptionBudget", "NetworkPolicy"):
        if kind in objects:
            spec = objects[kind]["spec"]
            assert (spec.get("selector") or spec["podSelector"])["matchLabels"] == selector
    if "Pod" in objects:
        assert not selector.items() <= objects["Pod"]["metadata"]["labels"].items()
    for each in objects:
        assert all(LABEL.fullmatch(value) for value in each["metadata"]["labels"].values())


def test_labels_name_the_model() -> None:
    """Every object and the pods carry the model's name and version, as labels can say them."""
    objects = render(CASES["a-model"])
    for metadata in (objects.pod["metadata"], *(each["metadata"] for each in objects)):
        assert metadata["labels"]["brinery/model-name"] == "crime--UK---2026"
        assert metadata["labels"]["brinery/model-version"] == "65"
    assert render(CASES["numbers-as-texts"]).pod["metadata"]["labels"]["brinery/model-version"] == "20260101"


def test_numbers_can_be_names() -> None:
    """A tag, or a folder of a volume, that is a whole number is written as it was, nought too."""
    container = render(CASES["numbers-as-texts"]).container
    assert container["image"] == "brinery:20260101"
    assert [each["subPath"] for each in container["volumeMounts"] if "subPath" in each] == ["20260101"]
    assert render({"image": {"tag": 0}}).container["image"] == "brinery:0"


@settings(max_examples=60)
@given(name=st.from_regex(RELEASE, fullmatch=True).filter(lambda name: len(name) <= 53))
def test_names_are_those_of_services(name: str) -> None:
    """Whatever a release is called, its objects have names that Kubernetes takes, of at most 63 letters."""
    values = {**CASES["signed"], "auth": CASES["keys"]["auth"], "metrics": CASES["monitored"]["metrics"]}
    for each in render(values, name=name):
        assert SERVICE.fullmatch(each["metadata"]["name"])
        assert len(each["metadata"]["name"]) <= 63


def test_names_of_releases_never_meet() -> None:
    """Releases with names that are alike share no object."""
    names = ["a", "a-keys", "a.keys", "a-brinery", "brinery", "1", "m-1", "true", "x" * 53, "x" * 52 + "y", "a-test"]
    values = {**CASES["signed"], "auth": {"scopes": ["predict"], "apiKeys": [KEY]}}
    made = [
        (each["kind"], each["metadata"]["name"])
        for name in names
        for each in render({**values, "metrics": CASES["monitored"]["metrics"]}, name=name)
    ]
    assert len(made) == len(set(made))


@pytest.mark.parametrize("scheme", ["HTTP", "HTTPS"])
def test_probes(scheme: str) -> None:
    """Startup and readiness ask whether the model can be asked, liveness only whether the process answers."""
    container = render(CASES["tls"] if scheme == "HTTPS" else {}).container
    for probe, route in (("startup", "ready"), ("liveness", "live"), ("readiness", "ready")):
        asked = container[f"{probe}Probe"]["httpGet"]
        assert asked == {"path": f"/api/health/{route}", "port": "http", "scheme": scheme}


def test_probes_without_a_certificate_only_connect() -> None:
    """Where clients need a certificate, which kubelet has not, probes connect, and nothing tests a prediction."""
    objects = render(CASES["tls-for-clients-with-certificates"])
    for probe in ("startup", "liveness", "readiness"):
        assert objects.container[f"{probe}Probe"]["tcpSocket"] == {"port": "http"}
        assert "httpGet" not in objects.container[f"{probe}Probe"]
    assert "Pod" not in objects


@settings(max_examples=25)
@given(
    pause=st.integers(0, 600),
    delay=st.one_of(st.integers(0, 600), st.floats(0, 600, allow_subnormal=False)),
    graceful=st.integers(0, 600),
)
def test_the_grace_outlasts_the_stop(pause: int, delay: float, graceful: int) -> None:
    """Kubernetes waits longer than the pause, the drain and the requests in flight may take together."""
    drain = {"preStopSeconds": pause, "gracefulTimeoutSeconds": graceful}
    objects = render({"drain": drain, "settings": {"DRAIN_DELAY": delay}})
    assert objects.container["lifecycle"]["preStop"]["exec"]["command"] == ["sleep", str(pause)]
    assert objects.environ["BRINERY_GRACEFUL_TIMEOUT"] == str(graceful)
    assert objects.pod["spec"]["terminationGracePeriodSeconds"] > pause + delay + graceful


def test_a_bundle_is_mounted_where_the_server_looks() -> None:
    """A volume, or a folder of it, stands read-only where the server reads; an address takes its place."""
    objects = render(CASES["a-mounted-bundle"])
    (mount,) = (each for each in objects.container["volumeMounts"] if each["name"] == "bundle")
    assert mount == {"name": "bundle", "mountPath": "/pickles", "subPath": "crime/65", "readOnly": True}
    assert objects.environ["BRINERY_BUNDLE"] == "/pickles"
    fetched = render(CASES["a-fetched-bundle"]).environ
    assert fetched["BRINERY_BUNDLE"] == "s3://models/crime-65.tar.gz"
    assert fetched["BRINERY_BUNDLE_DIGEST"] == "sha256:" + "1" * 64


def test_an_address_can_hold_a_password_of_a_secret() -> None:
    """Variables of one's own come before the address of the bundle: Kubernetes puts only those into it."""
    given = {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "store", "key": "password"}}}
    url = "https://reader:$(PASSWORD)@store.example.com/crime.tar.gz"
    values = {"env": [given], "bundle": {"url": url}, "networkPolicy": {"egress": EGRESS}}
    first, second, *_ = render(values).container["env"]
    assert (first, second) == (given, {"name": "BRINERY_BUNDLE", "value": url})


def test_an_address_can_be_a_secret() -> None:
    """The address of the bundle comes from a Secret that is named, and its way out has to be said as any other's."""
    values = CASES["a-bundle-at-a-secret-address"]
    (address,) = (each for each in render(values).container["env"] if each["name"] == "BRINERY_BUNDLE")
    assert address["valueFrom"] == {"secretKeyRef": {"name": "store", "key": "address"}}
    assert "value" not in address
    with pytest.raises(helm.HelmRenderError, match="say in networkPolicy"):
        render({"bundle": values["bundle"]})


def test_signatures_are_wanted_where_keys_are_given() -> None:
    """Trusted keys make signatures a must, unless a setting says otherwise."""
    signed = render(CASES["signed"])
    assert signed.environ["BRINERY_MANIFEST"] == "signed"
    assert signed.environ["BRINERY_TRUSTED_KEYS"] == "/etc/brinery/trusted-keys/trusted-keys.pem"
    assert signed["ConfigMap"]["data"] == {"trusted-keys.pem": PEM}
    assert render(CASES["signed-by-a-secret"]).environ["BRINERY_MANIFEST"] == "required"


def test_keys_are_a_file() -> None:
    """API keys lie in a Secret, which is mounted as the file that the server reads."""
    objects = render(CASES["keys"])
    lines = CASES["keys"]["auth"]["apiKeys"]
    assert objects["Secret"]["stringData"] == {"api-keys": "".join(f"{line}\n" for line in lines)}
    assert objects.environ["BRINERY_API_KEYS_FILE"] == "/etc/brinery/keys/api-keys"
    (volume,) = (each for each in objects.pod["spec"]["volumes"] if each["name"] == "keys")
    assert volume["secret"]["secretName"] == objects["Secret"]["metadata"]["name"] == "crime-65-keys"
    assert render(CASES["keys-of-ones-own"]).environ["BRINERY_API_KEYS_FILE"] == "/etc/brinery/keys/file"


def test_no_pod_goes_before_its_successor() -> None:
    """A rollout takes no pod away before another one is ready, and a hung one fails."""
    spec = render()["Deployment"]["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert spec["minReadySeconds"] > 0
    assert spec["progressDeadlineSeconds"] == 600


def test_pods_roll_when_their_files_change() -> None:
    """Another API key or trusted key makes other pods."""
    auth = CASES["keys"]["auth"]
    one = render({"auth": auth}).pod["metadata"]["annotations"]
    other = render({"auth": {**auth, "apiKeys": [KEY]}}).pod["metadata"]["annotations"]
    assert one["checksum/api-keys"] != other["checksum/api-keys"]
    assert "checksum/trusted-keys" in render(CASES["signed"]).pod["metadata"]["annotations"]


def test_the_network_is_closed() -> None:
    """By default the pods connect to nothing; a fetched bundle opens name servers and what is given."""
    assert render()["NetworkPolicy"]["spec"]["egress"] == []
    names, given = render(CASES["a-fetched-bundle"])["NetworkPolicy"]["spec"]["egress"]
    assert names["ports"] == [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]
    assert given == CASES["a-fetched-bundle"]["networkPolicy"]["egress"][0]
    (rule,) = render(CASES["closed"])["NetworkPolicy"]["spec"]["ingress"]
    assert rule["ports"] == [{"port": 8000, "protocol": "TCP"}]
    tester = rule["from"][-1]["podSelector"]["matchLabels"]
    assert tester.items() <= render(CASES["closed"])["Pod"]["metadata"]["labels"].items()


def test_ingress_publishes_the_path_and_no_metrics() -> None:
    """The release stands under its path, which the server knows too; what is not listed is not published."""
    objects = render(CASES["ingress"])
    assert objects.environ["BRINERY_ROOT_PATH"] == "/crime-65"
    rules = objects["Ingress"]["spec"]["rules"]
    assert [rule["host"] for rule in rules] == ["models.example.com", "*.models.example.com"]
    paths = [(path["path"], path["pathType"]) for path in rules[0]["http"]["paths"]]
    assert paths == [
        ("/crime-65", "Exact"),
        ("/crime-65/", "Exact"),
        ("/crime-65/api", "Prefix"),
        ("/crime-65/openapi.json", "Prefix"),
        ("/crime-65/swagger.json", "Prefix"),
    ]
    (rule,) = render(CASES["ingress-of-everything"])["Ingress"]["spec"]["rules"]
    assert [(path["path"], path["pathType"]) for path in rule["http"]["paths"]] == [("/", "Prefix")]


def test_the_test_predicts_with_its_key() -> None:
    """`helm test` predicts by the image's own probe, with a key where one is needed; without it only asks readiness."""
    probe = ["probe", "http://$(CRIME_65_SERVICE_HOST):80"]
    assert render()["Pod"]["spec"]["containers"][0]["args"] == [*probe, "--predict"]
    keyed = render(CASES["keys"])["Pod"]["spec"]["containers"][0]["args"]
    assert keyed == [*probe, "--predict", "--key-file", "/etc/brinery/key/key"]
    assert render(CASES["keys-of-ones-own"])["Pod"]["spec"]["containers"][0]["args"] == probe
    assert render(CASES["tls"])["Pod"]["spec"]["containers"][0]["args"][1] == "https://crime-65.models.svc:443"
