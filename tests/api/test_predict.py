"""`POST /api/predict`: rows in, labelled numbers out."""

import json
import re

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier
from werkzeug.test import Client

from tests.api.estimators import ARRAY, BINARY, COUNTS, NUMBER, TEXT
from tests.api.moody import Moody
from tests.api.serving import EXAMPLES, GOOD, check_headers, post, predict, problem, serve, serve_folder

LABELS = ["notCaughtProb", "caughtProb"]


def test_the_readmes_request_is_answered(crime: Client) -> None:
    """One object in, one object out: the probabilities under their labels, which are one together."""
    answer = predict(crime, {"force": "Thames Valley Police", "crime": "Bicycle theft", "month": 10})
    assert list(answer) == LABELS
    assert sum(answer.values()) == pytest.approx(1)


def test_an_array_is_answered_in_its_order(crime: Client) -> None:
    """An array of objects gives an array in the same order."""
    rows = [GOOD | {"month": month, "crime": crime_} for month in (1, 12, 6) for crime_ in ("Drugs", "Burglary")]
    assert predict(crime, rows) == [predict(crime, row) for row in rows]
    assert predict(crime, rows[::-1]) == predict(crime, rows)[::-1]


def test_an_array_of_one_is_answered_by_an_array(crime: Client) -> None:
    """An array of one object gives an array of one answer."""
    assert predict(crime, [GOOD]) == [predict(crime, GOOD)]


def test_the_order_of_fields_means_nothing(crime: Client) -> None:
    """Fields go by their names, whatever their order."""
    assert predict(crime, dict(reversed(GOOD.items()))) == predict(crime, GOOD)


@pytest.mark.parametrize("month", ["6", "6.0", "6e0", "0.6E+1"])
def test_integers_may_be_written_in_any_way(crime: Client, month: str) -> None:
    """6 and 6.0 are the same integer, as JSON Schema has it."""
    body = json.dumps(GOOD).replace(": 6,", f": {month},")
    assert post(crime, body).json == predict(crime, GOOD)


def test_a_regressor_answers_by_label(wine: Client) -> None:
    """A regressor gives a number under its label."""
    document = wine.get("/openapi.json").json
    assert document is not None
    content = document["paths"]["/api/predict"]["post"]["requestBody"]["content"]["application/json"]
    answer = predict(wine, content["examples"]["one row"]["value"])
    assert list(answer) == ["alcohol"]
    assert 10 < answer["alcohol"] < 16


def test_a_text_is_taken_as_it_is(reviews: Client) -> None:
    """A free text is what the model gets, empty or in any script."""
    for text in ("The kettle is awful.", "", "好", "\U0001f600", "a" * 50_000, "\x00\n"):
        assert list(predict(reviews, {"review": text})) == ["negative", "positive"]


def test_missing_values_may_be_null_where_the_model_provides_for_them(adult: Client, crime: Client) -> None:
    """`null` is taken where an imputer waits for it, and nowhere else."""
    document = adult.get("/openapi.json").json
    assert document is not None
    properties = document["components"]["schemas"]["Input"]["properties"]
    assert all("null" in schema["type"] for schema in properties.values())
    row = dict.fromkeys(properties)
    assert sum(predict(adult, row).values()) == pytest.approx(1)
    assert problem(post(crime, json.dumps(GOOD | {"month": None})), 422)["errors"][0]["code"] == "wrong_type"


@pytest.mark.parametrize(
    ("labels", "value", "code"),
    [
        pytest.param({1: 0.0, 2: 1.0, 3: 2.0}, 1, 0.0, id="an integer"),
        pytest.param({1: 0.0, 2: 1.0, 3: 2.0}, 2.0, 1.0, id="an integer written as a fraction"),
        pytest.param({True: 0.0, False: 1.0}, True, 0.0, id="a boolean"),
        pytest.param({"1": 0.0, 1: 1.0, False: 2.0}, 1, 1.0, id="an integer beside its text"),
        pytest.param({"1": 0.0, 1: 1.0, False: 2.0}, "1", 0.0, id="a text beside its integer"),
        pytest.param({"": 0.0, " ": 1.0}, "", 0.0, id="an empty text"),
        pytest.param({np.int64(4): 0.0, np.str_("x"): 1.0, np.bool_(True): 2.0}, 4, 0.0, id="numpy's integer"),
        pytest.param({np.int64(4): 0.0, np.str_("x"): 1.0, np.bool_(True): 2.0}, True, 2.0, id="numpy's boolean"),
        pytest.param({"é": 0.0, "e\u0301": 1.0}, "e\u0301", 1.0, id="one normal form of two"),
    ],
)
def test_labels_are_of_any_type(labels: dict[object, float], value: object, code: float) -> None:
    """A label stands for its code, equal only in type and value."""
    client = serve(Moody(), lookup={"a": labels})
    assert predict(client, {"a": value}) == {"prediction": code}


@pytest.mark.parametrize(
    ("labels", "value"),
    [
        pytest.param({1: 0.0, 0: 1.0}, True, id="true is not 1"),
        pytest.param({1: 0.0, 0: 1.0}, "1", id="a text is no integer"),
        pytest.param({1: 0.0, 0: 1.0}, 1.5, id="a fraction is no integer"),
        pytest.param({True: 0.0, False: 1.0}, 1, id="1 is not true"),
        pytest.param({True: 0.0, False: 1.0}, 1.0, id="1.0 is not true"),
        pytest.param({True: 0.0, False: 1.0}, "true", id="a text is no boolean"),
        pytest.param({"1": 0.0, "2": 1.0}, 1, id="an integer is no text"),
        pytest.param({"é": 0.0, "x": 1.0}, "e\u0301", id="another normal form"),
    ],
)
def test_labels_of_another_type_are_refused(labels: dict[object, float], value: object) -> None:
    """What only looks like a label is refused."""
    problem(post(serve(Moody(), lookup={"a": labels}), json.dumps({"a": value})), 422)


@pytest.mark.parametrize("name", ["bruises?", "a b", "a/b", "~", "größe", "__class__", "constructor", "x" * 300])
def test_parameters_have_any_name(name: str) -> None:
    """A parameter's name is any text that is not empty."""
    client = serve(Moody(), lookup={name: 0})
    assert predict(client, {name: 2.5}) == {"prediction": 2.5}
    assert problem(post(client, "{}"), 422)["errors"][0]["pointer"].startswith("/")


def test_a_default_makes_a_parameter_optional() -> None:
    """A field that has a default may be left out; null is not the same as left out."""
    fragment = {"type": ["integer", "null"], "default": 3, "minimum": 1, "maximum": 5}
    client = serve(DecisionTreeClassifier().fit(COUNTS, TEXT), metadata={"parameters": {"x1": fragment}})
    rest = {"x0": 1, "x2": 2}
    assert predict(client, rest) == predict(client, rest | {"x1": 3})
    assert predict(client, rest | {"x1": None})
    problem(post(client, json.dumps(rest | {"x1": 6})), 422)


@pytest.mark.parametrize(
    ("fragment", "good", "bad"),
    [
        pytest.param({"type": "integer"}, 2**53 - 1, 2**53, id="integers are safe ones"),
        pytest.param({"type": "integer", "multipleOf": 5}, -10, 12, id="multiples"),
        pytest.param({"minimum": 0.5, "maximum": 0.75}, 0.75, 0.7500000000000001, id="bounds are included"),
        pytest.param({"multipleOf": 3}, 9.0, 9.5, id="numbers that are multiples"),
        pytest.param({"minimum": -1e300}, -1e300, -1.1e300, id="large bounds"),
    ],
)
def test_metadata_refine_numbers(fragment: dict[str, object], good: float, bad: float) -> None:
    """What the metadata say of a number holds, to the last bit."""
    client = serve(Moody(), metadata={"parameters": {"x0": fragment}})
    assert predict(client, {"x0": good}) == {"prediction": float(good)}
    problem(post(client, json.dumps({"x0": bad})), 422)


def test_numbers_are_bounded_to_what_the_estimator_takes() -> None:
    """Trees take what float32 holds: the schema says so, and more is refused."""
    client = serve(DecisionTreeClassifier().fit(ARRAY, BINARY))
    row = dict.fromkeys(("x0", "x1", "x2", "x3"), 1.0)
    assert predict(client, row | {"x0": 3.4e38})
    assert problem(post(client, json.dumps(row | {"x0": 3.5e38})), 422)["errors"][0]["code"] == "out_of_range"


def test_unknown_fields_may_be_ignored() -> None:
    """With the setting, fields that the signature does not name are passed over."""
    client = serve(Moody(), unknown_fields="ignore")
    assert predict(client, {"x0": 1, "id": "a", "": None}) == {"prediction": 1.0}
    problem(post(client, json.dumps({"id": "a"})), 422)


def test_unknown_labels_may_be_accepted(adult: Client) -> None:
    """With the setting, labels that the fitted encoder itself takes are accepted, and the schema says so."""
    document = adult.get("/openapi.json").json
    assert document is not None
    row = dict.fromkeys(document["components"]["schemas"]["Input"]["properties"])
    problem(post(adult, json.dumps(row | {"education": "Kindergarten"})), 422)
    client = serve_folder(EXAMPLES["adult"], unknown_labels="accept")
    assert predict(client, row | {"education": "Kindergarten"})
    opened = client.get("/openapi.json").json
    assert opened is not None
    assert "enum" not in opened["components"]["schemas"]["Input"]["properties"]["education"]


def test_a_threshold_decides_the_prediction() -> None:
    """The second label is predicted where its probability reaches the metadata's threshold."""
    estimator = LogisticRegression().fit(ARRAY, BINARY)
    row = dict(zip(("x0", "x1", "x2", "x3"), ARRAY[0].tolist(), strict=True))
    second = estimator.predict_proba(ARRAY[:1])[0, 1]
    for threshold, wanted in ((second, "yes"), (np.nextafter(second, 2), "no"), (0, "yes"), (1, "no")):
        client = serve(estimator, labels=["no", "yes"], metadata={"threshold": float(threshold)})
        assert predict(client, row, "/api/predict?detail=full")["prediction"] == wanted


def test_a_classifier_without_probabilities_predicts() -> None:
    """Without probabilities the answer is the name of the class."""
    client = serve(LinearSVC().fit(ARRAY, TEXT))
    assert predict(client, dict.fromkeys(("x0", "x1", "x2", "x3"), 0)) in [{"prediction": label} for label in set(TEXT)]


def test_every_answer_says_who_and_how_long(crime: Client) -> None:
    """An answer carries its id, the model's name and version, and how long parse, queue and model took."""
    response = post(crime, json.dumps(GOOD), X_Request_ID="order:17")
    check_headers(response)
    assert response.headers["X-Request-ID"] == "order:17"
    assert response.headers["X-Model-Name"] == "crime"
    assert response.headers["X-Model-Version"] == "1"
    assert re.findall(r"(\w+);dur=", response.headers["Server-Timing"]) == ["queue", "parse", "model", "total"]
    assert "Preference-Applied" not in response.headers


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("wine 2", "wine 2"),
        ("größe", "gr%C3%B6%C3%9Fe"),
        ("a\r\nb", "a%0D%0Ab"),
        ("100%", "100%25"),
        ("“x”", "%E2%80%9Cx%E2%80%9D"),
    ],
    ids=["plain", "letters", "line break", "percent", "quotes"],
)
def test_any_name_fits_into_a_header(name: str, header: str) -> None:
    """A model's name is percent-encoded where a header cannot hold it."""
    client = serve(Moody(), metadata={"name": name, "version": "2.0 β"})
    response = client.get("/api/info")
    assert response.headers["X-Model-Name"] == header
    assert response.headers["X-Model-Version"] == "2.0 %CE%B2"
    assert response.json is not None
    assert response.json["model"]["name"] == name


def test_ids_are_given_where_there_is_none(crime: Client) -> None:
    """A request without an id gets a new one, each another."""
    ids = {post(crime, json.dumps(GOOD)).headers["X-Request-ID"] for _ in range(50)}
    assert len(ids) == 50


def test_applications_do_not_share_state() -> None:
    """Every application is a fresh one: two models side by side do not know each other."""
    one, two = serve(Moody(), metadata={"name": "one"}), serve(DecisionTreeClassifier().fit(ARRAY[:, :1], NUMBER > 0))
    assert predict(one, {"x0": 1}) == {"prediction": 1.0}
    assert set(predict(two, {"x0": 1})) == {"false", "true"}
    assert "brinery_predictions_total{" not in serve(Moody()).get("/metrics").text
