"""What the tests of all protocols ask: rows of the examples, what /api/predict says of them, and bad bodies."""

import json
from typing import Any, Final

from hypothesis import strategies as st
from werkzeug.test import Client, TestResponse

from tests.api.fronts import application_of
from tests.api.serving import check_headers, predict

ROWS: Final[list[dict[str, Any]]] = [
    {"month": 10, "force": "Thames Valley Police", "crime": "Bicycle theft"},
    {"month": 3, "force": "Kent Police", "crime": "Drugs"},
    {"month": 12, "force": "Essex Police", "crime": "Burglary"},
]
# What no protocol may answer with a failure of ours: any JSON, and near misses of what they read.
MEMBERS: Final = (
    "instances", "inputs", "dataframe_split", "dataframe_records", "columns", "data", "index", "parameters", "params",
    "predict_method", "month", "force", "crime", "x",
)  # fmt: skip
scalars: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["predict", "predict_proba", "Kent Police", "Drugs", "month", ""]),
    st.text(max_size=4),
)
bodies: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=4),
    max_leaves=12,
)


def example_of(client: Client) -> dict[str, Any]:
    """Give a row that the model of a client takes."""
    return dict(application_of(client).model.signature.example())


def predictions_of(client: Client, rows: list[dict[str, Any]]) -> list[Any]:
    """Give what /api/predict predicts for rows: a label, or a number; a list of them where there are several."""
    answers = predict(client, rows, "/api/predict?detail=full")
    return [_value(each["values"] if "values" in each else each["prediction"]) for each in answers]


def probabilities_of(client: Client, rows: list[dict[str, Any]]) -> list[list[float]]:
    """Give the probabilities that /api/predict gives for rows, in the order of the labels."""
    return [list(each.values()) for each in predict(client, rows)]


def _value(named: Any) -> Any:
    if not isinstance(named, dict):
        return named
    return list(named.values()) if len(named) > 1 else next(iter(named.values()))


def refused(response: TestResponse, status: int) -> dict[str, Any]:
    """See that an answer is a refusal of a protocol with this status, in JSON and with our headers; give it."""
    assert response.status_code == status, response.text
    assert response.content_type == "application/json"
    check_headers(response)
    document: dict[str, Any] = json.loads(response.data)
    return document
