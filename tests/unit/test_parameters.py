"""Parameters from a lookup, the metadata, and what the estimator knows."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from server.errors import BundleError
from server.introspection import Column
from server.parameter import MAX_DOUBLE, MAX_SAFE_INTEGER, REQUIRED, Kind, Parameter
from server.parameters import check_unique, make_label, make_parameters

NUMBERS = [Column("a"), Column("b")]
NO_COLUMNS: list[Column] | None = None


class Repeated(Mapping[Any, Any]):
    """A mapping with two keys that differ in Python and are the same in JSON."""

    def __init__(self, *keys: Any) -> None:
        self.keys_ = keys

    def __getitem__(self, key: Any) -> Any:
        return 0

    def __iter__(self) -> Iterator[Any]:
        return iter(self.keys_)

    def __len__(self) -> int:
        return len(self.keys_)


def one(entry: object, fragment: object = None, column: Column | None = None, **given: Any) -> Parameter:
    """Make one parameter `a` of a lookup's entry and a fragment."""
    fragments = None if fragment is None else {"a": fragment}
    made = make_parameters({"a": entry}, fragments, [column or Column("a")], by_name=True, **given)
    return made[0]


@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        pytest.param(0, Kind.NUMBER, id="0"),
        pytest.param(0.0, Kind.NUMBER, id="0.0"),
        pytest.param(np.int64(0), Kind.NUMBER, id="numpy's 0"),
        pytest.param(np.float32(0), Kind.NUMBER, id="numpy's 0.0"),
        pytest.param(False, Kind.BOOLEAN, id="False"),
        pytest.param(np.False_, Kind.BOOLEAN, id="numpy's False"),
        pytest.param("", Kind.TEXT, id="empty text"),
        pytest.param({"x": 1}, Kind.CATEGORY, id="mapping"),
    ],
)
def test_entry_of_a_lookup(entry: object, kind: Kind) -> None:
    """A lookup's entry tells the kind of its parameter."""
    parameter = one(entry)
    assert (parameter.name, parameter.kind, parameter.default) == ("a", kind, REQUIRED)


def test_labels_of_a_lookup() -> None:
    """Labels and codes come as Python's own values, in the lookup's order; None is null."""
    parameter = one({np.str_("x"): np.int64(3), np.int64(2): 0.5, True: "t", 5.0: None, None: -1})
    assert parameter.labels == ("x", 2, True, 5)
    assert [type(label) for label in parameter.labels] == [str, int, bool, int]
    assert parameter.codes == (3, 0.5, "t", None)
    assert (parameter.nullable, parameter.null_code) == (True, -1)


@pytest.mark.parametrize(
    ("lookup", "columns", "message"),
    [
        pytest.param(None, NO_COLUMNS, "does not know its input columns; add a lookup.pkl", id="nothing known"),
        pytest.param([], NUMBERS, "lookup.pkl holds a list; expected a mapping", id="list"),
        pytest.param({}, NUMBERS, "lookup.pkl is empty", id="empty"),
        pytest.param({1: 0}, NUMBERS, "names a parameter 1; a name must be a text", id="name is no text"),
        pytest.param({"": 0}, NUMBERS, "names a parameter ''; a name must be a text", id="name is empty"),
        pytest.param({"\ud800": 0}, NUMBERS, r"parameter name '\\ud800' is not valid Unicode", id="name is no Unicode"),
        pytest.param({"a": 0, "c": 0}, NUMBERS, "it lacks 'b'; the model has no 'c'.", id="other names"),
        pytest.param({"a": 0}, NUMBERS, "it lacks 'b'.", id="missing name"),
        pytest.param({"a": 0, "b": 0, "c": 0}, NUMBERS, "the model has no 'c'.", id="more names"),
        pytest.param({"a": 1, "b": 0}, NUMBERS, "says 1 of parameter 'a'; expected a mapping", id="another number"),
        pytest.param({"a": True, "b": 0}, NUMBERS, "says True of parameter 'a'", id="true"),
        pytest.param({"a": "x", "b": 0}, NUMBERS, "says 'x' of parameter 'a'", id="text"),
        pytest.param({"a": {}, "b": 0}, NUMBERS, "says {} of parameter 'a'", id="empty mapping"),
        pytest.param({"a": None, "b": 0}, NUMBERS, "says None of parameter 'a'", id="None"),
        pytest.param({"a": ["x"], "b": 0}, NUMBERS, r"says \['x'\] of parameter 'a'", id="list of labels"),
        pytest.param({"a": {"x": [1]}, "b": 0}, NUMBERS, "maps a label of 'a' to a list", id="code is a list"),
        pytest.param({"a": {1.5: 1}, "b": 0}, NUMBERS, "'a' has the label 1.5; a label must be", id="fraction"),
        pytest.param({"a": {(1,): 1}, "b": 0}, NUMBERS, r"'a' has the label \(1,\)", id="tuple"),
        pytest.param({"a": {2**53: 1}, "b": 0}, NUMBERS, "'a' has the label 9007199254740992", id="unsafe integer"),
        pytest.param({"a": {"\ud800": 1}, "b": 0}, NUMBERS, r"label '\\ud800' is not valid Unicode", id="no Unicode"),
        pytest.param({"a": Repeated(1, 1.0), "b": 0}, NUMBERS, "two labels that are both written 1 in JSON", id="same"),
        pytest.param({"a": {None: 0}, "b": 0}, NUMBERS, "Parameter 'a' has no label but null", id="null alone"),
        pytest.param(
            {"a": {"x": "nope"}, "b": 0},
            [Column("a", categories=("p", "q")), Column("b")],
            "maps a label of 'a' to 'nope', a code that the model's encoder never saw; it knows 'p', 'q'.",
            id="code that was not seen",
        ),
        pytest.param(
            {"a": {"x": "nope"}, "b": 0},
            [Column("a", categories=tuple("pqrstu")), Column("b")],
            r"'s', 't' and 1 more\.$",
            id="code that was not seen, of many",
        ),
    ],
)
def test_refused_lookup(lookup: object, columns: list[Column] | None, message: str) -> None:
    """A lookup that cannot be used is refused in a sentence that names the parameter and the reason."""
    with pytest.raises(BundleError, match=message):
        make_parameters(lookup, None, columns, by_name=True)


def test_lookup_without_names_in_the_model() -> None:
    """A model without column names takes the lookup's names in their order; the numbers must agree."""
    columns = [Column("x0"), Column("x1", missing=True, missing_code=None)]
    made = make_parameters({"p": 0, "q": {"x": 1}}, None, columns, by_name=False)
    assert [each.name for each in made] == ["p", "q"]
    assert made[1].null_code is None
    with pytest.raises(BundleError, match="names 1 parameters, and the model was fitted on 2 columns"):
        make_parameters({"p": 0}, None, columns, by_name=False)


def test_lookup_alone() -> None:
    """A model that says nothing of its input has the lookup's parameters."""
    assert [each.name for each in make_parameters({"p": 0, "q": 0}, None, None, by_name=False)] == ["p", "q"]


def test_model_decides_the_order() -> None:
    """With column names in the model, the lookup's order does not count."""
    made = make_parameters({"b": 0, "a": {"x": 1}}, None, NUMBERS, by_name=True)
    assert [each.name for each in made] == ["a", "b"]


def test_codes_for_an_open_encoder() -> None:
    """An encoder that takes unknown categories may get any code."""
    assert one({"x": "nope"}, column=Column("a", categories=("p",), open=True)).codes == ("nope",)


def test_from_columns() -> None:
    """Without a lookup, columns are categories, texts or numbers, nullable where missing values are provided for."""
    columns = [
        Column("n"),
        Column("m", missing=True),
        Column("c", categories=("x", 2), missing=True, missing_code=None),
        Column("t", text=True),
    ]
    number, missing, category, text = make_parameters(None, None, columns, by_name=True)
    assert (number.kind, number.nullable) == (Kind.NUMBER, False)
    assert (missing.kind, missing.nullable) == (Kind.NUMBER, True)
    assert (category.labels, category.codes, category.nullable, category.null_code) == (("x", 2), ("x", 2), True, None)
    assert text.kind is Kind.TEXT


@pytest.mark.parametrize(
    ("column", "message"),
    [
        pytest.param(Column("\ud800"), r"the model's column '\\ud800' is not valid Unicode", id="name"),
        pytest.param(Column("a", categories=(1.5,)), "the encoder of column 'a' has the label 1.5", id="fraction"),
        pytest.param(Column("a", categories=(), missing=True), "Parameter 'a' has no label but null", id="no category"),
    ],
)
def test_refused_columns(column: Column, message: str) -> None:
    """Columns that JSON cannot name are refused."""
    with pytest.raises(BundleError, match=message):
        make_parameters(None, None, [column], by_name=True)


@pytest.mark.parametrize(
    ("categories", "accept", "expected"),
    [
        pytest.param(("x", "y"), True, True, id="texts"),
        pytest.param((1, 2), True, True, id="integers"),
        pytest.param((True, False), True, False, id="booleans"),
        pytest.param(("x", 1), True, False, id="mixed"),
        pytest.param(("x", "y"), False, False, id="not wanted"),
    ],
)
def test_open_categories(categories: tuple[Any, ...], accept: bool, expected: bool) -> None:
    """A category is opened where that is wanted, the encoder is open, and all labels are texts or integers."""
    column = Column("a", categories=categories, open=True)
    assert make_parameters(None, None, [column], by_name=True, accept_unknown=accept)[0].open is expected


def test_coded_categories_stay_closed() -> None:
    """A lookup that translates labels to other codes closes its parameter: there is no code for other labels."""
    column = Column("a", categories=("p",), open=True)
    assert one({"x": "p"}, column=column, accept_unknown=True).open is False
    assert one({"p": "p"}, column=column, accept_unknown=True).open is True
    assert one({1: True}, column=column, accept_unknown=True).open is False


@pytest.mark.parametrize(
    ("entry", "fragment", "expected"),
    [
        pytest.param(0, {}, {"kind": Kind.NUMBER, "minimum": -MAX_DOUBLE, "maximum": MAX_DOUBLE}, id="nothing"),
        pytest.param(
            0,
            {"type": "integer"},
            {"kind": Kind.INTEGER, "minimum": -MAX_SAFE_INTEGER, "maximum": MAX_SAFE_INTEGER},
            id="integer",
        ),
        pytest.param(0, {"type": "integer", "minimum": 0.5, "maximum": 9.5}, {"minimum": 1, "maximum": 9}, id="ends"),
        pytest.param(0, {"minimum": 0.5, "maximum": 9}, {"minimum": 0.5, "maximum": 9}, id="bounds"),
        pytest.param(0, {"type": ["number", "null"]}, {"kind": Kind.NUMBER, "nullable": True}, id="nullable"),
        pytest.param(0, {"type": ["integer"]}, {"kind": Kind.INTEGER, "nullable": False}, id="list of one type"),
        pytest.param(0, {"multipleOf": 5.0}, {"multiple_of": 5}, id="multiple"),
        pytest.param(0, {"default": 3, "description": "d", "examples": [4]},
                     {"default": 3, "description": "d", "examples": (4,), "required": False}, id="annotations"),
        pytest.param(0, {"type": ["number", "null"], "default": None}, {"default": None}, id="null by default"),
        pytest.param(0, {"type": "integer", "maximum": 1e300}, {"maximum": MAX_SAFE_INTEGER}, id="maximum beyond"),
        pytest.param("", {"minLength": 1, "maxLength": 9}, {"min_length": 1, "max_length": 9}, id="lengths"),
        pytest.param("", {"type": ["null", "string"]}, {"kind": Kind.TEXT, "nullable": True}, id="nullable text"),
        pytest.param(False, {"type": "boolean"}, {"kind": Kind.BOOLEAN}, id="boolean"),
        pytest.param({"x": 1}, {"type": "string"}, {"kind": Kind.CATEGORY}, id="labels say more than their type"),
        pytest.param({"x": 1, None: 2}, {"type": "string"}, {"nullable": True}, id="null of the lookup stays"),
        pytest.param({"x": 1}, {"default": "x"}, {"default": "x"}, id="label by default"),
    ],
)  # fmt: skip
def test_fragment(entry: object, fragment: dict[str, Any], expected: dict[str, Any]) -> None:
    """The metadata's fragment refines what the lookup says."""
    parameter = one(entry, fragment)
    assert {name: getattr(parameter, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("entry", "fragment", "message"),
    [
        pytest.param(0, {"enum": [1]}, "has the keyword 'enum'; these are understood: type, minimum", id="keyword"),
        pytest.param(0, {"type": 5}, "has the type 5; expected one type", id="type is a number"),
        pytest.param(0, {"type": []}, "has the type []; expected one type", id="no type"),
        pytest.param(0, {"type": "null"}, "has the type 'null'; expected one type", id="null alone"),
        pytest.param(0, {"type": ["number", "string"]}, "expected one type", id="two types"),
        pytest.param(0, {"type": [{}]}, "expected one type", id="type is an object"),
        pytest.param(0, {"type": "float"}, "has the type 'float', which does not exist; these are", id="odd"),
        pytest.param(0, {"type": "string"}, "has the type 'string', but the model says that it is a number", id="text"),
        pytest.param("", {"type": "number"}, "but the model says that it is a text", id="number for a text"),
        pytest.param(False, {"type": "integer"}, "but the model says that it is a boolean", id="integer for a boolean"),
        pytest.param({"x": 1}, {"type": "array"}, "has the type 'array', which does not exist", id="array"),
        pytest.param(0, {"description": 5}, "has a `description` that is no text", id="description"),
        pytest.param(0, {"minimum": "0"}, "has a `minimum` that is no number", id="minimum"),
        pytest.param(0, {"maximum": True}, "has a `maximum` that is no number", id="maximum"),
        pytest.param(0, {"maximum": None}, "has a `maximum` that is no number", id="null maximum"),
        pytest.param(0, {"minimum": 2, "maximum": 1}, "has a `minimum` above its `maximum`", id="swapped"),
        pytest.param(
            0, {"type": "integer", "minimum": 0.2, "maximum": 0.8}, "has a `minimum` above its `maximum`", id="between"
        ),
        pytest.param(0, {"multipleOf": 0}, "has a `multipleOf` that is no positive integer", id="multiple of 0"),
        pytest.param(0, {"multipleOf": 0.1}, "has a `multipleOf` that is no positive integer", id="multiple of 0.1"),
        pytest.param(0, {"multipleOf": True}, "has a `multipleOf` that is no positive integer", id="multiple of true"),
        pytest.param(0, {"multipleOf": 2**53}, "has a `multipleOf` that is no positive integer", id="unsafe multiple"),
        pytest.param(0, {"minLength": 1}, "has `minLength`, which does not go with a number", id="length of a number"),
        pytest.param("", {"minimum": 1}, "has `minimum`, which does not go with a text", id="minimum of a text"),
        pytest.param({"x": 1}, {"multipleOf": 1}, "which does not go with a category", id="multiple of a category"),
        pytest.param("", {"minLength": -1}, "has a `minLength` that is no length", id="negative length"),
        pytest.param("", {"maxLength": 1.5}, "has a `maxLength` that is no length", id="fractional length"),
        pytest.param("", {"maxLength": True}, "has a `maxLength` that is no length", id="length is true"),
        pytest.param("", {"minLength": 2, "maxLength": 1}, "has a `minLength` above its `maxLength`", id="lengths"),
        pytest.param(0, {"examples": 1}, "has `examples` that are no array", id="examples"),
        pytest.param(0, {"examples": ["x"]}, "has 'x' in `examples`, but it must be a number", id="example"),
        pytest.param(0, {"default": None}, "has None in `default`, but it must be a number", id="null by default"),
        pytest.param({"x": 1}, {"default": "y"}, "has 'y' in `default`, but it must be one of its 1", id="label"),
        pytest.param(
            0, {"minimum": 1, "maximum": 2, "multipleOf": 5}, "must be a number that is a multiple of 5 from 1 to 2, "
            "which no value is", id="no value"
        ),
    ],
)  # fmt: skip
def test_refused_fragment(entry: object, fragment: dict[str, Any], message: str) -> None:
    """A fragment that cannot be used is refused in a sentence that names the parameter and the keyword."""
    with pytest.raises(BundleError) as raised:
        one(entry, fragment)
    assert str(raised.value).startswith("metadata.json's parameter 'a' ")
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("fragments", "message"),
    [
        pytest.param([], "must be an object of JSON Schema fragments", id="array"),
        pytest.param({"a": []}, "must be an object of JSON Schema fragments", id="array for a fragment"),
        pytest.param({"c": {}}, "names 'c', which the model does not have", id="unknown"),
    ],
)
def test_refused_fragments(fragments: object, message: str) -> None:
    """The metadata's `parameters` must be fragments by the names of the model's own parameters."""
    with pytest.raises(BundleError, match=message):
        make_parameters(None, fragments, NUMBERS, by_name=True)


def test_all_reasons_together() -> None:
    """What is wrong with several parameters is told together."""
    with pytest.raises(BundleError) as raised:
        make_parameters({"a": 1, "b": 2}, None, NUMBERS, by_name=True)
    assert len(raised.value.reasons) == 2


@pytest.mark.parametrize(
    ("fragment", "expected"),
    [
        pytest.param(
            {"maximun": 5, "minimum": "0", "maximum": 5, "description": 1, "examples": [99, 3, 98], "default": 6},
            ["the keyword 'maximun'", "`description`", "`minimum`", "99 in `ex", "98 in `ex", "6 in `default`"],
            id="each alone",
        ),
        pytest.param({"type": "integr", "minLength": 1, "minimum": "0", "examples": ["x"]}, ["'integr'", "`minimum`"],
                     id="nothing is told of what goes with another type"),
        pytest.param({"minimum": 2, "maximum": 1, "multipleOf": 0, "examples": [5]}, ["above its", "`multipleOf`"],
                     id="nothing is told of values where the bounds are at fault"),
    ],
)  # fmt: skip
def test_all_reasons_of_a_parameter_together(fragment: dict[str, Any], expected: list[str]) -> None:
    """All that is wrong with one parameter is told together, and nothing that is only a consequence."""
    with pytest.raises(BundleError) as raised:
        one(0, fragment)
    assert len(raised.value.reasons) == len(expected)
    for reason, part in zip(raised.value.reasons, expected, strict=True):
        assert reason.startswith("metadata.json's parameter 'a' has ")
        assert part in reason


@pytest.mark.parametrize(
    ("value", "label"),
    [("a", "a"), (np.str_("a"), "a"), (1, 1), (2.0, 2), (np.int8(3), 3), (np.float64(4), 4), (True, True),
     (np.True_, True), (MAX_SAFE_INTEGER, MAX_SAFE_INTEGER)],
    ids=repr,
)  # fmt: skip
def test_make_label(value: object, label: object) -> None:
    """Texts, integers and booleans are labels, numpy's among them."""
    made = make_label(value, "here")
    assert (made, type(made)) == (label, type(label))


@pytest.mark.parametrize("value", [1.5, math.nan, math.inf, None, b"a", 2**53, -(2**53), []], ids=repr)
def test_no_label(value: object) -> None:
    """Anything else is no label."""
    with pytest.raises(BundleError, match=r"^here has the label"):
        make_label(value, "here")


def test_check_unique() -> None:
    """Two labels that are written alike are refused by name."""
    check_unique(["a", "b"], "labels.pkl")
    with pytest.raises(BundleError, match=r"labels\.pkl has two labels that are both written a in JSON"):
        check_unique(["a", "b", "a"], "labels.pkl")
