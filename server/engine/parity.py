"""The estimator as the oracle: a compiled engine serves only if it answers as the estimator itself does.

Compared at boot, on rows drawn from the signature, on the numbers at which trees decide and one step beside them, on
missing values and unseen labels, and on what the estimator refuses.
"""

import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from server.columns import Row
from server.engine.compiled import Compiled
from server.engine.evaluator import Evaluation, Evaluator
from server.parameter import REFUSED, Absent, Code, Kind, Parameter, Scalar

DRAWN_ROWS: Final = 256
ALONE_ROWS: Final = 16
BUDGET: Final = 10.0  # seconds of the oracle, were all its rows as slow as one alone
TOLERANCE: Final = 1e-12  # of what is not exact, relative to the number where that is above 1
UNSEEN: Final = "\N{REPLACEMENT CHARACTER} not seen"
# Numbers that a JSON text may not hold or a schema refuses, and an estimator too: missing, infinite, beyond float32.
REFUSALS: Final = (math.nan, math.inf, -math.inf, 3.5e38, -1e300)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What comparing an engine with its estimator showed; `fault` says what differs, None if nothing does."""

    rows: int = 0
    largest_difference: float = 0.0
    fault: str | None = None
    exact: bool = False  # compared to the last bit


def compare(oracle: Evaluator, parameters: Sequence[Parameter], compiled: Compiled) -> Comparison:
    """Compare a compiled engine with its oracle, whose codes are those of `parameters`."""
    values = _draw(parameters, compiled.thresholds or [np.empty(0)] * len(parameters))
    values = values[: _affordable(oracle, _encoded(parameters, values[:1]))]
    theirs, ours = _encoded(parameters, values), _encoded(compiled.parameters, values)
    expected = oracle.evaluate(theirs, with_classes=True)
    answered = _answer(compiled.evaluator, ours)
    if answered is None:
        return Comparison(len(ours), math.inf, "it refuses rows that the estimator takes")
    comparison = _compare(expected, answered, len(ours), exact=compiled.exact)
    if comparison.fault is None:
        for index in range(0, len(ours), max(1, len(ours) // ALONE_ROWS)):  # one row goes another way than many
            alone = _answer(compiled.evaluator, ours[index : index + 1])
            same = expected.part(index, index + 1)
            if alone is None or _compare(same, alone, 1, exact=compiled.exact).fault is not None:
                return Comparison(len(ours), comparison.largest_difference, "it answers a row alone differently")
        comparison = _compare_refusals(oracle, parameters, compiled, theirs[0], ours[0], comparison)
        comparison = replace(comparison, exact=compiled.exact)
    return comparison


def _affordable(oracle: Evaluator, rows: Sequence[Row]) -> int:
    """Tell how many rows an oracle may be asked for: of a very slow one fewer, so that the start ends."""
    start = time.perf_counter()
    oracle.evaluate(rows)
    return max(ALONE_ROWS, int(BUDGET / (time.perf_counter() - start)))


def compare_together(evaluator: Evaluator, rows: Sequence[Row]) -> Comparison:
    """Compare what an engine gives for rows together with what it gives for each alone."""
    together = _answer(evaluator, rows)
    if together is None:
        return Comparison(len(rows), math.inf, "it does not take several rows")
    largest = 0.0
    for index, row in enumerate(rows):
        alone = _answer(evaluator, [row])
        if alone is None:
            return Comparison(len(rows), math.inf, "it does not take a row alone")
        comparison = _compare(together.part(index, index + 1), alone, 1, exact=False)
        largest = max(largest, comparison.largest_difference)
        if comparison.fault is not None:
            return Comparison(len(rows), largest, comparison.fault)
    return Comparison(len(rows), largest)


def draw_rows(parameters: Sequence[Parameter], count: int) -> list[Row]:
    """Draw some rows of what a signature accepts, always the same."""
    return _encoded(parameters, _draw(parameters, [np.empty(0)] * len(parameters))[:count])


def _draw(parameters: Sequence[Parameter], thresholds: Sequence[NDArray[np.float64]]) -> list[list[Scalar]]:
    """Draw rows of values, always the same."""
    draw = random.Random(0)  # noqa: S311  # no secret
    candidates = [_candidates(each, near, draw) for each, near in zip(parameters, thresholds, strict=True)]
    count = max(DRAWN_ROWS, *(len(each) for each in candidates))
    # Every candidate comes up once in some row; the others of the row are drawn.
    return [[each[index] if index < len(each) else draw.choice(each) for each in candidates] for index in range(count)]


def _encoded(parameters: Sequence[Parameter], rows: Sequence[Sequence[Scalar]]) -> list[Row]:
    encoders = [parameter.encoder() for parameter in parameters]
    coded = [[encode(value) for encode, value in zip(encoders, row, strict=True)] for row in rows]
    return [[code for code in row if not isinstance(code, Absent)] for row in coded]  # none is: all are accepted


def _candidates(parameter: Parameter, thresholds: NDArray[np.float64], draw: random.Random) -> list[Scalar]:
    """Give values of one parameter that its schema accepts, in random order."""
    values: list[Scalar] = [parameter.example()]
    if parameter.kind is Kind.CATEGORY:
        values += parameter.labels[:DRAWN_ROWS]
        if parameter.open:
            values.append(UNSEEN if parameter.label_type is str else -1_234_567)
    elif parameter.kind is Kind.BOOLEAN:
        values += [True, False]
    else:
        values += _numbers(parameter, thresholds, draw)
    if parameter.nullable:
        values += [None] * (1 + len(values) // 10)
    encode = parameter.encoder()
    values = [value for value in values if encode(value) is not REFUSED]
    draw.shuffle(values)
    return values


def _numbers(parameter: Parameter, thresholds: NDArray[np.float64], draw: random.Random) -> list[Scalar]:
    """Give numbers within the bounds: at thresholds and beside them in both precisions, and of every magnitude."""
    numbers: list[float] = []
    for threshold in thresholds.tolist():
        single = np.float32(threshold)
        numbers += [
            threshold,
            math.nextafter(threshold, math.inf),
            math.nextafter(threshold, -math.inf),
            float(np.nextafter(single, np.float32(math.inf))),
            float(np.nextafter(single, np.float32(-math.inf))),
        ]
    low, high = float(parameter.minimum or 0), float(parameter.maximum or 0)
    if high - low < 1e6:
        numbers += [draw.uniform(low, high) for _ in range(DRAWN_ROWS // 2)]
        numbers += [float(round(draw.uniform(low, high))) for _ in range(DRAWN_ROWS // 2)]
    else:
        numbers += [draw.gauss(0, 1) * 10.0 ** draw.randint(-2, 4) for _ in range(DRAWN_ROWS)]
    if parameter.kind is Kind.INTEGER:
        numbers = [float(round(number)) for number in numbers if math.isfinite(number)]
    return list(numbers)


def _answer(evaluator: Evaluator, rows: Sequence[Row]) -> Evaluation | None:
    try:
        return evaluator.evaluate(rows, with_classes=True)
    except Exception:  # an estimator refuses by whatever it likes to raise
        return None


def _compare(expected: Evaluation, answered: Evaluation, rows: int, *, exact: bool) -> Comparison:
    largest = 0.0
    pairs = list(zip(expected.numbers or (), answered.numbers or (), strict=True))
    for theirs, ours in pairs:
        if theirs.shape != ours.shape:
            return Comparison(rows, math.inf, "its answer has another shape")
        finite = np.isfinite(theirs)
        if (finite != np.isfinite(ours)).any():
            return Comparison(rows, math.inf, "its answer is finite where the estimator's is not, or the reverse")
        scale = 1.0 if exact else np.maximum(1.0, np.abs(theirs[finite]))
        differences = np.abs(np.subtract(theirs[finite], ours[finite], dtype=np.float64)) / scale  # of booleans too
        largest = max(largest, float(differences.max(initial=0.0)))
    if largest > (0.0 if exact else TOLERANCE):
        return Comparison(rows, largest, f"its numbers differ by up to {largest:.3g}")
    both = expected.classes is not None and answered.classes is not None
    if both and not np.array_equal(expected.classes, answered.classes):  # type: ignore[arg-type]
        return Comparison(rows, largest, "it predicts other labels")
    return Comparison(rows, largest)


def _compare_refusals(
    oracle: Evaluator,
    parameters: Sequence[Parameter],
    compiled: Compiled,
    theirs: Row,
    ours: Row,
    comparison: Comparison,
) -> Comparison:
    """See that both refuse the same numbers, in the first columns; the schema would, but is not asked."""
    rows = comparison.rows
    for index, parameter in enumerate(parameters[:8]):
        if parameter.kind is not Kind.NUMBER:
            continue
        for number in REFUSALS:
            expected = _answer(oracle, [_with(theirs, index, number)])
            answered = _answer(compiled.evaluator, [_with(ours, index, number)])
            rows += 1
            if (expected is None) != (answered is None):
                return Comparison(rows, comparison.largest_difference, f"it does not refuse {number} alike")
            if expected is not None and answered is not None and compiled.exact:
                fault = _compare(expected, answered, 1, exact=True).fault
                if fault is not None:
                    return Comparison(rows, comparison.largest_difference, f"of {number}, {fault}")
    return Comparison(rows, comparison.largest_difference)


def _with(row: Row, index: int, code: Code) -> Row:
    return [*row[:index], code, *row[index + 1 :]]
