"""Load on a server, made by wrk, and what it says about it."""

import itertools
import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SCRIPT: Final = Path(__file__).with_name("post.lua")
PATIENCE: Final = 30  # seconds for one answer
MISSING: Final = "The load is made by wrk, which is not installed: `apt install wrk` or `brew install wrk` brings it."


class LoadFailed(Exception):
    """The load did not measure what it was to measure."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run gave: requests a second, and milliseconds that half, and 99 of 100, took at most."""

    per_second: float
    p50_ms: float
    p99_ms: float


def find_wrk() -> str:
    """Give wrk's path, or end the program with a sentence."""
    return shutil.which("wrk") or _missing()


def _missing() -> str:
    raise SystemExit(MISSING)


def put(wrk: str, url: str, bodies: Path, *, connections: int, seconds: int) -> Outcome:
    """Post the bodies, a line each, on so many connections for so many seconds.

    Raises `LoadFailed` where an answer was no success, or where none came.
    """
    command = [wrk, "-t1", f"-c{connections}", f"-d{seconds}s", f"--timeout={PATIENCE}s", "-s", str(SCRIPT)]
    run = subprocess.run([*command, url, "--", str(bodies)], capture_output=True, text=True, check=False)
    if run.returncode:
        raise LoadFailed(f"wrk ended with {run.returncode}: {run.stderr.strip() or run.stdout.strip()}")
    return parse(run.stdout)


def parse(output: str) -> Outcome:
    """Read what wrk printed with our script. Raises `LoadFailed` for failed requests, or none."""
    last = output.strip().rpartition("\n")[2]
    try:
        said = json.loads(last)
    except ValueError:
        raise LoadFailed(f"wrk ended with {last!r} in place of figures") from None
    if said["bad_status"] or said["broken"]:
        raise LoadFailed(f"{said['bad_status']} answers were no success and {said['broken']} connections broke")
    if not said["requests"]:
        raise LoadFailed("no answer came in time: a longer run is needed")
    return Outcome(said["requests"] / said["seconds"], said["p50_ms"], said["p99_ms"])


def write_bodies(rows: Sequence[str], batch: int, path: Path) -> None:
    """Write bodies of so many rows each, one a line: an object for one row, arrays for more."""
    if batch == 1:
        path.write_text("\n".join(rows) + "\n", encoding="utf-8")
        return
    count = max(4, len(rows) // batch)
    endless = itertools.cycle(rows)
    path.write_text("".join(f"[{','.join(_take(endless, batch))}]\n" for _ in range(count)), encoding="utf-8")


def _take(rows: Iterator[str], count: int) -> Iterator[str]:
    return itertools.islice(rows, count)
