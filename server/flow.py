"""What every request for predictions goes through, whichever the protocol that it speaks."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from server.admission import Deadline
from server.batching import EngineBusy
from server.engine import Evaluation
from server.errors import BrineryError
from server.exchange import Request
from server.predictor import Batch, Outcome, Predictor
from server.problems import type_of
from server.rendering import Tally
from server.settings import Settings
from server.telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks for: rows, and whether their predictions are wanted beside their numbers.

    A protocol that asks for more has a class of its own below this one.
    """

    batch: Batch
    full: bool = True


A = TypeVar("A", bound=Asked)


class Flow:
    """Takes requests to one model: reads, parses, evaluates and counts, within the request's deadline."""

    def __init__(self, predictor: Predictor, telemetry: Telemetry, settings: Settings) -> None:
        self.predictor = predictor
        self._telemetry, self._settings = telemetry, settings

    def predict(self, request: Request, parse: Callable[[bytes], A]) -> tuple[A, Outcome]:
        """Give what `parse` made of the body, and what the model says of its rows.

        Raises what `parse` does, `PredictionError` and `DeadlineExceeded`.
        """
        asked, evaluation = self.evaluate(request, parse)
        outcome = self.predictor.outcome(asked.batch, evaluation)
        self.count(request, outcome.rows, outcome.tally())
        return asked, outcome

    def evaluate(self, request: Request, parse: Callable[[bytes], A]) -> tuple[A, Evaluation]:
        """Read, parse and evaluate; `count` has to follow. Raises as `predict` does."""
        deadline = request.deadline or Deadline(self._settings.deadline)
        body = request.read(self._settings.max_body_bytes)
        start = time.perf_counter()
        asked = parse(body)
        parsed = time.perf_counter()
        request.rows = len(asked.batch.rows)
        deadline.check()  # no work for an answer that comes too late
        try:
            evaluation = self.predictor.evaluate(asked.batch, full=asked.full, timeout=deadline.remaining())
        except EngineBusy:
            raise deadline.exceeded() from None
        seconds = time.perf_counter() - parsed - evaluation.waited
        request.timings["queue"] = request.timings.get("queue", 0.0) + evaluation.waited
        request.timings |= {"parse": parsed - start, "model": seconds}
        return asked, evaluation

    def count(self, request: Request, rows: int, tally: Tally, failures: Sequence[BrineryError] = ()) -> None:
        """Count predictions, and the rows of a lenient batch that failed; raise `DeadlineExceeded` if it is late."""
        if request.deadline is not None:
            request.deadline.check()
        self._telemetry.predicted(rows, tally, request.timings["model"])
        if failures:
            self._telemetry.rejected(type_of(failure).slug for failure in failures)
