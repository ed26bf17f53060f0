"""Numbers to labelled answers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from server.engine import Evaluation
from server.outputs import Form, Output, Outputs
from server.rendering import Renderer
from tests.models import PROBABILITIES

SEVERAL = Outputs(
    Form.PROBABILITIES, (Output("a", ("no", "yes"), (0, 1)), Output("b", (True, 5), (False, True))), several=True
)
VALUES = Outputs(Form.VALUES, (Output("x"), Output("y")), several=True)
PREDICTION = Outputs(Form.PREDICTION, (Output("prediction", ("in", "out"), (-1, 1)),))
PREDICTIONS = Outputs(Form.PREDICTION, (Output("a", ("p", "q"), (0, 1)), Output("b", (1, 2), (0, 1))), several=True)
MULTILABEL = Outputs(
    Form.PROBABILITIES, (Output("a", (0, 1), (0, 1)), Output("b", (0, 1), (0, 1))), several=True, multilabel=True
)


def evaluation(numbers: Sequence[Any] | None = None, classes: Any = None) -> Evaluation:
    """Make an evaluation of plain lists."""
    arrays = None if numbers is None else [np.array(each) for each in numbers]
    return Evaluation(arrays, None if classes is None else np.array(classes))


CASES = [
    pytest.param(
        PROBABILITIES,
        evaluation([[[0.25, 0.75], [1.0, 0.0]]]),
        [{"no": 0.25, "yes": 0.75}, {"no": 1.0, "yes": 0.0}],
        [
            {"prediction": "yes", "probabilities": {"no": 0.25, "yes": 0.75}},
            {"prediction": "no", "probabilities": {"no": 1.0, "yes": 0.0}},
        ],
        {("prediction", "yes"): 1, ("prediction", "no"): 1},
        id="probabilities",
    ),
    pytest.param(
        PROBABILITIES,
        evaluation([[[0.25, 0.75]]], [[0]]),
        [{"no": 0.25, "yes": 0.75}],
        [{"prediction": "no", "probabilities": {"no": 0.25, "yes": 0.75}}],
        {("prediction", "no"): 1},
        id="the estimator's own prediction",
    ),
    pytest.param(
        Outputs(Form.PROBABILITIES, PROBABILITIES.outputs, threshold=0.2),
        evaluation([[[0.8, 0.2], [0.81, 0.19]]], [[0], [0]]),
        [{"no": 0.8, "yes": 0.2}, {"no": 0.81, "yes": 0.19}],
        [
            {"prediction": "yes", "probabilities": {"no": 0.8, "yes": 0.2}},
            {"prediction": "no", "probabilities": {"no": 0.81, "yes": 0.19}},
        ],
        {("prediction", "yes"): 1, ("prediction", "no"): 1},
        id="threshold",
    ),
    pytest.param(
        SEVERAL,
        evaluation([[[0.25, 0.75]], [[0.5, 0.5]]]),
        [{"a": {"no": 0.25, "yes": 0.75}, "b": {"true": 0.5, "5": 0.5}}],
        [
            {
                "prediction": {"a": "yes", "b": True},
                "probabilities": {"a": {"no": 0.25, "yes": 0.75}, "b": {"true": 0.5, "5": 0.5}},
            }
        ],
        {("a", "yes"): 1, ("b", "true"): 1},
        id="several outputs",
    ),
    pytest.param(
        MULTILABEL,
        evaluation([[[0.5, 0.6]]]),
        [{"a": 0.5, "b": 0.6}],
        [{"prediction": {"a": 0, "b": 1}, "probabilities": {"a": 0.5, "b": 0.6}}],
        {("a", "0"): 1, ("b", "1"): 1},
        id="multilabel",
    ),
    pytest.param(
        VALUES,
        evaluation([[[1.5, -2.0]]]),
        [{"x": 1.5, "y": -2.0}],
        [{"values": {"x": 1.5, "y": -2.0}}],
        {("x", ""): 1, ("y", ""): 1},
        id="numbers",
    ),
    pytest.param(
        PREDICTION,
        evaluation(classes=[[1], [-1], [1]]),
        [{"prediction": "out"}, {"prediction": "in"}, {"prediction": "out"}],
        [{"prediction": "out"}, {"prediction": "in"}, {"prediction": "out"}],
        {("prediction", "out"): 2, ("prediction", "in"): 1},
        id="prediction",
    ),
    pytest.param(
        PREDICTIONS,
        evaluation(classes=[[1, 0]]),
        [{"prediction": {"a": "q", "b": 1}}],
        [{"prediction": {"a": "q", "b": 1}}],
        {("a", "q"): 1, ("b", "1"): 1},
        id="several predictions",
    ),
]


@pytest.mark.parametrize(("outputs", "given", "brief", "full", "tally"), CASES)
def test_answers(outputs: Outputs, given: Evaluation, brief: Any, full: Any, tally: Any) -> None:
    """Each form of an answer has its brief text, its full one, and what is counted."""
    renderer = Renderer(outputs)
    assert renderer.brief(given) == brief
    assert renderer.full(given) == full
    assert renderer.tally(given, np.ones(len(brief), dtype=bool)) == tally


def test_values_are_python_floats() -> None:
    """Numbers come as Python's floats that equal the estimator's."""
    (row,) = Renderer(PROBABILITIES).brief(evaluation([np.array([[0.1, 0.9]], dtype=np.float32)]))
    assert {type(value) for value in row.values()} == {float}
    assert row["no"] == float(np.float32(0.1))


def test_tally_of_chosen_rows() -> None:
    """Rows that were not answered are not counted."""
    given = evaluation([[[0.25, 0.75], [np.nan, np.nan]]])
    assert Renderer(PROBABILITIES).tally(given, np.array([True, False])) == {("prediction", "yes"): 1}


def test_class_without_a_label() -> None:
    """A class that the model did not announce is shown as it is."""
    assert Renderer(PREDICTION).brief(evaluation(classes=[[7]])) == [{"prediction": 7}]


def test_finite_rows() -> None:
    """A row is finite if all of its numbers in all outputs are; without numbers every row is."""
    given = evaluation([[[0.1], [np.nan], [0.2]], [[0.1], [0.2], [np.inf]]])
    assert given.finite_rows(3).tolist() == [True, False, False]
    assert evaluation(classes=[[1]]).finite_rows(1).tolist() == [True]
