"""Where workers count, and what becomes of the counts of the dead."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

from server.metric_files import LOCK, MetricFiles

COUNT = """
import sys
from server.telemetry import Telemetry
telemetry = Telemetry()
telemetry.in_flight.inc()
for number in range(int(sys.argv[1])):
    telemetry.answered("/api/predict", "POST", 200, number / 100)
"""


READ = """
import sys
from server.metric_files import MetricFiles
with MetricFiles(sys.argv[1]).reading():
    print("reads")
"""


def worker(folder: Path, count: int) -> int:
    """Let a process count some requests and die; give its id."""
    environ = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    with subprocess.Popen([sys.executable, "-c", COUNT, str(count)], env=environ) as process:
        assert process.wait() == 0
    return process.pid


def sums(folder: Path) -> dict[str, float]:
    """Give all samples of the page, but for what is a gauge."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(folder))  # type: ignore[no-untyped-call]
    return {
        f"{sample.name}{sample.labels}": sample.value
        for family in registry.collect()
        if family.type != "gauge"
        for sample in family.samples
    }


def test_counts_of_the_dead_stay(tmp_path: Path) -> None:
    """Many die: the sums stay to the last digit, and one file of each kind is left."""
    files = MetricFiles(str(tmp_path))
    dead = [worker(tmp_path, count) for count in (3, 5, 0)]
    before = sums(tmp_path)
    assert before["brinery_http_requests_total{'method': 'POST', 'route': '/api/predict', 'status': '200'}"] == 8
    for pid in dead:
        files.bury(pid)
        files.move()
        assert sums(tmp_path) == before
    assert sorted(each.name for each in tmp_path.glob("*.db")) == ["counter_0.db", "histogram_0.db"]


def test_gauges_of_the_dead_go(tmp_path: Path) -> None:
    """What a dead worker had in flight is no longer counted."""
    pid = worker(tmp_path, 1)
    assert list(tmp_path.glob("gauge_*.db"))
    MetricFiles(str(tmp_path)).bury(pid)
    assert not list(tmp_path.glob("gauge_*.db"))


def test_nothing_moves_while_somebody_reads(tmp_path: Path) -> None:
    """Whoever reads sees each count once: the files wait until he has finished."""
    files = MetricFiles(str(tmp_path))
    pid = worker(tmp_path, 2)
    files.bury(pid)
    with files.reading():
        files.move()
        assert (tmp_path / f"counter_{pid}.db").exists()
    files.move()
    assert not (tmp_path / f"counter_{pid}.db").exists()


def test_nobody_reads_while_something_moves(tmp_path: Path) -> None:
    """Whoever reads waits for what moves."""
    with (tmp_path / LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with subprocess.Popen([sys.executable, "-c", READ, str(tmp_path)], stdout=subprocess.PIPE) as reader:
            with pytest.raises(subprocess.TimeoutExpired):
                reader.wait(1)
            fcntl.flock(lock, fcntl.LOCK_UN)
            assert reader.communicate(timeout=30)[0] == b"reads\n"


def test_large_files(tmp_path: Path) -> None:
    """More series than the first size of a file takes are moved as well."""
    with_many = MmapedDict(str(tmp_path / "counter_77.db"))  # type: ignore[no-untyped-call]
    keys = [f'["m_total", "m_total", {{"label": "{number:0>200}"}}, "help"]' for number in range(1_000)]
    for number, key in enumerate(keys):
        with_many.write_value(key, float(number), 0.0)  # type: ignore[no-untyped-call]
    with_many.close()  # type: ignore[no-untyped-call]
    files = MetricFiles(str(tmp_path))
    files.bury(77)
    files.move()
    values = {key: value for key, value, _, _ in MmapedDict.read_all_values_from_file(str(tmp_path / "counter_0.db"))}  # type: ignore[no-untyped-call]
    assert values == {key: float(number) for number, key in enumerate(keys)}


def test_without_a_folder() -> None:
    """Where one process counts for itself there is nothing to do."""
    files = MetricFiles(None)
    files.bury(1)
    files.move()
    with files.reading():
        pass


def test_what_cannot_be_read(tmp_path: Path) -> None:
    """A file whose writer died before it wrote goes away; a folder that has gone costs no more than the counts."""
    files = MetricFiles(str(tmp_path))
    (tmp_path / "counter_7.db").touch()
    files.bury(7)
    files.move()
    assert not (tmp_path / "counter_7.db").exists()
    gone = MetricFiles(str(tmp_path / "none"))
    gone.bury(8)
    gone.move()
