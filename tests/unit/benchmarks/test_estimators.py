"""The generated data, and the answers that are compared."""

import pickle

import numpy as np
import pytest

from benchmarks.estimators import CASES, LOOKUP, PEOPLE, find, labelled, matrix, people, table
from benchmarks.measuring import same


def test_data_are_the_same_in_each_run() -> None:
    """Two runs measure the same estimators."""
    (X, target), (again, target_again) = table(50, regression=True), table(50, regression=True)
    assert (again == X).all()
    assert (target == target_again).all()


def test_labels_become_the_codes_that_they_came_from() -> None:
    """What a caller sends leads back to what the estimator was fitted on."""
    X, _ = table(50, regression=False)
    rows = labelled(X)
    assert all(set(row) == set(LOOKUP) for row in rows)
    assert isinstance(rows[0]["region"], str)
    assert (matrix(object(), rows) == X).all()


def test_people_have_the_columns_and_labels_of_the_committed_pipeline() -> None:
    """The pipeline takes every row."""
    pipeline = pickle.loads(PEOPLE.read_bytes())
    rows = people(pipeline)[:20]
    assert np.isfinite(pipeline.predict_proba(matrix(pipeline, rows))).all()


def test_estimators_are_found_by_name() -> None:
    """None named means all; an unknown one is told those that there are."""
    assert find([]) == list(CASES)
    assert [case.name for case in find(["knn", "forest"])] == ["knn", "forest"]
    with pytest.raises(SystemExit, match=r"no estimator oak; there are logistic, "):
        find(["oak"])


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param({"no": 0.25 + 1e-14, "yes": 0.75}, True, id="last digits"),
        pytest.param({"no": 0.26, "yes": 0.74}, False, id="another number"),
        pytest.param({"no": 0.25}, False, id="another label"),
        pytest.param({"no": "0.25", "yes": 0.75}, False, id="another type"),
    ],
)
def test_only_servers_that_answer_the_same_are_compared(answer: dict[str, object], expected: bool) -> None:
    """Answers may differ in the last digits of numbers."""
    assert same(answer, {"no": 0.25, "yes": 0.75}) is expected
