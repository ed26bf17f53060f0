"""The way of connections from one worker to another."""

import asyncio
import os
import socket

from server.handover import LETTER, Handover


def test_a_connection_goes_on_elsewhere() -> None:
    """What one gives another takes: the same connection, although the giver closes his side of it."""

    async def main() -> bytes:
        handover, taken = Handover(), asyncio.Queue[socket.socket]()
        handover.listen(taken.put_nowait)
        ours, theirs = socket.socketpair()
        assert handover.give([ours.fileno()])
        ours.close()
        theirs.sendall(b"hello")
        async with asyncio.timeout(10):
            adopted = await taken.get()
        handover.stop()
        handover.close()
        with adopted, theirs:
            assert not adopted.getblocking()
            return adopted.recv(5)

    assert asyncio.run(main()) == b"hello"


def test_many_are_taken_by_several() -> None:
    """Each connection arrives once, whoever of those that listen takes it, also where more come than fit at once."""
    handover = Handover()
    given, taken, listeners = 500 * LETTER, [0, 0], 2
    pair = socket.socketpair()
    reading, telling = os.pipe()
    children = []
    for number in range(listeners):
        child = os.fork()
        if child == 0:

            async def take(number: int = number) -> None:
                def adopt(adopted: socket.socket) -> None:
                    adopted.close()
                    os.write(telling, bytes([number]))

                handover.listen(adopt)
                await asyncio.sleep(60)

            asyncio.run(take())
        children.append(child)
    try:
        waiting = given
        while waiting:
            waiting -= LETTER * handover.give([pair[0].fileno()] * LETTER)
        for _ in range(given):
            taken[os.read(reading, 1)[0]] += 1
    finally:
        for child in children:
            os.kill(child, 9)
            os.waitpid(child, 0)
        for each in (*pair,):
            each.close()
        handover.close()
        os.close(reading)
        os.close(telling)
    assert sum(taken) == given


def test_no_room() -> None:
    """Where nobody takes, it says at some point that there is no room, and loses nothing."""
    handover = Handover()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert not all(handover.give([ours.fileno()]) for _ in range(100_000))
    handover.close()


def test_room_for_all() -> None:
    """A worker's successor, which is not there yet, gets as many connections as a worker may have."""
    handover = Handover()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert all(handover.give([ours.fileno()] * LETTER) for _ in range(10_000 // LETTER + 1))
    handover.close()
