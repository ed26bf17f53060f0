"""Golden requests: what is drawn, what is read, and which answers are the same."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import BundleError, PredictionError
from server.golden import MAX_REQUESTS, Case, Golden, check_golden, draw_requests, read_golden, write_golden
from server.parameter import Kind, Parameter
from server.signature import Signature
from tests.models import boolean, category, integer, number, text

ANSWER = {"no": 0.25, "yes": 0.75}


def refusal(answer: object, found: object, *, exact: bool, versions: dict[str, str] | None = None) -> str:
    """Check one request whose answer differs; give what is said."""
    golden = Golden((Case({"n": 1}, answer),), versions or {})
    with pytest.raises(BundleError) as caught:
        check_golden(golden, lambda _: found, exact=exact, made_by="1.2.3")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def passes(answer: object, found: object, *, exact: bool) -> None:
    """Check one request whose answer is the same."""
    check_golden(Golden((Case({"n": 1}, answer),)), lambda _: found, exact=exact)


PARAMETERS: tuple[Parameter, ...] = (
    number("free"),
    number("bounded", minimum=-2.5, maximum=7.0),
    number("huge", minimum=-1.7976931348623157e308, maximum=1.7976931348623157e308),
    integer("whole", minimum=1, maximum=12),
    integer("even", minimum=-10, maximum=10, multiple_of=2),
    number("nullable", nullable=True),
    number("optional", default=3),
    boolean("flag"),
    category("colour", ("red", "green", "blue")),
    category("size", (1, 2, True), nullable=True),
    text("word", min_length=2, max_length=5),
)


def test_edges_are_drawn() -> None:
    """The example comes first; each label, bound, null and absence comes up; and all is accepted, always the same."""
    requests = draw_requests(PARAMETERS, 50)
    signature = Signature(PARAMETERS)
    assert requests == draw_requests(PARAMETERS, 50)
    assert requests[0] == signature.example()
    assert len(requests) == 50
    for request in requests:
        signature.parse(json.loads(json.dumps(request)))

    def values(name: str) -> list[Any]:
        return [request[name] for request in requests if name in request]

    assert {-2.5, 7.0} <= set(values("bounded"))
    assert set(values("whole")) == set(range(1, 13))
    assert {-10, 0, 10} <= set(values("even")) <= set(range(-10, 11, 2))
    assert {type(value) for value in values("whole")} == {int}
    assert {repr(value) for value in values("size")} == {"1", "2", "True", "None"}
    assert set(values("colour")) == {"red", "green", "blue"}
    assert set(values("flag")) == {True, False}
    assert None in values("nullable")
    assert 0 < len(values("optional")) < 50
    assert {len(value) for value in values("word")} >= {2, 5}
    assert max(values("huge")) < 1e9


def test_more_labels_than_requests() -> None:
    """As many labels as there is room for come up, and no request twice."""
    requests = draw_requests([category("label", [f"label {number}" for number in range(500)])], 50)
    assert len({request["label"] for request in requests}) == len(requests) == 50
    assert draw_requests([category("label", ("a", "b"))], 50) == [{"label": "a"}, {"label": "b"}]


@given(
    st.lists(
        st.builds(
            lambda kind, name, nullable: Parameter(name=name, kind=kind, nullable=nullable, labels=("a",), codes=(0,)),
            st.sampled_from(Kind),
            st.text(min_size=1, max_size=3),
            st.booleans(),
        ),
        min_size=1,
        max_size=4,
        unique_by=lambda each: each.name,
    ),
    st.integers(1, 60),
)
def test_every_request_is_accepted(parameters: list[Parameter], count: int) -> None:
    """Whatever the signature, what is drawn is accepted."""
    requests = draw_requests(parameters, count)
    assert 1 <= len(requests) <= count
    for request in requests:
        Signature(tuple(parameters)).parse(request)


@given(st.lists(st.tuples(st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False)))))
def test_what_is_written_is_read(answers: list[tuple[dict[str, float]]]) -> None:
    """Every text and every double comes back as it was."""
    golden = Golden(tuple(Case({"n": 1}, answer) for (answer,) in answers[:MAX_REQUESTS]), {"numpy": "2"})
    assert read_golden(write_golden(golden)) == golden


UNREADABLE = {
    "no JSON": (b"<html>", "is not JSON"),
    "an array": (b"[]", "no JSON object"),
    "no format": (b'{"requests": []}', "format 1"),
    "another format": (b'{"format": 2, "requests": []}', "format 1"),
    "no requests": (b'{"format": 1}', "members format, requests"),
    "an extra member": (b'{"format": 1, "requests": [], "more": 1}', "and no others"),
    "requests that are an object": (b'{"format": 1, "requests": {}}', "at most 1000 requests"),
    "too many": (b'{"format": 1, "requests": [' + b"1," * MAX_REQUESTS + b"1]}", "at most 1000 requests"),
    "a request without an answer": (b'{"format": 1, "requests": [{"request": {}}]}', "`request` and an `answer`"),
    "an answer with more": (b'{"format": 1, "requests": [{"request": 1, "answer": 1, "x": 1}]}', "only"),
    "versions that are numbers": (b'{"format": 1, "requests": [], "versions": {"numpy": 2}}', "texts as `versions`"),
}


@pytest.mark.parametrize(("content", "why"), UNREADABLE.values(), ids=UNREADABLE)
def test_unreadable(content: bytes, why: str) -> None:
    """A file of another form is refused in a sentence that names it."""
    with pytest.raises(BundleError, match=r"^golden\.json ") as caught:
        read_golden(content)
    assert why in str(caught.value)


@pytest.mark.parametrize("exact", [True, False], ids=["exact", "within rounding"])
@pytest.mark.parametrize(
    "answer",
    [ANSWER, {"prediction": "on"}, {"prediction": 1}, {"y0": ANSWER, "y1": {"a": 1.0}}, [ANSWER, ANSWER], {"x": True}],
    ids=repr,
)
def test_the_same_answer(answer: object, exact: bool) -> None:
    """An answer is the same as itself, in any form of answer."""
    passes(answer, json.loads(json.dumps(answer)), exact=exact)


@pytest.mark.parametrize("exact", [True, False], ids=["exact", "within rounding"])
@pytest.mark.parametrize(
    ("answer", "found", "where"),
    [
        (ANSWER, {"no": 0.2500000001, "yes": 0.75}, "no is 0.2500000001, expected 0.25"),
        ({"y0": ANSWER}, {"y0": {"no": 0.25, "yes": 0.8}}, "y0, yes is 0.8, expected 0.75"),
        ([ANSWER, ANSWER], [ANSWER, {"no": 0.5, "yes": 0.5}], "row 1, no is 0.5"),
        ([ANSWER], [ANSWER, ANSWER], "it is "),
        ({"prediction": "on"}, {"prediction": "off"}, "prediction is 'off', expected 'on'"),
        ({"prediction": 1}, {"prediction": True}, "prediction is True, expected 1"),
        ({"prediction": 1}, {"prediction": "1"}, "prediction is '1', expected 1"),
        (ANSWER, {"no": 0.25, "maybe": 0.75}, "it is "),
        (1e300, 1.0000001e300, "it is 1.0000001e+300"),
    ],
    ids=lambda value: str(value),
)
def test_another_answer(answer: object, found: object, where: str, exact: bool) -> None:
    """An answer that differs is refused: which request, which number, what was expected, and what is to be done."""
    said = refusal(answer, found, exact=exact)
    assert said.startswith("golden.json: request 0 (the first is 0) is answered otherwise: ")
    assert where in said
    assert "Numeric drift: made by scikit-learn 1.2.3, running " in said
    assert "brinery seal --rows 50" in said


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300))
def test_the_last_bit(value: float) -> None:
    """The next double is another answer of an exact engine, and the same answer of any other."""
    beside = math.nextafter(value, math.inf)
    passes({"n": value}, {"n": beside}, exact=False)
    if value or beside:
        assert "expected" in refusal({"n": value}, {"n": beside}, exact=True)


@given(st.floats(1e-6, 1e6), st.sampled_from([1, -1]))
def test_beyond_rounding(value: float, sign: int) -> None:
    """What differs by more than 1e-12 of the number, and of 1, is another answer of any engine."""
    refusal({"n": value}, {"n": value + sign * 1.1e-12 * max(1.0, value)}, exact=False)


def test_the_releases_are_named() -> None:
    """Where the file names releases, those that differ from ours are told."""
    said = refusal(1, 2, exact=True, versions={"scikit-learn": "9.9.9", "numpy": "8.8.8"})
    assert "made by scikit-learn 9.9.9, running" in said
    assert "numpy 8.8.8, running" in said
    assert "python" not in said.partition("Numeric drift")[2]


def test_a_request_that_is_refused() -> None:
    """A golden request that is not answered at all is drift too, and the reason is told."""

    def fail(_: object) -> object:
        raise PredictionError("The model failed on these rows (ValueError).")

    with pytest.raises(BundleError, match=r"request 0 .* is refused here \(The model failed on these rows"):
        check_golden(Golden((Case({}, {}),)), fail, exact=True)
