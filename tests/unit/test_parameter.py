"""One parameter: what it takes, as which code, and why not."""

import math
from typing import Any

import pytest

from server.parameter import (
    MAX_SAFE_INTEGER,
    REFUSED,
    SUGGESTION_CUT,
    Kind,
    NoCode,
    Parameter,
    closest,
    cut,
    json_type,
)
from tests.models import boolean, category, integer, number, text

FLOAT32 = 3.4028234663852886e38
MIXED = category(labels=(1, True, "1", "true"), codes=("one", "yes", "text one", "text true"))


@pytest.mark.parametrize(
    ("parameter", "value", "code"),
    [
        pytest.param(category(), "green", 1, id="label"),
        pytest.param(category(), "Green", REFUSED, id="case of a label"),
        pytest.param(category(), 0, REFUSED, id="code instead of a label"),
        pytest.param(category(), None, REFUSED, id="null"),
        pytest.param(category(), ["red"], REFUSED, id="array"),
        pytest.param(category(), {}, REFUSED, id="object"),
        pytest.param(category(nullable=True, null_code=-1), None, -1, id="nullable"),
        pytest.param(MIXED, 1, "one", id="integer label"),
        pytest.param(MIXED, 1.0, "one", id="integer label as a double"),
        pytest.param(MIXED, True, "yes", id="boolean label"),
        pytest.param(MIXED, "1", "text one", id="text of digits"),
        pytest.param(MIXED, "true", "text true", id="text of a boolean"),
        pytest.param(MIXED, False, REFUSED, id="boolean that is no label"),
        pytest.param(MIXED, 0, REFUSED, id="integer that is no label"),
        pytest.param(MIXED, [], REFUSED, id="array where labels are mixed"),
        pytest.param(category(labels=(0, 1)), True, REFUSED, id="true is not 1"),
        pytest.param(category(labels=(False, True)), 1, REFUSED, id="1 is not true"),
        pytest.param(category(open=True), "blue", "blue", id="open to texts"),
        pytest.param(category(open=True), "red", 0, id="open, a label"),
        pytest.param(category(open=True), 5, REFUSED, id="open to texts only"),
        pytest.param(category(labels=(3, 4), open=True), 7.0, 7, id="open to integers"),
        pytest.param(category(labels=(3, 4), open=True), 4, 1, id="open, an integer label"),
        pytest.param(category(labels=(3, 4), open=True), 7.5, REFUSED, id="open, no integer"),
        pytest.param(category(labels=(3, 4), open=True), 2.0**53, REFUSED, id="open, no safe integer"),
        pytest.param(category(labels=(3, 4), open=True), "3", REFUSED, id="open to integers only"),
        pytest.param(number(), 6, 6.0, id="number"),
        pytest.param(number(), True, REFUSED, id="true is no number"),
        pytest.param(number(), "6", REFUSED, id="text is no number"),
        pytest.param(number(), None, REFUSED, id="null is no number"),
        pytest.param(number(minimum=0, maximum=1), 0, 0.0, id="minimum"),
        pytest.param(number(minimum=0, maximum=1), 1.0, 1.0, id="maximum"),
        pytest.param(number(minimum=0, maximum=1), -1e-9, REFUSED, id="below"),
        pytest.param(number(minimum=0, maximum=1), 1.0000001, REFUSED, id="above"),
        pytest.param(number(multiple_of=5), -10.0, -10.0, id="multiple"),
        pytest.param(number(multiple_of=5), 7, REFUSED, id="no multiple"),
        pytest.param(number(multiple_of=3), 10**20 - 1, 1e20, id="large multiple"),
        pytest.param(number(multiple_of=3), 10**20, REFUSED, id="no large multiple"),
        pytest.param(number(maximum=FLOAT32), int(FLOAT32), FLOAT32, id="large maximum"),
        pytest.param(number(maximum=FLOAT32), int(FLOAT32) + 1, REFUSED, id="above, by less than a double can say"),
        pytest.param(integer(), 6.0, 6.0, id="whole double"),
        pytest.param(integer(), 6.5, REFUSED, id="fraction"),
        pytest.param(integer(maximum=MAX_SAFE_INTEGER), MAX_SAFE_INTEGER, float(MAX_SAFE_INTEGER), id="safe"),
        pytest.param(integer(maximum=MAX_SAFE_INTEGER), MAX_SAFE_INTEGER + 1, REFUSED, id="unsafe"),
        pytest.param(boolean(), True, True, id="true"),
        pytest.param(boolean(), 1, REFUSED, id="1 is no boolean"),
        pytest.param(text(), "", "", id="empty text"),
        pytest.param(text(), 1, REFUSED, id="number is no text"),
        pytest.param(text(min_length=1), "", REFUSED, id="too short"),
        pytest.param(text(max_length=2), "\N{GRINNING FACE}" * 2, "\N{GRINNING FACE}" * 2, id="code points count"),
        pytest.param(text(max_length=2), "abc", REFUSED, id="too long"),
    ],
)
def test_encode(parameter: Parameter, value: object, code: object) -> None:
    """A value that is taken becomes its code, of that type; any other is refused."""
    encoded = parameter.encoder()(value)
    assert encoded == code
    assert type(encoded) is type(code)


def test_null_is_nan_unless_said() -> None:
    """The code of null is NaN where the estimator has no other."""
    assert math.isnan(number(nullable=True).encoder()(None))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("parameter", "example"),
    [
        pytest.param(category(), "red", id="first label"),
        pytest.param(category(default="green"), "green", id="default"),
        pytest.param(category(default="green", examples=("red",)), "red", id="metadata's example"),
        pytest.param(number(nullable=True, default=None), 0, id="not null"),
        pytest.param(boolean(), False, id="boolean"),
        pytest.param(text(), "text", id="text"),
        pytest.param(text(max_length=2), "te", id="short text"),
        pytest.param(text(min_length=6), "text..", id="long text"),
        pytest.param(text(max_length=0), "", id="no text"),
        pytest.param(number(), 0, id="number"),
        pytest.param(number(minimum=2.5), 2.5, id="minimum"),
        pytest.param(number(maximum=-3), -3, id="maximum"),
        pytest.param(number(minimum=7, multiple_of=5), 10, id="multiple above"),
        pytest.param(number(maximum=-7, multiple_of=5), -10, id="multiple below"),
        pytest.param(integer(minimum=1.5), 2, id="integer"),
    ],
)
def test_example(parameter: Parameter, example: object) -> None:
    """The example is the metadata's, the default, or the plainest value that is accepted."""
    assert parameter.example() == example
    assert parameter.encoder()(example) is not REFUSED


@pytest.mark.parametrize("low", [1e19, 1e20, 2**70], ids=str)
def test_example_of_large_numbers(low: float) -> None:
    """Beyond what JSON writers take as an integer, an example is a double."""
    example = number(minimum=low, multiple_of=2).example()
    assert isinstance(example, float)
    assert example >= low


@pytest.mark.parametrize(
    ("parameter", "value", "code", "detail"),
    [
        pytest.param(category(), "blue", "not_allowed", "c must be one of its 2 labels.", id="label"),
        pytest.param(category(), 1, "wrong_type", "c must be one of its 2 labels; got a number.", id="number"),
        pytest.param(
            category(nullable=True), [], "wrong_type", "c must be one of its 2 labels or null; got an array.", id="list"
        ),
        pytest.param(category(labels=(1, 2)), 3.0, "not_allowed", "c must be one of its 2 labels.", id="double"),
        pytest.param(
            category(labels=(1, 2)), True, "wrong_type", "c must be one of its 2 labels; got true or false.", id="true"
        ),
        pytest.param(number(), "6", "wrong_type", "n must be a number; got a text.", id="text for a number"),
        pytest.param(number(), None, "wrong_type", "n must be a number; got null.", id="null for a number"),
        pytest.param(number(minimum=0, maximum=1), 2, "out_of_range", "n must be a number from 0 to 1.", id="range"),
        pytest.param(number(minimum=0), -2, "out_of_range", "n must be a number of at least 0.", id="minimum"),
        pytest.param(number(maximum=0), 2, "out_of_range", "n must be a number of at most 0.", id="maximum"),
        pytest.param(
            number(maximum=3e38), 1e300, "out_of_range", "n must be a number of at most 3e+38.", id="format's own bound"
        ),
        pytest.param(
            number(multiple_of=5), 7, "not_multiple", "n must be a number that is a multiple of 5.", id="multiple"
        ),
        pytest.param(number(), math.inf, "out_of_range", "n must be a number, and finite.", id="infinite"),
        pytest.param(
            category(),
            NoCode(7),
            "wrong_type",
            "c must be one of its 2 labels; got a number that is no label's code.",
            id="no code",
        ),
        pytest.param(integer(), 6.5, "wrong_type", "i must be an integer; got a fraction.", id="fraction"),
        pytest.param(
            integer(nullable=True, minimum=1, maximum=9),
            10,
            "out_of_range",
            "i must be an integer from 1 to 9 or null.",
            id="integer's range",
        ),
        pytest.param(boolean(), 1, "wrong_type", "b must be true or false; got a number.", id="1 for true"),
        pytest.param(text(min_length=1), "", "wrong_length", "t must be a text of at least 1 characters.", id="short"),
        pytest.param(text(max_length=1), {}, "wrong_type", "t must be a text of at most 1 characters; got an object.",
                     id="object for a text"),
    ],
)  # fmt: skip
def test_explain(parameter: Parameter, value: object, code: str, detail: str) -> None:
    """What is refused is explained by a code and a sentence that says what was expected, without the value."""
    assert parameter.encoder()(value) is REFUSED
    error = parameter.explain(value, "/x", hints=True)
    assert (error.pointer, error.code, error.detail) == ("/x", code, detail)


def test_hints() -> None:
    """Where hints are wanted, all labels are told and the likeliest one."""
    parameter = category(labels=("Kent Police", "Essex Police"))
    error = parameter.explain("kent polce", "", hints=True)
    assert (error.allowed, error.did_you_mean) == (("Kent Police", "Essex Police"), "Kent Police")
    error = parameter.explain("kent polce", "", hints=False)
    assert (error.allowed, error.did_you_mean) == ((), None)
    assert parameter.explain(5, "", hints=True).allowed == parameter.labels


@pytest.mark.parametrize(
    ("value", "candidates", "expected"),
    [
        pytest.param("Kent", ["Kent"], "Kent", id="same"),
        pytest.param("  KENT ", ["Kent"], "Kent", id="case and space"),
        pytest.param("zzz", ["Kent"], None, id="nothing near"),
        pytest.param(5, ["Kent"], None, id="no text"),
        pytest.param("K" * 64, ["K" * 63], None, id="long text"),
        pytest.param("K" * 63, ["K" * 64], None, id="long candidate"),
        pytest.param("5", [5, True], None, id="no texts"),
        pytest.param("a1", [f"a{n}" for n in range(SUGGESTION_CUT + 1)], None, id="many candidates"),
        pytest.param("", ["Kent"], None, id="empty"),
        pytest.param("met", ["Kent Police", "Metropolitan Police Service"], "Metropolitan Police Service", id="start"),
        pytest.param("me", ["Metropolitan Police Service"], None, id="short start"),
        pytest.param("Kent", [], None, id="no candidates"),
    ],
)
def test_closest(value: object, candidates: list[Any], expected: str | None) -> None:
    """The nearest text is found where there is one, and where the search is cheap."""
    assert closest(value, candidates) == expected


def test_cut() -> None:
    """A name of up to 64 characters stays as it is; a longer one ends in an ellipsis there."""
    assert cut("x" * 64) == "x" * 64
    assert cut("x" * 65) == "x" * 63 + "…"
    assert cut(5) == "5"


@pytest.mark.parametrize(
    ("value", "phrase"),
    [(None, "null"), (True, "true or false"), (1, "a number"), (1.5, "a number"), ("", "a text"), ([], "an array"),
     ({}, "an object")],
    ids=repr,
)  # fmt: skip
def test_json_type(value: object, phrase: str) -> None:
    """Each type of JSON has a phrase."""
    assert json_type(value) == phrase


@pytest.mark.parametrize(
    ("labels", "expected"),
    [(("a", "b"), str), ((1, 2), int), ((True,), bool), ((1, True), None), ((), None)],
    ids=["texts", "integers", "booleans", "mixed", "none"],
)
def test_label_type(labels: tuple[Any, ...], expected: type | None) -> None:
    """Labels have a type only if all have the same."""
    assert Parameter(name="c", kind=Kind.CATEGORY, labels=labels, codes=labels).label_type is expected
