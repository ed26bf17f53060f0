"""Keeps Schemathesis to the numbers that JSON's readers agree on; `SCHEMATHESIS_HOOKS` names this file."""

from typing import Any

import schemathesis


@schemathesis.hook
def filter_body(context: Any, body: Any) -> bool:
    """Drop a body with an integer between two doubles.

    Interoperable numbers are doubles (RFC 8259 section 6, RFC 7493 section 2.2): one that is more than a bound by less
    than a double tells is read as the bound itself, while the tool counts in integers of any length.
    """
    return not _has_number_between(body)


def _has_number_between(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has_number_between(member) for member in value.values())
    if isinstance(value, list):
        return any(_has_number_between(member) for member in value)
    try:
        return isinstance(value, int) and int(float(value)) != value
    except OverflowError:  # beyond all doubles: must be refused
        return False
