"""Readiness and deadlines."""

import os
import time

import pytest

from server.admission import Deadline, Readiness
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


def test_deadline_since() -> None:
    """A deadline may have begun before it was made."""
    assert Deadline(60, since=time.perf_counter() - 50).remaining() <= 10
