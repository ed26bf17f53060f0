"""The steps of a pipeline as numpy: from the matrix of codes to the matrix that the last step takes.

A categorical parameter comes as the number of its label in its alphabet, the list of all codes that it can have. What
an encoder makes of each of them is asked of the fitted encoder itself, once, and kept as a table: at run time its
work is one look-up. Numbers go through the very operations of scikit-learn's steps, in their order.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils import check_array, get_tags

from server.engine.evaluator import Unsupported
from server.engine.trees import Matrix
from server.introspection import Estimator, is_a

MAX_PRODUCTS: Final = 10_000  # of polynomial features
Transform: TypeAlias = Callable[[Matrix], Matrix]
Refusal: TypeAlias = Callable[[Matrix], NDArray[np.bool_]]


@dataclass(frozen=True, slots=True)
class Source:
    """One column of codes: its place in the matrix, and the alphabet of a category.

    Of a number, `fill` is what stands in for a missing value; `checked` says that a step refuses infinity in it.
    """

    place: int
    alphabet: tuple[Any, ...] | None = None
    fill: float | None = None
    checked: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """Columns on their way: still as they came, `sources`, or computed by a function of the matrix of codes."""

    sources: tuple[Source, ...] = ()
    transform: Transform | None = None

    def numeric(self) -> Transform:
        """Give the function that computes the block as numbers."""
        return self.transform if self.transform is not None else _gather(self.sources)


def compile_step(step: Estimator, block: Block) -> Block:
    """Compile a fitted transformer that is given `block`; raise `Unsupported` for what has no compiled form."""
    if isinstance(step, str) and step == "passthrough":
        return block
    if is_a(step, "Pipeline"):
        for _, part in step.steps:
            block = compile_step(part, block)
        return block
    if is_a(step, "ColumnTransformer"):
        return _column_transformer(step, block)
    if is_a(step, "FeatureUnion"):
        if getattr(step, "transformer_weights", None):
            raise Unsupported(step)
        return _side_by_side([compile_step(part, block) for _, part in step.transformer_list if part != "drop"])
    if is_a(step, "SimpleImputer"):
        return _imputer(step, block)
    if is_a(step, "OneHotEncoder", "OrdinalEncoder", "TargetEncoder"):
        return _encoder(step, block)
    for name, (operation, refuses) in OPERATIONS.items():
        if is_a(step, name):
            return _then(block, operation(step), refuses)
    raise Unsupported(type(step).__name__)


def _gather(sources: Sequence[Source]) -> Transform:
    """Make the function that reads columns as numbers; an alphabet must consist of numbers for that."""
    places = [source.place for source in sources]
    whole = places == list(range(places[0], places[0] + len(places))) if places else False
    at: Any = slice(places[0], places[0] + len(places)) if whole else places
    checked = [column for column, source in enumerate(sources) if source.checked]
    filled = [(column, source.fill) for column, source in enumerate(sources) if source.fill is not None]
    tables = []
    for column, source in enumerate(sources):
        if source.alphabet is not None:
            tables.append((column, _numbers(source.alphabet)))

    def gather(codes: Matrix) -> Matrix:
        x = codes[:, at].copy() if whole else codes[:, at]
        for column, table in tables:
            x[:, column] = table[x[:, column].astype(np.intp)]
        if checked:
            _refuse(np.isinf, x[:, checked])
        if filled:
            missing = np.isnan(x)
            if missing.any():
                for column, fill in filled:
                    x[missing[:, column], column] = fill
        return x

    return gather


def _numbers(alphabet: Sequence[Any]) -> Matrix:
    try:
        return np.array([np.nan if code is None else code for code in alphabet], dtype=np.float64)
    except (TypeError, ValueError):
        raise Unsupported("a column of texts as numbers") from None


def _then(block: Block, operation: Transform, refuses: Refusal | None) -> Block:
    before = block.numeric()

    def transform(codes: Matrix) -> Matrix:
        x = before(codes)
        if refuses is not None:
            _refuse(refuses, x)
        return operation(x)

    return Block(transform=transform)


def _refuse(refuses: Refusal, x: Matrix) -> None:
    if refuses(x).any():
        msg = "A number is infinite or missing, which a step of the pipeline does not take."
        raise ValueError(msg)


def _not_finite(x: Matrix) -> NDArray[np.bool_]:
    return ~np.isfinite(x)


def _side_by_side(blocks: Sequence[Block]) -> Block:
    parts = [block.numeric() for block in blocks]
    if len(parts) == 1:
        return Block(transform=parts[0])
    return Block(transform=lambda codes: np.concatenate([part(codes) for part in parts], axis=1))


def _column_transformer(step: Estimator, block: Block) -> Block:
    if block.transform is not None:
        raise Unsupported(step)
    if getattr(step, "transformer_weights", None):
        raise Unsupported(step)
    parts = []
    for name, part, _ in step.transformers_:
        if isinstance(part, str) and part == "drop":
            continue
        chosen = tuple(block.sources[index] for index in step._transformer_to_input_indices[name])
        if chosen:
            parts.append(compile_step(part, Block(chosen)))
    return _side_by_side(parts)


def _imputer(step: Estimator, block: Block) -> Block:
    if step.add_indicator or block.transform is not None or len(step.statistics_) != len(block.sources):
        raise Unsupported(step)
    sources = []
    for source, statistic in zip(block.sources, step.statistics_, strict=True):
        if _is_missing(statistic):
            raise Unsupported(step)
        if source.alphabet is None:
            if not _is_missing(step.missing_values):
                raise Unsupported(step)
            fill = source.fill if source.fill is not None else float(statistic)
            sources.append(replace(source, fill=fill, checked=True))
            continue
        filled = (statistic if _same(code, step.missing_values) else code for code in source.alphabet)
        sources.append(replace(source, alphabet=tuple(filled)))
    return Block(tuple(sources))


def _is_missing(value: object) -> bool:
    return value is None or value != value


def _same(code: object, marker: object) -> bool:
    return (code != code and marker != marker) or (code is None and marker is None) or code == marker


def _encoder(step: Estimator, block: Block) -> Block:
    """Ask the encoder for what it makes of each code of each column, the others held at their first category."""
    if block.transform is not None or any(source.alphabet is None for source in block.sources):
        raise Unsupported(step)
    base = np.array([categories[0] for categories in step.categories_], dtype=object)
    widths = _widths(step)
    stops = np.cumsum(widths)
    tables = []
    for index, source in enumerate(block.sources):
        rows = np.tile(base, (len(source.alphabet or ()), 1))
        rows[:, index] = list(source.alphabet or ())
        encoded = _encode(step, rows)
        tables.append((source.place, encoded[:, stops[index] - widths[index] : stops[index]]))

    def look_up(codes: Matrix) -> Matrix:
        numbers = codes.astype(np.intp)
        return np.concatenate([table[numbers[:, place]] for place, table in tables], axis=1)

    return Block(transform=look_up)


def _encode(step: Estimator, rows: NDArray[Any]) -> Matrix:
    """Let the fitted encoder encode rows of objects, in the form that it was fitted on and with numbers as such."""
    numeric = [np.asarray(categories).dtype.kind in "iufb" for categories in step.categories_]
    names = getattr(step, "feature_names_in_", None)
    x: Any = rows
    if names is not None:
        columns = [rows[:, at].astype(np.float64 if each else object) for at, each in enumerate(numeric)]
        x = pd.DataFrame(dict(zip(names, columns, strict=True)))
    elif all(numeric):
        x = rows.astype(np.float64)
    encoded = step.transform(x)
    return np.asarray(encoded.toarray() if sparse.issparse(encoded) else encoded, dtype=np.float64)


def _widths(step: Estimator) -> list[int]:
    if is_a(step, "OneHotEncoder"):
        return list(step._n_features_outs)
    if is_a(step, "TargetEncoder") and step.target_type_ == "multiclass":
        raise Unsupported(step)  # its columns are not in the order of its features
    return [1] * len(step.categories_)


def _standard_scaler(step: Estimator) -> Transform:
    return _shift_and_scale(step.mean_ if step.with_mean else None, step.scale_ if step.with_std else None)


def _robust_scaler(step: Estimator) -> Transform:
    return _shift_and_scale(step.center_ if step.with_centering else None, step.scale_ if step.with_scaling else None)


def _shift_and_scale(shift: Matrix | None, scale: Matrix | None) -> Transform:
    def operation(x: Matrix) -> Matrix:
        if shift is not None:
            x -= shift
        if scale is not None:
            x /= scale
        return x

    return operation


def _min_max_scaler(step: Estimator) -> Transform:
    low, high = step.feature_range

    def operation(x: Matrix) -> Matrix:
        x *= step.scale_
        x += step.min_
        return np.clip(x, low, high, out=x) if step.clip else x

    return operation


def _max_abs_scaler(step: Estimator) -> Transform:
    if getattr(step, "clip", False):
        raise Unsupported(step)
    return lambda x: np.divide(x, step.scale_, out=x)


def _function(step: Estimator) -> Transform:
    # Histogram boosting's own preparation ends in a check that changes no number.
    if step.func is None or (isinstance(step.func, partial) and step.func.func is check_array and not step.kw_args):
        return lambda x: x
    if not isinstance(step.func, np.ufunc) or step.kw_args:
        raise Unsupported(step)
    return lambda x: step.func(x)


def _polynomial(step: Estimator) -> Transform:
    """Make each product from the one of a degree less, as the step does: the least of its features comes last."""
    powers = [tuple(each) for each in step.powers_.tolist()]
    if len(powers) > MAX_PRODUCTS or step._min_degree > 1:
        raise Unsupported(step)
    place = {power: index for index, power in enumerate(powers)}
    levels: dict[int, list[tuple[int, int, int]]] = {}
    for power, index in place.items():
        degree = sum(power)
        if degree > 1:
            feature = next(at for at, times in enumerate(power) if times)
            below = (*power[:feature], power[feature] - 1, *power[feature + 1 :])
            if below not in place:  # only products of different features, of which some are left out
                raise Unsupported(step)
            levels.setdefault(degree, []).append((index, place[below], feature))
    steps = [np.array(levels[degree]).T for degree in sorted(levels)]
    ones = place.get((0,) * step.n_features_in_)
    singles = np.array([next(at for at, times in enumerate(p) if times) for p in powers if sum(p) == 1])
    single_places = np.array([index for power, index in place.items() if sum(power) == 1])

    def operation(x: Matrix) -> Matrix:
        out = np.empty((len(x), len(powers)))
        if ones is not None:
            out[:, ones] = 1.0
        out[:, single_places] = x[:, singles]
        for targets, below, features in steps:
            out[:, targets] = out[:, below] * x[:, features]
        return out

    return operation


def _selector(step: Estimator) -> Transform:
    kept = np.flatnonzero(step.get_support())
    takes_all = get_tags(step).input_tags.allow_nan  # infinity too

    def operation(x: Matrix) -> Matrix:
        if not takes_all:
            _refuse(_not_finite, x)
        return x[:, kept]

    return operation


# What a step computes, and which numbers it refuses before it does, where that does not depend on how it is set.
OPERATIONS: dict[str, tuple[Callable[[Estimator], Transform], Refusal | None]] = {
    "StandardScaler": (_standard_scaler, np.isinf),
    "MinMaxScaler": (_min_max_scaler, np.isinf),
    "MaxAbsScaler": (_max_abs_scaler, np.isinf),
    "RobustScaler": (_robust_scaler, np.isinf),
    "FunctionTransformer": (_function, None),
    "PolynomialFeatures": (_polynomial, _not_finite),
    "SelectorMixin": (_selector, None),
}
