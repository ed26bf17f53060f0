"""Bundles from elsewhere: each kind of place, what is done when it fails, and what of it is seen."""

import base64
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.live.certificates import Authority
from tests.live.metrics import scrape
from tests.live.running import BIN, PATIENCE, Server, bundle_of, environ_with, eventually, free_port
from tests.live.stores import Amazon, Web, amazon, archive_of, azure, bundle_files

pytestmark = pytest.mark.live

SECRET = "geheim"  # noqa: S105  # which is to be found nowhere
ARCHIVE = archive_of(bundle_files())

PUT_TO_AZURE = """
import os, sys
from azure.storage.blob import BlobServiceClient
service = BlobServiceClient.from_connection_string(os.environ["AZURE_STORAGE_CONNECTION_STRING"])
container = service.create_container("models")
for path in sys.argv[2:]:
    with open(path, "rb") as file:
        container.upload_blob("crime-65/" + os.path.basename(path), file)
container.upload_blob("crime-65.tar.gz", open(sys.argv[1], "rb"))
"""

PUT_TO_MLFLOW = """
import sys
from mlflow import MlflowClient
client = MlflowClient()
run = client.create_run(client.create_experiment("tests")).info
for path in sys.argv[1:]:
    client.log_artifact(run.run_id, path, "model")
client.create_registered_model("crime")
version = client.create_model_version("crime", f"{run.artifact_uri}/model", run.run_id)
client.set_registered_model_alias("crime", "champion", version.version)
"""


def checked(place: str, environ: Mapping[str, str] | None = None, **settings: object) -> list[str]:
    """Have a bundle checked, and give the lines; those of a refusal if it is one."""
    done = subprocess.run(
        [BIN / "brinery", "check", place],
        env={**environ_with(settings), **(environ or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE * 4,
    )
    assert SECRET not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert (done.returncode == 0) == (done.stderr == "")
    return (done.stdout or done.stderr).splitlines()


def reload(server: Server) -> tuple[int, str]:
    """Reload as an operator does; give the status and what was said."""
    environ = {**environ_with({"port": server.port}), "TMPDIR": str(server.scratch)}
    done = subprocess.run([BIN / "brinery", "reload"], env=environ, text=True, capture_output=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(name="web")
def _web() -> Iterator[Web]:
    with Web({"/crime-65.tar.gz": ARCHIVE}) as web:
        yield web


@pytest.fixture(name="s3", scope="module")
def _s3() -> Iterator[Amazon]:
    with amazon() as store:
        yield store


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param([], id="none", marks=pytest.mark.slow),
        pytest.param([503, 429], id="refused twice"),
        pytest.param(["cut", 500], id="cut off", marks=pytest.mark.slow),
    ],
)
def test_the_web(web: Web, faults: list[int | str]) -> None:
    """An archive is fetched from the web, also where that fails at first."""
    web.faults["/crime-65.tar.gz"] = list(faults)
    assert checked(f"http://{web.address}/crime-65.tar.gz")[-1] == "It can be served."
    assert len(web.asked) == len(faults) + 1


@pytest.mark.parametrize(
    ("faults", "attempts", "asked", "said"),
    [
        ([503] * 9, 2, 2, "was answered with status 503. It was tried 2 times"),
        (["cut"] * 9, 2, 2, "cannot be reached, or broke off (ClientPayloadError). It was tried 2 times"),
        (["hang", 403], 8, 2, "is refused to us"),
        ([403], 2, 1, "is refused to us; look at the credentials"),
        ([404], 2, 1, "There is nothing at"),
        ([400], 2, 1, "was answered with status 400."),
    ],
    ids=["unavailable", "cut off", "hangs", "forbidden", "absent", "nonsense"],
)
@pytest.mark.slow
def test_the_web_fails(web: Web, faults: list[int | str], attempts: int, asked: int, said: str) -> None:
    """A fetch that cannot succeed ends with a sentence, and is tried again only where that may help."""
    web.faults["/crime-65.tar.gz"] = faults
    address = f"http://user:{SECRET}@{web.address}/crime-65.tar.gz?sig={SECRET}"
    # An attempt that hangs may take its share of the time, here two and a half seconds.
    (line,) = checked(address, fetch_attempts=attempts, fetch_timeout=20)
    assert said in line
    assert f"http://{web.address}/crime-65.tar.gz" in line
    assert len(web.asked) == asked


@pytest.mark.slow
def test_credentials_of_the_web(web: Web) -> None:
    """A user and a password go with the request, and a signed query is sent as it stands."""
    web.allowed = "Basic " + base64.b64encode(f"user:{SECRET}".encode()).decode()
    query = f"X-Sig={SECRET}%2Fa%3D&x=%20b+c"
    lines = checked(f"http://user:{SECRET}@{web.address}/crime-65.tar.gz?{query}")
    assert lines[-1] == "It can be served."
    assert web.asked == [f"/crime-65.tar.gz?{query}"]


@pytest.mark.slow
def test_not_an_archive(web: Web) -> None:
    """A page that is no archive is refused, and not tried again."""
    web.files["/page.zip"] = b"<!doctype html><title>Sign in</title>"
    (line,) = checked(f"http://{web.address}/page.zip")
    assert "The archive is damaged, or no tar, tar.gz or zip" in line
    assert len(web.asked) == 1


def test_a_missing_library(web: Web, tmp_path: Path) -> None:
    """What is not installed is named, with the extra that brings it."""
    (tmp_path / "fsspec.py").write_text("raise ModuleNotFoundError(\"No module named 'fsspec'\", name='fsspec')")
    (line,) = checked(f"http://{web.address}/crime-65.tar.gz", {"PYTHONPATH": str(tmp_path)})
    assert line.endswith("needs a library that is not installed (fsspec); install brinery[remote].")


def test_a_folder_imports_nothing() -> None:
    """A start from a folder, and the master of any other, import no library that fetches."""
    code = (
        "import sys, server.launch, server.gunicorn_conf, server.sources.fetching as f\n"
        "from server.settings import Settings\n"
        "from server.parsers import PLACE\n"
        "f.read(Settings(), PLACE.read(sys.argv[1]))\n"
        "print(sorted({'fsspec', 'aiohttp', 's3fs', 'mlflow', 'oras', 'requests', 'asyncio'} & sys.modules.keys()))"
    )
    with Web({"/c.tgz": ARCHIVE}) as web:
        done = subprocess.run(
            [sys.executable, "-c", code, f"http://{web.address}/c.tgz"],
            env=environ_with({}),
            capture_output=True,
            text=True,
        )
    assert set(json.loads(done.stdout.replace("'", '"'))) <= {"asyncio"}, done.stderr


@pytest.mark.slow
def test_secrets_are_seen_nowhere(web: Web) -> None:
    """Neither the log, nor answers, nor metrics hold what stands before an @ or behind a ?, whatever happens."""
    bundle = f"http://user:{SECRET}@{web.address}/crime-65.tar.gz?sig={SECRET}"
    with Server(bundle=bundle, fetch_attempts=2) as server:
        web.files["/crime-65.tar.gz"] = archive_of(bundle_files(version=2))
        web.faults["/crime-65.tar.gz"] = [500, 500, 404]
        for reason in ("BRINERY_BUNDLE was answered with status 500.", "There is nothing at BRINERY_BUNDLE"):
            status, said = reload(server)
            assert status == 1
            assert reason in said
            info = server.request("GET", "/api/info")
            assert reason in info.json["reload"]["last"]["reason"]
            assert SECRET not in info.body.decode() + said
            assert web.address not in info.body.decode()
        assert reload(server)[0] == 0
        health = server.request("GET", "/api/health/ready")
        assert health.headers["X-Model-Version"] == "2"
        assert health.headers["X-Model-Name"] == "crime"
        assert SECRET not in str(scrape(server))
        assert SECRET not in server.request("GET", "/openapi.json").body.decode()
    assert SECRET not in server.said


def test_a_reload_does_not_stop_the_master(web: Web) -> None:
    """While a store hangs, a worker that dies is replaced; when the store breaks off, the model before serves on."""
    with Server(bundle=f"http://{web.address}/crime-65.tar.gz", fetch_attempts=1) as server:
        web.faults["/crime-65.tar.gz"] = ["hang", 403]  # aiohttp asks once more by itself
        (before,) = server.workers()
        environ = {**environ_with({"port": server.port}), "TMPDIR": str(server.scratch)}
        with subprocess.Popen(
            [BIN / "brinery", "reload"], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as asked:
            eventually(lambda: len(web.asked) == 2, "the fetch")
            subprocess.run(["kill", "-9", str(before)], check=True)
            server.wait_for_event("worker_crashed")
            eventually(server.is_ready, "a new worker")
            assert asked.poll() is None
            web.let_go()
            _, said = asked.communicate()
        assert b"is refused to us" in said
        assert server.is_ready()
        server.err.clear()


@pytest.mark.slow
def test_a_start_can_be_stopped(web: Web, tmp_path: Path) -> None:
    """Asked to stop while it fetches, a server that does not listen yet ends at once, and leaves nothing behind."""
    web.faults["/crime-65.tar.gz"] = ["hang"]
    settings = {"port": free_port(), "bundle": f"http://{web.address}/crime-65.tar.gz", "fetch_timeout": 600}
    environ = {**environ_with(settings), "TMPDIR": str(tmp_path)}
    with subprocess.Popen([BIN / "brinery", "serve"], env=environ) as server:
        eventually(lambda: len(web.asked) == 1, "the fetch")
        server.terminate()
        assert server.wait(PATIENCE) == 0
    assert not list(tmp_path.iterdir())


def test_s3(s3: Amazon) -> None:
    """A bundle is served from S3, and after a change there a reload serves the next one."""
    s3.put("crime.tar.gz", archive_of(bundle_files(version=1)))
    with Server(bundle="s3://models/crime.tar.gz", environ=s3.environ) as server:
        assert server.request("GET", "/api/health/ready").headers["X-Model-Version"] == "1"
        s3.put("crime.tar.gz", archive_of(bundle_files(version=2)))
        assert reload(server)[0] == 0
        assert server.request("GET", "/api/health/ready").headers["X-Model-Version"] == "2"
        s3.put("crime.tar.gz", b"<html>")
        status, said = reload(server)
        assert (status, "The archive is damaged" in said) == (1, True)
        assert server.request("GET", "/api/health/ready").headers["X-Model-Version"] == "2"


@pytest.mark.slow
def test_a_prefix_of_s3(s3: Amazon) -> None:
    """The objects below a prefix are a bundle too; what is not there is told."""
    for name, content in {**bundle_files(), "README.md": b"x", "sub/model.pkl": b"x"}.items():
        s3.put(f"crime-65/{name}", content)
    assert checked("s3://models/crime-65/", s3.environ)[-1] == "It can be served."
    (line,) = checked("s3://models/crime-66/", s3.environ)
    assert "There is nothing at s3://models/crime-66/" in line


@pytest.mark.slow
def test_a_pinned_bundle_outlives_its_store(s3: Amazon, tmp_path: Path) -> None:
    """What was fetched with its digest is served from the cache when the store is gone; anything else is not."""
    loaded = ("labels.pkl", "lookup.pkl", "metadata.json", "model.pkl")
    lines = (f"{hashlib.sha256(bundle_files()[name]).hexdigest()}  {name}\n" for name in loaded)
    digest = "sha256:" + hashlib.sha256("".join(lines).encode()).hexdigest()
    pinned: dict[str, Any] = {
        "bundle": "s3://models/pinned.tar.gz",
        "bundle_digest": digest,
        "bundle_cache": tmp_path / "cache",
    }
    s3.put("pinned.tar.gz", ARCHIVE)
    assert checked(str(pinned["bundle"]), s3.environ, **pinned)[-1] == "It can be served."
    gone = {**s3.environ, "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{free_port()}"}
    with Server(environ=gone, **pinned) as server:
        assert server.request("GET", "/api/info").json["model"]["digest"] == digest
    (entry,) = (tmp_path / "cache").iterdir()
    (entry / "model.pkl").write_bytes(b"somebody else's")
    (line,) = checked(str(pinned["bundle"]), gone, fetch_attempts=1, **pinned)
    assert "s3://models/pinned.tar.gz cannot be reached" in line
    assert not list((tmp_path / "cache").iterdir())


def test_another_digest_than_the_pin() -> None:
    """A bundle with another digest stops the start, with both named."""
    meant = f"sha256:{'0' * 64}"
    done = subprocess.run(
        [BIN / "brinery", "serve"],
        env=environ_with({"port": free_port(), "bundle": bundle_of("crime"), "bundle_digest": meant}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert f"is {meant}" in done.stderr
    assert "has the digest sha256:" in done.stderr


@pytest.mark.parametrize("form", ["files", pytest.param("archive", marks=pytest.mark.slow)])
def test_a_registry(web: Web, form: str) -> None:
    """An artifact of an OCI registry is a bundle: a layer for each file, or one archive."""
    web.push("team/crime", "65", bundle_files() if form == "files" else {"crime.tar.gz": ARCHIVE})
    web.faults["/v2/team/crime/manifests/65"] = [503]
    assert checked(f"oci://{web.address}/team/crime:65")[-1] == "It can be served."


@pytest.mark.slow
def test_a_registry_that_lies(web: Web) -> None:
    """A layer that is not what its digest says is refused, and so is what is not there."""
    web.push("crime", "65", bundle_files())
    blob = next(path for path, content in web.files.items() if "/blobs/" in path and content.startswith(b"\x80"))
    web.files[blob] += b"x"
    (line,) = checked(f"oci://{web.address}/crime:65", fetch_attempts=1)
    assert "a layer whose content is not what its digest says" in line
    (line,) = checked(f"oci://{web.address}/crime:66")
    assert "There is nothing at" in line


@pytest.mark.slow
def test_a_registrys_own_digest(web: Web) -> None:
    """An artifact can be named by the digest of its manifest, to which it is held; a manifest without end is left."""
    web.push("crime", "65", bundle_files())
    content = web.files["/v2/crime/manifests/65"]
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    named = f"/v2/crime/manifests/{digest}"
    web.files[named] = content
    assert checked(f"oci://{web.address}/crime@{digest}")[-1] == "It can be served."
    web.files[named] = content + b" "
    (line,) = checked(f"oci://{web.address}/crime@{digest}", fetch_attempts=1)
    assert "a manifest whose content is not what its digest says" in line
    web.files[named] = bytes(5_000_000)
    (line,) = checked(f"oci://{web.address}/crime@{digest}")
    assert "a manifest of more than" in line
    (line,) = checked("oci://registry/team/crime:65")
    assert "a host with neither a dot nor a port" in line


@pytest.mark.slow
def test_a_redirect(web: Web, tmp_path: Path) -> None:
    """A redirect is followed, but not to an address without TLS from one that has it; nor do credentials follow."""
    authority = Authority(tmp_path)
    with Web(redirect=f"http://{web.address}/crime-65.tar.gz") as plain:
        assert checked(f"HTTP://user:{SECRET}@{plain.address}/x")[-1] == "It can be served."
    assert web.authorized == [None]
    with Web(redirect=f"http://{web.address}/crime-65.tar.gz", certificate=authority.sign("store")) as secure:
        (line,) = checked(f"https://{secure.address}/x", {"SSL_CERT_FILE": str(authority.ca)})
        assert f"https://{secure.address}/x leads to an address without TLS" in line
    with Web(redirect="file:///etc/passwd") as plain:
        (line,) = checked(f"http://{plain.address}/x")
        assert "cannot be asked for" in line
    assert len(web.asked) == 1


@pytest.mark.slow
def test_an_address_of_ipv6() -> None:
    """Two colons in an address lead nowhere else."""
    with Web({"/crime-65.tar.gz": ARCHIVE}, host="::1") as web:
        assert checked(f"http://{web.address}/crime-65.tar.gz")[-1] == "It can be served."


@pytest.mark.slow
def test_azure(tmp_path: Path) -> None:
    """A bundle comes from Azure Blob Storage, from an archive and from below a prefix."""
    archive = tmp_path / "crime-65.tar.gz"
    archive.write_bytes(ARCHIVE)
    with azure() as environ:
        command = [sys.executable, "-c", PUT_TO_AZURE, str(archive), *map(str, bundle_of("crime").iterdir())]
        subprocess.run(command, env={**environ_with({}), **environ}, check=True)
        for place in ("az://models/crime-65.tar.gz", "abfs://models/crime-65/"):
            assert checked(place, environ)[-1] == "It can be served."
        (line,) = checked("az://models/crime-66.tar.gz", environ)
        assert "There is nothing at az://models/crime-66.tar.gz" in line
        wrong = {"AZURE_STORAGE_CONNECTION_STRING": environ["AZURE_STORAGE_CONNECTION_STRING"].replace("Eby8", "Eby9")}
        (line,) = checked("az://models/crime-65.tar.gz", wrong)
        assert "is refused to us" in line


@pytest.mark.slow
def test_mlflow(tmp_path: Path) -> None:
    """A version of a model comes from MLflow's registry, by its number or by an alias."""
    # MLflow's own server is not part of its small package; the store is read by the same code.
    environ = {"MLFLOW_TRACKING_URI": (tmp_path / "runs").as_uri(), "MLFLOW_ALLOW_FILE_STORE": "true"}
    command = [sys.executable, "-c", PUT_TO_MLFLOW, *map(str, bundle_of("crime").iterdir())]
    subprocess.run(command, env={**environ_with({}), **environ}, check=True, capture_output=True)
    for place in ("models:/crime/1", "models:/crime@champion"):
        assert checked(place, environ)[-1] == "It can be served."
    (line,) = checked("models:/crime/2", environ)
    assert "There is nothing at models:/crime/2" in line
