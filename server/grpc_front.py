"""The front that speaks gRPC: the methods of an application by the same exchange as the other fronts, on its own port.

One for each worker, begun after the fork, on an event loop of its own: whoever is slow in sending, and whoever
watches, holds no thread. Predictions go to a bounded pool of threads. Format: gRPC over HTTP/2.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, Final, TypeAlias
from urllib.parse import quote

import grpc
import uvloop

from server.admission import TIMEOUT_HEADER, Queue
from server.application import Application
from server.errors import BrineryError, Overloaded, SettingError, Unimplemented
from server.exchange import Request, Response, incomplete, too_slow
from server.grpc_streams import MAX_STREAMS, STREAMED, Streams
from server.guard import Guarded
from server.options import PREFIX
from server.pool import STUCK, Pool, in_time
from server.protocols.messages import SERVICE
from server.protocols.rpc import REFLECT, as_status
from server.routing import UNMATCHED, Route, refuse_by
from server.settings import Settings

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"  # which only the stubs know as generic
UNREAD: Final = frozenset({UNMATCHED, *REFLECT})  # nothing is read before they are answered
PING_ANSWER: Final = 20.0  # seconds
AGE: Final = 300.0  # seconds after which a connection is asked to go, and its client makes another: nothing is lost
MAX_DETAILS: Final = 4_096  # bytes of a status, as they are escaped: more than 8 KiB of metadata is not read by clients
CODES: Final[Mapping[int, grpc.StatusCode]] = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    501: grpc.StatusCode.UNIMPLEMENTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
# The headers that every answer carries and that say something without HTTP.
TRAILERS: Final = frozenset(
    {"x-request-id", "x-model-name", "x-model-version", "server-timing", "retry-after", "ratelimit", "ratelimit-policy"}
)


class Metadata:
    """A call's metadata, as headers; the deadline of the call is the one that a header would ask for."""

    __slots__ = ("_values",)

    def __init__(self, context: Any) -> None:  # noqa: ANN401
        values: dict[str, str] = {}
        for name, value in context.invocation_metadata() or ():
            if isinstance(value, str):
                values[name] = f"{values[name]}, {value}" if name in values else value
        remaining = context.time_remaining()
        if remaining is not None and TIMEOUT_HEADER.lower() not in values:
            values[TIMEOUT_HEADER.lower()] = f"{min(max(remaining, 1e-6), 1e8):.6f}"
        self._values = values

    def get(self, name: str, default: str, /) -> str:
        """Give a value, or the default."""
        return self._values.get(name.lower(), default)


class GrpcFront:
    """Speaks gRPC for one worker; `tls` are the bytes of a certificate, its key and the authority of clients."""

    def __init__(self, application: Application, tls: tuple[bytes, bytes, bytes | None] | None = None) -> None:
        settings = application.settings
        self.asked = 0  # calls so far
        self._application, self._settings, self._tls = application, settings, tls
        self._exchange = application.exchange
        self._cost = application.model.engine.cost
        self._routes = {f"/{route.rule}": route for route in application.methods}
        lanes = 1 if application.model.evaluator.serial else settings.threads
        queue = Queue(settings.max_queue_requests, settings.max_queue_rows, lanes)
        self._pool = Pool("call", settings.threads, queue, self._exchange, application.common.telemetry)
        self._stopping = asyncio.Event()
        self._streams = Streams(self._open, application.common.readiness, self._stopping, settings.idle_timeout)
        self._thread = threading.Thread(target=self._run, name="grpc", daemon=True)
        self._begun: Future[asyncio.AbstractEventLoop] = Future()
        self._grace: float | None = None

    # For the worker.

    def start(self) -> None:
        """Begin to listen; raises `SettingError` where that cannot be."""
        self._thread.start()
        self._begun.result()

    def stop(self, grace: float) -> None:
        """Take no calls any more, and give those in flight so many seconds, once; does not wait."""
        self._grace = grace if self._grace is None else self._grace
        with contextlib.suppress(RuntimeError):  # it has stopped
            self._begun.result().call_soon_threadsafe(self._stopping.set)

    def wait(self, seconds: float) -> bool:
        """Wait for the end of the calls; tell whether some go on, within the time that they have."""
        self._thread.join(seconds)
        return self._thread.is_alive()

    def close(self, patience: float) -> bool:
        """End at once, and drop what waits for a thread; tell whether the threads have ended, within some seconds."""
        until = time.monotonic() + patience
        self.stop(0.0)
        self._thread.join(patience)
        return self._pool.close(until) and not self._thread.is_alive()

    def overdue(self) -> int:
        """Count the predictions that threads work on for longer than any deadline."""
        return self._pool.overdue(self._settings.deadline + STUCK)

    def abandon(self) -> None:
        """Send everybody who waits for a thread to another worker."""
        self._pool.abandon()

    # On the loop.

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        try:
            server = self._make()
            await server.start()
        except BaseException as error:  # for who waits
            self._begun.set_exception(error)
            return
        self._begun.set_result(asyncio.get_running_loop())
        await self._stopping.wait()
        await server.stop(self._grace)
        self._pool.close(0.0)

    def _make(self) -> grpc.aio.Server:
        """Make the server, listening; raises `SettingError` where it cannot."""
        settings = self._settings
        # What comes in is held whole: so many of the largest size, as the other front holds.
        calls = max(
            settings.threads + settings.max_queue_requests, settings.max_buffered_bytes // settings.max_body_bytes
        )
        logging.getLogger("grpc._cython.cygrpc").addFilter(_is_news)
        server = grpc.aio.server(
            handlers=[_Handlers(self._handler)],
            options=_options(settings),
            maximum_concurrent_rpcs=min(calls, settings.max_connections) + MAX_STREAMS,
        )
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        address = f"{host}:{settings.grpc_port}"
        try:
            if self._tls is None:
                server.add_insecure_port(address)
            else:
                certificate, key, authority = self._tls
                credentials = grpc.ssl_server_credentials([(key, certificate)], authority, authority is not None)
                server.add_secure_port(address, credentials)
        except RuntimeError:
            msg = (
                f"{PREFIX}HOST {settings.host} and {PREFIX}GRPC_PORT {settings.grpc_port} cannot be listened on; "
                "expected an address of this machine and a port that is free."
            )
            raise SettingError(msg) from None
        return server

    def _handler(self, name: str) -> Handler:
        """Give what handles a method; messages are bytes, and are read when they are wanted."""
        route = self._routes.get(name, NOWHERE)
        if route.rule in STREAMED:
            return grpc.stream_stream_rpc_method_handler(self._streams.handler(route.rule))

        async def call(_: object, context: Any) -> bytes:  # noqa: ANN401
            return await self._finish(context, await self._respond(route, context))

        return grpc.stream_unary_rpc_method_handler(call)

    async def _open(self, name: str, context: Any, *, room: bool) -> bytes:  # noqa: ANN401
        """Let a stream begin, or end it; give the answer to its first message, if it is read here."""
        refusal = None if room else Overloaded("As many streams as may be open are so already; try again later.")
        return await self._finish(context, await self._respond(self._routes[f"/{name}"], context, refusal))

    async def _respond(self, route: Route, context: Any, refusal: BrineryError | None = None) -> Response:  # noqa: ANN401
        """Answer a call; strangers are refused before they have sent anything, and so is what there is no room for."""
        self.asked += 1
        endpoint = route.endpoints["POST"]
        request = Request("POST", route.rule, Metadata(context), {}, _nothing, envelope=as_status, probe=route.probe)
        try:
            if isinstance(endpoint, Guarded):
                refusal = endpoint.refusal(request) or refusal
            if refusal is not None:
                raise refusal
            body = b"" if route.rule in UNREAD else await self._read(context)
            request.read, request.arrived = lambda _: body, time.perf_counter()
            if not route.blocking:
                return self._exchange.at_once(request, endpoint)
            most = min(route.count(request.headers, body).most, self._settings.max_rows)
            return await in_time(self._pool.submit(request, endpoint, most, self._cost.of(1)))
        except Exception as error:
            return self._exchange.at_once(request, refuse_by(error))

    async def _read(self, context: Any) -> bytes:  # noqa: ANN401
        """Read the one message of a call; raises `RequestTimedOut` or `IncompleteBody`."""
        seconds = self._settings.body_timeout
        try:
            async with asyncio.timeout(seconds):
                sent = await context.read()
        except TimeoutError:
            raise too_slow("message", seconds) from None
        if not isinstance(sent, bytes):
            raise incomplete()
        return sent

    async def _finish(self, context: Any, response: Response) -> bytes:  # noqa: ANN401
        """Give the message of an answer, or end the call with its status."""
        trailers = tuple((name.lower(), value) for name, value in response.headers if name.lower() in TRAILERS)
        if response.status == 200:
            context.set_trailing_metadata(trailers)
            return response.body
        code = CODES.get(response.status, grpc.StatusCode.INTERNAL)
        await context.abort(code, _bounded(response.body.decode()), trailers)
        raise AssertionError  # it never comes back


class _Handlers(grpc.GenericRpcHandler):
    """Finds what handles a method, whatever its name."""

    def __init__(self, find: Callable[[str], Handler]) -> None:
        self._find = find

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler:
        return self._find(handler_call_details.method)


def _refuse_method(_: Request) -> Response:
    msg = f"There is no such method; the methods are those of {SERVICE}, and gRPC's health checking and reflection."
    raise Unimplemented(msg)


NOWHERE: Final = Route(UNMATCHED, {"POST": _refuse_method}, scope=None, envelope=as_status)


def _options(settings: Settings) -> list[tuple[str, int]]:
    """Give the bounds of connections and messages, in the words of gRPC's library."""
    return [
        ("grpc.so_reuseport", 1),  # each worker listens by itself: the system spreads connections among them
        # Beyond this a client waits by himself: of what the library holds back for all, it cancels some.
        ("grpc.http.overload_protection", 0),  # which counts streams as open that have ended
        ("grpc.max_concurrent_streams", max(settings.threads + settings.max_queue_requests, MAX_STREAMS)),
        ("grpc.max_receive_message_length", settings.max_body_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_metadata_size", settings.max_header_bytes),
        ("grpc.absolute_max_metadata_size", settings.max_header_bytes),
        ("grpc.max_connection_idle_ms", round(settings.idle_timeout * 1000)),
        ("grpc.keepalive_time_ms", round(settings.idle_timeout * 1000)),  # who has gone without a word is let go
        ("grpc.keepalive_timeout_ms", round(PING_ANSWER * 1000)),
        ("grpc.max_connection_age_ms", round(AGE * 1000)),
        # Whoever does not take his answer holds a call: the library has no time for it but the connection's.
        ("grpc.max_connection_age_grace_ms", round((settings.deadline + settings.write_timeout) * 1000)),
        ("grpc.server_handshake_timeout_ms", round(settings.header_timeout * 1000)),
        ("grpc.max_allowed_incoming_connections", settings.max_connections),
        ("grpc.compression_enabled_algorithms_bitset", 1),  # none: a short message could be a very long one
    ]


def _is_news(record: logging.LogRecord) -> bool:
    """Tell whether a line of the library's is of use: not where a caller has gone before he took his answer."""
    return not record.getMessage().startswith("ExecuteBatchError")


def _nothing(_: int) -> bytes:
    return b""


def _bounded(text: str) -> str:
    """Cut a sentence so that clients read it: what is not plain ASCII is three letters for each byte there."""
    while len(quote(text)) > MAX_DETAILS:
        text = text[: len(text) * 3 // 4].rstrip() + "…"
    return text
