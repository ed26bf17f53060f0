"""Elements of tensors as bytes."""

import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import WrongForm
from server.protocols.raw import BOOL, BYTES, DATATYPES, DTYPES, decode, encode


def elements(datatype: str) -> st.SearchStrategy[Any]:
    """Draw an element of a datatype."""
    if datatype == BYTES:
        return st.binary(max_size=9)
    if datatype == BOOL:
        return st.booleans()
    dtype = DTYPES[datatype]
    if dtype.kind == "f":
        return st.floats(width=dtype.itemsize * 8)  # type: ignore[arg-type]  # 16, 32 or 64
    info = np.iinfo(dtype)
    return st.integers(int(info.min), int(info.max))


TENSORS = st.sampled_from(DATATYPES).flatmap(lambda name: st.tuples(st.just(name), st.lists(elements(name))))


def same(one: object, other: object) -> bool:
    """Tell whether two elements are the same, NaN being itself."""
    if isinstance(one, float) and math.isnan(one):
        return isinstance(other, float) and math.isnan(other)
    return one == other and type(one) is type(other)


@given(TENSORS)
def test_decoding_is_the_inverse_of_encoding(tensor: tuple[str, list[Any]]) -> None:
    """What is written of elements is read as the same elements, of the same types."""
    datatype, data = tensor
    again = decode(datatype, [len(data)], encode(datatype, data))
    assert len(again) == len(data)
    assert all(map(same, again, data))


@given(TENSORS)
def test_encoding_is_the_inverse_of_decoding(tensor: tuple[str, list[Any]]) -> None:
    """The bytes of a tensor are written as they were read."""
    datatype, data = tensor
    raw = encode(datatype, data)
    assert len(raw) == (
        sum(4 + len(each) for each in data) if datatype == BYTES else len(data) * DTYPES[datatype].itemsize
    )
    if datatype != "FP16":  # which of its many NaN a number is, is lost
        assert encode(datatype, decode(datatype, [len(data)], raw)) == raw or any(each != each for each in data)


def test_bytes_are_in_the_order_that_the_extension_says() -> None:
    """Numbers are little-endian; true is 1; a text has its length before it."""
    assert encode("INT32", [1, -2]) == b"\x01\x00\x00\x00\xfe\xff\xff\xff"
    assert encode("FP32", [1.5]) == struct.pack("<f", 1.5)
    assert encode("BOOL", [True, False]) == b"\x01\x00"
    assert encode("BYTES", ["é", b"a"]) == b"\x02\x00\x00\x00\xc3\xa9\x01\x00\x00\x00a"


@given(
    st.sampled_from([*DATATYPES, "FP8", ""]),
    st.lists(st.integers(-1, 2**70) | st.integers(0, 4) | st.sampled_from([None, True, 1.0, "1"]), max_size=3),
    st.binary(max_size=40),
)
def test_arbitrary_bytes_are_read_or_refused(datatype: str, shape: list[Any], raw: bytes) -> None:
    """Whatever the shape says, there are as many elements as it says, or the tensor is refused."""
    try:
        data = decode(datatype, shape, raw)
    except WrongForm:
        return
    assert len(data) == math.prod(shape) <= len(raw)


@pytest.mark.parametrize(
    ("datatype", "shape", "raw"),
    [
        pytest.param("FP64", [2], b"\0" * 15, id="a byte too few"),
        pytest.param("FP64", [2], b"\0" * 17, id="a byte too many"),
        pytest.param("FP64", [2**62, 2**62], b"", id="a huge shape"),
        pytest.param("BYTES", [2**62], b"\0" * 8, id="a huge shape of texts"),
        pytest.param("BYTES", [1], b"\x05\0\0\0abc", id="a text that is longer than the data"),
        pytest.param("BYTES", [1], b"\xff\xff\xff\xff", id="a huge text"),
        pytest.param("BYTES", [1], b"\0\0\0\0\0\0\0\0", id="a text too many"),
        pytest.param("BYTES", [2], b"\x03\0\0\0abc\0", id="half a length"),
        pytest.param("FP64", [-1], b"", id="a negative size"),
        pytest.param("FP64", [], b"\0" * 8, id="rank 0"),
        pytest.param("FP64", [1, 1, 1], b"\0" * 8, id="rank 3"),
        pytest.param("BF16", [1], b"\0\0", id="an unknown datatype"),
    ],
)
def test_what_does_not_fit_together_is_refused(datatype: str, shape: list[int], raw: bytes) -> None:
    """Lengths, shapes and datatypes that contradict each other are refused, by the name of the tensor."""
    with pytest.raises(WrongForm, match=r"^Input x"):
        decode(datatype, shape, raw, "Input x")
