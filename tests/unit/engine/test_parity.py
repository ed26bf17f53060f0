"""What an engine is compared with its estimator on, and which differences count."""

import math
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from server.columns import Row
from server.engine import Evaluation
from server.engine.compiled import Compiled
from server.engine.parity import ALONE_ROWS, DRAWN_ROWS, REFUSALS, UNSEEN, compare, compare_together, draw_rows
from server.parameter import Parameter
from tests.models import boolean, category, integer, number

BOUNDED = {"minimum": -5.0, "maximum": 5.0}


class Sums:
    """Evaluates each row as a function of its numbers; notes what it is asked for."""

    name = "sums"
    serial = True

    def __init__(
        self,
        function: Callable[[Any], Any] = lambda x: x.sum(axis=1, keepdims=True),
        classes: Callable[[Any], Any] = lambda x: x[:, :1] > 0,
    ) -> None:
        self._function, self._classes = function, classes
        self.asked: list[Sequence[Row]] = []

    def evaluate(self, rows: Sequence[Row], *, with_classes: bool = False) -> Evaluation:
        self.asked.append(rows)
        x = np.array(rows, dtype=np.float64)
        return Evaluation([self._function(x)], self._classes(x) if with_classes else None)


def finite(x: Any) -> Any:
    """Give sums, or refuse numbers that are not finite, or beyond float32."""
    if not (np.abs(x) < 3.4e38).all():
        raise ValueError
    return x.sum(axis=1, keepdims=True)


def compared(
    oracle: Sums, ours: Sums, *parameters: Parameter, exact: bool = True, thresholds: Sequence[Any] = ()
) -> Any:
    """Compare two evaluators."""
    return compare(oracle, parameters, Compiled(ours, parameters, exact, thresholds))


def test_drawn_rows_are_accepted_and_always_the_same() -> None:
    """Rows are drawn of what the signature accepts: every label, null, unknown ones, numbers within their bounds."""
    parameters = [
        number("a", **BOUNDED),
        integer("b", minimum=-3, maximum=40, multiple_of=5),
        boolean("c", nullable=True),
        category("d", ["red", "green", "blue"], open=True, unseen_code=7, nullable=True, null_code=9),
        category("e", [1, 2], open=True),
        number("f", nullable=True, minimum=-1e300, maximum=1e300),
    ]
    rows = draw_rows(parameters, 10_000)
    assert len(rows) >= DRAWN_ROWS
    assert repr(rows) == repr(draw_rows(parameters, 10_000))
    assert repr(draw_rows(parameters, 7)) == repr(rows[:7])
    columns: list[Any] = list(zip(*rows, strict=True))
    assert all(-5 <= value <= 5 for value in columns[0])
    assert len(set(columns[0])) > 100
    assert set(columns[1]) == {0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0, 40.0}
    assert {str(value) for value in columns[2]} == {"True", "False", "nan"}
    assert set(columns[3]) == {0, 1, 2, 7, 9}
    assert set(columns[4]) == {0, 1, -1_234_567}
    assert any(math.isnan(value) for value in columns[5])
    assert max(abs(value) for value in columns[5] if not math.isnan(value)) > 1_000


def test_an_open_category_of_texts() -> None:
    """An unknown label is drawn as it is where the estimator's encoder takes any text."""
    assert {row[0] for row in draw_rows([category("a", codes=["r", "g"], open=True)], 300)} == {"r", "g", UNSEEN}


def test_thresholds_and_what_is_beside_them() -> None:
    """Every threshold, and the numbers beside it in both precisions, stand in some row; those out of bounds do not."""
    thresholds = [np.array([0.1, 1.0, 7.0]), np.empty(0)]
    oracle, ours = Sums(finite), Sums(finite)
    assert compared(oracle, ours, number("a", **BOUNDED), number("b", **BOUNDED), thresholds=thresholds).fault is None
    asked: set[Any] = {row[0] for row in ours.asked[0]}
    single = np.float32(0.1)
    assert {0.1, math.nextafter(0.1, 1), math.nextafter(0.1, 0), 1.0} <= asked
    assert {float(np.nextafter(single, np.float32(1))), float(np.nextafter(single, np.float32(0)))} <= asked
    assert 7.0 not in asked
    assert all(-5 <= value <= 5 for value in asked)


def test_more_thresholds_than_rows() -> None:
    """As many rows are drawn as the parameter with the most thresholds needs."""
    oracle, ours = Sums(finite), Sums(finite)
    thresholds = [np.linspace(-4, 4, 300)]
    comparison = compared(oracle, ours, number("a", **BOUNDED), thresholds=thresholds)
    assert comparison.fault is None
    assert comparison.rows > 1_500
    assert set(thresholds[0].tolist()) <= {row[0] for row in ours.asked[0]}


def test_rows_are_asked_for_together_and_some_alone() -> None:
    """All rows are asked for together, some of them alone, and then what both are to refuse."""
    oracle, ours = Sums(finite), Sums(finite)
    comparison = compared(oracle, ours, number("a", **BOUNDED), boolean("b"))
    together, *alone = [len(rows) for rows in ours.asked]
    assert together >= DRAWN_ROWS
    assert set(alone) == {1}
    assert len(alone) >= ALONE_ROWS + len(REFUSALS)
    assert comparison.rows == together + len(REFUSALS)


def step(x: Any, by: float) -> Any:
    """Give sums, of which those of large numbers differ by a step."""
    return finite(x) + np.where(x[:, :1] > 4, by, 0)


@pytest.mark.parametrize(
    ("ours", "exact", "fault"),
    [
        pytest.param(Sums(finite), True, None, id="the same"),
        pytest.param(Sums(lambda x: np.nextafter(finite(x), 9)), True, "its numbers differ by up to", id="one bit"),
        pytest.param(Sums(lambda x: np.nextafter(finite(x), 9)), False, None, id="one bit of what is not exact"),
        pytest.param(Sums(lambda x: step(x, 1e-9)), False, "its numbers differ by up to", id="some numbers"),
        pytest.param(Sums(finite, lambda x: x[:, :1] > 4.5), True, "it predicts other labels", id="some labels"),
        pytest.param(Sums(lambda x: finite(x)[:, 0]), True, "its answer has another shape", id="shape"),
        pytest.param(Sums(lambda x: step(x, math.inf)), True, "its answer is finite where the", id="infinite"),
        pytest.param(Sums(lambda x: step(x, math.nan)), False, "its answer is finite where the", id="no number"),
        pytest.param(Sums(), True, "it does not refuse nan alike", id="refuses nothing"),
        pytest.param(
            Sums(lambda x: finite(np.nan_to_num(x, posinf=3.5e38, neginf=-3.5e38))),
            True,
            "it does not refuse nan alike",
            id="refuses less",
        ),
        pytest.param(
            Sums(lambda x: finite(x * np.where(np.abs(x) > 4.9, 1e38, 1))),
            True,
            "it refuses rows that the estimator takes",
            id="refuses more",
        ),
    ],
)
def test_what_counts_as_a_difference(ours: Sums, exact: bool, fault: str | None) -> None:
    """Numbers count by their bits or by 1e-12, labels, shapes and refusals always; the first difference is told."""
    comparison = compared(Sums(finite), ours, number("a", **BOUNDED), exact=exact)
    assert comparison.fault is None if fault is None else comparison.fault.startswith(fault)


@pytest.mark.parametrize(
    ("size", "difference", "fault"),
    [
        pytest.param(1e6, 5e-7, False, id="large numbers, by their size"),
        pytest.param(1e6, 5e-6, True, id="large numbers, too much"),
        pytest.param(1e-6, 5e-13, False, id="small numbers, by themselves"),
        pytest.param(1e-6, 5e-12, True, id="small numbers, too much"),
    ],
)
def test_the_tolerance(size: float, difference: float, fault: bool) -> None:
    """What is not exact may differ by 1e-12, of the number itself where that is above 1."""
    oracle = Sums(lambda x: finite(x) * 0 + size)
    ours = Sums(lambda x: finite(x) * 0 + size + difference)
    comparison = compared(oracle, ours, number("a", **BOUNDED), exact=False)
    assert (comparison.fault is not None) == fault
    assert comparison.largest_difference == pytest.approx(difference / max(1.0, size), rel=1e-3)


def test_what_both_take_of_the_refusals_is_compared() -> None:
    """Where a number beyond all bounds is taken by both, their answers to it must be the same."""
    oracle, ours = Sums(np.isnan), Sums(lambda x: np.isnan(x) | (x == -1e300))
    assert compared(oracle, ours, number("a", **BOUNDED)).fault == "of -1e+300, its numbers differ by up to 1"


def test_an_oracle_that_is_slow_is_asked_for_fewer_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """An estimator that takes a second for a row is asked for a few rows only, so that the start ends."""
    oracle, ours, now = Sums(finite), Sums(finite), [0.0]

    def tick() -> float:
        now[0] += 1
        return now[0]

    monkeypatch.setattr("server.engine.parity.time", SimpleNamespace(perf_counter=tick))
    comparison = compared(oracle, ours, number("a", **BOUNDED), thresholds=[np.linspace(-4, 4, 300)])
    assert comparison.rows == ALONE_ROWS + len(REFUSALS)


def test_rows_together_and_alone() -> None:
    """Rows may share an evaluation if each gets what it gets alone, within rounding."""
    rows: list[Row] = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
    assert compare_together(Sums(), rows).fault is None
    together = compare_together(Sums(lambda x: x - x.mean()), rows)
    assert together.fault is not None
    assert together.fault.startswith("its numbers differ by up to")
    labels = compare_together(Sums(classes=lambda x: x[:, :1] > x.mean()), rows)
    assert labels.fault == "it predicts other labels"
    assert compare_together(Sums(lambda x: _only(x, len(x) == 1)), rows).fault == "it does not take several rows"
    assert compare_together(Sums(lambda x: _only(x, len(x) > 1)), rows).fault == "it does not take a row alone"


def _only(x: Any, taken: bool) -> Any:
    if not taken:
        raise ValueError
    return x
