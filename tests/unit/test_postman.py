"""The Postman collection of one model."""

import json
import re
from typing import Any

import jsonschema
import pytest

from server.postman import collection, rows, table
from tests.models import boolean, category, fake_model, integer, number, settings, text

HOST = "https://models.example/crime-65"
# What the Collection format, version 2.1.0, says of the parts that are written.
FORMAT = {
    "type": "object",
    "required": ["info", "item"],
    "additionalProperties": False,
    "properties": {
        "info": {
            "type": "object",
            "required": ["name", "schema"],
            "properties": {name: {"type": "string"} for name in ("name", "schema", "description")},
        },
        "item": {"type": "array", "items": {"anyOf": [{"$ref": "#/$defs/folder"}, {"$ref": "#/$defs/request"}]}},
        "event": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["listen"],
                "properties": {"script": {"properties": {"exec": {"type": "array", "items": {"type": "string"}}}}},
            },
        },
        "variable": {"type": "array", "items": {"required": ["key", "value"]}},
        "auth": {"type": "object", "required": ["type"], "properties": {"bearer": {"type": "array"}}},
    },
    "$defs": {
        "folder": {
            "type": "object",
            "required": ["name", "item"],
            "additionalProperties": False,
            "properties": {"name": {"type": "string"}, "item": {"type": "array", "items": {"$ref": "#/$defs/request"}}},
        },
        "request": {
            "type": "object",
            "required": ["name", "request", "response"],
            "additionalProperties": False,
            "properties": {
                "name": {"type": "string"},
                "request": {"$ref": "#/$defs/asked"},
                "response": {
                    "type": "array",
                    "items": {
                        "required": ["originalRequest", "code", "body"],
                        "properties": {"originalRequest": {"$ref": "#/$defs/asked"}},
                    },
                },
            },
        },
        "asked": {
            "type": "object",
            "required": ["method", "header", "url"],
            "properties": {
                "method": {"enum": ["GET", "POST"]},
                "header": {"type": "array", "items": {"required": ["key", "value"]}},
                "url": {"type": "object", "required": ["raw", "host", "path"]},
                "body": {"required": ["mode", "raw"], "properties": {"mode": {"const": "raw"}}},
                "description": {"type": "string"},
            },
        },
    },
}


def written(*parameters: Any, **given: Any) -> dict[str, Any]:
    """Write the collection of a fake model."""
    return collection(fake_model(*parameters, name="m"), settings(**given), {"no": 0.25, "yes": 0.75}, HOST)


def requests(document: dict[str, Any]) -> dict[str, Any]:
    """Give the requests by their names."""
    return {item["name"]: item for folder in document["item"] for item in folder["item"]}


PARAMETERS = (
    category("force|area", ("Kent {{api-host}}", "Essex"), description="Who\nasks"),
    number("n", examples=(1.5, 2.5, 3)),
    integer("i", minimum=3, default=4),
    boolean("b", nullable=True),
    text("t"),
)


@pytest.mark.parametrize(
    "given", [{}, {"auth": ("predict",), "api_keys": ("a sha256:" + "0" * 64,)}], ids=["open", "keys"]
)
def test_format(given: dict[str, Any]) -> None:
    """The document has the form of a collection, and asks for a key only where the settings want one."""
    document = written(*PARAMETERS, **given)
    jsonschema.validate(document, FORMAT)
    assert ("auth" in document) == bool(given)
    keys = {each["key"]: each["value"] for each in document["variable"]}
    assert keys == {"api-host": HOST} | ({"api-key": ""} if given else {})


def test_rows_are_accepted() -> None:
    """There is a row for each example, the signature's own first, and the signature accepts them all."""
    signature = fake_model(*PARAMETERS).signature
    made = rows(signature)
    assert made[0] == signature.example()
    assert [row["n"] for row in made] == [1.5, 2.5, 3]
    assert len(signature.parse_rows(list(made))) == 3


def test_requests() -> None:
    """A request has its body, which no variable of Postman's changes, and the first one the model's answer."""
    found = requests(written(*PARAMETERS))
    body = found["one row"]["request"]["body"]["raw"]
    assert "{{" not in body
    assert json.loads(body)["force|area"] == "Kent {{api-host}}"
    assert json.loads(found["one row"]["response"][0]["body"]) == {"no": 0.25, "yes": 0.75}
    assert len(json.loads(found["a batch"]["request"]["body"]["raw"])) == 3
    assert found["one row, in detail"]["request"]["url"]["raw"] == "{{api-host}}/api/predict?detail=full"
    assert found["/metrics"]["request"]["url"]["path"] == ["metrics"]


def test_parameters_are_described() -> None:
    """Each parameter is a line of the table: what it takes, whether it may be left out, what it means."""
    many = category("many", tuple(range(30)), open=True)
    lines = table(fake_model(*PARAMETERS, many).signature).splitlines()
    assert lines[2] == "| `force\\|area` | one of its 2 labels: `Kent {{api-host}}`, `Essex` | refused | Who asks |"
    assert lines[4] == "| `i` | an integer of at least 3 | `4` |  |"
    assert re.search(r"`19`, …, or another \| refused", lines[7])


def test_a_model_without_parameters_that_vary() -> None:
    """One row is enough where no parameter has a further example."""
    assert rows(fake_model(number()).signature) == [{"n": 0}]
