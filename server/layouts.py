"""numpy's dtypes as a pickle describes them: how many bytes an element has, and that the description is no lie.

A dtype's state says how numpy treats the memory of an array. One that calls bytes objects would make numpy follow
pointers that the file chose, so only states that numpy itself writes are taken. The format is that of
`numpy.dtype.__reduce__`.
"""

import re
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from server.symbols import Container, Group, Made

FIXED: Final = re.compile(r"[?biufc](?:1|2|4|8|16|32)?|O8?|[mM]8")
FLEXIBLE: Final = re.compile(r"[SUV]([0-9]{1,9})")
OBJECT_FLAGS: Final = 63
POINTER_FLAGS: Final = 7  # of an element that is, or holds, a reference
MAX_ELEMENTS: Final = 2**40


@dataclass(frozen=True, slots=True)
class Layout:
    """An element of an array: its bytes, and whether it is a reference to an object."""

    itemsize: int
    is_object: bool = False
    is_flexible: bool = False


def layout_named(name: object) -> Layout | None:
    """Give the layout of the dtype that numpy gives for `name`, None if numpy writes no such name."""
    if not isinstance(name, str):
        return None
    if flexible := FLEXIBLE.fullmatch(name):
        return Layout(int(flexible[1]) * (4 if name[0] == "U" else 1), is_flexible=True)
    if not FIXED.fullmatch(name):
        return None
    try:
        return Layout(np.dtype(name).itemsize, is_object=name[0] == "O")
    except TypeError:
        return None


def layout_built(layout: Layout, state: object) -> Layout | None:
    """Give the layout of a dtype with this state, None if the state is none that numpy writes."""
    if not isinstance(state, Group) or len(state.items) not in (8, 9):
        return None
    version, order, subarray, names, fields, itemsize, alignment, flags = state.items[:8]
    if version not in (3, 4) or order not in ("<", ">", "|", "=") or subarray is not None:
        return None
    if not all(type(each) is int for each in (itemsize, alignment, flags)):
        return None
    if names is None and fields is None:
        if layout.is_flexible:
            fine = 0 <= itemsize <= 2**31 and 0 <= alignment <= 16 and not flags & POINTER_FLAGS
            return Layout(itemsize, is_flexible=True) if fine else None
        expected = OBJECT_FLAGS if layout.is_object else 0
        return layout if (itemsize, alignment) == (-1, -1) and flags == expected else None
    if not layout.is_flexible or flags & POINTER_FLAGS or not 0 <= itemsize <= 2**31 or not 0 <= alignment <= 16:
        return None
    return Layout(itemsize, is_flexible=True) if _fields_fit(names, fields, itemsize) else None


def _fields_fit(names: object, fields: object, itemsize: int) -> bool:
    if not isinstance(names, Group) or not isinstance(fields, Container) or fields.kind is not dict:
        return False
    if fields.length != len(names.items) or not all(isinstance(name, str) for name in names.items):
        return False
    if set(names.items) != set(fields.entries):
        return False
    for field in fields.entries.values():
        if not isinstance(field, Group) or len(field.items) != 2:
            return False
        dtype, offset = field.items
        layout = layout_of(dtype)
        if layout is None or layout.is_object or type(offset) is not int:
            return False
        if not 0 <= offset <= itemsize - layout.itemsize:
            return False
    fields.frozen = True  # numpy keeps this very dict
    return True


def layout_of(dtype: object) -> Layout | None:
    """Give the layout of what may be a dtype, None if it is none; from now on it keeps this layout."""
    if not isinstance(dtype, Made) or not isinstance(dtype.layout, Layout):
        return None
    dtype.built = True
    return dtype.layout


def elements(shape: Any) -> int | None:  # noqa: ANN401
    """Give how many elements an array of this shape has, None if that is no shape."""
    if not isinstance(shape, Group) or len(shape.items) > 32:
        return None
    count = 1
    for length in shape.items:
        if type(length) is not int or length < 0:
            return None
        count *= length
    return count if count <= MAX_ELEMENTS else None
