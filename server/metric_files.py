"""The files in which workers count, and what becomes of a dead worker's.

Prometheus' client gives every process a file of its own for each kind of metric, and the page adds up all of them. A
dead worker's counts must stay, or counters would go down; but files that nobody writes to any more are to be one, or
the page would take longer with every worker that ever was. Format: `prometheus_client.mmap_dict`.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from prometheus_client import multiprocess
from prometheus_client.mmap_dict import MmapedDict

SUMMED: Final = ("counter", "histogram")
OF_THE_DEAD: Final = 0  # no process of ours has this id
LOCK: Final = "lock"
USED: Final = 4  # bytes at the start of a file that tell how much of it is written


class MetricFiles:
    """The folder `PROMETHEUS_MULTIPROC_DIR`, or nothing where one process counts for itself."""

    def __init__(self, folder: str | None) -> None:
        self._folder = Path(folder) if folder else None
        self._dead: set[int] = set()

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Read: meanwhile no dead worker's counts move from one file to another."""
        if self._folder is None:
            yield
            return
        with (self._folder / LOCK).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
            yield

    def bury(self, pid: int) -> None:
        """Note that a process is dead: its gauges are gone, its counts are moved as soon as `move` finds the time."""
        if self._folder is not None:
            multiprocess.mark_process_dead(pid, str(self._folder))  # type: ignore[no-untyped-call]
            self._dead.add(pid)

    def move(self) -> None:
        """Move the counts of the dead into one file of each kind, unless somebody reads just now.

        Where the disk is full, or the folder gone, that waits as well; nothing is raised.
        """
        if self._folder is None or not self._dead:
            return
        with contextlib.suppress(OSError), (self._folder / LOCK).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for pid in list(self._dead):
                for kind in SUMMED:
                    _add(self._folder / f"{kind}_{pid}.db", self._folder / f"{kind}_{OF_THE_DEAD}.db")
                self._dead.discard(pid)


def _add(source: Path, target: Path) -> None:
    """Add the counts in one file to those in another, and remove the one."""
    if not source.exists():
        return
    if not any(source.read_bytes()[:USED]):  # its writer died before the first count: no reader can take it
        source.unlink()
        return
    with contextlib.closing(MmapedDict(os.fspath(target))) as total:  # type: ignore[no-untyped-call]
        for key, value, timestamp, _ in MmapedDict.read_all_values_from_file(os.fspath(source)):  # type: ignore[no-untyped-call]
            so_far, _ = total.read_value(key)  # type: ignore[no-untyped-call]
            total.write_value(key, so_far + value, timestamp)  # type: ignore[no-untyped-call]
    source.unlink()
