"""The documentation's page in a real browser, directly and behind a proxy that publishes us under a path."""

import hashlib
import http.server
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.browser import CHROMIUM, FLAGS, Page
from tests.live.running import PATIENCE, Server

pytestmark = pytest.mark.live

ROOT_PATH = "/crime-65"
LOOK = ("--enable-logging=stderr", "--virtual-time-budget=20000", "--dump-dom")
KEY = "brn_for-the-page-alone-and-for-this-test-only"
ENTRY = f"page sha256:{hashlib.sha256(KEY.encode()).hexdigest()} predict,info"


def page(address: str, profile: Path) -> str:
    """Load an address in the browser and give what it shows, as HTML; fail if its console has anything to say."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    done = subprocess.run(
        [CHROMIUM, *FLAGS, *LOOK, f"--user-data-dir={profile}", address],
        capture_output=True,
        text=True,
        timeout=4 * PATIENCE,
        check=False,
    )
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []
    return done.stdout


class Proxy(http.server.BaseHTTPRequestHandler):
    """Publishes a server under a path: takes the path away, as an ingress that rewrites does."""

    server: "ProxyServer"

    def do_GET(self) -> None:
        """Pass a request on without the path, and nothing that lies outside it."""
        inside = self.path == ROOT_PATH or self.path.startswith(f"{ROOT_PATH}/")
        self.server.seen.append(self.path)
        if not inside:
            self.send_error(502)
            return
        accept = {"Accept": self.headers.get("Accept", "*/*")}
        answer = self.server.behind.request("GET", self.path.removeprefix(ROOT_PATH) or "/", headers=accept)
        self.send_response(answer.status)
        for name in ("Content-Type", "Content-Security-Policy", "Location"):
            if name in answer.headers:
                self.send_header(name, answer.headers[name])
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the library's name
        """Say nothing."""


class ProxyServer(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """A proxy before a server; `seen` are the paths that were asked for."""

    daemon_threads = True

    def __init__(self, behind: Server) -> None:
        self.behind = behind
        self.seen: list[str] = []
        super().__init__(("127.0.0.1", 0), Proxy)

    @property
    def url(self) -> str:
        """The address under which it publishes the server."""
        return f"http://127.0.0.1:{self.server_address[1]}{ROOT_PATH}"


@pytest.fixture(scope="module")
def proxy(front: str) -> Iterator[ProxyServer]:
    """Serve crime behind a proxy that strips the root path."""
    with Server(root_path=ROOT_PATH, front=front) as behind, ProxyServer(behind) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield proxy
        proxy.shutdown()
        thread.join()


def test_page(crime: Server, tmp_path: Path) -> None:
    """The page shows the operation, from the server's own files alone and within its own security policy."""
    shown = page(f"{crime.url}/api/docs", tmp_path)
    assert 'id="operations-prediction-predict"' in shown
    assert "/api/predict" in shown
    assert "crime" in shown


def use(page: Page) -> None:
    """Send the example by the page, and wait for its answer."""
    page.click("#operations-prediction-predict .opblock-summary-control")
    page.click("#operations-prediction-predict .try-out__btn")
    page.click("#operations-prediction-predict .execute")
    status = "document.querySelector('.live-responses-table tbody td.response-col_status')"
    page.wait_for(status)
    assert page.run(f"{status}.innerText").strip().startswith("200")
    assert page.complaints == []


def test_page_can_be_used(crime: Server, tmp_path: Path) -> None:
    """The page sends a request and shows the answer, and its security policy forbids nothing of it."""
    with Page(tmp_path) as page:
        page.open(f"{crime.url}/api/docs")
        use(page)


def test_page_asks_for_a_key(front: str, tmp_path: Path) -> None:
    """Where the document needs a credential the page asks for one, also twice, and then works."""
    with Server(auth="predict,info", api_keys=ENTRY, front=front) as server, Page(tmp_path) as page:
        page.open(f"{server.url}/api/docs")
        for given in ("wrong" * 8, KEY):
            page.wait_for("document.querySelector('form input') && !document.querySelector('form input').value")
            page.run(f"document.querySelector('form input').value = {given!r}")
            page.run("document.querySelector('form button').click()")
        page.wait_for("document.querySelector('#operations-prediction-predict')")
        use(page)


@pytest.mark.slow
def test_root_leads_to_the_page(crime: Server, tmp_path: Path) -> None:
    """Who opens the bare address sees the page."""
    assert 'id="operations-prediction-predict"' in page(f"{crime.url}/", tmp_path)


def test_page_behind_a_path(proxy: ProxyServer, tmp_path: Path) -> None:
    """Behind a proxy the page and all it loads stay under the path, and calls go there."""
    proxy.seen.clear()
    shown = page(f"{proxy.url}/", tmp_path)
    assert 'id="operations-prediction-predict"' in shown
    assert f'<option value="{ROOT_PATH}">' in shown
    assert proxy.seen[0] == f"{ROOT_PATH}/"
    assert f"{ROOT_PATH}/openapi.json" in proxy.seen
    assert [path for path in proxy.seen if not path.startswith(ROOT_PATH)] == []


def test_links_behind_a_path(proxy: ProxyServer) -> None:
    """The document and the way to the page name the path; the path may also come through to us."""
    behind = proxy.behind
    assert behind.request("GET", "/openapi.json").json["servers"] == [{"url": ROOT_PATH}]
    assert behind.request("GET", "/swagger.json").json["basePath"] == ROOT_PATH
    assert behind.request("GET", "/", headers={"Accept": "text/html"}).headers["Location"] == f"{ROOT_PATH}/api/docs"
    assert behind.request("GET", f"{ROOT_PATH}/api/health/ready").status == 200
    assert behind.request("GET", f"{ROOT_PATH}-other/api/health/ready").status == 404
