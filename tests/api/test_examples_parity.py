"""The examples' answers are their estimators' own, to the last bit."""

import json
import random
from functools import cache
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from werkzeug.test import Client

from tests.api.rows import draw_row
from tests.api.serving import EXAMPLES, REPOSITORY, predict

ROWS = 1_000
SINGLES = 200
CENSUS = REPOSITORY.parent / "shared" / "data" / "adult_train.csv"


@cache
def unpickled(folder: Path, name: str) -> Any:
    """Load a file of a bundle, without the server; None if it is not there."""
    path = folder / name
    return joblib.load(path) if path.exists() else None


def random_rows(client: Client, seed: int) -> list[dict[str, Any]]:
    """Draw rows from the published schema."""
    document: Any = client.get("/openapi.json").json
    rng = random.Random(seed)
    return [draw_row(document["components"]["schemas"]["Input"], rng) for _ in range(ROWS)]


def own_answers(name: str, rows: list[dict[str, Any]]) -> list[dict[str, float]]:
    """Ask the example's estimator itself: codes by the lookup, in a form that it was fitted on, names by the labels."""
    folder = EXAMPLES[name]
    estimator, lookup, labels = (unpickled(folder, f"{part}.pkl") for part in ("model", "lookup", "labels"))
    lookup = lookup or {}
    if name == "reviews":
        X: Any = [row["review"] for row in rows]
    else:
        coded = [
            {key: lookup[key][value] if isinstance(lookup.get(key), dict) else value for key, value in row.items()}
            for row in rows
        ]
        X = pd.DataFrame(coded, columns=list(estimator.feature_names_in_))
        X = X.astype({column: "float64" for column in X if X[column].dtype == int})
        texts = [column for column in X if not pd.api.types.is_numeric_dtype(X[column])]
        X = X.astype(dict.fromkeys(texts, object))
        X[texts] = X[texts].where(X[texts].notna(), np.nan)
    if name == "wine":
        return [{labels[0]: float(value)} for value in estimator.predict(X)]
    names = labels or estimator.classes_.tolist()
    return [dict(zip(names, map(float, row), strict=True)) for row in estimator.predict_proba(X)]


@cache
def own_answer(name: str, row: str) -> str:
    """Ask it for one row alone, in JSON; once, whichever the front."""
    return json.dumps(own_answers(name, [json.loads(row)])[0])


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_random_rows_give_the_estimators_own_numbers(name: str, request: pytest.FixtureRequest) -> None:
    """A thousand rows that the schema accepts, as one batch and as batches of several sizes, answer to the last bit."""
    client: Client = request.getfixturevalue(name)
    rows = random_rows(client, 1)
    assert json.dumps(predict(client, rows)) == json.dumps(own_answers(name, rows))
    start = 0
    for size in (1, 2, 7, 90, 400):
        some = rows[start : start + size]
        assert json.dumps(predict(client, some)) == json.dumps(own_answers(name, some))
        start += size


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_single_rows_give_the_estimators_own_numbers(name: str, request: pytest.FixtureRequest) -> None:
    """A row posted alone is answered as the estimator answers that row alone."""
    check_singles(name, request.getfixturevalue(name), SINGLES)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_every_single_row_gives_the_estimators_own_numbers(name: str, request: pytest.FixtureRequest) -> None:
    """A thousand rows, each posted alone, are answered as the estimator answers each alone."""
    check_singles(name, request.getfixturevalue(name), ROWS)


def check_singles(name: str, client: Client, count: int) -> None:
    """Post rows one by one."""
    for row in random_rows(client, 2)[:count]:
        assert json.dumps(predict(client, row)) == own_answer(name, json.dumps(row))


def test_every_label_of_the_lookups_is_taken(example: Client) -> None:
    """Each label that the list of parameters names is accepted, in every row of one batch."""
    listed: Any = example.get("/api/predict/params").json
    base = random_rows(example, 3)[0]
    rows = [base | {name: value} for name, values in listed.items() if isinstance(values, list) for value in values]
    if rows:
        assert len(predict(example, rows)) == len(rows)


@pytest.mark.skipif(not CENSUS.exists(), reason="the census' data are not beside the repository")
def test_rows_of_the_real_table_give_the_pipelines_own_numbers(adult: Client) -> None:
    """Rows of the file that the pipeline learned from, sent as JSON, answer as the pipeline does for the DataFrame."""
    table = pd.read_csv(CENSUS, na_values="?", skipinitialspace=True).drop(columns="target")
    table = table.sample(3_000, random_state=1)
    assert table.isna().any(axis=None)
    pipeline = joblib.load(EXAMPLES["adult"] / "model.pkl")
    frame = table.astype({name: "float64" if pd.api.types.is_numeric_dtype(table[name]) else object for name in table})
    wanted = pipeline.predict_proba(frame.where(frame.notna(), np.nan))
    records = json.loads(table.to_json(orient="records"))
    answers = predict(adult, records)
    assert [[answer["<=50K"], answer[">50K"]] for answer in answers] == wanted.tolist()
    assert predict(adult, records[0]) == answers[0]
