"""Fitted estimators of every kind that is served, on small data that are always the same."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import (
    calibration,
    cluster,
    compose,
    covariance,
    cross_decomposition,
    discriminant_analysis,
    dummy,
    ensemble,
    feature_extraction,
    feature_selection,
    gaussian_process,
    impute,
    isotonic,
    kernel_ridge,
    linear_model,
    mixture,
    model_selection,
    multiclass,
    multioutput,
    naive_bayes,
    neighbors,
    neural_network,
    pipeline,
    preprocessing,
    semi_supervised,
    svm,
    tree,
)
from sklearn.decomposition import PCA

ROWS = 90
RNG = np.random.default_rng(20190131)

ARRAY = RNG.normal(size=(ROWS, 4)) * [1.0, 10.0, 0.1, 3.0] + [0.0, 50.0, 0.0, -2.0]
COUNTS = RNG.integers(0, 4, size=(ROWS, 3)).astype(float)
GAPPY = np.where(RNG.random(ARRAY.shape) < 0.1, np.nan, ARRAY)
_signal = ARRAY[:, 0] + ARRAY[:, 1] / 10 - 5 + RNG.normal(size=ROWS) * 0.3
BINARY = (_signal > 0).astype(int)
TERNARY = np.digitize(_signal, [-0.7, 0.7])
TEXT = np.array(["low", "mid", "high"])[TERNARY]
NUMBER = _signal * 3
NUMBERS = np.column_stack([NUMBER, ARRAY[:, 2], NUMBER * ARRAY[:, 3]])
SEVERAL = np.column_stack([TERNARY, BINARY])
SEVERAL_TEXT = np.column_stack([TEXT, np.where(BINARY, "yes", "no")])
INDICATORS = np.column_stack([BINARY, (ARRAY[:, 2] > 0).astype(int), (TERNARY == 2).astype(int)])

NUMERIC_FRAME = pd.DataFrame(ARRAY, columns=["speed", "bruises?", "a/b~c", "größe"])
FRAME = pd.DataFrame(
    {
        "age": ARRAY[:, 1].round(),
        "city": np.array(["Oslo", "Rome", "Lima", "Kyiv"], dtype=object)[RNG.integers(0, 4, ROWS)],
        "fare": GAPPY[:, 3],
        "class": RNG.integers(1, 4, ROWS),
        "port": np.array(["S", "C", "Q", np.nan], dtype=object)[RNG.integers(0, 4, ROWS)],
    }
)
FRAME["age"] = FRAME["age"].where(RNG.random(ROWS) > 0.1)
OBJECTS = FRAME[["city", "class"]].to_numpy(dtype=object)
FLAGGED = FRAME[["city"]].assign(member=RNG.random(ROWS) < 0.5)
DATED = FRAME[["age", "fare"]].assign(
    city=FRAME["city"].astype("category"), level=pd.Categorical(FRAME["class"].astype(str))
)
WORDS = ["good", "bad", "awful", "great", "fine", "poor", "kettle", "cup", "the", "a", "is", "very", "not", "really"]
TEXTS = [" ".join(RNG.choice(WORDS, size=8)) for _ in range(ROWS)]
TEXT_FRAME = pd.DataFrame({"review": pd.Series(TEXTS, dtype=object), "stars": COUNTS[:, 0]})


@dataclass(frozen=True)
class Case:
    """An estimator to be made and fitted, on data in the form that it is fitted on."""

    make: Callable[[], Any]
    X: Any
    y: Any = None
    lookup: Any = None
    labels: Any = None

    def fitted(self) -> Any:
        """Make and fit the estimator; that it may not have converged does not matter here."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            estimator = self.make()
            estimator.fit(self.X, self.y) if self.y is not None else estimator.fit(self.X)
        return estimator


def _columns(*, scale: bool = False) -> compose.ColumnTransformer:
    """The usual preparation of a table with strings, numbers, booleans and gaps."""
    labels = pipeline.make_pipeline(
        impute.SimpleImputer(strategy="most_frequent"), preprocessing.OneHotEncoder(handle_unknown="ignore")
    )
    numbers: list[Any] = [impute.SimpleImputer(strategy="median"), *([preprocessing.StandardScaler()] if scale else [])]
    return compose.ColumnTransformer(
        [
            ("labels", labels, ["city", "port"]),
            ("level", preprocessing.OneHotEncoder(), ["class"]),
            ("numbers", pipeline.make_pipeline(*numbers), ["age", "fare"]),
        ]
    )


def _xgboost(name: str, **options: Any) -> Callable[[], Any]:
    return lambda: getattr(pytest.importorskip("xgboost"), name)(n_estimators=12, max_depth=3, n_jobs=1, **options)


def _lightgbm(name: str, **options: Any) -> Callable[[], Any]:
    return lambda: getattr(pytest.importorskip("lightgbm"), name)(
        n_estimators=12, min_child_samples=3, n_jobs=1, verbose=-1, **options
    )


def _forest(**options: Any) -> ensemble.RandomForestClassifier:
    return ensemble.RandomForestClassifier(n_estimators=12, random_state=0, **options)


def _ordinal_boosting() -> Any:
    columns = compose.ColumnTransformer(
        [("labels", preprocessing.OrdinalEncoder(), ["city", "class"])], remainder="passthrough"
    )
    boosting = ensemble.HistGradientBoostingClassifier(max_iter=10, categorical_features=[0, 1], min_samples_leaf=5)
    return pipeline.make_pipeline(columns, boosting)


def _chosen_columns() -> Any:
    """Keep two of a table's columns in a step of its own, behind which nothing is known of the others."""
    keep = compose.ColumnTransformer([("keep", "passthrough", ["city", "age"])], verbose_feature_names_out=False)
    labels = compose.ColumnTransformer([("labels", preprocessing.OneHotEncoder(), ["city"])], remainder="passthrough")
    return pipeline.make_pipeline(keep.set_output(transform="pandas"), labels, ensemble.HistGradientBoostingRegressor())


make_pipeline = pipeline.make_pipeline
Logistic = linear_model.LogisticRegression

CASES: dict[str, Case] = {
    # Classifiers with probabilities, on arrays.
    "logistic-binary": Case(Logistic, ARRAY, BINARY),
    "logistic-text": Case(lambda: Logistic(max_iter=500), ARRAY, TEXT),
    "logistic-bool": Case(Logistic, ARRAY, BINARY.astype(bool)),
    "logistic-cv": Case(
        lambda: linear_model.LogisticRegressionCV(Cs=2, cv=2, use_legacy_attributes=False), ARRAY, BINARY
    ),
    "tree-bool": Case(lambda: tree.DecisionTreeClassifier(max_depth=3), ARRAY, BINARY.astype(bool)),
    "forest-int": Case(lambda: _forest(n_jobs=2), ARRAY, TERNARY * 10),
    "forest-float": Case(_forest, ARRAY, TERNARY.astype(float)),
    "forest-named": Case(_forest, ARRAY, TERNARY, labels=["low", "mid", "high"]),
    "extra-trees": Case(lambda: ensemble.ExtraTreesClassifier(12, random_state=0), ARRAY, TEXT),
    "gradient-boosting": Case(lambda: ensemble.GradientBoostingClassifier(n_estimators=9), ARRAY, TERNARY),
    "hist-boosting": Case(lambda: ensemble.HistGradientBoostingClassifier(max_iter=9), ARRAY, TEXT),
    "ada-boost": Case(lambda: ensemble.AdaBoostClassifier(n_estimators=5), ARRAY, BINARY),
    "bagging": Case(lambda: ensemble.BaggingClassifier(n_estimators=5, max_features=0.5, random_state=0), ARRAY, TEXT),
    "bagging-drawn-columns": Case(
        lambda: ensemble.BaggingClassifier(
            make_pipeline(preprocessing.OneHotEncoder(handle_unknown="ignore"), Logistic()),
            n_estimators=3,
            bootstrap_features=True,
            random_state=0,
        ),
        COUNTS,
        BINARY,
    ),
    "gaussian-bayes": Case(naive_bayes.GaussianNB, ARRAY, TEXT),
    "categorical-bayes": Case(
        lambda: naive_bayes.CategoricalNB(min_categories=4),
        COUNTS,
        TERNARY,
        lookup={name: {"none": 0, "one": 1, "two": 2, "three": 3} for name in ("a", "b", "c")},
    ),
    "lda": Case(discriminant_analysis.LinearDiscriminantAnalysis, ARRAY, TEXT),
    "qda": Case(discriminant_analysis.QuadraticDiscriminantAnalysis, ARRAY, BINARY),
    "neighbors": Case(neighbors.KNeighborsClassifier, ARRAY, TEXT),
    "perceptrons": Case(lambda: neural_network.MLPClassifier((5,), max_iter=30, random_state=0), ARRAY, TERNARY),
    "gaussian-process": Case(gaussian_process.GaussianProcessClassifier, ARRAY, BINARY),
    "label-spreading": Case(lambda: semi_supervised.LabelSpreading(kernel="knn"), ARRAY, BINARY),
    "self-training": Case(lambda: semi_supervised.SelfTrainingClassifier(Logistic()), ARRAY, BINARY),
    "dummy": Case(lambda: dummy.DummyClassifier(strategy="prior"), ARRAY, TEXT),
    "one-class-only": Case(lambda: tree.DecisionTreeClassifier(), ARRAY, np.full(ROWS, "always")),
    "precomputed-kernel": Case(lambda: svm.SVC(kernel="precomputed"), ARRAY @ ARRAY.T, BINARY),
    # Classifiers without.
    "linear-svc": Case(svm.LinearSVC, ARRAY, TEXT),
    "svc": Case(svm.SVC, ARRAY, BINARY.astype(bool)),
    "ridge-classifier": Case(linear_model.RidgeClassifier, ARRAY, TERNARY.astype(float)),
    "sgd-hinge": Case(lambda: linear_model.SGDClassifier(random_state=0), ARRAY, TEXT),
    "linear-perceptron": Case(linear_model.Perceptron, ARRAY, BINARY, labels=["no", "yes"]),
    "one-vs-one": Case(lambda: multiclass.OneVsOneClassifier(svm.LinearSVC()), ARRAY, TEXT),
    "output-code": Case(lambda: multiclass.OutputCodeClassifier(Logistic(), random_state=0), ARRAY, TERNARY),
    # Classifiers with several outputs.
    "multi-output-logistic": Case(
        lambda: multioutput.MultiOutputClassifier(Logistic(max_iter=500)), ARRAY, SEVERAL_TEXT
    ),
    "multi-output-forest": Case(_forest, ARRAY, SEVERAL_TEXT),
    "multi-output-neighbors": Case(
        neighbors.KNeighborsClassifier,
        ARRAY,
        SEVERAL,
        labels={"level": ["low", "mid", "high"], "sign": ["minus", "plus"]},
    ),
    "multi-output-svc": Case(lambda: multioutput.MultiOutputClassifier(svm.LinearSVC()), ARRAY, SEVERAL_TEXT),
    "multi-output-one": Case(lambda: multioutput.MultiOutputClassifier(Logistic()), ARRAY, BINARY.reshape(-1, 1)),
    "multilabel-one-vs-rest": Case(lambda: multiclass.OneVsRestClassifier(Logistic()), ARRAY, INDICATORS),
    "multilabel-perceptrons": Case(
        lambda: neural_network.MLPClassifier((5,), max_iter=30), ARRAY, INDICATORS, labels=["a", "b", "c"]
    ),
    "multilabel-ridge": Case(linear_model.RidgeClassifier, ARRAY, INDICATORS),
    "multilabel-forest": Case(_forest, ARRAY, INDICATORS),
    "chain": Case(lambda: multioutput.ClassifierChain(Logistic(), random_state=0), ARRAY, INDICATORS),
    "chain-one-two": Case(lambda: multioutput.ClassifierChain(Logistic()), ARRAY, INDICATORS + 1),
    "chain-svc": Case(lambda: multioutput.ClassifierChain(svm.LinearSVC()), ARRAY, INDICATORS),
    "chain-one-hot": Case(
        lambda: multioutput.ClassifierChain(
            make_pipeline(preprocessing.OneHotEncoder(handle_unknown="ignore"), Logistic())
        ),
        COUNTS,
        INDICATORS,
    ),
    # Regressors.
    "linear": Case(linear_model.LinearRegression, ARRAY, NUMBER),
    "linear-column": Case(linear_model.LinearRegression, ARRAY, NUMBER.reshape(-1, 1)),
    "linear-several": Case(linear_model.LinearRegression, ARRAY, NUMBERS),
    "ridge-named": Case(linear_model.Ridge, NUMERIC_FRAME, NUMBERS, labels=["x", "y", "z"]),
    "forest-several": Case(lambda: ensemble.RandomForestRegressor(12, n_jobs=2), ARRAY, NUMBERS),
    "hist-boosting-regressor": Case(lambda: ensemble.HistGradientBoostingRegressor(max_iter=9), GAPPY, NUMBER),
    "quantile-boosting": Case(
        lambda: ensemble.GradientBoostingRegressor(loss="quantile", n_estimators=9), ARRAY, NUMBER
    ),
    "svr": Case(svm.SVR, ARRAY, NUMBER),
    "kernel-ridge": Case(lambda: kernel_ridge.KernelRidge(kernel="rbf"), ARRAY, NUMBER),
    "gaussian-process-regressor": Case(gaussian_process.GaussianProcessRegressor, ARRAY, NUMBER),
    "neighbors-regressor": Case(neighbors.KNeighborsRegressor, ARRAY, NUMBER),
    "partial-least-squares": Case(cross_decomposition.PLSRegression, ARRAY, NUMBERS),
    "isotonic-clip": Case(
        lambda: isotonic.IsotonicRegression(out_of_bounds="clip"), ARRAY[:, :1], NUMBER, lookup={"speed": 0}
    ),
    "dummy-regressor": Case(dummy.DummyRegressor, ARRAY, NUMBER),
    "multi-output-regressor": Case(lambda: multioutput.MultiOutputRegressor(svm.SVR()), ARRAY, NUMBERS),
    "regressor-chain": Case(lambda: multioutput.RegressorChain(linear_model.Ridge()), ARRAY, NUMBERS),
    "transformed-target": Case(
        lambda: compose.TransformedTargetRegressor(linear_model.Ridge(), transformer=preprocessing.StandardScaler()),
        NUMERIC_FRAME,
        NUMBER,
    ),
    # Clusterers, mixtures, outlier detectors.
    "k-means": Case(lambda: cluster.KMeans(3, n_init=1, random_state=0), ARRAY),
    "k-means-named": Case(lambda: cluster.KMeans(2, n_init=1, random_state=0), NUMERIC_FRAME, labels=["near", "far"]),
    "bisecting-k-means": Case(lambda: cluster.BisectingKMeans(3, random_state=0), ARRAY),
    "mean-shift": Case(cluster.MeanShift, ARRAY),
    "affinity-propagation": Case(cluster.AffinityPropagation, ARRAY),
    "birch": Case(lambda: cluster.Birch(n_clusters=3), ARRAY, labels=["a", "b", "c"]),
    "scaled-k-means": Case(lambda: make_pipeline(preprocessing.StandardScaler(), cluster.KMeans(3, n_init=1)), ARRAY),
    "k-means-search": Case(
        lambda: model_selection.GridSearchCV(
            make_pipeline(preprocessing.StandardScaler(), cluster.KMeans(n_init=1)),
            {"kmeans__n_clusters": [2, 3]},
            cv=2,
        ),
        ARRAY,
    ),
    "gaussian-mixture": Case(lambda: mixture.GaussianMixture(3, random_state=0), ARRAY),
    "bayesian-mixture": Case(
        lambda: mixture.BayesianGaussianMixture(n_components=2, random_state=0), ARRAY, labels=["near", "far"]
    ),
    "isolation-forest": Case(lambda: ensemble.IsolationForest(n_estimators=12, random_state=0), ARRAY),
    "one-class-svm": Case(svm.OneClassSVM, ARRAY, labels=["outlier", "inlier"]),
    "local-outlier-factor": Case(lambda: neighbors.LocalOutlierFactor(novelty=True), ARRAY),
    "elliptic-envelope": Case(lambda: covariance.EllipticEnvelope(random_state=0), ARRAY),
    "scaled-outliers": Case(lambda: make_pipeline(preprocessing.StandardScaler(), svm.OneClassSVM()), NUMERIC_FRAME),
    # Meta-estimators.
    "grid-search": Case(lambda: model_selection.GridSearchCV(Logistic(), {"C": [0.1, 1]}, cv=2), ARRAY, TEXT),
    "grid-search-pipeline": Case(
        lambda: model_selection.GridSearchCV(
            make_pipeline(_columns(scale=True), Logistic()), {"logisticregression__C": [0.1, 1]}, cv=2
        ),
        FRAME,
        TEXT,
    ),
    "random-search-regressor": Case(
        lambda: model_selection.RandomizedSearchCV(linear_model.Ridge(), {"alpha": [0.1, 1]}, n_iter=1, cv=2),
        NUMERIC_FRAME,
        NUMBER,
    ),
    "calibrated": Case(lambda: calibration.CalibratedClassifierCV(svm.LinearSVC(), cv=2), ARRAY, TEXT),
    "calibrated-pipeline": Case(
        lambda: calibration.CalibratedClassifierCV(make_pipeline(_columns(), ensemble.RandomForestClassifier(5)), cv=2),
        FRAME,
        BINARY,
    ),
    "voting-soft": Case(
        lambda: ensemble.VotingClassifier([("a", Logistic()), ("b", naive_bayes.GaussianNB())], voting="soft"),
        NUMERIC_FRAME,
        TEXT,
    ),
    "voting-hard": Case(lambda: ensemble.VotingClassifier([("a", Logistic()), ("b", svm.LinearSVC())]), ARRAY, TEXT),
    "voting-regressor": Case(
        lambda: ensemble.VotingRegressor([("a", linear_model.Ridge()), ("b", svm.SVR())]), NUMERIC_FRAME, NUMBER
    ),
    "stacking": Case(
        lambda: ensemble.StackingClassifier(
            [
                ("a", make_pipeline(_columns(), Logistic(max_iter=500))),
                ("b", make_pipeline(_columns(), naive_bayes.BernoulliNB())),
            ],
            cv=2,
        ),
        FRAME,
        TEXT,
    ),
    "stacking-regressor": Case(
        lambda: ensemble.StackingRegressor([("a", linear_model.Ridge()), ("b", svm.SVR())], cv=2), ARRAY, NUMBER
    ),
    "tuned-threshold": Case(lambda: model_selection.TunedThresholdClassifierCV(Logistic(), cv=2), ARRAY, BINARY),
    "fixed-threshold": Case(
        lambda: model_selection.FixedThresholdClassifier(Logistic(), threshold=0.9),
        ARRAY,
        np.where(BINARY, "yes", "no"),
    ),
    "feature-elimination": Case(
        lambda: feature_selection.RFE(Logistic(), n_features_to_select=2), NUMERIC_FRAME, BINARY
    ),
    # Pipelines.
    "scaled-logistic": Case(lambda: make_pipeline(preprocessing.StandardScaler(), Logistic()), ARRAY, TEXT),
    "scaled-logistic-frame": Case(
        lambda: make_pipeline(preprocessing.StandardScaler(), Logistic()), NUMERIC_FRAME, TEXT
    ),
    "components": Case(lambda: make_pipeline(PCA(2), svm.SVC()), NUMERIC_FRAME, TEXT),
    "polynomial": Case(lambda: make_pipeline(preprocessing.PolynomialFeatures(), linear_model.Ridge()), ARRAY, NUMBER),
    "imputed": Case(lambda: make_pipeline(impute.SimpleImputer(), Logistic()), GAPPY, BINARY),
    "imputed-indicators": Case(
        lambda: make_pipeline(
            impute.SimpleImputer(strategy="most_frequent", add_indicator=True),
            preprocessing.OneHotEncoder(handle_unknown="ignore"),
            Logistic(),
        ),
        FRAME[["city", "port"]],
        TEXT,
    ),
    "columns": Case(lambda: make_pipeline(_columns(scale=True), Logistic()), FRAME, TEXT),
    "columns-forest": Case(lambda: make_pipeline(_columns(), _forest(n_jobs=2)), FRAME, BINARY.astype(bool)),
    "columns-several": Case(lambda: make_pipeline(_columns(), ensemble.ExtraTreesRegressor(9)), FRAME, NUMBERS),
    "one-hot-array": Case(lambda: make_pipeline(preprocessing.OneHotEncoder(), svm.LinearSVC()), OBJECTS, TEXT),
    "one-hot-unions": Case(
        lambda: make_pipeline(
            pipeline.make_union(preprocessing.OneHotEncoder(), preprocessing.OrdinalEncoder()), Logistic(max_iter=500)
        ),
        FRAME[["city", "class"]],
        TEXT,
    ),
    "boolean-column": Case(
        lambda: make_pipeline(
            compose.ColumnTransformer([("labels", preprocessing.OneHotEncoder(), ["city"])], remainder="passthrough"),
            Logistic(),
        ),
        FLAGGED,
        BINARY,
        lookup={"member": False, "city": {name: name for name in ("Rome", "Oslo", "Lima", "Kyiv")}},
    ),
    "target-encoder": Case(
        lambda: make_pipeline(preprocessing.TargetEncoder(cv=2, shuffle=False), linear_model.Ridge()),
        FRAME[["city", "class"]],
        NUMBER,
    ),
    "ordinal-boosting": Case(_ordinal_boosting, FRAME[["age", "city", "class"]], BINARY),
    "chosen-columns": Case(
        _chosen_columns,
        FRAME[["age", "city", "fare"]],
        NUMBER,
        lookup={"city": {name: name for name in ("Oslo", "Rome", "Lima", "Kyiv")}, "age": 0, "fare": 0},
    ),
    "categorical-boosting": Case(
        lambda: ensemble.HistGradientBoostingClassifier(
            max_iter=9, min_samples_leaf=5, categorical_features="from_dtype"
        ),
        DATED,
        TEXT,
    ),
    # Texts.
    "texts": Case(lambda: make_pipeline(feature_extraction.text.TfidfVectorizer(), Logistic()), TEXTS, TEXT),
    "texts-hashed": Case(
        lambda: make_pipeline(feature_extraction.text.HashingVectorizer(n_features=64), svm.LinearSVC()), TEXTS, BINARY
    ),
    "texts-search": Case(
        lambda: model_selection.GridSearchCV(
            make_pipeline(feature_extraction.text.CountVectorizer(), naive_bayes.MultinomialNB()),
            {"multinomialnb__alpha": [0.1, 1]},
            cv=2,
        ),
        TEXTS,
        TEXT,
    ),
    "texts-union": Case(
        lambda: make_pipeline(
            pipeline.make_union(
                feature_extraction.text.TfidfVectorizer(), feature_extraction.text.CountVectorizer(analyzer="char")
            ),
            linear_model.Ridge(),
        ),
        TEXTS,
        NUMBER,
    ),
    "texts-and-numbers": Case(
        lambda: make_pipeline(
            compose.ColumnTransformer(
                [("words", feature_extraction.text.TfidfVectorizer(), "review"), ("stars", "passthrough", ["stars"])]
            ),
            Logistic(),
        ),
        TEXT_FRAME,
        BINARY,
    ),
    # Others' estimators.
    "xgboost-binary": Case(_xgboost("XGBClassifier"), ARRAY, BINARY),
    "xgboost-several-classes": Case(_xgboost("XGBClassifier"), NUMERIC_FRAME, TERNARY, labels=["low", "mid", "high"]),
    "xgboost-regressor": Case(_xgboost("XGBRegressor"), GAPPY, NUMBER),
    "xgboost-regressor-several": Case(_xgboost("XGBRegressor"), NUMERIC_FRAME, NUMBERS),
    "xgboost-pipeline": Case(lambda: make_pipeline(_columns(), _xgboost("XGBClassifier")()), FRAME, BINARY),
    "xgboost-search": Case(
        lambda: model_selection.GridSearchCV(_xgboost("XGBClassifier")(), {"max_depth": [2, 3]}, cv=2), ARRAY, TERNARY
    ),
    "lightgbm-binary": Case(_lightgbm("LGBMClassifier"), ARRAY, BINARY.astype(bool)),
    "lightgbm-text": Case(_lightgbm("LGBMClassifier"), FRAME[["age", "fare"]], TEXT),
    "lightgbm-lookup": Case(
        _lightgbm("LGBMClassifier"),
        COUNTS,
        BINARY,
        lookup={"a": {"none": 0, "one": 1, "two": 2, "three": 3}, "b": 0, "c": 0},
    ),
    "lightgbm-regressor": Case(_lightgbm("LGBMRegressor"), ARRAY, NUMBER),
    "lightgbm-pipeline": Case(lambda: make_pipeline(_columns(), _lightgbm("LGBMClassifier")()), FRAME, TEXT),
}
