"""Batches column by column: the codes that they have row by row, or nothing."""

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.columns import Row, Table
from server.decoding import has_only
from server.errors import InvalidInput
from server.parameter import Parameter
from server.predictor import Batch, Predictor
from server.signature import Signature
from tests.models import boolean, category, fake_model, integer, number, text

ACCEPTED: list[tuple[str, Parameter, list[Any]]] = [
    ("texts", category(), ["red", "green", "red"]),
    ("texts with other codes", category(codes=(2.5, "x")), ["green", "red"]),
    ("integers", category(labels=(1, 2)), [2, 1.0, 1]),
    ("mixed labels", category(labels=("1", 1, True)), ["1", 1, True]),
    ("open, all known", category(open=True), ["red", "green"]),
    ("null code", category(nullable=True), ["red", "green"]),
    ("numbers", number(), [1, 2.5, -1e10]),
    ("numbers within bounds", number(minimum=0, maximum=2), [0, 2, 1.5]),
    ("multiples", number(multiple_of=3), [3, -6.0]),
    ("integer numbers", integer(), [1, 2.0, -7]),
    ("booleans", boolean(), [True, False]),
    ("free texts", text(), ["", "a"]),
]
ALONE: list[tuple[str, Parameter, list[Any]]] = [
    ("null", category(nullable=True), ["red", None]),
    ("a label that is not listed", category(open=True), ["red", "blue"]),
    ("a number that may have been rounded", number(), [1, 1e300]),
]
REFUSED: list[tuple[str, Parameter, list[Any]]] = [
    ("an unknown label", category(), ["red", "blue"]),
    ("a number for a label", category(), ["red", 1]),
    ("something without a hash", category(), ["red", ["green"]]),
    ("true for 1", category(labels=(1, 2)), [1, True]),
    ("below", number(minimum=0), [1, -0.5]),
    ("above", number(maximum=1), [1.5, 1]),
    ("true for a number", number(), [1, True]),
    ("not a number", number(nullable=True), [1.0, math.nan, 2.0]),
    ("infinite", number(), [1.0, math.inf]),
    ("null", number(), [1, None]),
    ("no multiple", number(multiple_of=3), [3, 4]),
    ("no integer", integer(), [1, 1.5]),
    ("1 for true", boolean(), [True, 1]),
    ("a number for a text", text(), ["a", 1]),
]


def rows_of(parameter: Parameter, values: list[Any]) -> list[dict[str, Any]]:
    """Write values as rows of one field."""
    return [{parameter.name: value} for value in values]


@pytest.mark.parametrize(("parameter", "values"), [pytest.param(*rest, id=name) for name, *rest in ACCEPTED])
def test_codes_are_those_of_the_rows(parameter: Parameter, values: list[Any]) -> None:
    """A batch of accepted values has the very codes, of the very types, that its rows have one by one."""
    signature, rows = Signature((parameter,)), rows_of(parameter, values)
    table = signature.parse_table(rows)
    assert table is not None
    assert [repr(row) for row in table] == [repr(signature.parse(row)) for row in rows]


@pytest.mark.parametrize(("parameter", "values"), [pytest.param(*rest, id=name) for name, *rest in ALONE])
def test_some_values_are_looked_at_alone(parameter: Parameter, values: list[Any]) -> None:
    """A value that a look at the whole column cannot judge makes no table, and is accepted all the same."""
    signature, rows = Signature((parameter,)), rows_of(parameter, values)
    assert signature.parse_table(rows) is None
    assert len(signature.parse_rows(rows)) == len(rows)


@pytest.mark.parametrize(("parameter", "values"), [pytest.param(*rest, id=name) for name, *rest in REFUSED])
def test_what_a_row_refuses_makes_no_table(parameter: Parameter, values: list[Any]) -> None:
    """A batch with a value that is refused is left to those who say why."""
    signature, rows = Signature((parameter,)), rows_of(parameter, values)
    assert signature.parse_table(rows) is None
    with pytest.raises(InvalidInput):
        signature.parse_rows(rows)


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([{"a": 1, "b": 2}, {"a": 1}], id="a field is missing"),
        pytest.param([{"a": 1, "b": 2}, {"a": 1, "c": 2}], id="another field"),
        pytest.param([{"a": 1, "b": 2, "c": 3}], id="a field too many"),
        pytest.param([{"a": 1, "b": 2}, [1, 2]], id="no object"),
        pytest.param([1, 2], id="no objects"),
    ],
)
def test_rows_of_another_form_make_no_table(rows: list[Any]) -> None:
    """Only objects that name all parameters and nothing else make a table."""
    assert Signature((number("a"), number("b"))).parse_table(rows) is None


def test_a_table_is_a_sequence_of_rows() -> None:
    """A table has length, rows, and parts that are tables."""
    table = Table([[1, 2, 3], ["a", "b", "c"]])
    assert len(table) == 3
    assert table[1] == [2, "b"]
    assert list(table[1:]) == [[2, "b"], [3, "c"]]
    assert list(table) == [[1, "a"], [2, "b"], [3, "c"]]


@pytest.mark.parametrize(
    ("parameters", "texts"),
    [
        pytest.param((category(), number()), 3, id="two names and a text"),
        pytest.param((integer(), boolean(), text()), 4, id="three names and a text"),
        pytest.param((category(labels=("1", 1)),), None, id="a text or a number"),
        pytest.param((category(open=True),), 2, id="open to texts"),
        pytest.param((number(multiple_of=2),), None, id="a number that has to be exact"),
        pytest.param((category(labels=(2**70, 1)),), None, id="a label that a double cannot hold"),
        pytest.param((text(nullable=True),), None, id="a text or null"),
    ],
)
def test_texts_of_a_row(parameters: tuple[Parameter, ...], texts: int | None) -> None:
    """How many names and texts an accepted row has is known where its values cannot differ in that."""
    assert Signature(parameters).texts_of_a_row == texts


def parse(body: str, *parameters: Parameter) -> Batch:
    """Parse a body against some parameters."""
    return Predictor(fake_model(*parameters), max_rows=3).parse(body.encode())


@pytest.mark.parametrize(
    ("body", "is_table"),
    [
        pytest.param('[{"n":1,"c":"red"},{"c":"green","n":2.5}]', True, id="in order"),
        pytest.param(r'[{"n":1,"c":"r\u0065d"}]', False, id="a backslash"),
        pytest.param('[{"n":9223372036854775808,"c":"red"}]', False, id="a large number"),
    ],
)
def test_which_bodies_are_read_by_columns(body: str, is_table: bool) -> None:
    """What needs another look is read row by row, to the same codes."""
    parameters = (number(maximum=1e300), category())
    batch = parse(body, *parameters)
    assert isinstance(batch.rows, Table) == is_table
    assert list(batch.rows) == [Signature(parameters).parse(row) for row in json.loads(body)]


def test_strings_are_counted() -> None:
    """Text that holds more than what came out of it is seen; of a backslash nothing can be said."""
    assert has_only(b'[{"a":"b"}]', 2)
    assert not has_only(b'[{"a":"b","a":"c"}]', 2)
    assert not has_only(rb'[{"a":"\n"}]', 2)


NAMES = st.sampled_from(["c", "n", "i", "b", "d", "other"])
VALUES: st.SearchStrategy[Any] = st.sampled_from(
    ["red", "green", "blue", 0, 1, 2.5, -3, True, None, math.nan, [], {}, "x" * 70]
)
COLUMNS = st.integers(1, 4).flatmap(
    lambda count: st.tuples(st.just(count), st.dictionaries(NAMES, st.lists(VALUES, min_size=count, max_size=count)))
)


def outcome(parse: Callable[[], Sequence[Row]]) -> str:
    """Say which codes came of a parse, or which errors."""
    try:
        return repr(list(parse()))
    except InvalidInput as error:
        return repr((error.errors, error.count))


@given(COLUMNS, st.booleans())
def test_columns_are_read_as_their_rows(given_columns: tuple[int, dict[str, list[Any]]], ignore: bool) -> None:
    """Columns give the codes, or the errors, of the objects that they are made of."""
    count, columns = given_columns
    parameters = (category(), number(nullable=True), integer(), boolean(), number("d", default=1.0))
    signature = Signature(parameters, ignore_unknown=ignore)
    rows = [{name: column[at] for name, column in columns.items()} for at in range(count)]
    assert outcome(lambda: signature.parse_columns(columns, count)) == outcome(lambda: signature.parse_rows(rows))
