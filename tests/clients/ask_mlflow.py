"""Asks servers through MLflow's own scoring client, and its models themselves: `ask_mlflow.py ask < targets.json`.

What a target has stands in tests/live/clients.py.

`ask_mlflow.py fit FOLDER` fits models to compare with: of each, MLflow's own form and, as `bundle/model.pkl`, the same
estimator. It prints the rows to ask for.
"""

import json
import logging
import pickle
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.pyfunc.scoring_server.client import ScoringServerClient
from sklearn.base import is_classifier
from sklearn.compose import make_column_transformer
from sklearn.ensemble import GradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

ROWS = 40


def fit(folder: Path) -> dict[str, Any]:
    draw = np.random.default_rng(6)
    frame = pd.DataFrame(
        {
            "size": draw.normal(170, 12, 400).round(1),
            "city": draw.choice(["Oslo", "Rome", "Lima"], 400),
            "visits": draw.integers(0, 30, 400),
        }
    )
    price = frame["size"] * (1 + frame["visits"]) + draw.normal(0, 40, 400) + 90 * (frame["city"] == "Lima")
    kind = np.array(["cheap", "fair", "dear"])[np.digitize(price, price.quantile([0.4, 0.8]))]
    for name, last, target in (
        ("forest", RandomForestClassifier(20, random_state=1), kind),
        ("logistic", LogisticRegression(max_iter=500), np.digitize(price, [price.median()])),
        ("boosting", GradientBoostingRegressor(random_state=1), price),
    ):
        steps = make_column_transformer((OneHotEncoder(), ["city"]), (StandardScaler(), ["size", "visits"]))
        estimator = make_pipeline(steps, last).fit(frame, target)
        (folder / name / "bundle").mkdir(parents=True)
        (folder / name / "bundle" / "model.pkl").write_bytes(pickle.dumps(estimator))
        for method in ("predict", "predict_proba")[: 1 + is_classifier(estimator)]:
            mlflow.sklearn.save_model(
                estimator,
                folder / name / method,
                pyfunc_predict_fn=method,
                serialization_format="cloudpickle",
                pip_requirements=["scikit-learn"],
            )
    return {"rows": frame[:ROWS].to_dict("records")}


def outcome(act: Callable[[], Any]) -> Any:
    """Give what an act gives, or what the client raised."""
    try:
        return act()
    except Exception as error:  # the client's own has no class of its own
        found = re.search(r"error code (\d+), response: (.*)\)$", str(error), re.DOTALL)
        return {"status": int(found[1]) if found else None, "message": found[2] if found else repr(error)}


def acts(target: dict[str, Any]) -> dict[str, Callable[[], Any]]:
    client = ScoringServerClient(*target["url"].split(":"))  # type: ignore[no-untyped-call]
    rows, numbers = target["rows"], target["numbers"]
    # As frames are made by people: null stays what it is where a column holds it.
    frame = pd.DataFrame(rows, dtype=object)

    def invoke(data: Any, params: dict[str, Any] | None = None) -> Callable[[], Any]:
        return lambda: client.invoke(data, params)["predictions"]

    def document(**members: object) -> Callable[[], Any]:
        return invoke(json.dumps(members))

    def pyfunc(method: str) -> Callable[[], Any]:
        saved = Path(target["saved"]) / method
        return lambda: mlflow.pyfunc.load_model(str(saved)).predict(pd.DataFrame(rows)).tolist()

    listed = frame.to_numpy().tolist()
    todo: dict[str, Callable[[], Any]] = {
        "ping": client.ping,
        "version": client.get_version,
        "row: frame": invoke(frame[:1]),
        "rows: frame": invoke(frame),
        "rows: frame, the columns in another order": invoke(frame[frame.columns[::-1]]),
        "rows: records": document(dataframe_records=rows),
        "rows: lists": invoke(listed),
        "rows: columns": document(inputs=frame.to_dict("list")),
        "rows: instances": document(instances=rows),
        "proba: frame": invoke(frame, {"predict_method": "predict_proba"}),
        "rows: read as a frame": lambda: client.invoke(frame).get_predictions().to_numpy().ravel().tolist(),
        "refused: a column is missing": invoke(frame[frame.columns[1:]]),
        "refused: a column too many": invoke(frame.assign(other=1)),
        "refused: no row": invoke(frame[:0]),
        "refused: ragged lists": invoke([*listed, listed[0][1:]]),
        "refused: no rows at all": document(other=1),
        "refused: not JSON": invoke("{"),
        "refused: an unknown method": invoke(frame, {"predict_method": "other"}),
    }
    if target["labelled"]:
        todo["refused: a label is unknown"] = invoke(frame.assign(**{target["labelled"]: "no such label"}))
    if target["nulls"]:
        todo["nulls: frame"] = invoke(pd.DataFrame(target["nulls"], dtype=object))
        todo["nulls: frame with NaN"] = invoke(pd.DataFrame(target["nulls"]))
        todo["nulls: records"] = document(dataframe_records=target["nulls"])
    if numbers:
        todo["rows: matrix"] = invoke(np.array(numbers, float))
    if target["saved"]:
        todo |= {f"pyfunc: {each.name}": pyfunc(each.name) for each in Path(target["saved"]).glob("predict*")}
    return todo


logging.disable()  # MLflow says at length what it thinks of pickles
if sys.argv[1] == "fit":
    told = fit(Path(sys.argv[2]))
else:
    told = {
        target["name"]: {name: outcome(act) for name, act in acts(target).items()} for target in json.load(sys.stdin)
    }
json.dump(told, sys.stdout)
