"""Errors in the forms of other servers."""

import json

import pytest

from server.errors import (
    BrineryError,
    DeadlineExceeded,
    FieldError,
    InvalidInput,
    ModelNotFound,
    Overloaded,
    TooManyRows,
    Unimplemented,
    WrongForm,
)
from server.protocols.envelopes import MAX_SENTENCES, as_error, sentence, status_of


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidInput([FieldError("/0/n", "missing", "n is missing.")], 1), 400),
        (WrongForm("x"), 400),
        (ModelNotFound("x"), 404),
        (TooManyRows("x"), 413),
        (Unimplemented("x"), 501),
        (Overloaded("x"), 503),
        (DeadlineExceeded("x"), 504),
        (BrineryError("x"), 500),
        (ValueError("secret"), 500),
    ],
    ids=lambda value: type(value).__name__,
)
def test_statuses(error: Exception, status: int) -> None:
    """What the schema refuses is 400; everything else has the status that it has in the API."""
    assert status_of(error) == as_error(error, "id").status == status


def test_an_error_is_a_sentence() -> None:
    """The form of KServe, Triton and Vertex AI is an object with one member."""
    response = as_error(WrongForm("The body has no rows."), "id")
    assert json.loads(response.body) == {"error": "The body has no rows."}
    assert response.media_type == "application/json"


def test_nothing_is_told_of_what_is_not_ours() -> None:
    """The text of an exception that is not ours stays inside."""
    assert "secret" not in sentence(ValueError("secret"))


def errors(*pointers: str, count: int | None = None, detail: str = "It is wrong.") -> InvalidInput:
    """Make a refusal of some fields."""
    told = [FieldError(pointer, "wrong_type", detail) for pointer in pointers]
    return InvalidInput(told, len(told) if count is None else count)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        pytest.param(errors(""), "It is wrong.", id="of the whole"),
        pytest.param(errors("/0/a", "/1/b"), "/0/a: It is wrong. /1/b: It is wrong.", id="fields"),
        pytest.param(errors("/0/a", count=2), "/0/a: It is wrong. There is one more error.", id="one more"),
        pytest.param(errors("/0/a", count=9), "/0/a: It is wrong. There are 8 more errors.", id="more"),
    ],
)
def test_all_fields_are_told(error: InvalidInput, text: str) -> None:
    """The sentence names each field by its place, and says how many are left out."""
    assert sentence(error) == text


def test_what_was_meant_is_asked() -> None:
    """The likeliest label, which is ours, follows what is wrong."""
    error = InvalidInput([FieldError("/0/c", "not_allowed", "It is wrong.", did_you_mean="red")], 1)
    assert sentence(error) == "/0/c: It is wrong. Did you mean red?"


def test_sentences_are_bounded() -> None:
    """However much is wrong, the text stays short, and no error is lost from the count."""
    text = sentence(errors(*(f"/{at}/x" for at in range(20)), count=500, detail="x" * 400 + "."))
    assert len(text) < MAX_SENTENCES + 100
    assert text.endswith(f"There are {500 - text.count(': ')} more errors.")
