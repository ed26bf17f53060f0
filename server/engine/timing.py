"""What an engine costs: measured at boot, so that what is slow is known before it is asked for."""

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from server.columns import Row
from server.engine.evaluator import Evaluator

RUNS: Final = 5
BATCH: Final = 16
LARGEST: Final = 4_096
WEIGHT: Final = 3.0  # times a row alone that a batch should take, so that the difference is more than noise
BUDGET: Final = 0.1  # seconds for one measurement, where a single run does not take longer


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds that an evaluation takes: `first_row` of a row alone, `further_row` of each other row of a batch."""

    first_row: float
    further_row: float

    def of(self, rows: int) -> float:
        """Estimate the seconds that this many rows take; 0 of none."""
        return self.first_row + (rows - 1) * self.further_row if rows else 0.0


def cost_of(evaluator: Evaluator, row: Row, others: Sequence[Row]) -> Cost:
    """Measure an engine on a row alone, and on more and more others together until these weigh in.

    The least of some runs counts: what is more is the machine's noise.
    """
    one = _least(evaluator, [row])
    count = min(BATCH, max(2, int(BUDGET / one)))
    try:
        while True:
            many = _least(evaluator, list(itertools.islice(itertools.cycle(others), count)))
            if many > WEIGHT * one or many > BUDGET or count >= LARGEST:
                break
            count *= 4
    except Exception:  # it takes rows only one by one
        return Cost(one, one)
    return Cost(one, max(0.0, many - one) / (count - 1))


def _least(evaluator: Evaluator, rows: Sequence[Row]) -> float:
    """Give the seconds of the fastest of some runs, of fewer where they are long."""
    least, total = float("inf"), 0.0
    for _ in range(RUNS):
        start = time.perf_counter()
        evaluator.evaluate(rows)
        took = time.perf_counter() - start
        least, total = min(least, took), total + took
        if total > BUDGET:
            break
    return least
