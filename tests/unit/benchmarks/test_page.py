"""Ratios, tables, the picture, and the page that they stand on."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import page
from benchmarks.__main__ import PAGE, PICTURE, RESULTS
from benchmarks.plot import Group, draw, short, ticks
from benchmarks.points import (
    ANCHOR,
    ASGI,
    BARE_ASGI,
    BARE_WSGI,
    ESTIMATOR,
    MLFLOW,
    NAIVE,
    OIP,
    WSGI,
    Point,
    is_measured,
    points,
)
from benchmarks.results import Results, Series, Subject

MANY = Point(8, 1000)


def series(*per_second: float, p99_ms: float = 2.0) -> Series:
    count = len(per_second)
    return Series(list(per_second), [1.0] * count, [p99_ms] * count)


@pytest.fixture(name="results")
def _results() -> Results:
    subject = Subject(
        "oak", "oak & ash", "forest", {ASGI: 3.0, WSGI: 2.0, NAIVE: 2.0}, {ASGI: 60.0, WSGI: 50.0, NAIVE: 100.0}
    )
    subject.series = {
        (ASGI, ANCHOR): series(900, 1200, 100),
        (WSGI, ANCHOR): series(300, 400, 90),
        (NAIVE, ANCHOR): series(100, 100, 100),
        (BARE_ASGI, ANCHOR): series(1800, 2400, 2000),
        (ESTIMATOR, ANCHOR): series(450, 600, 500),
        (OIP, ANCHOR): series(450, 1200, 100),
        (MLFLOW, ANCHOR): series(450, 600, 50),
        (ASGI, MANY): series(8, 8, 8, p99_ms=3.0),
        (NAIVE, MANY): series(10, 10, 10),
    }
    about = {"measured_on": "2026-01-31", "cpus": 2, "python": "3.13.0", "scikit-learn": "1.9.1", "gunicorn": "27.0.1"}
    return Results({**about, "seconds": 1, "repeats": 3}, [subject])


def test_a_ratio_is_that_of_neighbours_in_time(results: Results) -> None:
    """Each repeat is compared with the other's same repeat, and the median counts."""
    subject = results.subjects[0]
    assert subject.ratio(ASGI, NAIVE, ANCHOR) == 9
    assert subject.ratio(ASGI, WSGI, MANY) is None
    assert subject.latency_ratio(ASGI, NAIVE, MANY, "p99_ms") == 1.5
    assert subject.latency_ratio(WSGI, NAIVE, MANY, "p99_ms") is None


def test_results_are_read_as_they_were_written(results: Results, tmp_path: Path) -> None:
    """The file holds all that the page is made of."""
    results.write(tmp_path / "results.json")
    assert Results.read(tmp_path / "results.json") == results


def test_what_is_slower_is_said(results: Results) -> None:
    """Each comparison has a sentence, with what lost and by how much, or `nowhere`."""
    said = page.slower(results)
    assert said[0] == "Fewer requests a second than the naive application, event loop: oak & ash (1000 rows), 0.80."
    assert said[1] == "Fewer requests a second than the naive application, threads: nowhere."
    assert said[2] == "Fewer requests a second than threads, event loop: nowhere."
    assert (
        said[3] == "Longer for 99 of 100 requests than the naive application, event loop: oak & ash (1000 rows), 1.5."
    )
    assert (
        said[5]
        == "Always slower than the bare floor: one row on 8 connections gets between 0.50 and 0.50 of its requests."
    )
    assert said[6] == "More memory than the naive application: nowhere."
    assert (
        said[7]
        == "Longer to the first answer than the naive application: event loop, with 1 of 1 estimators, up to 1.5 times."
    )


def test_tables_have_a_column_for_what_was_measured(results: Results) -> None:
    """A front that was not measured at a load has no column, and no table has a row too long."""
    text = page.figures(results)
    assert "| oak & ash | 9.0 | 0.80 | 3.0 |" in text
    assert "| Open Inference Protocol v2 | 1.0 |\n| MLflow | 0.50 |\n" in text
    for block in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE):
        assert len({line.count("|") for line in block.splitlines()}) == 1, block


def test_the_figures_take_the_place_of_older_ones() -> None:
    """What stands around the marks stays, however often the page is written."""
    before = f"# Speed\n\n{page.BEGIN}\nold\n{page.END}\n\nAfter.\n"
    once = page.inserted(before, "new\n")
    assert once == f"# Speed\n\n{page.BEGIN}\n\nnew\n\n{page.END}\n\nAfter.\n"
    assert page.inserted(once, "new\n") == once
    with pytest.raises(ValueError, match="marks"):
        page.inserted("# Speed", "new")


def test_the_committed_page_is_made_of_the_committed_results() -> None:
    """Nobody has changed a figure by hand: `python -m benchmarks --render` writes page and picture again."""
    results = Results.read(RESULTS)
    text = PAGE.read_text(encoding="utf-8")
    assert page.inserted(text, page.figures(results)) == text
    assert PICTURE.read_text(encoding="utf-8") == page.picture(results)


def test_the_picture_is_xml_with_a_bar_for_each_value() -> None:
    """A value that was not measured has no bar, and a name may hold any character."""
    text = draw("a < b", ["one", "two"], [Group("oak & ash", [0.5, 20.0]), Group("elm", [3.0, None])])
    root = ElementTree.fromstring(text)  # noqa: S314  # it was written here
    bars = [each for each in root.iter("{http://www.w3.org/2000/svg}rect") if each.get("height") == "13"]
    assert len(bars) == 3
    assert all(float(bar.get("width", "0")) >= 1 for bar in bars)
    assert "oak & ash" in [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize(
    ("least", "most", "expected"),
    [
        pytest.param(1, 2, [1, 2], id="edges"),
        pytest.param(0.9, 45, [0.5, 1, 2, 5, 10, 20, 50], id="between"),
        pytest.param(0.07, 0.1, [0.05, 0.1], id="small"),
    ],
)
def test_the_scale_covers_the_values(least: float, most: float, expected: list[float]) -> None:
    """It goes by 1, 2 and 5."""
    assert ticks(least, most) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("ratio", "text"), [(0.123, "0.12"), (0.999, "1.0"), (9.94, "9.9"), (9.96, "10"), (123.4, "123")]
)
def test_ratios_have_two_digits_or_a_whole_number(ratio: float, text: str) -> None:
    """More would be noise."""
    assert short(ratio) == text


def test_points_are_measured_once() -> None:
    """One row on eight connections belongs to both series."""
    assert points([1, 8], [1, 100]) == [Point(1, 1), Point(8, 1), Point(8, 100)]


def test_every_target_has_a_ratio_at_the_anchor() -> None:
    """The thread workers' floor alone is measured beside one estimator only; the estimator has no connections."""
    targets = (ASGI, WSGI, NAIVE, BARE_ASGI, ESTIMATOR)
    assert all(is_measured(target, ANCHOR, with_floors=False) for target in targets)
    assert not is_measured(BARE_WSGI, ANCHOR, with_floors=False)
    assert is_measured(BARE_WSGI, ANCHOR, with_floors=True)
    assert not is_measured(WSGI, Point(32, 1), with_floors=True)
    assert not is_measured(ESTIMATOR, Point(64, 1), with_floors=True)
    assert is_measured(MLFLOW, ANCHOR, with_floors=True)
    assert not is_measured(MLFLOW, ANCHOR, with_floors=False)
    assert not is_measured(MLFLOW, MANY, with_floors=True)
