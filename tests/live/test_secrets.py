"""What callers send stays theirs: secrets that are planted wherever a caller can put one show up nowhere.

Each place has a secret of its own, so that a failure names it. Searched are all answers, both outputs and the metrics;
so is what is nobody's business: paths of the machine, and tracebacks.
"""

import contextlib
import hashlib
import json
import pickle
import secrets
import socket
import sys
from collections.abc import Iterator
from textwrap import dedent
from typing import Any

import pytest

from tests.live.running import PATIENCE, REPOSITORY, Server
from tests.signing import AUDIENCE, ISSUER, forged, jwk, jwks, private_key, token

pytestmark = pytest.mark.live

MODEL = '''
"""A model that tells whatever it is given, when it is asked to."""

import os
import signal
import warnings

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin


class Talkative(RegressorMixin, BaseEstimator):
    n_features_in_ = 2

    def __sklearn_is_fitted__(self):
        return True

    def predict(self, X):
        for mood, note in np.asarray(X, dtype=object).tolist():
            if mood == 1:
                raise ValueError(f"I do not like {note}")
            if mood == 2:
                warnings.warn(f"I have seen {note}", stacklevel=1)
            if mood == 3:
                return np.full(len(X), np.nan)
            if mood == 4:
                raise KeyError(note) from ValueError(note)
            if mood == 5:
                os.kill(os.getpid(), signal.SIGKILL)
        return np.zeros(len(X))
'''

KEY = f"brn_{secrets.token_urlsafe(32)}"
ENTRY = f"tests sha256:{hashlib.sha256(KEY.encode()).hexdigest()}"
WITH_KEY = (f"X-API-Key: {KEY}",)
JSON = "Content-Type: application/json"


class Planter:
    """Makes secrets, and remembers where each was put."""

    def __init__(self) -> None:
        self.places: dict[str, str] = {KEY.lower(): "the key"}

    def __call__(self, place: str, length: int = 0) -> str:
        """Give a secret for a place: letters and digits, so that it looks the same however it is written."""
        secret = f"planted{secrets.token_hex(8)}".ljust(length, "x")
        self.places[secret.lower()[:23]] = place
        return secret

    def keep(self, place: str, secret: str) -> str:
        """Remember a text that has secrets in it, such as a token, and give it."""
        self.places |= {part.lower(): place for part in secret.split(".") if len(part) > 16}
        return secret

    def found_in(self, text: str) -> list[str]:
        """Give the places whose secrets stand in a text."""
        text = text.lower()
        return sorted({place for secret, place in self.places.items() if secret in text})


@pytest.fixture(scope="module")
def planter() -> Planter:
    """Make the planter that all tests here share: what one plants must not show in what another sees."""
    return Planter()


@pytest.fixture(scope="module")
def server(front: str, planter: Planter, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve the talkative model, from a folder that is a secret too, to those who have a key or a token."""
    folder = tmp_path_factory.mktemp(planter("the folder"))
    modules = folder / "modules"
    modules.mkdir()
    (modules / "talkative.py").write_text(dedent(MODEL))
    (folder / "jwks.json").write_bytes(jwks(jwk("ES256", "known")))
    bundle = folder / "bundle"
    bundle.mkdir()
    sys.path.insert(0, str(modules))
    try:
        from talkative import Talkative  # type: ignore[import-not-found]

        (bundle / "model.pkl").write_bytes(pickle.dumps(Talkative()))
    finally:
        sys.path.remove(str(modules))
        sys.modules.pop("talkative", None)
    (bundle / "lookup.pkl").write_bytes(pickle.dumps({"mood": 0, "note": ""}))
    (bundle / "metadata.json").write_text('{"name": "talkative"}')
    with Server(
        front=front,
        bundle=bundle,
        allowed_globals="talkative.Talkative",
        auth="predict,info,metrics",
        api_keys=ENTRY,
        jwt_jwks=folder / "jwks.json",
        jwt_issuer=ISSUER,
        jwt_audience=AUDIENCE,
        cors_origins="https://app.example",
        log_level="debug",
        max_body_bytes=10_000,
        environ={"PYTHONPATH": str(modules)},
    ) as server:
        yield server


def raw(target: str, *headers: str, method: str = "GET", body: str | bytes | None = None) -> bytes:
    """Write a request, well-formed as far as its parts are."""
    written = body.encode() if isinstance(body, str) else body
    length = () if written is None else (f"Content-Length: {len(written)}",)
    lines = (f"{method} {target} HTTP/1.1", "Host: x", "Connection: close", *headers, *length, "", "")
    return "\r\n".join(lines).encode("latin-1") + (written or b"")


def posted(body: object, *headers: str, target: str = "/api/predict") -> bytes:
    """Write a prediction; a body that is no text is written as JSON."""
    return raw(target, JSON, *headers, method="POST", body=body if isinstance(body, str | bytes) else json.dumps(body))


def exchange(server: Server, sent: bytes) -> str:
    """Send bytes on a connection of their own, and give all that comes back."""
    received = b""
    address = (server.host, server.port)
    with (
        socket.create_connection(address, timeout=PATIENCE) as connection,
        contextlib.suppress(ConnectionResetError, BrokenPipeError),
    ):
        connection.sendall(sent)
        with contextlib.suppress(OSError):  # the answer may be there, and the connection closed, before that
            connection.shutdown(socket.SHUT_WR)
        while part := connection.recv(65_536):
            received += part
    return received.decode("latin-1")


def in_targets(plant: Planter) -> Iterator[bytes]:
    """Give requests with secrets in paths, queries and methods."""
    for headers in ((), WITH_KEY):
        for before in (
            "/",
            "//",
            "/api/predict/",
            "/api/docs/assets/",
            "/api/docs/assets/../",
            "/metrics/",
            "http://x/",
        ):
            yield raw(f"{before}{plant(f'the path behind {before}')}", *headers)
        yield raw(f"/%0a{plant('the path, encoded')}%00%ff", *headers)
        yield raw(f"/api/info?{plant('the name of a query')}={plant('the value of a query')}", *headers)
        yield posted({"mood": 0, "note": "x"}, *headers, target=f"/api/predict?detail={plant('the query detail')}")
        yield posted({"mood": 0, "note": "x"}, *headers, target=f"/api/predict?{plant('another query')}=full")
        yield raw("/api/predict", *headers, method=plant("the method").upper())
        yield raw(f"/{plant('a long path', 6_000)}", *headers)


def in_headers(plant: Planter) -> Iterator[bytes]:
    """Give requests with secrets in headers."""
    names = (
        "Accept", "Accept-Encoding", "Accept-Language", "Content-Encoding", "Content-Type", "Cookie", "Expect",
        "Forwarded", "If-None-Match", "Origin", "Prefer", "Referer", "TE", "Upgrade", "User-Agent", "Via",
        "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "traceparent", "tracestate",
    )  # fmt: skip
    good = '{"mood": 0, "note": "x"}'
    for headers in ((), WITH_KEY):
        for name in names:
            yield raw("/api/info", f"{name}: {plant(f'the header {name}')}", *headers)
            yield raw("/api/predict", f"{name}: {plant(f'the header {name}')}", *headers, method="POST", body=good)
        yield raw("/metrics", f"Accept: {plant('the header Accept')}/x; version={plant('a version')}", *headers)
        yield raw("/api/info", f"X-{plant('the name of a header')}: 1", *headers)
        yield posted(good, f"Prefer: handling={plant('the preference')}", *headers)
        yield posted(good, f"traceparent: 00-{plant('a trace')}-00f067aa0ba902b7-01", *headers)
        for at, given in enumerate((f"{plant('an id')} x", plant("a long id", 129), f"é{plant('an id of letters')}")):
            yield raw(f"/api/info?{at}", f"X-Request-ID: {given}", *headers)
        yield raw("/api/info", f"X-Long: {plant('a long header', 9_000)}", *headers)
        yield raw("/api/info", *(f"X-{each}: {plant('many headers')}" for each in range(120)), *headers)


def in_credentials(plant: Planter) -> Iterator[bytes]:
    """Give requests with secrets for credentials, good ones and others."""
    claims = {"iss": plant("an issuer"), "aud": plant("an audience"), "sub": plant("a subject"), "exp": 9e9}
    credentials = [
        plant("a wrong key", 43),
        plant("a short key"),
        f"{plant('two keys')}, Bearer {plant('two keys')}",
        plant.keep("a good token", token(kid="known", sub=plant("a good subject"), note=plant("a claim"))),
        plant.keep("a token of another scope", token(kid="known", scope=f"{plant('a scope')} brinery:metrics")),
        plant.keep("another audience", token(kid="known", aud=plant("another audience"))),
        plant.keep("another key", token(kid=plant("the id of a key"))),
        plant.keep("another signature", token(kid="known", key=private_key("ES256", 7), sub=plant("another subject"))),
        plant.keep("an old token", token(kid="known", exp=1, sub=plant("an old subject"))),
        plant.keep("a forged token", forged({"alg": plant("an algorithm"), "kid": "known"}, claims, b"x" * 32)),
        plant.keep("a token without signature", forged({"alg": "none", "jku": plant("an address")}, claims)),
        f"{plant('a first part')}.{plant('a second part')}.{plant('a third part')}",
        "é" + plant("a key of letters"),
    ]
    for credential in credentials:
        yield posted({"mood": 0, "note": "x"}, f"Authorization: Bearer {credential}")
        yield raw("/api/info", f"X-API-Key: {credential}")
    yield raw("/api/info", f"Authorization: Bearer {plant('one of two')}", f"X-API-Key: {plant('two of two')}")
    yield raw("/api/info", f"Authorization: Basic {plant('a password')}")
    yield raw("/api/info", f"Authorization: {plant('a scheme')} x")
    yield raw("/api/info", f"Authorization: {plant('a scheme alone')}")


def in_bodies(plant: Planter) -> Iterator[bytes]:
    """Give requests with secrets in bodies, accepted and refused ones, and ones on which the model fails."""
    for headers in ((), WITH_KEY, (*WITH_KEY, "Prefer: handling=lenient")):
        for mood in (0, 1, 2, 3, 4):
            yield posted({"mood": mood, "note": plant(f"a note of mood {mood}")}, *headers)
            yield posted([{"mood": mood, "note": plant(f"a note of a batch of mood {mood}")}] * 2, *headers)
        for wrong in (
            {"mood": plant("a wrong type"), "note": "x"},
            {"mood": 0, "note": [plant("a wrong value")]},
            {"mood": 0, "note": {plant("a key within"): plant("a value within")}},
            {"mood": 0, "note": "x", plant("an unknown field"): 1},
            {"mood": 0, "note": "x", plant("an unknown long field", 300): plant("its value")},
            [plant("a row that is none")],
            plant("a body that is a text"),
            {"mood": 0, "note": plant("a large body", 20_000)},
            {"mood": 0, "note": plant("a huge body", 100_000)},
        ):
            yield posted(json.dumps(wrong), *headers)
        yield posted(plant("a body that is no JSON"), *headers)
        yield posted(
            f'{{"{plant("a key that is there twice")}": 1, "x": 1, "x": "{plant("a value beside")}"}}', *headers
        )
        yield posted(f'{{"mood": 0, "note": "{plant("a text that does not end")}', *headers)
        yield posted(f'{{"mood": 0, "note": "{plant("a text with bytes")}'.encode() + b'\xff"}', *headers)
        yield raw("/api/info", *headers, body=plant("a body of GET"))


def in_framing(plant: Planter) -> Iterator[bytes]:
    """Give what is hardly HTTP, or none at all."""
    chunked = ("Transfer-Encoding: chunked", JSON)
    for headers in ((), WITH_KEY):
        head = raw("/api/predict", *chunked, *headers, method="POST")
        yield head + f"2;{plant('a chunk extension')}=1\r\n{{}}\r\n0\r\n{plant('a trailer')}: 1\r\n\r\n".encode()
        yield head + f"{plant('the size of a chunk')}\r\n{{}}\r\n0\r\n\r\n".encode()
        yield head + f"5\r\n{plant('a broken chunk')}".encode()
        yield raw("/api/predict", JSON, f"Transfer-Encoding: {plant('a transfer coding')}", *headers, method="POST")
        yield raw("/api/predict", JSON, f"Content-Length: {plant('a length')}", *headers, method="POST")
        yield raw("/api/predict", JSON, "Content-Length: 999", *headers, method="POST") + plant("half a body").encode()
        yield raw("/api/info", plant("a line without a colon"), *headers)
        yield raw("/api/info", f"{plant('a bad name')} x: 1", *headers)
        yield raw("/api/info", f" {plant('a folded line')}", *headers)
        yield raw("/api/info", f"X: \x01{plant('a control character')}", *headers)
    yield f"{plant('no HTTP')}\r\n\r\n".encode()
    yield f"GET /{plant('a bad version')} HTTP/{plant('a version')}\r\n\r\n".encode()
    yield f"GET  /{plant('two blanks')} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    yield f"GET /{plant('half a head')} HTTP/1.1\r\nX-{plant('half a header')}".encode()
    yield b"\x16\x03\x01" + plant("TLS").encode()
    yield f"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{plant('HTTP/2')}".encode()
    yield f"CONNECT {plant('a host')}:443 HTTP/1.1\r\nHost: {plant('a host')}\r\n\r\n".encode()


def without_pointers(answer: str) -> str:
    """Take out what a caller may be told of himself: the names of his unknown fields, in `pointer`."""
    _, _, body = answer.rpartition("\r\n\r\n")
    try:
        document = json.loads(body)
    except ValueError:
        return answer

    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: strip(member) for name, member in value.items() if name != "pointer"}
        return [strip(each) for each in value] if isinstance(value, list) else value

    return answer.removesuffix(body) + json.dumps(strip(document))


PRIVATE = (str(REPOSITORY), sys.prefix, "site-packages", "/tmp/", "/usr/lib", "/home/", "Traceback", 'File "')  # noqa: S108


@pytest.mark.parametrize(
    "planted", [in_targets, in_headers, in_credentials, in_bodies, in_framing], ids=lambda each: each.__name__
)
def test_answers(server: Server, planter: Planter, planted: Any) -> None:
    """No answer holds what its caller sent, what another one sent, or anything of the machine."""
    for sent in planted(planter):
        answer = exchange(server, sent)
        told = without_pointers(answer)
        assert planter.found_in(told) == [], f"{sent[:300]!r}\n{answer}"
        assert [each for each in PRIVATE if each in answer] == [], answer
    assert server.is_ready()


def test_a_worker_that_dies(server: Server, planter: Planter) -> None:
    """Nor does what is said of a worker that a request has killed."""
    exchange(server, posted({"mood": 5, "note": planter("a deadly note")}, *WITH_KEY))
    answer = exchange(server, posted({"mood": 0, "note": planter("the next note")}, *WITH_KEY))
    assert planter.found_in(answer) == []


def test_logs_and_metrics(server: Server, planter: Planter) -> None:
    """No line of the log, on either output, and no metric holds any of them, or anything of the machine.

    The last of these tests, since it looks at what the others have left.
    """
    exchange(server, posted({"mood": 1, "note": planter("the last note")}, *WITH_KEY))
    exchange(server, raw("/api/info", f"X-API-Key: {planter('the last key')}"))
    page = exchange(server, raw("/metrics", *WITH_KEY))
    assert "brinery_rejected_total" in page
    server.stop()
    assert any("request_failed" in line for line in server.out)
    assert any("caller_refused" in line for line in server.out)
    for line in (*server.out, *server.err, *page.splitlines()):
        assert planter.found_in(line) == [], line
        assert [each for each in PRIVATE if each in line] == [], line
