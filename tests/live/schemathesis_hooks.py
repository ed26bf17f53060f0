"""Keeps Schemathesis to what a schema can say; `SCHEMATHESIS_HOOKS` names it."""

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
def filter_case(context: Any, case: Any) -> bool:
    """Drop a body with an integer between two doubles, and one whose columns have not the same length.

    Interoperable numbers are doubles (RFC 8259 section 6, RFC 7493 section 2.2): one that is more than a bound by less
    than a double tells is read as the bound itself, while the tool counts in integers of any length. No schema can say
    that two lists have the same length; the tests of the API say that others are refused.
    """
    members = case.body.values() if isinstance(case.body, dict) else ()
    return not _has_number_between(case.body) and not any(map(_has_ragged_columns, members))


def _has_number_between(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has_number_between(member) for member in value.values())
    if isinstance(value, list):
        return any(_has_number_between(member) for member in value)
    try:
        return isinstance(value, int) and int(float(value)) != value
    except OverflowError:  # beyond all doubles: must be refused
        return False


def _has_ragged_columns(rows: Any) -> bool:
    """Tell it of an object with a list for each column; a frame has its rows in `data`."""
    table = rows[0] if isinstance(rows, list) and len(rows) == 1 else rows
    if not isinstance(table, dict) or "data" in table:
        return False
    return len({len(column) for column in table.values() if isinstance(column, list)}) > 1
