"""The compiled loop over trees: the same sums as in plain Python, and no arrays that could lead it astray."""

import math
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from server.engine._walk import Walker
from server.engine.trees import CATEGORICAL, NODE, SET_WORDS
from tests.unit.engine.flat_trees import WILD, in_python, random_rows, random_trees, small_trees

LARGEST = float(np.finfo(np.float32).max)
BEYOND = math.nextafter(LARGEST + 2.0**103, math.inf)  # the least that rounds to infinity, a step further
COUNTS = (0, 1, 2, 7, 8, 9, 63, 64, 65, 127, 128, 129)  # rows go by 8, and those by the block
NAN = math.nan


def nodes(**changed: tuple[float, int, int]) -> Any:
    """Give the nodes of the small trees, of which some, `at0` and so on, are others."""
    made = small_trees()["nodes"]
    for name, node in changed.items():
        made[int(name.removeprefix("at"))] = node
    return made


def ints(*numbers: int) -> Any:
    """Give an array of 32 bits."""
    return np.array(numbers, dtype=np.int32)


SIZES = "the sizes of the arrays do not fit"
COLUMN = "each tree needs a column"
ROOT = "a root is out of place"
OUT = "a column is out of range"
FEATURE = "a feature is out of range"
LEAF = "a leaf is out of range"
CHILD = "a child does not follow its parent"
SET = "a set is out of range"

MALFORMED: dict[str, tuple[dict[str, Any], str]] = {
    "a leaf without values": ({"width": 0}, SIZES),
    "a negative width": ({"width": -1}, SIZES),
    "no features": ({"n_features": 0}, SIZES),
    "negative features": ({"n_features": -(2**62)}, SIZES),
    "more features than a node can name": ({"n_features": 2**30}, SIZES),
    "features of which a row has no bytes": ({"n_features": 2**61}, SIZES),
    "a part of a node": ({"nodes": nodes().tobytes()[:-1]}, SIZES),
    "a node more than numbers of leaves": ({"numbers": ints(*range(7))}, SIZES),
    "a node less": ({"numbers": ints(*range(9))}, SIZES),
    "no trees": ({"roots": ints(), "columns": ints()}, SIZES),
    "nothing at all": (dict.fromkeys(("nodes", "numbers", "leaves", "roots", "columns"), b""), SIZES),
    "no nodes": ({"nodes": b"", "numbers": b""}, ROOT),
    "a tree without a column": ({"columns": ints(0)}, COLUMN),
    "a column without a tree": ({"columns": ints(0, 1, 2)}, COLUMN),
    "a negative column": ({"columns": ints(0, -1)}, OUT),
    "a negative root": ({"roots": ints(-1, 5)}, ROOT),
    "a root beyond the nodes": ({"roots": ints(0, 8)}, ROOT),
    "roots in another order": ({"roots": ints(5, 0)}, ROOT),
    "the same root twice": ({"roots": ints(0, 0)}, ROOT),
    "a root within another tree": ({"roots": ints(0, 2)}, CHILD),
    "a feature that no row has": ({"nodes": nodes(at2=(1.5, 4, 3))}, FEATURE),
    "a leaf's feature that no row has": ({"nodes": nodes(at3=(NAN, 3, 3))}, FEATURE),
    "a leaf that is a number": ({"nodes": nodes(at3=(0.5, 3, 0))}, LEAF),
    "a leaf beyond the values": ({"numbers": ints(WILD, 0, WILD, 1, 2, WILD, 3, 5)}, LEAF),
    "a negative leaf": ({"numbers": ints(WILD, -1, WILD, 1, 2, WILD, 3, 4)}, LEAF),
    "values for only some leaves": ({"leaves": np.ones(4)}, LEAF),
    "leaves that are too wide": ({"width": 2}, LEAF),
    "leaves as wide as can be": ({"width": sys.maxsize}, LEAF),
    "a part of a value": ({"leaves": np.ones(5).tobytes()[:-1]}, LEAF),
    "a child before its parent": ({"nodes": nodes(at2=(1.5, 0, 1))}, CHILD),
    "a negative child": ({"nodes": nodes(at2=(1.5, -(2**31), 1))}, CHILD),
    "a child in the next tree": ({"nodes": nodes(at2=(1.5, 5, 1))}, CHILD),
    "a child beyond the nodes": ({"nodes": nodes(at5=(0.5, 8, 0))}, CHILD),
    "a child far beyond the nodes": ({"nodes": nodes(at5=(0.5, 2**31 - 1, 0))}, CHILD),
    "a tree that ends in a split": ({"nodes": nodes(at7=(0.5, 8, 0))}, CHILD),
    "a tree that leads into the next": ({"nodes": nodes(at4=(0.5, 5, 0))}, CHILD),
    "a set that is not there": ({"nodes": nodes(at5=(1.0, 7, int(CATEGORICAL) | 2))}, SET),
    "a negative set": ({"nodes": nodes(at5=(-1.0, 7, int(CATEGORICAL) | 2))}, SET),
    "a set that is no number": ({"nodes": nodes(at5=(NAN, 7, int(CATEGORICAL) | 2))}, SET),
    "an infinite set": ({"nodes": nodes(at5=(math.inf, 7, int(CATEGORICAL) | 2))}, SET),
    "no sets": ({"left_sets": b""}, SET),
    "a part of a set": ({"left_sets": b"\1" * 31}, SET),
    "no known categories": ({"known_sets": b""}, SET),
    "known categories of fewer features": ({"known_sets": b"\1" * 64}, SET),
}


@pytest.mark.parametrize(
    ("changes", "reason"), [pytest.param(changes, why, id=name) for name, (changes, why) in MALFORMED.items()]
)
def test_malformed_arrays_are_refused(changes: dict[str, Any], reason: str) -> None:
    """Arrays out of which a walk could lead are refused when the walker is made, with what is wrong."""
    with pytest.raises(ValueError, match=f"The trees cannot be walked: {reason}."):
        Walker(**small_trees(**changes))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        pytest.param({"nodes": "text"}, TypeError, id="no array"),
        pytest.param({"roots": None}, TypeError, id="nothing"),
        pytest.param({"columns": np.zeros((4, 4), dtype=np.int32)[:, 1]}, ValueError, id="an array with gaps"),
        pytest.param({"width": 1.5}, TypeError, id="half a width"),
        pytest.param({"n_features": 2**70}, OverflowError, id="a number that no machine holds"),
        pytest.param({"scale": "much"}, TypeError, id="no number"),
        pytest.param({"more": 1}, TypeError, id="an argument more"),
    ],
)
def test_what_is_no_array_is_refused(changes: dict[str, Any], error: type[Exception]) -> None:
    """What is no buffer or no number is refused as Python refuses it."""
    with pytest.raises(error):
        Walker(**small_trees(**changes))
    with pytest.raises(TypeError):
        Walker()  # type: ignore[call-arg]  # on purpose


def test_small_trees() -> None:
    """Each tree adds the leaf that a row falls into to its own column, beside what stands there already."""
    x = np.array([[0.5, 9.0, 0.0], [0.6, 1.5, 2.0], [0.6, 1.6, 300.0], [NAN, NAN, NAN]])
    out = np.full((4, 2), 0.25)
    Walker(**small_trees()).add(x, out)
    assert out.tolist() == [[1.25, 1_000.25], [10.25, 10_000.25], [100.25, 10_000.25], [100.25, 10_000.25]]


@pytest.mark.parametrize("single_precision", [False, True], ids=["double", "single"])
@pytest.mark.parametrize("missing", [False, True], ids=["complete", "missing"])
@pytest.mark.parametrize("categorical", [False, True], ids=["numbers", "categories"])
@pytest.mark.parametrize("seed", range(4), ids=str)
def test_sums_are_those_of_plain_python(seed: int, categorical: bool, missing: bool, single_precision: bool) -> None:
    """However many rows go together, the sums are those of one row after the other in Python, to the last bit."""
    trees = random_trees(seed, categorical=categorical, single_precision=single_precision)
    walker = Walker(**trees)
    for count in COUNTS:
        x = random_rows(seed + count, count, missing=missing, finite=single_precision)
        start = np.random.default_rng(seed).normal(size=(count, 6))
        found, wanted = start.copy(), start.copy()
        in_python(trees, x, wanted)
        walker.add(x.copy(), found)
        np.testing.assert_array_equal(found.view(np.uint64), wanted.view(np.uint64))


def test_a_missing_value_in_one_row_changes_no_other() -> None:
    """A block of rows with one missing value, which takes another way, gives the others the same sums."""
    trees = random_trees(3, categorical=False)
    walker, x = Walker(**trees), random_rows(0, 64, missing=False)
    complete, gappy = np.zeros((64, 6)), np.zeros((64, 6))
    walker.add(x.copy(), complete)
    x[17, 1] = NAN
    walker.add(x, gappy)
    np.testing.assert_array_equal(np.delete(gappy, 17, axis=0), np.delete(complete, 17, axis=0))


def vine(depth: int, thresholds: Any, feature: int, n_features: int, **changes: Any) -> dict[str, Any]:
    """Give eight like trees in each of which every inner node's left child is inner, down to the last one."""
    size = 2 * depth + 1
    tree = np.zeros(size, dtype=NODE)
    tree["threshold"][:depth], tree["threshold"][depth:] = thresholds, NAN
    tree["right"] = [2 * depth - at if at < depth else at for at in range(size)]
    tree["feature"][:depth] = feature
    nodes = np.tile(tree, 8)
    roots = np.arange(0, 8 * size, size, dtype=np.int32)
    nodes["right"] += np.repeat(roots, size)
    return {
        "nodes": nodes,
        "numbers": np.tile(np.array([*[0] * depth, *range(depth + 1)], dtype=np.int32), 8),
        "leaves": np.arange(depth + 1, dtype=np.float64),
        "roots": roots,
        "columns": np.zeros(8, dtype=np.int32),
        "left_sets": np.zeros((0, SET_WORDS), dtype=np.uint32),
        "known_sets": np.zeros((0, SET_WORDS), dtype=np.uint32),
        "width": 1,
        "n_features": n_features,
        "scale": 1.0,
        "single_precision": True,
    } | changes


@pytest.mark.parametrize("rows", [1, 8], ids=["a row", "rows"])
@pytest.mark.parametrize(
    ("depth", "n_features"),
    [
        pytest.param(20, 3, id="small"),
        pytest.param(20, 60_000, id="features of 16 bits"),
        pytest.param(20, 70_000, id="more features"),
        pytest.param(40_000, 60_000, id="too far for the bits that are left"),
    ],
)
def test_trees_of_any_size(depth: int, n_features: int, rows: int) -> None:
    """Trees that do not fit into the small form of nodes give the same as those that do."""
    feature = n_features - 1
    walker = Walker(**vine(depth, np.arange(depth, 0, -1), feature, n_features))
    x = np.zeros((rows, n_features))
    x[:, feature] = np.linspace(0.5, depth + 0.5, rows) if rows > 1 else depth // 2 + 0.5
    # It goes left as long as it is not above what gets smaller, to the leaf that was left off there.
    wanted = [8 * min(depth, np.ceil(value - 1)) for value in x[:, feature]]
    out = np.zeros((rows, 1))
    walker.add(x, out)
    assert out[:, 0].tolist() == wanted


@pytest.mark.parametrize(
    "threshold",
    [0.1, -0.1, 0.0, -0.0, 1e-310, -1e-310, 1e-45, 16_777_217.0, 1e300, -1e300, math.inf, -math.inf],
    ids=repr,
)
def test_thresholds_between_two_of_single_precision(threshold: float) -> None:
    """A threshold that single precision does not hold parts the same values as in double precision."""
    single = np.float32(np.clip(threshold, -3.4e38, 3.4e38))
    beside = [np.nextafter(single, np.float32(way)) for way in (-math.inf, math.inf)]
    values = np.array([single, *beside, 0.0, -0.0, 3.4028234663852886e38, -3.4028234663852886e38, 1e-45])
    walker = Walker(**vine(1, threshold, 0, 1))
    out = np.zeros((8, 1))
    walker.add(values.reshape(-1, 1).copy(), out)
    assert out[:, 0].tolist() == [0.0 if value <= threshold else 8.0 for value in values.astype(np.float32).tolist()]


@pytest.mark.parametrize("rows", [1, 8], ids=["a row", "rows"])
@pytest.mark.parametrize("count", [1, 8], ids=["a tree", "trees"])
def test_ways_that_meet_again(rows: int, count: int) -> None:
    """Arrays that are no tree, where a long way and a short one lead to the same node, are walked to their end."""
    rights = {0: 8, 1: 4, 2: 4, 3: 9, 8: 10, 9: 11}
    made = [
        (0.0, start + rights[at], int(at == 3)) if at in rights else (NAN, start + at, 0)
        for start in range(0, 12 * count, 12)
        for at in range(12)
    ]
    trees = small_trees(
        nodes=np.array(made, dtype=NODE),
        numbers=np.array([WILD if at in rights else at for at in range(12)] * count, dtype=np.int32),
        leaves=np.arange(12.0),
        roots=ints(*range(0, 12 * count, 12)),
        columns=ints(*[0] * count),
    )
    out = np.zeros((rows, 1))
    Walker(**trees).add(np.array([[-1.0, 1.0, 0.0]] * rows), out)
    assert out.ravel().tolist() == [10.0 * count] * rows


@pytest.mark.parametrize(
    ("x", "out"),
    [
        pytest.param(np.zeros(7), np.zeros((2, 2)), id="a part of a row"),
        pytest.param(np.zeros((2, 3)), np.zeros(1), id="fewer sums than rows"),
        pytest.param(np.zeros((2, 3)), np.zeros(5), id="a part of a sum"),
        pytest.param(np.zeros((2, 3)), np.zeros((2, 1)), id="fewer columns than trees"),
        pytest.param(np.zeros((2, 3)), np.zeros(0), id="no sums"),
        pytest.param(np.zeros((0, 3)), np.zeros((2, 2)), id="no rows"),
        pytest.param(np.zeros((2, 3)), bytearray(33), id="a part of a number"),
    ],
)
def test_rows_and_sums_of_wrong_sizes_are_refused(x: Any, out: Any) -> None:
    """Rows or sums whose sizes do not fit the trees or each other are refused, and nothing is written."""
    with pytest.raises(ValueError, match="The sizes of x and out do not fit the trees"):
        Walker(**small_trees()).add(x, out)
    assert not np.asarray(out).any()


@pytest.mark.parametrize(
    ("x", "out"),
    [
        pytest.param(b"\0" * 24, np.zeros(2), id="rows that cannot be written"),
        pytest.param(np.zeros(3), b"\0" * 16, id="sums that cannot be written"),
        pytest.param(np.zeros((2, 6))[:, ::2], np.zeros((2, 2)), id="rows with gaps"),
        pytest.param(np.zeros((3, 2)).T, np.zeros((2, 2)), id="rows by columns"),
        pytest.param(None, np.zeros(2), id="no rows"),
    ],
)
def test_what_holds_no_rows_is_refused(x: Any, out: Any) -> None:
    """What cannot be written, or does not lie row by row, is refused as Python refuses it."""
    with pytest.raises(TypeError):
        Walker(**small_trees()).add(x, out)


def test_no_rows_are_nothing() -> None:
    """No rows and no sums are no mistake."""
    Walker(**small_trees()).add(np.zeros((0, 3)), np.zeros((0, 2)))


@pytest.mark.parametrize("place", [0, 1, 23], ids=str)
@pytest.mark.parametrize("value", [BEYOND, -BEYOND, 1e300, math.inf, -math.inf], ids=str)
def test_what_is_beyond_single_precision_is_refused(value: float, place: int) -> None:
    """Where trees compare in single precision, a value that it does not hold is refused and no sum is changed."""
    x, out = np.zeros((8, 3)), np.zeros((8, 2))
    x.flat[place] = value
    with pytest.raises(ValueError, match="infinite or too large for float32"):
        Walker(**small_trees(single_precision=True)).add(x, out)
    assert not out.any()


def test_the_largest_of_single_precision() -> None:
    """What rounds to a number of single precision is taken, up to the largest; so is a missing value."""
    edge = LARGEST + 2.0**103  # halfway to the next power of two, less a step
    x = np.array([[math.nextafter(edge, 0), -LARGEST, NAN], [1e-310, -1e-60, 0.1]])
    out = np.zeros((2, 2))
    Walker(**small_trees(single_precision=True)).add(x, out)
    assert x[0, :2].tolist() == [LARGEST, -LARGEST]
    assert x[1].tolist() == [0.0, 0.0, float(np.float32(0.1))]
    assert out.all()


def test_threads_walk_together() -> None:
    """Long walks of several threads, which let each other go on, give what one alone gives."""
    trees = random_trees(5, categorical=True)
    walker, x = Walker(**trees), random_rows(0, 20_000, missing=True)
    wanted = np.zeros((len(x), 6))
    walker.add(x.copy(), wanted)

    def walk(_: int) -> Any:
        out = np.zeros((len(x), 6))
        walker.add(x.copy(), out)
        return out

    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(walk, range(8)):
            np.testing.assert_array_equal(found, wanted)


def test_a_walker_keeps_its_arrays() -> None:
    """The arrays live as long as their walker, whoever else forgets them."""
    trees = small_trees()
    walker = Walker(**trees)
    trees.clear()
    out = np.zeros((1, 2))
    walker.add(np.zeros((1, 3)), out)
    assert out.tolist() == [[1.0, 1_000.0]]


def test_no_corruption_ends_the_process() -> None:
    """Thousands of corrupted trees are refused or walked, and the process that does it lives."""
    program = [sys.executable, "-m", "tests.unit.engine.flat_trees", "1500"]
    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    refused, walked = map(int, done.stdout.split())
    assert refused > 300
    assert walked > 300
