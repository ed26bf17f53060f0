"""Keeps Schemathesis to bodies of JSON, and to the numbers that its readers agree on; `SCHEMATHESIS_HOOKS` names it."""

from typing import Any

import schemathesis


@schemathesis.hook
def before_load_schema(context: Any, raw_schema: dict[str, Any]) -> None:  # hooks go by their arguments
    """Leave out bodies whose schema cannot say what is accepted: a table's is any text, or any bytes.

    That these are taken and answered as the same rows in JSON is seen by the tests of the API, and by those of `fuzz`.
    """
    for operations in raw_schema["paths"].values():
        for operation in operations.values():
            for media_type in ("text/csv", "application/vnd.apache.arrow.stream"):
                if isinstance(operation, dict):
                    operation.get("requestBody", {}).get("content", {}).pop(media_type, None)


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
