"""The picture: bars on a logarithmic scale, as SVG, drawn by hand so that nothing has to be installed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

WIDTH: Final = 860
LEFT: Final = 250  # where the bars begin
RIGHT: Final = 60  # kept for the last number
TOP: Final = 74
BAR: Final = 13
GROUP: Final = 38
COLOURS: Final = ("#2f6f4f", "#a9c7b5")
INK: Final = "#222222"
GRID: Final = "#d8d8d8"
STEPS: Final = (1, 2, 5)


@dataclass(frozen=True, slots=True)
class Group:
    """The bars of one estimator: a value for each of the names, None where there is none."""

    title: str
    values: Sequence[float | None]


def ticks(least: float, most: float) -> list[float]:
    """Give 1, 2, 5, 10, 20, ... from below the least value to above the most."""
    powers = range(math.floor(math.log10(least)) - 1, math.ceil(math.log10(most)) + 2)
    every = [step * 10.0**power for power in powers for step in STEPS]
    first = max(index for index, tick in enumerate(every) if tick <= least)
    last = min(index for index, tick in enumerate(every) if tick >= most)
    return every[first : last + 1]


def draw(title: str, names: Sequence[str], groups: Sequence[Group]) -> str:
    """Draw the groups from top to bottom; a line stands at 1, where both are equal."""
    values = [value for group in groups for value in group.values if value is not None]
    marks = ticks(min(1.0, *values), max(2.0, *values))
    low, high = math.log(marks[0]), math.log(marks[-1])

    def x(value: float) -> float:
        return round(LEFT + (math.log(value) - low) / (high - low) * (WIDTH - LEFT - RIGHT), 1)

    height = TOP + GROUP * len(groups) + 16
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"',
        f'  font-family="sans-serif" font-size="13" fill="{INK}">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="12" y="22" font-size="15" font-weight="bold">{escape(title)}</text>',
        *_legend(names),
    ]
    for mark in marks:
        colour, width = (INK, 1.5) if mark == 1 else (GRID, 1)
        lines.append(
            f'<path d="M{x(mark)} {TOP - 6}V{height - 12}" stroke="{colour}" stroke-width="{width}"/>'
            f'<text x="{x(mark)}" y="{TOP - 11}" text-anchor="middle" font-size="11">{mark:g}</text>'
        )
    for index, group in enumerate(groups):
        lines += _bars(group, TOP + index * GROUP, x(1.0), [None if each is None else x(each) for each in group.values])
    return "\n".join([*lines, "</svg>"]) + "\n"


def _legend(names: Sequence[str]) -> list[str]:
    lines = []
    for index, (name, colour) in enumerate(zip(names, COLOURS, strict=False)):
        at = LEFT + index * 180
        lines.append(
            f'<rect x="{at}" y="33" width="12" height="12" fill="{colour}"/>'
            f'<text x="{at + 18}" y="44">{escape(name)}</text>'
        )
    return lines


def _bars(group: Group, top: int, origin: float, ends: Sequence[float | None]) -> list[str]:
    middle = top + BAR + 5
    lines = [f'<text x="{LEFT - 10}" y="{middle}" text-anchor="end">{escape(group.title)}</text>']
    for index, (value, end) in enumerate(zip(group.values, ends, strict=True)):
        if value is None or end is None:
            continue
        y, start, width = top + index * (BAR + 1), min(origin, end), max(1.0, round(abs(end - origin), 1))
        lines.append(
            f'<rect x="{start}" y="{y}" width="{width}" height="{BAR}" fill="{COLOURS[index]}"/>'
            f'<text x="{max(origin, end) + 5}" y="{y + 11}" font-size="11">{short(value)}</text>'
        )
    return lines


def short(ratio: float) -> str:
    """Write a ratio with the digits that mean something."""
    return f"{ratio:.0f}" if ratio >= 9.95 else f"{ratio:.1f}" if ratio >= 0.995 else f"{ratio:.2f}"
