"""The messages of the Open Inference Protocol's gRPC service. Pure.

Made from a table into a pool of their own, so that no other package's classes of the same names are in their way.
Format: open_inference_grpc.proto, which the protocol publishes.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from server.errors import MalformedBody

PACKAGE: Final = "inference"
FILE: Final = "brinery/inference.proto"
SERVICE: Final = f"{PACKAGE}.GRPCInferenceService"
METHODS: Final = ("ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata", "ModelInfer")

TENSOR: Final = ("1 name string", "2 datatype string", "3 shape int64*")
FULL_TENSOR: Final = (*TENSOR, "4 parameters InferParameter{}", "5 contents InferTensorContents")
CALL: Final = ("1 model_name string", "2 model_version string", "3 id string", "4 parameters InferParameter{}")
OF_MODEL: Final = ("1 name string", "2 version string")

# A field is its number, its name and its type: `*` stands for a list, `{}` for a map from texts, `|` for one of several
# of which there is one at most.
INFERENCE: Final[Mapping[str, Sequence[str]]] = {
    "ServerLiveRequest": (),
    "ServerLiveResponse": ("1 live bool",),
    "ServerReadyRequest": (),
    "ServerReadyResponse": ("1 ready bool",),
    "ModelReadyRequest": OF_MODEL,
    "ModelReadyResponse": ("1 ready bool",),
    "ServerMetadataRequest": (),
    "ServerMetadataResponse": ("1 name string", "2 version string", "3 extensions string*"),
    "ModelMetadataRequest": OF_MODEL,
    "ModelMetadataResponse": (
        "1 name string",
        "2 versions string*",
        "3 platform string",
        "4 inputs ModelMetadataResponse.TensorMetadata*",
        "5 outputs ModelMetadataResponse.TensorMetadata*",
    ),
    "ModelMetadataResponse.TensorMetadata": TENSOR,
    "ModelInferRequest": (
        *CALL,
        "5 inputs ModelInferRequest.InferInputTensor*",
        "6 outputs ModelInferRequest.InferRequestedOutputTensor*",
        "7 raw_input_contents bytes*",
    ),
    "ModelInferRequest.InferInputTensor": FULL_TENSOR,
    "ModelInferRequest.InferRequestedOutputTensor": ("1 name string", "2 parameters InferParameter{}"),
    "ModelInferResponse": (
        *CALL,
        "5 outputs ModelInferResponse.InferOutputTensor*",
        "6 raw_output_contents bytes*",
    ),
    "ModelInferResponse.InferOutputTensor": FULL_TENSOR,
    "InferParameter": (
        "1 bool_param bool|parameter_choice",
        "2 int64_param int64|parameter_choice",
        "3 string_param string|parameter_choice",
        "4 double_param double|parameter_choice",
        "5 uint64_param uint64|parameter_choice",
    ),
    "InferTensorContents": (
        "1 bool_contents bool*",
        "2 int_contents int32*",
        "3 int64_contents int64*",
        "4 uint_contents uint32*",
        "5 uint64_contents uint64*",
        "6 fp32_contents float*",
        "7 fp64_contents double*",
        "8 bytes_contents bytes*",
    ),
}
FIELD: Final = re.compile(r"(?P<number>\d+) (?P<name>\w+) (?P<type>[\w.]+)(?P<form>\*|\{\}|\|(?P<choice>\w+))?")


def _file(name: str, package: str, messages: Mapping[str, Sequence[str]]) -> FileDescriptorProto:
    """Write a file of messages, the outer ones of each before those within."""
    file = FileDescriptorProto(name=name, package=package, syntax="proto3")
    made: dict[str, DescriptorProto] = {}
    for path, fields in messages.items():
        outer, _, own = path.rpartition(".")
        made[path] = (made[outer].nested_type if outer else file.message_type).add(name=own)
        for each in fields:
            _add(made[path], f".{package}.", f"{path}.", each)
    return file


def _add(message: DescriptorProto, package: str, path: str, written: str) -> None:
    """Add a field to a message."""
    match = FIELD.fullmatch(written)
    assert match is not None, f"{written!r} is no field"
    name, kind, form = match["name"], match["type"], match["form"]
    field = message.field.add(name=name, number=int(match["number"]), label=FieldDescriptorProto.LABEL_OPTIONAL)
    _set_type(field, package, kind)
    if match["choice"]:
        if not message.oneof_decl:
            message.oneof_decl.add(name=match["choice"])
        field.oneof_index = 0
    elif form:
        field.label = FieldDescriptorProto.LABEL_REPEATED
    if form == "{}":  # which is a list of entries
        entry = message.nested_type.add(name=f"{name.title()}Entry")
        entry.options.map_entry = True
        for part in ("1 key string", f"2 value {kind}"):
            _add(entry, package, path, part)
        _set_type(field, package, f"{path}{entry.name}")


def _set_type(field: FieldDescriptorProto, package: str, kind: str) -> None:
    if kind[0].islower():
        field.type = FieldDescriptorProto.Type.Value(f"TYPE_{kind.upper()}")
    else:
        field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, package + kind


def _pool() -> DescriptorPool:
    file = _file(FILE, PACKAGE, INFERENCE)
    service = file.service.add(name=SERVICE.removeprefix(f"{PACKAGE}."))
    for name in METHODS:
        service.method.add(name=name, input_type=f".{PACKAGE}.{name}Request", output_type=f".{PACKAGE}.{name}Response")
    pool = DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return pool


POOL: Final = _pool()


def described() -> Any:  # noqa: ANN401  # a FileDescriptor, which the stubs do not know as the pool's
    """Give the description of all messages and methods, for reflection."""
    return POOL.FindFileByName(FILE)


def message(name: str) -> type[Any]:
    """Give the class of a message by its name within the package."""
    made: type[Any] = GetMessageClass(POOL.FindMessageTypeByName(f"{PACKAGE}.{name}"))
    return made


def read(kind: type[Any], sent: bytes) -> Any:  # noqa: ANN401  # its members are known to its table alone
    """Read a message; raise `MalformedBody` for what is none. Fields that we do not know are of no matter."""
    try:
        return kind.FromString(sent)
    except DecodeError:
        name = kind.DESCRIPTOR.full_name
        raise MalformedBody(f"The message is no `{name}` as Protocol Buffers write it; send one.") from None


def write(made: Message) -> bytes:
    """Write a message: the same bytes for the same members."""
    return made.SerializeToString(deterministic=True)
