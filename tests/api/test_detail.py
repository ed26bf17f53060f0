"""`detail=full`: who predicted, what, and by which numbers."""

import random

import pytest
from sklearn.tree import DecisionTreeClassifier
from werkzeug.test import Client

from tests.api.estimators import CASES
from tests.api.rows import draw_row
from tests.api.serving import GOOD, post, predict, problem, serve

FULL = "/api/predict?detail=full"


def test_the_whole_answer(crime: Client) -> None:
    """The whole answer has an id, the model, the prediction, and the probabilities of the brief one."""
    answer = predict(crime, GOOD, FULL, X_Request_ID="a-1")
    assert list(answer) == ["id", "model", "prediction", "probabilities"]
    assert answer["id"] == "a-1"
    assert answer["probabilities"] == predict(crime, GOOD)
    assert answer["prediction"] == max(answer["probabilities"], key=answer["probabilities"].__getitem__)
    info = crime.get("/api/info").json
    assert info is not None
    assert answer["model"] == {key: str(info["model"][key]) for key in ("name", "version", "digest")}
    assert answer["model"]["digest"].startswith("sha256:")
    assert answer["model"]["version"] == "1", "text; info has the number that the metadata has"


def test_each_row_has_an_id_of_its_own(crime: Client) -> None:
    """In a batch the ids are the request's with the position behind it."""
    answers = predict(crime, [GOOD] * 3, FULL, X_Request_ID="b")
    assert [answer["id"] for answer in answers] == ["b/0", "b/1", "b/2"]


def test_positions_of_a_lenient_batch_are_those_of_the_request(crime: Client) -> None:
    """A refused row keeps its position: the ids of the others are not moved."""
    items = predict(crime, [GOOD, {}, GOOD], FULL, X_Request_ID="c", Prefer="handling=lenient")
    assert [item.get("result", {}).get("id") for item in items] == ["c/0", None, "c/2"]
    assert items[2]["result"]["model"]["name"] == "crime"


def test_a_regressor_has_values(wine: Client) -> None:
    """A regressor's numbers stand in `values`."""
    document = wine.get("/openapi.json").json
    assert document is not None
    row = draw_row(document["components"]["schemas"]["Input"], random.Random(0))
    answer = predict(wine, row, FULL)
    assert list(answer) == ["id", "model", "values"]
    assert answer["values"] == predict(wine, row)


@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("linear-svc", ["prediction"]),
        ("k-means-named", ["prediction"]),
        ("isolation-forest", ["prediction"]),
        ("multi-output-logistic", ["prediction", "probabilities"]),
        ("multilabel-perceptrons", ["prediction", "probabilities"]),
        ("gaussian-mixture", ["prediction", "probabilities"]),
        ("linear-several", ["values"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_members_by_kind_of_model(name: str, members: list[str]) -> None:
    """Labels stand only inside `probabilities` and `values`; what else there is depends on the kind of model."""
    case = CASES[name]
    client = serve(case.fitted(), labels=case.labels)
    schema = client.get("/openapi.json").json["components"]["schemas"]["Input"]  # type: ignore[index]  # it is JSON
    assert list(predict(client, draw_row(schema, random.Random(1)), FULL)) == ["id", "model", *members]


def test_labels_cannot_collide_with_members() -> None:
    """Classes that are called as members of the answer are no trouble."""
    names = ["id", "model", "prediction", "probabilities", "status"]
    client = serve(DecisionTreeClassifier().fit([[0], [1], [2], [3], [4]], names))
    answer = predict(client, {"x0": 2}, FULL)
    assert answer["prediction"] == "prediction"
    assert sorted(answer["probabilities"]) == names


@pytest.mark.parametrize("query", ["detail=", "detail=FULL", "detail=full&detail=full", "detail=brief", "detail"])
def test_unknown_details_are_refused(crime: Client, query: str) -> None:
    """Any other value of `detail` is refused; the pointer names the query's parameter, and the type no label."""
    document = problem(post(crime, "not even JSON", f"/api/predict?{query}"), 422)
    assert document["type"] == "docs/errors.md#invalid-input"
    assert document["errors"] == [
        {
            "pointer": "?detail",
            "code": "not_allowed",
            "detail": "The query parameter detail must be `full`, or be left out.",
            "allowed": ["full"],
            "allowed_count": 1,
        }
    ]
