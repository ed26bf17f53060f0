"""The front for speed: the same routes and the same exchange as the Flask application's, on an event loop.

On the loop runs only what is known to be short; everything else goes to a bounded pool of threads. Format: the ASGI
HTTP specification, version 2.3.
"""

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import cached_property
from typing import Any, Final, Self, TypeAlias
from urllib.parse import parse_qs

from server.admission import Queue
from server.application import Application
from server.errors import BrineryError
from server.exchange import READ_ON_FACTOR, Endpoint, Request, RequestHeaders, Response, incomplete, too_large, too_slow
from server.guard import Guarded
from server.pool import STUCK, Pool, Work, in_time
from server.routing import NOWHERE, UNMATCHED, Route, Router, Rows, refuse_by, refuse_method

Scope: TypeAlias = Mapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Mapping[str, Any]]]
Send: TypeAlias = Callable[[Mapping[str, Any]], Awaitable[None]]

BODILESS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
OTHER_THREADS: Final = 4
OTHERS_WAITING: Final = 64  # at most, for one of these
SHORT: Final = 0.001  # seconds: what takes longer does not run on the loop
SECONDS_OF_A_BYTE: Final = 5e-8  # to read a body and to write its answer, on a slow machine
SECONDS_OF_A_ROW: Final = 2e-6  # to refuse one, which may be of two bytes


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
        self._router = Router(route for routes in application.routes.values() for route in routes)
        self._exchange, self._engine = application.exchange, application.model.engine
        self._cost, self._serial = self._engine.cost, application.model.evaluator.serial
        self._root_path, self._settings = settings.root_path, settings
        self.asked = 0  # requests so far

    def answer(
        self, method: str, path: str, query: str, headers: Headers, body: bytes | BrineryError, arrived: float
    ) -> Response | Work:
        """Answer one request, at once or on a thread; a body that could not be read is an error for the endpoint.

        What a thread answers must be told when its deadline has passed: `Work.expire`.
        """
        self.asked += 1
        route, variables = self._find(path)
        endpoint = route.endpoint(method)
        request = Request(
            method,
            route.rule if endpoint is not None else UNMATCHED,
            headers,
            {},
            _reader(body),
            arrived=arrived,
            variables=variables,
            envelope=route.envelope,
            probe=route.probe,
        )
        try:
            request.query = parse_qs(query, keep_blank_values=True) if query else {}
            return self._admit(request, endpoint or refuse_method(route.allowed), body, route)
        except Exception as error:  # also one of ours in a guard: its caller has an answer, and the operator a line
            return self._exchange.at_once(request, refuse_by(error))

    def _admit(self, request: Request, endpoint: Endpoint, body: bytes | BrineryError, route: Route) -> Response | Work:
        """Answer a request at once, or give it to a thread; raises why neither can be."""
        if isinstance(endpoint, Guarded) and (refusal := endpoint.refusal(request)):
            return self._exchange.at_once(request, refuse_by(refusal))  # strangers take no place in a queue
        if route.blocking and request.route != UNMATCHED:
            return self._others.submit(request, endpoint)
        if request.route == UNMATCHED or isinstance(body, BrineryError) or not body:
            return self._exchange.at_once(request, endpoint)
        rows = route.count(request.headers, body)
        if not self._is_long(request.headers, body, rows):
            return self._exchange.at_once(request, endpoint)
        return self._predictions.submit(request, endpoint, min(rows.most, self._settings.max_rows), self._least(rows))

    def closed(self, reason: str) -> None:
        """Count a connection that was ended without an answer."""
        self.application.common.telemetry.closed(reason)

    def refuse(self, error: Exception) -> Response:
        """Answer what never became a request, or what no endpoint answered."""
        return self._exchange.at_once(Request("", UNMATCHED, Headers({}), {}, _reader(b"")), refuse_by(error))

    def overdue(self, grace: float = STUCK) -> int:
        """Count the requests that threads work on for so many seconds longer than any deadline."""
        return sum(pool.overdue(self._settings.deadline + grace) for pool in self._pools())

    def abandon(self) -> None:
        """Send everybody who waits for a thread, or for what one of them does not end, to another worker."""
        for pool in self._pools():
            pool.abandon()

    def close(self, patience: float = 0.0) -> bool:
        """Drop what waits for a thread; tell whether the threads have ended, within some seconds."""
        until = time.monotonic() + patience
        ended = [pool.close(until) for pool in self._pools()]  # each of them, also behind one that has not
        return all(ended)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request of an ASGI server."""
        if scope["type"] != "http":
            return
        method, query = scope["method"], scope["query_string"].decode("latin-1")
        body = b"" if method in BODILESS else await self._read_in_time(receive)
        answer = self.answer(method, scope["path"], query, Headers.of(scope["headers"]), body, time.perf_counter())
        response = answer if isinstance(answer, Response) else await in_time(answer)
        await _write(response, send, with_body=method != "HEAD")

    def _is_long(self, headers: RequestHeaders, body: bytes, rows: Rows) -> bool:
        """Tell whether a body may take longer than the loop can wait: by its size, and by at least as many rows.

        What may have to wait for its turn is long, whatever it costs; so is a batch whose rows may each be refused.
        """
        if self._serial or (rows.most > 1 and headers.get("Prefer", "")):
            return True
        reading = len(body) * SECONDS_OF_A_BYTE + rows.most * SECONDS_OF_A_ROW
        return reading + self._cost.of(rows.most) > SHORT

    def _least(self, rows: Rows) -> float:
        """Give the seconds that rows take at least, beside others if these may share an evaluation."""
        least = min(rows.least, self._settings.max_rows)
        return self._cost.of(least) if self._engine.shared_rows == 1 else least * self._cost.further_row

    @cached_property
    def _predictions(self) -> Pool:
        threads, settings = self._settings.threads, self._settings
        queue = Queue(settings.max_queue_requests, settings.max_queue_rows, 1 if self._serial else threads)
        return Pool("prediction", threads, queue, self._exchange, self.application.common.telemetry)

    @cached_property
    def _others(self) -> Pool:
        """The threads for what reads files, so that a page of metrics does not wait for predictions."""
        queue = Queue(OTHERS_WAITING, OTHERS_WAITING, OTHER_THREADS)
        return Pool("other", OTHER_THREADS, queue, self._exchange, self.application.common.telemetry)

    def _pools(self) -> list[Pool]:
        """Give the pools that were needed so far."""
        return [self.__dict__[name] for name in ("_predictions", "_others") if name in self.__dict__]

    def _find(self, path: str) -> tuple[Route, Mapping[str, str]]:
        """Find the route of a path, or the one that refuses it."""
        found = self._router.find(path)
        if found is None and self._root_path and f"{path}/".startswith(f"{self._root_path}/"):
            found = self._router.find(path.removeprefix(self._root_path) or "/")
        return found or (NOWHERE, {})

    async def _read_in_time(self, receive: Receive) -> bytes | BrineryError:
        seconds = self._settings.body_timeout
        try:
            async with asyncio.timeout(seconds):
                return await self._read(receive)
        except TimeoutError:
            return too_slow("body", seconds)

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
