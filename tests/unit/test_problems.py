"""Exceptions to problem documents."""

import inspect
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server import errors, parameter, predictor, signature
from server.errors import (
    BrineryError,
    BundleError,
    DeadlineExceeded,
    FieldError,
    FileError,
    InvalidInput,
    MethodNotAllowed,
    NotReady,
    PredictionError,
    RequestError,
    RouteNotFound,
    StartError,
)
from server.problems import FIELD_CODES, MAX_BYTES, TYPES, describe, headers_of, type_of
from server.signature import Signature
from tests.models import category, number

LONGEST_ID = "x" * 128
WORST = ["\x00" * 200, "\N{GRINNING FACE}" * 200, '"' * 200, "~" * 200, "a/" * 100]


def classes(base: type[BrineryError]) -> Iterator[type[BrineryError]]:
    """Give a class and all below it."""
    yield base
    for each in base.__subclasses__():
        yield from classes(each)


def outside(base: type[BrineryError]) -> bool:
    """Tell whether an exception ends the start or the console, and so never reaches a caller."""
    return issubclass(base, (StartError, FileError))


@pytest.mark.parametrize("error", [each for each in classes(BrineryError) if not outside(each)])
def test_every_exception_is_mapped(error: type[BrineryError]) -> None:
    """Every exception that can reach a caller has a kind of problem of its own."""
    assert error in TYPES


def test_kinds_differ() -> None:
    """No two exceptions share an anchor or a title."""
    assert len({kind.slug for kind in TYPES.values()}) == len(TYPES)
    assert len({kind.title for kind in TYPES.values()}) == len(TYPES)


@pytest.mark.parametrize("error", list(TYPES), ids=lambda error: error.__name__)
def test_whose_fault_it_is(error: type[BrineryError]) -> None:
    """What the caller can mend has a status of 400 and more, anything else of 500 and more."""
    assert (TYPES[error].status < 500) is issubclass(error, RequestError)


def test_every_field_code_is_used() -> None:
    """Every code of a field error stands in the code that makes them, and no other one does."""
    sources = "".join(inspect.getsource(module) for module in (parameter, signature, predictor))
    assert {code for code in FIELD_CODES if f'"{code}"' in sources} == set(FIELD_CODES)


@pytest.mark.parametrize(
    "error",
    [ValueError("secret"), BrineryError("secret"), BundleError("secret"), KeyError("secret")],
    ids=lambda error: type(error).__name__,
)
def test_unforeseen_exceptions(error: Exception) -> None:
    """What was not foreseen is our failure; its message stays with us."""
    document = describe(error, "id")
    assert (document["status"], document["type"]) == (500, "docs/errors.md#internal-error")
    assert "secret" not in str(document)


def test_document() -> None:
    """A document has the members of RFC 9457, the sentence once more as `error`, and the request's id."""
    assert describe(NotReady("Draining."), "id-1") == {
        "type": "docs/errors.md#not-ready",
        "title": "The server is not ready",
        "status": 503,
        "detail": "Draining.",
        "error": "Draining.",
        "request_id": "id-1",
    }


def test_failed_prediction_says_so() -> None:
    """A failed prediction is ours, and its sentence is told."""
    document = describe(PredictionError("The model failed."), "")
    assert (document["status"], document["detail"]) == (500, "The model failed.")


def test_subclass_is_described_as_its_base() -> None:
    """An exception that is not in the table is described as the nearest one that is."""

    class Strange(RouteNotFound):
        pass

    assert type_of(Strange()) is TYPES[RouteNotFound]


@pytest.mark.parametrize(
    ("error", "headers"),
    [
        (MethodNotAllowed("No.", ["GET", "HEAD"]), [("Allow", "GET, HEAD")]),
        (NotReady("No."), [("Retry-After", "1")]),
        (DeadlineExceeded("No."), []),
        (ValueError("No."), []),
    ],
    ids=["method", "not ready", "deadline", "internal"],
)
def test_headers(error: Exception, headers: list[tuple[str, str]]) -> None:
    """Some problems come with a header."""
    assert headers_of(error) == headers


def refusal(given: Signature, *values: Any) -> dict[str, Any]:
    """Describe why a batch is refused."""
    with pytest.raises(InvalidInput) as raised:
        given.parse_rows(values)
    return describe(raised.value, LONGEST_ID)


def test_field_errors() -> None:
    """A refusal tells each field: its pointer, its code, a sentence, the labels and the likeliest one."""
    document = refusal(Signature((category("c", ["Kent", "Essex"]),)), {"c": "kent"})
    assert document["type"] == "docs/errors.md#unknown-label"
    assert (document["detail"], document["error_count"]) == ("c must be one of its 2 labels.", 1)
    assert document["errors"] == [
        {
            "pointer": "/0/c",
            "code": "not_allowed",
            "detail": "c must be one of its 2 labels.",
            "allowed": ["Kent", "Essex"],
            "allowed_count": 2,
            "did_you_mean": "Kent",
        }
    ]


def test_anchor_of_several() -> None:
    """Errors of one code lead to it; errors of different codes, or more than are told, to all."""
    both = Signature((number("a"), number("b")))
    assert refusal(both, {})["type"].endswith("#missing-field")
    assert refusal(both, {"a": "x"})["type"].endswith("#invalid-input")
    assert refusal(both, *[{}] * 11)["type"].endswith("#invalid-input")


def test_labels_are_cut() -> None:
    """At most twenty labels are listed, each cut at 64 characters; all are counted."""
    (error,) = refusal(Signature((category("c", ["x" * 100, *map(str, range(99))]),)), {"c": "y"})["errors"]
    assert len(error["allowed"]) == 20
    assert error["allowed_count"] == 100
    assert error["allowed"][0] == "x" * 63 + "…"


def test_labels_of_every_type() -> None:
    """Labels are listed as the JSON values that they are."""
    (error,) = refusal(Signature((category("c", ["x", 1, True]),)), {"c": "y"})["errors"]
    assert error["allowed"] == ["x", 1, True]


@pytest.mark.parametrize("name", WORST, ids=["control", "wide", "quotes", "tildes", "slashes"])
@pytest.mark.parametrize("columns", [1, 5, 40])
@pytest.mark.parametrize("value", ["label", "missing", "unknown", "no object"])
def test_documents_stay_small(name: str, columns: int, value: str) -> None:
    """A document stays under 8 KiB with any names, labels and numbers of errors, and tells at least one."""
    labels = [f"{index}{name}" for index in range(40)]
    given = Signature(tuple(category(f"{index}{name}", labels) for index in range(columns)))
    row: Any = dict.fromkeys((each.name for each in given.parameters), "?")
    if value == "missing":
        row = {}
    elif value == "unknown":
        row |= {f"{name}{index}": 0 for index in range(40)}
    elif value == "no object":
        row = []
    document = refusal(given, *[row] * 3)
    assert len(orjson.dumps(document)) <= MAX_BYTES
    assert 1 <= len(document["errors"]) <= document["error_count"]


fields = st.builds(
    FieldError,
    pointer=st.text(max_size=400),
    code=st.sampled_from(list(FIELD_CODES)),
    detail=st.text(max_size=150),
    allowed=st.lists(st.text(max_size=80) | st.integers(-(2**53), 2**53) | st.booleans(), max_size=30),
    did_you_mean=st.none() | st.text(max_size=63),
)


@given(st.lists(fields, min_size=1, max_size=20))
@settings(max_examples=60)
def test_any_errors_fit(some: list[FieldError]) -> None:
    """Whatever the errors are, the document stays under 8 KiB and tells them from the first on."""
    document = describe(InvalidInput(some, len(some)), LONGEST_ID)
    assert len(orjson.dumps(document)) <= MAX_BYTES
    told = [(each["pointer"], each["code"], each["detail"]) for each in document["errors"]]
    assert told == [(each.pointer, each.code, each.detail) for each in some[: len(told)]]


def test_messages_are_sentences() -> None:
    """The tree's own docstrings end as sentences do."""
    for each in classes(BrineryError):
        assert (inspect.getdoc(each) or "").partition("\n")[0].endswith(".")
    assert errors.__doc__
