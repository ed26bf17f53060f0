"""How many CPUs this process may use: its cgroup's quota, not the node's cores."""

import math
import os
from pathlib import Path

CGROUP_ROOT = Path("/sys/fs/cgroup")


def available_cpus(cgroup_root: Path = CGROUP_ROOT) -> int:
    """Give the number of CPUs that this process may use, at least 1; a quota is rounded up to whole CPUs.

    The least of the CPU affinity and the quotas of cgroup v2 (`cpu.max`) and v1 (`cpu.cfs_quota_us`). Inside a
    container the root of the cgroup file system is the container's own cgroup.
    Formats: the kernel's `admin-guide/cgroup-v2` and `scheduler/sched-bwc`.
    """
    limits = [float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)]
    for folder in (cgroup_root, cgroup_root / "cpu", cgroup_root / "cpu,cpuacct"):
        limits.extend(_quotas(folder))
    return max(1, math.ceil(min(limits)))


def _quotas(folder: Path) -> list[float]:
    """Give the quotas, in CPUs, that stand in one cgroup's folder: none, one, or by both versions."""
    quotas = []
    for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        try:
            quota, period = " ".join((folder / name).read_text() for name in names).split()
            if int(quota) > 0:
                quotas.append(int(quota) / int(period))
        except (OSError, ValueError):  # no such file, or `max`: no quota
            continue
    return quotas
