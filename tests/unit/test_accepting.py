"""Workers share new connections: who holds more leaves the next to the others."""

import asyncio
import errno
import os
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from server import accepting
from server.accepting import RESERVE, Acceptor, Held, Shares, room_for


def test_who_is_ahead() -> None:
    """A worker is ahead where another holds fewer; one that is no more is nobody's measure."""
    shares = Shares()
    first: Held[str] = Held(shares, 1)
    second: Held[str] = Held(shares, 2)
    assert not first.is_ahead()
    first.add("a")
    assert first.is_ahead()
    assert not second.is_ahead()
    second.add("b")
    assert not first.is_ahead()
    second.discard("b")
    assert first.is_ahead()
    second.leave()
    assert not first.is_ahead()
    second.discard("b")
    assert not first.is_ahead(), "who has left is not heard any more"


def test_a_connection_counts_once() -> None:
    """What is held twice, or let go twice, counts once."""
    shares = Shares()
    first: Held[str] = Held(shares, 1)
    second: Held[str] = Held(shares, 2)
    second.add("b")
    first.add("a")
    first.add("a")
    assert not first.is_ahead()
    first.discard("a")
    first.discard("a")
    assert second.is_ahead()


def test_counts_are_shared_by_processes() -> None:
    """What a forked worker holds, the others see."""
    shares = Shares()
    first: Held[str] = Held(shares, 1)
    first.add("a")
    child = os.fork()
    if not child:
        Held(shares, 2)
        os._exit(0)
    os.waitpid(child, 0)
    assert first.is_ahead()


class Listener:
    """A listening socket, an acceptor of it, and what it has let in."""

    def __init__(self) -> None:
        self.shares = Shares()
        self.held: Held[object] = Held(self.shares, 1)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.told: list[OSError] = []
        self.acceptor = Acceptor(self.socket, self._connect, self.held, self.told.append)
        self._came = asyncio.Condition()

    def _connect(self) -> asyncio.Protocol:
        listener = self

        class Taken(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                listener.held.add(transport)

        return Taken()

    def call(self) -> socket.socket:
        """Connect as a client does."""
        return socket.create_connection(self.socket.getsockname())

    async def until(self, count: int) -> None:
        """Wait until so many are held."""
        async with asyncio.timeout(10):
            while len(self.held) < count:
                await asyncio.sleep(0.001)

    def close(self) -> None:
        """Let all go."""
        for transport in list(self.held):
            if isinstance(transport, asyncio.Transport):
                transport.close()


def run(scene: Callable[[Listener], Awaitable[Any]]) -> None:
    """Play a scene with a listener."""

    async def play() -> None:
        listener = Listener()
        await scene(listener)
        if listener.socket.fileno() >= 0:
            await listener.acceptor.stop()
        listener.close()
        await asyncio.sleep(0)

    asyncio.run(play())


def test_connections_are_taken() -> None:
    """Whoever connects is let in, also several at once."""

    async def scene(listener: Listener) -> None:
        clients = [listener.call() for _ in range(5)]
        await listener.until(5)
        for client in clients:
            client.close()

    run(scene)


def test_who_is_ahead_leaves_it_to_others_for_a_moment() -> None:
    """A connection that nobody else takes is taken all the same."""

    async def scene(listener: Listener) -> None:
        listener.held.add("somebody")
        Held(listener.shares, 2)
        assert listener.held.is_ahead()
        with listener.call():
            await listener.until(2)

    run(scene)


def test_stop_takes_those_who_wait() -> None:
    """At the stop whoever waits is let in, and nobody after that."""

    async def scene(listener: Listener) -> None:
        address = listener.socket.getsockname()
        with listener.call(), listener.call():
            await listener.acceptor.stop()
            assert len(listener.held) == 2
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(address)

    run(scene)


def test_a_system_without_files_is_given_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no more files can be opened the acceptor says so once, waits, and then goes on."""
    monkeypatch.setattr(accepting, "RECOVERY", 0.001)

    class Exhausted:
        def __init__(self, inner: socket.socket) -> None:
            self._inner, self.refusals = inner, 1

        def accept(self) -> tuple[socket.socket, Any]:
            if self.refusals:
                self.refusals -= 1
                raise OSError(errno.EMFILE, "Too many open files")
            return self._inner.accept()

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

    async def scene(listener: Listener) -> None:
        exhausted = Exhausted(listener.socket)
        listener.acceptor._listener = exhausted  # type: ignore[assignment]
        with listener.call():
            await listener.until(1)
        assert not exhausted.refusals
        assert [error.errno for error in listener.told] == [errno.EMFILE]

    run(scene)


@pytest.mark.parametrize(("limit", "room"), [(1_000_000, 10_000), (-1, 10_000), (1, 1)], ids=["many", "any", "none"])
def test_room(monkeypatch: pytest.MonkeyPatch, limit: int, room: int) -> None:
    """As many connections as are wanted can be held, or as files can be opened, and one in any case."""
    monkeypatch.setattr("resource.getrlimit", lambda _: (limit, limit))
    assert room_for(10_000) == room


def test_room_beside_what_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is open already, and what may still be opened, is no room for connections."""
    monkeypatch.setattr("resource.getrlimit", lambda _: (1_000, 1_000))
    before = room_for(10_000)
    assert before < 1_000 - RESERVE
    with socket.socket(), socket.socket():
        assert room_for(10_000) == before - 2
