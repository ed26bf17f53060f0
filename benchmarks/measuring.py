"""One estimator after the other: starts its servers, and puts the same load on all of them in turn."""

import contextlib
import http.client
import json
import math
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks import estimators
from benchmarks.estimators import Case
from benchmarks.inprocess import Loops
from benchmarks.load import LoadFailed, Outcome, put, write_bodies
from benchmarks.points import ANCHOR, ASGI, ESTIMATOR, NAIVE, PROTOCOLS, SERVERS, WSGI, Point, is_measured
from benchmarks.processes import Server
from benchmarks.protocols import SPOKEN, translate
from benchmarks.results import Series, Subject

MANY_ROWS: Final = 1_000  # requests that are measured twice as long: there are few of them in a second
ATTEMPTS: Final = 3  # at a point: one connection that breaks is not to end a run of half an hour


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    wrk: str
    points: Sequence[Point]
    seconds: int
    repeats: int


def measure(case: Case, plan: Plan, *, with_floors: bool) -> Subject:
    """Measure an estimator; with all points of the bare floors beside it where that is wanted."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name, case.name)
        estimators.write(case, folder)
        lines = (folder / "rows.jsonl").read_text(encoding="utf-8").splitlines()
        bodies = {point: folder / f"{point.rows}-rows" for point in plan.points}
        for point, path in bodies.items():
            write_bodies(lines, point.rows, path)
            for name, protocol in SPOKEN.items():
                translate(path, protocol, _bodies_of(name, path))
        subject = Subject(case.name, case.title)
        _start_alone(subject, folder, lines[0].encode(), plan)
        _compare(subject, folder, lines[0].encode(), bodies, plan, with_floors=with_floors)
        return subject


def _start_alone(subject: Subject, folder: Path, body: bytes, plan: Plan) -> None:
    """Note how long each server takes to its first answer, and its memory under load, with no other beside it."""
    rows = folder / "alone"
    rows.write_bytes(body + b"\n")
    for target in (ASGI, WSGI, NAIVE):
        with Server(target, folder, body) as server:
            subject.start_seconds[target] = round(server.seconds, 2)
            put(plan.wrk, server.url, rows, connections=ANCHOR.connections, seconds=1)
            subject.memory_mb[target] = round(server.memory_mb(), 1)


def _compare(
    subject: Subject, folder: Path, body: bytes, bodies: Mapping[Point, Path], plan: Plan, *, with_floors: bool
) -> None:
    with contextlib.ExitStack() as stack:
        servers = {}
        for target in SERVERS:
            servers[target] = Server(target, folder, body)
            stack.callback(servers[target].end)
        for server in servers.values():
            server.wait()
        loops = stack.enter_context(Loops(folder))
        subject.engine = _engine(servers[ASGI].port)
        _check_same({target: servers[target] for target in (ASGI, WSGI, NAIVE)}, body)

        def once(target: str, point: Point, seconds: int) -> Outcome:
            if target == ESTIMATOR:
                return loops.measure(point.rows, seconds)
            where = f"{subject.title}, {target}, {point.connections} connections, {point.rows} rows"
            for _ in range(ATTEMPTS):
                try:
                    url, asked = _requests(target, servers, bodies[point], subject.name)
                    return put(plan.wrk, url, asked, connections=point.connections, seconds=seconds)
                except LoadFailed as error:
                    print(f"\n{where}: {error}", file=sys.stderr)
            raise SystemExit(f"{where}: given up after {ATTEMPTS} attempts.")

        targets = (*SERVERS, ESTIMATOR, *PROTOCOLS)
        for target in SERVERS:  # a worker's first requests are slower
            once(target, plan.points[0], 1)
        for repeat in range(plan.repeats):
            for point in plan.points:
                measured = [each for each in targets if is_measured(each, point, with_floors=with_floors)]
                first = repeat % len(measured)
                for target in (*measured[first:], *measured[:first]):
                    outcome = once(target, point, plan.seconds * (2 if point.rows >= MANY_ROWS else 1))
                    _note(subject.series.setdefault((target, point), Series()), outcome)
                    print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)


def _requests(target: str, servers: Mapping[str, Server], bodies: Path, name: str) -> tuple[str, Path]:
    """Give the address that a target is asked at, and the file of what it is asked."""
    if target not in SPOKEN:
        return servers[target].url, bodies
    return servers[ASGI].address + SPOKEN[target].path.format(name=name), _bodies_of(target, bodies)


def _bodies_of(protocol: str, bodies: Path) -> Path:
    return bodies.with_name(f"{bodies.name}, {protocol}")


def _note(series: Series, outcome: Outcome) -> None:
    series.per_second.append(outcome.per_second)
    series.p50_ms.append(outcome.p50_ms)
    series.p99_ms.append(outcome.p99_ms)


def _engine(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", "/api/info")
        name: str = json.load(connection.getresponse())["engine"]["name"]
        return name


def _check_same(servers: Mapping[str, Server], body: bytes) -> None:
    """End the program where two servers do not answer the same: then there is nothing to compare."""
    answers = {target: json.loads(server.ask(body)[1]) for target, server in servers.items()}
    expected = answers[NAIVE]
    for target, answer in answers.items():
        if not same(answer, expected):
            raise SystemExit(f"The server {target} answers {answer}, the naive application {expected}.")


def same(answer: Mapping[str, Any], expected: Mapping[str, Any]) -> bool:
    """Tell whether two answers are the same but for the last digits of numbers."""
    return answer.keys() == expected.keys() and all(_close(answer[name], expected[name]) for name in answer)


def _close(found: object, expected: object) -> bool:
    if isinstance(found, float) and isinstance(expected, float):
        return math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-12)
    return found == expected
