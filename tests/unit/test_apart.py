"""What a function in a child process comes to."""

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from server.apart import MAX_TOLD, Apart
from server.errors import BundleError

GIGABYTE = 2**30


def outcome(function: Callable[[], object], *, memory: int = GIGABYTE, seconds: float = 30.0) -> list[str]:
    """Run a function and give its reasons."""
    return list(Apart(function, memory=memory, seconds=seconds).wait())


def refuse(*reasons: str) -> Callable[[], object]:
    """Make a function that refuses a bundle."""

    def function() -> None:
        raise BundleError(*reasons)

    return function


def test_success() -> None:
    """Nothing is to be said where the function returns, whatever it gives."""
    assert outcome(lambda: object()) == []


def test_refusals_come_back() -> None:
    """The reasons for which a bundle is refused come back, all of them."""
    assert outcome(refuse("One.", "Zw\xf6lf.")) == ["One.", "Zw\xf6lf."]


def test_too_much_to_say() -> None:
    """Reasons without end do not block the child."""
    assert outcome(refuse("x" * MAX_TOLD * 4)) == ["The bundle cannot be served."]


def test_a_process_that_stays(tmp_path: Path) -> None:
    """What the child has started and left behind keeps nobody waiting."""
    note = tmp_path / "pid"

    def leave() -> None:
        pid = os.fork()
        if pid == 0:
            signal.pause()
        note.write_text(str(pid))

    try:
        assert outcome(leave) == []
    finally:
        os.kill(int(note.read_text()), signal.SIGKILL)


def test_other_errors() -> None:
    """An error that nobody foresaw is a reason too."""
    assert outcome(lambda: 1 / 0) == ["The bundle cannot be served: ZeroDivisionError: division by zero."]


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGSEGV), "ended by SIGSEGV"),
        (lambda: ctypes.string_at(0), "ended by SIGSEGV"),
        (lambda: os.abort(), "ended by SIGABRT"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "ended by SIGKILL: mostly for want of memory"),
        (lambda: os._exit(7), "ended with status 7"),
        (lambda: os._exit(0), "ended with status 0"),
        (lambda: sys.exit(0), "ended with status 1"),
    ],
    ids=["segfault", "null pointer", "abort", "kill", "exit", "silent exit", "SystemExit"],
)
def test_a_child_that_ends(end: Callable[[], object], said: str) -> None:
    """A child that ends in any other way than by an answer is told by how it ended, and we live."""
    (reason,) = outcome(end)
    assert said in reason


def test_too_slow() -> None:
    """What takes too long is ended."""
    (reason,) = outcome(lambda: time.sleep(600), seconds=0.2)
    assert reason == "The model was not tried within 0.2 seconds; see BRINERY_TRIAL_TIMEOUT."


def test_too_much_memory() -> None:
    """What takes more memory than it may is told so."""
    (reason,) = outcome(lambda: bytearray(2**28), memory=2**26)
    assert reason == "The model takes more than 67 MB of memory; see BRINERY_TRIAL_MEMORY."


def test_leaves_nothing_open() -> None:
    """No descriptor is left behind."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    outcome(lambda: None)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """What the function prints is not seen: where it serves it is printed again."""
    outcome(lambda: os.write(1, b"hello"))
    assert capfd.readouterr().out == ""
