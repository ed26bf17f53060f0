"""Which worker takes a new connection: one that holds no more than the others.

Workers wait at the same listening sockets, and whoever is awake first could take all that come: then one CPU works and
the others do not.
"""

import asyncio
import errno
import mmap
import socket
from collections.abc import Callable
from typing import Any, Final

SLOTS: Final = 64  # more workers than these share some of them, and are told apart a little less well
POLITE: Final = 0.002  # seconds that one who holds more leaves a connection to the others
EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
RECOVERY: Final = 1.0  # seconds to wait where the system has no more to give


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

    def is_ahead(self, worker: int) -> bool:
        """Tell whether another worker holds fewer."""
        own = self._counts[worker % SLOTS]
        return any(0 < count < own for count in self._counts.tolist())


class Held(set[Any]):
    """The connections of one worker, who tells the others how many there are."""

    def __init__(self, shares: Shares, worker: int) -> None:
        super().__init__()
        self._shares, self._worker = shares, worker
        shares.tell(worker, 0)

    def add(self, connection: object) -> None:
        """Hold one more."""
        super().add(connection)
        self._shares.tell(self._worker, len(self))

    def discard(self, connection: object) -> None:
        """Hold one less."""
        super().discard(connection)
        self._shares.tell(self._worker, len(self))

    def is_ahead(self) -> bool:
        """Tell whether another worker holds fewer."""
        return self._shares.is_ahead(self._worker)


class Acceptor:
    """Takes connections from one listening socket, one at a time."""

    def __init__(self, listener: socket.socket, connect: Callable[[], asyncio.Protocol], held: Held) -> None:
        self._listener, self._connect, self._held = listener, connect, held
        self._loop = asyncio.get_running_loop()
        self._later: asyncio.TimerHandle | None = None
        self._starting: set[asyncio.Task[Any]] = set()
        self._listen()

    async def stop(self) -> None:
        """Take the connections that wait already, since whoever was let in is answered; close before another comes."""
        self._loop.remove_reader(self._listener)
        if self._later is not None:
            self._later.cancel()
        accepted = []
        try:
            while True:
                accepted.append(self._listener.accept()[0])
        except OSError:  # nobody waits any more
            self._listener.close()
        for each in accepted:
            self._start(each)
        await asyncio.gather(*self._starting)

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
                self._pause(RECOVERY, lambda: None)
            return
        self._start(accepted)

    def _start(self, accepted: socket.socket) -> None:
        task = self._loop.create_task(self._loop.connect_accepted_socket(self._connect, accepted))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)
