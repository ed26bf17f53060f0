"""Messages of the gRPC service: their bytes are those of the protocol's own classes."""

from typing import Any

import pytest
from google.protobuf.descriptor_pool import Default

from server.errors import MalformedBody
from server.protocols.messages import INFERENCE, METHODS, POOL, SERVICE, message, read, write

# Computed by hand: a tag is the field's number times 8 and its wire type; 0 number, 1 eight bytes, 2 length, 5 four.
BYTES: list[tuple[str, dict[str, Any], bytes]] = [
    ("ServerLiveResponse", {"live": True}, b"\x08\x01"),
    ("ServerLiveResponse", {"live": False}, b""),
    ("ModelReadyRequest", {"name": "m", "version": "1"}, b"\x0a\x01m\x12\x011"),
    ("ServerMetadataResponse", {"name": "s", "extensions": ["a", "b"]}, b"\x0a\x01s\x1a\x01a\x1a\x01b"),
    (
        "ModelMetadataResponse",
        {"versions": ["1"], "inputs": [{"name": "x", "datatype": "FP64", "shape": [-1]}]},
        b"\x12\x011\x22\x15\x0a\x01x\x12\x04FP64\x1a\x0a" + b"\xff" * 9 + b"\x01",
    ),
    ("InferParameter", {"bool_param": True}, b"\x08\x01"),
    ("InferParameter", {"int64_param": 300}, b"\x10\xac\x02"),
    ("InferParameter", {"string_param": "a"}, b"\x1a\x01a"),
    ("InferParameter", {"double_param": 1.5}, b"\x21" + b"\0" * 6 + b"\xf8\x3f"),
    ("InferParameter", {"uint64_param": 1}, b"\x28\x01"),
    (
        "InferTensorContents",
        {"bool_contents": [True, False], "int_contents": [-1], "fp32_contents": [1.0], "bytes_contents": [b"a", b""]},
        b"\x0a\x02\x01\x00\x12\x0a" + b"\xff" * 9 + b"\x01" + b"\x32\x04\x00\x00\x80\x3f" + b"\x42\x01a\x42\x00",
    ),
    (
        "InferTensorContents",
        {"int64_contents": [1], "uint_contents": [2], "uint64_contents": [3], "fp64_contents": [1.5]},
        b"\x1a\x01\x01\x22\x01\x02\x2a\x01\x03\x3a\x08" + b"\0" * 6 + b"\xf8\x3f",
    ),
    (
        "ModelInferRequest",
        {"model_name": "m", "id": "i", "parameters": {"p": {"bool_param": True}}, "raw_input_contents": [b"r"]},
        b"\x0a\x01m\x1a\x01i\x22\x07\x0a\x01p\x12\x02\x08\x01\x3a\x01r",
    ),
    (
        "ModelInferRequest",
        {
            "inputs": [{"name": "x", "contents": {"int64_contents": [7]}}],
            "outputs": [{"name": "y", "parameters": {"k": {"int64_param": 1}}}],
        },
        b"\x2a\x08\x0a\x01x\x2a\x03\x1a\x01\x07\x32\x0c\x0a\x01y\x12\x07\x0a\x01k\x12\x02\x10\x01",
    ),
    (
        "ModelInferResponse",
        {"model_name": "m", "outputs": [{"name": "y", "shape": [2]}], "raw_output_contents": [b"r"]},
        b"\x0a\x01m\x2a\x06\x0a\x01y\x1a\x01\x02\x32\x01r",
    ),
]


@pytest.mark.parametrize(
    ("name", "members", "expected"), BYTES, ids=[f"{at}-{each[0]}" for at, each in enumerate(BYTES)]
)
def test_bytes(name: str, members: dict[str, Any], expected: bytes) -> None:
    """A message is written as the protocol's numbers say, and reads as it was written."""
    made = message(name)(**members)
    assert write(made) == expected
    assert read(message(name), expected) == made


def test_unknown_fields() -> None:
    """Fields of other releases of the protocol are passed over."""
    assert read(message("ModelReadyRequest"), b"\x0a\x01m\xfa\x06\x01x\xf8\x07\x01").name == "m"


@pytest.mark.parametrize(
    "sent", [b"\xff", b"\x0a\x05m", b"\x0a\x01\xff", b"\x0b"], ids=["tag", "short", "no UTF-8", "group"]
)
def test_what_is_no_message(sent: bytes) -> None:
    """What is no message is refused by a sentence that says which one is wanted."""
    with pytest.raises(MalformedBody, match=r"inference\.ModelReadyRequest"):
        read(message("ModelReadyRequest"), sent)


def test_the_choice() -> None:
    """A parameter has one value: the last that was set."""
    made = message("InferParameter")(int64_param=1)
    made.string_param = "a"
    assert made.WhichOneof("parameter_choice") == "string_param"
    assert write(made) == b"\x1a\x01a"


def test_the_service() -> None:
    """Each method has a request and an answer in the table, and nothing of it is in the pool that others share."""
    service = POOL.FindServiceByName(SERVICE)
    assert [each.name for each in service.methods] == list(METHODS)
    for each in service.methods:
        assert each.input_type.full_name == f"inference.{each.name}Request"
        assert each.output_type.name in INFERENCE
    with pytest.raises(KeyError):
        Default().FindServiceByName(SERVICE)
