"""Rows in the forms of other servers: each gives the rows that /api/predict reads."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from server.decoding import decode
from server.errors import InvalidInput, MalformedBody, TooManyRows, WrongForm
from server.front import Headers
from server.model import Model
from server.parameter import NoCode, Parameter
from server.predictor import Batch, Predictor
from server.protocols.forms import row_schemas
from server.protocols.rows import Codes, RowReader, codes_of
from tests.contract.test_accepts_iff_schema import MAX_ROWS, SETTINGS, models, read, rows, write
from tests.models import boolean, category, fake_model, integer, number, pipeline, real_model

Rows = list[dict[str, Any]]
COLOUR = category("colour", ("red", "green"), codes=(3, 1))
MODEL = fake_model(COLOUR, boolean("big"), number("n"))
ROWS: Rows = [
    {"colour": "red", "big": True, "n": 0.5},
    {"colour": "green", "big": False, "n": 1},
    {"colour": "green", "big": True, "n": -2},
]


def reader_of(model: Model, max_rows: int = 10) -> RowReader:
    """Make the reader of a model's rows."""
    return RowReader(model.signature, Predictor(model, max_rows=max_rows))


def listed(rows: Rows, names: Sequence[str]) -> list[list[Any]]:
    """Write rows as lists."""
    return [[row[name] for name in names] for row in rows]


def by_column(rows: Rows) -> dict[str, list[Any]]:
    """Write rows as columns."""
    return {name: [row[name] for row in rows] for name in rows[0]}


def codes(batch: Batch) -> list[list[Any]]:
    """Give the rows of a batch, as texts, for which NaN equals itself and 1 is not True."""
    assert not batch.single
    return [[repr(code) for code in row] for row in batch.rows]


def coded(rows: Rows, parameters: Sequence[Parameter]) -> Rows:
    """Write rows with codes for labels."""
    written = []
    for row in rows:
        numbers = dict(row)
        for parameter in parameters:
            found = [code for code, label in codes_of(parameter).items() if _same(label, row.get(parameter.name, ...))]
            if found:
                numbers[parameter.name] = found[0]
        written.append(numbers)
    return written


def _same(one: object, other: object) -> bool:
    return type(one) is type(other) and one == other


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("with_codes", [False, True], ids=["labels", "codes"])
def test_all_forms_are_the_same_rows(count: int, with_codes: bool) -> None:
    """Records, lists, columns, and columns in a list are one batch, with labels and with codes."""
    reader, names = reader_of(MODEL), MODEL.signature.example()
    expected = codes(Predictor(MODEL, max_rows=10).batch(ROWS[:count]))
    sent = coded(ROWS[:count], MODEL.signature.parameters) if with_codes else ROWS[:count]
    assert (sent != ROWS[:count]) == with_codes
    for form in (sent, listed(sent, list(names)), by_column(sent), [by_column(sent)]):
        assert codes(reader.read(form, "rows")) == expected


@given(st.data())
@settings(max_examples=150)
def test_all_forms_of_any_model_are_the_same_rows(data: st.DataObject) -> None:
    """Rows of any model that are accepted as objects are accepted in every form, with codes too, and are the same."""
    model = data.draw(models())
    some = data.draw(st.lists(rows(model), min_size=1, max_size=MAX_ROWS))
    try:
        value: Any = decode(write(some).encode())
        expected = codes(Predictor(model, max_rows=MAX_ROWS).batch(value))
    except (InvalidInput, MalformedBody):
        event("refused")
        return
    event("accepted")
    names = [each.name for each in model.signature.parameters]
    reader = reader_of(model)
    for sent in (value, coded(value, model.signature.parameters)):
        forms: list[Any] = [sent]
        if all(row.keys() == sent[0].keys() for row in sent) and sent[0]:
            forms += [by_column(sent), [by_column(sent)]]
        if all(row.keys() == set(names) for row in sent):
            forms += [listed(sent, names)]
            forms += [[row[names[0]] for row in sent]] if len(names) == 1 else []
        for form in forms:
            assert codes(reader.read(form, "rows")) == expected, form


@given(st.data())
@settings(max_examples=300)
def test_what_the_schema_accepts_is_read(data: st.DataObject) -> None:
    """Rows are read if and only if the published schema accepts them; but for columns of several lengths."""
    model = data.draw(models())
    schemas = row_schemas(model, SETTINGS)
    validator = Draft202012Validator({"$ref": "#/components/schemas/Rows", "components": {"schemas": schemas}})
    parameters = model.signature.parameters
    some = data.draw(st.lists(rows(model), max_size=MAX_ROWS + 1))
    form: Any = some
    if all(isinstance(row, dict) for row in some):
        some = coded(some, parameters) if data.draw(st.booleans()) else some
        way = data.draw(st.sampled_from(["records", "lists", "columns", "in a list", "values"]))
        if way == "lists":
            form = [list(row.values()) for row in some]
        elif way == "values":
            form = [next(iter(row.values()), None) for row in some]
        elif way in ("columns", "in a list") and some and all(row.keys() == some[0].keys() for row in some):
            form = by_column(some) if way == "columns" else [by_column(some)]
    try:
        text = write(form)
        value = decode(text.encode())
    except MalformedBody:
        return
    try:
        reader_of(model, MAX_ROWS).read(value, "rows")
        accepted = True
    except (InvalidInput, WrongForm, TooManyRows):
        accepted = False
    event("accepted" if accepted else "refused")
    assert accepted == validator.is_valid(read(text)), text


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        pytest.param(None, "`rows` must be a list of objects", id="null"),
        pytest.param("secret", "`rows` must be a list of objects", id="a text"),
        pytest.param([[1, 2]], "row 0: expected a list of 3 values (colour, big, n); got 2 values.", id="short"),
        pytest.param([[1, 0, 2], [1, 0, 2, 3]], "row 1: expected a list of 3 values (colour, big, n); got", id="long"),
        pytest.param([[1, 0, 2], "secret"], "row 1: expected a list of 3 values (colour, big, n); got a ", id="text"),
        pytest.param([1, 2], "row 0: expected a list of 3 values (colour, big, n); got a number", id="values"),
        pytest.param({"n": [1, 2], "big": [0]}, "column big has 1 values; the columns before it have 2.", id="ragged"),
        pytest.param({"n": 1}, "column n: expected a list with a value for each row.", id="no list"),
    ],
)  # fmt: skip
def test_wrong_forms_are_refused(value: object, sentence: str) -> None:
    """What has none of the forms is refused by a sentence that names the member, the place and what was expected."""
    with pytest.raises(WrongForm) as caught:
        reader_of(MODEL).read(value, "rows")
    assert str(caught.value).startswith("`rows`")
    assert sentence in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "pointers"),
    [
        pytest.param([{"n": 1}], ["/0/colour", "/0/big"], id="records"),
        pytest.param([{"colour": 2, "big": 2, "n": "x"}], ["/0/colour", "/0/big", "/0/n"], id="no such code"),
        pytest.param([[3, 1, 0], [1, 0.5, 0]], ["/1/big"], id="lists"),
        pytest.param({"colour": [3, 4], "big": [1, 0], "n": [0, 0]}, ["/1/colour"], id="columns"),
        pytest.param({"n": [0] * 9, "x": [0] * 9}, ["/0/colour", "/0/big", "/0/x"], id="names, told once"),
        pytest.param([], [""], id="no row"),
        pytest.param({}, [""], id="no column"),
        pytest.param({"colour": [], "big": [], "n": []}, [""], id="empty columns"),
        pytest.param([{}, 3], ["/0/colour", "/0/big", "/0/n", "/1"], id="no object"),
    ],
)
def test_refused_values_are_pointed_at(value: object, pointers: list[str]) -> None:
    """What the schema refuses is told by row and name, whatever the form."""
    with pytest.raises(InvalidInput) as caught:
        reader_of(MODEL).read(value, "rows")
    assert [error.pointer for error in caught.value.errors] == pointers


def test_too_many_rows_are_refused_before_they_are_read() -> None:
    """The bound on rows holds for each form."""
    forms: list[Any] = [[{}] * 11, [[]] * 11, {"n": [None] * 11}, [{"n": [None] * 11}]]
    for value in forms:
        with pytest.raises(TooManyRows):
            reader_of(MODEL).read(value, "rows")


@pytest.mark.parametrize(
    ("parameter", "given", "expected"),
    [
        pytest.param(COLOUR, [3, 1.0, 2, "red", None], ["red", "green", NoCode(2), "red", None], id="texts"),
        pytest.param(boolean(), [0, 1.0, 2, True], [False, True, NoCode(2), True], id="booleans"),
        pytest.param(category(labels=(True, False), codes=(7, 8)), [7, 1], [True, NoCode(1)], id="true and false"),
        pytest.param(category(nullable=True, null_code=5), [5, 0], [None, "red"], id="null has a code"),
        pytest.param(category(codes=("r", 1.5)), ["r", 1.5], ["r", "green"], id="codes of texts"),
        pytest.param(category(codes=(1, 1)), [1], ["red"], id="the first of a code"),
    ],
)  # fmt: skip
def test_codes_are_labels(parameter: Parameter, given: list[Any], expected: list[Any]) -> None:
    """A number that is a code becomes its label, and any other is none; everything else stays as it is."""
    codes = Codes.of(parameter)
    assert codes is not None
    columns = [*([each] for each in given), given, [each for each in given if type(each) in (int, float)]]
    for column in columns:
        alone = list(map(codes.value, column))
        assert repr(codes.column(column)) == repr(alone)  # and of the same types
    assert repr(list(map(codes.value, given))) == repr(expected)


def test_codes_are_the_estimators() -> None:
    """What an engine calls the labels by is nobody else's business: they are texts for a pipeline on a DataFrame."""
    model = real_model(pipeline())
    force = model.signature.parameters[0]
    assert model.engine.name != "pickle"
    assert set(map(type, force.codes)) != {str}
    assert codes_of(force) == {}
    assert real_model(pipeline(), engine="pickle").signature.parameters[0].codes == force.labels


@pytest.mark.parametrize(
    "parameter",
    [number(), integer(), category(labels=(4, 5)), category(labels=("x", 1)), category(codes=("red", "green"))],
    ids=["number", "integer", "integers", "texts and integers", "codes are labels"],
)
def test_a_number_that_is_a_value_is_no_code(parameter: Parameter) -> None:
    """Where a number may be the value itself, or there are no codes, nothing is translated."""
    assert Codes.of(parameter) is None


def test_a_brace_at_the_end_of_a_text_is_no_row() -> None:
    """Names and labels may end by what objects begin by."""
    model = fake_model(number("{"), category("c", ("{", "}{")))
    body = json.dumps({"instances": [{"{": 1, "c": "}{"}, {"{": 2, "c": "{"}]}, separators=(",", ":")).encode()
    assert reader_of(model).count(Headers({}), body).least <= 2


@given(st.data())
@settings(max_examples=150)
def test_a_batch_has_no_more_rows_than_it_is_counted_for(data: st.DataObject) -> None:
    """A body that is read has between the least and the most rows that it was estimated to have."""
    model = data.draw(models())
    reader = reader_of(model)
    row = model.signature.example()
    for name in [each.name for each in model.signature.parameters if not each.required]:
        if data.draw(st.booleans()):
            del row[name]
    some: Rows = [row] * data.draw(st.integers(1, 10))
    forms: list[Any] = [some]
    if row:
        forms += [by_column(some), [by_column(some)]]
    if len(row) == len(model.signature.parameters):
        forms += [[list(each.values()) for each in some]]
    for form in forms:
        for written in (json.dumps, lambda value: json.dumps(value, separators=(",", ":"))):
            counted = reader.count(Headers({}), written({"instances": form, "parameters": {"x": 1}}).encode())
            assert counted.least <= len(reader.read(form, "rows").rows) <= counted.most, form
