"""What a trial makes of promises: narrowed, kept, or refused."""

import math
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
import pytest

from server.columns import Row
from server.engine import Evaluation
from server.errors import BundleError
from server.parameter import MAX_DOUBLE, MAX_SAFE_INTEGER, Parameter
from server.trial import MAX_TRIED_LABELS, NUMBER_LIMITS, UNSEEN_TEXT, try_out
from tests.models import category, integer, number

FLOAT32 = NUMBER_LIMITS[1]


class Picky:
    """An evaluator that fails where a code does not please it."""

    name = "picky"
    serial = False

    def __init__(self, takes: Callable[[Any], bool], *, raises: bool = True) -> None:
        self._takes, self._raises = takes, raises

    def evaluate(self, rows: Sequence[Row], *, with_classes: bool = False) -> Evaluation:  # noqa: ARG002  # the protocol has it
        pleased = [all(map(self._takes, row)) for row in rows]
        if self._raises and not all(pleased):
            msg = "not\n  this"
            raise ValueError(msg)
        return Evaluation([np.array([[0.0] if each else [math.nan] for each in pleased])])


def tried(evaluator: Picky, *parameters: Parameter, promised: Collection[str] = ()) -> tuple[Parameter, ...]:
    """Try parameters with an evaluator."""
    return try_out(parameters, lambda _: evaluator, promised_null=promised)


def takes_all(_: object) -> bool:
    """Be pleased by everything."""
    return True


def within(limit: float) -> Callable[[Any], bool]:
    """Be pleased by numbers up to a limit."""
    return lambda code: abs(code) <= limit


@pytest.mark.parametrize("raises", [True, False], ids=["raises", "not finite"])
@pytest.mark.parametrize(
    ("takes", "limit"),
    [
        pytest.param(takes_all, MAX_DOUBLE, id="any double"),
        pytest.param(within(1e100), FLOAT32, id="float32"),
        pytest.param(within(1e35), 1e30, id="scaled"),
        pytest.param(within(1e20), float(MAX_SAFE_INTEGER), id="safe integers"),
        pytest.param(within(1e13), 1e12, id="less"),
        pytest.param(within(700), 100, id="exponential"),
        pytest.param(within(1), 1, id="least"),
    ],
)
def test_numbers_are_bounded(takes: Callable[[Any], bool], limit: float, raises: bool) -> None:
    """Numbers are bounded to the widest limit at which the estimator gives finite answers."""
    (parameter,) = tried(Picky(takes, raises=raises), number())
    assert (parameter.minimum, parameter.maximum) == (-limit, limit)


def test_own_bounds_stay() -> None:
    """Bounds of the bundle that are tighter stay, and one that is missing is added."""
    assert tried(Picky(within(1e35)), number(minimum=0, maximum=9))[0].maximum == 9
    (parameter,) = tried(Picky(within(1e35)), number(minimum=0))
    assert (parameter.minimum, parameter.maximum) == (0, 1e30)


def test_own_bounds_that_fail() -> None:
    """Bounds of the bundle at which the estimator fails stay, and narrow no other number."""
    own = number("a", minimum=-5, maximum=1e15)
    first, second = tried(Picky(within(1e12)), own, number("b"))
    assert (first.minimum, first.maximum, second.minimum, second.maximum) == (-5, 1e15, -1e12, 1e12)
    (alone,) = tried(Picky(within(1e12)), own)
    assert alone == own


def test_bounds_beyond_every_format() -> None:
    """A bound of the bundle that is wider than any integer is narrowed like no bound, and never widened."""
    (narrowed,) = tried(Picky(within(1e30)), number("a", minimum=-1e300, maximum=1e20))
    assert (narrowed.minimum, narrowed.maximum) == (-1e30, 1e20)


@pytest.mark.parametrize(
    ("bounded", "names"),
    [
        pytest.param([number("a"), category(codes=(0, 0)), integer("b")], "'a', 'b'", id="two"),
        pytest.param([number("a", minimum=0, maximum=0.1), number("b", minimum=0)], "'b'", id="one"),
        pytest.param([number(each) for each in "abcdef"], r"'a', 'b', 'c', 'd', 'e', \.\.\.", id="many"),
    ],
)
def test_no_limit_holds(bounded: list[Parameter], names: str) -> None:
    """Where the estimator takes no limit that is tried, the bundle is asked for the bounds that it does not give."""
    message = rf"from -1 to 1: ValueError: not this; give the `minimum` and `maximum` .* without them: {names}\.$"
    with pytest.raises(BundleError, match=message):
        tried(Picky(within(0.5)), *bounded)


def test_integers_are_safe() -> None:
    """An integer is never bounded more widely than what a double holds exactly."""
    (parameter,) = tried(Picky(takes_all), integer())
    assert (parameter.minimum, parameter.maximum) == (-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER)
    assert isinstance(parameter.maximum, int)


def test_sums_are_tried() -> None:
    """Infinities of opposite signs meet in the trial, although each number alone is harmless."""

    class Sum:
        name = "sum"
        serial = False

        def evaluate(self, rows: Sequence[Row], *, with_classes: bool = False) -> Evaluation:  # noqa: ARG002  # the protocol has it
            with np.errstate(all="ignore"):
                return Evaluation([np.array(rows, dtype=float).sum(axis=1, keepdims=True)])

    first, second = try_out((number("a"), number("b")), lambda _: Sum(), promised_null=())
    assert first.maximum == second.maximum == FLOAT32


@pytest.mark.parametrize("raises", [True, False], ids=["raises", "not finite"])
def test_failing_example(raises: bool) -> None:
    """An estimator that fails on the example is refused with its own reason, in one line."""
    reason = "ValueError: not this" if raises else "its answer is not finite"
    with pytest.raises(BundleError, match=f"fails on an example of its own input .*: {reason};"):
        tried(Picky(lambda _: False, raises=raises), number())


def test_failing_label() -> None:
    """A label that the estimator does not take refuses the bundle by its name."""
    with pytest.raises(BundleError, match="fails on the label 'green' of parameter 'c': ValueError: not this"):
        tried(Picky(lambda code: code != 1), category())


def test_many_labels_are_not_all_tried() -> None:
    """Beyond some thousands, labels are taken on trust, so that a start stays quick."""
    many = category(labels=range(MAX_TRIED_LABELS + 1))
    assert tried(Picky(lambda code: code != MAX_TRIED_LABELS), many)[0].labels == many.labels


def test_labels_that_fail_together_only() -> None:
    """Labels that fail in one batch but not alone are served: the batch was the trouble."""

    class OneByOne(Picky):
        def evaluate(self, rows: Sequence[Row], *, with_classes: bool = False) -> Evaluation:  # noqa: ARG002  # the protocol has it
            if len(rows) == 3:
                raise ValueError
            return super().evaluate(rows)

    assert tried(OneByOne(takes_all), category(labels=("red", "green", "blue")))


def test_batches_that_fail() -> None:
    """An estimator that takes no batch at all is tried row by row: its numbers are not the trouble."""

    class NoBatch(Picky):
        def evaluate(self, rows: Sequence[Row], *, with_classes: bool = False) -> Evaluation:  # noqa: ARG002  # the protocol has it
            if len(rows) > 1:
                raise ValueError
            return super().evaluate(rows)

    assert tried(NoBatch(within(1e35)), number())[0].maximum == 1e30


@pytest.mark.parametrize(
    ("parameter", "unseen"),
    [
        pytest.param(category(open=True), UNSEEN_TEXT, id="texts"),
        pytest.param(category(labels=(1, 2), open=True), -MAX_SAFE_INTEGER, id="integers"),
    ],
)
def test_open_category_is_closed(parameter: Parameter, unseen: object) -> None:
    """A category stays open only if the estimator takes a label that it never saw."""
    assert tried(Picky(takes_all), parameter)[0].open is True
    assert tried(Picky(lambda code: code != unseen), parameter)[0].open is False


def test_null_is_tried() -> None:
    """A null that was only inferred is taken back where the estimator fails on it."""
    parameter = category(nullable=True, null_code=-1)
    assert tried(Picky(takes_all), parameter)[0].nullable is True
    assert tried(Picky(lambda code: code != -1), parameter)[0].nullable is False


def test_promised_null() -> None:
    """A null that the bundle promises refuses the bundle where the estimator fails on it."""
    with pytest.raises(
        BundleError, match="'c' may be null, says the bundle, but the estimator fails on it: ValueError"
    ):
        tried(Picky(lambda code: code != -1), category(nullable=True, null_code=-1), promised=["c"])


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        pytest.param(number(nullable=True, default=None), "None", id="null by default"),
        pytest.param(number(examples=(1, 1e300)), r"1e\+300", id="example"),
        pytest.param(number(examples=(1,), default=1e300), r"1e\+300", id="default"),
        pytest.param(number(minimum=1e20, examples=(1e20,)), r"1e\+20", id="bounds"),
    ],
)
def test_suggestions_that_are_no_longer_accepted(parameter: Parameter, value: str) -> None:
    """What the metadata suggests must be accepted after narrowing too, or the document would lie."""

    def takes(code: Any) -> bool:
        return bool(code == 1e20 or abs(code) <= 100)

    with pytest.raises(BundleError, match=f"suggests {value} for parameter 'n', but the estimator only takes"):
        tried(Picky(takes), parameter)
