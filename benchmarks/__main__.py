"""The command line: `python -m benchmarks`."""

import argparse
import os
import platform
import signal
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from benchmarks import estimators, page
from benchmarks.load import find_wrk
from benchmarks.measuring import Plan, measure
from benchmarks.points import BATCHES, CONNECTIONS, points
from benchmarks.results import Results

FOLDER: Final = Path(__file__).resolve().parent
RESULTS: Final = FOLDER / "results.json"
PAGE: Final = FOLDER.parent / "docs" / "performance.md"
PICTURE: Final = FOLDER.parent / "docs" / "img" / "performance.svg"
QUICK: Final = ["logistic", "forest", "knn", "people"]
QUICK_CONNECTIONS: Final = (8, 64)
QUICK_BATCHES: Final = (1, 100)


def parser() -> argparse.ArgumentParser:
    """Give the options."""
    options = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    options.add_argument("--seconds", type=int, default=1, help="seconds for each point (default: %(default)s)")
    options.add_argument("--repeats", type=int, help="interleaved repeats (default: 4; 1 with --quick)")
    options.add_argument(
        "--quick", action="store_true", help="four estimators, few points, once: three minutes; writes nothing"
    )
    options.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="this estimator, may be repeated; writes nothing"
    )
    options.add_argument(
        "--connections", type=_counts, metavar="N,N", help="connections with one row a request; writes nothing"
    )
    options.add_argument("--write", action="store_true", help="write the page even so")
    options.add_argument("--render", action="store_true", help="measure nothing; write the page from results.json")
    return options


def _counts(text: str) -> list[int]:
    return [int(each) for each in text.split(",")]


def circumstances(plan: Plan) -> dict[str, Any]:
    """Say on what was measured, and how much."""
    packages = ("scikit-learn", "numpy", "gunicorn", "uvicorn", "flask")
    return {
        "measured_on": datetime.now(UTC).date().isoformat(),
        "cpus": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
        "seconds": plan.seconds,
        "repeats": plan.repeats,
    }


def write_page(results: Results) -> None:
    """Write the figures into the page, and the picture beside it."""
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(page.inserted(text, page.figures(results)), encoding="utf-8")
    PICTURE.write_text(page.picture(results), encoding="utf-8")


def main() -> None:
    """Measure, print, and write what a whole run gave."""
    options = parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the servers end too
    if options.render:
        write_page(Results.read(RESULTS))
        return
    connections = options.connections or (QUICK_CONNECTIONS if options.quick else CONNECTIONS)
    wanted = points(connections, QUICK_BATCHES if options.quick else BATCHES)
    plan = Plan(find_wrk(), wanted, options.seconds, options.repeats or (1 if options.quick else 4))
    cases = estimators.find(options.only or (QUICK if options.quick else []))
    results = Results(circumstances(plan))
    for index, case in enumerate(cases):
        print(case.title, end=" ", file=sys.stderr, flush=True)
        results.subjects.append(measure(case, plan, with_floors=index == 0))
    print(page.figures(results))
    if options.write or not (options.quick or options.only or options.connections):
        results.write(RESULTS)
        write_page(Results.read(RESULTS))


if __name__ == "__main__":
    main()
