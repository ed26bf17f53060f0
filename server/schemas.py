"""What goes in and what comes out, as JSON Schema 2020-12, and as the schemas of Swagger 2.0. Pure.

Each parameter's schema says exactly what its encoder accepts.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from server.errors import InvalidInput
from server.model import Model
from server.outputs import Form, Output, Outputs
from server.parameter import MAX_SAFE_INTEGER, Absent, Kind, Label, Parameter
from server.problems import FIELD_CODES, PAGE, TYPES
from server.signature import MAX_ERRORS

Schema: TypeAlias = dict[str, Any]

JSON_TYPES: Final[Mapping[type, str]] = {str: "string", int: "integer", bool: "boolean"}
EXAMPLE_PROBLEM: Final = {
    "type": f"{PAGE}#missing-field",
    "title": TYPES[InvalidInput].title,
    "status": 422,
    "detail": "age is missing; give a number.",
    "error": "age is missing; give a number.",
    "error_count": 1,
    "errors": [{"pointer": "/age", "code": "missing", "detail": "age is missing; give a number."}],
    "request_id": "5d7f2f9a",
}


def parameter_schema(parameter: Parameter) -> Schema:
    """Write a parameter as JSON Schema 2020-12."""
    schema = _core(parameter)
    if parameter.nullable:
        if "enum" in schema:
            schema["enum"] = [*schema["enum"], None]
        if "type" in schema:
            types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
            schema["type"] = [*types, "null"]
    if parameter.examples or parameter.open:
        schema["examples"] = list(parameter.examples or parameter.labels[:5])
    return schema | _annotations(parameter)


def swagger_parameter_schema(parameter: Parameter) -> Schema:
    """Write a parameter as a schema of Swagger 2.0."""
    schema = _core(parameter)
    if isinstance(schema.get("type"), list):
        del schema["type"]  # a list of types is not known there; the labels say it
    if parameter.nullable:
        schema["x-nullable"] = True
    schema["example"] = parameter.example()
    schema |= _annotations(parameter)
    if parameter.default is None:
        del schema["default"]  # there, a default has the type that stands beside it
    return schema


def _core(parameter: Parameter) -> Schema:
    match parameter.kind:
        case Kind.CATEGORY if parameter.open:
            bounds = {"minimum": -MAX_SAFE_INTEGER, "maximum": MAX_SAFE_INTEGER}
            return {"type": "string"} if parameter.label_type is str else {"type": "integer", **bounds}
        case Kind.CATEGORY:
            return {"type": _types(parameter.labels), "enum": list(parameter.labels)}
        case Kind.BOOLEAN:
            return {"type": "boolean"}
        case Kind.TEXT:
            return {"type": "string"} | _present(minLength=parameter.min_length, maxLength=parameter.max_length)
        case Kind.INTEGER | Kind.NUMBER:
            return {"type": parameter.kind.value} | _present(
                minimum=parameter.minimum, maximum=parameter.maximum, multipleOf=parameter.multiple_of
            )


def _types(labels: Sequence[Label]) -> str | list[str]:
    types = list(dict.fromkeys(JSON_TYPES[type(label)] for label in labels))
    return types[0] if len(types) == 1 else types


def _annotations(parameter: Parameter) -> Schema:
    default = {} if isinstance(parameter.default, Absent) else {"default": parameter.default}
    return _present(description=parameter.description or None) | default


def _present(**members: object) -> Schema:
    return {name: value for name, value in members.items() if value is not None}


def input_schema(model: Model, write: Any = parameter_schema) -> Schema:  # noqa: ANN401
    """Write the schema of one row."""
    parameters = model.signature.parameters
    schema: Schema = {
        "type": "object",
        "properties": {parameter.name: write(parameter) for parameter in parameters},
    }
    if required := [parameter.name for parameter in parameters if parameter.required]:
        schema["required"] = required
    if not model.signature.ignore_unknown:
        schema["additionalProperties"] = False
    return schema


def answer_schema(outputs: Outputs) -> Schema:
    """Write the schema of the answer for one row."""
    if outputs.form is Form.PREDICTION:
        return object_schema({"prediction": _prediction(outputs)})
    return _numbers(outputs)


def detail_schema(outputs: Outputs) -> Schema:
    """Write the schema of the answer for one row with `detail=full`."""
    model = object_schema({"name": {"type": "string"}, "version": {"type": "string"}, "digest": {"type": "string"}})
    members: Schema = {"id": {"type": "string"}, "model": model}
    if outputs.form is not Form.VALUES:
        members["prediction"] = _prediction(outputs)
    if outputs.form is not Form.PREDICTION:
        members[outputs.form.value] = _numbers(outputs)
    return object_schema(members)


def _numbers(outputs: Outputs) -> Schema:
    number: Schema = {"type": "number"}
    if outputs.form is Form.PROBABILITIES:
        number |= {"minimum": 0, "maximum": 1}
    if outputs.form is Form.VALUES or outputs.multilabel:
        return object_schema({output.name: number for output in outputs.outputs})
    each = {output.name: object_schema(dict.fromkeys(output.keys, number)) for output in outputs.outputs}
    return object_schema(each) if outputs.several else next(iter(each.values()))


def _prediction(outputs: Outputs) -> Schema:
    each = {output.name: label_schema(output) for output in outputs.outputs}
    return object_schema(each) if outputs.several else next(iter(each.values()))


def label_schema(output: Output) -> Schema:
    """Write the schema of a label of an output."""
    return {"type": _types(output.labels), "enum": list(output.labels)}


def object_schema(members: Mapping[str, Schema]) -> Schema:
    """Write the schema of an object that has these members."""
    return {"type": "object", "properties": dict(members), "required": list(members)}


def problem_schema() -> Schema:
    """Write the schema of a problem document (RFC 9457)."""
    label = {"type": ["string", "integer", "boolean", "null"]}
    field = object_schema(
        {"pointer": {"type": "string"}, "code": {"enum": list(FIELD_CODES)}, "detail": {"type": "string"}}
    )
    field["properties"] |= {
        "allowed": {"type": "array", "items": label},
        "allowed_count": {"type": "integer"},
        "did_you_mean": {"type": "string"},
    }
    schema = object_schema(
        {
            "type": {"type": "string", "format": "uri-reference"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "error": {"type": "string", "description": "The same sentence as `detail`, for older clients."},
            "request_id": {"type": "string"},
        }
    )
    schema["properties"] |= {
        "errors": {"type": "array", "maxItems": MAX_ERRORS, "items": field},
        "error_count": {"type": "integer", "minimum": 1},
    }
    schema["example"] = EXAMPLE_PROBLEM
    return schema
