"""What a fitted estimator knows of its inputs: their names, categories, and whether they may be missing.

Only public attributes of scikit-learn's estimators are read, with two exceptions that have no public form and are
named where they are used. What an estimator does not know stays empty; nothing here calls `predict`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

import numpy as np

from server.errors import BundleError
from server.parameter import Code

# scikit-learn ships no types, and an estimator is whatever has its methods.
Estimator: TypeAlias = Any

VECTORIZERS = ("CountVectorizer", "HashingVectorizer")

# Where meta-estimators keep a fitted estimator that gets their own input unchanged.
WRAPPED = ("best_estimator_", "estimator_", "regressor_", "classifier_", "estimators_", "calibrated_classifiers_")


def is_a(step: object, *names: str) -> bool:
    """Tell whether `step` is of one of scikit-learn's classes, by their names.

    Importing the classes themselves would load parts of scikit-learn that most models do without: a tenth of the time
    to start.
    """
    classes = type(step).__mro__
    return any(each.__name__ in names and each.__module__.partition(".")[0] == "sklearn" for each in classes)


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


def names_of(estimator: Estimator) -> Sequence[str] | None:
    """Give the names of the columns that the estimator was fitted on; None where it was given none."""
    names = _known(estimator, "feature_names_in_")
    return None if names is None else [str(name) for name in names]


def _known(estimator: Estimator, attribute: str) -> Any:  # noqa: ANN401
    """Give what the estimator knows of its input; a pipeline asks its first step only, which may know nothing."""
    value = getattr(estimator, attribute, None)
    if value is None and is_a(estimator, "Pipeline"):
        first = next((part for _, part in estimator.steps if part != "passthrough"), None)
        return None if first is None else _known(first, attribute)
    return value


def shape_of(estimator: Estimator, columns: Sequence[Column] | None) -> Shape:
    """Tell in which form the estimator takes rows of these columns."""
    if names_of(estimator) is not None:
        return Shape.FRAME
    if columns and len(columns) == 1 and columns[0].text:
        return Shape.TEXTS
    return Shape.ARRAY


def columns_of(estimator: Estimator) -> list[Column] | None:
    """Give the columns that the estimator was fitted on, in its order; None where it does not know them."""
    names = names_of(estimator)
    if names is not None:
        columns = [Column(name) for name in names]
    elif (count := _known(estimator, "n_features_in_")) is not None:
        columns = [Column(f"x{index}") for index in range(count)]
    elif _starts_with_texts(estimator):
        columns = [Column("text")]
    else:
        return None
    _walk(estimator, columns)
    return columns


def _starts_with_texts(step: Estimator) -> bool:
    """Tell whether the first thing that happens to the input is the splitting of texts into words."""
    if is_a(step, *VECTORIZERS):
        return True
    if is_a(step, "Pipeline"):
        return bool(step.steps) and _starts_with_texts(step.steps[0][1])
    if is_a(step, "FeatureUnion"):
        return any(_starts_with_texts(part) for _, part in step.transformer_list)
    return any(_starts_with_texts(inner) for inner in _wrapped(step))


def _walk(step: Estimator, columns: Sequence[Column]) -> bool:
    """Note what `step`, which is given `columns`, knows of them; tell whether it hands them on in their places."""
    if isinstance(step, str):
        return step == "passthrough"
    if is_a(step, "Pipeline"):
        return all(_walk(part, columns) for _, part in step.steps)
    if is_a(step, "ColumnTransformer"):
        for name, part, _ in step.transformers_:
            # Not public, but the only record of which columns a selection meant when the transformer was fitted.
            chosen = step._transformer_to_input_indices.get(name, [])
            _walk(part, [columns[index] for index in chosen])
        return False
    if is_a(step, "FeatureUnion"):
        for _, part in step.transformer_list:
            _walk(part, columns)
        return False
    if is_a(step, *VECTORIZERS):
        columns[0].text = True
        return False
    if is_a(step, "SimpleImputer", "KNNImputer", "IterativeImputer"):
        return _walk_imputer(step, columns)
    if getattr(step, "categories_", None) is not None:
        _walk_encoder(step, columns)
        return False
    # Histogram boosting keeps the encoder of its categorical features where only it knows.
    if (encoder := getattr(step, "_preprocessor", None)) is not None:
        return _walk(encoder, columns)
    for inner in _wrapped(step):
        # A chain's links get further columns, and a selection's estimator fewer: neither is our own input.
        if getattr(inner, "n_features_in_", len(columns)) == len(columns):
            _walk(inner, columns)
    if is_a(step, "FunctionTransformer"):
        return step.func is None
    return is_a(step, "OneToOneFeatureMixin")


def _wrapped(step: Estimator) -> Iterable[Estimator]:
    if getattr(step, "bootstrap_features", False):
        return  # each gets columns that were drawn anew
    if is_a(step, "FrozenEstimator"):
        yield step.estimator
        return
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
    # An imputer may have put indicators behind the columns.
    for column, categories in zip(columns, step.categories_, strict=False):
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
