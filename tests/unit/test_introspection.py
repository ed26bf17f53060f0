"""What fitted estimators know of their inputs."""

import datetime
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_transformer
from sklearn.ensemble import (
    BaggingClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.feature_selection import SelectKBest
from sklearn.frozen import FrozenEstimator
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV, TunedThresholdClassifierCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline, make_union
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
    TargetEncoder,
)
from sklearn.tree import DecisionTreeClassifier

from server.errors import BundleError
from server.introspection import Column, Shape, columns_of, shape_of
from tests.models import ARRAY, BINARY, FRAME, Estimator

COLOURS = pd.DataFrame({"colour": ["red", "green", "blue", "red"] * 3, "size": np.arange(12.0) % 4})
TEXTS = ["good film", "bad film", "awful plot", "good plot"] * 3
SAID = ("blue", "green", "red")


def known(estimator: Estimator) -> dict[str, Any]:
    """Give what an estimator knows of the categories of each column."""
    columns = columns_of(estimator)
    assert columns is not None
    return {column.name: column.categories for column in columns}


def on_colours(estimator: Estimator) -> Estimator:
    """Fit on both columns."""
    return estimator.fit(COLOURS, BINARY)


def encoded(*more: Any) -> Pipeline:
    """Make a pipeline that encodes the colour only."""
    transformer = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["colour"]), *more)
    return make_pipeline(transformer, LogisticRegression())


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: encoded(), id="rest is dropped"),
        pytest.param(lambda: encoded(("passthrough", ["size"])), id="rest is passed through"),
        pytest.param(lambda: encoded(("drop", ["size"])), id="column is dropped"),
        pytest.param(lambda: encoded((StandardScaler(), slice(1, 2))), id="slice"),
        pytest.param(lambda: encoded((StandardScaler(), [False, True])), id="mask"),
        pytest.param(
            lambda: make_pipeline(
                ColumnTransformer([("c", OrdinalEncoder(), slice(0, 1))], remainder="passthrough"),
                DecisionTreeClassifier(),
            ),
            id="encoder by a slice",
        ),
        pytest.param(
            lambda: make_pipeline(
                ColumnTransformer([("c", OrdinalEncoder(), lambda _: ["colour"])], remainder=StandardScaler()),
                DecisionTreeClassifier(),
            ),
            id="encoder by a function",
        ),
        pytest.param(
            lambda: make_pipeline(
                make_column_transformer((make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder()),
                                         ["colour"])),
                LogisticRegression(),
            ),
            id="nested pipeline",
        ),
        pytest.param(lambda: make_pipeline(make_pipeline(encoded()[0]), LogisticRegression()), id="pipelines"),
        pytest.param(lambda: make_pipeline(FunctionTransformer(), encoded()), id="identity"),
        pytest.param(lambda: GridSearchCV(encoded(), {"logisticregression__C": [1.0]}, cv=2), id="search"),
        pytest.param(lambda: CalibratedClassifierCV(encoded(), cv=2), id="calibrated"),
        pytest.param(lambda: VotingClassifier([("a", encoded()), ("b", encoded())], voting="soft"), id="voting"),
        pytest.param(lambda: StackingClassifier([("a", encoded())], cv=2), id="stacking"),
        pytest.param(lambda: OneVsRestClassifier(encoded()), id="one versus rest"),
        pytest.param(lambda: TunedThresholdClassifierCV(encoded(), cv=2), id="tuned threshold"),
        pytest.param(lambda: TransformedTargetRegressor(regressor=make_pipeline(encoded()[0], LinearRegression())),
                     id="transformed target"),
        pytest.param(lambda: make_pipeline(encoded()[0], KMeans(2, n_init=1)), id="clusterer"),
        pytest.param(lambda: make_pipeline(make_union(encoded()[0], encoded()[0]), LogisticRegression()), id="union"),
    ],
)  # fmt: skip
def test_categories_are_found(make: Any) -> None:
    """The categories of an encoder are those of the column that reaches it, however deep it stands."""
    assert known(on_colours(make())) == {"colour": SAID, "size": None}


def test_calibrated_frozen_estimator() -> None:
    """A fitted pipeline that was frozen to be calibrated is seen through."""
    frozen = FrozenEstimator(on_colours(encoded()))
    assert known(on_colours(CalibratedClassifierCV(frozen, cv=2))) == {"colour": SAID, "size": None}


@pytest.mark.parametrize("wrap", [MultiOutputClassifier, ClassifierChain], ids=["multi-output", "chain"])
def test_several_outputs(wrap: Any) -> None:
    """Where each output has an estimator of its own, the columns are those that the first of them has."""
    encoder = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression())
    estimator = wrap(encoder).fit(ARRAY, np.column_stack([BINARY, 1 - BINARY]))
    assert known(estimator) == {"x0": (0, 1, 2, 3, 4), "x1": (0, 1, 2)}


@pytest.mark.parametrize(
    "given", [{"max_features": 1}, {"bootstrap_features": True}], ids=["some columns", "columns drawn anew"]
)
def test_drawn_columns(given: dict[str, Any]) -> None:
    """Estimators that were given other columns than ours say nothing wrong of ours."""
    x = np.array([["a", "x"], ["b", "y"]] * 6, dtype=object)
    encoder = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression())
    bag = BaggingClassifier(encoder, 3, random_state=0, **given)
    assert known(bag.fit(x, BINARY)) == {"x0": None, "x1": None}


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        pytest.param(StandardScaler(), True, id="one to one"),
        pytest.param(SelectKBest(k=1), False, id="selection"),
        pytest.param(FunctionTransformer(lambda x: x[:, ::-1]), False, id="function"),
    ],
)
def test_places_after_a_step(step: Estimator, expected: bool) -> None:
    """Categories are told only if the columns still stand in their places where the encoder is."""
    estimator = make_pipeline(step, OneHotEncoder(handle_unknown="ignore"), LogisticRegression()).fit(ARRAY, BINARY)
    assert all((found is not None) is expected for found in known(estimator).values())


def test_empty_column_moves_the_others() -> None:
    """An imputer that dropped an empty column has moved the others, so that nothing is said of them."""
    x = np.column_stack([np.full(12, np.nan), ARRAY])
    imputer = SimpleImputer(keep_empty_features=False)
    with pytest.warns(UserWarning, match="without any observed values"):
        estimator = make_pipeline(imputer, OneHotEncoder(handle_unknown="ignore"), LogisticRegression()).fit(x, BINARY)
    assert known(estimator) == {"x0": None, "x1": None, "x2": None}


def test_indicators_behind_the_columns() -> None:
    """An imputer that adds indicators behind the columns leaves these in their places."""
    x = np.array([["x"], ["y"], [None], ["x"]] * 3, dtype=object)
    imputer = SimpleImputer(strategy="most_frequent", missing_values=None, add_indicator=True)
    estimator = make_pipeline(imputer, OneHotEncoder(handle_unknown="ignore"), LogisticRegression()).fit(x, BINARY)
    columns = columns_of(estimator)
    assert columns == [Column("x0", categories=("x", "y"), open=True, missing=True, missing_code=None)]


@pytest.mark.parametrize(
    "imputer", [SimpleImputer(), SimpleImputer(strategy="constant"), KNNImputer()], ids=["mean", "constant", "nearest"]
)
def test_imputers_provide_for_missing_values(imputer: Estimator) -> None:
    """Columns that an imputer fills may be missing, as NaN."""
    columns = columns_of(make_pipeline(imputer, LogisticRegression()).fit(ARRAY, BINARY))
    assert columns is not None
    assert [column.missing for column in columns] == [True, True]
    assert all(column.missing_code != column.missing_code for column in columns)


def test_imputer_of_another_marker() -> None:
    """A number that marks missing values is no missing value of JSON."""
    columns = columns_of(make_pipeline(SimpleImputer(missing_values=-1), LogisticRegression()).fit(ARRAY, BINARY))
    assert columns is not None
    assert not any(column.missing for column in columns)


@pytest.mark.parametrize("marker", [np.nan, None], ids=["NaN", "None"])
@pytest.mark.parametrize("encoder", [OneHotEncoder(sparse_output=False), OrdinalEncoder()], ids=["one-hot", "ordinal"])
def test_missing_category(encoder: Estimator, marker: object) -> None:
    """A missing value among the categories is no label: the column may be missing, as that value."""
    x = pd.DataFrame({"c": pd.Series(["a", "b", marker] * 4, dtype=object)})
    columns = columns_of(make_pipeline(encoder, HistGradientBoostingClassifier(max_iter=1)).fit(x, BINARY))
    assert columns is not None
    assert (columns[0].categories, columns[0].missing) == (("a", "b"), True)
    code = columns[0].missing_code
    assert code is None if marker is None else code != code


@pytest.mark.parametrize(
    ("encoder", "expected"),
    [
        pytest.param(OneHotEncoder(), False, id="one-hot, error"),
        pytest.param(OneHotEncoder(handle_unknown="ignore"), True, id="one-hot, ignore"),
        pytest.param(OneHotEncoder(handle_unknown="infrequent_if_exist"), True, id="one-hot, infrequent"),
        pytest.param(OrdinalEncoder(), False, id="ordinal, error"),
        pytest.param(OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), True, id="ordinal, value"),
        pytest.param(TargetEncoder(cv=2), True, id="target"),
    ],
)
def test_open_encoders(encoder: Estimator, expected: bool) -> None:
    """An encoder is open where it was told what to do with unknown categories."""
    columns = columns_of(make_pipeline(encoder, LogisticRegression()).fit(COLOURS[["colour"]], BINARY))
    assert columns is not None
    assert columns[0].open is expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([1, 2, 1], (1, 2), id="integers"),
        pytest.param([1.0, 2.0, 2.5], (1, 2, 2.5), id="doubles"),
        pytest.param([True, False, True], (False, True), id="booleans"),
        pytest.param(["a", "b", "a"], ("a", "b"), id="texts"),
    ],
)
def test_categories_are_plain_values(values: Sequence[Any], expected: tuple[Any, ...]) -> None:
    """Categories come as Python's own values, whole numbers as integers."""
    estimator = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(pd.DataFrame({"c": list(values) * 4}), BINARY)
    found = known(estimator)["c"]
    assert found == expected
    assert [type(each) for each in found] == [type(each) for each in expected]


def test_categories_that_json_cannot_say() -> None:
    """Categories that are neither text nor number refuse the bundle by their type."""
    x = pd.DataFrame({"day": pd.Series([datetime.date(2020, 1, 1), datetime.date(2020, 1, 2)] * 6, dtype=object)})
    estimator = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(x, BINARY)
    with pytest.raises(BundleError, match=r"column 'day' has a category of type date, which JSON cannot say"):
        columns_of(estimator)


def test_first_encoder_counts() -> None:
    """A column that reaches two encoders has the categories of the first."""
    union = FeatureUnion([("a", OneHotEncoder()), ("b", OrdinalEncoder())])
    assert known(make_pipeline(union, LogisticRegression()).fit(COLOURS[["colour"]], BINARY)) == {"colour": SAID}


@pytest.mark.parametrize(
    ("given", "frame"),
    [
        pytest.param({"categorical_features": "from_dtype"}, COLOURS.astype({"colour": "category"}), id="by dtype"),
        pytest.param({"categorical_features": ["colour"]}, COLOURS.astype({"colour": "category"}), id="by name"),
        pytest.param({"categorical_features": [0]}, COLOURS.astype({"colour": "category"}), id="by place"),
        pytest.param({"categorical_features": [True, False]}, COLOURS.astype({"colour": "category"}), id="by mask"),
    ],
)
def test_histogram_boosting(given: dict[str, Any], frame: pd.DataFrame) -> None:
    """Histogram boosting knows the categories of the columns that it takes as categorical."""
    estimator = HistGradientBoostingClassifier(max_iter=1, **given).fit(frame, BINARY)
    assert known(estimator) == {"colour": SAID, "size": None}


def test_histogram_boosting_moves_columns_only_inside() -> None:
    """Categorical columns behind numeric ones keep their own names."""
    frame = COLOURS.astype({"colour": "category"})[["size", "colour"]]
    estimator = HistGradientBoostingClassifier(max_iter=1, categorical_features="from_dtype").fit(frame, BINARY)
    assert known(estimator) == {"size": None, "colour": SAID}


def test_histogram_boosting_without_categories() -> None:
    """Without categorical columns there are only numbers."""
    estimator = HistGradientBoostingClassifier(max_iter=1).fit(ARRAY, BINARY)
    assert known(estimator) == {"x0": None, "x1": None}


def test_gradient_boosting_has_a_matrix_of_estimators() -> None:
    """An array of estimators of two dimensions is no reason to stumble."""
    assert known(GradientBoostingClassifier(n_estimators=1).fit(ARRAY, BINARY)) == {"x0": None, "x1": None}


def union() -> FeatureUnion:
    """Make a union of two vectorizers."""
    return make_union(CountVectorizer(), TfidfVectorizer(analyzer="char"))


@pytest.mark.parametrize(
    "step",
    [CountVectorizer(), TfidfVectorizer(), HashingVectorizer(n_features=8), union()],
    ids=["count", "tf-idf", "hashing", "union"],
)
def test_texts(step: Estimator) -> None:
    """A pipeline that starts with a vectorizer takes one text a row, in a list."""
    estimator = make_pipeline(step, LogisticRegression()).fit(TEXTS, BINARY)
    columns = columns_of(estimator)
    assert columns == [Column("text", text=True)] or columns == [Column("text", text=True, missing_code=np.nan)]
    assert shape_of(estimator, columns) is Shape.TEXTS


def test_texts_in_a_search() -> None:
    """A search over such a pipeline takes texts too."""
    search = GridSearchCV(make_pipeline(CountVectorizer(), LogisticRegression()), {"logisticregression__C": [1]}, cv=2)
    columns = columns_of(search.fit(TEXTS, BINARY))
    assert [(column.name, column.text) for column in columns or ()] == [("text", True)]


def test_text_in_a_column() -> None:
    """A vectorizer of one column of a DataFrame makes that column a text."""
    frame = COLOURS.assign(review=TEXTS)
    transformer = make_column_transformer((CountVectorizer(), "review"), remainder="drop")
    estimator = make_pipeline(transformer, LogisticRegression()).fit(frame, BINARY)
    columns = columns_of(estimator)
    assert [(column.name, column.text) for column in columns or ()] == [
        ("colour", False),
        ("size", False),
        ("review", True),
    ]
    assert shape_of(estimator, columns) is Shape.FRAME


def test_shapes() -> None:
    """An estimator with column names takes a DataFrame, any other an array."""
    named = DecisionTreeClassifier().fit(FRAME[["month"]], BINARY)
    unnamed = DecisionTreeClassifier().fit(ARRAY, BINARY)
    assert shape_of(named, columns_of(named)) is Shape.FRAME
    assert shape_of(unnamed, columns_of(unnamed)) is Shape.ARRAY
    assert known(named) == {"month": None}
    assert known(unnamed) == {"x0": None, "x1": None}


def test_unknown_columns() -> None:
    """An estimator that says nothing of its input has no columns."""
    assert columns_of(BaseEstimator()) is None
    assert columns_of(Pipeline([])) is None
    assert shape_of(BaseEstimator(), None) is Shape.ARRAY


def test_first_real_step_is_asked() -> None:
    """A pipeline that begins with `passthrough` knows the columns that its first real step was fitted on."""
    pipeline = Pipeline([("none", "passthrough"), ("model", LogisticRegression())]).fit(FRAME[["month"]], BINARY)
    columns = columns_of(pipeline)
    assert [column.name for column in columns or ()] == ["month"]
    assert shape_of(pipeline, columns) is Shape.FRAME
