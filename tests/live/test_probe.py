"""`brinery probe` asks real servers, and others."""

import hashlib
import http.server
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.certificates import Authority
from tests.live.running import BIN, Server, environ_with, free_port
from tests.live.secure import SecureServer

pytestmark = pytest.mark.live

KEY = "brn_a-key-and-much-more-that-nobody-guesses"


def probe(*arguments: str | Path, **settings: object) -> tuple[int, str]:
    """Run the verb; give its exit status and its one line."""
    command = [BIN / "brinery", "probe", *arguments]
    done = subprocess.run(command, env=environ_with(settings), capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).splitlines()
    assert len(lines) == 1, lines
    return done.returncode, lines[0].removeprefix("brinery: ")


def test_a_server(front: str) -> None:
    """The settings of the server are enough to find it, under a path too; with an address no setting is needed."""
    with Server(front=front, root_path="/crime-65") as server:
        assert probe(port=server.port, root_path="/crime-65") == (0, f"{server.url}/crime-65 is ready.")
        for url in (server.url, f"{server.url}/crime-65/"):
            expected = f"{url.rstrip('/')} predicts as its document says."
            assert probe(url, "--predict") == (0, expected)


def test_one_row_at_a_time() -> None:
    """A server that takes batches of one row predicts, too."""
    with Server(max_rows=1) as server:
        assert probe(server.url, "--predict") == (0, f"{server.url} predicts as its document says.")


def test_tls(tmp_path: Path) -> None:
    """A server of one's own may have a certificate for another name; one at an address may not."""
    authority = Authority(tmp_path)
    certificate, key = authority.sign("client")
    with SecureServer(authority, (certificate, key), tls_client_ca=authority.ca) as server:
        files = dict(zip(("tls_certificate", "tls_key"), authority.sign("server"), strict=True))
        url = f"https://127.0.0.1:{server.port}"
        assert probe(port=server.port, tls_client_ca=authority.ca, **files) == (0, f"{url} is ready.")
        status, said = probe(url)
        assert status == 1
        assert "CERTIFICATE_VERIFY_FAILED" in said


def test_a_key(tmp_path: Path) -> None:
    """What is protected is asked with the key of a file; readiness needs none."""
    file = tmp_path / "key"
    file.write_text(KEY + "\n")
    line = f"probe sha256:{hashlib.sha256(KEY.encode()).hexdigest()}"
    with Server(auth="predict,info", api_keys=line) as server:
        assert probe(server.url)[0] == 0
        assert probe(server.url, "--predict", "--key-file", file)[0] == 0
        assert probe(server.url, "--predict") == (
            1,
            f"{server.url}/openapi.json answers with status 401; expected 200.",
        )


class Other(http.server.BaseHTTPRequestHandler):
    """No Brinery, or one whose answers are not those of its document."""

    answers: dict[str, object] = {}  # noqa: RUF012  # set by each test
    asked: list[str] = []  # noqa: RUF012

    def do_GET(self) -> None:
        """Answer what the test says, or lead elsewhere."""
        self.asked.append(self.path)
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = self.answers.get(self.path)
        self.send_response(200 if answer is not None else 302)
        self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(answer if isinstance(answer, bytes) else json.dumps(answer).encode())

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(name="other")
def _other() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        Other.answers, Other.asked = {}, []
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def document(schema: object) -> object:
    """Give as much of a document as a probe reads."""
    rows = {"anyOf": [{"type": "object"}, {"type": "array", "maxItems": 100}]}
    body = {"content": {"application/json": {"schema": rows, "examples": {"one row": {"value": {"x": 1}}}}}}
    return {
        "paths": {"/api/predict": {"post": {"requestBody": body}}},
        "components": {"schemas": {"Answer": schema}},
    }


ANSWER = {"type": "object", "properties": {"no": {"type": "number", "minimum": 0, "maximum": 1}}, "required": ["no"]}


@pytest.mark.parametrize(
    "answer",
    [[], {"no": 1.5}, {"no": "0.5"}, {}, {"no": 0.5}, b"<html>", b"[" * 100_000],
    ids=["an array", "no probability", "a text", "nothing", "no batch", "no JSON", "no end"],
)
def test_wrong_answers(other: str, answer: object) -> None:
    """An answer that the document does not describe is told."""
    Other.answers = {"/openapi.json": document(ANSWER), "/api/predict": answer}
    status, said = probe(other, "--predict")
    assert status == 1
    assert "otherwise than its document says" in said or "not answer in JSON" in said


def test_who_is_no_brinery(other: str) -> None:
    """A document without an example, a redirect and a port without a server each get a sentence."""
    Other.answers = {"/openapi.json": {"paths": []}}
    assert probe(other, "--predict")[1].endswith("has no example of a prediction; expected the document of a Brinery.")
    assert probe(other) == (1, f"{other}/api/health/ready answers with status 302; expected 200.")
    assert "/elsewhere" not in Other.asked
    assert "(Connection refused)" in probe(port=free_port())[1]


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "http://[", "http://user:geheim@x", "http://x?key=geheim", "http://x:y", "http:geheim@x"],
)
def test_no_address(url: str) -> None:
    """What is no address of a server is refused, and what may be a password in it is not shown."""
    status, said = probe(url)
    assert status == 1
    assert said.endswith("expected one such as http://127.0.0.1:8000.")
    assert "geheim" not in said


def test_who_speaks_no_http() -> None:
    """Of what another server says nothing is repeated."""
    with socket.create_server(("127.0.0.1", 0)) as other:

        def answer() -> None:
            connection, _ = other.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(b"220 geheim\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        url = f"http://127.0.0.1:{other.getsockname()[1]}"
        assert probe(url) == (1, f"{url}/api/health/ready does not answer (BadStatusLine); expected 200.")


@pytest.mark.parametrize("content", ["", "two\nlines", "clé"], ids=["empty", "two lines", "no ASCII"])
def test_no_key(tmp_path: Path, content: str) -> None:
    """A file that holds no key is refused, and its content is not shown."""
    file = tmp_path / "key"
    file.write_text(content)
    assert probe("http://x", "--key-file", file) == (
        1,
        f"{file} holds no API key; expected one line, as `brinery key` prints it.",
    )
    assert "cannot be read" in probe("http://x", "--key-file", tmp_path / "none")[1]


def test_light() -> None:
    """Neither numpy nor scikit-learn nor Flask is imported: it runs every few seconds beside the server."""
    code = "import sys, server.__main__, server.console.probe; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "sklearn", "pandas", "flask", "gunicorn", "orjson"} & set(done.stdout.split())
