"""The part of docs/performance.md that is made of figures: tables, and the list of where it is slower."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from benchmarks.plot import Group, draw, short
from benchmarks.points import ANCHOR, ASGI, BARE_ASGI, BARE_WSGI, ESTIMATOR, NAIVE, PROTOCOLS, WSGI, Point
from benchmarks.results import Results, Subject

BEGIN: Final = "<!-- What follows is written by `make bench`. -->"
END: Final = "<!-- What `make bench` writes ends here. -->"
SLOWER: Final = 0.95  # below it is called slower; between this and 1 is noise, as the page says
LONGER: Final = 1.05
FRONTS: Final = {ASGI: "event loop", WSGI: "threads"}

FIGURES: Final = """\
{circumstances}

![Requests a second as a multiple of a naive Flask application's](img/performance.svg)

## One row a request

Requests a second, as a multiple of the naive application's, by connections.

{single}

How long a request takes on the event loop, as a part of the naive application's time, by connections.

{latency}

## Many rows a request

Requests a second on 8 connections, as a multiple of the naive application's, by rows a request.

{batches}

## Against the estimator itself

Rows a second on 8 connections, as a multiple of what the estimator does without a server: in a loop, in as many
processes, on an array or a DataFrame that is ready.

{estimator}

## Against the bare floor

Requests a second, as a part of what Gunicorn does with an application that reads the body and answers fixed bytes.
The event loop is compared with uvicorn's worker, threads and the naive application with thread workers.

{floors}

## Protocols of other servers

Requests a second in each [protocol](protocols.md), as a part of those for the same rows at `/api/predict`; event loop.

{protocols}

## Memory and start

Memory under load, and the time from the start to the first answer, as a multiple of the naive application's.

{memory}

## Where it is slower

{slower}
"""


def inserted(page: str, written: str) -> str:
    """Give the page with the figures between its two marks. Raises `ValueError` where the marks are not there."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        msg = "The page has lost the two marks between which the figures stand."
        raise ValueError(msg)
    return f"{before}{BEGIN}\n\n{written.strip()}\n\n{END}{after}"


def figures(results: Results) -> str:
    """Write all that is made of a run."""
    single = [each for each in results.points(ASGI) if each.rows == 1]
    batches = [each for each in results.points(ASGI) if each.connections == ANCHOR.connections]
    return FIGURES.format(
        circumstances=_circumstances(results),
        single=_against(results, NAIVE, single, lambda point: point.connections),
        latency=_latency(results, single),
        batches=_against(results, NAIVE, batches, lambda point: point.rows),
        estimator=_against(results, ESTIMATOR, results.points(ESTIMATOR), lambda point: point.rows),
        floors=_floors(results),
        protocols=_protocols(results),
        memory=_memory(results),
        slower="\n".join(f"- {line}" for line in slower(results)),
    )


def picture(results: Results) -> str:
    """Draw the ratios to the naive application at the anchor."""
    groups = [
        Group(subject.title, [subject.ratio(front, NAIVE, ANCHOR) for front in FRONTS]) for subject in results.subjects
    ]
    title = "Requests a second, naive Flask application = 1 (8 connections, one row a request)"
    return draw(title, list(FRONTS.values()), groups)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, texts: int = 1) -> str:
    """Write a table of Markdown: the first columns are texts, the others are numbers."""
    lines = [head, ["---"] * texts + ["---:"] * (len(head) - texts), *rows]
    return "\n".join(f"| {' | '.join(line)} |".replace("  ", " ") for line in lines)


def cell(ratio: float | None) -> str:
    """Write a ratio, or nothing."""
    return "" if ratio is None else short(ratio)


def _circumstances(results: Results) -> str:
    said = results.circumstances
    many = said["repeats"] > 1
    return (
        f"Measured on {said['measured_on']} with {said['cpus']} CPUs, which the load shares, Python {said['python']},\n"
        f"scikit-learn {said['scikit-learn']} and Gunicorn {said['gunicorn']}; each point for {said['seconds']} s, "
        + (f"{said['repeats']} times." if many else "once: a first impression.")
    )


def _against(results: Results, other: str, points: Sequence[Point], load: Callable[[Point], int]) -> str:
    """Make a table of both fronts against another target, a column for each front and load that was measured."""
    columns = [(front, point) for front in FRONTS for point in points if point in results.points(front)]
    rows = [
        [subject.title, *(cell(subject.ratio(front, other, point)) for front, point in columns)]
        for subject in results.subjects
    ]
    return table(["estimator", *(f"{FRONTS[front]}, {load(point)}" for front, point in columns)], rows)


def _latency(results: Results, points: Sequence[Point]) -> str:
    columns = [(which, point) for which in ("p50_ms", "p99_ms") for point in points]
    words = {"p50_ms": "median", "p99_ms": "99 %"}
    rows = [
        [subject.title, *(cell(subject.latency_ratio(ASGI, NAIVE, point, which)) for which, point in columns)]
        for subject in results.subjects
    ]
    return table(["estimator", *(f"{words[which]}, {point.connections}" for which, point in columns)], rows)


def _floors(results: Results) -> str:
    """Make a table of all points beside the one estimator for which the floors have them, and the anchor of others."""
    pairs = ((ASGI, BARE_ASGI), (WSGI, BARE_WSGI), (NAIVE, BARE_WSGI))
    rows = []
    for subject in results.subjects:
        for point in results.points(BARE_ASGI):
            ratios = [cell(subject.ratio(target, floor, point)) for target, floor in pairs]
            if any(ratios):
                rows.append([subject.title, str(point.connections), str(point.rows), *ratios])
    return table(["estimator", "connections", "rows", "event loop", "threads", "naive"], rows)


def _protocols(results: Results) -> str:
    """Make a table of the protocols beside the one estimator for which they were measured."""
    found = results.points(PROTOCOLS[0])
    if not found:
        return "They were not measured."
    rows = [
        [protocol, *(cell(subject.ratio(protocol, ASGI, point)) for point in found)]
        for subject in results.subjects
        for protocol in PROTOCOLS
        if (protocol, ANCHOR) in subject.series
    ]
    return table(["protocol", *(_load(point) for point in found)], rows)


def _memory(results: Results) -> str:
    rows = [
        [
            subject.title,
            subject.engine,
            *(cell(_memory_ratio(subject, front)) for front in FRONTS),
            *(cell(_start_ratio(subject, front)) for front in FRONTS),
        ]
        for subject in results.subjects
    ]
    kinds = [f"{what}, {front}" for what in ("memory", "start") for front in FRONTS.values()]
    return table(["estimator", "engine", *kinds], rows, texts=2)


def _memory_ratio(subject: Subject, front: str) -> float:
    return subject.memory_mb[front] / subject.memory_mb[NAIVE]


def _start_ratio(subject: Subject, front: str) -> float:
    return subject.start_seconds[front] / subject.start_seconds[NAIVE]


def slower(results: Results) -> list[str]:
    """Say where something else that was measured is better: a sentence for each comparison."""

    def naive(front: str) -> Callable[[Subject, Point], float | None]:
        return lambda subject, point: subject.ratio(front, NAIVE, point)

    def estimator(subject: Subject, point: Point) -> float | None:
        return subject.ratio(ASGI, ESTIMATOR, point)

    def latency(subject: Subject, point: Point) -> float | None:
        return subject.latency_ratio(ASGI, NAIVE, point, "p99_ms")

    def fronts(subject: Subject, point: Point) -> float | None:
        return subject.ratio(ASGI, WSGI, point)

    fewer = {front: _listed(_found(results, front, naive(front), below=SLOWER)) for front in FRONTS}
    behind = _listed(_found(results, ASGI, fronts, below=SLOWER))
    longer = _listed(_found(results, ASGI, latency, above=LONGER))
    loop = _listed(_found(results, ESTIMATOR, estimator, below=SLOWER))
    return [
        *(f"Fewer requests a second than the naive application, {FRONTS[each]}: {fewer[each]}." for each in FRONTS),
        f"Fewer requests a second than threads, {FRONTS[ASGI]}: {behind}.",
        f"Longer for 99 of 100 requests than the naive application, {FRONTS[ASGI]}: {longer}.",
        f"Fewer rows a second than the estimator itself without a server, {FRONTS[ASGI]}: {loop}.",
        _floor(results),
        f"More memory than the naive application: {_more(results, _memory_ratio)}.",
        f"Longer to the first answer than the naive application: {_more(results, _start_ratio)}.",
    ]


def _found(
    results: Results,
    target: str,
    ratio: Callable[[Subject, Point], float | None],
    *,
    below: float = 0.0,
    above: float = float("inf"),
) -> list[tuple[str, float]]:
    """Give the ratios below or above a limit, each with its estimator and its load."""
    return [
        (f"{subject.title} ({_load(point)})", value)
        for subject in results.subjects
        for point in results.points(target)
        if (value := ratio(subject, point)) is not None and (value < below or value > above)
    ]


def _load(point: Point) -> str:
    if point.rows > 1:
        return f"{point.rows} rows"
    return "1 connection" if point.connections == 1 else f"{point.connections} connections"


def _floor(results: Results) -> str:
    found = [ratio for each in results.subjects if (ratio := each.ratio(ASGI, BARE_ASGI, ANCHOR)) is not None]
    if not found:
        return "The bare floor was not measured."
    return (
        f"Always slower than the bare floor: one row on {ANCHOR.connections} connections gets between"
        f" {short(min(found))} and {short(max(found))} of its requests."
    )


def _more(results: Results, ratio: Callable[[Subject, str], float]) -> str:
    """Say for how many estimators a ratio is above 1, and what it is at most."""
    said = []
    for front, name in FRONTS.items():
        found = [value for subject in results.subjects if (value := ratio(subject, front)) > LONGER]
        if found:
            most = f"up to {short(max(found))} times"
            said.append(f"{name}, with {len(found)} of {len(results.subjects)} estimators, {most}")
    return "; ".join(said) or "nowhere"


def _listed(found: Sequence[tuple[str, float]]) -> str:
    return "; ".join(f"{where}, {short(ratio)}" for where, ratio in found) or "nowhere"
