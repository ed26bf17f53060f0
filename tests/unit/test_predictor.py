"""Bytes in, labelled answers out."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
import pytest

from server.columns import Row
from server.engine import Evaluation
from server.errors import BrineryError, InvalidInput, MalformedBody, PredictionError, TooManyRows
from server.outputs import Form, Outputs
from server.predictor import Answer, Predictor
from server.problems import describe
from tests.models import PROBABILITIES, FakeEvaluator, estimators, fake_model, number, real_model

BAD = {"n": "six"}
GOOD = {"n": 6}


def predictor(evaluator: Any = None, *, max_rows: int = 5) -> Predictor:
    """Make a predictor of a model of one number."""
    return Predictor(fake_model(number(), evaluator=evaluator), max_rows=max_rows)


def answered(given: Predictor, body: object, *, lenient: bool = False, full: bool = False) -> Answer:
    """Answer a body."""
    batch = given.parse(orjson.dumps(body), lenient=lenient)
    evaluation = given.evaluate(batch, full=full)
    return given.render(
        batch, evaluation, describe=lambda error: describe(error, "id-1"), prediction_id="id-1", full=full
    )


class Halves:
    """Gives half of a row's number as a probability, which is not a finite number for some."""

    name = "halves"
    serial = False

    def evaluate(self, rows: Sequence[Row], *, with_classes: bool = False) -> Evaluation:
        halves = np.array([[float(row[0] or math.nan) / 2] * 2 for row in rows])
        return Evaluation([halves], np.ones((len(rows), 1)) if with_classes else None)


def test_object_for_object() -> None:
    """One object is answered by one, an array by an array in the same order."""
    assert orjson.loads(answered(predictor(), GOOD).body) == {"no": 0.25, "yes": 0.75}
    answer = answered(predictor(Halves()), [{"n": 1}, {"n": 2}])
    assert orjson.loads(answer.body) == [{"no": 0.5, "yes": 0.5}, {"no": 1.0, "yes": 1.0}]
    assert answer.rows == 2


def test_rows_are_evaluated_together() -> None:
    """All rows go to the estimator in one call."""
    evaluator = FakeEvaluator()
    answered(predictor(evaluator), [GOOD, {"n": 7}])
    assert evaluator.rows == [[6.0], [7.0]]


def test_full_answer() -> None:
    """The full answer has an id, the model and the prediction; a row of a batch has its position behind the id."""
    model = {"name": "fake", "version": "1", "digest": "sha256:0"}
    single = orjson.loads(answered(predictor(), GOOD, full=True).body)
    assert single == {
        "id": "id-1",
        "model": model,
        "prediction": "yes",
        "probabilities": {"no": 0.25, "yes": 0.75},
    }
    batch = orjson.loads(answered(predictor(), [GOOD, GOOD], full=True).body)
    assert [each["id"] for each in batch] == ["id-1/0", "id-1/1"]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        pytest.param(b"{", MalformedBody, id="no JSON"),
        pytest.param(b"[]", InvalidInput, id="no rows"),
        pytest.param(b"5", InvalidInput, id="no object"),
        pytest.param(b"[{}]", InvalidInput, id="refused row"),
        pytest.param(b'[{"n":1},{"n":1},{"n":1},{"n":1},{"n":1},{"n":1}]', TooManyRows, id="too many rows"),
    ],
)
def test_refused_body(body: bytes, error: type[BrineryError]) -> None:
    """A body that is not accepted is refused as a whole."""
    with pytest.raises(error):
        predictor().parse(body)


def test_most_rows() -> None:
    """As many rows as the limit are taken."""
    assert len(predictor().parse(orjson.dumps([GOOD] * 5)).rows) == 5


def test_lenient_batch() -> None:
    """Where the caller is lenient, each row has its result or its problem in its place."""
    answer = answered(predictor(), [BAD, GOOD, BAD, GOOD], lenient=True, full=True)
    items = orjson.loads(answer.body)
    assert [item["status"] for item in items] == [422, 200, 422, 200]
    assert [item["result"]["id"] for item in items if "result" in item] == ["id-1/1", "id-1/3"]
    assert items[2]["problem"]["errors"][0]["pointer"] == "/2/n"
    assert (answer.rows, len(answer.failures)) == (2, 2)
    assert answer.tally == {("prediction", "yes"): 2}


def test_lenient_batch_of_refused_rows() -> None:
    """A lenient batch may hold problems only; the estimator is not asked."""
    evaluator = FakeEvaluator()
    answer = answered(predictor(evaluator), [BAD], lenient=True)
    assert (answer.rows, evaluator.rows) == (0, [])
    assert [item["status"] for item in orjson.loads(answer.body)] == [422]


def test_lenient_object() -> None:
    """A single object is answered or refused as ever, however lenient the caller is."""
    assert orjson.loads(answered(predictor(), GOOD, lenient=True).body) == {"no": 0.25, "yes": 0.75}
    with pytest.raises(InvalidInput):
        answered(predictor(), BAD, lenient=True)


@pytest.mark.parametrize("value", [0, None], ids=["zero", "null"])
def test_numbers_that_are_not_finite(value: Any) -> None:
    """A number that is not finite fails the request, or its own row where the caller is lenient; it is never null."""
    given = Predictor(fake_model(number(nullable=True), evaluator=Halves()), max_rows=5)
    with pytest.raises(PredictionError, match="not finite"):
        answered(given, [{"n": 1}, {"n": value}])
    answer = answered(given, [{"n": value}, {"n": 1}, BAD], lenient=True)
    items = orjson.loads(answer.body)
    assert [item["status"] for item in items] == [500, 200, 422]
    assert b":null" not in answer.body
    assert (answer.rows, answer.tally, len(answer.failures)) == (1, {("prediction", "no"): 1}, 2)


def test_failing_estimator() -> None:
    """What the estimator raises is a failed prediction, told by its type and never by its message."""

    class Broken(FakeEvaluator):
        def evaluate(self, rows: Sequence[Row], *, with_classes: bool = False) -> Evaluation:  # noqa: ARG002  # the protocol has it
            raise ValueError(str(rows))

    given = predictor(Broken())
    with pytest.raises(PredictionError, match=r"^The model failed on these rows \(ValueError\)\.$") as raised:
        given.evaluate(given.parse(b'{"n": 6}'))
    assert isinstance(raised.value.__cause__, ValueError)


@pytest.mark.parametrize(
    ("outputs", "full", "asked"),
    [
        pytest.param(PROBABILITIES, True, True, id="full probabilities"),
        pytest.param(PROBABILITIES, False, False, id="brief probabilities"),
        pytest.param(Outputs(Form.VALUES, PROBABILITIES.outputs), True, False, id="numbers"),
    ],
)
def test_classes_are_asked_for_where_shown(outputs: Outputs, full: bool, asked: bool) -> None:
    """The estimator's own prediction is asked for only where it is shown beside probabilities."""
    seen: list[bool] = []

    class Watching(FakeEvaluator):
        def evaluate(self, rows: Sequence[Row], *, with_classes: bool = False) -> Evaluation:
            seen.append(with_classes)
            return super().evaluate(rows)

    given = Predictor(fake_model(number(), evaluator=Watching(), outputs=outputs), max_rows=1)
    given.evaluate(given.parse(b'{"n": 6}'), full=full)
    assert seen == [asked]


@pytest.mark.parametrize(
    ("kind", "shapes"),
    [
        ("binary", [(2, 2)]),
        ("several", [(2, 2), (2, 2)]),
        ("several numbers", [(2, 2)]),
        ("no probabilities", None),
    ],
)
def test_outcome_by_outputs(kind: str, shapes: list[tuple[int, int]] | None) -> None:
    """What a model says is had by output, and is what the estimator itself predicts."""
    estimator = estimators()[kind]
    made = Predictor(real_model(estimator), max_rows=5)
    batch = made.batch_of_columns({"x0": [0, 1], "x1": [0, 2]}, 2)
    outcome = made.outcome(batch, made.evaluate(batch, full=True))
    expected = estimator.predict(np.array([[0.0, 0.0], [1.0, 2.0]]))
    assert outcome.rows == 2
    assert np.array_equal(np.array(outcome.predictions()).T.reshape(expected.shape), expected)
    assert (None if outcome.numbers is None else [each.shape for each in outcome.numbers]) == shapes
    assert sum(outcome.tally().values()) == 2 * len(outcome.predictions())


def test_outcome_of_what_is_not_finite() -> None:
    """Whoever writes answers in a form of his own gets no number that is not finite."""
    made = predictor(Halves())
    batch = made.batch([{"n": 0}])
    with pytest.raises(PredictionError):
        made.outcome(batch, made.evaluate(batch))


@pytest.mark.parametrize("count", [0, 6])
def test_counts_of_columns(count: int) -> None:
    """Columns have as many rows as an array may have."""
    with pytest.raises(InvalidInput if not count else TooManyRows):
        predictor().batch_of_columns({"n": [1.0] * count}, count)
