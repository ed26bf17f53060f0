"""The front for speed: the same routes and the same exchange as the Flask application's, on an event loop.

On the loop runs only what is known to be short; everything else goes to a bounded pool of threads. Format: the ASGI
HTTP specification, version 2.3.
"""

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from typing import Any, Final, Self, TypeAlias
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
    refuse_by,
    refuse_method,
    refuse_route,
    too_large,
)
from server.guard import Guarded

Scope: TypeAlias = Mapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Mapping[str, Any]]]
Send: TypeAlias = Callable[[Mapping[str, Any]], Awaitable[None]]

BODILESS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
OTHER_THREADS: Final = 4
SHORT: Final = 0.001  # seconds: what takes longer does not run on the loop
SECONDS_OF_A_BYTE: Final = 2e-8  # to read a body and to write its answer, on a slow machine


class Headers:
    """A request's headers: values by their names in lower case, both as bytes."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[bytes, bytes]) -> None:
        self._values = values

    @classmethod
    def of(cls, pairs: Iterable[tuple[bytes, bytes]]) -> Self:
        """Take them as ASGI gives them; several of one name are joined by commas."""
        values: dict[bytes, bytes] = {}
        for name, value in pairs:
            values[name] = value if name not in values else values[name] + b", " + value
        return cls(values)

    def get(self, name: str, default: str, /) -> str:
        """Give a header's value, or the default."""
        value = self._values.get(_key(name))
        return default if value is None else value.decode("latin-1")


@functools.cache  # the names that are asked for are few, and ours
def _key(name: str) -> bytes:
    return name.lower().encode("latin-1")


class Front:
    """One application on an event loop; also a whole ASGI application, for any server of these.

    Its threads are started when they are first needed: after the fork.
    """

    def __init__(self, application: Application) -> None:
        settings = application.settings
        self.application = application
        self.max_body_bytes = settings.max_body_bytes
        self._routes = {route.rule: route for routes in application.routes.values() for route in routes}
        self._exchange, self._cost = application.exchange, application.model.engine.cost
        self._serial = application.model.evaluator.serial
        self._root_path, self._threads = settings.root_path, settings.threads
        self.asked = 0  # requests so far

    def answer(
        self, method: str, path: str, query: str, headers: Headers, body: bytes | BrineryError, arrived: float
    ) -> Response | Future[Response]:
        """Answer one request, at once or on a thread; a body that could not be read is an error for the endpoint."""
        self.asked += 1
        rule, endpoint, blocking = self._match(path, method)
        asked = parse_qs(query, keep_blank_values=True) if query else {}
        request = Request(method, rule, headers, asked, _reader(body), arrived=arrived)
        if isinstance(endpoint, Guarded) and (refusal := endpoint.refusal(request)):
            return self._exchange.at_once(request, refuse_by(refusal))  # strangers take no place in a queue
        if blocking:
            return self._others.submit(self._exchange, request, endpoint)
        if rule != UNMATCHED and isinstance(body, bytes) and self._is_long(headers, body):
            return self._predictions.submit(self._exchange, request, endpoint)
        return self._exchange.at_once(request, endpoint)

    def refuse(self, error: Exception) -> Response:
        """Answer what never became a request, or what no endpoint answered."""
        return self._exchange.at_once(Request("", UNMATCHED, Headers({}), {}, _reader(b"")), refuse_by(error))

    def overdue(self) -> int:
        """Count the requests that threads work on beyond their deadline."""
        return 0

    def close(self) -> None:
        """Drop what waits for a thread, for the end of the process."""
        for name in ("_predictions", "_others"):
            if name in self.__dict__:  # made when it was first needed
                getattr(self, name).shutdown(wait=False, cancel_futures=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request of an ASGI server."""
        if scope["type"] != "http":
            return
        arrived, method = time.perf_counter(), scope["method"]
        body = b"" if method in BODILESS else await self._read(receive)
        query = scope["query_string"].decode("latin-1")
        answer = self.answer(method, scope["path"], query, Headers.of(scope["headers"]), body, arrived)
        response = answer if isinstance(answer, Response) else await asyncio.wrap_future(answer)
        await _write(response, send, with_body=method != "HEAD")

    def _is_long(self, headers: Headers, body: bytes) -> bool:
        """Tell whether a body may take longer than the loop can wait: by its size, and by at least as many rows.

        What may have to wait for its turn is long, whatever it costs; so is a batch whose rows may each be refused.
        """
        if not body:
            return False
        if self._serial or (body.startswith(b"[") and headers.get("Prefer", "")):
            return True
        return len(body) * SECONDS_OF_A_BYTE + self._cost.of(body.count(b"{")) > SHORT

    @cached_property
    def _predictions(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._threads, "prediction")

    @cached_property
    def _others(self) -> ThreadPoolExecutor:
        """The threads for what reads files, so that a page of metrics does not wait for predictions."""
        return ThreadPoolExecutor(OTHER_THREADS, "other")

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

    async def _read(self, receive: Receive) -> bytes | BrineryError:
        """Read the body, or say what was wrong with it."""
        chunks, size, more = [], 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return incomplete()
            chunk, more = message.get("body", b""), message.get("more_body", False)
            size += len(chunk)
            if size <= self.max_body_bytes:
                chunks.append(chunk)
            elif size > self.max_body_bytes * READ_ON_FACTOR:
                break
        return too_large(self.max_body_bytes) if size > self.max_body_bytes else b"".join(chunks)


def _reader(body: bytes | BrineryError) -> Callable[[int], bytes]:
    def read(_: int) -> bytes:
        if isinstance(body, BrineryError):
            raise body
        return body

    return read


async def _write(response: Response, send: Send, *, with_body: bool) -> None:
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
    if response.status != 204:
        headers.append((b"content-type", response.media_type.encode("latin-1")))
        headers.append((b"content-length", b"%d" % len(response.body)))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body if with_body else b""})
