"""CPUs by the cgroup's quota."""

import os
from pathlib import Path

import pytest

from server.cpus import available_cpus


@pytest.fixture(autouse=True)
def eight_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the machine have eight CPUs."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param({}, 8, id="no cgroup"),
        pytest.param({"cpu.max": "max 100000\n"}, 8, id="v2 without a quota"),
        pytest.param({"cpu.max": "200000 100000\n"}, 2, id="v2 whole"),
        pytest.param({"cpu.max": "150000 100000\n"}, 2, id="v2 is rounded up"),
        pytest.param({"cpu.max": "10000 100000\n"}, 1, id="v2 below one"),
        pytest.param({"cpu.max": "1600000 100000\n"}, 8, id="v2 above the machine"),
        pytest.param({"cpu.max": "nonsense\n"}, 8, id="v2 not understood"),
        pytest.param({"cpu.max": ""}, 8, id="v2 empty"),
        pytest.param({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8, id="v1 without a quota"),
        pytest.param({"cpu/cpu.cfs_quota_us": "250000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3, id="v1"),
        pytest.param({"cpu/cpu.cfs_quota_us": "250000\n"}, 8, id="v1 without a period"),
        pytest.param(
            {"cpu,cpuacct/cpu.cfs_quota_us": "100000\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"},
            1,
            id="v1 by both names",
        ),
        pytest.param(
            {
                "cpu.max": "400000 100000\n",
                "cpu/cpu.cfs_quota_us": "300000\n",
                "cpu/cpu.cfs_period_us": "100000\n",
            },
            3,
            id="both versions",
        ),
    ],
)
def test_available_cpus(tmp_path: Path, files: dict[str, str], expected: int) -> None:
    """The least of the machine's CPUs and the quotas of both versions counts, rounded up to whole CPUs."""
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    assert available_cpus(tmp_path) == expected


def test_affinity_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is bound to fewer CPUs than its quota has those."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3})
    (tmp_path / "cpu.max").write_text("400000 100000\n")
    assert available_cpus(tmp_path) == 1


def test_this_machine() -> None:
    """Where we run, there is at least one CPU."""
    assert available_cpus() >= 1
