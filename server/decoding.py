"""Bytes to a JSON value, within bounds that are stricter than most parsers'. Pure.

orjson is fast and strict (UTF-8 without lone surrogates, no NaN, numbers within a double) but keeps the last of
duplicate keys, takes any depth up to its own limit and rounds integers beyond 64 bits: all three are settled here.
Format: RFC 8259.
"""

import json
from typing import Final, NoReturn

import orjson

from server.errors import MalformedBody
from server.parameter import EXACT_BELOW

MAX_DEPTH: Final = 64  # arrays and objects within each other
SMALL: Final = frozenset({int, bool, type(None)})  # are no text, and exact
TOO_DEEP: Final = f"The body is nested more than {MAX_DEPTH} levels deep."


def decode(body: bytes) -> object:
    """Give the JSON value that `body` is; raise `MalformedBody` if it is not one text within our bounds.

    Integers come exactly, all other numbers as the nearest double.
    """
    return check(body, read(body))


def read(body: bytes) -> object:
    """Give the JSON value that `body` is, to be checked; raise `MalformedBody` for what is no JSON.

    Of duplicate keys it holds the last; integers beyond 64 bits are rounded.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if not body.strip(b" \t\r\n"):
            _refuse("The body is empty; send the rows as JSON.")
        _refuse(f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}.")


def has_only(body: bytes, strings: int) -> bool:
    """Tell whether a body has this many keys and texts, and no other; False also where that cannot be seen.

    Each is written with two quotes; one that did not come out of the parser was lost to a duplicate key. A backslash
    may hide a quote: then only a second parser can tell.
    """
    return b"\\" not in body and body.count(b'"') == 2 * strings


def check(body: bytes, value: object) -> object:
    """Give the value that was read of a body, with exact integers; raise `MalformedBody` if it is not in our bounds."""
    large: list[object] = []
    if not has_only(body, _count_strings(value, 1, large)):
        _refuse_duplicate_keys(body)
    # Any of these may be a rounded integer. Python's parser keeps them: what is within a double has few enough digits.
    return json.loads(body.decode()) if large else value


def _count_strings(value: object, depth: int, large: list[object]) -> int:
    """Count the keys and the texts in a value, and note its large doubles; refuse it where it is nested too deeply."""
    kind = type(value)
    if kind is dict:
        count = len(value)  # type: ignore[arg-type]
        members = value.values()  # type: ignore[attr-defined]
    elif kind is list:
        count, members = 0, value
    else:
        count, members, depth = 0, (value,), 0
    if depth > MAX_DEPTH:
        _refuse(TOO_DEEP)
    if kind is list and len(kinds := set(map(type, members))) == 1:  # quickly, as tensors and columns are
        if kinds <= SMALL or (kinds == {float} and min(members) > -EXACT_BELOW and max(members) < EXACT_BELOW):
            return 0
        if kinds == {str}:
            return len(members)
    for member in members:
        kind = type(member)
        if kind is str:
            count += 1
        elif kind is float:
            if not -EXACT_BELOW < member < EXACT_BELOW:
                large.append(member)
        elif kind is dict or kind is list:
            count += _count_strings(member, depth + 1, large)
    return count


def _refuse_duplicate_keys(body: bytes) -> None:
    """Parse once more, for its objects only: numbers stay text, so that none is too long for Python."""
    try:
        json.loads(body.decode(), object_pairs_hook=_unique, parse_int=str, parse_float=str)
    except RecursionError:  # what a duplicate key hides may be nested more deeply than the value that came out
        _refuse(TOO_DEEP)


def _unique(pairs: list[tuple[str, object]]) -> None:
    if len({key for key, _ in pairs}) < len(pairs):
        _refuse("An object in the body has the same key twice.")


def _refuse(message: str) -> NoReturn:
    raise MalformedBody(message) from None
