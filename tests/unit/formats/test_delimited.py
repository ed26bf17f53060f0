"""CSV: cells to JSON values, whole texts to columns, and columns to CSV."""

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.columns import Named
from server.errors import InvalidInput, MalformedBody
from server.formats.delimited import CsvReader, count_lines, write_csv
from server.parameter import REQUIRED, Parameter, Scalar
from server.signature import Signature
from tests.models import boolean, category, integer, number, text

MOST = 10_000
SIGNATURE = Signature((category("c"), number("n")))


def read(source: str | bytes, *parameters: Parameter, header: bool | None = None) -> dict[str, list[object]]:
    """Read a text for some parameters; give the columns."""
    body = source if isinstance(source, bytes) else source.encode()
    columns, count = CsvReader(Signature(parameters) if parameters else SIGNATURE).columns(
        body, header=header, most=MOST
    )
    assert all(len(column) == count for column in columns.values())
    return {name: list(column) for name, column in columns.items()}


@pytest.mark.parametrize(
    ("source", "header"),
    [
        pytest.param("c,n\r\nred,1\r\ngreen,2.5\r\n", None, id="as the standard has it"),
        pytest.param("c,n\nred,1\ngreen,2.5", None, id="no end"),
        pytest.param("c,n\rred,1\rgreen,2.5\r", None, id="carriage returns"),
        pytest.param("\n\nc,n\n\nred,1\r\n\r\ngreen,2.5\n\n", None, id="empty lines"),
        pytest.param("\ufeffc,n\nred,1\ngreen,2.5\n", None, id="mark"),
        pytest.param('"c","n"\n"red","1"\n"green","2.5"\n', None, id="quoted"),
        pytest.param("n,c\n1,red\n2.5,green\n", True, id="another order"),
        pytest.param("red,1\ngreen,2.5\n", None, id="no names"),
        pytest.param("red,1\ngreen,2.5\n", False, id="no names, as said"),
    ],
)
def test_texts(source: str, header: bool | None) -> None:
    """A text is its columns, with or without a line of names."""
    assert read(source, header=header) == {"c": ["red", "green"], "n": [1, 2.5]}


@pytest.mark.parametrize("line", ["C,N", " c , n ", "N ,C"])
def test_names_in_another_case_are_no_row(line: str) -> None:
    """A line of names that are not written as the parameters' is neither taken for a row nor for names."""
    with pytest.raises(MalformedBody, match=r"^Line 1 has names of parameters, but for case or spaces"):
        read(f"{line}\nred,1\n")
    assert read("T\n", text("t"), header=False) == {"t": ["T"]}


@pytest.mark.parametrize("line", ["c;n", "red;1", "red\t1"])
def test_cells_that_nothing_separates(line: str) -> None:
    """A line of one cell, where several are expected, is asked about its commas."""
    with pytest.raises(MalformedBody, match=r"^Line 1 has 1 cell \(are they separated by commas\?\)"):
        read(f"{line}\n")


def test_names_that_are_values() -> None:
    """Who says that there is no line of names may send one as a row."""
    assert read("t\nt\n", text("t")) == {"t": ["t"]}
    assert read("t\nt\n", text("t"), header=False) == {"t": ["t", "t"]}
    assert read("x\n1\n", number("n"), header=False) == {"n": ["x", 1]}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        pytest.param("", "^The body is empty", id="nothing"),
        pytest.param("\n\r\n", "^The body is empty", id="empty lines"),
        pytest.param(b"c,n\nr\xe9d,1\n", "not in UTF-8", id="another encoding"),
        pytest.param("c,n\nred,1\ngre\0en,2\n", "^Line 3 holds a NUL", id="NUL"),
        pytest.param("c,n\nred,1,2\n", "^Line 2: expected 2 cells, as in the first; got 3", id="more cells"),
        pytest.param('c,n\n"red\n",1\nred\n', "^Line 4: expected 2 cells, as in the first; got 1", id="fewer cells"),
        pytest.param('c,n\nred,1\n"red,1\n\n', "^Line 3 begins a row with a quoted cell", id="open quote"),
        pytest.param('c,n\n"red"x,1\n', "^Line 2 begins a row with a quoted cell", id="text behind a quote"),
        pytest.param("\nc,n,c\nred,1,red\n", "^Line 2 has the same name in cells 1 and 3", id="name twice"),
        pytest.param("red,1,2\n", "^Line 1 has 3 cells and none .* 2 cells in the order c, n", id="no names"),
    ],
)
def test_malformed(source: str | bytes, message: str) -> None:
    """What is no CSV, or not rows of the same length, is refused by its line."""
    with pytest.raises(MalformedBody, match=message):
        read(source)


def test_columns_of_other_names() -> None:
    """A column that is missing, and one that no parameter has, are told once, and not for each row."""
    with pytest.raises(InvalidInput) as caught:
        read("c,m\n" + "red,1\n" * 50)
    assert [(each.pointer, each.code) for each in caught.value.errors] == [
        ("/0/n", "missing"),
        ("/0/m", "unknown_field"),
    ]
    assert caught.value.count == 2


def test_columns_that_may_be_other() -> None:
    """A column with a default may be missing; one that nobody knows is passed over where the settings say so."""
    signature = Signature((number("n"), number("d", default=3)), ignore_unknown=True)
    columns, count = CsvReader(signature).columns(b"id,n\n7,1\n8,2\n", header=None, most=MOST)
    assert (columns, count) == ({"n": [1, 2]}, 2)


def test_more_rows_than_are_taken() -> None:
    """Of too many rows only one more is read than is taken."""
    for header in (True, False):
        _, count = CsvReader(SIGNATURE).columns(b"c,n\n" * 100, header=header, most=5)
        assert count == 6


@pytest.mark.parametrize(
    ("parameter", "cell", "value"),
    [
        pytest.param(number("x"), "6", 6, id="integer"),
        pytest.param(number("x"), " 6e0 ", 6.0, id="blanks"),
        pytest.param(number("x"), "12345678901234567890123", 12345678901234567890123, id="large integer"),
        pytest.param(number("x"), "18446744073709551615", 18446744073709551615, id="integer of 64 bits"),
        *(
            pytest.param(number("x"), cell, cell, id=cell)
            for cell in ("NaN", "inf", "-Infinity", "0x10", "1_000", "1,5", "+1", "01", "1.", ".5", "1e400", "\u0661")
        ),
        pytest.param(number("x"), "1\u00a0", "1\u00a0", id="blank that JSON does not know"),
        pytest.param(number("x"), "null", "null", id="word null"),
        pytest.param(number("x"), "[1]", "[1]", id="array"),
        pytest.param(number("x"), "true", True, id="boolean"),
        pytest.param(boolean("x"), "false", False, id="false"),
        pytest.param(boolean("x"), "False", "False", id="another false"),
        pytest.param(number("x", nullable=True), "", None, id="null"),
        pytest.param(number("x", nullable=True, default=1), "", None, id="null before default"),
        pytest.param(number("x", default=1), "", 1, id="default"),
        pytest.param(number("x"), "", REQUIRED, id="no value"),
        pytest.param(text("x"), "", "", id="empty text"),
        pytest.param(text("x", nullable=True), "", None, id="no text"),
        pytest.param(text("x"), "\u2028\x85\x0b", "\u2028\x85\x0b", id="what other readers take for line breaks"),
        pytest.param(text("x"), "x" * 300_000, "x" * 300_000, id="long text"),
        pytest.param(category("x", ("", "a")), "", "", id="empty label"),
        pytest.param(category("x", (1, 2)), "2", 2, id="integer label"),
        pytest.param(category("x", (True, "true ")), "true", True, id="boolean label"),
    ],
)  # fmt: skip
def test_cells(parameter: Parameter, cell: str, value: object) -> None:
    """A cell is the JSON value that its parameter takes, or the text that it refuses; alone and among others."""
    source = io.StringIO()
    csv.writer(source).writerows([["x", "y"], [cell, "1"], [cell, "2"]])
    (read_values := read(source.getvalue(), parameter, number("y")))
    assert read_values["x"] == [value, value]
    assert list(map(type, read_values["x"])) == [type(value)] * 2


def test_commas_in_numbers() -> None:
    """Cells that are several numbers, or parts of one array, do not pass for some that are one."""
    assert read('n\n"1,2"\n', number("n")) == {"n": ["1,2"]}
    assert read('n\n"[1"\n"2]"\n', number("n")) == {"n": ["[1", "2]"]}
    assert read("n,m\nnull,1\n,2\n", number("n", nullable=True), number("m")) == {"n": ["null", None], "m": [1, 2]}
    assert read('n\n"""1"\n"2"""\n', number("n")) == {"n": ['"1', '2"']}


def test_rows_of_a_long_file() -> None:
    """Lines are read as they come; an absent value is no member, and another column stays text."""
    signature = Signature((number("n", default=1), number("m", nullable=True)))
    rows = CsvReader(signature).rows(iter(["n,m,id\n", ",,7\n", "2,3,\n"]))
    assert list(rows) == [{"m": None, "id": "7"}, {"n": 2, "m": 3, "id": ""}]
    assert list(CsvReader(signature).rows([])) == []


PARAMETERS = (
    number("n"),
    number("m", nullable=True),
    integer("i", nullable=True),
    boolean("b"),
    category("c", ("red", 'a"b', "a,b", "a\nb", "", " ", "=1")),
    category("k", (1, 2, 3), nullable=True),
    text("t"),
)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**70), 2**70)
VALUES: dict[str, st.SearchStrategy[Scalar]] = {
    "n": NUMBERS,
    "m": NUMBERS | st.none(),
    "i": st.integers().filter(lambda value: abs(value) < 2**1000) | st.none(),
    "b": st.booleans(),
    "c": st.sampled_from([str(label) for label in PARAMETERS[4].labels]),
    "k": st.sampled_from([1, 2, 3, None]),
    "t": st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0")),
}


@given(st.lists(st.fixed_dictionaries(VALUES), min_size=1, max_size=5))
def test_what_is_written_is_read(rows: list[dict[str, Any]]) -> None:
    """Rows that are written as CSV are read as the same rows."""
    columns: dict[str, list[object]] = {name: [row[name] for row in rows] for name in VALUES}
    text_of_columns = write_csv([Named(name, bool, values) for name, values in columns.items()])
    assert read(text_of_columns, *PARAMETERS) == columns


def test_written() -> None:
    """Lines end, and quotes are doubled, as the standard has it; a null is an empty cell."""
    assert (
        write_csv([Named("a", float, [1.5, None]), Named('b"', bool, [True, "x,y"])])
        == b'a,"b"""\r\n1.5,true\r\n,"x,y"\r\n'
    )


@pytest.mark.parametrize(
    ("source", "least", "most"),
    [
        ("", 1, 1),
        ("n\n1\n", 1, 3),
        ("n\n1\n2\n3", 2, 4),
        ("n\r\n1\r\n2\r\n3\r\n", 3, 5),
        ("n\r1\r2\r3\r", 3, 5),
        ("n\n1\n\n\n\n\n", 1, 7),
        ('n\n"1\n\n\n"\n2', 1, 6),
        ("\nn\n1\n2\n", 1, 5),
        ("\ufeff\rn\r1\r2\r", 1, 5),
    ],
)
def test_count_lines(source: str, least: int, most: int) -> None:
    """Rows are not more and not fewer than what is counted before they are read."""
    assert count_lines(source.encode()) == (least, most)
