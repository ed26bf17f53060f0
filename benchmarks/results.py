"""What was measured, as it stands in results.json, and the ratios that are made of it."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from benchmarks.points import Point


@dataclass(slots=True)
class Series:
    """The repeats of one target at one point: requests a second, and medians of milliseconds."""

    per_second: list[float] = field(default_factory=list)
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Subject:
    """Everything about one estimator."""

    name: str
    title: str
    engine: str = ""
    start_seconds: dict[str, float] = field(default_factory=dict)
    memory_mb: dict[str, float] = field(default_factory=dict)
    series: dict[tuple[str, Point], Series] = field(default_factory=dict)

    def ratio(self, target: str, other: str, point: Point) -> float | None:
        """Give how many times as many requests a second a target answers as the other: the median of the repeats.

        The repeats are compared in pairs, each with its neighbour in time. None where one of the two was not measured.
        """
        ours, theirs = self.series.get((target, point)), self.series.get((other, point))
        if ours is None or theirs is None:
            return None
        return statistics.median(a / b for a, b in zip(ours.per_second, theirs.per_second, strict=True))

    def latency_ratio(self, target: str, other: str, point: Point, which: str) -> float | None:
        """Give how many times as long a target's `p50_ms` or `p99_ms` is as the other's."""
        ours, theirs = self.series.get((target, point)), self.series.get((other, point))
        if ours is None or theirs is None:
            return None
        pairs = zip(getattr(ours, which), getattr(theirs, which), strict=True)
        return float(statistics.median(a / b for a, b in pairs))


@dataclass(slots=True)
class Results:
    """A whole run."""

    circumstances: dict[str, Any]
    subjects: list[Subject] = field(default_factory=list)

    def points(self, target: str) -> list[Point]:
        """Give the points at which a target was measured beside any estimator, few rows first."""
        found = {point for subject in self.subjects for known, point in subject.series if known == target}
        return sorted(found, key=lambda each: (each.rows, each))

    def write(self, path: Path) -> None:
        """Write the file: a line for each series, so that two runs can be compared by eye."""
        subjects = ",\n".join(_subject_text(subject) for subject in self.subjects)
        text = f'{{\n"circumstances": {json.dumps(self.circumstances)},\n"subjects": [\n{subjects}\n]\n}}\n'
        path.write_text(text, encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `write` wrote."""
        said = json.loads(path.read_text(encoding="utf-8"))
        return cls(said["circumstances"], [_subject(each) for each in said["subjects"]])


def _subject_text(subject: Subject) -> str:
    head = {key: value for key, value in _plain(subject).items() if key != "series"}
    lines = [
        json.dumps({"target": target, "connections": point.connections, "rows": point.rows, **_rounded(asdict(series))})
        for (target, point), series in subject.series.items()
    ]
    return json.dumps(head)[:-1] + ', "series": [\n  ' + ",\n  ".join(lines) + "\n]}"


def _plain(subject: Subject) -> dict[str, Any]:
    names = ("name", "title", "engine", "start_seconds", "memory_mb")
    return {name: getattr(subject, name) for name in names}


def _rounded(series: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    return {name: [float(f"{value:.4g}") for value in values] for name, values in series.items()}


def _subject(said: Mapping[str, Any]) -> Subject:
    series = {
        (each["target"], Point(each["connections"], each["rows"])): Series(
            each["per_second"], each["p50_ms"], each["p99_ms"]
        )
        for each in said["series"]
    }
    return Subject(**{**said, "series": series})
