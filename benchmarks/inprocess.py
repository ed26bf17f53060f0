"""The estimator itself, without a server: as many processes as a server has workers, each in a loop.

The input is made beforehand: an array, or a DataFrame. Run as a program with a bundle's folder, it reads a number of
rows and of seconds from each line of standard input, and writes calls a second and milliseconds of a call.
"""

import itertools
import json
import os
import pickle
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.estimators import matrix
from benchmarks.load import Outcome
from benchmarks.processes import ONE_THREAD, REPOSITORY, WORKERS

VARIANTS = 64  # inputs that are asked for in turn


class Loops:
    """The processes, as a context."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "benchmarks.inprocess", str(folder)]
        self._processes = [
            subprocess.Popen(
                command,
                env=os.environ | ONE_THREAD,
                cwd=REPOSITORY,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(WORKERS)
        ]

    def measure(self, rows: int, seconds: int) -> Outcome:
        """Let all of them run at once: the sum of their calls a second, and the slowest one's milliseconds."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(f"{rows} {seconds}\n")
            process.stdin.flush()
        said = []
        for process in self._processes:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise SystemExit("The loop over the estimator itself has ended early; its error stands above.")
            said.append(json.loads(line))
        slowest = max(each["p50_ms"] for each in said), max(each["p99_ms"] for each in said)
        return Outcome(sum(each["per_second"] for each in said), *slowest)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.kill()
            process.communicate()


def run(ask: Callable[[Any], object], inputs: list[Any], seconds: float) -> dict[str, float]:
    """Call it on the inputs in turn until the time is over, once at least."""
    took = []
    ask(inputs[0])
    end = time.perf_counter() + seconds
    for each in itertools.cycle(inputs):
        start = time.perf_counter()
        ask(each)
        now = time.perf_counter()
        took.append(now - start)
        if now >= end:
            break
    ordered = sorted(took)
    return {
        "per_second": len(took) / sum(took),
        "p50_ms": statistics.median(took) * 1e3,
        "p99_ms": ordered[int(len(ordered) * 0.99)] * 1e3,
    }


def main(folder: Path) -> None:
    """Do what each line of standard input asks for."""
    model = pickle.loads((folder / "model.pkl").read_bytes())
    lines = (folder / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    everything = matrix(model, [json.loads(line) for line in lines])
    ask = model.predict_proba if hasattr(model, "predict_proba") else model.predict
    for line in sys.stdin:
        rows, seconds = map(int, line.split())
        starts = [at * rows for at in range(min(VARIANTS, len(everything) // rows))]
        print(json.dumps(run(ask, [everything[at : at + rows] for at in starts], seconds)), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
