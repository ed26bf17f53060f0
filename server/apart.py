"""Runs what may crash in a process of its own: a damaged model ends that process, and not the server."""

import contextlib
import ctypes
import faulthandler
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

import orjson

from server.errors import BundleError, StartError, one_line

MEGABYTE: Final = 1_000_000
PR_SET_PDEATHSIG: Final = 1  # prctl(2)
MAX_TOLD: Final = 32_768  # bytes that come back: what a pipe takes without a reader
DEFAULT_ACTION: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR1)


@dataclass(frozen=True, slots=True)
class Task:
    """What is said of a function that failed.

    What its process did, and what it means where that ended in an unusual way; what is said where it was late
    (`{seconds}`), or took more than its `{memory}` (MB).
    """

    did: str
    meaning: str
    late: str
    memory: str


TRIAL: Final = Task(
    "tried the model",
    "the model is damaged, or this machine cannot run it",
    "The model was not tried within {seconds:g} seconds; see BRINERY_TRIAL_TIMEOUT.",
    "The model takes more than {memory} MB of memory; see BRINERY_TRIAL_MEMORY.",
)


class Apart:
    """A function in a child process: begins at once.

    The child may take `memory` bytes more than we have now, and no longer than `seconds`, which whoever waits looks
    after by `overdue`. `outcome` tells how it ended, in the words of its `task`.
    """

    def __init__(self, function: Callable[[], object], *, memory: int, seconds: float, task: Task = TRIAL) -> None:
        self._seconds, self._task = seconds, task
        self._until = time.monotonic() + seconds
        self._told, telling = os.pipe()
        sys.stdout.flush()
        try:
            self.pid = os.fork()
        except OSError:
            os.close(self._told)
            os.close(telling)
            raise
        if self.pid == 0:
            os.close(self._told)
            _run(function, telling, memory, task)
        os.close(telling)

    def overdue(self) -> bool:
        """Tell whether it should have ended; then it is ended, and soon will have."""
        if time.monotonic() < self._until:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        return True

    def outcome(self, status: int) -> Sequence[str]:
        """Give the reasons why the function failed, none if it did not; `status` is the one that `waitpid` gave."""
        os.set_blocking(self._told, False)  # what the child has started may still hold the other end
        with os.fdopen(self._told, "rb", buffering=0) as told:
            text = told.read(MAX_TOLD)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0 and text:
            reasons: list[str] = orjson.loads(text)
            return reasons
        if time.monotonic() >= self._until:
            return (self._task.late.format(seconds=self._seconds),)
        meaning = self._task.meaning
        if os.WIFSIGNALED(status):
            ended = f"by {signal.Signals(os.WTERMSIG(status)).name}"
            if os.WTERMSIG(status) == signal.SIGKILL:
                meaning = "mostly for want of memory; raise the limit on it"
        else:
            ended = f"with status {os.waitstatus_to_exitcode(status)}"
        return (f"The process that {self._task.did} ended {ended}: {meaning}.",)

    def wait(self) -> Sequence[str]:
        """Wait for the end; see `outcome`."""
        poller = select.poll()
        poller.register(self._told, select.POLLIN)
        poller.poll(max(0.0, self._until - time.monotonic()) * 1_000)
        while True:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            if ended:
                return self.outcome(status)
            self.overdue()
            time.sleep(0.001)


def _run(function: Callable[[], object], telling: int, memory: int, task: Task) -> NoReturn:
    """Be the child."""
    try:
        faulthandler.disable()
        signal.set_wakeup_fd(-1)
        for number in DEFAULT_ACTION:
            signal.signal(number, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is logged here is logged again where it serves
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # it is of no use to anybody else
        _limit_memory(memory)
        try:
            function()
            reasons: Sequence[str] = ()
        except BundleError as error:
            reasons = error.reasons
        except StartError as error:
            reasons = (str(error),)
        except MemoryError:
            reasons = (task.memory.format(memory=memory // MEGABYTE),)
        except Exception as error:  # whatever it is, it is to be told
            reasons = (f"The bundle cannot be served: {one_line(error)}.",)
        text = orjson.dumps(list(reasons))
        os.write(telling, text if len(text) <= MAX_TOLD else orjson.dumps(["The bundle cannot be served."]))
        os._exit(0)
    finally:
        os._exit(1)


def _limit_memory(memory: int) -> None:
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    limit = taken + memory
    resource.setrlimit(resource.RLIMIT_AS, (limit if most == resource.RLIM_INFINITY else min(limit, most), most))
