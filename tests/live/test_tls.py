"""TLS: who is served, and what comes of those who speak none."""

import contextlib
import json
import signal
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.live.certificates import Authority
from tests.live.running import BIN, PATIENCE, Program, environ_with, eventually, free_port
from tests.live.secure import SecureServer

pytestmark = pytest.mark.live

THEFT = {"force": "Thames Valley Police", "crime": "Bicycle theft", "month": 10}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Make an authority that our clients trust."""
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def secure(authority: Authority, front: str) -> Iterator[SecureServer]:
    """Serve crime by TLS."""
    with SecureServer(authority, front=front) as server:
        yield server


def test_answers(secure: SecureServer) -> None:
    """A client who looks at the certificate is served, large bodies too, and told to come by TLS only."""
    answer = secure.request("POST", "/api/predict", THEFT)
    assert answer.status == 200
    assert answer.headers["Strict-Transport-Security"] == "max-age=86400"
    assert len(secure.request("POST", "/api/predict", [THEFT] * 5_000).json) == 5_000
    assert secure.request("GET", "/metrics").status == 200


def test_versions(secure: SecureServer) -> None:
    """TLS 1.3 and 1.2 are spoken, HTTP/1.1 is agreed on, and nothing older is."""
    for version in (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2):
        context = ssl.create_default_context(cafile=secure.authority.ca)
        context.minimum_version = context.maximum_version = version
        context.set_alpn_protocols(["h2", "http/1.1"])
        with secure.shake_hands(context) as connection:
            assert connection.version() == version.name.replace("_", ".")
            assert connection.selected_alpn_protocol() == "http/1.1"
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(OSError, match=r"(?i)alert|version|protocol|eof"):
        secure.shake_hands(old)


def test_kept_connection(secure: SecureServer) -> None:
    """A connection is kept, also when requests come at once, and ended politely."""
    one = b"GET /api/health/live HTTP/1.1\r\nHost: x\r\n\r\n"
    with secure.shake_hands(secure.context) as connection, connection.makefile("rb") as reader:
        connection.sendall(one + one + one.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert reader.read().count(b"HTTP/1.1 200") == 3


@pytest.mark.parametrize(
    "sent",
    [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x00\x05hello", b"\x00" * 64, b"x"],
    ids=["HTTP", "half a handshake", "zeros", "a letter"],
)
def test_who_speaks_no_tls(secure: SecureServer, sent: bytes) -> None:
    """He is let go without a word of ours, and nothing is written of him."""
    before = len(secure.out)
    with socket.create_connection((secure.host, secure.port), timeout=PATIENCE) as connection:
        received = b""
        with contextlib.suppress(OSError):  # it is reset, sooner or later
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(4096):
                received += part
    assert b"HTTP/" not in received
    assert secure.request("GET", "/api/health/live").status == 200
    told = [json.loads(line) for line in secure.out[before:]]
    assert [line for line in told if line["level"] != "info"] == []
    assert secure.err == []


@pytest.mark.slow  # for as long as a handshake may take
def test_who_never_shakes_hands(secure: SecureServer) -> None:
    """Half a handshake is ended after a time; others are served meanwhile, however many of these there are."""
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
    slow = [socket.create_connection((secure.host, secure.port), timeout=PATIENCE) for _ in range(3)]
    try:
        for each in slow:
            each.sendall(hello)
        assert secure.request("GET", "/api/health/live").status == 200
        for each in slow:
            with contextlib.suppress(ConnectionResetError):
                while each.recv(4096):
                    pass
    finally:
        for each in slow:
            each.close()


def test_clients_with_certificates(authority: Authority, front: str) -> None:
    """With an authority for clients, only those whom it signed are served."""
    client = authority.sign("client")
    with SecureServer(authority, client, tls_client_ca=authority.ca, front=front) as server:
        assert server.request("POST", "/api/predict", THEFT).status == 200
        server.context = ssl.create_default_context(cafile=authority.ca)
        with pytest.raises(OSError, match=r"(?i)certificate|alert|closed|reset|eof|without response"):
            server.request("GET", "/api/health/live")


def test_requests_in_flight_at_a_stop(authority: Authority, front: str) -> None:
    """A server with open connections stops in time, and well."""
    with (
        SecureServer(authority, front=front, graceful_timeout=2) as server,
        server.shake_hands(server.context) as connection,
    ):
        connection.sendall(b"GET /api/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        server.stop()


@pytest.mark.slow
def test_another_certificate(authority: Authority, front: str) -> None:
    """A reload reads the certificate again; one that cannot be used leaves the one before it."""
    with SecureServer(authority, front=front) as server:

        def shown() -> bytes | None:
            with server.shake_hands(server.context) as connection:
                return connection.getpeercert(binary_form=True)

        before, old = shown(), set(server.workers())
        authority.sign("server")  # into the same files
        server.process.send_signal(signal.SIGHUP)
        eventually(lambda: bool(server.workers()) and not old & set(server.workers()), "new workers alone")
        after = shown()
        assert after != before
        (authority.folder / "server.key").write_text("no key")
        server.process.send_signal(signal.SIGHUP)
        assert "BRINERY_TLS_KEY" in server.wait_for_event("reload_failed")["reason"]
        assert shown() == after


def refused(front: str, **settings: Any) -> str:
    """Start a server that must not start; give its one line."""
    environ = environ_with({"port": free_port(), "host": "127.0.0.1", "workers": 1, "front": front, **settings})
    with Program(BIN / "brinery", "serve", environ=environ) as program:
        assert program.wait() == 3, program.said
        lines = [line for line in program.err if line.startswith("brinery: ")]
        assert len(lines) == 1, program.said
        assert "Traceback" not in program.said
        return lines[0]


@pytest.mark.slow
def test_bad_certificates(authority: Authority, front: str, tmp_path: Path) -> None:
    """What cannot be used stops the start with a sentence."""
    certificate, key = authority.sign("one")
    other = authority.sign("other")[1]
    assert "TLS_KEY" in refused(front, tls_certificate=certificate, tls_key=other)
    assert "cannot be read" in refused(front, tls_certificate=tmp_path / "none", tls_key=key)
    assert "TLS_CLIENT_CA" in refused(front, tls_certificate=certificate, tls_key=key, tls_client_ca=key)
