"""Requests that wait for a slow engine share one evaluation, instead of one after the other.

Whoever finds the engine free leads: he evaluates what waits, his own rows among it. Whoever comes meanwhile follows: he
waits until the engine is free again, finds his answer there, or leads. Nobody waits for others to come.
"""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Sequence

from server.columns import Row
from server.engine import Evaluation, Evaluator


class EngineBusy(Exception):
    """The engine did not get free in time."""


class _Ticket:
    """Some rows of one request, and what became of them: an evaluation or an error."""

    __slots__ = ("error", "evaluation", "rows", "started", "with_classes")

    def __init__(self, rows: Sequence[Row], *, with_classes: bool) -> None:
        self.rows, self.with_classes = rows, with_classes
        self.started = 0.0
        self.evaluation: Evaluation | None = None
        self.error: Exception | None = None

    @property
    def done(self) -> bool:
        return self.evaluation is not None or self.error is not None


class Batcher:
    """Calls an engine that takes one call at a time, for requests that come at the same time.

    At most `shared_rows` rows are evaluated together, unless a single request has more. A request's answer is that of
    its own rows, and so is its error: where rows fail together, each request's are evaluated alone.
    """

    def __init__(self, evaluator: Evaluator, shared_rows: int) -> None:
        self._evaluator, self._shared_rows = evaluator, shared_rows
        self._free, self._queue = threading.Lock(), threading.Lock()
        self._waiting: deque[_Ticket] = deque()

    def evaluate(self, rows: Sequence[Row], *, with_classes: bool = False, timeout: float | None = None) -> Evaluation:
        """Evaluate rows; see `Evaluator`. Raises `EngineBusy` if the engine is not free in `timeout` seconds."""
        arrived = time.perf_counter()
        ticket = _Ticket(rows, with_classes=with_classes)
        with self._queue:
            self._waiting.append(ticket)
        if self._free.acquire(timeout=-1 if timeout is None else max(0.0, timeout)):
            try:
                while not ticket.done:
                    self._lead(ticket)
            finally:
                self._free.release()
        elif not ticket.done:
            with self._queue, contextlib.suppress(ValueError):  # it may be evaluated just now, for nobody
                self._waiting.remove(ticket)
            raise EngineBusy
        if ticket.error is not None:
            raise ticket.error
        assert ticket.evaluation is not None, "it is done"
        evaluation = ticket.evaluation
        return Evaluation(evaluation.numbers, evaluation.classes, waited=ticket.started - arrived)

    def _lead(self, own: _Ticket) -> None:
        """Evaluate those who wait, the first of them first, as many as may share.

        Whoever leads may be told to end: he goes out of the queue, and the others back into it.
        """
        with self._queue:
            tickets = [self._waiting.popleft()]
            room = self._shared_rows - len(tickets[0].rows)
            while self._waiting and len(self._waiting[0].rows) <= room:
                tickets.append(self._waiting.popleft())
                room -= len(tickets[-1].rows)
        started = time.perf_counter()
        for ticket in tickets:
            ticket.started = started
        try:
            if len(tickets) == 1 or not self._evaluate_together(tickets):
                for ticket in tickets:
                    self._evaluate_alone(ticket)
        except BaseException:
            with self._queue:
                self._waiting.extendleft(each for each in reversed(tickets) if not each.done)
                with contextlib.suppress(ValueError):  # his own rows were evaluated, and another's told him to end
                    self._waiting.remove(own)
            raise

    def _evaluate_together(self, tickets: Sequence[_Ticket]) -> bool:
        rows = [row for ticket in tickets for row in ticket.rows]
        try:
            evaluation = self._evaluator.evaluate(rows, with_classes=any(ticket.with_classes for ticket in tickets))
        except Exception:  # somebody's rows are at fault: each hears of his own
            return False
        start = 0
        for ticket in tickets:
            part = evaluation.part(start, start + len(ticket.rows))
            alike = ticket.with_classes or part.numbers is None  # as if he had been alone
            ticket.evaluation = part if alike else Evaluation(part.numbers)
            start += len(ticket.rows)
        return True

    def _evaluate_alone(self, ticket: _Ticket) -> None:
        try:
            ticket.evaluation = self._evaluator.evaluate(ticket.rows, with_classes=ticket.with_classes)
        except Exception as error:  # raised again where the request waits
            ticket.error = error
