"""A model's requests as a Postman collection, for people who try it by hand. Pure.

Format: Postman Collection 2.1.0. The collection that tests any deployment is another one; it stands in `postman/`.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import orjson

from server.model import Model
from server.openapi import description, openapi_document
from server.parameter import ALLOWED_CUT, Absent, Kind, Parameter, Scalar, cut
from server.schemes import SCOPE_OF
from server.settings import Settings
from server.signature import Signature

SCHEMA: Final = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
MOST_EXAMPLES: Final = 5
JSON_TYPE: Final = {"key": "Content-Type", "value": "application/json"}
CHECK: Final = ["pm.test('it is answered', () => pm.response.to.have.status(200));"]


def collection(model: Model, settings: Settings, example_answer: object, host: str) -> dict[str, Any]:
    """Write the collection; `host` is the value of its variable `api-host`, `example_answer` that for the first row."""
    first, *others = rows(model.signature)
    predict = [
        _predict("one row", first, answer=example_answer),
        *(_predict(f"another row, {place}", row) for place, row in enumerate(others, start=2)),
        _predict("one row, in detail", first, query="detail=full"),
        _predict("a batch", [first, *others][: settings.max_rows]),
        _predict("a batch, row by row", [first, {}][: settings.max_rows], prefer="handling=lenient"),
    ]
    for item in predict:
        item["request"]["description"] = table(model.signature)
    paths = openapi_document(model, settings, example_answer)["paths"]
    reads = [
        _item(path, _request("GET", path), each["get"]["summary"]) for path, each in paths.items() if "get" in each
    ]
    variables = [{"key": "api-host", "value": host}]
    written: dict[str, Any] = {
        "info": {
            "name": f"{model.identity.name} {model.identity.version_text}",
            "description": description(model),
            "schema": SCHEMA,
        },
        "item": [{"name": "Predict", "item": predict}, {"name": "Read", "item": reads}],
        "event": [{"listen": "test", "script": {"type": "text/javascript", "exec": CHECK}}],
        "variable": variables,
    }
    if set(SCOPE_OF.values()) & set(settings.auth):
        variables.append({"key": "api-key", "value": ""})
        token = {"key": "token", "value": "{{api-key}}", "type": "string"}
        written["auth"] = {"type": "bearer", "bearer": [token]}
    return written


def rows(signature: Signature) -> Sequence[dict[str, Scalar]]:
    """Give rows that the signature accepts: its example, and one for each further example of its parameters."""
    choices = {parameter.name: _choices(parameter) for parameter in signature.parameters}
    count = min(MOST_EXAMPLES, max(map(len, choices.values()), default=1))
    return [{name: values[row % len(values)] for name, values in choices.items()} for row in range(count)]


def _choices(parameter: Parameter) -> Sequence[Scalar]:
    more: Sequence[Scalar] = parameter.examples
    if not more and parameter.kind is Kind.CATEGORY:
        more = parameter.labels
    elif not more and parameter.kind is Kind.BOOLEAN:
        more = (False, True)
    first = parameter.example()
    return [first, *(value for value in more if (type(value), value) != (type(first), first))]


def table(signature: Signature) -> str:
    """Describe each parameter in a row of a Markdown table."""
    lines = ["| field | takes | if left out | meaning |", "|---|---|---|---|"]
    lines += ["| " + " | ".join(map(_cell, _described(each))) + " |" for each in signature.parameters]
    return "\n".join(lines)


def _described(parameter: Parameter) -> Iterator[str]:
    yield f"`{parameter.name}`"
    takes = parameter.expectation()
    if parameter.kind is Kind.CATEGORY:
        labels = ", ".join(
            f"`{cut(label) if isinstance(label, str) else _json(label)}`" for label in parameter.labels[:ALLOWED_CUT]
        )
        takes += f": {labels}" + (", …" if len(parameter.labels) > ALLOWED_CUT else "")
        takes += ", or another" if parameter.open else ""
    yield takes
    yield "refused" if isinstance(parameter.default, Absent) else f"`{_json(parameter.default)}`"
    yield parameter.description


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _json(value: object) -> str:
    return orjson.dumps(value).decode()


def _predict(
    name: str, body: object, *, query: str = "", prefer: str = "", answer: object | None = None
) -> dict[str, Any]:
    request = _request("POST", "/api/predict", query)
    request["header"] = [JSON_TYPE, *([{"key": "Prefer", "value": prefer}] if prefer else [])]
    # Two braces in a text would be the beginning of one of Postman's variables.
    raw = orjson.dumps(body, option=orjson.OPT_INDENT_2).decode().replace("{{", "{\\u007b")
    request["body"] = {"mode": "raw", "raw": raw, "options": {"raw": {"language": "json"}}}
    item = _item(name, request)
    if answer is not None:
        item["response"] = [
            {
                "name": "the model's answer",
                "originalRequest": dict(request),
                "status": "OK",
                "code": 200,
                "header": [JSON_TYPE],
                "body": _json(answer),
            }
        ]
    return item


def _request(method: str, path: str, query: str = "") -> dict[str, Any]:
    url: dict[str, Any] = {
        "raw": "{{api-host}}" + path + (f"?{query}" if query else ""),
        "host": ["{{api-host}}"],
        "path": path[1:].split("/"),
    }
    if query:
        key, _, value = query.partition("=")
        url["query"] = [{"key": key, "value": value}]
    return {"method": method, "header": [], "url": url}


def _item(name: str, request: dict[str, Any], sentence: str = "") -> dict[str, Any]:
    if sentence:
        request["description"] = sentence
    return {"name": name, "request": request, "response": []}
