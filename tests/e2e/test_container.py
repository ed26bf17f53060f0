"""The image, built and run by a real docker engine as docs/containers.md says; `make e2e-container` runs this."""

import json
import os
import pickle
import shutil
import subprocess
import tempfile
import urllib.parse
import urllib.request
import venv
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.containers import Container, Context, Hostile, docker
from tests.faults.load import THEFT
from tests.live import newman
from tests.live.running import REPOSITORY, Program, eventually, free_port

pytestmark = pytest.mark.by_hand

OTHER_SKLEARN = "1.8.0"  # another minor release than the lock's


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    """Copy the repository."""
    return Context(tmp_path_factory.mktemp("context"))


@pytest.fixture(scope="module")
def baked(context: Context) -> str:
    """Build the image of the default bundle."""
    digest = digest_of("pickles")
    context.build("baked", bundle="pickles", model_name="crime", model_version="1", model_digest=digest)
    return "baked"


@pytest.fixture(scope="module")
def plain(context: Context) -> str:
    """Build the image without a bundle."""
    context.build("plain")
    return "plain"


@pytest.fixture(scope="module")
def own(context: Context, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Build the image of a bundle with a wheel, by another scikit-learn; nothing but the pickle tells which."""
    bundle = context.folder / "models" / "odd"
    wheel = write_wheel(bundle / "wheels")
    folder = tmp_path_factory.mktemp("training")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    pip: list[str | Path] = [
        python,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--quiet",
        "install",
        "--only-binary",
        ":all:",
    ]
    subprocess.run([*pip, f"scikit-learn=={OTHER_SKLEARN}", wheel], check=True)
    train = (
        "import pickle, sys; from own_steps import Odd; from sklearn.pipeline import make_pipeline as pipeline;"
        "from sklearn.preprocessing import FunctionTransformer as Same;"
        "pickle.dump(pipeline(Same(), Odd()).fit([[0], [1]], [0, 1]), open(sys.argv[1], 'wb'))"
    )
    subprocess.run([python, "-c", train, bundle / "model.pkl"], check=True)
    context.build("own", bundle="models/odd", allowed_globals="own_steps.Odd")
    return "own"


@pytest.fixture
def folder() -> Iterator[Path]:
    """Make a folder that a container's user may read."""
    with tempfile.TemporaryDirectory(prefix="brinery-e2e-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def digest_of(bundle: str) -> str:
    """Give the digest that `brinery check` prints."""
    done = subprocess.run(["brinery", "check", bundle], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return next(line.split()[1] for line in done.stdout.splitlines() if line.split()[0] == "digest")


def write_wheel(folder: Path) -> Path:
    """Pack `own_steps` as a wheel."""
    folder.mkdir(parents=True)
    wheel = folder / "own_steps-1.0-py3-none-any.whl"
    about = "own_steps-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(Path(__file__).with_name("own_steps.py"), "own_steps.py")
        archive.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: own-steps\nVersion: 1.0\n")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", f"own_steps.py,,\n{about}/METADATA,,\n{about}/WHEEL,,\n{about}/RECORD,,\n")
    return wheel


def test_what_the_image_is(baked: str) -> None:
    """It says which model it holds, runs as nobody, and has neither a compiler nor pip nor files of its user."""
    image = json.loads(docker("image", "inspect", f"brinery-e2e:{baked}").stdout)[0]["Config"]
    assert image["User"] == "10001:10001"
    assert image["StopSignal"] == "SIGTERM"
    labels = image["Labels"]
    assert (labels["brinery.model.name"], labels["brinery.model.version"]) == ("crime", "1")
    assert labels["brinery.model.digest"] == digest_of("pickles")
    look = "command -v cc; command -v gcc; ls -d /bundle /src /opt/pip /opt/venv/bin/pip; find / -xdev -user 10001"
    found = docker(
        "run", "--rm", "--entrypoint", "sh", f"brinery-e2e:{baked}", "-c", f"PATH=/opt/venv/bin; {look}", check=False
    )
    assert [line for line in found.stdout.splitlines() if line.startswith("/")] == []


def test_a_container(baked: str) -> None:
    """With nothing writable but /tmp it serves, its health check says so, Newman passes, and a stop ends it well."""
    with Container(baked) as container:
        assert container.request("POST", "/api/predict", THEFT).json.keys() == {"notCaughtProb", "caughtProb"}
        assert container.execute("brinery", "probe", "--predict").returncode == 0
        assert docker("diff", container.name).stdout == ""
        assert container.execute("touch", "/pickles/model.pkl").returncode != 0
        newman.run(container.url).check()
        eventually(lambda: container.state["Health"]["Status"] == "healthy", "a healthy container")
        container.stop()


def test_a_prometheus_counts_exactly(baked: str, folder: Path) -> None:
    """A real Prometheus that scrapes every second knows each prediction, by its label, and the model's digest."""
    program = shutil.which("prometheus")
    assert program, "Prometheus is missing; `sh tests/tools.sh prometheus` fetches it"
    with Container(baked, workers=2) as container:
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
            "scrape_configs": [{"job_name": "e2e", "static_configs": [{"targets": [f"127.0.0.1:{container.port}"]}]}],
        }
        (folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
        address = f"127.0.0.1:{free_port()}"
        options = (f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data")
        with Program(program, *options, f"--web.listen-address={address}", environ=dict(os.environ)):

            def value(query: str) -> float | None:
                url = f"http://{address}/api/v1/query?" + urllib.parse.urlencode({"query": query})
                try:
                    with urllib.request.urlopen(url, timeout=5) as answer:
                        found = json.load(answer)["data"]["result"]
                except OSError:
                    return None
                return float(found[0]["value"][1]) if found else None

            eventually(lambda: value('up{job="e2e"}') == 1, "the first scrape")
            with ThreadPoolExecutor(4) as callers:
                answers = list(callers.map(lambda _: container.request("POST", "/api/predict", [THEFT] * 3), range(40)))
            assert {answer.status for answer in answers} == {200}
            assert container.request("POST", "/api/predict", THEFT | {"month": 13}).status == 422
            eventually(lambda: value("sum(brinery_predictions_total)") == 120, "120 rows")
            assert value('brinery_predictions_total{label="notCaughtProb"}') == 120
            requests = 'sum(brinery_http_requests_total{route="/api/predict",status="%s"})'
            eventually(lambda: value(requests % 200) == 40 and value(requests % 422) == 1, "41 requests")
            assert value(f'count(brinery_model_info{{digest="{digest_of("pickles")}"}})') == 1


def test_a_stop_with_a_request_in_flight(own: str) -> None:
    """Who asked before the stop is answered, and the container ends with 0."""
    with Container(own) as container, ThreadPoolExecutor(2) as threads:
        answer = threads.submit(container.request, "POST", "/api/predict", {"x0": 42})
        eventually(lambda: container.execute("test", "-e", "/tmp/entered").returncode == 0, "a model that works")  # noqa: S108
        stopped = threads.submit(docker, "stop", "--time", "40", container.name)
        eventually(lambda: not ready(container), "a server that drains")
        assert container.state["Running"]
        assert not answer.done()
        container.execute("touch", "/tmp/go")  # noqa: S108
        assert answer.result().json == {"0": 1.0, "1": 0.0}
        stopped.result()
        assert container.wait() == 0, container.said


def ready(container: Container) -> bool:
    """Tell whether new requests are wanted."""
    try:
        return container.request("GET", "/api/health/ready").status == 200
    except OSError:
        return False


def test_a_bundles_own_world(own: str) -> None:
    """The image has the scikit-learn that fitted the model, and the wheel with its class."""
    with Container(own) as container:
        info = container.request("GET", "/api/info").json
        assert OTHER_SKLEARN in json.dumps(info)
        assert container.request("POST", "/api/predict", {"x0": 7}).json == {"0": 0.0, "1": 1.0}


def test_requirements_of_a_bundle(context: Context) -> None:
    """Its requirements.txt goes before the lock; the files of the world are not in the image."""
    bundle = context.folder / "models" / "crime"
    shutil.copytree(context.folder / "pickles", bundle)
    (bundle / "requirements.txt").write_text("joblib==1.5.2\n")
    (bundle / "signer.pem").write_text("a secret")
    context.build("requirements", bundle="models/crime")
    script = "import joblib, os; print(joblib.__version__, sorted(os.listdir('/pickles')))"
    said = docker("run", "--rm", "--entrypoint", "python", "brinery-e2e:requirements", "-c", script).stdout
    assert said.split()[0] == "1.5.2"
    assert "requirements.txt" not in said
    assert "signer.pem" not in said


def test_no_image_of_what_cannot_be_served(context: Context) -> None:
    """A hostile bundle, packages that do not go together, and a label with another digest fail the build."""
    bundle = context.folder / "models" / "hostile"
    bundle.mkdir(parents=True)
    (bundle / "model.pkl").write_bytes(pickle.dumps(Hostile()))
    failed = context.build("refused", bundle="models/hostile", check=False)
    assert failed.returncode != 0
    assert "model.pkl" in failed.stdout
    assert "this-ran" not in failed.stdout.replace("echo this-ran", "")
    failed = context.build("refused", bundle="pickles", model_digest=f"sha256:{'0' * 64}", check=False)
    assert failed.returncode != 0
    assert f"has the digest {digest_of('pickles')}" in failed.stdout


def test_a_hostile_bundle_is_never_ready(plain: str, folder: Path) -> None:
    """A mounted pickle that runs a command ends the container with a sentence; the command never ran."""
    (folder / "model.pkl").write_bytes(pickle.dumps(Hostile()))
    container = Container(plain, "--volume", f"{folder}:/pickles:ro")
    try:
        assert container.wait() == 3
        assert "brinery: model.pkl" in container.said
        assert "this-ran" not in container.said
        assert container.state["Health"]["Status"] != "healthy"
    finally:
        container.__exit__(None, None, None)


def test_a_mounted_bundle(plain: str, folder: Path) -> None:
    """An image without a bundle serves the one that is mounted, and without one it says that there is none."""
    shutil.copytree(REPOSITORY / "examples" / "titanic" / "bundle", folder, dirs_exist_ok=True)
    with Container(plain, "--volume", f"{folder}:/pickles:ro") as container:
        assert container.request("GET", "/api/info").json["metadata"]["name"] == "titanic"
    empty = Container(plain)
    try:
        assert empty.wait() == 3
        assert "model.pkl is missing" in empty.said
    finally:
        empty.__exit__(None, None, None)


def test_sagemaker(plain: str, folder: Path) -> None:
    """Run as SageMaker does it, the image serves the artifacts on its port and routes, and SIGTERM ends it well."""
    shutil.copytree(REPOSITORY / "pickles", folder / "artifacts" / "crime")
    mounted = ("--volume", f"{folder / 'artifacts'}:/opt/ml/model:ro")
    with Container(plain, *mounted, command=("serve",), listens=8080) as container:
        assert container.request("GET", "/ping").status == 200
        (said,) = container.request("POST", "/api/predict?detail=full", [THEFT]).json
        answer = container.request("POST", "/invocations", {"instances": [THEFT]})
        assert (answer.status, answer.json) == (200, {"predictions": [said["prediction"]]})
        assert container.execute("brinery", "probe").returncode == 0, "the health check knows the port"
        container.stop()


def test_a_model_in_the_image_on_sagemaker(baked: str, folder: Path) -> None:
    """Without artifacts the folder is empty, and the model in the image is served."""
    with Container(baked, "--volume", f"{folder}:/opt/ml/model:ro", command=("serve",), listens=8080) as container:
        assert container.request("GET", "/api/info").json["metadata"]["name"] == "crime"


def test_other_verbs(baked: str) -> None:
    """Arguments are the console's verbs."""
    assert "It can be served." in docker("run", "--rm", f"brinery-e2e:{baked}", "check", "/pickles").stdout


@pytest.mark.parametrize("memory", ["24m", "96m"])
def test_too_little_memory(baked: str, memory: str) -> None:
    """A limit under which the model cannot be loaded ends the container, and does not let it hang."""
    container = Container(baked, "--memory", memory, "--memory-swap", memory)
    try:
        status = container.wait()
        assert status == 137 or (status == 3 and "brinery: " in container.said), (status, container.said)
    finally:
        container.__exit__(None, None, None)


def test_a_worker_that_takes_all_memory(own: str) -> None:
    """The kernel kills the worker; the container goes on, counts it, and serves again."""
    with Container(own, workers=1) as container:
        with pytest.raises((OSError, AssertionError)):
            assert container.request("POST", "/api/predict", {"x0": 43}).status == 200
        eventually(container.is_ready, "a new worker")
        assert container.request("POST", "/api/predict", {"x0": 7}).status == 200
        assert 'brinery_worker_crashes_total{cause="SIGKILL"} 1.0' in container.request("GET", "/metrics").body.decode()
        container.stop()


def test_a_starved_container(baked: str) -> None:
    """With a tenth of a CPU it gets ready, is alive under a burst, and sheds or serves each request."""
    container = Container(baked, "--cpus", "0.1", workers=1)
    try:
        for _ in range(8):  # as often as one patience: a start takes some seconds of CPU
            try:
                eventually(container.is_ready, "readiness")
            except AssertionError:
                continue
            break
        with ThreadPoolExecutor(16) as callers:
            answers = callers.map(lambda _: container.request("POST", "/api/predict", [THEFT] * 100).status, range(64))
            alive = callers.submit(container.request, "GET", "/api/health/live")
            assert set(answers) <= {200, 503}
            assert alive.result().status == 200
        eventually(container.is_ready, "readiness after the burst")
        assert "worker_crashed" not in container.said
    finally:
        container.__exit__(None, None, None)
