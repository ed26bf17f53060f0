"""Callers by the thousand, on an event loop: what each was answered, and after how long."""

import asyncio
import contextlib
import json
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from tests.live.running import Server

T = TypeVar("T")
LIVE: Final = b"GET /api/health/live HTTP/1.1\r\nHost: x\r\n\r\n"
CLOSED: Final = 0  # the status of a connection that ended without an answer


def posted(value: object, *headers: str) -> bytes:
    """Write a request for a prediction."""
    body = json.dumps(value).encode()
    lines = ["POST /api/predict HTTP/1.1", "Host: x", "Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode() + body


@dataclass(frozen=True)
class Heard:
    """What came back for a request: CLOSED where nothing did."""

    status: int
    seconds: float


class Line:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, request: bytes) -> Heard:
        """Send a request and read its answer."""
        start = time.perf_counter()
        self.writer.write(request)
        status = await self.status()
        return Heard(status, time.perf_counter() - start)

    async def status(self) -> int:
        """Read the next answer and give its status; CLOSED where the connection ends instead."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
            lines = head.decode("latin-1").lower().split("\r\n")
            length = next((int(line.split(":")[1]) for line in lines if line.startswith("content-length:")), 0)
            await self.reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            return CLOSED
        return int(head.split()[1])

    async def end(self) -> float:
        """Wait until the other side closes; give the moment, by `time.perf_counter`."""
        try:
            while await self.reader.read(65_536):
                pass
        except ConnectionError:
            pass
        self.close()
        return time.perf_counter()

    def close(self) -> None:
        """Close."""
        self.writer.close()


class Callers:
    """Asks a server, over as many connections as it needs, each kept for the next request."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._lines: list[Line] = []
        self._free: deque[Line] = deque()

    async def connect(self) -> Line:
        """Give a connection of one's own, which is closed with the others."""
        self._lines.append(Line(*await asyncio.open_connection(self._server.host, self._server.port)))
        return self._lines[-1]

    async def ask(self, request: bytes) -> Heard:
        """Send one request on a connection that nobody uses."""
        line = self._free.popleft() if self._free else await self.connect()
        heard = await line.ask(request)
        if heard.status != CLOSED:
            self._free.append(line)
        return heard

    async def by_turns(self, request: bytes, callers: int, seconds: float) -> list[Heard]:
        """Let some callers ask, each again as soon as he is answered."""
        end = time.perf_counter() + seconds

        async def caller() -> list[Heard]:
            heard = []
            while time.perf_counter() < end:
                heard.append(await self.ask(request))
            return heard

        return [each for some in await asyncio.gather(*(caller() for _ in range(callers))) for each in some]

    async def by_the_clock(self, request: bytes, rate: float, seconds: float) -> list[Heard]:
        """Ask so many times a second, whatever becomes of those before; give what all of them heard."""
        start, asked = time.perf_counter(), []
        for index in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, start + index / rate - time.perf_counter()))
            asked.append(asyncio.create_task(self.ask(request)))
        return list(await asyncio.gather(*asked))

    async def close(self) -> None:
        """Close what is open."""
        for line in self._lines:
            line.close()
        for line in self._lines:
            with contextlib.suppress(ConnectionError):
                await line.writer.wait_closed()
        self._lines.clear()
        self._free.clear()


def play(server: Server, scene: Callable[[Callers], Awaitable[T]]) -> T:
    """Let callers of a server play a scene, and go."""

    async def whole() -> T:
        callers = Callers(server)
        try:
            return await scene(callers)
        finally:
            await callers.close()

    return asyncio.run(whole())


def percentile(heard: Sequence[Heard], share: float) -> float:
    """Give the seconds within which this share of them was answered."""
    seconds = sorted(each.seconds for each in heard)
    return seconds[max(0, math.ceil(share * len(seconds)) - 1)]
