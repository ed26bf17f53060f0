"""Tries an estimator before it serves, so that what the schema promises is what the estimator takes.

The estimator is the oracle: where it cannot do what was only inferred (a missing value, an unknown category, a huge
number), the promise is narrowed; where it cannot do what the bundle says, the bundle is refused.
"""

import dataclasses
import random
from collections.abc import Callable, Collection, Sequence
from typing import Final, TypeAlias

from server.columns import Row
from server.engine import Evaluator
from server.errors import BundleError, one_line
from server.parameter import MAX_DOUBLE, MAX_SAFE_INTEGER, REFUSED, Absent, Code, Kind, Parameter
from server.signature import Signature, listing

MakeEvaluator: TypeAlias = Callable[[tuple[Parameter, ...]], Evaluator]

# What an estimator may take of a number, from the widest down: any double; what fits into float32, as trees have it;
# what still does after a scaler; what is exact as an integer; then, for a link that is an exponential, less and less.
NUMBER_LIMITS: Final = (
    *(MAX_DOUBLE, 3.4028234663852886e38, 1e30, float(MAX_SAFE_INTEGER)),
    *(1e12, 1e9, 1e6, 1e4, 1e3, 1e2, 10.0, 1.0),
)
MAX_TRIED_LABELS: Final = 2_000  # labels beyond these are not tried one by one
SIGN_PATTERNS: Final = 64  # so that infinities of opposite signs meet, whichever columns they come from
UNSEEN_TEXT: Final = "\N{REPLACEMENT CHARACTER}unseen"


def try_out(
    parameters: tuple[Parameter, ...], make_evaluator: MakeEvaluator, *, promised_null: Collection[str]
) -> tuple[Parameter, ...]:
    """Give the parameters, narrowed to what the estimator takes.

    `promised_null` names the parameters of which the bundle itself says that they may be null. Raises `BundleError`
    if the estimator fails on an example, on a label, or on a promised null.
    """
    trial = _Trial(parameters, make_evaluator(parameters))
    if (reason := trial.failure(trial.base)) is not None:
        msg = (
            f"The estimator fails on an example of its own input {trial.example}: {reason}; give `examples` that it "
            "takes in metadata.json, or say in lookup.pkl what its columns are."
        )
        raise BundleError(msg)
    settled = tuple(
        _settle(trial, index, parameter, promised_null=parameter.name in promised_null)
        for index, parameter in enumerate(parameters)
    )
    narrowed = _bounded(trial, settled)
    for parameter in narrowed:
        _check_values(parameter)
    return narrowed


def _check_values(parameter: Parameter) -> None:
    """See that what the metadata itself suggests is still accepted."""
    default = () if isinstance(parameter.default, Absent) else (parameter.default,)
    encode = parameter.encoder()
    for value in (*parameter.examples, *default, parameter.example()):
        if encode(value) is REFUSED:
            msg = (
                f"metadata.json suggests {value!r} for parameter {parameter.name!r}, but the estimator only takes "
                f"{parameter.expectation()}; change its `default`, `examples` or bounds."
            )
            raise BundleError(msg)


class _Trial:
    """An evaluator with the codes of an example, which are varied one place at a time."""

    def __init__(self, parameters: tuple[Parameter, ...], evaluator: Evaluator) -> None:
        signature = Signature(parameters)
        self.example = signature.example()
        self.base = signature.parse(self.example)
        self._evaluator = evaluator
        self._one_by_one = self._failure([self.base, self.base]) is not None

    def with_code(self, index: int, code: Code) -> Row:
        """Give the example's row with another code in one place."""
        return [*self.base[:index], code, *self.base[index + 1 :]]

    def failure(self, *rows: Row) -> str | None:
        """Say why the estimator cannot evaluate these rows, each alone where it takes no batch; None if it can."""
        batches = [[row] for row in rows] if self._one_by_one else [rows]
        return next((reason for batch in batches if (reason := self._failure(batch)) is not None), None)

    def _failure(self, rows: Sequence[Row]) -> str | None:
        try:
            evaluation = self._evaluator.evaluate(rows)
        except Exception as error:  # an estimator may raise anything
            return one_line(error)
        return None if evaluation.finite_rows(len(rows)).all() else "its answer is not finite"


def _settle(trial: _Trial, index: int, parameter: Parameter, *, promised_null: bool) -> Parameter:
    """Try what one parameter promises beside numbers: its labels, unknown ones, and null."""
    if parameter.kind is Kind.CATEGORY:
        _try_labels(trial, index, parameter)
    if parameter.open:
        unseen: Code = UNSEEN_TEXT if parameter.label_type is str else -MAX_SAFE_INTEGER
        if trial.failure(trial.with_code(index, unseen)) is not None:
            parameter = dataclasses.replace(parameter, open=False)
    if parameter.nullable and (reason := trial.failure(trial.with_code(index, parameter.null_code))) is not None:
        if promised_null:
            msg = f"Parameter {parameter.name!r} may be null, says the bundle, but the estimator fails on it: {reason}."
            raise BundleError(msg)
        parameter = dataclasses.replace(parameter, nullable=False)
    return parameter


def _try_labels(trial: _Trial, index: int, parameter: Parameter) -> None:
    rows = [trial.with_code(index, code) for code in parameter.codes[:MAX_TRIED_LABELS]]
    if trial.failure(*rows) is None:
        return
    for label, row in zip(parameter.labels, rows, strict=False):
        if (reason := trial.failure(row)) is not None:
            msg = f"The estimator fails on the label {label!r} of parameter {parameter.name!r}: {reason}."
            raise BundleError(msg)


def _bounded(trial: _Trial, parameters: tuple[Parameter, ...]) -> tuple[Parameter, ...]:
    """Bound the numbers without bounds to the widest limit at which the estimator still gives finite answers.

    The bundle's own bounds stay; where the estimator fails at these alone, no limit is tried together with them.
    """
    own = [_own_bounds(parameter) for parameter in parameters]
    unbounded = [repr(parameter.name) for parameter, bounds in zip(parameters, own, strict=True) if None in bounds]
    if not unbounded:
        return parameters
    reason = trial.failure(*_extremes(trial, own))
    own_hold = reason is None
    for limit in NUMBER_LIMITS:
        bounded = tuple(_within(parameter, limit) for parameter in parameters)
        tried = [
            [end for end, its_own in zip(_bounds(parameter), bounds, strict=True) if own_hold or its_own is None]
            for parameter, bounds in zip(bounded, own, strict=True)
        ]
        reason = trial.failure(*_extremes(trial, tried))
        if reason is None:
            return bounded
    msg = (
        f"The estimator fails on numbers from -{limit:g} to {limit:g}: {reason}; give the `minimum` and `maximum` that "
        f"it takes in metadata.json, for the parameters without them: {listing(unbounded)}."
    )
    raise BundleError(msg)


def _bounds(parameter: Parameter) -> Sequence[float | int | None]:
    numeric = parameter.kind in (Kind.NUMBER, Kind.INTEGER)
    return (parameter.minimum, parameter.maximum) if numeric else ()


def _own_bounds(parameter: Parameter) -> Sequence[float | int | None]:
    """Give the bounds of a number, None for one so wide that it is the format's rather than the bundle's."""
    return [None if bound is None or abs(bound) >= MAX_SAFE_INTEGER else bound for bound in _bounds(parameter)]


def _within(parameter: Parameter, limit: float) -> Parameter:
    if not (own := _own_bounds(parameter)):
        return parameter
    top: float | int = min(int(limit), MAX_SAFE_INTEGER) if parameter.kind is Kind.INTEGER else limit
    low, high = (-top if parameter.minimum is None else parameter.minimum), parameter.maximum
    return dataclasses.replace(
        parameter,
        minimum=max(low, -top) if own[0] is None else own[0],
        maximum=(top if high is None else min(high, top)) if own[1] is None else own[1],
    )


def _extremes(trial: _Trial, ends: Sequence[Sequence[float | int | None]]) -> list[Row]:
    """Give rows at the ends of the parameters: each alone, then all together, drawn at random and always alike."""
    numbers = [(index, [float(end) for end in some if end is not None]) for index, some in enumerate(ends)]
    rows = [trial.base]
    for index, some in numbers:
        rows += [trial.with_code(index, end) for end in some]
    draw = random.Random(0)  # noqa: S311  # no secret
    for _ in range(SIGN_PATTERNS):
        row = list(trial.base)
        for index, some in numbers:
            if some:
                row[index] = draw.choice(some)
        rows.append(row)
    return rows
