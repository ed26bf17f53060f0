"""How protocols write errors: the same sentences, in forms of their own, and 400 for what a schema refuses."""

from typing import Any, Final

import orjson

from server.errors import InvalidInput
from server.exchange import Response
from server.problems import describe, type_of

MAX_SENTENCES: Final = 4_096  # letters of the sentences about fields


def status_of(error: Exception) -> int:
    """Give the status of an error: these protocols have none but 400 for well-formed input that is refused."""
    return 400 if isinstance(error, InvalidInput) else type_of(error).status


def sentence(error: Exception) -> str:
    """Say what is wrong; of fields, each with its place in the rows, counted from 0."""
    if not isinstance(error, InvalidInput):
        return str(describe(error, "")["detail"])
    text = ""
    for told, each in enumerate(error.errors):
        more = f"{each.pointer}: {each.detail} " if each.pointer else f"{each.detail} "
        if each.did_you_mean is not None:
            more += f"Did you mean {each.did_you_mean}? "
        if len(text) + len(more) > MAX_SENTENCES:
            return text + _more(error.count - told)
        text += more
    return (text + _more(error.count - len(error.errors))).rstrip()


def _more(count: int) -> str:
    if count == 1:
        return "There is one more error."
    return f"There are {count} more errors." if count else ""


def as_error(error: Exception, _: str) -> Response:
    """Write an error as `{"error": sentence}`, as KServe, Triton and Vertex AI do."""
    return error_response(error, {"error": sentence(error)})


def error_response(error: Exception, document: Any) -> Response:  # noqa: ANN401
    """Make the answer for an error of a document of a protocol's own."""
    return Response(status_of(error), orjson.dumps(document))
