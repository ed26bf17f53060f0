"""Random rows that a published schema accepts."""

import random
from collections.abc import Mapping
from typing import Any

WORDS = [
    "good",
    "bad",
    "awful",
    "great",
    "fine",
    "poor",
    "kettle",
    "cup",
    "the",
    "a",
    "is",
    "very",
    "not",
    "really",
    "würde",
    "好",
    "💩",
]
WIDE = 1e6  # beyond this a bound is the number format's, not the model's


def draw_row(schema: Mapping[str, Any], rng: random.Random) -> dict[str, Any]:
    """Draw an object with every property, in an order of its own."""
    names = list(schema["properties"])
    rng.shuffle(names)
    return {name: draw(schema["properties"][name], rng) for name in names}


def draw(schema: Mapping[str, Any], rng: random.Random) -> Any:
    """Draw a value that a parameter's schema accepts; `null` now and then where it may be."""
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if "null" in types and rng.random() < 0.15:
        return None
    if "enum" in schema:
        return rng.choice([value for value in schema["enum"] if value is not None])
    kind = next(name for name in types if name != "null")
    if kind == "boolean":
        return rng.random() < 0.5
    if kind == "string":
        return rng.choice([*schema.get("examples", []), " ".join(rng.choices(WORDS, k=rng.randrange(12)))])
    return _number(schema, rng, whole=kind == "integer")


def _number(schema: Mapping[str, Any], rng: random.Random, *, whole: bool) -> Any:
    low, high = schema["minimum"], schema["maximum"]
    if rng.random() < 0.02 and max(-low, high) <= WIDE:
        return rng.choice([low, high])
    low, high = max(low, -WIDE), min(high, WIDE)
    if whole:
        step = schema.get("multipleOf", 1)
        return step * rng.randint(-(-low // step), high // step)
    if low > -WIDE and high < WIDE:
        return rng.uniform(low, high)
    value = rng.gauss(0, 10.0 ** rng.randint(-1, 3))
    return round(min(max(value, low), high), rng.choice([0, 1, 17]))
