"""From a lookup, the metadata and what the estimator knows, the parameters of a model. Pure.

The lookup decides where there is one; the metadata refines it; what neither says is taken from the estimator.
"""

import dataclasses
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import numpy as np

from server.errors import BundleError, gathering, raise_gathered
from server.introspection import Column
from server.parameter import MAX_DOUBLE, MAX_SAFE_INTEGER, REFUSED, Absent, Code, Kind, Label, Parameter, Scalar

# The keywords of JSON Schema that a fragment in metadata.json may have.
BOUNDS: Final = ("minimum", "maximum", "multipleOf", "minLength", "maxLength")
KEYWORDS: Final = ("type", *BOUNDS, "description", "examples", "default")
TYPES: Final = {"number": Kind.NUMBER, "integer": Kind.INTEGER, "boolean": Kind.BOOLEAN, "string": Kind.TEXT}

Wrong: TypeAlias = Callable[[str], None]  # takes what is wrong with a parameter, in words that go on from its name


def make_parameters(
    lookup: object,
    fragments: object,
    columns: Sequence[Column] | None,
    *,
    by_name: bool,
    accept_unknown: bool = False,
) -> tuple[Parameter, ...]:
    """Make the parameters in the estimator's column order; raise `BundleError` for what does not fit together.

    `columns` are the estimator's own, None where it does not know them; `by_name` says that their names are its own
    too. `accept_unknown` opens those categories whose encoder takes unknown ones.
    """
    if lookup is None and columns is None:
        msg = (
            "The estimator does not know its input columns; add a lookup.pkl that names them, or fit it on a DataFrame."
        )
        raise BundleError(msg)
    entries = _entries(lookup) if lookup is not None else None
    reasons: list[str] = []
    with gathering(reasons):
        _check_names(entries, columns, by_name=by_name)
    columns = _ordered(entries, columns, by_name=by_name)
    fragments = _fragments(fragments, [column.name for column in columns], reasons)
    parameters: list[Parameter] = []
    for column in columns:
        with gathering(reasons):
            parameter = _from_lookup(column, entries[column.name]) if entries is not None else _from_column(column)
            if parameter.kind is Kind.CATEGORY and not parameter.labels:
                msg = f"Parameter {column.name!r} has no label but null; give it one, or train the model without it."
                raise BundleError(msg)
            if column.open and accept_unknown and _codes_are_labels(parameter) and parameter.label_type in (str, int):
                parameter = dataclasses.replace(parameter, open=True)
            parameters.append(_refined(parameter, fragments.get(column.name, {}), guessed=entries is None))
    raise_gathered(reasons)
    return tuple(parameters)


def _entries(lookup: object) -> dict[str, object]:
    if not isinstance(lookup, Mapping):
        msg = (
            f"lookup.pkl holds a {type(lookup).__name__}; expected a mapping from parameter name to {{label: code}}, "
            'or to 0 for a number, False for true or false, "" for a text.'
        )
        raise BundleError(msg)
    entries = {}
    for name, entry in lookup.items():
        if not isinstance(name, str) or not name:
            msg = f"lookup.pkl names a parameter {name!r}; a name must be a text that is not empty."
            raise BundleError(msg)
        entries[_text(name, "lookup.pkl's parameter name")] = entry
    if not entries:
        msg = "lookup.pkl is empty; it must name each parameter of the model."
        raise BundleError(msg)
    return entries


def _ordered(entries: dict[str, object] | None, columns: Sequence[Column] | None, *, by_name: bool) -> list[Column]:
    """Bring the lookup's names and the estimator's columns together, in the estimator's order."""
    if entries is None:
        return list(columns or ())
    if columns is None:
        return [Column(name) for name in entries]
    if by_name:
        return [column for column in columns if column.name in entries]
    return [dataclasses.replace(column, name=name) for name, column in zip(entries, columns, strict=False)]


def _check_names(entries: dict[str, object] | None, columns: Sequence[Column] | None, *, by_name: bool) -> None:
    """See that the lookup names the estimator's columns, each once."""
    if entries is None or columns is None:
        return
    if by_name:
        own = [column.name for column in columns]
        missing = [name for name in own if name not in entries]
        extra = [name for name in entries if name not in own]
        if missing or extra:
            msg = "lookup.pkl does not name the model's columns:" + ";".join(
                f" {what} {', '.join(map(repr, some[:5]))}"
                for what, some in (("it lacks", missing), ("the model has no", extra))
                if some
            )
            raise BundleError(msg + ".")
    elif len(entries) != len(columns):
        msg = f"lookup.pkl names {len(entries)} parameters, and the model was fitted on {len(columns)} columns."
        raise BundleError(msg)


def _from_lookup(column: Column, entry: object) -> Parameter:
    value = entry.item() if isinstance(entry, np.generic) else entry
    if isinstance(value, bool) and value is False:
        return Parameter(name=column.name, kind=Kind.BOOLEAN)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value == 0:
        return Parameter(name=column.name, kind=Kind.NUMBER, null_code=column.missing_code)
    if value == "" and isinstance(value, str):
        return Parameter(name=column.name, kind=Kind.TEXT, null_code=column.missing_code)
    if isinstance(value, Mapping) and value:
        return _category(column, value)
    msg = (
        f"lookup.pkl says {value!r} of parameter {column.name!r}; expected a mapping {{label: code}} that is not "
        'empty, or 0 for a number, False for true or false, "" for a text.'
    )
    raise BundleError(msg)


def _category(column: Column, mapping: Mapping[Any, Any]) -> Parameter:
    labels: list[Label] = []
    codes: list[Code] = []
    null: dict[str, Any] = {}
    for raw_label, raw_code in mapping.items():
        code = raw_code.item() if isinstance(raw_code, np.generic) else raw_code
        if not isinstance(code, (str, int, float, bool)) and code is not None:
            msg = f"lookup.pkl maps a label of {column.name!r} to a {type(code).__name__}; expected a number or a text."
            raise BundleError(msg)
        if raw_label is None:
            null = {"nullable": True, "null_code": code}
            continue
        labels.append(make_label(raw_label, f"lookup.pkl's parameter {column.name!r}"))
        codes.append(code)
    if column.categories is not None and not column.open:
        unseen = next((code for code in codes if code not in column.categories), None)
        if unseen is not None:
            more = f" and {len(column.categories) - 5} more" if len(column.categories) > 5 else ""
            msg = (
                f"lookup.pkl maps a label of {column.name!r} to {unseen!r}, a code that the model's encoder never saw; "
                f"it knows {', '.join(map(repr, column.categories[:5]))}{more}."
            )
            raise BundleError(msg)
    check_unique([json.dumps(label) for label in labels], f"lookup.pkl's parameter {column.name!r}")
    return Parameter(
        name=column.name,
        kind=Kind.CATEGORY,
        labels=tuple(labels),
        codes=tuple(codes),
        **(null or {"null_code": column.missing_code}),
    )


def _from_column(column: Column) -> Parameter:
    name = _text(column.name, "the model's column")
    missing: dict[str, Any] = {"nullable": column.missing, "null_code": column.missing_code}
    if column.text:
        return Parameter(name=name, kind=Kind.TEXT, **missing)
    if column.categories is None:
        return Parameter(name=name, kind=Kind.NUMBER, **missing)
    labels = tuple(make_label(code, f"the encoder of column {name!r}") for code in column.categories)
    return Parameter(name=name, kind=Kind.CATEGORY, labels=labels, codes=column.categories, **missing)


def _codes_are_labels(parameter: Parameter) -> bool:
    pairs = zip(parameter.labels, parameter.codes, strict=True)
    return parameter.kind is Kind.CATEGORY and all(type(a) is type(b) and a == b for a, b in pairs)


def make_label(value: object, where: str) -> Label:
    """Give the label that a value of a pickle is: numpy's scalars as Python's, whole floats as integers."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str):
        return _text(value, f"{where}'s label")
    if isinstance(value, bool) or (isinstance(value, int) and abs(value) <= MAX_SAFE_INTEGER):
        return value
    msg = f"{where} has the label {value!r}; a label must be a text, an integer (up to 2^53 - 1) or a boolean."
    raise BundleError(msg)


def check_unique(texts: Sequence[str], where: str) -> None:
    """Refuse labels of which two are the same once they are written as JSON."""
    seen: set[str] = set()
    for text in texts:
        if text in seen:
            msg = f"{where} has two labels that are both written {text} in JSON; name them differently."
            raise BundleError(msg)
        seen.add(text)


def _text(text: str, where: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        msg = f"{where} {text!r} is not valid Unicode; JSON cannot say it."
        raise BundleError(msg) from None
    return str(text)


def _fragments(fragments: object, names: Sequence[str], reasons: list[str]) -> Mapping[str, Mapping[str, Any]]:
    if fragments is None:
        return {}
    if not isinstance(fragments, dict) or not all(isinstance(each, dict) for each in fragments.values()):
        reasons.append("metadata.json's `parameters` must be an object of JSON Schema fragments, one for a parameter.")
        return {}
    unknown = [name for name in fragments if name not in names]
    reasons += [f"metadata.json's `parameters` names {name!r}, which the model does not have." for name in unknown]
    return fragments


def _refined(parameter: Parameter, fragment: Mapping[str, Any], *, guessed: bool) -> Parameter:
    """Narrow a parameter by its fragment of the metadata; see that its default and examples are accepted.

    `guessed` says that a number is one only for want of a lookup: then the metadata may say otherwise.
    """
    reasons: list[str] = []

    def wrong(what: str) -> None:
        reasons.append(f"metadata.json's parameter {parameter.name!r} {what}.")

    for keyword in fragment:
        if keyword not in KEYWORDS:
            wrong(f"has the keyword {keyword!r}; these are understood: {', '.join(KEYWORDS)}")
    if not isinstance(fragment.get("description", ""), str):
        wrong("has a `description` that is no text")
    read = _kind(parameter, fragment, wrong, guessed=guessed)
    kind, nullable = read or (parameter.kind, parameter.nullable)
    changes: dict[str, Any] = {"kind": kind, "nullable": nullable, "description": fragment.get("description", "")}
    if kind in (Kind.NUMBER, Kind.INTEGER):
        changes |= _number_bounds(kind, fragment, wrong)
    elif kind is Kind.TEXT:
        changes |= _lengths(fragment, wrong)
    if read is not None:  # what goes with a type that is wrong can only be guessed
        for keyword in BOUNDS:
            if keyword in fragment and _snake(keyword) not in changes:
                wrong(f"has `{keyword}`, which does not go with a {kind}")
        parameter = _with_values(dataclasses.replace(parameter, **changes), fragment, wrong)
        if not reasons and parameter.encoder()(parameter.example()) is REFUSED:
            wrong(f"must be {parameter.expectation()}, which no value is")
    raise_gathered(reasons)
    return parameter


def _with_values(parameter: Parameter, fragment: Mapping[str, Any], wrong: Wrong) -> Parameter:
    """Add the default and the examples, each of which the parameter itself must accept."""
    encode = parameter.encoder()
    examples = fragment.get("examples", [])
    if not isinstance(examples, list):
        wrong("has `examples` that are no array")
        examples = []
    default: Scalar | Absent = fragment.get("default", parameter.default)
    for keyword, values in (("examples", examples), ("default", [default] if "default" in fragment else [])):
        for value in values:
            if encode(value) is REFUSED:
                wrong(f"has {value!r} in `{keyword}`, but it must be {parameter.expectation()}")
    return dataclasses.replace(parameter, default=default, examples=tuple(examples))


def _kind(
    parameter: Parameter, fragment: Mapping[str, Any], wrong: Wrong, *, guessed: bool
) -> tuple[Kind, bool] | None:
    """Read `type`, a name or an array of a name and "null", and whether null is accepted; None if it is wrong."""
    if "type" not in fragment:
        return parameter.kind, parameter.nullable
    names = fragment["type"] if isinstance(fragment["type"], list) else [fragment["type"]]
    others = [name for name in names if name != "null"]
    if not others or len(others) > 1 or not all(isinstance(name, str) for name in names):
        wrong(f'has the type {fragment["type"]!r}; expected one type, and "null" beside it if need be')
        return None
    kind = TYPES.get(others[0])
    if kind is None:
        wrong(f"has the type {others[0]!r}, which does not exist; these are understood: {', '.join(TYPES)}")
        return None
    if parameter.kind is Kind.CATEGORY:
        kind = Kind.CATEGORY  # the labels say more than their type
    allowed = {parameter.kind}
    if parameter.kind is Kind.NUMBER:
        allowed |= {Kind.INTEGER, *((Kind.BOOLEAN, Kind.TEXT) if guessed else ())}
    if kind not in allowed:
        wrong(f"has the type {others[0]!r}, but the model says that it is a {parameter.kind}")
        return None
    return kind, "null" in names or (parameter.nullable and parameter.kind is Kind.CATEGORY)


def _number_bounds(kind: Kind, fragment: Mapping[str, Any], wrong: Wrong) -> dict[str, Any]:
    limit = MAX_SAFE_INTEGER if kind is Kind.INTEGER else MAX_DOUBLE
    widest: dict[str, Any] = {"minimum": -limit, "maximum": limit, "multiple_of": None}
    bounds = dict(widest)
    for keyword in ("minimum", "maximum"):
        if keyword not in fragment:
            continue
        value = fragment[keyword]
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            wrong(f"has a `{keyword}` that is no number")
            continue
        bounds[keyword] = max(-limit, min(limit, value))
        if kind is Kind.INTEGER:
            bounds[keyword] = math.ceil(value) if keyword == "minimum" else math.floor(value)
            bounds[keyword] = max(-limit, min(limit, bounds[keyword]))
    if bounds["minimum"] > bounds["maximum"]:
        wrong("has a `minimum` above its `maximum`")
        bounds = dict(widest)
    step = fragment.get("multipleOf")
    if step is not None:
        if isinstance(step, float) and step.is_integer():
            step = int(step)
        if isinstance(step, bool) or not isinstance(step, int) or not 1 <= step <= MAX_SAFE_INTEGER:
            wrong("has a `multipleOf` that is no positive integer")
            step = None
        bounds["multiple_of"] = step
    return bounds


def _lengths(fragment: Mapping[str, Any], wrong: Wrong) -> dict[str, Any]:
    lengths: dict[str, Any] = {}
    for keyword in ("minLength", "maxLength"):
        value = fragment.get(keyword)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
            wrong(f"has a `{keyword}` that is no length")
            value = None
        lengths[_snake(keyword)] = value
    if None not in lengths.values() and lengths["min_length"] > lengths["max_length"]:
        wrong("has a `minLength` above its `maxLength`")
        lengths = dict.fromkeys(lengths)
    return lengths


def _snake(keyword: str) -> str:
    return {"multipleOf": "multiple_of", "minLength": "min_length", "maxLength": "max_length"}.get(keyword, keyword)
