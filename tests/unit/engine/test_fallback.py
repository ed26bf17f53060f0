"""The pickle as an engine: rows in the form that the estimator was fitted on."""

import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from server.engine import FallbackEvaluator
from server.introspection import Shape
from server.outputs import Form
from server.parameter import Parameter
from tests.models import ARRAY, boolean, category, estimators, integer, number, text, tree


def evaluator(parameters: Sequence[Parameter], shape: Shape = Shape.FRAME, **methods: Any) -> FallbackEvaluator:
    """Make an evaluator of an estimator with these methods."""
    form = Form.PROBABILITIES if "predict_proba" in methods else Form.PREDICTION
    return FallbackEvaluator(SimpleNamespace(**methods), parameters, shape, form)


@pytest.mark.parametrize(
    ("parameter", "codes", "dtype"),
    [
        pytest.param(number("a"), [1.0, 2.0], float, id="number"),
        pytest.param(integer("a"), [1.0, 2.0], float, id="integer"),
        pytest.param(number("a", nullable=True, null_code=None), [1.0, None], float, id="null"),
        pytest.param(boolean("a"), [True, False], bool, id="boolean"),
        pytest.param(boolean("a", nullable=True), [True, math.nan], object, id="boolean or null"),
        pytest.param(text("a"), ["x", "y"], object, id="text"),
        pytest.param(category("a", codes=[0, 1]), [0, 1], int, id="integer codes"),
        pytest.param(category("a", codes=[0, 1.5]), [0, 1.5], float, id="number codes"),
        pytest.param(category("a", codes=[0, 1], nullable=True), [0, math.nan], float, id="integer codes or null"),
        pytest.param(category("a", codes=[0, 1], nullable=True, null_code=None), [0, None], object, id="or None"),
        pytest.param(category("a", codes=["x", "y"]), ["x", "y"], object, id="text codes"),
        pytest.param(category("a", codes=["x", 1]), ["x", 1], object, id="mixed codes"),
        pytest.param(category("a", codes=[False, True]), [True, False], bool, id="boolean codes"),
    ],
)
def test_columns_of_a_frame(parameter: Parameter, codes: list[Any], dtype: type) -> None:
    """A column of a frame has the type that its codes have, as pandas reads it from a file."""
    frame = evaluator([parameter]).matrix([[code] for code in codes])
    assert isinstance(frame, pd.DataFrame)
    assert list(frame.columns) == ["a"]
    assert frame["a"].dtype == dtype
    assert [None if pd.isna(each) else each for each in frame["a"]] == [
        None if pd.isna(each) else each for each in codes
    ]


@pytest.mark.parametrize(
    ("parameters", "row", "dtype"),
    [
        pytest.param([number("a"), category("b")], [1.5, 1], float, id="numbers"),
        pytest.param([number("a"), text("b")], [1.5, "x"], object, id="with a text"),
    ],
)
def test_array(parameters: list[Parameter], row: list[Any], dtype: type) -> None:
    """An array holds numbers, or objects where one column is not numeric."""
    array = evaluator(parameters, Shape.ARRAY).matrix([row, row])
    assert isinstance(array, np.ndarray)
    assert array.shape == (2, 2)
    assert array.dtype == np.dtype(dtype)
    assert array[0].tolist() == row


def test_texts() -> None:
    """A vectorizer gets a list of texts."""
    assert evaluator([text("a")], Shape.TEXTS).matrix([["x"], ["y"]]) == ["x", "y"]


def test_probabilities() -> None:
    """Probabilities are the estimator's own, bit for bit; the classes come only if they are asked for."""
    given = FallbackEvaluator(tree(), [number("a"), number("b")], Shape.ARRAY, Form.PROBABILITIES)
    evaluation = given.evaluate(ARRAY.tolist())
    assert evaluation.numbers is not None
    np.testing.assert_array_equal(evaluation.numbers[0], tree().predict_proba(ARRAY))
    assert evaluation.classes is None
    classes = given.evaluate(ARRAY.tolist(), with_classes=True).classes
    assert classes is not None
    assert classes.shape == (len(ARRAY), 1)


@pytest.mark.parametrize(
    ("name", "form", "shape"),
    [
        ("regressor", Form.VALUES, (12, 1)),
        ("several numbers", Form.VALUES, (12, 2)),
        ("clusterer", Form.PREDICTION, (12, 1)),
        ("outliers", Form.PREDICTION, (12, 1)),
    ],
)
def test_predictions(name: str, form: Form, shape: tuple[int, int]) -> None:
    """Predictions are numbers of a regressor and classes of any other, always in two dimensions."""
    given = FallbackEvaluator(estimators()[name], [number("a"), number("b")], Shape.ARRAY, form)
    evaluation = given.evaluate(ARRAY.tolist())
    found = evaluation.numbers[0] if form is Form.VALUES and evaluation.numbers else evaluation.classes
    assert found is not None
    np.testing.assert_array_equal(found, estimators()[name].predict(ARRAY).reshape(shape))


def test_several_outputs() -> None:
    """Several outputs have an array each."""
    given = FallbackEvaluator(estimators()["several"], [number("a"), number("b")], Shape.ARRAY, Form.PROBABILITIES)
    evaluation = given.evaluate(ARRAY.tolist(), with_classes=True)
    assert evaluation.numbers is not None
    assert [each.shape for each in evaluation.numbers] == [(12, 2), (12, 2)]
    assert evaluation.classes is not None
    assert evaluation.classes.shape == (12, 2)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        pytest.param(np.array(["x", "y"]), TypeError, id="texts"),
        pytest.param(np.zeros((3, 2)), ValueError, id="other number of rows"),
        pytest.param(np.float64(1), ValueError, id="one number"),
    ],
)
def test_answers_that_are_no_numbers(answer: Any, error: type[Exception]) -> None:
    """An answer that is not one row of numbers for each row is refused."""
    given = evaluator([number("a")], Shape.ARRAY, predict_proba=lambda _: answer)
    with pytest.raises(error, match="its answer"):
        given.evaluate([[1.0], [2.0]])


def test_overflow_is_no_warning() -> None:
    """Numbers that overflow come out as infinite, without a warning."""
    given = evaluator([number("a")], Shape.ARRAY, predict_proba=lambda x: x * 1e300)
    assert not given.evaluate([[1e300]]).finite_rows(1).any()
