"""Bounds on what a request may cost us: bytes, rows, depth, digits."""

import json
import time
from typing import Any

import pytest
from werkzeug.test import Client

from tests.api.moody import Moody
from tests.api.serving import post, predict, problem, serve


@pytest.fixture(scope="module")
def small(front: str) -> Client:
    """A server with low limits."""
    return serve(Moody(), max_body_bytes=100, max_rows=3)


def test_the_body_is_bounded(small: Client) -> None:
    """A body of exactly the limit is taken, one byte more is a 413 that says the limit."""
    body = b'{"x0":1}'
    assert post(small, body + b" " * (100 - len(body))).status_code == 200
    document = problem(post(small, body + b" " * (101 - len(body))), 413)
    assert document["type"] == "docs/errors.md#body-too-large"
    assert "100 bytes" in document["detail"]


def test_the_rows_are_bounded(small: Client) -> None:
    """As many rows as the limit are taken, one more is a 413 that says the limit, whatever the rows are."""
    assert len(predict(small, [{"x0": 1}] * 3)) == 3
    batches: list[list[Any]] = [[{"x0": 1}] * 4, [0] * 4, [{}] * 4, [[]] * 30]
    for rows in batches:
        for headers in ({}, {"Prefer": "handling=lenient"}):
            document = problem(post(small, json.dumps(rows, separators=(",", ":")), **headers), 413)
            assert document["type"] == "docs/errors.md#too-many-rows"
            assert "3 rows" in document["detail"]


def test_limits_may_be_raised() -> None:
    """More than the defaults is a setting."""
    client = serve(Moody(), max_body_bytes=3_000_000, max_rows=20_000)
    assert len(predict(client, [{"x0": 1}] * 20_000)) == 20_000
    assert post(client, b'{"x0":1}' + b" " * 2_000_000).status_code == 200


def test_the_size_is_judged_before_the_text(small: Client) -> None:
    """A body that is too large is a 413, be it JSON or not; a media type that we do not read comes first."""
    problem(post(small, b"{" * 101), 413)
    problem(post(small, b"\xff" * 101), 413)
    problem(post(small, b"{" * 101, Content_Type="text/plain"), 415)


@pytest.mark.parametrize(
    ("open_", "close"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")], ids=["arrays", "objects", "both"]
)
@pytest.mark.parametrize("rest", ["", ',"b":"\\u0041"', ',"b":"text"'], ids=["plain", "escapes", "texts"])
def test_the_depth_is_bounded(crime: Client, open_: str, close: str, rest: str) -> None:
    """64 levels are taken, 65 are not, and any number of them is refused at once."""
    each = 1 + (open_.startswith("[") and len(open_) > 1)

    def nested(levels: int) -> str:
        count = (levels - 1) // each
        return f'{{"month":{open_ * count}1{close * count}{rest}}}'

    problem(post(crime, nested(63)), 422)
    for levels in (67, 200, 990, 1_023, 1_030, 20_000):
        start = time.process_time()
        document = problem(post(crime, nested(levels)), 400)
        assert document["type"] == "docs/errors.md#malformed-body"
        assert time.process_time() - start < 1


def test_exactly_64_levels_are_taken(crime: Client) -> None:
    """The array of the batch counts, and so does the object of the row."""
    problem(post(crime, f'{{"month":{"[" * 63}{"]" * 63}}}'), 422)
    problem(post(crime, f'{{"month":{"[" * 64}{"]" * 64}}}'), 400)
    problem(post(crime, f'[{{"month":{"[" * 62}{"]" * 62}}}]'), 422)
    problem(post(crime, f'[{{"month":{"[" * 63}{"]" * 63}}}]'), 400)


@pytest.mark.parametrize(
    ("number", "status"),
    [
        ("1" + "0" * 308, 200),
        ("1" + "0" * 309, 400),
        ("-1" + "0" * 309, 400),
        ("1e308", 200),
        ("1e309", 400),
        ("0." + "0" * 5_000 + "1", 200),
        ("0." + "3" * 5_000, 200),
        ("1e-99999", 200),
        ("0e99999999999", 200),
        ("9" * 50_000, 400),
        ("18446744073709551616", 200),
        ("-0", 200),
    ],
    ids=lambda value: str(value)[:12] + str(len(str(value))),
)
def test_numbers_are_bounded_by_a_double(number: str, status: int) -> None:
    """What a double holds is taken, however many digits it has; the rest is malformed."""
    response = post(serve(Moody()), f'{{"x0":{number}}}')
    assert response.status_code == status
    if status == 200:
        assert response.json == {"prediction": float(number)}


def test_refusals_are_cheap(crime: Client) -> None:
    """The dearest bodies that fit the limit are refused within a second, in a small answer."""
    near = '{"month":6,"force":"Kent Polic","crime":"Drug"}'
    bodies = (
        "[" + ",".join([near] * 10_000) + "]",
        "[" + ",".join(["{}"] * 10_000) + "]",
        "{" + ",".join(f'"{index:x}":1' for index in range(90_000)) + "}",
        '{"month":"' + "\\ud83d\\ude00" * 80_000 + '"}',
        '{"' + "\\u0041" * 170_000 + '":1}',
        "[" + ",".join(["1e-300"] * 10_000) + "]",
        '{"month":' + "9" * 300 + "." + "9" * 1_000_000 + "}",
    )
    for body in bodies:
        start = time.process_time()
        response = post(crime, body[:1_048_576])
        assert time.process_time() - start < 1
        assert response.status_code in (400, 422)
        problem(response, response.status_code)


def test_lenient_refusals_are_bounded(crime: Client) -> None:
    """The largest lenient batch of bad rows is answered within seconds, each problem small."""
    body = "[" + ",".join(['{"a":1,"b":2,"c":3,"d":4,"e":5}'] * 10_000) + "]"
    start = time.process_time()
    response = post(crime, body, Prefer="handling=lenient")
    assert time.process_time() - start < 4
    assert response.json is not None
    assert {item["status"] for item in response.json} == {422}
    assert len(response.data) < 20 * len(body) * 4
