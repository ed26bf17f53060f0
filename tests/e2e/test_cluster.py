"""On a real cluster: releases side by side, upgrades, drains and bad bundles, and what callers notice of them."""

import contextlib
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import helm_python as helm
import pytest

from tests.e2e.cluster import SECONDS, Release, Values, merged, run
from tests.e2e.containers import Context, Hostile, docker
from tests.faults.load import THEFT, Load
from tests.live import newman
from tests.live.running import BIN, Program, bundle_of, eventually, free_port

pytestmark = pytest.mark.by_hand

# Half of the callers keep their connections, as clients with a pool do; the others come anew with each request.
CALLERS = (0.02, 0.02, 0.02, 1.0)

# Two of these need what this cluster may lack; then they make nothing, and nothing fails.
EVERYTHING: Values = {
    "rootPath": "/crime",
    "ingress": {"enabled": True},
    "httpRoute": {"enabled": True, "parentRefs": [{"name": "public"}]},
    "autoscaling": {"enabled": True},
    "podDisruptionBudget": {"enabled": True},
    "networkPolicy": {"enabled": True},
    "serviceAccount": {"create": True},
    "metrics": {
        "serviceMonitor": {"enabled": True},
        "prometheusRule": {"enabled": True},
        "dashboard": {"enabled": True},
    },
}
KINDS = {
    *("deployment", "service", "serviceaccount", "ingress", "horizontalpodautoscaler", "poddisruptionbudget"),
    *("networkpolicy", "secret", "configmap"),
}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Build what the releases run: two versions of one model, another model, and a bundle that nobody should serve."""
    context = Context(tmp_path_factory.mktemp("context"))
    next_version(context.folder / "next")
    for tag, bundle in (("crime-1", "pickles"), ("crime-2", "next"), ("wine-1", "examples/wine/bundle")):
        context.build(tag, bundle=bundle)
    context.build("plain")
    hostile = tmp_path_factory.mktemp("hostile")
    (hostile / "model.pkl").write_bytes(pickle.dumps(Hostile()))
    (hostile / "Dockerfile").write_text("FROM brinery-e2e:plain\nCOPY model.pkl /pickles/\n")
    docker("build", "--tag", "brinery-e2e:hostile", hostile)


def next_version(folder: Path) -> Path:
    """Make the crime model's next version: the same estimator under another number, sealed."""
    shutil.copytree(bundle_of("crime"), folder)
    metadata = json.loads((folder / "metadata.json").read_text())
    (folder / "metadata.json").write_text(json.dumps({**metadata, "version": "next"}))
    run(BIN / "brinery", "seal", folder)
    return folder


def new_key(name: str) -> tuple[str, str]:
    """Make an API key; give it, and its line for the server."""
    said = run(BIN / "brinery", "key", name)
    found = re.search(rf"^(brn_\S+)$.*^({name} sha256:\S+)$", said, re.MULTILINE | re.DOTALL)
    assert found, "a key and its line"
    return found[1], found[2]


def tagged(tag: str, *others: Values) -> Values:
    """Give the values that run an image."""
    return merged({"image": {"tag": tag}}, *others)


@pytest.fixture
def namespace() -> Iterator[str]:
    """Give a namespace of this test's own, which goes with all that is in it."""
    name = f"brinery-{uuid4().hex[:8]}"
    run("kubectl", "create", "namespace", name)
    yield name
    run("kubectl", "delete", "namespace", name, "--wait=false")


@pytest.fixture
def release(images: None, namespace: str) -> Iterator[Callable[[str], Release]]:
    """Give a maker of releases by their names; what it made is uninstalled in the end."""
    with contextlib.ExitStack() as stack:
        engine = stack.enter_context(helm.Config(kubeconfig_path=os.environ["KUBECONFIG"], namespace=namespace))

        def make(name: str) -> Release:
            stack.callback(engine.uninstall, name, ignore_not_found=True, wait="watcher", timeout=60)
            return Release(name, namespace, engine)

        yield make


@contextlib.contextmanager
def load(release: Release) -> Iterator[tuple[Load, Load]]:
    """Call a release on kept connections and on new ones; fail if a single request did."""
    with Load(release, pauses=CALLERS) as kept, Load(release, pauses=CALLERS, keep=False) as new:
        kept.until(answered=50)
        new.until(answered=50)
        yield kept, new
        kept.until(answered=50)
        new.until(answered=50)
    print(f"{release.name}: {kept.answered} answers on kept connections, {new.answered} on new ones")
    assert (kept.failed, new.failed) == ([], [])


def test_side_by_side(release: Callable[[str], Release]) -> None:
    """Two versions of a model and another model serve side by side, each by its own name, as tests of any kind see."""
    versions = {"crime-65": ("crime-1", "1"), "crime-66": ("crime-2", "next"), "wine": ("wine-1", None)}
    releases = {name: release(name) for name in versions}
    for name, (tag, _) in versions.items():
        releases[name].install(tagged(tag, {"replicaCount": 1}))
    for name, (_, version) in versions.items():
        each = releases[name]
        assert version in (None, each.request("GET", "/api/info").headers["X-Model-Version"])
        tested = each.engine.test(name, timeout=60, logs=True)
        print(tested["logs"])
        newman.run(each.url).check()
    assert releases["crime-65"].request("POST", "/api/predict", THEFT).json == (
        releases["crime-66"].request("POST", "/api/predict", THEFT).json
    )


def test_upgrade_and_rollback(release: Callable[[str], Release]) -> None:
    """Upgrade and rollback to another version of the model fail no request, and each answer is of one version."""
    crime = release("crime")
    crime.install(tagged("crime-1"))
    with load(crime) as (kept, new):
        crime.upgrade(tagged("crime-2"))
        eventually(lambda: not mixed(crime), "the new version alone to answer")
        assert crime.request("GET", "/api/info").json["metadata"]["version"] == "next"
        crime.rollback()
    assert crime.request("GET", "/api/info").headers["X-Model-Version"] == "1"
    assert set(kept.versions) == set(new.versions) == {"1", "next"}


def mixed(release: Release) -> bool:
    """Tell whether several versions answer."""
    return len({release.request("GET", "/api/info").headers["X-Model-Version"] for _ in range(10)}) > 1


def test_drain(release: Callable[[str], Release]) -> None:
    """A node is drained under load: the budget lets one pod go at a time, and no request fails."""
    crime = release("crime")
    crime.install(tagged("crime-1"))
    before = set(crime.pods())
    (node,) = run("kubectl", "get", "nodes", "--output", "name").split()
    selector = f"--pod-selector=app.kubernetes.io/instance={crime.name}"
    with load(crime):
        drain = subprocess.Popen(
            ["kubectl", "drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=170s", selector],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            # The only node: its second pod may not go before the first has a successor, which waits for a node.
            eventually(lambda: len(before & set(crime.pods())) == 1, "the first pod to be evicted", SECONDS)
            run("kubectl", "uncordon", node)
            said, _ = drain.communicate(timeout=180)
        finally:
            drain.kill()
            run("kubectl", "uncordon", node)
        assert drain.returncode == 0, said
        assert not before & set(crime.pods()), said
        eventually(lambda: list(crime.pods().values()) == [True, True], "two new pods", SECONDS)


def test_bad_bundle(release: Callable[[str], Release]) -> None:
    """A version whose bundle is refused never becomes ready; the one before goes on serving, and a rollback ends it."""
    crime = release("crime")
    crime.install(tagged("crime-1"))
    before = set(crime.pods())
    with load(crime) as (kept, new):
        crime.upgrade(tagged("hostile"), wait=False)
        eventually(crime.is_tried_again, "the new version's pod to be tried again", SECONDS)
        assert before <= {name for name, ready in crime.pods().items() if ready}
        (bad,) = set(crime.pods()) - before
        assert crime.pods()[bad] is False
        assert "brinery: model.pkl" in crime.kubectl("logs", bad, "--previous")
        ended = "jsonpath={.status.containerStatuses[0].lastState.terminated.message}"
        assert "brinery: model.pkl" in crime.kubectl("get", "pod", bad, "--output", ended)
        crime.rollback()
    assert set(kept.versions) == set(new.versions) == {"1"}
    eventually(lambda: set(crime.pods()) == before, "the bad pod to go", SECONDS)


def test_callers(release: Callable[[str], Release]) -> None:
    """With API keys in the release's secret only callers with one are answered; its own test has one too."""
    key, line = new_key("helm-test")
    crime = release("crime")
    crime.kubectl("create", "secret", "generic", "caller", f"--from-literal=key={key}")
    keys = {"auth": {"scopes": ["predict"], "apiKeys": [line]}, "test": {"keySecret": {"name": "caller"}}}
    crime.install(tagged("crime-1", {"replicaCount": 1}, keys))
    assert crime.request("POST", "/api/predict", THEFT).status == 401
    assert crime.request("POST", "/api/predict", THEFT, {"Authorization": f"Bearer {key}"}).status == 200
    crime.engine.test("crime", timeout=60)


def test_a_fetched_bundle(release: Callable[[str], Release], tmp_path: Path) -> None:
    """An image without a bundle fetches one at the start, and serves it only if it has the digest that is asked for."""
    with tarfile.open(tmp_path / "crime.tar.gz", "w:gz") as archive:
        archive.add(bundle_of("crime"), "crime")
    address = run("kubectl", "get", "nodes", "--output=jsonpath={.items[0].status.addresses[0].address}")
    port = free_port(address)
    store = Program(sys.executable, "-m", "http.server", "--bind", address, str(port), environ={}, cwd=tmp_path)
    said = run(BIN / "brinery", "check", bundle_of("crime"))
    (digest,) = re.findall(r"digest +(\S+)", said)
    egress = {"egress": [{"to": [{"ipBlock": {"cidr": f"{address}/32"}}]}]}
    crime = release("crime")
    url = f"http://reader:password@{address}:{port}/crime.tar.gz"
    crime.kubectl("create", "secret", "generic", "store", f"--from-literal=url={url}")
    bundle = {"urlSecret": {"name": "store"}, "digest": digest}
    values = tagged("plain", {"replicaCount": 1, "networkPolicy": egress, "bundle": bundle})
    with store:
        crime.install(values)
        before = set(crime.pods())
        assert crime.request("GET", "/api/info").json["model"]["digest"] == digest
        crime.upgrade(values, {"bundle": {"digest": digest[:-1] + ("0" if digest[-1] != "0" else "1")}}, wait=False)
        eventually(crime.is_tried_again, "the pod with another digest to be tried again", SECONDS)
        assert before == {name for name, ready in crime.pods().items() if ready}
        crime.rollback()


def test_nothing_is_left(release: Callable[[str], Release]) -> None:
    """A release with everything switched on that this cluster knows is gone without a trace once it is uninstalled."""
    crime = release("crime")
    _, line = new_key("app")
    crime.install(tagged("crime-1", EVERYTHING, {"auth": {"scopes": ["predict"], "apiKeys": [line]}}))
    kinds = run("kubectl", "api-resources", "--namespaced", "--verbs=list,delete", "--output=name").split()
    listing = ["get", ",".join(kind for kind in kinds if not kind.startswith("events")), "--output=name"]
    of_release = [*listing, "--selector=app.kubernetes.io/instance=crime"]
    there = {line.split("/")[0].split(".")[0] for line in crime.kubectl(*of_release).split()}
    assert there >= KINDS
    crime.engine.uninstall("crime", wait="watcher", timeout=120)
    eventually(lambda: not crime.kubectl(*of_release).split(), "everything to go", SECONDS)
    assert [line for line in crime.kubectl(*listing).split() if "crime" in line] == []
