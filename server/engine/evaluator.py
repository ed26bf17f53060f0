"""What every engine gives."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from server.columns import Row

FEW: Final = 32  # numbers for which Python is quicker than the calls of numpy


class Unsupported(Exception):
    """What is named has no compiled form; the pickle itself is the engine then."""

    def __init__(self, what: object) -> None:
        name = what if isinstance(what, str) else f"{type(what).__name__} as it is set here"
        super().__init__(f"{name} has no compiled form")


def all_finite(numbers: NDArray[Any]) -> bool:
    """Tell whether all numbers of an array are finite."""
    if numbers.size > FEW:
        return bool(np.isfinite(numbers).all())
    return all(map(math.isfinite, numbers.ravel().tolist()))


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The estimator's own numbers for some rows, after `waited` seconds for the engine to be free.

    `numbers` holds one array of shape (rows, columns) for each output: the probabilities of its classes; a
    regressor has one array with a column for each output; None for an estimator that only predicts.
    `classes`, of shape (rows, outputs), holds what the estimator's `predict` gave, where it was asked for.
    """

    numbers: Sequence[NDArray[Any]] | None = None
    classes: NDArray[Any] | None = None
    waited: float = 0.0

    @property
    def is_finite(self) -> bool:
        """Tell whether all numbers are finite."""
        return all(map(all_finite, self.numbers or ()))

    def finite_rows(self, count: int) -> NDArray[np.bool_]:
        """Tell for each of `count` rows whether all of its numbers are finite."""
        finite = np.ones(count, dtype=bool)
        for numbers in self.numbers or ():
            finite &= np.isfinite(numbers).all(axis=1)
        return finite

    def part(self, start: int, stop: int) -> "Evaluation":
        """Give the evaluation of some of the rows."""
        return Evaluation(
            numbers=None if self.numbers is None else [numbers[start:stop] for numbers in self.numbers],
            classes=None if self.classes is None else self.classes[start:stop],
        )


class Evaluator(Protocol):
    """Evaluates rows of codes, in the order of the signature.

    One that is `serial` may be called only once at a time: scikit-learn swaps the process's warning filters while it
    predicts, which two threads at once leave broken. Any other is safe to call from several threads.
    """

    name: str
    serial: bool

    def evaluate(self, rows: Sequence[Row], *, with_classes: bool = False) -> Evaluation:
        """Evaluate at least one row; `with_classes` asks for the predicted classes beside the probabilities.

        Raises whatever the estimator raises.
        """
        ...
