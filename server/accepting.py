"""Which worker takes a new connection: one that holds no more than the others.

Workers wait at the same listening sockets, and whoever is awake first could take all that come: then one CPU works and
the others do not.
"""

import asyncio
import errno
import mmap
import resource
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from server.tls import GOODBYE, HANDSHAKE

RESERVE: Final = 24  # files that a worker may open beside its connections: for metrics, and to refuse more of these
SLOTS: Final = 64  # more workers than these share some of them, and are told apart a little less well
POLITE: Final = 0.002  # seconds that one who holds more leaves a connection to the others
EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
RECOVERY: Final = 1.0  # seconds to wait where the system has no more to give
T = TypeVar("T")


def room_for(wanted: int) -> int:
    """Give how many connections this process can hold, of those that are wanted, by its limit of open files."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return wanted
    return max(1, min(wanted, limit - len(list(Path("/dev/fd").iterdir())) - RESERVE))


class Shares:
    """How many connections each worker holds; made before the fork, in memory that all of them see."""

    def __init__(self) -> None:
        self._counts = memoryview(mmap.mmap(-1, SLOTS * 4)).cast("i")  # zero: no worker; or one more than he holds

    def tell(self, worker: int, count: int) -> None:
        """Note that a worker holds this many."""
        self._counts[worker % SLOTS] = count + 1

    def forget(self, worker: int) -> None:
        """Note that a worker is no more."""
        self._counts[worker % SLOTS] = 0

    def has_left(self, worker: int) -> bool:
        """Tell whether a worker is no more."""
        return self._counts[worker % SLOTS] == 0

    def is_ahead(self, worker: int) -> bool:
        """Tell whether another worker holds fewer."""
        own = self._counts[worker % SLOTS]
        return any(0 < count < own for count in self._counts.tolist())


class Held(Generic[T]):
    """The connections of one worker, who tells the others how many there are."""

    def __init__(self, shares: Shares, worker: int) -> None:
        self._shares, self._worker = shares, worker
        self._connections: set[T] = set()
        self._left = False
        shares.tell(worker, 0)

    def __len__(self) -> int:
        return len(self._connections)

    def __iter__(self) -> Iterator[T]:
        return iter(list(self._connections))

    def add(self, connection: T, /) -> None:
        """Hold one more."""
        self._connections.add(connection)
        self._tell()

    def discard(self, connection: T, /) -> None:
        """Let one go."""
        self._connections.discard(connection)
        self._tell()

    def leave(self) -> None:
        """Take no part any more: this worker stops, and nobody is to leave a connection to it."""
        self._left = True
        self._shares.forget(self._worker)

    def is_ahead(self) -> bool:
        """Tell whether another worker holds fewer."""
        return self._shares.is_ahead(self._worker)

    def _tell(self) -> None:
        if not self._left:
            self._shares.tell(self._worker, len(self._connections))


class Acceptor:
    """Takes connections from one listening socket, one at a time; with `tls`, those that shake hands in time.

    `exhausted` is told where the system has no more to give: at most once in `RECOVERY` seconds.
    """

    def __init__(
        self,
        listener: socket.socket,
        connect: Callable[[], asyncio.Protocol],
        held: Held[Any],
        exhausted: Callable[[OSError], None] = lambda _: None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._listener, self._connect, self._held, self._tls = listener, connect, held, tls
        self._exhausted = exhausted
        self._loop = asyncio.get_running_loop()
        self._later: asyncio.TimerHandle | None = None
        self._starting: set[asyncio.Task[Any]] = set()
        self._listen()

    async def stop(self, *, for_good: bool = True) -> None:
        """Take no more.

        `for_good`: nobody else will, so whoever waits already is still taken, and the socket is closed before another
        comes.
        """
        self._loop.remove_reader(self._listener)
        if self._later is not None:
            self._later.cancel()
        accepted = []
        while for_good:
            try:
                accepted.append(self._listener.accept()[0])
            except ConnectionAbortedError:  # who waited has gone
                continue
            except OSError:  # nobody waits any more
                break
        self._listener.close()
        for each in accepted:
            self._start(each)
        await asyncio.gather(*self._starting, return_exceptions=True)

    def _listen(self) -> None:
        self._loop.add_reader(self._listener, self._ready)

    def _ready(self) -> None:
        if self._held.is_ahead():
            self._pause(POLITE, self._take)
        else:
            self._take()

    def _pause(self, seconds: float, then: Callable[[], None]) -> None:
        def resume() -> None:
            self._listen()
            then()

        self._loop.remove_reader(self._listener)
        self._later = self._loop.call_later(seconds, resume)

    def _take(self) -> None:
        try:
            accepted, _ = self._listener.accept()
        except OSError as error:  # most often another worker took it
            if error.errno in EXHAUSTED:
                self._exhausted(error)
                self._pause(RECOVERY, lambda: None)
            return
        self._start(accepted)

    def adopt(self, taken: socket.socket, connect: Callable[[], asyncio.Protocol]) -> None:
        """Go on with a connection that another worker had."""
        self._start(taken, connect)

    def _start(self, accepted: socket.socket, connect: Callable[[], asyncio.Protocol] | None = None) -> None:
        task = self._loop.create_task(self._begin(accepted, connect or self._connect))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _begin(self, accepted: socket.socket, connect: Callable[[], asyncio.Protocol]) -> None:
        connection = connect()
        limits = {} if self._tls is None else {"ssl_handshake_timeout": HANDSHAKE, "ssl_shutdown_timeout": GOODBYE}
        try:
            await self._loop.connect_accepted_socket(lambda: connection, accepted, ssl=self._tls, **limits)
        except OSError:  # he has gone, or speaks no TLS: nobody is there to be told, and it is nobody's fault here
            self._held.discard(connection)
