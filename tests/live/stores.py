"""Where bundles are fetched from in tests: a web server that can fail, a registry, S3 and Azure as processes."""

import contextlib
import hashlib
import http.client
import io
import json
import os
import socket
import ssl
import tarfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

import pytest

from tests.live.running import BIN, REPOSITORY, Program, bundle_of, environ_with, free_port

AZURITE = REPOSITORY / "tests" / "azurite" / "node_modules" / ".bin" / "azurite-blob"
# The account that Azurite is made with, as its documentation has it; it is no secret.
AZURITE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
TITLE = "org.opencontainers.image.title"


def bundle_files(version: int | None = None) -> dict[str, bytes]:
    """Give the files of the crime bundle, under another version if one is given."""
    files = {each.name: each.read_bytes() for each in bundle_of("crime").iterdir()}
    if version is not None:
        files["metadata.json"] = json.dumps({**json.loads(files["metadata.json"]), "version": version}).encode()
        del files["manifest.json"]
    return files


def archive_of(files: Mapping[str, bytes]) -> bytes:
    """Pack files below a folder."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(f"crime/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return target.getvalue()


@dataclass
class Web:
    """A web server on this machine: `files` by their path, `faults` that a path has instead, while there are any.

    A fault is a status, `hang` (until `let_go`) or `cut` (half of the body). `asked` are the requests'
    paths with their queries, `authorized` their `Authorization`; `allowed` is the only value of it that is let in, if
    it is set. With a `redirect` every request is sent there; with a `certificate` and its key it speaks TLS.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, list[int | str]] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    authorized: list[str | None] = field(default_factory=list)
    allowed: str | None = None
    redirect: str | None = None
    certificate: tuple[Path, Path] | None = None
    host: str = "127.0.0.1"

    def __enter__(self) -> Self:
        web, self._let_go = self, threading.Event()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                web.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        class Listening(ThreadingHTTPServer):
            address_family = socket.AF_INET6 if ":" in web.host else socket.AF_INET

        self._server = Listening((self.host, 0), Handler)
        self._server.daemon_threads = True
        if self.certificate is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(*self.certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def let_go(self) -> None:
        """Break off with those who hang."""
        self._let_go.set()

    def __exit__(self, *_: object) -> None:
        self.let_go()
        self._server.shutdown()
        self._server.server_close()

    @property
    def address(self) -> str:
        """The host and port."""
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self._server.server_port}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        self.asked.append(request.path)
        self.authorized.append(request.headers.get("Authorization"))
        path = request.path.partition("?")[0]
        left = self.faults.get(path)
        fault = left.pop(0) if left else None
        content = self.files.get(path)
        if fault == "hang":
            self._let_go.wait()
        elif self.allowed is not None and request.headers.get("Authorization") != self.allowed:
            self._refuse(request, 401)
        elif isinstance(fault, int):
            self._refuse(request, fault)
        elif self.redirect is not None:
            self._refuse(request, 302)
        elif content is None:
            self._refuse(request, 404)
        else:
            request.send_response(200)
            request.send_header("Content-Type", self.types.get(path, "application/octet-stream"))
            request.send_header("Content-Length", str(len(content)))
            request.end_headers()
            request.wfile.write(content[: len(content) // 2] if fault == "cut" else content)

    def _refuse(self, request: BaseHTTPRequestHandler, status: int) -> None:
        request.send_response(status)
        request.send_header("Content-Length", "0")
        if status == 302:
            request.send_header("Location", str(self.redirect))
        if status == 401:
            request.send_header("WWW-Authenticate", 'Basic realm="tests"')
        request.end_headers()

    def push(self, name: str, tag: str, layers: Mapping[str, bytes]) -> None:
        """Put an artifact there, as `oras push` would: the reading half of OCI's distribution API, 1.1."""
        described = []
        for title, content in layers.items():
            digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
            self.files[f"/v2/{name}/blobs/{digest}"] = content
            described.append(
                {
                    "mediaType": "application/octet-stream",
                    "digest": digest,
                    "size": len(content),
                    "annotations": {TITLE: title},
                }
            )
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "layers": described}
        self.files[f"/v2/{name}/manifests/{tag}"] = json.dumps(manifest).encode()
        self.types[f"/v2/{name}/manifests/{tag}"] = MANIFEST


@dataclass
class Amazon:
    """A server of S3's protocol with the bucket `models`; `environ` is what leads there."""

    program: Program
    port: int

    @property
    def environ(self) -> dict[str, str]:
        return {
            "AWS_ACCESS_KEY_ID": "tests",
            "AWS_SECRET_ACCESS_KEY": "geheim",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{self.port}",
        }

    def put(self, key: str, content: bytes | None) -> None:
        """Put an object there, or with no content the bucket."""
        # Whoever names a key at all may do everything: moto looks at no signature.
        scope = "Credential=tests/20260101/us-east-1/s3/aws4_request"
        headers = {"Authorization": f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0"}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request("PUT", f"/models/{key}", content, headers)
            assert connection.getresponse().status == 200


@contextlib.contextmanager
def amazon() -> Iterator[Amazon]:
    """Start moto's server."""
    port = free_port()
    with Program(BIN / "moto_server", "-H", "127.0.0.1", "-p", str(port), environ=environ_with({})) as program:
        program.wait_for_line(lambda line: "Running on" in line)
        made = Amazon(program, port)
        made.put("", None)
        yield made


@contextlib.contextmanager
def azure() -> Iterator[dict[str, str]]:
    """Start Azurite, and give the environment that leads there."""
    if not AZURITE.exists():
        assert os.environ.get("CI") != "true", "Azurite is missing"
        pytest.skip("Azurite is not installed; tests/tools.sh installs it")
    port = free_port()
    with Program(
        AZURITE,
        *("--skipApiVersionCheck", "--disableTelemetry", "--silent", "--inMemoryPersistence"),
        *("--blobHost", "127.0.0.1", "--blobPort", str(port)),
        environ=environ_with({}),
        cwd=Path("/"),
    ) as program:
        program.wait_for_line(lambda line: "successfully listens" in line)
        account = f"AccountName=devstoreaccount1;AccountKey={AZURITE_KEY}"
        yield {
            "AZURE_STORAGE_CONNECTION_STRING": f"DefaultEndpointsProtocol=http;{account};"
            f"BlobEndpoint=http://127.0.0.1:{port}/devstoreaccount1;"
        }
