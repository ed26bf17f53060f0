"""`GET /api/predict/params`: what can be sent, in a few words."""

import json
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier
from werkzeug.test import Client

from tests.api.moody import Moody
from tests.api.serving import EXAMPLES, post, serve


def params(client: Client) -> Any:
    """Read the list of parameters."""
    return client.get("/api/predict/params").json


@pytest.mark.parametrize("name", ["crime", "titanic", "reviews"])
def test_the_list_is_the_lookups(name: str, request: pytest.FixtureRequest) -> None:
    """Every parameter of the lookup is listed in the model's order: its labels, 0 for a number, "" for a text."""
    lookup = joblib.load(EXAMPLES[name] / "lookup.pkl")
    listed = params(request.getfixturevalue(name))
    estimator = joblib.load(EXAMPLES[name] / "model.pkl")
    if getattr(estimator, "feature_names_in_", None) is not None:
        assert list(listed) == list(estimator.feature_names_in_)
    for parameter, entry in lookup.items():
        values = listed[parameter]
        assert (values if not isinstance(values, list) else [each for each in values if each is not None]) == (
            list(entry) if isinstance(entry, dict) else entry
        )


def test_the_list_of_a_single_file_is_its_encoders(adult: Client) -> None:
    """Without a lookup the labels are the categories of the fitted encoders, and null where it may be sent."""
    columns = joblib.load(EXAMPLES["adult"] / "model.pkl").named_steps["columns"]
    names = columns.transformers_[0][2]
    encoder = columns.named_transformers_["text"][-1]
    for name, categories in zip(names, encoder.categories_, strict=True):
        assert params(adult)[name] == [*categories, None]
    assert params(adult)["age"] == 0


def test_every_kind_of_parameter() -> None:
    """Labels keep their types; true or false is `false`, a text is ""; labels come in the lookup's order."""
    lookup = {"a": {"z": 1, "b": 0, 3: 2, True: 3}, "b": 0, "c": 0.0, "d": False, "e": np.int64(0)}
    estimator = DecisionTreeClassifier().fit(np.arange(20).reshape(4, 5), [0, 1, 0, 1])
    client = serve(estimator, lookup=lookup)
    assert client.get("/api/predict/params").data == b'{"a":["z","b",3,true],"b":0,"c":0,"d":false,"e":0}'


def test_null_is_listed_where_it_may_be_sent() -> None:
    """A category that takes null lists it."""
    frame = np.array([["a"], ["b"], [None]] * 3, dtype=object)
    client = serve(make_pipeline(OneHotEncoder(), DecisionTreeClassifier()).fit(frame, [0, 1, 2] * 3))
    assert params(client) == {"x0": ["a", "b", None]}
    assert post(client, json.dumps({"x0": None})).json == {"0": 0.0, "1": 0.0, "2": 1.0}


def test_nameless_columns_are_numbered() -> None:
    """An estimator without column names and without a lookup gets x0, x1, ..."""
    client = serve(DecisionTreeClassifier().fit(np.zeros((4, 12)), [0, 1, 0, 1]))
    assert list(params(client)) == [f"x{index}" for index in range(12)]


def test_the_list_agrees_with_the_schema(example: Client) -> None:
    """Names, labels and null are those of the published schema."""
    document: Any = example.get("/openapi.json").json
    properties = document["components"]["schemas"]["Input"]["properties"]
    listed = params(example)
    assert list(listed) == list(properties)
    for name, values in listed.items():
        assert (values if isinstance(values, list) else None) == properties[name].get("enum")


def test_a_thousand_labels_are_all_listed() -> None:
    """The list has no bound of its own."""
    lookup = {"a": {f"label {index}": float(index) for index in range(3_000)}}
    client = serve(Moody(), lookup={"a": {label: code + 100 for label, code in lookup["a"].items()}})
    assert params(client)["a"] == list(lookup["a"])
    assert post(client, json.dumps({"a": "label 2999"})).json == {"prediction": 3099.0}
