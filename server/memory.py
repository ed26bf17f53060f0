"""What the workers share: the memory of the process that they are forked from."""

import contextlib
import ctypes
import gc
from pathlib import Path

CGROUP_ROOT = Path("/sys/fs/cgroup")
LIMITS = (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"))


def settle(*, afresh: bool = False) -> None:
    """Give back what the start used up, and see that what is left stays shared after a fork.

    The allocator keeps what was freed, the pickle's own memory most of all, until it is asked for it. And a collector
    that goes through objects after the fork would write to each of them: a page that is written to is copied.
    `afresh` looks at what was settled before as well: some of it is of no more use.
    """
    if afresh:
        gc.unfreeze()
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it
    if trim is not None:
        trim(0)
    gc.freeze()


def free_memory(cgroup_root: Path = CGROUP_ROOT, machine: Path = Path("/proc/meminfo")) -> int:
    """Give the bytes that this machine, or its cgroup where that has a limit, can still give.

    Formats: proc_meminfo(5); the kernel's `admin-guide/cgroup-v2` and `cgroup-v1/memory`.
    """
    lines = (line.split() for line in machine.read_text().splitlines())
    free = [next(int(line[1]) * 1024 for line in lines if line[0] == "MemAvailable:")]
    for limit, used in LIMITS:
        with contextlib.suppress(OSError, ValueError):  # no such file, or `max`: no limit
            free.append(int((cgroup_root / limit).read_text()) - int((cgroup_root / used).read_text()))
    return max(0, min(free))
