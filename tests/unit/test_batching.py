"""Requests that wait for an engine share its next call, and none of them notices."""

import random
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from server.batching import Batcher, EngineBusy
from server.columns import Row
from server.engine import Evaluation, Evaluator

PATIENCE = 60  # seconds after which a test fails rather than hangs
BAD = -1.0  # a number that the engine refuses
THREADS = 16
REQUESTS = 150  # of each thread


class Arrivals(deque[Any]):
    """A queue that tells when somebody has come."""

    def __init__(self) -> None:
        super().__init__()
        self.come = threading.Semaphore(0)

    def append(self, item: Any) -> None:
        super().append(item)
        self.come.release()


class Engine:
    """Answers each row with a function of it, notes its calls, and, unless it is `open`, waits in each to be let on."""

    name = "engine"
    serial = True

    def __init__(self, *, is_open: bool = False, error: type[BaseException] = ValueError) -> None:
        self.calls: list[tuple[list[Row], bool]] = []
        self.entered, self.permits = threading.Semaphore(0), threading.Semaphore(0)
        self._open, self._error, self._busy = is_open, error, threading.Lock()

    def evaluate(self, rows: Sequence[Row], *, with_classes: bool = False) -> Evaluation:
        assert self._busy.acquire(blocking=False), "one call at a time"
        try:
            self.calls.append((list(rows), with_classes))
            self.entered.release()
            assert self._open or self.permits.acquire(timeout=PATIENCE)
            if any(row[0] == BAD for row in rows):
                msg = f"{len(rows)} rows"
                raise self._error(msg)
            return answer(rows, with_classes=with_classes)
        finally:
            self._busy.release()

    def let_on(self, calls: int = 1) -> None:
        """Let this many calls end."""
        self.permits.release(calls)

    def wait_for_call(self) -> None:
        """Wait until a further call has begun."""
        assert self.entered.acquire(timeout=PATIENCE)


class Predictions(Engine):
    """An engine that has nothing but classes, whether they are asked for or not."""

    def evaluate(self, rows: Sequence[Row], *, with_classes: bool = False) -> Evaluation:  # noqa: ARG002  # the port's
        return Evaluation(classes=super().evaluate(rows, with_classes=True).classes)


def answer(rows: Sequence[Row], *, with_classes: bool) -> Evaluation:
    """Give what the engine gives for rows: two outputs of numbers, and a class."""
    x = np.array(rows, dtype=np.float64)
    return Evaluation([x * 3, x[:, :1] + 0.5], x[:, :1] % 7 if with_classes else None)


def check(evaluation: Evaluation, rows: Sequence[Row], *, with_classes: bool = False) -> None:
    """See that an evaluation is what the engine gives for these rows alone."""
    wanted = answer(rows, with_classes=with_classes)
    assert evaluation.numbers is not None
    assert wanted.numbers is not None
    for found, expected in zip(evaluation.numbers, wanted.numbers, strict=True):
        np.testing.assert_array_equal(found, expected)
    assert (evaluation.classes is None) == (wanted.classes is None)
    if wanted.classes is not None:
        np.testing.assert_array_equal(evaluation.classes, wanted.classes)


class Scene:
    """A batcher in front of an engine, and requests that come to it one after the other, each in its own thread."""

    def __init__(self, pool: ThreadPoolExecutor, engine: Evaluator, shared_rows: int) -> None:
        self.batcher, self._pool, self._arrivals = Batcher(engine, shared_rows), pool, Arrivals()
        self.batcher._waiting = self._arrivals  # it tells when a request waits, so that no test needs to sleep

    def come(self, *numbers: float, with_classes: bool = False) -> "Future[Evaluation]":
        """Let a request come with a row for each number, and wait until it stands in the queue."""
        rows: list[Row] = [[number] for number in numbers]
        future = self._pool.submit(self.batcher.evaluate, rows, with_classes=with_classes, timeout=PATIENCE)
        assert self._arrivals.come.acquire(timeout=PATIENCE)
        return future


@pytest.fixture
def make_scene() -> Iterator[Callable[[Evaluator, int], Scene]]:
    """Give a maker of scenes."""
    with ThreadPoolExecutor(THREADS) as pool:
        yield lambda engine, shared_rows: Scene(pool, engine, shared_rows)


MakeScene = Callable[[Evaluator, int], Scene]


def numbers_of(engine: Engine) -> list[list[Any]]:
    """Give the first number of each row of each call."""
    return [[row[0] for row in rows] for rows, _ in engine.calls]


def test_a_request_that_comes_alone_is_evaluated_at_once() -> None:
    """Whoever finds the engine free leads: his rows, and nothing else, go to it, and he did not wait."""
    engine = Engine(is_open=True)
    batcher = Batcher(engine, 10)
    check(batcher.evaluate([[1.0], [2.0]]), [[1.0], [2.0]])
    evaluation = batcher.evaluate([[3.0]], with_classes=True)
    check(evaluation, [[3.0]], with_classes=True)
    assert evaluation.waited >= 0
    assert engine.calls == [([[1.0], [2.0]], False), ([[3.0]], True)]


def test_those_who_wait_share_the_next_call(make_scene: MakeScene) -> None:
    """Requests that come while the engine is busy are evaluated together, in their order, and get their own rows."""
    engine = Engine()
    scene = make_scene(engine, 10)
    leader = scene.come(1.0)
    engine.wait_for_call()
    followers = [scene.come(2.0), scene.come(3.0, 4.0), scene.come(5.0)]
    assert numbers_of(engine) == [[1.0]]
    engine.let_on(2)
    check(leader.result(PATIENCE), [[1.0]])
    wanted: list[list[Row]] = [[[2.0]], [[3.0], [4.0]], [[5.0]]]
    for follower, rows in zip(followers, wanted, strict=True):
        check(follower.result(PATIENCE), rows)
    assert numbers_of(engine) == [[1.0], [2.0, 3.0, 4.0, 5.0]]


def test_a_follower_tells_how_long_he_waited(make_scene: MakeScene, monkeypatch: pytest.MonkeyPatch) -> None:
    """With an answer comes the time from its request until the evaluation of its rows began."""
    now = [100.0]
    monkeypatch.setattr("server.batching.time", SimpleNamespace(perf_counter=lambda: now[0]))
    engine = Engine()
    scene = make_scene(engine, 10)
    leader = scene.come(1.0)
    engine.wait_for_call()
    now[0] = 105.0
    follower = scene.come(2.0)
    now[0] = 112.0
    engine.let_on(2)
    assert leader.result(PATIENCE).waited == 0
    assert follower.result(PATIENCE).waited == 7


@pytest.mark.parametrize(
    ("shared_rows", "sizes", "calls"),
    [
        pytest.param(1, [1, 1, 1], [1, 1, 1], id="one row at a time"),
        pytest.param(4, [1, 2, 1, 1], [4, 1], id="as many as fit"),
        pytest.param(4, [3, 2, 2], [3, 4], id="none is torn apart"),
        pytest.param(4, [3, 2, 1], [3, 3], id="none is passed over for a smaller one behind him"),
        pytest.param(2, [5, 1, 1], [5, 2], id="one that has more goes alone"),
        pytest.param(2, [1, 5, 1], [1, 5, 1], id="one that has more does not join"),
        pytest.param(1, [2, 2], [2, 2], id="nothing is shared but each one's rows stay together"),
    ],
)
def test_at_most_so_many_rows_share_a_call(
    make_scene: MakeScene, shared_rows: int, sizes: list[int], calls: list[int]
) -> None:
    """At most `shared_rows` rows go together, unless one request has more, and the order is that of coming."""
    engine = Engine()
    scene = make_scene(engine, shared_rows)
    leader = scene.come(0.0)
    engine.wait_for_call()
    wanted: list[list[Row]] = []
    followers = []
    for size in sizes:
        start = sum(len(rows) for rows in wanted) + 1
        wanted.append([[float(number)] for number in range(start, start + size)])
        followers.append(scene.come(*(float(number) for number in range(start, start + size))))
    engine.let_on(1 + len(calls))
    check(leader.result(PATIENCE), [[0.0]])
    for follower, rows in zip(followers, wanted, strict=True):
        check(follower.result(PATIENCE), rows)
    assert [len(rows) for rows, _ in engine.calls[1:]] == calls
    assert [number for call in numbers_of(engine)[1:] for number in call] == list(range(1, sum(sizes) + 1))


def test_an_error_reaches_only_him_whose_rows_it_is(make_scene: MakeScene) -> None:
    """Where rows fail together each request's are evaluated alone: one hears of his error, the others of nothing."""
    engine = Engine()
    scene = make_scene(engine, 10)
    leader = scene.come(1.0)
    engine.wait_for_call()
    good, bad, other = scene.come(2.0), scene.come(3.0, BAD), scene.come(4.0, with_classes=True)
    engine.let_on(5)
    check(leader.result(PATIENCE), [[1.0]])
    check(good.result(PATIENCE), [[2.0]])
    check(other.result(PATIENCE), [[4.0]], with_classes=True)
    with pytest.raises(ValueError, match=r"^2 rows$"):  # of his own two, not of all four
        bad.result(PATIENCE)
    assert numbers_of(engine) == [[1.0], [2.0, 3.0, BAD, 4.0], [2.0], [3.0, BAD], [4.0]]
    assert [with_classes for _, with_classes in engine.calls] == [False, True, False, False, True]


def test_the_leaders_error_reaches_only_him(make_scene: MakeScene) -> None:
    """A leader whose rows fail hears of it, and those who wait are evaluated after him."""
    engine = Engine()
    scene = make_scene(engine, 10)
    leader = scene.come(BAD)
    engine.wait_for_call()
    follower = scene.come(2.0)
    engine.let_on(2)
    with pytest.raises(ValueError, match=r"^1 rows$"):
        leader.result(PATIENCE)
    check(follower.result(PATIENCE), [[2.0]])


@pytest.mark.parametrize("error", [ValueError, MemoryError, KeyboardInterrupt], ids=lambda error: error.__name__)
def test_an_exception_leaves_the_engine_free(error: type[BaseException]) -> None:
    """After an exception of any kind the next request finds the engine free and nothing of the last one's."""
    engine = Engine(is_open=True, error=error)
    batcher = Batcher(engine, 10)
    with pytest.raises(error):
        batcher.evaluate([[BAD]])
    check(batcher.evaluate([[1.0]], timeout=0), [[1.0]])
    assert numbers_of(engine) == [[BAD], [1.0]]


def test_a_leader_who_is_told_to_end_leaves_the_others_their_turn(make_scene: MakeScene) -> None:
    """Whose rows make the engine end its thread takes nobody along who waited beside him."""
    engine = Engine(error=SystemExit)
    scene = make_scene(engine, 10)
    first = scene.come(1.0)
    engine.wait_for_call()
    others = [scene.come(BAD), scene.come(2.0), scene.come(3.0)]
    engine.let_on(10)
    check(first.result(PATIENCE), [[1.0]])
    ended = [other for other in others if isinstance(other.exception(PATIENCE), SystemExit)]
    answered = [other for other in others if other not in ended]
    assert others[0] in ended
    for other, number in zip(others[1:], (2.0, 3.0), strict=True):
        if other in answered:
            check(other.result(), [[number]])
    check(scene.batcher.evaluate([[4.0]], timeout=PATIENCE), [[4.0]])
    assert not scene.batcher._waiting


def test_classes_of_one_do_not_change_anothers_evaluation(make_scene: MakeScene) -> None:
    """Who did not ask for classes gets none, though somebody beside him did; who did gets his own."""
    engine = Engine()
    scene = make_scene(engine, 10)
    leader = scene.come(1.0)
    engine.wait_for_call()
    brief, full = scene.come(2.0), scene.come(3.0, 4.0, with_classes=True)
    engine.let_on(2)
    check(leader.result(PATIENCE), [[1.0]])
    check(brief.result(PATIENCE), [[2.0]])
    check(full.result(PATIENCE), [[3.0], [4.0]], with_classes=True)
    assert engine.calls[1] == ([[2.0], [3.0], [4.0]], True)


def test_an_engine_without_numbers_gives_classes_to_all(make_scene: MakeScene) -> None:
    """Of an engine that only predicts, everybody gets the classes of his rows, asked for or not."""
    engine = Predictions()
    scene = make_scene(engine, 10)
    futures = [scene.come(1.0)]
    engine.wait_for_call()
    futures += [scene.come(2.0), scene.come(3.0)]
    engine.let_on(2)
    for number, future in enumerate(futures, 1):
        evaluation = future.result(PATIENCE)
        assert evaluation.numbers is None
        assert evaluation.classes is not None
        assert evaluation.classes.tolist() == [[number]]


@pytest.mark.parametrize("timeout", [0, -1.0, 0.001], ids=["at once", "already over", "soon"])
def test_a_timeout_takes_the_rows_out_of_the_queue(make_scene: MakeScene, timeout: float) -> None:
    """Who cannot wait any longer gets `EngineBusy`, and nobody evaluates his rows."""
    engine = Engine()
    scene = make_scene(engine, 10)
    leader = scene.come(1.0)
    engine.wait_for_call()
    follower = scene.come(2.0)
    with pytest.raises(EngineBusy):
        scene.batcher.evaluate([[3.0]], timeout=timeout)
    engine.let_on(2)
    check(leader.result(PATIENCE), [[1.0]])
    check(follower.result(PATIENCE), [[2.0]])
    assert numbers_of(engine) == [[1.0], [2.0]]


class Late:
    """A lock that is never free in time; what others do meanwhile is `meanwhile`."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        self._meanwhile = meanwhile

    def acquire(self, **_: float) -> bool:
        self._meanwhile()
        return False


def test_an_answer_that_is_there_is_given_though_the_engine_is_busy() -> None:
    """Whose rows another has already evaluated gets his answer when his time is over, no `EngineBusy`."""
    batcher = Batcher(Engine(is_open=True), 10)
    batcher._free = Late(lambda: batcher._lead(batcher._waiting[0]))  # type: ignore[assignment]
    check(batcher.evaluate([[1.0]], timeout=1), [[1.0]])


def test_rows_that_are_being_evaluated_when_the_time_is_over() -> None:
    """Whose rows another is evaluating just now gets `EngineBusy`; that they left the queue does no harm."""
    engine = Engine(is_open=True)
    batcher = Batcher(engine, 10)
    free, batcher._free = batcher._free, Late(lambda: batcher._waiting.clear())  # type: ignore[assignment]
    with pytest.raises(EngineBusy):
        batcher.evaluate([[1.0]], timeout=1)
    batcher._free = free
    check(batcher.evaluate([[2.0]]), [[2.0]])
    assert numbers_of(engine) == [[2.0]]


@pytest.mark.parametrize("shared_rows", [1, 7, 1_000])
def test_many_threads_at_once(shared_rows: int) -> None:
    """With requests from many threads each gets the answer or the error of its own rows, and no call has too many."""
    engine = Engine(is_open=True)
    batcher = Batcher(engine, shared_rows)
    start = threading.Barrier(THREADS)
    failures: list[tuple[bool, bool]] = []  # were they expected, and of his own rows
    timeouts: list[float | None] = []

    def requests(seed: int) -> None:
        draw = random.Random(seed)
        start.wait(PATIENCE)
        for _ in range(REQUESTS):
            rows: list[Row] = [[float(draw.randrange(10_000)), draw.random()] for _ in range(draw.randint(1, 5))]
            fails, with_classes, timeout = draw.random() < 0.1, draw.random() < 0.5, draw.choice([None, 0, PATIENCE])
            if fails:
                rows.insert(draw.randint(0, len(rows)), [BAD, 0.0])
            try:
                check(
                    batcher.evaluate(rows, with_classes=with_classes, timeout=timeout), rows, with_classes=with_classes
                )
                assert not fails
            except ValueError as error:
                failures.append((fails, str(error) == f"{len(rows)} rows"))
            except EngineBusy:
                timeouts.append(timeout)

    with ThreadPoolExecutor(THREADS) as pool:
        for future in [pool.submit(requests, seed) for seed in range(THREADS)]:
            future.result(PATIENCE)
    assert not batcher._waiting
    assert all(len(rows) <= max(shared_rows, 6) for rows, _ in engine.calls)
    assert set(failures) == {(True, True)}
    assert set(timeouts) <= {0}
    assert len(timeouts) < THREADS * REQUESTS
