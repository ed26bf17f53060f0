"""What an engine costs, by a clock that goes as the test wants."""

import itertools
from collections.abc import Callable, Sequence
from types import SimpleNamespace

import pytest

from server.columns import Row
from server.engine import Evaluation
from server.engine.timing import BATCH, BUDGET, RUNS, Cost, cost_of

ROW: Row = [1.0]


class Taking:
    """An engine that takes some seconds for a number of rows, another time each call if a test wants that."""

    name = "taking"
    serial = True

    def __init__(self, seconds: Callable[[int], float]) -> None:
        self._seconds = seconds
        self.now = 0.0
        self.calls: list[int] = []

    def evaluate(self, rows: Sequence[Row], *, with_classes: bool = False) -> Evaluation:
        assert not with_classes
        self.calls.append(len(rows))
        self.now += self._seconds(len(rows))
        return Evaluation()


def measured(monkeypatch: pytest.MonkeyPatch, seconds: Callable[[int], float]) -> tuple[Cost, list[int]]:
    """Measure an engine; give its cost, and how many rows each call had."""
    engine = Taking(seconds)
    monkeypatch.setattr("server.engine.timing.time", SimpleNamespace(perf_counter=lambda: engine.now))
    return cost_of(engine, ROW, [ROW]), engine.calls


def test_a_fast_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fast engine is run a few times on a row alone and on a batch; a further row is what it adds."""
    cost, calls = measured(monkeypatch, lambda rows: 0.001 + (rows - 1) * 0.0001)
    assert cost.first_row == pytest.approx(0.001)
    assert cost.further_row == pytest.approx(0.0001)
    assert calls == [1] * RUNS + [BATCH] * RUNS + [4 * BATCH] * RUNS


def test_the_fastest_run_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several runs the least counts: the first one warms up, and others are disturbed."""
    disturbances = itertools.cycle([0.02, 0.0, 0.004, 0.0, 0.001])
    cost, _ = measured(monkeypatch, lambda rows: 0.001 * rows + next(disturbances))
    assert cost.first_row == pytest.approx(0.001)
    assert cost.further_row == pytest.approx(0.001)


def test_a_slow_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that takes longer than the budget is run once, and its batch is as small as can be."""
    cost, calls = measured(monkeypatch, lambda rows: 2 * BUDGET * rows)
    assert calls == [1, 2]
    assert cost == Cost(pytest.approx(2 * BUDGET), pytest.approx(2 * BUDGET))  # type: ignore[arg-type]  # it compares


def test_an_engine_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch has as many rows as fit into the budget were each as slow as one alone."""
    _, calls = measured(monkeypatch, lambda rows: BUDGET / 10.5 * rows)
    assert set(calls) == {1, 10}


def test_rows_that_get_cheaper_cost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A further row costs nothing, never less, where a batch took no longer than a row."""
    cost, _ = measured(monkeypatch, lambda rows: 0.001 / rows)
    assert cost.further_row == 0


def test_an_engine_that_takes_one_row_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a batch fails, each row costs what one does."""

    def seconds(rows: int) -> float:
        if rows > 1:
            raise ValueError
        return 0.002

    cost, _ = measured(monkeypatch, seconds)
    assert cost.first_row == cost.further_row == pytest.approx(0.002)


def test_an_estimate() -> None:
    """An estimate is the first row's cost and that of each further one; nothing for no rows."""
    cost = Cost(1.0, 0.25)
    assert [cost.of(rows) for rows in (0, 1, 2, 5)] == [0.0, 1.0, 1.25, 2.0]
