"""A worker that ends while others go on gives them its idle connections, so that no caller loses one.

A connection's descriptor goes through a socket that all workers, also those that are started later, hold both ends of
(`SCM_RIGHTS`, unix(7)): one letter for several, since the socket has room for some hundred letters only, and a worker
without others at its side must be able to leave all that it has to its successor.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import Final

LETTER: Final = 64  # connections at most; also what one worker takes before others have their turn


class Handover:
    """The way of connections from one worker to another; made before the first fork."""

    def __init__(self) -> None:
        self._giving, self._taking = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._giving.setblocking(False)
        self._taking.setblocking(False)

    def give(self, descriptors: Sequence[int]) -> bool:
        """Send up to `LETTER` descriptors, which the sender closes; tell whether there was room."""
        try:
            socket.send_fds(self._giving, [b"."], descriptors)
        except OSError:  # full, or out of descriptors: later
            return False
        return True

    def listen(self, adopt: Callable[[socket.socket], None]) -> None:
        """Take what comes, on the running loop."""
        asyncio.get_running_loop().add_reader(self._taking, self._take, adopt)

    def stop(self) -> None:
        """Take no more."""
        asyncio.get_running_loop().remove_reader(self._taking)

    def close(self) -> None:
        """Close both ends; what nobody has taken is closed with them."""
        self._giving.close()
        self._taking.close()

    def _take(self, adopt: Callable[[socket.socket], None]) -> None:
        try:
            _, descriptors, _, _ = socket.recv_fds(self._taking, 1, LETTER)
        except OSError:  # somebody else took it
            return
        for descriptor in descriptors:
            taken = socket.socket(fileno=descriptor)
            taken.setblocking(False)
            adopt(taken)
