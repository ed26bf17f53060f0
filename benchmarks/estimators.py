"""A dozen fitted estimators as bundles, with rows to ask them for: generated data, fixed seeds."""

import pickle
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
import pandas as pd
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

SEED: Final = 20
ROWS: Final = 2_000  # distinct rows that are asked for
LOOKUP: Final[Mapping[str, Mapping[str, int] | int]] = {
    "region": {f"region {code}": code for code in range(40)},
    "kind": {f"kind {code}": code for code in range(12)},
    **dict.fromkeys(("age", "income", "distance", "height", "weight", "score"), 0),
}
PEOPLE: Final = Path(__file__).resolve().parents[1] / "examples" / "adult" / "bundle" / "model.pkl"

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """An estimator under its name on the command line, with what it takes to fit it."""

    name: str
    title: str
    make: Callable[[], Any] | None  # None: the committed pipeline on a DataFrame
    training_rows: int = 10_000
    regression: bool = False


CASES: Final = (
    Case("logistic", "logistic regression", LogisticRegression),
    Case("ridge", "ridge", Ridge, regression=True),
    Case("bayes", "naive Bayes (Gaussian)", GaussianNB),
    Case("tree", "decision tree", lambda: DecisionTreeClassifier(min_samples_leaf=5, random_state=SEED)),
    Case(
        "forest",
        "random forest, 100 trees",
        lambda: RandomForestClassifier(100, min_samples_leaf=2, n_jobs=1, random_state=SEED),
    ),
    Case(
        "extra",
        "extra trees regressor, 100 trees",
        lambda: ExtraTreesRegressor(100, min_samples_leaf=2, n_jobs=1, random_state=SEED),
        regression=True,
    ),
    Case("boosting", "gradient boosting, 100 trees", lambda: GradientBoostingClassifier(random_state=SEED)),
    Case("histogram", "histogram gradient boosting", lambda: HistGradientBoostingClassifier(random_state=SEED)),
    Case("svc", "support vectors (RBF)", SVC, training_rows=2_000),
    Case("knn", "nearest neighbours, 10,000 rows", KNeighborsClassifier),
    Case("mlp", "neural network, 64 and 32", lambda: MLPClassifier((64, 32), max_iter=15, random_state=SEED)),
    Case("people", "pipeline on a DataFrame of strings", None),
)


def find(names: list[str]) -> list[Case]:
    """Give the cases of these names, all of them for none; end the program with a sentence for an unknown one."""
    known = {case.name: case for case in CASES}
    for name in names:
        if name not in known:
            raise SystemExit(f"There is no estimator {name}; there are {', '.join(known)}.")
    return [known[name] for name in names] or list(CASES)


def write(case: Case, folder: Path) -> None:
    """Fit the case's estimator and write into `folder` its bundle, and `rows.jsonl`: what it is asked for."""
    folder.mkdir(parents=True)
    if case.make is None:
        content = PEOPLE.read_bytes()
        rows = people(pickle.loads(content))
    else:
        codes, target = table(case.training_rows, regression=case.regression)
        with warnings.catch_warnings(action="ignore"):  # a network that has not converged predicts as fast
            content = pickle.dumps(case.make().fit(codes, target), protocol=5)
        rows = labelled(table(ROWS, regression=False, seed=SEED + 1)[0])
        (folder / "lookup.pkl").write_bytes(pickle.dumps(dict(LOOKUP), protocol=5))
    (folder / "model.pkl").write_bytes(content)
    (folder / "rows.jsonl").write_bytes(b"\n".join(map(orjson.dumps, rows)) + b"\n")


def table(count: int, *, regression: bool, seed: int = SEED) -> tuple[np.ndarray, np.ndarray]:
    """Draw rows of codes and numbers, as the lookup names them, and a target that depends on them with noise."""
    random = np.random.default_rng(seed)
    limits = [len(codes) for codes in LOOKUP.values() if isinstance(codes, Mapping)]
    codes = [random.integers(limit, size=count).astype(float) for limit in limits]
    numbers = random.normal(50, 15, size=(count, len(LOOKUP) - len(limits))).round(2)
    X = np.column_stack([*codes, numbers])
    value = np.sin(X[:, 0] / 5) * 20 + X[:, 1] + X[:, 2] - X[:, 3] * X[:, 4] / 50 + random.normal(0, 8, size=count)
    return X, value if regression else np.where(value > np.median(value), "yes", "no")


def labelled(X: np.ndarray) -> list[Row]:
    """Give the rows as a caller sends them: labels where the lookup has codes."""
    names = [
        {code: label for label, code in each.items()} if isinstance(each, Mapping) else None for each in LOOKUP.values()
    ]
    return [
        {
            field: value if labels is None else labels[int(value)]
            for field, labels, value in zip(LOOKUP, names, row, strict=True)
        }
        for row in X.tolist()
    ]


def people(pipeline: Any) -> list[Row]:  # noqa: ANN401  # estimators have no common class
    """Draw rows for the committed pipeline: any of the labels that its encoder knows, and numbers."""
    random = np.random.default_rng(SEED)
    columns = pipeline.named_steps["columns"]
    (_, text, text_names), (_, _, number_names) = columns.transformers_[:2]
    labels = dict(zip(text_names, text[-1].categories_, strict=True))
    drawn = {name: random.choice(labels[name], size=ROWS) for name in text_names}
    drawn |= {name: random.integers(100, size=ROWS).astype(float) for name in number_names}
    names = list(pipeline.feature_names_in_)
    return [dict(zip(names, row, strict=True)) for row in zip(*(drawn[name].tolist() for name in names), strict=True)]


def matrix(model: Any, rows: list[Row]) -> Any:  # noqa: ANN401  # a DataFrame, or an array
    """Give rows as the estimator itself takes them."""
    if hasattr(model, "feature_names_in_"):
        return pd.DataFrame(rows, columns=model.feature_names_in_)
    codes = [
        [each[row[name]] if isinstance(each, Mapping) else row[name] for name, each in LOOKUP.items()] for row in rows
    ]
    return np.array(codes, dtype=float)
