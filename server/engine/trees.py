"""Decision trees as flat arrays, and the compiled loop over them.

The loop itself is `_walk.c`. Its nodes are in preorder, so that a left child needs no address; every number in them is
scikit-learn's own, and so is the order in which the trees are summed: the sums are equal to the last bit.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from server.engine.evaluator import Unsupported
from server.introspection import Estimator

try:
    from server.engine._walk import Walker as Walker
except ImportError:  # built where a C compiler is; without it the pickle itself is the engine
    Walker = None  # type: ignore[assignment,misc]

Matrix: TypeAlias = NDArray[np.float64]

NODE: Final = np.dtype([("threshold", "<f8"), ("right", "<i4"), ("feature", "<u4")])
MISSING_LEFT: Final = np.uint32(1 << 31)
CATEGORICAL: Final = np.uint32(1 << 30)
MAX_SAMPLE: Final = 100_000  # nodes whose thresholds are looked at
MAX_THRESHOLDS: Final = 256  # kept of each feature
MIXER: Final = np.uint64(0x9E3779B97F4A7C15)  # an odd number whose bits are well mixed: 2^64 over the golden ratio
SET_WORDS: Final = 8  # a set of the categories 0 to 255


@dataclass(frozen=True, slots=True)
class Tree:
    """One tree in preorder: `nodes` name their right child by its place in the tree, `values` has a row for each."""

    nodes: NDArray[np.void]
    values: Matrix
    left_sets: NDArray[np.uint32]


class TreeSum:
    """Sums the leaves of many trees: `sum[row, column of the tree] += scale * leaf`."""

    def __init__(
        self,
        trees: Sequence[Tree],
        *,
        n_features: int,
        columns: Sequence[int] | None = None,
        scale: float = 1.0,
        single_precision: bool,
        known_sets: NDArray[np.uint32] | None = None,
    ) -> None:
        """Lay the trees out; `known_sets` has for each feature the set of categories that training saw.

        Raises `Unsupported` without the loop.
        """
        if Walker is None:
            raise Unsupported("an ensemble of trees, where the installation found no C compiler,")
        sizes = np.array([len(tree.nodes) for tree in trees])
        roots = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int32)
        nodes = np.concatenate([tree.nodes for tree in trees])
        nodes["right"] += np.repeat(roots, sizes)
        leaf = nodes["right"] == np.arange(len(nodes))
        left_sets = [tree.left_sets for tree in trees]
        set_starts = np.concatenate([[0], np.cumsum([len(sets) for sets in left_sets])[:-1]])
        categorical = (nodes["feature"] & CATEGORICAL) != 0
        nodes["threshold"][categorical] += np.repeat(set_starts, sizes)[categorical]
        # A few of the numbers that decide, feature by feature: what a comparison with the estimator has to look at.
        sample = nodes[_some(np.flatnonzero(~leaf & ~categorical), MAX_SAMPLE)]
        features = sample["feature"] & np.uint32(CATEGORICAL - 1)
        self.thresholds = [
            _some(np.unique(sample["threshold"][features == index]), MAX_THRESHOLDS) for index in range(n_features)
        ]
        places, leaves = _distinct(np.concatenate([tree.values[_leaves(tree)] for tree in trees]))
        numbers = np.zeros(len(nodes), dtype=np.int32)
        numbers[leaf] = places
        self._walker = Walker(
            nodes=nodes,
            numbers=numbers,
            leaves=leaves,
            roots=roots,
            columns=np.array(columns if columns is not None else [0] * len(trees), dtype=np.int32),
            left_sets=np.ascontiguousarray(np.concatenate(left_sets)),
            known_sets=known_sets if known_sets is not None else np.zeros((0, SET_WORDS), dtype=np.uint32),
            width=trees[0].values.shape[1],
            n_features=n_features,
            scale=scale,
            single_precision=single_precision,
        )

    def add_to(self, total: Matrix, x: Matrix) -> Matrix:
        """Add the trees' leaves for each row of `x`, which may be rounded in place, to `total`, and give that.

        Raises `ValueError` for a value beyond float32 where the trees compare in single precision.
        """
        # Columns that were picked lie one after the other in memory; the loop reads rows.
        self._walker.add(np.ascontiguousarray(x, dtype=np.float64), total)
        return total


def _distinct(rows: Matrix) -> tuple[NDArray[np.int64], Matrix]:
    """Give for each row its place among the distinct ones, and these.

    Most leaves of a forest hold what others hold too; the fewer there are, the more of them are in the cache.
    """
    words = np.ascontiguousarray(rows).view(np.uint64)
    hashes = np.zeros(len(words), dtype=np.uint64)
    for column in words.T:
        hashes = (hashes ^ column) * MIXER
        hashes ^= hashes >> np.uint64(29)
    places, _ = pd.factorize(hashes)
    _, firsts = np.unique(places, return_index=True)
    if not np.array_equal(words[firsts][places], words):  # two that differ have one hash
        return np.arange(len(rows)), np.ascontiguousarray(rows)
    return places, np.ascontiguousarray(rows[firsts])


def _some(values: NDArray[Any], most: int) -> NDArray[Any]:
    return np.asarray(values[np.linspace(0, len(values) - 1, min(len(values), most)).astype(int)])


def _leaves(tree: Tree) -> NDArray[np.bool_]:
    return np.asarray(tree.nodes["right"] == np.arange(len(tree.nodes)))


def from_sklearn(tree: Estimator) -> Tree:
    """Flatten a fitted `sklearn.tree._tree.Tree`; its values have a column for each class of each output."""
    left, right = tree.children_left, tree.children_right
    values = np.asarray(tree.value, dtype=np.float64).reshape(tree.node_count, -1)
    missing_left = np.asarray(tree.missing_go_to_left, dtype=bool)
    return _in_preorder(left, right, tree.feature, tree.threshold, missing_left, values)


def from_histogram(predictor: Estimator) -> Tree:
    """Flatten a `TreePredictor` of histogram gradient boosting."""
    nodes = predictor.nodes
    leaf = nodes["is_leaf"].astype(bool)
    categorical = nodes["is_categorical"].astype(bool) & ~leaf
    tree = _in_preorder(
        np.where(leaf, -1, nodes["left"].astype(np.int64)),
        np.where(leaf, -1, nodes["right"].astype(np.int64)),
        nodes["feature_idx"],
        np.where(categorical, nodes["bitset_idx"].astype(np.float64), nodes["num_threshold"]),
        nodes["missing_go_to_left"].astype(bool),
        nodes["value"].astype(np.float64).reshape(-1, 1),
        categorical,
    )
    sets = np.asarray(predictor.raw_left_cat_bitsets, dtype=np.uint32).reshape(-1, SET_WORDS)
    return Tree(tree.nodes, tree.values, sets)


def _in_preorder(
    left: NDArray[np.integer],
    right: NDArray[np.integer],
    feature: NDArray[np.integer],
    threshold: Matrix,
    missing_left: NDArray[np.bool_],
    values: Matrix,
    categorical: NDArray[np.bool_] | None = None,
) -> Tree:
    """Bring nodes whose children are given by number, -1 for a leaf, into preorder."""
    count = len(left)
    order = _preorder(left, right)
    place = np.empty(count, dtype=np.int64)
    place[order] = np.arange(len(order))
    leaf = left[order] < 0
    nodes = np.zeros(len(order), dtype=NODE)
    nodes["threshold"] = np.where(leaf, np.nan, threshold[order])
    nodes["right"] = np.where(leaf, np.arange(len(order)), place[right[order]])
    flags = np.where(missing_left[order], MISSING_LEFT, np.uint32(0))
    if categorical is not None:
        flags |= np.where(categorical[order], CATEGORICAL, np.uint32(0))
    nodes["feature"] = np.where(leaf, np.uint32(0), feature[order].astype(np.uint32) | flags)
    return Tree(nodes, values[order], np.zeros((0, SET_WORDS), dtype=np.uint32))


def _preorder(left: NDArray[np.integer], right: NDArray[np.integer]) -> NDArray[np.int64]:
    """Give the nodes' numbers in preorder; trees that were grown depth first are in it already."""
    inner = np.flatnonzero(left >= 0)
    if (left[inner] == inner + 1).all() and (right[inner] > inner).all():
        return np.arange(len(left))
    order: list[int] = []
    lefts, rights = left.tolist(), right.tolist()
    waiting = [0]
    while waiting:
        node = waiting.pop()
        order.append(node)
        if lefts[node] >= 0:
            waiting += [rights[node], lefts[node]]
    return np.array(order)


def known_sets(categories: Iterable[NDArray[np.floating] | None]) -> NDArray[np.uint32]:
    """Give for each feature the set of its known categories, whole numbers from 0 to 255; empty for a number."""
    sets = []
    for known in categories:
        bits = np.zeros(SET_WORDS * 32, dtype=np.uint8)
        if known is not None:
            bits[np.asarray(known, dtype=np.int64)] = 1
        sets.append(np.packbits(bits, bitorder="little").view("<u4"))
    return np.array(sets, dtype=np.uint32)
