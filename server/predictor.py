"""Bytes in, labelled answers out: decode, parse, evaluate, render. Pure; knows neither HTTP nor Flask."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import orjson

from server.batching import Batcher, EngineBusy
from server.columns import Columns, Named, Row, Table, records
from server.decoding import check, has_only, read
from server.engine import Evaluation
from server.errors import BrineryError, FieldError, InvalidInput, PredictionError, TooManyRows
from server.model import Model
from server.outputs import Form
from server.rendering import Renderer, Result, Tally

Describe: TypeAlias = Callable[[BrineryError], Mapping[str, Any]]
Write: TypeAlias = Callable[[Sequence[Named]], bytes]

NOT_FINITE: Final = "The model's answer holds a number that is not finite."
EMPTY: Final = FieldError("", "empty", "There are no rows; give at least one.")


@dataclass(frozen=True, slots=True)
class Batch:
    """What a body asks for: rows of codes, and the refusals by position where the caller is lenient."""

    rows: Sequence[Row]
    single: bool
    lenient: bool = False
    refusals: Mapping[int, InvalidInput] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as JSON text, with what is counted: rows that were predicted, by label, and refused ones by cause."""

    body: bytes
    rows: int
    tally: Tally
    failures: Sequence[BrineryError] = ()


class Outcome:
    """What a model says of some rows, for those who write it in a form of their own.

    `numbers` are the estimator's, as `Evaluation` has them; None for one that only predicts.
    """

    __slots__ = ("_classes", "_evaluation", "_renderer", "numbers", "rows")

    def __init__(self, rows: int, evaluation: Evaluation, renderer: Renderer) -> None:
        self.rows, self.numbers = rows, evaluation.numbers
        self._evaluation, self._renderer = evaluation, renderer
        self._classes = renderer.classes(evaluation)  # both want them

    def predictions(self) -> list[list[Any]]:
        """Give a list for each output: the label of each row, or a regressor's number.

        It is what the estimator's `predict` gives only where the evaluation was asked for that.
        """
        return self._renderer.predictions(self._evaluation, self._classes)

    def tally(self) -> Tally:
        """Count the rows by (output, label)."""
        return self._renderer.tally(self._evaluation, None, self._classes)


class Predictor:
    """Predicts with one model. Safe to call from several threads."""

    def __init__(self, model: Model, *, max_rows: int) -> None:
        self._model = model
        self.max_rows = max_rows
        self._renderer = Renderer(model.outputs)
        self._batcher = Batcher(model.evaluator, model.engine.shared_rows) if model.evaluator.serial else None
        identity = model.identity
        self._identity = {"name": identity.name, "version": identity.version_text, "digest": identity.digest}

    def parse(self, body: bytes, *, lenient: bool = False) -> Batch:
        """Read a body: one object, or an array of them.

        Raises `MalformedBody`, `TooManyRows` or `InvalidInput`; where `lenient`, the refusals of an array's rows come
        back in the batch instead.
        """
        value = read(body)
        table = None if lenient else self._table(body, value)
        return Batch(table, single=False) if table is not None else self.batch(check(body, value), lenient=lenient)

    def _table(self, body: bytes, value: object) -> Table | None:
        """Encode a batch in which nothing is wrong, quickly: neither the text nor a row; None for any other."""
        signature = self._model.signature
        if type(value) is not list or not 0 < len(value) <= self.max_rows or signature.texts_of_a_row is None:
            return None
        return signature.parse_table(value) if has_only(body, len(value) * signature.texts_of_a_row) else None

    def batch(self, value: object, *, lenient: bool = False, first: int = 0) -> Batch:
        """Make a batch of a JSON value, whose first row is at place `first` of what the caller sees; see `parse`."""
        signature = self._model.signature
        if not isinstance(value, list):
            return Batch([signature.parse(value)], single=True)
        self.check_count(len(value))
        if not lenient:
            return Batch(signature.parse_rows(value), single=False)
        parsed = list(enumerate(signature.parse_each(value, first=first)))
        refusals = {index: each for index, each in parsed if isinstance(each, InvalidInput)}
        rows = [each for _, each in parsed if not isinstance(each, InvalidInput)]
        return Batch(rows, single=False, lenient=True, refusals=refusals)

    def batch_of_columns(self, columns: Columns, count: int, *, lenient: bool = False) -> Batch:
        """Make a batch of `count` rows given by columns, as `Signature.parse_columns` takes them; see `parse`."""
        self.check_count(count)
        if lenient:
            return self.batch(list(records(columns, count)), lenient=True)
        return Batch(self._model.signature.parse_columns(columns, count), single=False)

    def check_count(self, count: int) -> None:
        """Raise `TooManyRows`, or `InvalidInput` for none, if a batch cannot have so many rows."""
        if count > self.max_rows:
            msg = f"The batch has more than {self.max_rows} rows; send it in parts."
            raise TooManyRows(msg)
        if not count:
            raise InvalidInput([EMPTY], 1)

    def evaluate(self, batch: Batch, *, full: bool = False, timeout: float | None = None) -> Evaluation:
        """Evaluate the rows of a batch.

        Raises `PredictionError` if the estimator fails, and `EngineBusy` if it is not free in `timeout` seconds.
        """
        if not batch.rows:
            return Evaluation()
        with_classes = full and self._model.outputs.form is Form.PROBABILITIES
        try:
            if self._batcher is not None:
                return self._batcher.evaluate(batch.rows, with_classes=with_classes, timeout=timeout)
            return self._model.evaluator.evaluate(batch.rows, with_classes=with_classes)
        except EngineBusy:
            raise
        except Exception as error:
            msg = f"The model failed on these rows ({type(error).__name__})."
            raise PredictionError(msg) from error

    def outcome(self, batch: Batch, evaluation: Evaluation) -> Outcome:
        """Give what the model says of the rows of a batch; raise `PredictionError` for a number that is not finite."""
        if not evaluation.is_finite:
            raise PredictionError(NOT_FINITE)
        return Outcome(len(batch.rows), evaluation, self._renderer)

    def render(
        self,
        batch: Batch,
        evaluation: Evaluation,
        *,
        describe: Describe,
        prediction_id: str = "",
        full: bool = False,
        write: Write | None = None,
    ) -> Answer:
        """Write the answer; raise `PredictionError` for a number that is not finite.

        `describe` makes the problem document of a lenient batch's row; `prediction_id` is shown where `full` asks for
        the whole answer, with the position behind it in a batch. `write` writes columns, where JSON is not wanted.
        """
        count = len(batch.rows)
        finite = None if evaluation.is_finite else evaluation.finite_rows(count)
        if finite is not None and not batch.lenient:
            raise PredictionError(NOT_FINITE)
        tally = self._renderer.tally(evaluation, finite) if count else {}
        if write is None and not (full or batch.lenient):
            return Answer(self._renderer.text(evaluation, single=batch.single), count, tally)
        faults = _faults(batch, [True] * count if finite is None else finite.tolist())
        failures = [fault for fault in faults if fault is not None]
        good = len(faults) - len(failures)
        if write is not None:
            columns = self._columns(batch, evaluation, prediction_id if full else None)
            return Answer(write(_with_faults(columns, batch, faults, describe)), good, tally, failures)
        results = self._results(batch, evaluation, prediction_id if full else None) if count else []
        if batch.lenient:
            return Answer(orjson.dumps(_items(results, batch, faults, describe)), good, tally, failures)
        return Answer(orjson.dumps(results[0] if batch.single else results), count, tally)

    def _results(self, batch: Batch, evaluation: Evaluation, prediction_id: str | None) -> list[Result]:
        """Give the result of each row that was evaluated; with an id, the whole result."""
        if prediction_id is None:
            return self._renderer.brief(evaluation)
        ids = _ids(batch, prediction_id)
        results = self._renderer.full(evaluation)
        return [{"id": id_, "model": self._identity, **result} for id_, result in zip(ids, results, strict=True)]

    def _columns(self, batch: Batch, evaluation: Evaluation, prediction_id: str | None) -> list[Named]:
        """Give the results of the rows that were evaluated as columns, as `_results` does."""
        count = len(batch.rows)
        columns = self._renderer.columns(evaluation if count else None, full=prediction_id is not None)
        if prediction_id is None:
            return columns
        model = [Named(f"model.{key}", str, [value] * count) for key, value in self._identity.items()]
        return [Named("id", str, _ids(batch, prediction_id)), *model, *columns]


def _ids(batch: Batch, prediction_id: str) -> list[str]:
    """Give the id of each row that was evaluated: the request's, and its position in a batch."""
    if batch.single:
        return [prediction_id]
    total = len(batch.rows) + len(batch.refusals)
    return [f"{prediction_id}/{index}" for index in range(total) if index not in batch.refusals]


def _faults(batch: Batch, finite: Sequence[bool]) -> list[BrineryError | None]:
    """Give for each row of the request, in its order, what is wrong with it."""
    evaluated = iter(finite)
    faults: list[BrineryError | None] = []
    for index in range(len(finite) + len(batch.refusals)):
        fault: BrineryError | None = batch.refusals.get(index)
        if fault is None and not next(evaluated):
            fault = PredictionError(NOT_FINITE)
        faults.append(fault)
    return faults


def _items(
    results: Sequence[Result], batch: Batch, faults: Sequence[BrineryError | None], describe: Describe
) -> list[Mapping[str, Any]]:
    """Give one item for each row of the request: a result or a problem."""
    items: list[Mapping[str, Any]] = []
    evaluated = iter(results)
    for index, fault in enumerate(faults):
        result = None if index in batch.refusals else next(evaluated)
        if fault is None:
            items.append({"status": 200, "result": result})
        else:
            problem = describe(fault)
            items.append({"status": problem["status"], "problem": problem})
    return items


def _with_faults(
    columns: Sequence[Named], batch: Batch, faults: Sequence[BrineryError | None], describe: Describe
) -> Sequence[Named]:
    """Give the columns of a lenient batch a value for each row of the request, and add `status` and `error`."""
    if not batch.lenient:
        return columns
    places = [index for index in range(len(faults)) if index not in batch.refusals]
    spread: list[Named] = []
    for name, type_, values in columns:
        all_values = [None] * len(faults)
        for place, value in zip(places, values, strict=True):
            all_values[place] = value if faults[place] is None else None
        spread.append(Named(name, type_, all_values))
    problems = [{"status": 200, "detail": None} if fault is None else describe(fault) for fault in faults]
    status = Named("status", int, [problem["status"] for problem in problems])
    return [*spread, status, Named("error", str, [problem["detail"] for problem in problems])]
