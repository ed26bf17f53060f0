"""The methods of gRPC's own services that are streams: watching health, and reflection."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, Final, Protocol

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.reflection import ReflectionServicer

from server.admission import Readiness
from server.errors import MalformedBody
from server.protocols.messages import SERVICE, described, read
from server.protocols.rpc import HEALTH, REFLECT, REFLECTIONS, UNKNOWN, WATCH, health

MAX_STREAMS: Final = 64  # of a worker
LOOK: Final = 1.0  # seconds between two looks at whether a watcher has to hear of something
STREAMED: Final = frozenset({WATCH, *REFLECT})


class Open(Protocol):
    """Lets a stream of a method begin if there is `room`, and gives its first answer; or ends it."""

    def __call__(self, name: str, context: Any, /, *, room: bool) -> Coroutine[Any, Any, bytes]:  # noqa: ANN401
        """Open."""
        ...


class Streams:
    """The streams of one worker, all on one event loop; they end with it, or where nothing comes for too long."""

    def __init__(self, begin: Open, readiness: Readiness, stopping: asyncio.Event, idle_timeout: float) -> None:
        self._begin, self._readiness, self._stopping, self._idle = begin, readiness, stopping, idle_timeout
        pool = DescriptorPool()
        for each in (described(), health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR):
            pool.AddSerializedFile(each.serialized_pb)
        self._reflection = ReflectionServicer([SERVICE, HEALTH, *REFLECTIONS], pool)
        self._open = 0

    def handler(self, name: str) -> Callable[[object, Any], AsyncIterator[bytes]]:
        """Give what handles a method of `STREAMED`."""

        async def handle(_: object, context: Any) -> AsyncIterator[bytes]:  # noqa: ANN401
            with self._counted():
                first = await self._begin(name, context, room=self._open <= MAX_STREAMS)
                async for each in self._watch(first) if name == WATCH else self._reflect(context):
                    yield each
            if self._stopping.is_set():
                await context.abort(grpc.StatusCode.UNAVAILABLE, "The worker ends; ask another.")

        return handle

    async def _watch(self, told: bytes) -> AsyncIterator[bytes]:
        """Tell whether the server is ready, and again whenever that has changed; of no service it never is."""
        yield told
        known = told != UNKNOWN
        while not self._stopping.is_set():
            await self._next(asyncio.sleep(LOOK), LOOK)
            if known and (news := health(ready=self._readiness.ready)) != told:
                told = news
                yield told

    async def _reflect(self, context: Any) -> AsyncIterator[bytes]:  # noqa: ANN401
        """Answer questions about the methods and their messages, one after the other."""
        while isinstance(sent := await self._next(context.read(), self._idle), bytes):
            try:
                questions = iter([read(reflection_pb2.ServerReflectionRequest, sent)])
            except MalformedBody as error:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
                return
            yield next(self._reflection.ServerReflectionInfo(questions, context)).SerializeToString()

    async def _next(self, awaited: Coroutine[Any, Any, object], seconds: float) -> object:
        """Give what comes; None where nothing does within some seconds, or before the worker ends."""
        coming, ending = asyncio.ensure_future(awaited), asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({coming, ending}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            return coming.result() if coming.done() else None
        finally:
            coming.cancel()
            ending.cancel()

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1
