"""A request is accepted if and only if the published schema accepts it: for generated signatures and bodies."""

import json
import math
from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from server.decoding import decode
from server.errors import InvalidInput, MalformedBody, TooManyRows
from server.model import Model
from server.openapi import openapi_document, params
from server.parameter import MAX_SAFE_INTEGER, REFUSED, Kind, Parameter
from server.predictor import Predictor
from server.problems import FIELD_CODES, MAX_BYTES, describe
from server.signature import MAX_ERRORS
from tests.models import estimators, fake_model, real_model
from tests.models import settings as make_settings

MAX_ROWS = 3
SETTINGS = make_settings(max_rows=MAX_ROWS)
PLANTED = "planted-and-not-to-be-told"


class Literal(str):
    """A number as it is written in a JSON text."""


STRANGE_NAMES = [
    "a", "A", "é", "e\N{COMBINING ACUTE ACCENT}", "", " ", "/", "~", "~1", "a/b", "m~n", "\N{SNOWMAN}",
    "\N{GRINNING FACE}", '"', "\\", "\x00", "bruises?", "$ref", "type", "properties", "required", "__proto__", "0",
    "x" * 63,
]  # fmt: skip
NUMBERS = [
    "0", "-0", "-0.0", "1", "1.0", "1e0", "10e-1", "6", "6.0", "6.5", "1e2", "1E+2", "100", "0.1", "-7", "2.0000000001",
    "9007199254740991", "9007199254740992", "9007199254740993", "9007199254740991.0", "9007199254740992.0",
    "-9007199254740991", "-9007199254740992", "9223372036854775807", "-9223372036854775808", "18446744073709551615",
    "18446744073709551616", "123456789012345678901234567890", "99999999999999999999", "-99999999999999999999",
    "340282346638528859811704183484516925440", "340282346638528859811704183484516925441", "3.4028234663852886e38",
    "3.5e38", "1e300",
    "1.7976931348623157e308", "1e-400", "5e-324", "6.00000000000000000000001",
]  # fmt: skip

literals = st.one_of(
    st.sampled_from(NUMBERS),
    st.integers(-20, 20).map(str),
    st.integers().map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-20, 20).map(lambda value: f"{value}.0"),
).map(Literal)
texts = st.one_of(st.sampled_from(["", "1", "true", "null", "red", "Red", "a\nb"]), st.text(max_size=6))
names = st.one_of(st.sampled_from(STRANGE_NAMES), st.text(max_size=6))
scalars: st.SearchStrategy[Any] = st.one_of(st.none(), st.booleans(), literals, texts)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=6
)


def write(value: Any) -> str:
    """Write a value as JSON, each number as it stands."""
    if isinstance(value, Literal):
        return str(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{json.dumps(key)}:{write(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(write, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def read(text: str) -> Any:
    """Read JSON by another parser than the server's, each integer exactly."""
    return json.loads(text)


def spellings(value: int | float) -> st.SearchStrategy[Literal]:
    """Write a number in some of the ways that JSON has for it."""
    written = [str(value)]
    if value % 1 == 0 and abs(value) <= MAX_SAFE_INTEGER:
        written += [f"{int(value)}", f"{int(value)}.0", f"{int(value)}e0", f"{int(value) * 10}e-1"]
    return st.sampled_from(written).map(Literal)


safe_integers = st.one_of(st.integers(-5, 5), st.integers(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER))
labels: st.SearchStrategy[list[Any]] = st.one_of(
    st.lists(texts, min_size=1, max_size=5, unique=True),
    st.lists(safe_integers, min_size=1, max_size=5, unique=True),
    st.lists(
        st.one_of(st.booleans(), st.integers(0, 3), st.sampled_from(["0", "1", "true", "x"])),
        min_size=1,
        max_size=6,
        unique_by=json.dumps,
    ),
)


@st.composite
def bounds(draw: st.DrawFn, kind: Kind) -> dict[str, Any]:
    """Draw bounds of a number, both or, for a number, perhaps neither."""
    if kind is Kind.INTEGER:
        low, high = sorted([draw(safe_integers), draw(safe_integers)])
        return {"minimum": low, "maximum": high}
    limit = draw(st.sampled_from([None, 3.4028234663852886e38, 1.7976931348623157e308]))
    if limit is not None and draw(st.booleans()):
        return {"minimum": -limit, "maximum": limit}
    ends = st.one_of(st.integers(-10, 10), st.floats(-1e300, 1e300), st.sampled_from([0.5, -0.5, 1e20]))
    one, other = draw(st.none() | ends), draw(st.none() | ends)
    if one is not None and other is not None:
        one, other = min(one, other), max(one, other)
    return {"minimum": one, "maximum": other}


@st.composite
def parameters(draw: st.DrawFn, name: str) -> Parameter:
    """Draw a parameter that accepts something, as every parameter of a model that is served does."""
    kind = draw(st.sampled_from(Kind))
    given: dict[str, Any] = {"nullable": draw(st.booleans())}
    if kind is Kind.CATEGORY:
        own = draw(labels)
        given |= {"labels": tuple(own), "codes": tuple(range(len(own)))}
        given["open"] = len({type(each) for each in own}) == 1 and type(own[0]) is not bool and draw(st.booleans())
    elif kind in (Kind.NUMBER, Kind.INTEGER):
        given |= draw(bounds(kind))
        given["multiple_of"] = draw(st.none() | st.integers(1, 12) | st.just(2**40))
    elif kind is Kind.TEXT:
        low, high = sorted([draw(st.integers(0, 4)), draw(st.integers(0, 6))])
        given |= {"min_length": draw(st.sampled_from([None, low])), "max_length": draw(st.sampled_from([None, high]))}
    parameter = Parameter(name=name, kind=kind, **given)
    assume(parameter.encoder()(parameter.example()) is not REFUSED)
    if draw(st.booleans()):
        default = None if parameter.nullable and draw(st.booleans()) else parameter.example()
        parameter = Parameter(name=name, kind=kind, **given, default=default)
    return parameter


@st.composite
def models(draw: st.DrawFn, names: st.SearchStrategy[str] = names) -> Model:
    """Draw a model of up to three parameters."""
    some = draw(st.lists(names, min_size=1, max_size=3, unique=True))
    return fake_model(*[draw(parameters(name)) for name in some], ignore_unknown=draw(st.booleans()))


@st.composite
def good_values(draw: st.DrawFn, parameter: Parameter) -> Any:
    """Draw a value that most likely is accepted."""
    if parameter.nullable and draw(st.integers(0, 4)) == 0:
        return None
    match parameter.kind:
        case Kind.CATEGORY:
            if parameter.open and draw(st.booleans()):
                return draw(texts if parameter.label_type is str else safe_integers.flatmap(spellings))
            label = draw(st.sampled_from(parameter.labels))
            return draw(spellings(label)) if type(label) is int else label
        case Kind.BOOLEAN:
            return draw(st.booleans())
        case Kind.TEXT:
            return draw(st.text(min_size=parameter.min_length or 0, max_size=parameter.max_length))
        case _:
            ends = [each for each in (parameter.minimum, parameter.maximum) if each is not None]
            example = parameter.example()
            assert isinstance(example, (int, float))
            nearby = [each + step for each in ends for step in (-1, 0, 1)]
            return draw(st.sampled_from([example, *nearby]).flatmap(spellings))


def lookalikes(parameter: Parameter) -> list[Any]:
    """Give values that are easily taken for good ones, some of which are."""
    values: list[Any] = [Literal(edge + f"{2**53 - step}") for edge in ("", "-") for step in (0, 1)]
    for label in parameter.labels:
        if isinstance(label, str):
            values += [f"{label} ", label.swapcase(), label[:-1]]
            values += [Literal(label)] if label in ("0", "1") else []
            values += [label == "true"] if label in ("true", "false") else []
        else:
            values += [json.dumps(label), Literal(int(label)), Literal(f"{int(label)}.5")]
            values += [bool(label)] if label in (0, 1) else []
    if parameter.kind is Kind.TEXT:
        lengths = {(length or 0) + step for length in (parameter.min_length, parameter.max_length) for step in (0, 1)}
        values += ["\N{GRINNING FACE}" * length for length in lengths]
    for bound in (parameter.minimum, parameter.maximum):
        if bound is not None:
            beside = [bound - 1, bound + 1, math.nextafter(bound, -math.inf), math.nextafter(bound, math.inf)]
            beside += [int(bound) - 1, int(bound) + 1]
            values += [Literal(each) for each in (bound, *beside) if abs(each) < math.inf]
    if parameter.multiple_of is not None:
        example = parameter.example()
        assert isinstance(example, (int, float))
        values += [Literal(example + step) for step in (parameter.multiple_of, 1, 0.5, 2**-20)]
    return [*values, None, "", "0", "false", False, True, [], {}, *map(Literal, NUMBERS)]


@st.composite
def rows(draw: st.DrawFn, model: Model, values: st.SearchStrategy[Any] = anything) -> Any:
    """Draw a row that is good but for one thing at most, or sometimes anything at all."""
    row = {each.name: draw(good_values(each)) for each in model.signature.parameters}
    for each in model.signature.parameters:
        if not each.required and draw(st.integers(0, 3)) == 0:
            del row[each.name]
    match draw(st.sampled_from(["good", "good", "value", "lookalike", "lookalike", "missing", "unknown", "anything"])):
        case "value":
            row[draw(st.sampled_from(model.signature.parameters)).name] = draw(values)
        case "lookalike":
            parameter = draw(st.sampled_from(model.signature.parameters))
            row[parameter.name] = draw(st.sampled_from(lookalikes(parameter)))
        case "missing":
            row.pop(draw(st.sampled_from(model.signature.parameters)).name, None)
        case "unknown":
            row[draw(names)] = draw(values)
        case "anything":
            return draw(values)
    return row


@st.composite
def requests(draw: st.DrawFn, model: Model, values: st.SearchStrategy[Any] = anything) -> Any:
    """Draw what a request may hold: a row, or some rows."""
    if draw(st.integers(0, 3)):
        return draw(rows(model, values))
    return draw(st.lists(rows(model, values) | st.just(model.signature.example()), max_size=MAX_ROWS + 1))


def published(model: Model) -> Draft202012Validator:
    """Give the schema of a request as the document publishes it."""
    document = openapi_document(model, SETTINGS, {})
    body = document["paths"]["/api/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    return Draft202012Validator({**body, "components": document["components"]})


def accepts(model: Model, value: object) -> bool:
    """Tell whether the parser accepts a decoded value."""
    try:
        Predictor(model, max_rows=MAX_ROWS).batch(value)
    except (InvalidInput, TooManyRows):
        return False
    return True


def accepts_text(model: Model, text: str) -> bool:
    """Tell whether the predictor takes a text, by whichever way it reads it."""
    try:
        Predictor(model, max_rows=MAX_ROWS).parse(text.encode())
    except (InvalidInput, TooManyRows):
        return False
    return True


@given(st.data())
@settings(max_examples=500)
def test_parser_accepts_what_the_schema_accepts(data: st.DataObject) -> None:
    """Among JSON texts within our bounds, the parser accepts those that the published schema accepts, and no other."""
    model = data.draw(models())
    validator = published(model)
    for _ in range(4):
        text = write(data.draw(requests(model)))
        try:
            value = decode(text.encode())
        except MalformedBody:
            event("not within bounds")
            continue
        accepted = accepts(model, value)
        assert accepts_text(model, text) == accepted, text
        event("accepted" if accepted else "refused")
        assert accepted == validator.is_valid(read(text)), text


@given(models())
@settings(max_examples=120)
def test_lookalikes_are_told_apart(model: Model) -> None:
    """Of all values that are nearly right in one field, the parser accepts those that the published schema accepts."""
    validator, example = published(model), model.signature.example()
    for parameter in model.signature.parameters:
        for value in lookalikes(parameter):
            text = write({**example, parameter.name: value})
            assert accepts(model, decode(text.encode())) == validator.is_valid(read(text)), text


@given(models())
@settings(max_examples=100)
def test_what_we_suggest_is_accepted(model: Model) -> None:
    """The example, every label that is listed and every default are accepted by the parser and by the schema."""
    validator = published(model)
    example = model.signature.example()
    suggested: list[dict[str, Any]] = [dict(example)]
    for parameter, listed in zip(model.signature.parameters, params(model).values(), strict=True):
        if isinstance(listed, list):
            suggested += [{**example, parameter.name: label} for label in listed]
        if not parameter.required:
            suggested += [{**example, parameter.name: parameter.default}]
            suggested += [{name: value for name, value in example.items() if name != parameter.name}]
    for row in suggested:
        text = orjson.dumps(row)
        assert accepts(model, decode(text)), row
        assert validator.is_valid(read(text.decode())), row


@given(models())
@settings(max_examples=100)
def test_listing_names_what_the_signature_names(model: Model) -> None:
    """The listing has each parameter in the model's order: all labels of a category, or one value of its type."""
    listed = params(model)
    assert list(listed) == [each.name for each in model.signature.parameters]
    simple = {Kind.NUMBER: 0, Kind.INTEGER: 0, Kind.BOOLEAN: False, Kind.TEXT: ""}
    for parameter, entry in zip(model.signature.parameters, listed.values(), strict=True):
        if parameter.kind is Kind.CATEGORY:
            assert entry == [*parameter.labels, *([None] if parameter.nullable else [])]
        else:
            assert (entry, type(entry)) == (simple[parameter.kind], type(simple[parameter.kind]))


def resolve(document: Any, pointer: str) -> Any:
    """Follow a JSON Pointer, as RFC 6901 says; raise `LookupError` where it leads nowhere."""
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        document = document[int(key)] if isinstance(document, list) else document[key]
    return document


PLANTED_VALUES = st.sampled_from([PLANTED, {PLANTED: 1}, [PLANTED], {"deep": {"deeper": [PLANTED]}}])


@given(st.data())
@settings(max_examples=250)
def test_refusals_point_at_what_is_wrong(data: st.DataObject) -> None:
    """A refusal tells from one to twenty errors, each by a pointer into the request, and none by the caller's value."""
    model = data.draw(models())
    value = read(write(data.draw(requests(model, PLANTED_VALUES | anything))))
    try:
        Predictor(model, max_rows=MAX_ROWS).batch(value)
    except InvalidInput as error:
        refusal = error
    except TooManyRows:
        return
    else:
        event("accepted")
        return
    assert 1 <= len(refusal.errors) <= min(refusal.count, MAX_ERRORS)
    for each in refusal.errors:
        event(each.code)
        assert each.code in FIELD_CODES
        parent, _, last = each.pointer.rpartition("/")
        if each.code == "missing":
            assert last.replace("~1", "/").replace("~0", "~") not in resolve(value, parent)
        else:
            resolve(value, each.pointer)
        assert PLANTED not in each.detail
        assert PLANTED not in str(each.allowed) + str(each.did_you_mean)
    problem = describe(refusal, "x" * 128)
    assert len(orjson.dumps(problem)) <= MAX_BYTES
    without_pointers = {**problem, "errors": [{**each, "pointer": ""} for each in problem["errors"]]}
    assert PLANTED not in json.dumps(without_pointers)


@given(st.data())
@settings(max_examples=100)
def test_lenient_batches_refuse_the_same_rows(data: st.DataObject) -> None:
    """A lenient batch refuses exactly the rows that the schema refuses, and answers the others in their order."""
    model = data.draw(models())
    predictor = Predictor(model, max_rows=MAX_ROWS)
    value = read(write(data.draw(st.lists(rows(model), min_size=1, max_size=MAX_ROWS))))
    batch = predictor.batch(value, lenient=True)
    assert sorted(batch.refusals) == [index for index, row in enumerate(value) if not accepts(model, [row])]
    answer = predictor.render(batch, predictor.evaluate(batch), describe=lambda error: describe(error, ""))
    statuses = [item["status"] for item in orjson.loads(answer.body)]
    assert statuses == [422 if index in batch.refusals else 200 for index in range(len(value))]


@pytest.mark.parametrize("name", list(estimators()))
@pytest.mark.parametrize("full", [False, True], ids=["brief", "full"])
def test_answers_are_as_published(name: str, full: bool) -> None:
    """What a model answers, in brief and in full, is what the document says that it answers."""
    model = real_model(estimators()[name])
    predictor = Predictor(model, max_rows=MAX_ROWS)
    document = openapi_document(model, SETTINGS, {})
    schema = document["paths"]["/api/predict"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    reference = {"$ref": f"#/components/schemas/{'DetailedAnswer' if full else 'Answer'}"}
    example = model.signature.example()
    for request, expected in ((example, reference), ([example, example], schema)):
        batch = predictor.parse(orjson.dumps(request))
        evaluation = predictor.evaluate(batch, full=full)
        answer = predictor.render(batch, evaluation, describe=lambda error: describe(error, ""), full=full)
        said = orjson.loads(answer.body)
        for each in (expected, schema):
            Draft202012Validator({**each, "components": document["components"]}).validate(said)


@pytest.mark.parametrize("name", list(estimators()))
def test_problems_are_as_published(name: str) -> None:
    """A problem document is what the document says that it is."""
    model = real_model(estimators()[name])
    schema = openapi_document(model, SETTINGS, {})["components"]["schemas"]["Problem"]
    with pytest.raises(InvalidInput) as refusal:
        Predictor(model, max_rows=MAX_ROWS).batch([{"unknown": None}, 5])
    Draft202012Validator(schema).validate(describe(refusal.value, "id"))
