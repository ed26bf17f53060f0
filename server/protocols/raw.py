"""Elements of tensors as bytes: little-endian, in row-major order, without padding. Pure.

Formats: Triton's extension for binary tensor data, and the raw contents of the Open Inference Protocol over gRPC.
"""

import struct
from collections.abc import Sequence
from typing import Final

import numpy as np

from server.errors import WrongForm

BYTES: Final = "BYTES"
BOOL: Final = "BOOL"
NUMBERS: Final = {
    **{
        f"{sign}{size}": f"<{kind}{size // 8}"
        for sign, kind in (("UINT", "u"), ("INT", "i"))
        for size in (8, 16, 32, 64)
    },
    **{f"FP{size}": f"<f{size // 8}" for size in (16, 32, 64)},
}
DTYPES: Final = {BOOL: np.dtype("?"), **{name: np.dtype(code) for name, code in NUMBERS.items()}}
DATATYPES: Final = (*DTYPES, BYTES)
LENGTH: Final = struct.Struct("<I")  # stands before each element of BYTES


def count_of(shape: Sequence[int], what: str) -> int:
    """Give how many elements a column or a matrix has; raise `WrongForm` for what is the shape of neither.

    `what` names the tensor in the message. A count may be as large as it likes: nothing is made of it.
    """
    if not 1 <= len(shape) <= 2 or any(type(each) is not int or each < 0 for each in shape):
        msg = f"{what}: `shape` must be [rows] or [rows, columns], whole numbers from 0."
        raise WrongForm(msg)
    return shape[0] if len(shape) == 1 else shape[0] * shape[1]


def decode(datatype: str, shape: Sequence[int], raw: bytes, what: str = "A tensor") -> list[object]:
    """Give the elements of a tensor: numbers, or true and false; bytes for BYTES.

    Takes no more memory than its bytes are in proportion to, whatever the shape says. Raises `WrongForm`.
    """
    count = count_of(shape, what)
    if datatype == BYTES:
        return _elements(count, raw, what)
    if datatype not in DTYPES:
        raise WrongForm(unknown_datatype(what))
    expected = count * DTYPES[datatype].itemsize
    if len(raw) != expected:
        raise WrongForm(f"{what} has {len(raw)} bytes of data, not as many as its shape and its datatype say.")
    elements: list[object] = np.frombuffer(raw, DTYPES[datatype]).tolist()
    return elements


def encode(datatype: str, data: Sequence[object]) -> bytes:
    """Write the elements of a tensor, as `decode` gives them; BYTES may also be texts."""
    if datatype != BYTES:
        return np.array(data, DTYPES[datatype]).tobytes()
    elements = [each.encode() if isinstance(each, str) else each for each in data]
    return b"".join(LENGTH.pack(len(each)) + each for each in elements)  # type: ignore[arg-type,operator]  # all bytes


def unknown_datatype(what: str) -> str:
    """Say that there is no such datatype."""
    return f"{what}: `datatype` must be one of {', '.join(DATATYPES)}."


def _elements(count: int, raw: bytes, what: str) -> list[object]:
    """Take texts apart, each with its length before it."""
    if count * LENGTH.size > len(raw):
        raise WrongForm(f"{what} has {len(raw)} bytes of data, too few for the elements that its shape says.")
    elements: list[object] = []
    at = 0
    for _ in range(count):
        if at + LENGTH.size > len(raw):
            break
        start = at + LENGTH.size
        at = start + LENGTH.unpack_from(raw, at)[0]
        elements.append(raw[start:at])
    if at != len(raw) or len(elements) != count:
        raise WrongForm(f"{what}: the elements of its data do not end where the data ends.")
    return elements
