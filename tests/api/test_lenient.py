"""`Prefer: handling=lenient`: one bad row does not cost the others."""

import json

import pytest
from werkzeug.test import Client

from tests.api.moody import NOT_FINITE, RAISE, Moody
from tests.api.serving import GOOD, check_document, post, predict, problem, serve

LENIENT = {"Prefer": "handling=lenient"}


def test_a_result_or_a_problem_for_each_row(crime: Client) -> None:
    """The answer has one item for each row, in the request's order."""
    rows = [GOOD, GOOD | {"month": 13}, GOOD | {"month": 12}, None, {}]
    response = post(crime, json.dumps(rows), **LENIENT)
    assert response.status_code == 200
    assert response.headers["Preference-Applied"] == "handling=lenient"
    items = response.json
    assert items is not None
    assert [item["status"] for item in items] == [200, 422, 200, 422, 422]
    assert items[0] == {"status": 200, "result": predict(crime, GOOD)}
    assert items[2] == {"status": 200, "result": predict(crime, rows[2])}
    for index in (1, 3, 4):
        assert list(items[index]) == ["status", "problem"]
        document = check_document(items[index]["problem"], 422, response.headers["X-Request-ID"])
        assert all(error["pointer"].startswith(f"/{index}") for error in document["errors"])


def test_the_problem_is_that_of_the_strict_batch(crime: Client) -> None:
    """A row's problem says what the same row alone in a batch would be told."""
    bad = {"month": 0, "force": "Kent", "crimes": "Drugs"}
    item = predict(crime, [bad], X_Request_ID="x", **LENIENT)[0]
    assert item["problem"] == problem(post(crime, json.dumps([bad]), X_Request_ID="x"), 422)


def test_without_the_preference_the_batch_is_all_or_nothing(crime: Client) -> None:
    """One bad row refuses a strict batch, and only its errors are told."""
    document = problem(post(crime, json.dumps([GOOD, GOOD | {"month": 13}])), 422)
    assert [error["pointer"] for error in document["errors"]] == ["/1/month"]


@pytest.mark.parametrize("body", [json.dumps(GOOD), json.dumps(GOOD | {"month": 13})], ids=["good", "bad"])
def test_a_single_object_is_not_a_batch(crime: Client, body: str) -> None:
    """A single object is answered as ever, and nothing says that the preference was applied."""
    lenient, strict = post(crime, body, **LENIENT), post(crime, body)
    assert lenient.status_code == strict.status_code
    assert "Preference-Applied" not in lenient.headers


def test_what_no_row_is_to_blame_for_is_still_refused(crime: Client) -> None:
    """Broken JSON, an empty array and too many rows are problems of the whole request."""
    problem(post(crime, "[{]", **LENIENT), 400)
    problem(post(crime, "[]", **LENIENT), 422)
    problem(post(crime, "[" + "0," * 10_000 + "0]", **LENIENT), 413)


def test_a_row_without_a_finite_number_is_that_rows_problem() -> None:
    """A number that is not finite costs its own row only, and is never written as null."""
    client = serve(Moody())
    rows = [{"x0": 1}, {"x0": NOT_FINITE}, {"x0": "a"}, {"x0": 2}]
    items = predict(client, rows, **LENIENT)
    assert [item["status"] for item in items] == [200, 500, 422, 200]
    assert items[3]["result"] == {"prediction": 2.0}
    assert items[1]["problem"]["type"] == "docs/errors.md#prediction-failed"
    assert problem(post(client, json.dumps(rows[:2])), 500)["type"] == "docs/errors.md#prediction-failed"


def test_an_estimator_that_raises_fails_the_request() -> None:
    """When the estimator raises, nobody knows for which row: the whole batch is a problem."""
    problem(post(serve(Moody()), json.dumps([{"x0": 1}, {"x0": RAISE}]), **LENIENT), 500)


def test_rows_are_counted_one_by_one() -> None:
    """The metrics count predicted rows and refused ones, by their problem."""
    client = serve(Moody())
    predict(client, [{"x0": 1}, {"x0": NOT_FINITE}, {"x0": "a"}, {}], **LENIENT)
    text = client.get("/metrics").text
    assert 'brinery_predictions_total{label="",output="prediction"} 1.0' in text
    assert 'brinery_rejected_total{reason="invalid-input"} 2.0' in text
    assert 'brinery_rejected_total{reason="prediction-failed"} 1.0' in text


def test_a_thousand_rows_of_which_one_is_bad(crime: Client) -> None:
    """The other 999 are answered as without it."""
    rows = [GOOD | {"month": 1 + index % 12} for index in range(1_000)]
    good = predict(crime, rows)
    rows[500] = {"month": 99}
    items = predict(crime, rows, **LENIENT)
    assert items[500]["status"] == 422
    assert [item["result"] for item in items if item["status"] == 200] == good[:500] + good[501:]


@pytest.mark.parametrize(
    ("prefer", "lenient"),
    [
        ("handling=lenient", True),
        ('Handling = "lenient"', True),
        ("wait=5, handling=lenient;x=y", True),
        ("handling=strict, handling=lenient", False),
        ("handling=strict", False),
        ("lenient", False),
        ("handling", False),
        ("handling=lenientish", False),
    ],
)
def test_preferences_as_rfc_7240_has_them(crime: Client, prefer: str, lenient: bool) -> None:
    """The first `handling` counts; what is unknown is passed over."""
    response = post(crime, json.dumps([GOOD]), Prefer=prefer)
    assert response.status_code == 200
    assert ("Preference-Applied" in response.headers) == lenient
