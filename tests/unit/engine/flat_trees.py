"""Flattened trees for tests: made at random, walked in plain Python, and corrupted.

Run as a program it corrupts trees over and over: whatever a `Walker` then does, the process lives.
"""

import math
import sys
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from server.engine._walk import Walker
from server.engine.trees import CATEGORICAL, MISSING_LEFT, NODE, SET_WORDS

Arrays = dict[str, Any]

FLAGS: Final = int(CATEGORICAL | MISSING_LEFT)
WILD: Final = 2**30  # where no array reaches
NUMBERS: Final = (0.0, -0.0, 1.0, 2.5, 254.0, 255.0, 255.5, 256.0, -1.0, -0.5, 1e300, 1e-310, math.inf, -math.inf)


def small_trees(**changes: Any) -> Arrays:
    """Give two small trees, one of numbers and one of categories, with changes."""
    nan, flagged = math.nan, int(CATEGORICAL) | 2
    nodes = [(0.5, 2, 0), (nan, 1, 0), (1.5, 4, 1), (nan, 3, 0), (nan, 4, 0), (0.0, 7, flagged), (nan, 6, 0)]
    sets = np.zeros((3, SET_WORDS), dtype=np.uint32)
    sets[2, 0] = 0b1111
    return {
        "nodes": np.array([*nodes, (nan, 7, 0)], dtype=NODE),
        "numbers": np.array([WILD, 0, WILD, 1, 2, WILD, 3, 4], dtype=np.int32),
        "leaves": np.array([1.0, 10.0, 100.0, 1_000.0, 10_000.0]),
        "roots": np.array([0, 5], dtype=np.int32),
        "columns": np.array([0, 1], dtype=np.int32),
        "left_sets": np.array([[0b0011, 0, 0, 0, 0, 0, 0, 0]], dtype=np.uint32),
        "known_sets": sets,
        "width": 1,
        "n_features": 3,
        "scale": 1.0,
        "single_precision": False,
    } | changes


def random_trees(seed: int, *, categorical: bool, single_precision: bool = False) -> Arrays:
    """Make some trees of four features; an inner node's number of a leaf, which means nothing, leads nowhere."""
    draw = np.random.default_rng(seed)
    nodes: list[tuple[float, int, int]] = []
    numbers: list[int] = []
    roots: list[int] = []
    sets: list[NDArray[np.uint32]] = []
    n_leaves = 0

    def grow(depth: int) -> None:
        nonlocal n_leaves
        at = len(nodes)
        nodes.append((math.nan, at, 0))
        numbers.append(n_leaves)
        if depth == 0 or draw.random() < 0.2:
            n_leaves += 1
            return
        numbers[at] = WILD
        feature, flags = int(draw.integers(4)), int(MISSING_LEFT) * int(draw.integers(2))
        threshold = float(draw.normal())
        if categorical and feature == 3:
            flags |= int(CATEGORICAL)
            threshold = float(len(sets))
            sets.append(draw.integers(0, 2**32, size=SET_WORDS, dtype=np.uint32))
        grow(depth - 1)
        nodes[at] = (threshold, len(nodes), feature | flags)
        grow(depth - 1)

    n_trees, width = int(draw.integers(1, 20)), int(draw.integers(1, 4))
    for _ in range(n_trees):
        roots.append(len(nodes))
        grow(int(draw.integers(0, 8)))
    known = np.zeros((4, SET_WORDS), dtype=np.uint32)
    known[3] = draw.integers(0, 2**32, size=SET_WORDS, dtype=np.uint32)
    return {
        "nodes": np.array(nodes, dtype=NODE),
        "numbers": np.array(numbers, dtype=np.int32),
        "leaves": draw.normal(size=(n_leaves, width)),
        "roots": np.array(roots, dtype=np.int32),
        "columns": draw.integers(0, 3, size=n_trees).astype(np.int32),
        "left_sets": np.array(sets, dtype=np.uint32).reshape(-1, SET_WORDS),
        "known_sets": known,
        "width": width,
        "n_features": 4,
        "scale": float(draw.choice([1.0, 0.1])),
        "single_precision": single_precision,
    }


def random_rows(seed: int, count: int, *, missing: bool, finite: bool = False) -> NDArray[np.float64]:
    """Draw rows of four features: numbers near the thresholds, categories, and what is neither."""
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(count, 4))
    x[:, 3] = draw.integers(-1, 257, size=count)
    odd = [number for number in NUMBERS if abs(number) < 1e30] if finite else NUMBERS
    strange = draw.random(x.shape) < 0.1
    x[strange] = draw.choice(odd, size=int(strange.sum()))
    if missing:
        x[draw.random(x.shape) < 0.1] = math.nan
    return x


def in_python(trees: Mapping[str, Any], x: NDArray[np.float64], out: NDArray[np.float64]) -> None:
    """Add what the trees give, one row after the other and one step after the other."""
    for row, total in zip(x, out, strict=True):
        if trees["single_precision"]:
            row = row.astype(np.float32).astype(np.float64)
        for root, column in zip(trees["roots"], trees["columns"], strict=True):
            at = int(root)
            while trees["nodes"][at]["right"] != at:
                at = at + 1 if goes_left(trees, at, row) else int(trees["nodes"][at]["right"])
            for place, value in enumerate(np.atleast_1d(trees["leaves"][trees["numbers"][at]])):
                total[column + place] += trees["scale"] * value


def goes_left(trees: Mapping[str, Any], at: int, row: NDArray[np.float64]) -> bool:
    """Tell whether a row goes left at a node."""
    threshold, _, flagged = trees["nodes"][at].tolist()
    feature, missing_left = flagged & ~FLAGS, bool(flagged & int(MISSING_LEFT))
    value = float(row[feature])
    if math.isnan(value):
        return missing_left
    if not flagged & int(CATEGORICAL):
        return bool(value <= threshold)
    if value < 0 or value > 255:
        return missing_left
    if has(trees["left_sets"][int(threshold)], int(value)):
        return True
    return not has(trees["known_sets"][feature], int(value)) and missing_left


def has(words: NDArray[np.uint32], category: int) -> bool:
    """Tell whether a set has a category."""
    return bool(int(words[category // 32]) >> category % 32 & 1)


def misled(trees: Arrays, draw: np.random.Generator) -> Arrays:
    """Change a field of a node, or a number, so that the trees may or may not still be walked."""
    changed = {name: value.copy() if isinstance(value, np.ndarray) else value for name, value in trees.items()}
    name = str(draw.choice(["right", "right", "right", "feature", "threshold", "width", "n_features", "scale"]))
    nodes = changed["nodes"]
    at = int(draw.integers(len(nodes)))
    if name == "right":
        wild = draw.random() < 0.2
        nodes[name][at] = draw.choice([-(2**31), -1, 0, WILD, 2**31 - 1]) if wild else draw.integers(at, len(nodes))
    elif name == "feature":
        nodes[name][at] = draw.integers(6) | draw.integers(4) << 30
    elif name == "threshold":
        nodes[name][at] = draw.choice([*NUMBERS, math.nan])
    elif name == "scale":
        changed[name] = float(draw.choice([0.0, math.nan, math.inf]))
    else:
        numbers = [-(2**63), -1, 0, 1, 2, 5, WILD, 2**60, 2**61, 2**61 + 1, 2**63 - 1]
        changed[name] = numbers[int(draw.integers(len(numbers)))]
    return changed


def torn(trees: Arrays, draw: np.random.Generator) -> Arrays:
    """Change some bytes of an array, or how many it has."""
    name = str(draw.choice([name for name, value in trees.items() if isinstance(value, np.ndarray)]))
    data = bytearray(trees[name].tobytes())
    cut = int(draw.integers(len(data) + 1))
    kind = draw.random()
    if kind < 0.2:
        data = data[:cut]
    elif kind < 0.4:
        data += data[:cut]
    for _ in range(int(draw.integers(3)) if data else 0):
        data[int(draw.integers(len(data)))] = int(draw.integers(256))
    return trees | {name: data}


def survive(rounds: int) -> tuple[int, int]:
    """Corrupt trees and walk those that can be made; give how often that was refused, and how often it was done."""
    refused = walked = 0
    draw = np.random.default_rng(0)
    made = [random_trees(seed, categorical=seed % 3 == 0, single_precision=seed % 2 == 0) for seed in range(30)]
    for number in range(rounds):
        trees = made[number % len(made)]
        for _ in range(int(draw.integers(3))):
            trees = misled(trees, draw)
        if draw.random() < 0.5:
            trees = torn(trees, draw)
        try:
            walker = Walker(**trees)
        except (ValueError, OverflowError):
            refused += 1
            continue
        for columns in (0, 1, 8):
            for missing, count in ((False, 1), (False, 70), (True, 9)):
                x = random_rows(number, count, missing=missing, finite=True)
                try:
                    walker.add(x, np.zeros((len(x), columns)))
                    walked += 1
                except ValueError:
                    refused += 1
    return refused, walked


if __name__ == "__main__":
    print(*survive(int(sys.argv[1])))
