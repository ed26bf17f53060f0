"""Who may call the real server: keys and rates across workers, and tokens whose keys come from an address."""

import hashlib
import http.server
import os
import signal
import ssl
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.live.certificates import Authority
from tests.live.metrics import scrape
from tests.live.running import BIN, Program, Server, environ_with, eventually, free_port
from tests.signing import AUDIENCE, ISSUER, jwk, jwks, private_key, token

pytestmark = pytest.mark.live

THEFT = {"force": "Thames Valley Police", "crime": "Bicycle theft", "month": 10}
KEYS = {name: f"brn_{name}-and-much-more-that-nobody-guesses" for name in ("app", "spare")}
ENTRIES = [f"{name} sha256:{hashlib.sha256(key.encode()).hexdigest()} predict" for name, key in KEYS.items()]


def statuses(server: Server, key: str, count: int) -> list[int]:
    """Ask by this key so often, from several connections at once."""
    headers = {"X-API-Key": key}
    with ThreadPoolExecutor(8) as callers:
        answers = callers.map(lambda _: server.request("POST", "/api/predict", THEFT, headers), range(count))
        return [answer.status for answer in answers]


def test_a_rate_across_workers(front: str, tmp_path: Path) -> None:
    """Workers together let through exactly what a key may send, also those that took the place of a dead one."""
    file = tmp_path / "keys"
    file.write_text("\n".join(ENTRIES))
    with Server(front=front, workers=3, auth="predict", api_keys_file=file, rate_limit="30/d") as server:
        eventually(lambda: len(server.workers()) == 3, "three workers")
        first = statuses(server, KEYS["app"], 24)
        assert first == [200] * 24
        for worker in server.workers():
            os.kill(worker, signal.SIGKILL)
        eventually(server.is_ready, "new workers")
        rest = statuses(server, KEYS["app"], 24)
        assert sorted(rest) == [200] * 6 + [429] * 18
        assert statuses(server, KEYS["spare"], 3) == [200] * 3
        assert statuses(server, "wrong" * 8, 1) == [401]
        assert server.request("GET", "/api/health/ready").status == 200


class Provider(http.server.ThreadingHTTPServer):
    """An identity provider that gives its keys over TLS, or fails."""

    daemon_threads = True

    def __init__(self, authority: Authority) -> None:
        super().__init__(("127.0.0.1", 0), _Give)
        self.keys, self.status = jwks(jwk("ES256", "old")), 200
        self.fetched = 0
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.sign("provider"))
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.url = f"https://localhost:{self.server_port}/keys"


class _Give(http.server.BaseHTTPRequestHandler):
    server: Provider

    def do_GET(self) -> None:
        """Give the keys."""
        self.server.fetched += 1
        self.send_response(self.server.status)
        self.send_header("Location", "/keys")
        self.send_header("Content-Length", str(len(self.server.keys)))
        self.end_headers()
        self.wfile.write(self.server.keys)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the library's name
        """Say nothing."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Make an authority that the server trusts."""
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def provider(authority: Authority) -> Iterator[Provider]:
    """Run a provider."""
    with Provider(authority) as provider:
        thread = threading.Thread(target=provider.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield provider
        provider.shutdown()
        thread.join()


def by_tokens(provider: Provider, authority: Authority, **given: Any) -> dict[str, Any]:
    """Give the settings of a server that asks this provider."""
    environ = {"SSL_CERT_FILE": str(authority.ca)}
    tokens = {"jwt_jwks": provider.url, "jwt_issuer": ISSUER, "jwt_audience": AUDIENCE}
    return {"auth": "predict", **tokens, "environ": environ, **given}


@pytest.mark.slow  # for as long as two fetches are apart
def test_keys_at_an_address(front: str, authority: Authority, provider: Provider) -> None:
    """A new key of the provider's is taken over while the server runs; where the provider fails, the known serve on."""
    with Server(front=front, **by_tokens(provider, authority)) as server:

        def ask(presented: str) -> int:
            return server.request("POST", "/api/predict", THEFT, {"Authorization": f"Bearer {presented}"}).status

        old, new = token(kid="old"), token(kid="new", key=private_key("ES256", 1))
        assert [ask(old), ask(new), ask(old)] == [200, 401, 200]
        provider.keys = jwks(jwk("ES256", "old"), jwk("ES256", "new", private_key("ES256", 1)))
        eventually(lambda: ask(new) == 200, "the new key")
        provider.status = 500
        fetched = provider.fetched
        assert ask(token(kid="newest")) == 401
        server.wait_for_event("token_keys_not_fetched", error_type="HTTPError")
        assert provider.fetched == fetched + 1
        assert [ask(old), ask(new)] == [200, 200]
        metrics = scrape(server)
        assert metrics["brinery_token_key_fetches_total", "outcome=failed"] == 1
        assert metrics["brinery_token_key_fetches_total", "outcome=ok"] >= 1


def refused(environ: Mapping[str, str] | None = None, **settings: Any) -> str:
    """Start a server that must not start; give its one line."""
    given = environ_with({"port": free_port(), "host": "127.0.0.1", **settings})
    with Program(BIN / "brinery", "serve", environ={**given, **(environ or {})}) as program:
        assert program.wait() in (1, 3), program.said
        assert "Traceback" not in program.said
        (line,) = [line for line in program.err if line.startswith("brinery: ")]
        return line


@pytest.mark.slow
def test_what_stops_the_start(authority: Authority, provider: Provider, tmp_path: Path) -> None:
    """Credentials that cannot be read stop the start with a sentence, which holds none of them."""
    assert "BRINERY_AUTH" in refused(api_keys=ENTRIES[0])
    assert "BRINERY_API_KEYS" in refused(auth="predict")
    assert "cannot be read" in refused(auth="predict", api_keys_file=tmp_path / "none")
    said = refused(auth="predict", api_keys=f"app {KEYS['app']}")
    assert "line 1" in said
    assert KEYS["app"] not in said
    for provider.status in (500, 302):
        assert "BRINERY_JWT_JWKS" in refused(**by_tokens(provider, authority))


def test_settings_show_no_keys() -> None:
    """`brinery settings` says that there are keys, and not which."""
    environ = environ_with({"auth": "predict", "api_keys": ENTRIES[0]})
    with Program(BIN / "brinery", "settings", environ=environ) as program:
        assert program.wait() == 0
        assert "BRINERY_API_KEYS=(set, and not shown)" in program.out
        assert ENTRIES[0].split()[1] not in program.said


def test_keys_are_read_again_by_a_reload(front: str, tmp_path: Path) -> None:
    """A key is replaced without a restart; rates go on, and a file that cannot be read leaves the keys before it."""
    file = tmp_path / "keys"
    file.write_text(ENTRIES[0])
    settings: dict[str, Any] = {"auth": "predict", "api_keys_file": file, "rate_limit": "5/d"}
    with Server(front=front, **settings) as server:

        def reload(event: str, result: str) -> None:
            server.process.send_signal(signal.SIGHUP)
            server.wait_for_event(event)
            series = ("brinery_reloads_total", f"result={result}")
            eventually(lambda: scrape(server).get(series) == 1, f"a reload that has {result}")

        assert statuses(server, KEYS["app"], 3) == [200] * 3
        assert statuses(server, KEYS["spare"], 1) == [401]
        file.write_text("\n".join(ENTRIES))
        reload("reload_started", "succeeded")
        eventually(lambda: statuses(server, KEYS["spare"], 1) != [401], "the new key")
        assert sorted(statuses(server, KEYS["app"], 4)) == [200, 200, 429, 429]
        file.write_text(f"app {KEYS['app']}")
        reload("reload_failed", "failed")
        said = server.wait_for_event("reload_failed")["reason"]
        assert "BRINERY_API_KEYS_FILE, line 1" in said
        assert str(tmp_path) not in said
        assert KEYS["app"] not in said
        assert statuses(server, KEYS["spare"], 1) == [200]
