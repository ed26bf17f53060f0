"""What a fitted estimator knows of its inputs: their names, categories, and whether they may be missing.

Only public attributes of scikit-learn's estimators are read, with two exceptions that have no public form and are
named where they are used. What an estimator does not know stays empty; nothing here calls `predict`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

import numpy as np
from sklearn.base import OneToOneFeatureMixin
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer

from server.errors import BundleError
from server.parameter import Code

# scikit-learn ships no types, and an estimator is whatever has its methods.
Estimator: TypeAlias = Any

# Where meta-estimators keep a fitted estimator that gets their own input unchanged.
WRAPPED = ("best_estimator_", "estimator_", "regressor_", "classifier_", "estimators_", "calibrated_classifiers_")


class Shape(StrEnum):
    """The form in which an estimator takes its rows."""

    FRAME = "frame"  # a DataFrame with its own column names
    ARRAY = "array"  # a two-dimensional array
    TEXTS = "texts"  # a list of texts, one a row


@dataclass(slots=True)
class Column:
    """What a fitted estimator knows of one of its input columns.

    `categories` are those of the encoder that the column reaches, without a missing one; `open` tells that this
    encoder takes unknown categories. `missing` tells that a missing value is provided for, as `missing_code`.
    """

    name: str
    categories: tuple[Code, ...] | None = None
    open: bool = False
    missing: bool = False
    missing_code: Code = float("nan")
    text: bool = False


def shape_of(estimator: Estimator, columns: Sequence[Column] | None) -> Shape:
    """Tell in which form the estimator takes rows of these columns."""
    if getattr(estimator, "feature_names_in_", None) is not None:
        return Shape.FRAME
    if columns and len(columns) == 1 and columns[0].text:
        return Shape.TEXTS
    return Shape.ARRAY


def columns_of(estimator: Estimator) -> list[Column] | None:
    """Give the columns that the estimator was fitted on, in its order; None where it does not know them."""
    names = getattr(estimator, "feature_names_in_", None)
    if names is not None:
        columns = [Column(str(name)) for name in names]
    elif (count := getattr(estimator, "n_features_in_", None)) is not None:
        columns = [Column(f"x{index}") for index in range(count)]
    elif _starts_with_texts(estimator):
        columns = [Column("text")]
    else:
        return None
    _walk(estimator, columns)
    return columns


def _starts_with_texts(step: Estimator) -> bool:
    """Tell whether the first thing that happens to the input is the splitting of texts into words."""
    if isinstance(step, (CountVectorizer, HashingVectorizer)):
        return True
    if isinstance(step, Pipeline):
        return bool(step.steps) and _starts_with_texts(step.steps[0][1])
    if isinstance(step, FeatureUnion):
        return any(_starts_with_texts(part) for _, part in step.transformer_list)
    return any(_starts_with_texts(inner) for inner in _wrapped(step))


def _walk(step: Estimator, columns: Sequence[Column]) -> bool:
    """Note what `step`, which is given `columns`, knows of them; tell whether it hands them on in their places."""
    if isinstance(step, str):
        return step == "passthrough"
    if isinstance(step, Pipeline):
        return all(_walk(part, columns) for _, part in step.steps)
    if isinstance(step, ColumnTransformer):
        for name, part, _ in step.transformers_:
            # Not public, but the only record of which columns a selection meant when the transformer was fitted.
            chosen = step._transformer_to_input_indices.get(name, [])
            _walk(part, [columns[index] for index in chosen])
        return False
    if isinstance(step, FeatureUnion):
        for _, part in step.transformer_list:
            _walk(part, columns)
        return False
    if isinstance(step, (CountVectorizer, HashingVectorizer)):
        columns[0].text = True
        return False
    if isinstance(step, (SimpleImputer, KNNImputer)) or type(step).__name__ == "IterativeImputer":
        return _walk_imputer(step, columns)
    if getattr(step, "categories_", None) is not None:
        _walk_encoder(step, columns)
        return False
    # Histogram boosting keeps the encoder of its categorical features where only it knows.
    if (encoder := getattr(step, "_preprocessor", None)) is not None:
        return _walk(encoder, columns)
    for inner in _wrapped(step):
        _walk(inner, columns)
    if isinstance(step, FunctionTransformer):
        return step.func is None
    return isinstance(step, OneToOneFeatureMixin)


def _wrapped(step: Estimator) -> Iterable[Estimator]:
    for attribute in WRAPPED:
        inner = getattr(step, attribute, None)
        if inner is None:
            continue
        inners = inner if isinstance(inner, (list, tuple, np.ndarray)) else [inner]
        for each in inners:
            if hasattr(each, "get_params"):
                yield each
            elif hasattr(each, "estimator"):  # one fold of a calibrated classifier
                yield each.estimator
        return


def _walk_imputer(step: Estimator, columns: Sequence[Column]) -> bool:
    marker = step.missing_values
    if marker is None or marker != marker:  # NaN is the number that differs from itself
        for column in columns:
            column.missing = True
            column.missing_code = marker
    # A column without any value in training is dropped: what follows then has other places.
    statistics = np.asarray(getattr(step, "statistics_", [0] * len(columns)), dtype=object)
    return not any(value is None or value != value for value in statistics)


def _walk_encoder(step: Estimator, columns: Sequence[Column]) -> None:
    unknown = getattr(step, "handle_unknown", "use_encoded_value")  # TargetEncoder always takes unknown categories
    for column, categories in zip(columns, step.categories_, strict=True):
        if column.categories is not None:
            continue
        known = [value.item() if isinstance(value, np.generic) else value for value in categories]
        for value in known:
            if value is None or value != value:
                column.missing, column.missing_code = True, value
        column.categories = tuple(_category(value, column) for value in known if value is not None and value == value)
        column.open = unknown != "error"


def _category(value: object, column: Column) -> Code:
    if isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    msg = (
        f"The encoder of column {column.name!r} has a category of type {type(value).__name__}, which JSON cannot say; "
        "fit it on texts, integers or booleans."
    )
    raise BundleError(msg)
