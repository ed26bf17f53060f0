"""The front for speed: the same routes and the same exchange as the Flask application's, on an event loop.

On the loop runs only what is known to be short; everything else goes to a bounded pool of threads. Format: the ASGI
HTTP specification, version 2.3.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qs

from server.application import Application
from server.errors import BrineryError
from server.exchange import (
    READ_ON_FACTOR,
    UNMATCHED,
    Endpoint,
    Request,
    Response,
    incomplete,
    refuse_method,
    refuse_route,
    too_large,
)

Scope: TypeAlias = Mapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Mapping[str, Any]]]
Send: TypeAlias = Callable[[Mapping[str, Any]], Awaitable[None]]

BODILESS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
SHORT: Final = 0.001  # seconds: what takes longer does not run on the loop
SECONDS_OF_A_BYTE: Final = 2e-8  # to read a body and to write its answer, on a slow machine


class Headers:
    """A request's headers as ASGI gives them: pairs of bytes, the names in lower case."""

    __slots__ = ("_values",)

    def __init__(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        values: dict[bytes, bytes] = {}
        for name, value in pairs:
            values[name] = value if name not in values else values[name] + b"," + value
        self._values = values

    def get(self, name: str, default: str, /) -> str:
        """Give a header's value, several of one name joined by commas, or the default."""
        value = self._values.get(name.lower().encode("latin-1"))
        return default if value is None else value.decode("latin-1")


class Front:
    """The ASGI application. Its threads are started when they are first needed: after the fork."""

    def __init__(self, application: Application) -> None:
        settings = application.settings
        self.application = application
        self._routes = {route.rule: route for routes in application.routes.values() for route in routes}
        self._exchange, self._cost = application.exchange, application.model.engine.cost
        self._serial = application.model.evaluator.serial
        self._root_path, self._limit, self._threads = settings.root_path, settings.max_body_bytes, settings.threads
        self._pool: ThreadPoolExecutor | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        method = scope["method"]
        rule, endpoint, blocking = self._match(scope["path"], method)
        body, read = (b"", _nothing) if method in BODILESS else await self._read(receive)
        request = Request(method, rule, Headers(scope["headers"]), _query(scope["query_string"]), read)
        if blocking:  # on threads of its own, so that a page of metrics does not wait for predictions
            loop = asyncio.get_running_loop()
            response = await loop.run_in_executor(None, self._exchange, request, endpoint)
        elif self._is_long(body):
            loop = asyncio.get_running_loop()
            response = await loop.run_in_executor(self._executor(), self._exchange, request, endpoint)
        else:
            response = self._exchange(request, endpoint)
        await _write(response, send, with_body=method != "HEAD")

    def _is_long(self, body: bytes) -> bool:
        """Tell whether a body may take longer than the loop can wait: by its size, and by at least as many rows.

        What may have to wait for its turn is long, whatever it costs.
        """
        if not body:
            return False
        return self._serial or len(body) * SECONDS_OF_A_BYTE + self._cost.of(body.count(b"{")) > SHORT

    def _executor(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, "brinery")
        return self._pool

    def _match(self, path: str, method: str) -> tuple[str, Endpoint, bool]:
        """Find the route: its template, the endpoint of the method, and whether that may block."""
        route = self._routes.get(path)
        if route is None and self._root_path and f"{path}/".startswith(f"{self._root_path}/"):
            route = self._routes.get(path.removeprefix(self._root_path) or "/")
        if route is None:
            return UNMATCHED, refuse_route, False
        endpoint = route.endpoint(method)
        if endpoint is None:
            return UNMATCHED, refuse_method(route.allowed), False
        return route.rule, endpoint, route.blocking

    async def _read(self, receive: Receive) -> tuple[bytes, Callable[[int], bytes]]:
        """Read the body; give it, and the function by which the endpoint gets it or hears what was wrong with it."""
        chunks, size, more = [], 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return b"", _raising(incomplete())
            chunk, more = message.get("body", b""), message.get("more_body", False)
            size += len(chunk)
            if size <= self._limit:
                chunks.append(chunk)
            elif size > self._limit * READ_ON_FACTOR:
                break
        if size > self._limit:
            return b"", _raising(too_large(self._limit))
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        return body, lambda _: body


def _raising(error: BrineryError) -> Callable[[int], bytes]:
    def read(_: int) -> bytes:
        raise error

    return read


def _nothing(_: int) -> bytes:
    return b""


def _query(query: bytes) -> dict[str, list[str]]:
    return parse_qs(query.decode("latin-1"), keep_blank_values=True) if query else {}


async def _write(response: Response, send: Send, *, with_body: bool) -> None:
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
    if response.status != 204:
        headers.append((b"content-type", response.media_type.encode("latin-1")))
        headers.append((b"content-length", b"%d" % len(response.body)))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body if with_body else b""})
