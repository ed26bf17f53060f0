"""Compiled pipelines give what the pipeline itself gives, for known labels, unknown ones and missing values."""

import random
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer, make_column_selector, make_column_transformer
from sklearn.ensemble import (
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.feature_selection import (
    RFE,
    SelectFromModel,
    SelectKBest,
    SelectPercentile,
    SequentialFeatureSelector,
    VarianceThreshold,
)
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline, make_union
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    RobustScaler,
    StandardScaler,
    TargetEncoder,
)
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from server.engine import Evaluation, FallbackEvaluator, choose
from server.engine.compiled import compile_estimator
from server.engine.evaluator import Unsupported
from server.introspection import Shape
from server.model import Model
from server.outputs import Form
from server.signature import Signature
from tests.models import number, real_model, text
from tests.unit.engine.comparing import near, same_bits

ROWS = 150
DRAW = np.random.default_rng(20190131)
CITIES = np.array(["Oslo", "Rome", "Lima", "Kyiv", "Bonn", "Cork"], dtype=object)
FRAME = pd.DataFrame(
    {
        "city": CITIES[np.minimum(DRAW.geometric(0.4, ROWS) - 1, 5)],
        "port": np.array(["S", "C", "Q", np.nan], dtype=object)[DRAW.integers(0, 4, ROWS)],
        "level": DRAW.integers(1, 4, ROWS),
        "sex": np.array(["f", "m"], dtype=object)[DRAW.integers(0, 2, ROWS)],
        "age": np.where(DRAW.random(ROWS) < 0.15, np.nan, DRAW.normal(size=ROWS) * 15 + 40),
        "fare": np.exp(DRAW.normal(size=ROWS) * 2),
        "speed": DRAW.normal(size=ROWS) * 1e-3,
    }
)
BINARY = (FRAME["fare"] > 1).to_numpy() ^ (DRAW.random(ROWS) < 0.2)
LEVEL = np.where(DRAW.random(ROWS) < 0.2, "none", np.array(["low", "middle", "high"])[FRAME["level"] - 1])
NUMBER = np.log(FRAME["fare"].to_numpy()) + DRAW.normal(size=ROWS)
NUMBERS = np.column_stack([NUMBER, FRAME["speed"] * 1e3])
LABELS = ["city", "port", "level", "sex"]
PLAIN = ["fare", "speed"]
WHOLE = ["age", "fare", "speed"]

Make = Callable[[], Any]
Logistic = LogisticRegression


def _numbers(*steps: Any, last: Any = None, y: Any = BINARY, columns: Any = PLAIN) -> Make:
    """Fit a pipeline on columns of numbers, as a DataFrame."""
    return lambda: make_pipeline(*steps, Logistic() if last is None else last).fit(FRAME[columns], y)


def _array(*steps: Any, last: Any = None, y: Any = BINARY, columns: Any = PLAIN) -> Make:
    """Fit a pipeline on columns without names."""
    return lambda: make_pipeline(*steps, Logistic() if last is None else last).fit(FRAME[columns].to_numpy(), y)


def _labels(*steps: Any, last: Any = None, y: Any = BINARY, columns: Any = LABELS) -> Make:
    """Fit a pipeline on columns of labels."""
    return lambda: make_pipeline(*steps, Logistic() if last is None else last).fit(FRAME[columns], y)


def _columns(*parts: Any, last: Any = None, y: Any = BINARY, **options: Any) -> Make:
    """Fit a pipeline on the whole table."""
    return lambda: make_pipeline(make_column_transformer(*parts, **options), Logistic() if last is None else last).fit(
        FRAME, y
    )


IGNORE = OneHotEncoder(handle_unknown="ignore")
UNKNOWN = {"handle_unknown": "use_encoded_value"}
FILLED = make_pipeline(SimpleImputer(), StandardScaler())

NEAR: Mapping[str, Make] = {
    "standard scaler": _numbers(StandardScaler()),
    "standard scaler, no mean": _numbers(StandardScaler(with_mean=False)),
    "standard scaler, no deviation": _array(StandardScaler(with_std=False)),
    "min-max scaler": _numbers(MinMaxScaler()),
    "min-max scaler, range, clipped": _array(MinMaxScaler((-3, 2), clip=True)),
    "max-abs scaler": _numbers(MaxAbsScaler()),
    "robust scaler": _numbers(RobustScaler()),
    "robust scaler, no centre": _array(RobustScaler(with_centering=False, quantile_range=(10, 80))),
    "robust scaler, no scale": _numbers(RobustScaler(with_scaling=False)),
    "robust scaler, unit variance": _numbers(RobustScaler(unit_variance=True)),
    "several scalers": _numbers(StandardScaler(), MinMaxScaler(), RobustScaler()),
    "imputer, mean": _numbers(SimpleImputer(), columns=WHOLE),
    "imputer, median": _array(SimpleImputer(strategy="median"), columns=WHOLE),
    "imputer, most frequent": _numbers(SimpleImputer(strategy="most_frequent"), columns=WHOLE),
    "imputer, constant": _array(SimpleImputer(strategy="constant", fill_value=-1), columns=WHOLE),
    "imputer, zero": _numbers(SimpleImputer(strategy="constant"), columns=WHOLE),
    "imputer twice": _numbers(SimpleImputer(), SimpleImputer(strategy="median"), columns=WHOLE),
    "polynomials": _numbers(StandardScaler(), PolynomialFeatures()),
    "polynomials of degree 4": _numbers(MinMaxScaler(), PolynomialFeatures(4), last=Ridge(), y=NUMBER),
    "polynomials of degree 1": _numbers(PolynomialFeatures(1)),
    "polynomials, no bias": _array(MinMaxScaler(), PolynomialFeatures(3, include_bias=False)),
    "polynomials, interactions": _numbers(FILLED, PolynomialFeatures(3, interaction_only=True), columns=WHOLE),
    "polynomials, interactions, no bias": _numbers(
        FILLED, PolynomialFeatures(2, interaction_only=True, include_bias=False), columns=WHOLE
    ),
    "the best": _numbers(SimpleImputer(), SelectKBest(k=2), columns=WHOLE),
    "the best of an array": _array(SimpleImputer(), SelectPercentile(percentile=40), columns=WHOLE),
    "those that vary": _numbers(VarianceThreshold(0.01)),
    "those of a model": _numbers(StandardScaler(), SelectFromModel(LinearSVC(), max_features=1)),
    "elimination": _numbers(FILLED, RFE(Logistic(), n_features_to_select=2), columns=WHOLE),
    "one after the other": _numbers(
        FILLED, SequentialFeatureSelector(Ridge(), n_features_to_select=1, cv=2), columns=WHOLE
    ),
    "function": _numbers(FunctionTransformer(np.tanh)),
    "function of an array": _array(FunctionTransformer(np.arctan), StandardScaler()),
    "function on some columns": _columns((FunctionTransformer(np.tanh), ["fare"]), (IGNORE, ["city"])),
    "no function": _numbers(FunctionTransformer(), StandardScaler()),
    "true or false": _numbers(FunctionTransformer(np.signbit)),
    "one-hot": _labels(OneHotEncoder()),
    "one-hot, ignore": _labels(IGNORE),
    "one-hot, warn": _labels(OneHotEncoder(handle_unknown="warn", max_categories=2), columns=["city", "sex"]),
    "one-hot, infrequent": _labels(OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=20)),
    "one-hot, infrequent, error": _labels(OneHotEncoder(max_categories=3)),
    "one-hot, infrequent share": _labels(OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=0.15)),
    "one-hot, drop first": _labels(OneHotEncoder(drop="first")),
    "one-hot, drop first, ignore": _labels(
        OneHotEncoder(drop="first", handle_unknown="ignore"), columns=["city", "level"]
    ),
    "one-hot, drop of two": _labels(OneHotEncoder(drop="if_binary", sparse_output=False)),
    "one-hot, drop named": _labels(OneHotEncoder(drop=["Rome", "m"]), columns=["city", "sex"]),
    "one-hot, drop first, infrequent": _labels(
        OneHotEncoder(drop="first", min_frequency=15, handle_unknown="infrequent_if_exist")
    ),
    "one-hot, categories given": _labels(
        OneHotEncoder(categories=[["Oslo", "Rome", "Nice", *CITIES[2:]], ["m", "f"]]), columns=["city", "sex"]
    ),
    "one-hot of an array": lambda: make_pipeline(IGNORE, Logistic()).fit(
        FRAME[["city", "level"]].to_numpy(dtype=object), LEVEL
    ),
    "one-hot of numbers": lambda: make_pipeline(IGNORE, Logistic()).fit(FRAME[["level"]].to_numpy(), LEVEL),
    "one-hot, imputed": _labels(SimpleImputer(strategy="most_frequent"), OneHotEncoder(), columns=["city", "port"]),
    "one-hot, imputed by a word": _labels(
        SimpleImputer(strategy="constant", fill_value="none"), IGNORE, columns=["city", "port"]
    ),
    "ordinal": _labels(OrdinalEncoder(), StandardScaler(), columns=["city", "level"]),
    "ordinal, unknown": _labels(OrdinalEncoder(**UNKNOWN, unknown_value=-1, encoded_missing_value=-2)),
    "ordinal, infrequent": _labels(
        OrdinalEncoder(**UNKNOWN, unknown_value=99, min_frequency=20, encoded_missing_value=50)
    ),
    "ordinal, scaled": _labels(OrdinalEncoder(encoded_missing_value=9), MinMaxScaler(), PolynomialFeatures()),
    "target": _labels(TargetEncoder(cv=2, shuffle=False), columns=["city", "level", "sex"]),
    "target, two classes": _labels(TargetEncoder(cv=2, shuffle=False), columns=["city"], y=np.where(BINARY, "y", "n")),
    "target, numbers": _labels(
        TargetEncoder(cv=2, shuffle=False, smooth=3.0), last=Ridge(), y=NUMBER, columns=["city", "port"]
    ),
    "union": _numbers(make_union(StandardScaler(), MinMaxScaler(), PolynomialFeatures(2))),
    "union of encoders": _labels(make_union(IGNORE, OrdinalEncoder(**UNKNOWN, unknown_value=-1)), columns=["city"]),
    "union, dropped and passed through": _numbers(
        FeatureUnion([("a", StandardScaler()), ("b", "drop"), ("c", "passthrough")])
    ),
    "nested pipelines": _numbers(make_pipeline(make_pipeline(SimpleImputer(), "passthrough"), FILLED), columns=WHOLE),
    "passed through": _numbers("passthrough", StandardScaler(), "passthrough"),
    "nothing but a model": _numbers("passthrough"),
    "columns": _columns((IGNORE, ["city", "sex"]), (FILLED, ["age"]), (StandardScaler(), ["fare"])),
    "columns, three classes": _columns((IGNORE, ["city", "level"]), (FILLED, WHOLE), y=LEVEL),
    "columns, several numbers": _columns((IGNORE, ["city", "level"]), (FILLED, WHOLE), last=Ridge(), y=NUMBERS),
    "columns, poisson": _columns((IGNORE, LABELS), last=PoissonRegressor(), y=FRAME["fare"].round()),
    "columns, only labels": _columns((OneHotEncoder(), LABELS), last=RidgeClassifier(), y=LEVEL),
    "columns, the rest passed through": _columns(
        (IGNORE, LABELS), ("drop", ["age"]), remainder="passthrough", last=LinearSVC()
    ),
    "columns, the rest filled": _columns((IGNORE, LABELS), remainder=FILLED),
    "columns, by place": _columns((IGNORE, [3, 0]), (FILLED, slice(4, 7))),
    "columns, by mask": _columns((FILLED, [False] * 4 + [True, False, True]), ("passthrough", [5])),
    "columns, by type": _columns(
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_include=object)),
        (FILLED, make_column_selector(dtype_include=float)),
    ),
    "columns, none of a type": _columns(
        (StandardScaler(), make_column_selector(dtype_include=complex)), ("passthrough", ["fare"])
    ),
    "columns, twice": _columns((StandardScaler(), ["fare"]), (MinMaxScaler(), ["fare"]), ("passthrough", ["speed"])),
    "columns, a column of labels as numbers": _columns((IGNORE, ["city"]), ("passthrough", ["level"])),
    "columns, labels encoded twice": _columns((IGNORE, ["city"]), (OrdinalEncoder(), ["sex", "level"])),
    "columns of an array": lambda: make_pipeline(
        ColumnTransformer([("a", StandardScaler(), [1]), ("b", "passthrough", [0])]), Logistic()
    ).fit(FRAME[PLAIN].to_numpy(), BINARY),
    "columns, as frames": lambda: (
        make_pipeline(make_column_transformer((StandardScaler(), PLAIN)), MinMaxScaler(), Logistic())
        .set_output(transform="pandas")
        .fit(FRAME[PLAIN], BINARY)
    ),
    "columns, then more": _columns(
        (make_pipeline(SimpleImputer(strategy="most_frequent"), IGNORE), ["port", "city"]),
        (make_pipeline(SimpleImputer(strategy="median"), PolynomialFeatures(2), StandardScaler()), WHOLE),
        last=make_pipeline(SelectKBest(k=6), StandardScaler(), Logistic()),
    ),
    "columns, neighbours": _columns((IGNORE, LABELS), (FILLED, WHOLE), last=KNeighborsRegressor(), y=NUMBER),
    "columns, bayes": _columns((OrdinalEncoder(), ["city", "sex"]), (FILLED, WHOLE), last=GaussianNB(), y=LEVEL),
    "search": lambda: GridSearchCV(
        make_pipeline(make_column_transformer((IGNORE, LABELS), (FILLED, WHOLE)), Logistic()),
        {"logisticregression__C": [0.1, 1.0]},
        cv=2,
    ).fit(FRAME, BINARY),
}
EXACT: Mapping[str, Make] = {
    "tree of scaled numbers": _numbers(StandardScaler(), last=DecisionTreeClassifier(random_state=0)),
    "tree of a function": _columns(
        (FunctionTransformer(np.sqrt), ["fare"]), last=DecisionTreeRegressor(random_state=0), y=NUMBER
    ),
    "tree of missing values": _numbers(
        RobustScaler(), last=DecisionTreeClassifier(random_state=0), columns=WHOLE, y=LEVEL
    ),
    "tree of picked columns": _numbers(
        SimpleImputer(), SelectKBest(k=2), last=DecisionTreeClassifier(random_state=0), columns=WHOLE
    ),
    "tree of columns in another order": _columns(
        ("passthrough", ["speed", "fare"]), last=DecisionTreeRegressor(random_state=0), y=NUMBERS
    ),
    "forest": _columns(
        (IGNORE, LABELS), (SimpleImputer(), WHOLE), last=RandomForestClassifier(7, random_state=0), y=LEVEL
    ),
    "forest of ordinals": _columns(
        (OrdinalEncoder(**UNKNOWN, unknown_value=np.nan), ["city"]),
        (OrdinalEncoder(**UNKNOWN, unknown_value=-1), ["port", "sex"]),
        last=RandomForestClassifier(7, random_state=0),
    ),
    "forest of polynomials": _numbers(
        PolynomialFeatures(3), last=ExtraTreesRegressor(7, random_state=0), y=NUMBERS, columns=["fare", "speed"]
    ),
    "histograms": _columns(
        (OrdinalEncoder(), LABELS),
        remainder="passthrough",
        last=HistGradientBoostingClassifier(max_iter=9, min_samples_leaf=5),
        y=LEVEL,
    ),
    "histograms of scaled numbers": _numbers(
        MaxAbsScaler(), last=HistGradientBoostingRegressor(max_iter=9), y=NUMBER, columns=WHOLE
    ),
}


@dataclass(frozen=True)
class Served:
    """A model of a pipeline, and the pipeline itself with the parameters that it was given."""

    model: Model
    oracle: FallbackEvaluator
    signature: Signature


def serve(make: Make) -> Served:
    """Make a model of a pipeline, and keep the pipeline, which the model forgets."""
    kept: list[Any] = []

    def choose_and_keep(estimator: Any, parameters: Any, shape: Any, form: Any, *, compiled: bool) -> Any:
        kept.extend([FallbackEvaluator(estimator, parameters, shape, form), Signature(parameters)])
        return choose(estimator, parameters, shape, form, compiled=compiled)

    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")
        patch.setattr("server.model.choose", choose_and_keep)
        return Served(real_model(make(), unknown_labels="accept"), *kept)


def draw_rows(signature: Signature, count: int) -> list[dict[str, Any]]:
    """Draw rows that a schema accepts: known labels and others, numbers of several magnitudes, null."""
    draw = random.Random(20190131)
    rows = []
    for _ in range(count):
        row: dict[str, Any] = {}
        for parameter in signature.parameters:
            values: list[Any] = list(parameter.labels)
            if parameter.open:
                values.append("elsewhere" if parameter.label_type is str else draw.randint(1_000, 2_000))
            if not values:
                low, high = max(parameter.minimum or 0.0, -1e9), min(parameter.maximum or 0.0, 1e9)
                numbers = [draw.gauss(0, 10.0 ** draw.randint(-4, 3)), abs(draw.gauss(0, 30)), 0.0, low, high]
                values = [float(min(max(each, low), high)) for each in numbers]
            if parameter.nullable and draw.random() < 0.2:
                values = [None]
            row[parameter.name] = draw.choice(values)
        rows.append(row)
    return rows


def compare(make: Make, equal: Callable[[Evaluation, Evaluation], None]) -> Model:
    """See that a pipeline is compiled, and answers as it does itself, for rows together and alone."""
    served = serve(make)
    model = served.model
    assert model.engine.fallback is None
    rows = draw_rows(served.signature, 200)
    codes = model.signature.parse_rows(rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that of unknown categories, which scikit-learn encodes as zeros
        wanted = served.oracle.evaluate(served.signature.parse_rows(rows), with_classes=True)
        equal(model.evaluator.evaluate(codes, with_classes=True), wanted)
        for index in range(0, 200, 13):
            alone = model.evaluator.evaluate([codes[index]], with_classes=True)
            equal(alone, wanted.part(index, index + 1))
    return model


@pytest.mark.parametrize("name", NEAR)
def test_near(name: str) -> None:
    """A pipeline that ends in anything but trees answers as itself: the same labels, numbers within 1e-12."""
    model = compare(NEAR[name], near)
    assert model.engine.name in ("linear", "pipeline, linear", "pipeline, KNeighborsRegressor", "pipeline, GaussianNB")


@pytest.mark.parametrize("name", EXACT)
def test_exact(name: str) -> None:
    """A pipeline that ends in trees answers as itself to the last bit."""
    model = compare(EXACT[name], same_bits)
    assert model.engine.name in ("pipeline, forest", "pipeline, histogram boosting")


def test_labels_become_numbers() -> None:
    """A compiled pipeline takes for a label its place, for null and an unknown label those behind; labels stay."""
    served = serve(NEAR["one-hot, imputed by a word"])
    for ours, theirs in zip(served.model.signature.parameters, served.signature.parameters, strict=True):
        assert ours.labels == theirs.labels
        count = len(ours.labels)
        assert ours.codes == tuple(range(count))
        assert (ours.nullable, ours.null_code) == (theirs.nullable, count)
        assert (ours.open, ours.unseen_code) == (theirs.open, count + 1)


FALLBACK: Mapping[str, tuple[Make, str]] = {
    "imputer with indicators": (
        _numbers(SimpleImputer(add_indicator=True), columns=WHOLE),
        "SimpleImputer as it is set here",
    ),
    "imputer of another marker": (_numbers(SimpleImputer(missing_values=0.0)), "SimpleImputer as it is set here"),
    "imputer behind a step": (_numbers(StandardScaler(), SimpleImputer(), columns=WHOLE), "SimpleImputer as it is"),
    "imputer of neighbours": (_numbers(KNNImputer(), columns=WHOLE), "KNNImputer"),
    "polynomials from degree 2": (_numbers(PolynomialFeatures((2, 3))), "PolynomialFeatures as it is set here"),
    "power": (_numbers(PowerTransformer()), "PowerTransformer"),
    "bins": (_numbers(KBinsDiscretizer(quantile_method="averaged_inverted_cdf")), "KBinsDiscretizer"),
    "a function in Python": (_numbers(FunctionTransformer(lambda x: abs(x))), "FunctionTransformer as it is"),
    "a function with arguments": (
        _numbers(FunctionTransformer(np.tanh, kw_args={"casting": "same_kind"})),
        "FunctionTransformer as it is set here",
    ),
    "target of several classes": (
        _labels(TargetEncoder(cv=2, shuffle=False), y=LEVEL, columns=["city"]),
        "TargetEncoder as it is set here",
    ),
    "weighted union": (
        _numbers(FeatureUnion([("a", StandardScaler()), ("b", "passthrough")], transformer_weights={"a": 2.0})),
        "FeatureUnion as it is set here",
    ),
    "weighted columns": (
        lambda: make_pipeline(
            ColumnTransformer([("a", StandardScaler(), PLAIN)], transformer_weights={"a": 2.0}), Logistic()
        ).fit(FRAME[PLAIN], BINARY),
        "ColumnTransformer as it is set here",
    ),
    "columns of what was computed": (
        _numbers(StandardScaler(), ColumnTransformer([("a", "passthrough", [1])])),
        "ColumnTransformer as it is set here",
    ),
    "encoder of what was computed": (
        _columns(
            (OrdinalEncoder(), ["level", "sex"]), last=make_pipeline(OneHotEncoder(handle_unknown="ignore"), Logistic())
        ),
        "OneHotEncoder as it is set here",
    ),
}


@pytest.mark.parametrize(
    ("make", "reason"), [pytest.param(make, reason, id=name) for name, (make, reason) in FALLBACK.items()]
)
def test_what_has_no_compiled_form(make: Make, reason: str) -> None:
    """A step without a compiled form, or set in a way that has none, is named, and the pipeline serves itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = real_model(make())
    assert model.engine.name == "pickle"
    assert model.engine.fallback is not None
    assert model.engine.fallback.startswith(reason)
    assert model.engine.fallback.endswith("has no compiled form")


def test_free_text_has_no_compiled_form() -> None:
    """Texts, one beside numbers or nothing else, are left to the pipeline itself."""
    estimator = Pipeline([("scaler", StandardScaler()), ("model", Logistic())]).fit(FRAME[PLAIN], BINARY)
    for parameters, shape in (([number(), text()], Shape.FRAME), ([text()], Shape.TEXTS)):
        with pytest.raises(Unsupported, match="free text has no compiled form"):
            compile_estimator(estimator, parameters, shape, Form.PROBABILITIES)
