"""What `RowReader` reads and what `answers.values` gives, as JSON Schema 2020-12."""

from collections.abc import Mapping
from typing import Any, Final

from server.model import Model
from server.openapi import ref
from server.outputs import Form, Output, Outputs
from server.parameter import MAX_SAFE_INTEGER, Parameter
from server.protocols.answers import MEMBERS, METHOD, METHODS
from server.protocols.rows import codes_of
from server.schemas import Schema, input_schema, label_schema, object_schema, parameter_schema
from server.settings import Settings

ROWS: Final = "Rows"  # the names of the schemas that protocols share
SPLIT: Final = "Split"
PREDICTIONS: Final = "Predictions"


def row_schemas(model: Model, settings: Settings) -> Mapping[str, Schema]:
    """Write the schemas of rows, of each form and of all, and of predictions, by their names."""
    parameters = model.signature.parameters
    count = {"minItems": 1, "maxItems": settings.max_rows}
    values = [value_schema(parameter) for parameter in parameters]
    listed = {**_list(values), "description": "The values of one row, in the order of the parameters."}
    rows = {"anyOf": [ref("ListedRow"), *(values if len(values) == 1 else [])]}
    columns = input_schema(model, lambda parameter: {"type": "array", "items": value_schema(parameter), **count})
    if "additionalProperties" not in columns:
        columns["additionalProperties"] = {"type": "array", **count}
    columns["description"] = "A list for each parameter, all of the same length: a value for each row."
    return {
        "Record": {**input_schema(model, value_schema), "description": "One row, by the parameters' names."},
        "ListedRow": listed,
        "Columns": {**columns, "minProperties": 1},
        ROWS: {
            "anyOf": [
                {"type": "array", "items": ref("Record"), **count},
                {"type": "array", "items": rows, **count},
                ref("Columns"),
                {"type": "array", "items": ref("Columns"), "minItems": 1, "maxItems": 1},
            ]
        },
        PREDICTIONS: {"type": "array", "items": _answer(model.outputs), **count},
    }


def frame_schemas(model: Model, settings: Settings) -> Mapping[str, Schema]:
    """Write those schemas, and that of a frame that pandas has split.

    Its columns have the order of the parameters: no schema can say of each other order which values it has.
    """
    parameters = model.signature.parameters
    names = [parameter.name for parameter in parameters]
    row = ref("ListedRow") if len(names) > 1 else {"anyOf": [ref("ListedRow"), value_schema(parameters[0])]}
    split = object_schema(
        {"data": {"type": "array", "items": row, "minItems": 1, "maxItems": settings.max_rows}},
    )
    split["properties"] |= {
        "columns": {
            "description": "The names in the order of the values, which may be any; without them the parameters'.",
            "enum": [names, [*range(len(names))], None],
        },
        "index": {"description": "Names of the rows, which are not used."},
    }
    return {**row_schemas(model, settings), SPLIT: {**split, "additionalProperties": False}}


def with_choice(body: Schema, outputs: Outputs) -> Schema:
    """Add to the schema of a body what a request may choose: the method, in one of the members that say it."""
    methods = METHODS if outputs.form is Form.PROBABILITIES else METHODS[:1]
    choice = {"type": ["object", "null"], "properties": {METHOD: {"enum": list(methods)}}}
    chosen = {"type": "object", "required": [METHOD]}
    return {
        **body,
        "properties": {**body["properties"], **dict.fromkeys(MEMBERS, choice)},
        "not": {"required": list(MEMBERS), "properties": dict.fromkeys(MEMBERS, chosen)},
    }


def value_schema(parameter: Parameter) -> Schema:
    """Write the schema of a parameter's value, or its code."""
    schema, codes = parameter_schema(parameter), codes_of(parameter)
    if not codes:
        return schema
    return {"anyOf": [schema, {"enum": [_whole(code) for code in codes]}]}


def _whole(code: float) -> float:
    return int(code) if code % 1 == 0 and abs(code) <= MAX_SAFE_INTEGER else code


def _answer(outputs: Outputs) -> Schema:
    """Write the schema of one row's value, by either method."""
    each = [_predicted(output, outputs) for output in outputs.outputs]
    forms: list[Any] = [_list(each) if len(each) > 1 else each[0]]
    if outputs.form is Form.PROBABILITIES:
        number = {"type": "number", "minimum": 0, "maximum": 1}
        if outputs.multilabel:
            forms.append(_list([number] * len(each)))
        else:
            numbers = [_list([number] * len(output.labels)) for output in outputs.outputs]
            forms.append(_list(numbers) if len(numbers) > 1 else numbers[0])
    return {"anyOf": forms} if len(forms) > 1 else dict(forms[0])


def _predicted(output: Output, outputs: Outputs) -> Schema:
    return {"type": "number"} if outputs.form is Form.VALUES else label_schema(output)


def _list(items: list[Schema]) -> Schema:
    # Not `"items": False`, which says the same: apispec takes it for the name of a schema.
    each = {"items": items[0]} if all(item == items[0] for item in items) else {"prefixItems": items}
    return {"type": "array", **each, "minItems": len(items), "maxItems": len(items)}
