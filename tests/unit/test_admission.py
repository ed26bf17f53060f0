"""Readiness, deadlines and slots."""

import os
import threading
import time

import pytest

from server.admission import Deadline, Readiness, Slots
from server.errors import DeadlineExceeded


def test_readiness() -> None:
    """The server is ready until it is asked to drain."""
    readiness = Readiness()
    assert not readiness.draining
    readiness.drain()
    assert readiness.draining


def test_readiness_is_shared_by_processes() -> None:
    """A process that was forked sees its parent drain, and the other way round."""
    readiness = Readiness()
    child = os.fork()
    if not child:
        readiness.drain()
        os._exit(0)
    os.waitpid(child, 0)
    assert readiness.draining


def test_deadline() -> None:
    """A deadline has a moment, before which nothing happens."""
    deadline = Deadline(60)
    assert 59 < deadline.remaining() <= 60
    deadline.check()


def test_passed_deadline() -> None:
    """A deadline that has passed leaves no time and raises a sentence that tells its seconds."""
    deadline = Deadline(0)
    assert deadline.remaining() == 0
    with pytest.raises(DeadlineExceeded, match="longer than its 0 seconds"):
        deadline.check()


def test_slots_bound_what_goes_on_at_once() -> None:
    """No more than the slots are held at once; whoever finds none waits until his deadline."""
    slots = Slots(1)
    with slots.one(Deadline(1)), pytest.raises(DeadlineExceeded), slots.one(Deadline(0.01)):
        pass
    with slots.one(Deadline(0.01)):
        pass


def test_slot_is_given_back_after_an_error() -> None:
    """An error inside gives the slot back."""
    slots = Slots(1)
    with pytest.raises(ValueError, match="inside"), slots.one(Deadline(1)):
        raise ValueError("inside")
    with slots.one(Deadline(0.01)):
        pass


def test_waiting_gets_the_next_slot() -> None:
    """Whoever waits goes on as soon as a slot is free."""
    slots, entered = Slots(1), threading.Event()

    def wait() -> None:
        with slots.one(Deadline(10)):
            entered.set()

    thread = threading.Thread(target=wait)
    with slots.one(Deadline(1)):
        thread.start()
        time.sleep(0.02)
        assert not entered.is_set()
    thread.join(5)
    assert entered.is_set()
