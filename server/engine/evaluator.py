"""What every engine gives."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from server.signature import Row


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The estimator's own numbers for some rows.

    `numbers` holds one array of shape (rows, columns) for each output: the probabilities of its classes; a
    regressor has one array with a column for each output; None for an estimator that only predicts.
    `classes`, of shape (rows, outputs), holds what the estimator's `predict` gave, where it was asked for.
    """

    numbers: Sequence[NDArray[Any]] | None = None
    classes: NDArray[Any] | None = None

    def finite_rows(self, count: int) -> NDArray[np.bool_]:
        """Tell for each of `count` rows whether all of its numbers are finite."""
        finite = np.ones(count, dtype=bool)
        for numbers in self.numbers or ():
            finite &= np.isfinite(numbers).all(axis=1)
        return finite


class Evaluator(Protocol):
    """Evaluates rows of codes, in the order of the signature. Safe to call from several threads."""

    name: str

    def evaluate(self, rows: Sequence[Row], *, with_classes: bool = False) -> Evaluation:
        """Evaluate at least one row; `with_classes` asks for the predicted classes beside the probabilities.

        Raises whatever the estimator raises.
        """
        ...
