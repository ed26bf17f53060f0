"""Bodies: whatever comes, it is either what the published schema accepts, or refused for a reason of the caller's."""

import json
from typing import Any

import orjson
from hypothesis import given
from jsonschema import Draft202012Validator

from server.errors import RequestError
from server.openapi import openapi_document
from server.predictor import Predictor
from server.problems import MAX_BYTES, describe
from tests.fuzz.mutations import mutated
from tests.models import category, fake_model, integer, number, settings, text

MODEL = fake_model(
    number("n", minimum=-1, maximum=1e6),
    integer("i", minimum=0, maximum=12, nullable=True),
    category("c", ("Kent Police", "é", "\N{GRINNING FACE}")),
    text("t", nullable=True),
)
ROWS = [
    {"n": 1.5, "i": 3, "c": "Kent Police", "t": "some text"},
    {"n": 0, "i": None, "c": "é", "t": None},
    {"n": -1e-7, "i": 12, "c": "\N{GRINNING FACE}", "t": '\\ud83d " \\'},
]
TEXTS = [
    *(json.dumps(row).encode() for row in ROWS),
    *(json.dumps(row, ensure_ascii=False, indent=1).encode() for row in ROWS),
    json.dumps(ROWS).encode(),
    b"[]",
    b"{}",
]
TOKENS = [
    *(b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b'\\"', b"null", b"true", b"false", b"NaN", b"-Infinity"),
    *(b"1e400", b"1E5", b"-0", b"-0.0", b"01", b"6.0", b"9007199254740993", b"18446744073709551616", b"1e-400"),
    *(b"\\ud800", b"\\u0000", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\x00", b'"n":1,', b'"\\u006e":1,'),
    *(b"0.1e1", b"//", b"[" * 70),
]


def schema() -> dict[str, Any]:
    """Give the schema of a body as the document publishes it."""
    document = openapi_document(MODEL, settings(), {})
    content = document["paths"]["/api/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    return {**content, "components": document["components"]}


VALIDATOR = Draft202012Validator(schema())
PREDICTOR = Predictor(MODEL, max_rows=100)


def refusal_of(body: bytes, *, lenient: bool = False) -> RequestError | None:
    """Say why a body is refused; None where it is not."""
    try:
        PREDICTOR.parse(body, lenient=lenient)
    except RequestError as error:
        return error
    return None


@given(mutated(TEXTS, TOKENS))
def test_a_body_is_accepted_or_refused(body: bytes) -> None:
    """What is accepted is JSON for everybody, and valid; what is not gets a problem that can be written."""
    refusal = refusal_of(body)
    if refusal is None:
        assert VALIDATOR.is_valid(json.loads(body.decode()))
    else:
        assert len(orjson.dumps(describe(refusal, "x" * 128))) <= MAX_BYTES


@given(mutated(TEXTS, TOKENS))
def test_a_lenient_batch_says_the_same_of_each_row(body: bytes) -> None:
    """Row by row a lenient batch accepts what would be accepted alone."""
    if refusal_of(body, lenient=True) is not None:
        assert refusal_of(body) is not None
        return
    batch = PREDICTOR.parse(body, lenient=True)
    if not batch.lenient:
        return
    rows = json.loads(body.decode())
    for index, row in enumerate(rows):
        assert VALIDATOR.is_valid(row) == (index not in batch.refusals)
