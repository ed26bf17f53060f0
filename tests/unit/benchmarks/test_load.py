"""What wrk prints, the bodies that it posts, and what the kernel says about memory."""

import json
from pathlib import Path

import pytest

from benchmarks.load import LoadFailed, Outcome, find_wrk, parse, write_bodies
from benchmarks.processes import pss_of

PRINTED = """\
Running 1s test @ http://127.0.0.1:8000/api/predict
  1 threads and 8 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.93ms    1.06ms  13.97ms   87.50%
Requests/sec:   4321.00
"""


def printed(**said: object) -> str:
    figures = {"requests": 8_600, "seconds": 2.0, "p50_ms": 1.7, "p99_ms": 5.25, "bad_status": 0, "broken": 0}
    return PRINTED + json.dumps({**figures, **said}) + "\n"


def test_the_last_line_is_read() -> None:
    """Requests a second are counted over the time that the run took."""
    assert parse(printed()) == Outcome(4_300, 1.7, 5.25)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        pytest.param(printed(bad_status=3), "3 answers were no success", id="statuses"),
        pytest.param(printed(broken=2), "2 connections broke", id="connections"),
        pytest.param(printed(requests=0), "no answer came", id="nothing"),
        pytest.param(PRINTED, "in place of figures", id="no figures"),
        pytest.param("", "in place of figures", id="empty"),
    ],
)
def test_a_run_that_measured_something_else_is_no_figure(output: str, message: str) -> None:
    """Answers that failed would look fast: the run counts for nothing."""
    with pytest.raises(LoadFailed, match=message):
        parse(output)


def test_without_wrk_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is measured by other means."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match="apt install wrk"):
        find_wrk()


@pytest.mark.parametrize(("batch", "bodies"), [(1, 10), (2, 5), (4, 4), (100, 4)])
def test_bodies_are_lines_of_as_many_rows(batch: int, bodies: int, tmp_path: Path) -> None:
    """One row is an object; more are an array, and there are some of them however many rows each has."""
    rows = [f'{{"x":{number}}}' for number in range(10)]
    write_bodies(rows, batch, tmp_path / "bodies")
    found = [json.loads(line) for line in (tmp_path / "bodies").read_text().splitlines()]
    assert len(found) == bodies
    assert found[0] == ({"x": 0} if batch == 1 else [{"x": number % 10} for number in range(batch)])
    if batch > 1:
        assert all(len(body) == batch for body in found)


def test_the_proportional_size_is_read() -> None:
    """The line of the whole counts, not those of its parts."""
    text = "5581-7ffd ---p 00000000 00:00 0 [rollup]\nRss:   9000 kB\nPss:    4321 kB\nPss_Anon:   1000 kB\n"
    assert pss_of(text.splitlines()) == 4321
    assert pss_of([]) == 0
