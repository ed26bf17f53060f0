"""Bodies of the Open Inference Protocol: whatever comes is read, or refused for a reason of the caller's."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import RequestError, TooManyRows
from server.front import Headers
from server.predictor import Predictor
from server.protocols.oip_bodies import LENGTH, Bodies
from server.protocols.raw import encode
from server.protocols.tensors import Tensors
from tests.fuzz.mutations import mutated
from tests.models import category, fake_model, integer, number, text

NUMBERS = fake_model(
    number("n", minimum=-1, maximum=1e6), integer("i", nullable=True), category("c", ("Kent Police", "é", "a"))
)
MODEL = fake_model(
    number("n", minimum=-1, maximum=1e6),
    integer("i", minimum=0, maximum=12, nullable=True),
    category("c", ("Kent Police", "é", "a")),
    text("t", default=""),
)
PREDICTOR = Predictor(MODEL, max_rows=9)
BODIES = Bodies(Tensors(MODEL, PREDICTOR), MODEL.identity)
OF_NUMBERS = Bodies(Tensors(NUMBERS, Predictor(NUMBERS, max_rows=9)), NUMBERS.identity)


def tensors(*rows: tuple[Any, ...]) -> list[dict[str, Any]]:
    """Give rows by columns."""
    datatypes = {"n": "FP64", "i": "INT64", "c": "BYTES", "t": "BYTES"}
    return [
        {"name": name, "datatype": datatype, "shape": [len(rows)], "data": [row[at] for row in rows]}
        for at, (name, datatype) in enumerate(datatypes.items())
    ]


def in_bytes(inputs: list[dict[str, Any]]) -> tuple[bytes, int]:
    """Give a body with the tensors' elements behind its JSON, and the length of that."""
    raw = [encode(each["datatype"], each["data"]) for each in inputs]
    some = [
        {key: value for key, value in each.items() if key != "data"} | {"parameters": {"binary_data_size": len(data)}}
        for each, data in zip(inputs, raw, strict=True)
    ]
    text_ = json.dumps({"inputs": some}).encode()
    return text_ + b"".join(raw), len(text_)


ONE, TWO = tensors((1.5, 3, "a", "x")), tensors((1.5, 3, "a", "x"), (0, 0, "é", ""))
MATRIX = [{"name": "x", "datatype": "FP32", "shape": [2, 4], "data": [[1, 2, 0, 1], [1, 2, 0, 1]]}]
TEXTS = [
    json.dumps({"inputs": ONE}).encode(),
    json.dumps({"inputs": ONE[:3], "id": "1", "outputs": [{"name": "predict"}]}).encode(),
    json.dumps({"inputs": TWO, "parameters": {"binary_data_output": True}}, ensure_ascii=False).encode(),
    json.dumps({"inputs": MATRIX}).encode(),
]
ROWS = [
    json.dumps({"inputs": [{"name": "x", "datatype": datatype, "shape": [1, 3], "data": data}]}).encode()
    for datatype, data in (("INT64", [1, 2, 0]), ("FP64", [0.5, 2, 1.0]), ("FP32", [1, 2, 0]), ("INT64", [[1, 2, 0]]))
]
TOKENS = [
    *(
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b'"',
        b"\\",
        b"null",
        b"true",
        b"1.0",
        b"-1",
        b"18446744073709551616",
        b"[1]",
    ),
    *(b'"id":"",', b'"data":"a",', b'"shape":[1],', b'"shape":[1,1],', b'{"name":"predict"}', b'"sh\\u0061pe"', b'""'),
    *(b"BYTES", b"INT8", b"FP16", b"BOOL", b'"parameters":{"content_type":"base64"},', b'["predict"]', b"{}", b"[]"),
]


def read(body: bytes, length: int | None, bodies: Bodies = BODIES) -> Any:
    """Read a body: the rows, outputs and id that it asks for, or None if it is refused."""
    try:
        asked = bodies.read(body, length)
    except RequestError:
        return None
    return [list(map(repr, asked.batch.rows)), asked.full, asked.id, asked.outputs, asked.binary]


@given(mutated(TEXTS, TOKENS))
def test_the_short_way_reads_what_the_long_way_does(body: bytes) -> None:
    """A body of JSON alone may be read quickly; one whose length is told is not: both say the same."""
    assert read(body, None) == read(body, len(body))


@given(mutated(ROWS, TOKENS))
def test_the_short_way_reads_matrices_as_the_long_way_does(body: bytes) -> None:
    """So it is with the only row of a matrix."""
    assert read(body, None, OF_NUMBERS) == read(body, len(body), OF_NUMBERS)


@pytest.mark.parametrize("body", ROWS, ids=bytes.decode)
def test_rows_of_matrices(body: bytes) -> None:
    """Each of these matrices is a row, whichever way it is read."""
    expected = read(body, len(body), OF_NUMBERS)
    assert expected is not None
    assert read(body, None, OF_NUMBERS) == expected


@pytest.mark.parametrize(
    "request_",
    [
        {"inputs": ONE, "outputs": {}},
        {"inputs": ONE, "outputs": ""},
        {"inputs": ONE, "outputs": [{"name": ["predict"]}]},
        {"inputs": ONE, "outputs": [{"name": {"predict": 1}}]},
        {"inputs": ONE, "id": None},
        {"inputs": ONE, "id": ["a"]},
        {"inputs": [*ONE, ONE[0]]},
        {"inputs": []},
        {"inputs": {}},
        {"inputs": [ONE[0], ONE[1], ONE[2] | {"data": "a"}]},
        {"inputs": [ONE[0], ONE[1], ONE[2] | {"data": {"a": 1}}]},
        {"inputs": [ONE[0] | {"shape": [True]}, *ONE[1:]]},
        {"inputs": [ONE[0] | {"shape": [1.0]}, *ONE[1:]]},
        {"inputs": [ONE[0] | {"data": [2**64]}, *ONE[1:]]},
        {"inputs": ONE, "x": 1},
    ],
    ids=str,
)
def test_neither_way_takes_what_only_looks_usual(request_: Any) -> None:
    """Values of other types in the places of a usual request's."""
    body = json.dumps(request_).encode()
    assert read(body, None) == read(body, len(body))


@given(mutated([in_bytes(ONE)[0], in_bytes(TWO)[0]], TOKENS), st.integers(-3, 3) | st.integers(0, 10**6))
def test_any_bytes_are_read_or_refused(body: bytes, length: int) -> None:
    """With a length that is about right, or any; as many rows come out as the estimate said, or fewer."""
    length = max(0, length + (in_bytes(ONE)[1] if length <= 3 else 0))
    rows = BODIES.count(Headers({LENGTH.lower().encode(): b"%d" % length}), body)
    asked = read(body, length)
    assert 1 <= rows.least <= max(rows.most, 1)
    assert asked is None or len(asked[0]) <= rows.most + 3


@given(mutated(TEXTS, TOKENS))
def test_rows_are_never_estimated_much_too_low(body: bytes) -> None:
    """Beyond the few that the members of tensors may hide."""
    rows = BODIES.count(Headers({}), body)
    try:
        count = len(BODIES.read(body, None).batch.rows)
    except TooManyRows:
        count = 10
    except RequestError:
        return
    assert count <= rows.most + 3


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_rows_of_usual_bodies_are_estimated_well(count: int) -> None:
    """As JSON and as bytes."""
    inputs = tensors(*[(1.5, 3, "a", "x")] * count)
    least, most = BODIES.count(Headers({}), json.dumps({"inputs": inputs}).encode())
    assert least <= count <= most <= count + 1
    body, length = in_bytes(inputs)
    least, most = BODIES.count(Headers({LENGTH.lower().encode(): b"%d" % length}), body)
    assert least <= count <= most <= max(count, 11)
