"""The pickle itself as an engine: any estimator, at its own speed."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from server.columns import Row
from server.engine.evaluator import Evaluation
from server.introspection import Estimator, Shape
from server.outputs import Form
from server.parameter import Code, Kind, Parameter


class FallbackEvaluator:
    """Calls the estimator's own `predict_proba` or `predict` on rows in the form that it was fitted on."""

    name = "pickle"
    serial = True

    def __init__(self, estimator: Estimator, parameters: Sequence[Parameter], shape: Shape, form: Form) -> None:
        self._estimator = estimator
        self._names = [parameter.name for parameter in parameters]
        self._dtypes = [_dtype(parameter) for parameter in parameters]
        # One array holds all columns; one that holds anything but numbers makes it an array of objects.
        self._dtype = np.dtype(object) if object in self._dtypes else np.dtype(float)
        self._shape = shape
        self._form = form

    def evaluate(self, rows: Sequence[Row], *, with_classes: bool = False) -> Evaluation:
        """Evaluate rows; see `Evaluator`."""
        # Overflow shows as a number that is not finite, which the caller looks for; a warning would only be noise.
        with np.errstate(all="ignore"):
            return ask(self._estimator, self.matrix(rows), self._form, with_classes=with_classes)

    def matrix(self, rows: Sequence[Row]) -> pd.DataFrame | NDArray[Any] | list[Code]:
        """Give the rows in the form that the estimator was fitted on: a DataFrame, an array, or a list of texts."""
        if self._shape is Shape.TEXTS:
            return [row[0] for row in rows]
        if self._shape is Shape.ARRAY:
            return np.array(rows, dtype=self._dtype)
        columns = zip(self._names, self._dtypes, zip(*rows, strict=True), strict=True)
        return pd.DataFrame({name: pd.Series(column, dtype=dtype) for name, dtype, column in columns})


def ask(estimator: Estimator, x: Any, form: Form, *, with_classes: bool) -> Evaluation:  # noqa: ANN401
    """Ask the estimator itself, for rows in the form that it was fitted on, for what its form of answer needs."""
    count = len(x)
    if form is Form.PREDICTION:
        return Evaluation(classes=_two_dimensional(estimator.predict(x), count))
    if form is Form.VALUES:
        return Evaluation(numbers=[_numbers(estimator.predict(x), count)])
    given = estimator.predict_proba(x)
    numbers = [_numbers(each, count) for each in (given if isinstance(given, list) else [given])]
    classes = _two_dimensional(estimator.predict(x), count) if with_classes else None
    return Evaluation(numbers=numbers, classes=classes)


def _dtype(parameter: Parameter) -> type:
    """Give the type of the column that holds a parameter's codes, as pandas reads such a column from a file."""
    if parameter.kind in (Kind.NUMBER, Kind.INTEGER):
        return float
    if parameter.kind is Kind.BOOLEAN:
        return object if parameter.nullable else bool
    codes: list[Code] = [*parameter.codes, *([parameter.null_code] if parameter.nullable else [])]
    types = {type(code) for code in codes}
    if types == {bool}:
        return bool
    if types == {int}:
        return int
    if types and types <= {int, float} and all(isinstance(code, int) or not math.isinf(code) for code in codes):  # type: ignore[arg-type]
        return float
    return object


def _numbers(given: ArrayLike, rows: int) -> NDArray[Any]:
    array = _two_dimensional(given, rows)
    if array.dtype.kind not in "fiub":
        msg = f"its answer is of type {array.dtype}, which is no number"
        raise TypeError(msg)
    return array


def _two_dimensional(given: ArrayLike, rows: int) -> NDArray[Any]:
    array = np.asarray(given)
    if array.ndim == 0 or len(array) != rows:
        msg = f"its answer has the shape {array.shape} for {rows} rows"
        raise ValueError(msg)
    return array.reshape(rows, -1)
