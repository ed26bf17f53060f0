"""Which engine serves: the compiled one if it answers as the estimator itself does, or else the pickle."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from server.engine.compiled import Compiled, compile_estimator
from server.engine.evaluator import Evaluator, Unsupported
from server.engine.fallback import FallbackEvaluator
from server.engine.parity import Comparison, compare, compare_together, draw_rows
from server.engine.timing import Cost, cost_of
from server.errors import one_line
from server.introspection import Estimator, Shape
from server.outputs import Form
from server.parameter import Parameter
from server.signature import Signature

SHARED_ROWS: Final = 1_000  # at most, of several requests that are evaluated together
WORTH_SHARING: Final = 2  # rows that must fit into the time of one more, or sharing only makes the first wait
SHARED_ROWS_TRIED: Final = 16
TIMED_ROWS: Final = 64
SHARING_BUDGET: Final = 0.25  # seconds to try them, where a row does not take longer


@dataclass(frozen=True, slots=True)
class EngineReport:
    """How the model is evaluated, what that costs, and how it was compared with the estimator.

    Of the pickle itself nothing is compared; `fallback` says why it serves where a compiled engine was wanted.
    `shared_rows` is how many rows of several requests may be evaluated together; 1 of an engine that gains nothing.
    """

    name: str
    cost: Cost
    shared_rows: int
    comparison: Comparison
    fallback: str | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """The engine that serves, and the parameters whose codes it takes."""

    evaluator: Evaluator
    parameters: tuple[Parameter, ...]
    report: EngineReport


def choose(
    estimator: Estimator, parameters: tuple[Parameter, ...], shape: Shape, form: Form, *, compiled: bool
) -> Choice:
    """Choose the engine of a fitted estimator; where `compiled` is false, the pickle without more ado."""
    evaluator: Evaluator = FallbackEvaluator(estimator, parameters, shape, form)
    comparison, fallback = Comparison(), None if compiled else "compiled engines are left out by a setting"
    if compiled:
        found = _compiled(estimator, parameters, shape, form)
        if isinstance(found, Compiled):
            comparison = _compared(evaluator, parameters, found)
            fallback = comparison.fault
            if fallback is None:
                evaluator = found.evaluator
                pairs = zip(found.parameters, parameters, strict=True)
                parameters = tuple(replace(each, own=own) for each, own in pairs)
        else:
            fallback = found
    signature = Signature(parameters)
    cost = cost_of(evaluator, signature.parse(signature.example()), draw_rows(parameters, TIMED_ROWS))
    shared_rows = _shared_rows(evaluator, parameters, cost)
    return Choice(evaluator, parameters, EngineReport(evaluator.name, cost, shared_rows, comparison, fallback))


def _compiled(estimator: Estimator, parameters: Sequence[Parameter], shape: Shape, form: Form) -> Compiled | str:
    """Compile an estimator, or say why that cannot be."""
    try:
        return compile_estimator(estimator, parameters, shape, form)
    except Unsupported as error:
        return str(error)
    except Exception as error:  # somebody's own class that only bears a name we know, or another release's inside
        return f"it cannot be compiled ({one_line(error)})"


def _compared(oracle: Evaluator, parameters: Sequence[Parameter], found: Compiled) -> Comparison:
    """Compare a compiled engine with its oracle, which may fail on rows that the trial did not draw."""
    try:
        return compare(oracle, parameters, found)
    except Exception as error:  # an estimator may raise anything
        return Comparison(fault=f"the estimator fails on drawn rows ({one_line(error)})")


def _shared_rows(evaluator: Evaluator, parameters: Sequence[Parameter], cost: Cost) -> int:
    """Tell how many rows of several requests may share an evaluation, which is to take about twice as long at most.

    None may if an estimator's answer for a row depends on those beside it.
    """
    fitting = SHARED_ROWS if cost.first_row > SHARED_ROWS * cost.further_row else int(cost.first_row / cost.further_row)
    if not evaluator.serial or fitting < WORTH_SHARING:
        return 1
    count = min(SHARED_ROWS_TRIED, max(2, int(SHARING_BUDGET / cost.first_row)))
    return fitting if compare_together(evaluator, draw_rows(parameters, count)).fault is None else 1
