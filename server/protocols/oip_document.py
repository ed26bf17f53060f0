"""The part of the OpenAPI document that tells of the Open Inference Protocol over HTTP. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from server.model import Model
from server.openapi import Part, ref
from server.protocols.metadata import Metadata, inputs_of, outputs_of
from server.protocols.protocol import (
    ERROR,
    REFUSALS,
    REFUSALS_OF_READS,
    body_of,
    operation,
    path_parameter,
)
from server.protocols.raw import DATATYPES
from server.schemas import Schema, object_schema
from server.settings import Settings

TAG: Final = "Open Inference Protocol"
BINARY: Final = (
    "Tensors may also be sent and had as bytes, by Triton's extension for binary tensor data: the body is then "
    "`application/octet-stream`, and the header `Inference-Header-Content-Length` says how many bytes of it are JSON."
)
TEXT: Final[Schema] = {"type": "string"}
SCALAR: Final[Schema] = {"type": ["number", "string", "boolean", "null"]}


def part(model: Model, settings: Settings) -> Part:
    """Write the part."""
    inputs, outputs = inputs_of(model.signature), outputs_of(model.outputs)
    asked, example = _request(model, settings, inputs, outputs), _example(model, inputs)
    metadata = {"name": TEXT, "datatype": TEXT, "shape": {"type": "array", "items": {"type": "integer"}}}
    tensors = {"type": "array", "items": object_schema(metadata)}
    of_server = {"name": TEXT, "version": TEXT, "extensions": {"type": "array", "items": TEXT}}
    of_model = {"name": TEXT, "versions": {"type": "array", "items": TEXT}, "platform": TEXT}
    of_model |= {"inputs": tensors, "outputs": tensors}
    flag: Schema = {"type": "boolean"}

    def read(name: str, summary: str, answer: Mapping[str, Schema], statuses: Sequence[int], **more: object) -> Any:  # noqa: ANN401
        schema = object_schema(answer)
        return {"get": operation(name, summary, TAG, schema, error="OipError", statuses=statuses, **more)}

    paths: dict[str, Any] = {
        "/v2": read("v2_server", "What the server is", of_server, REFUSALS_OF_READS),
        "/v2/health/live": read("v2_live", "Whether the server answers", {"live": flag}, REFUSALS_OF_READS),
        "/v2/health/ready": read(
            "v2_ready", "Whether requests are welcome", {"ready": flag}, (*REFUSALS_OF_READS, 503)
        ),
    }
    named = [path_parameter("name", model.identity.name)]
    versioned = [*named, path_parameter("version", model.identity.version_text)]
    for at, name, parameters in (("", "v2_model", named), ("/versions/{version}", "v2_version", versioned)):
        path = f"/v2/models/{{name}}{at}"
        ready = {"name": TEXT, "ready": flag}
        statuses = (*REFUSALS_OF_READS, 503)
        infer = operation(
            f"{name}_infer",
            "Infer: predict for the rows of tensors",
            TAG,
            ref("OipResponse"),
            error="OipError",
            statuses=REFUSALS,
            description=BINARY,
            parameters=parameters,
            requestBody=body_of(ref("OipRequest"), example),
        )
        infer["responses"]["200"]["content"]["application/octet-stream"] = {}
        paths |= {
            path: read(name, "What the model takes and gives", of_model, REFUSALS_OF_READS, parameters=parameters),
            f"{path}/ready": read(
                f"{name}_ready", "Whether the model is ready", ready, statuses, parameters=parameters
            ),
            f"{path}/infer": {"post": infer},
        }
    closed = (path for path in paths if not path.endswith(("/live", "/ready")))
    scopes = {path: "predict" if path.endswith("/infer") else "info" for path in closed}
    schemas = {"OipError": ERROR, "OipRequest": asked, "OipResponse": _response(outputs)}
    return Part(paths, schemas, scopes)


def _request(model: Model, settings: Settings, inputs: Sequence[Metadata], outputs: Sequence[Metadata]) -> Schema:
    """Write the schema of a request.

    No schema can say that data have as many elements as the shape says, that shapes agree, and what values a datatype
    and a parameter have.
    """
    signature = model.signature
    required = max(1, sum(each.required for each in signature.parameters))
    rows: Schema = {"type": "integer", "minimum": 1, "maximum": settings.max_rows}
    column: Schema = {"type": "array", "prefixItems": [rows, {"const": 1}], "minItems": 1, "maxItems": 2}
    width = {"const": len(inputs)}
    names: Schema = {"type": "string"}
    columns: Schema = {"type": "array", "minItems": required}
    if not signature.ignore_unknown:
        names["enum"] = [each.name for each in inputs]
        columns["maxItems"] = len(inputs)
    else:
        column = {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1, "maxItems": 2}
    columns["items"] = _tensor(names, column)
    matrix = _tensor(TEXT, {"type": "array", "prefixItems": [rows, width], "minItems": 2, "maxItems": 2})
    either = [columns, {"type": "array", "items": matrix, "minItems": 1, "maxItems": 1}]
    output = object_schema({"name": {"type": "string", "enum": [each.name for each in outputs]}})
    output["properties"]["parameters"] = _parameters("binary_data")
    schema = object_schema({"inputs": {"anyOf": either}})
    schema["properties"] |= {
        "id": {"type": ["string", "null"]},
        "parameters": _parameters("binary_data_output"),
        "outputs": {"type": ["array", "null"], "items": output},
    }
    return schema


def _tensor(name: Schema, shape: Schema) -> Schema:
    data: Schema = {"type": "array", "items": {"anyOf": [SCALAR, {"type": "array", "items": SCALAR}]}}
    datatype: Schema = {"type": "string", "enum": list(DATATYPES)}
    schema = object_schema({"name": name, "shape": shape, "datatype": datatype, "data": data})
    schema["properties"]["parameters"] = {"type": ["object", "null"]}
    return schema


def _parameters(flag: str) -> Schema:
    return {"type": ["object", "null"], "properties": {flag: {"type": ["boolean", "null"]}}}


def _response(outputs: Sequence[Metadata]) -> Schema:
    shape = {"type": "array", "items": {"type": "integer", "minimum": 1}}
    each = []
    for output in outputs:
        values = {"FP64": "number", "INT64": "integer", "BOOL": "boolean", "BYTES": "string"}[output.datatype]
        known: dict[str, Schema] = {
            "name": {"const": output.name},
            "datatype": {"const": output.datatype},
            "shape": shape,
        }
        schema = object_schema(known)
        schema["properties"] |= {
            "data": {"type": "array", "items": {"type": values}},
            "parameters": {"type": "object"},
        }
        each.append(schema)
    outputs_schema = {"type": "array", "items": {"anyOf": each}, "minItems": 1}
    return object_schema({"model_name": TEXT, "model_version": TEXT, "id": TEXT, "outputs": outputs_schema})


def _example(model: Model, inputs: Sequence[Metadata]) -> dict[str, Any]:
    row = model.signature.example()
    tensors = [
        {"name": each.name, "shape": [1], "datatype": each.datatype, "data": [row[each.name]]} for each in inputs
    ]
    return {"inputs": tensors}
