"""Both fronts behind one test client: Flask's application as it is, the one on an event loop by an adapter."""

import asyncio
import contextlib
import http
import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

import pytest
from werkzeug.test import Client

from server.app import create_app
from server.application import Application, assemble, prepare
from server.bundle import Bundle
from server.front import Front
from server.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

# As for servers: the front that is not the default has its turn in `make test-all`.
NAMES: Final = ("asgi", pytest.param("wsgi", marks=pytest.mark.slow))
PIECE: Final = 16_384  # bytes of a body that come at a time
PATIENCE: Final = 60  # seconds for an answer

# Marks of tests that are not of both fronts: those of Flask's alone, and those of what ends before there is a front.
BY_FLASK: Final = pytest.mark.parametrize("front", ["wsgi"], indirect=True)
BEFORE_ANY: Final = BY_FLASK


class Loop:
    """An event loop on a thread of its own, so that the threads of a test can be callers at the same time."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="loop", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the loop, and the threads that it started."""
        asyncio.run_coroutine_threadsafe(self.loop.shutdown_default_executor(), self.loop).result(PATIENCE)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(PATIENCE)
        self.loop.close()


class OnLoop:
    """A WSGI application that hands each request to a front on an event loop, as a server does."""

    def __init__(self, front: Front, loop: Loop) -> None:
        self.front, self._loop = front, loop.loop

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer a request; raises what the front raises, which never should."""
        sent: list[dict[str, Any]] = []
        body = received(environ)

        async def receive() -> dict[str, Any]:
            return next(body, {"type": "http.disconnect"})

        async def send(message: Any) -> None:
            sent.append(message)

        answered = asyncio.run_coroutine_threadsafe(self.front(scope_of(environ), receive, send), self._loop)
        answered.result(PATIENCE)
        start, *bodies = sent
        assert start["type"] == "http.response.start"
        assert [(each["type"], each.get("more_body", False)) for each in bodies] == [("http.response.body", False)]
        assert all(name == name.lower() for name, _ in start["headers"])
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in start["headers"]]
        start_response(f"{start['status']} {http.HTTPStatus(start['status']).phrase}", headers)
        return [bodies[0]["body"]]


def scope_of(environ: "WSGIEnvironment") -> dict[str, Any]:
    """Write a request of WSGI as ASGI has it."""
    named = {name.removeprefix("HTTP_"): value for name, value in environ.items() if name.startswith("HTTP_")}
    named |= {name: environ[name] for name in ("CONTENT_TYPE", "CONTENT_LENGTH") if environ.get(name)}
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": environ["REQUEST_METHOD"],
        "path": environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace"),
        "query_string": environ["QUERY_STRING"].encode("latin-1"),
        "headers": [
            (name.lower().replace("_", "-").encode("latin-1"), value.encode("latin-1")) for name, value in named.items()
        ],
    }


def received(environ: "WSGIEnvironment") -> Iterator[dict[str, Any]]:
    """Give the body in pieces, up to its announced length or its end; who breaks off says nothing of an end."""
    stream, announced = environ["wsgi.input"], environ.get("CONTENT_LENGTH")
    left = int(announced) if announced else None
    if left is None and not environ.get("wsgi.input_terminated"):
        left = 0
    with contextlib.suppress(OSError):
        while left is None or left > 0:
            piece = stream.read(PIECE if left is None else min(PIECE, left))
            if not piece:
                break
            left = None if left is None else left - len(piece)
            yield {"type": "http.request", "body": piece, "more_body": True}
        if not left:
            yield {"type": "http.request", "body": b"", "more_body": False}


class Fronts:
    """Makes clients of one front at a time."""

    def __init__(self) -> None:
        self._loop: Loop | None = None

    @contextlib.contextmanager
    def through(self, name: str) -> Iterator[None]:
        """Make clients of this front from now on."""
        with contextlib.ExitStack() as stack:
            self._loop = Loop() if name == "asgi" else None
            if self._loop is not None:
                stack.callback(self._loop.close)
            yield
        self._loop = None

    def client(self, settings: Settings, bundle: Bundle | None = None) -> Client:
        """Start an application, and give a client of it."""
        if self._loop is None:
            return Client(create_app(settings, bundle=bundle))
        return Client(OnLoop(Front(assemble(settings, prepare(settings, bundle))), self._loop))


def application_of(client: Client) -> Application:
    """Give the application behind a client, whichever front it has."""
    if isinstance(client.application, OnLoop):
        return client.application.front.application
    application: Application = client.application.extensions["brinery"]  # type: ignore[attr-defined]  # it is Flask's
    return application
