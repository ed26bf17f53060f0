"""One table of requests and the answers that are allowed, for the test client, the live server and Newman.

Imports nothing of the server. The cases suppose the crime model of `pickles/` and the default settings.
"""

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
BELOW_THE_APPLICATION = frozenset({"wire", "header"})  # groups that only a real server can answer


@dataclass(frozen=True)
class Case:
    """A request and what its answer must be.

    `table` is the file it comes from. `expect` are the allowed statuses (0: closed without an answer). `errors` are
    pointer and code of the field errors that are told, `error_count` how many there are, `require` headers that the
    answer must have. `raw` is the line of the table: it holds the body, whole or as a recipe, or the bytes of the wire.
    """

    table: str
    name: str
    group: str
    method: str
    path: str
    headers: Mapping[str, str]
    expect: tuple[int, ...]
    why: str
    errors: tuple[tuple[str, str], ...] | None = None
    error_count: int | None = None
    did_you_mean: str | None = None
    require: Mapping[str, str] = field(default_factory=dict)
    max_response_bytes: int | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def id(self) -> str:
        """A name that no other case has."""
        return f"{self.table}-{self.group}-{self.name}"

    @cached_property
    def body(self) -> bytes | None:
        """The body's bytes; None for a request without one."""
        if "body_b64" in self.raw:
            return base64.b64decode(self.raw["body_b64"])
        if "body_gen" in self.raw:
            return generated(self.raw["body_gen"])
        body: str | None = self.raw.get("body")
        return None if body is None else body.encode("utf-8", "surrogatepass")

    @property
    def wire(self) -> bytes | None:
        """The whole request as bytes, for a case about framing."""
        return base64.b64decode(self.raw["wire_b64"]) if "wire_b64" in self.raw else None


def generated(recipe: Mapping[str, Any]) -> bytes:
    """Build a large body: prefix, `count` units, suffix, `count` mirrored units, tail."""
    unit, count = recipe["unit"], recipe["count"]
    middle = "".join(unit % index for index in range(count)) if recipe.get("numbered") else unit * count
    text: str = recipe["prefix"] + middle + recipe["suffix"] + recipe.get("mirror", "") * count + recipe.get("tail", "")
    return text.encode()


def load(name: str) -> Iterator[Case]:
    """Read a table of this folder."""
    with (FOLDER / name).open(encoding="utf-8") as lines:
        for line in lines:
            yield _case(name.removesuffix(".jsonl"), json.loads(line))


def _case(table: str, raw: dict[str, Any]) -> Case:
    if "verdict" in raw:
        # No text of this suite is a valid request; what JSON forbids must not get as far as the schema.
        raw |= {
            "group": f"json_{raw['verdict']}",
            "method": "POST",
            "path": "/api/predict",
            "headers": {"Content-Type": "application/json"},
            "expect": [400] if raw["verdict"] == "reject" else [400, 422],
            "why": "JSONTestSuite",
        }
    errors = raw.get("errors")
    return Case(
        table=table,
        name=raw["name"],
        group=raw["group"],
        method=raw["method"],
        path=raw["path"],
        headers=raw["headers"],
        expect=tuple(raw["expect"]),
        why=raw["why"],
        errors=None if errors is None else tuple((pointer, code) for pointer, code in errors),
        error_count=raw.get("error_count"),
        did_you_mean=raw.get("did_you_mean"),
        require=raw.get("require", {}),
        max_response_bytes=raw.get("max_response_bytes"),
        raw=raw,
    )


def requests() -> list[Case]:
    """Our own table."""
    return list(load("requests.jsonl"))


def bad_inputs() -> list[Case]:
    """Requests that careless servers fail on; some allow several answers."""
    return list(load("bad_inputs.jsonl"))


def json_texts() -> list[Case]:
    """The texts of JSONTestSuite."""
    return list(load("json_test_suite.jsonl"))
