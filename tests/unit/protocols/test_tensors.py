"""Tensors in and out of one model."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import InvalidInput, RequestError, TooManyRows, WrongForm
from server.model import Model
from server.predictor import Predictor
from server.protocols.metadata import Metadata
from server.protocols.raw import DATATYPES
from server.protocols.tensors import Tensor, Tensors
from tests.models import boolean, category, estimators, fake_model, integer, number, real_model, text

COLOURS = ("red", "green", "blue")
MODEL = fake_model(
    category("colour", COLOURS, codes=(2, 0, 1), nullable=True),
    category("size", (10, 20)),
    number("weight", minimum=-1e9, maximum=1e9, nullable=True),
    integer("count", minimum=0, maximum=9),
    boolean("new"),
    text("note", default=""),
)


def tensors_of(model: Model, **given: Any) -> Tensors:
    """Make the reader and writer of a model."""
    return Tensors(model, Predictor(model, max_rows=given.get("max_rows", 100)))


def rows_of(model: Model, tensors: list[Tensor]) -> list[list[Any]]:
    """Read tensors; give the rows of codes."""
    return list(tensors_of(model).read(tensors, ()).batch.rows)


def columns(**replaced: Tensor | None) -> list[Tensor]:
    """Give two rows by columns, with some of them replaced or left out."""
    good = {
        "colour": Tensor("colour", "BYTES", [2], ["red", "green"]),
        "size": Tensor("size", "INT64", [2, 1], [10, 20]),
        "weight": Tensor("weight", "FP64", [2], [1.5, math.nan]),
        "count": Tensor("count", "UINT8", (2,), [1, 2]),
        "new": Tensor("new", "BOOL", [2], [True, False]),
        "note": Tensor("note", "BYTES", [2], [b"a", "b"]),
    }
    return [each for each in (good | replaced).values() if each is not None]


def test_columns_are_rows_of_codes() -> None:
    """Each parameter has a tensor; labels become codes, NaN a missing value."""
    first, second = rows_of(MODEL, columns())
    assert first == [2, 0, 1.5, 1.0, True, "a"]
    assert math.isnan(second.pop(2))
    assert second == [0, 1, 2.0, False, "b"]


def test_a_column_with_a_default_may_be_left_out() -> None:
    """Its default stands in for it."""
    assert [row[5] for row in rows_of(MODEL, columns(note=None))] == ["", ""]


@pytest.mark.parametrize("datatype", [name for name in DATATYPES if name not in ("BYTES", "BOOL")])
def test_numbers_of_any_datatype_are_codes_of_labels(datatype: str) -> None:
    """Where labels are texts, or true and false, a number is the code; where they are integers, it is the label."""
    coded = columns(
        colour=Tensor("colour", datatype, [2], [2, 0]),
        size=Tensor("size", datatype, [2], [10, 20]),
        new=Tensor("new", datatype, [2], [1, 0]),
    )
    read, named = rows_of(MODEL, coded), rows_of(MODEL, columns())
    assert [row[:2] + row[4:] for row in read] == [row[:2] + row[4:] for row in named]


def test_true_and_false_are_numbers_where_no_label_is_one() -> None:
    """A BOOL is 1 or 0 for numbers and for codes."""
    row = rows_of(
        fake_model(number("n", minimum=0, maximum=1), category("c", codes=(0, 1))),
        [Tensor("n", "BOOL", [1], [True]), Tensor("c", "BOOL", [1], [True])],
    )
    assert row == [[1.0, 1]]


def test_a_matrix_holds_codes_and_numbers() -> None:
    """The only input, with as many columns as parameters, may have any name."""
    model = fake_model(category("c", codes=(5, 7)), number("n", minimum=-9, maximum=9))
    assert rows_of(model, [Tensor("input-0", "FP32", [2, 2], [5.0, 1.5, 7.0, -2.0])]) == [[5, 1.5], [7, -2.0]]


def test_a_matrix_of_texts_holds_labels() -> None:
    """Where all parameters take texts, a matrix may be of BYTES."""
    model = fake_model(category("c"), text("t"))
    assert rows_of(model, [Tensor("x", "BYTES", [1, 2], [b"green", "free"])]) == [[1, "free"]]


def test_the_only_parameter_may_have_any_name_in_a_matrix() -> None:
    """For a model with one parameter a column of rank 2 is a matrix; one of rank 1 is not."""
    model = fake_model(number("n", minimum=0, maximum=9))
    assert rows_of(model, [Tensor("x", "FP64", [2, 1], [1, 2])]) == [[1.0], [2.0]]
    with pytest.raises(WrongForm):
        rows_of(model, [Tensor("x", "FP64", [2], [1, 2])])


def test_base64_is_read_where_the_content_type_says_so() -> None:
    """As MLServer's codec writes it; the bytes are those of a text."""
    given = Tensor("t", "BYTES", [2], ["w6k=", None], {"content_type": "base64"})
    assert rows_of(fake_model(text("t", nullable=True, null_code="?")), [given]) == [["é"], ["?"]]


def test_texts_that_are_json_are_read_where_the_content_type_says_so() -> None:
    """As MLServer's codec writes columns of mixed types: each is the value, the code or null that stands in it."""
    model = fake_model(category("c", ("a", "b")), number("n", nullable=True, null_code=-1))
    cells = {"content_type": "pd_json"}
    given = [Tensor("c", "BYTES", [2], ['"b"', "1"], cells), Tensor("n", "BYTES", [2, 1], [b"2.5", "null"], cells)]
    assert rows_of(model, given) == [[1, 2.5], [1, -1]]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        pytest.param([], "empty", id="no input"),
        pytest.param(columns(colour=Tensor("color", "BYTES", [2], ["red"] * 2)), "are colour, size", id="unknown"),
        pytest.param([*columns(), columns()[0]], "colour is given twice", id="twice"),
        pytest.param(columns(colour=None, size=None), "lacks colour, size", id="missing"),
        pytest.param(columns(count=Tensor("count", "INT8", [1], [1])), "as many rows", id="another number of rows"),
        pytest.param(columns(count=Tensor("count", "INT8", [1, 2], [1, 1])), r"shape \[rows\]", id="turned"),
        pytest.param(columns(count=Tensor("count", "INT8", [2], [1])), "1 elements", id="too little data"),
        pytest.param(columns(count=Tensor("count", "INT8", [2], [1, 300])), "no INT8", id="beyond the datatype"),
        pytest.param(columns(count=Tensor("count", "INT8", [2], [1, 1.5])), "no INT8", id="a fraction"),
        pytest.param(columns(count=Tensor("count", "INT8", [2], [1, "1"])), "no INT8", id="a text as a number"),
        pytest.param(columns(new=Tensor("new", "BOOL", [2], [1, 0])), "no BOOL", id="numbers as BOOL"),
        pytest.param(columns(count=Tensor("count", "INT8", [2], [1, [1]])), "no INT8", id="ragged"),
        pytest.param(columns(count=Tensor("count", "INT9", [2], [1, 1])), "one of BOOL", id="an unknown datatype"),
        pytest.param(columns(count=Tensor("count", "INT8", [], [1])), "rows, columns", id="rank 0"),
        pytest.param(columns(count=Tensor("count", "INT8", [1, 2, 1], [1, 1])), "rows, columns", id="rank 3"),
        pytest.param(columns(count=Tensor("count", "INT8", [-2], [1, 1])), "rows, columns", id="negative"),
        pytest.param(columns(count=Tensor("count", "INT8", [2**80, 9], [1])), "1 elements", id="huge"),
        pytest.param(columns(note=Tensor("note", "BYTES", [2], [b"\xff", b""])), "not UTF-8", id="not UTF-8"),
        pytest.param(
            columns(note=Tensor("note", "BYTES", [2], ["é", ""], {"content_type": "base64"})), "Base64", id="not Base64"
        ),
        pytest.param(
            columns(note=Tensor("note", "BYTES", [2], ["{", "1"], {"content_type": "pd_json"})),
            "not JSON",
            id="not JSON",
        ),
    ],
)
def test_what_is_no_request_for_this_model_is_refused(given: list[Tensor], told: str) -> None:
    """The sentence says what is wrong, and what there is."""
    with pytest.raises(WrongForm, match=told):
        tensors_of(MODEL).read(given, ())


def test_values_are_refused_as_everywhere() -> None:
    """Rows and fields are named, whatever the form in which they came."""
    with pytest.raises(InvalidInput) as caught:
        tensors_of(MODEL).read(columns(size=Tensor("size", "INT64", [2], [10, 30])), ())
    assert [each.pointer for each in caught.value.errors] == ["/1/size"]


def test_bounds_of_rows_hold() -> None:
    """No row is refused, and so are more than the limit."""
    tensors = tensors_of(fake_model(number(minimum=0)), max_rows=2)
    with pytest.raises(InvalidInput):
        tensors.read([Tensor("n", "FP64", [0], [])], ())
    with pytest.raises(TooManyRows):
        tensors.read([Tensor("n", "FP64", [3], [1, 2, 3])], ())


def test_unknown_inputs_are_passed_over_where_the_settings_say_so() -> None:
    """As unknown fields are elsewhere."""
    model = fake_model(number("n", minimum=0, maximum=9), ignore_unknown=True)
    assert rows_of(model, [Tensor("n", "FP64", [1], [1]), Tensor("x", "INT8", [1], [1])]) == [[1.0]]


@pytest.mark.parametrize("wanted", [["predict", "probabilities"], ["predict", "predict"]], ids=["unknown", "twice"])
def test_outputs_that_cannot_be_given_are_refused(wanted: list[str]) -> None:
    """An output that the model does not have, or that is asked for twice."""
    with pytest.raises(WrongForm, match="`outputs`"):
        tensors_of(MODEL).read(columns(), wanted)


def test_only_selected_outputs_are_given() -> None:
    """In the order of the request; the prediction is not made where nobody wants it."""
    tensors = tensors_of(MODEL)
    assert tensors.read(columns(), ["predict_proba"]).full is False
    asked = tensors.read(columns(), ["predict_proba", "predict"], "some id")
    assert (asked.full, asked.outputs, asked.id) == (True, ("predict_proba", "predict"), "some id")
    assert tensors.read(columns(), []).outputs == ("predict", "predict_proba")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("binary", [("predict", "INT64", (-1,)), ("predict_proba", "FP64", (-1, 2))]),
        ("pipeline", [("predict", "BYTES", (-1,)), ("predict_proba", "FP64", (-1, 2))]),
        (
            "several",
            [
                ("predict.y0", "BYTES", (-1,)),
                ("predict.y1", "BYTES", (-1,)),
                ("predict_proba.y0", "FP64", (-1, 2)),
                ("predict_proba.y1", "FP64", (-1, 2)),
            ],
        ),
        ("regressor", [("predict", "FP64", (-1,))]),
        ("several numbers", [("predict", "FP64", (-1, 2))]),
        ("no probabilities", [("predict", "INT64", (-1,))]),
        ("clusterer", [("predict", "INT64", (-1,))]),
    ],
)
def test_outputs_are_as_their_metadata_say(name: str, expected: list[tuple[str, str, tuple[int, ...]]]) -> None:
    """Names, datatypes and shapes of what is given are those that were announced."""
    model = real_model(estimators()[name])
    predictor = Predictor(model, max_rows=9)
    tensors = Tensors(model, predictor)
    assert [(each.name, each.datatype, each.shape) for each in tensors.outputs] == expected
    example = model.signature.example()
    asked = tensors.read([_column(each, example[each.name]) for each in tensors.inputs], ())
    outcome = predictor.outcome(asked.batch, predictor.evaluate(asked.batch, full=asked.full))
    for announced, written in zip(tensors.outputs, tensors.write(asked, outcome), strict=True):
        assert (written.name, written.datatype) == (announced.name, announced.datatype)
        assert tuple(written.shape) == (2, *announced.shape[1:])
        assert len(written.data) == math.prod(written.shape)


def test_inputs_are_told_with_their_labels() -> None:
    """The datatype is that of the labels; these are a JSON text."""
    inputs = tensors_of(MODEL).inputs
    assert [each.datatype for each in inputs] == ["BYTES", "INT64", "FP64", "INT64", "BOOL", "BYTES"]
    assert [each.parameters for each in inputs[:3]] == [
        {"labels": '["red","green","blue"]'},
        {"labels": "[10,20]"},
        {},
    ]


def test_labels_of_several_types_are_texts() -> None:
    """Nothing else could hold them all."""
    (given,) = tensors_of(fake_model(category("c", ("a", 1)))).inputs
    assert given.datatype == "BYTES"


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.binary(max_size=3)
ANY = st.builds(
    Tensor,
    st.sampled_from(["colour", "size", "weight", "count", "new", "note", "x"]),
    st.sampled_from([*DATATYPES, "", "FP8"]),
    st.lists(st.integers(-1, 3) | st.sampled_from([6, 2**70]), max_size=3),
    st.lists(VALUES, max_size=6),
    st.sampled_from([{}, {"content_type": "base64"}, {"content_type": "pd_json"}, {"content_type": 1}]),
)


@given(st.lists(ANY, max_size=7) | st.builds(lambda some: columns(**{each.name: each for each in some}), st.lists(ANY)))
def test_any_tensors_are_read_or_refused(given: list[Tensor]) -> None:
    """Nothing but an error of the caller's comes of them."""
    try:
        batch = tensors_of(MODEL).read(given, ()).batch
    except RequestError:
        return
    assert len(batch.rows) == given[0].shape[0]


def _column(metadata: Metadata, value: Any) -> Tensor:
    return Tensor(metadata.name, metadata.datatype, [2], [value, value])
