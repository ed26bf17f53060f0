"""Writes what is made from the chart's values and the server's settings: `python helm/reference.py [--check]`.

README.md is a table of values.yaml's own sentences. values.schema.json is written by hand but for two things: each
value's description is its sentence, and the settings are those of the server.
"""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from server.options import PREFIX, Option
from server.settings import options

CHART: Final = Path(__file__).parent / "brinery"
VALUES: Final = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))

# The settings that other values make: `settings` does not take them.
OF_OTHER_VALUES: Final = {
    "API_KEYS": "auth.apiKeys",
    "API_KEYS_FILE": "auth",
    "AUTH": "auth.scopes",
    "BUNDLE": "bundle.path, bundle.url or bundle.urlSecret",
    "BUNDLE_DIGEST": "bundle.digest",
    "GRACEFUL_TIMEOUT": "drain.gracefulTimeoutSeconds",
    "GRPC_PORT": "grpc.containerPort",
    "HOST": "nothing: the container listens on all addresses",
    "PORT": "containerPort",
    "ROOT_PATH": "rootPath",
    "TLS_CERTIFICATE": "tls.secretName",
    "TLS_CLIENT_CA": "tls.clientCA",
    "TLS_KEY": "tls.secretName",
    "TRUSTED_KEYS": "bundle.trustedKeys",
}

TOP: Final = """# The chart of Brinery

One release serves one version of a model; releases of several versions run side by side. How to install, upgrade, roll
back, split and mirror requests, and what to do on each alert, says [operations](../../docs/operations.md#kubernetes).

    helm install crime-65 helm/brinery --set image.repository=registry.example.com/crime --set-string image.tag=65 \\
        --set model.name=crime --set-string model.version=65

Kubernetes 1.20 or newer. Objects of the Gateway API and of the Prometheus operator are made only where the cluster
knows them.

## Values

This page is written by `make docs`. `settings` takes these, each as in [configuration](../../docs/configuration.md):
{settings}.

| value | default | meaning |
|---|---|---|
"""


@dataclass(frozen=True)
class Value:
    """A value of the chart with its sentence."""

    path: tuple[str, ...]
    default: Any
    sentence: str


def values() -> Iterator[Value]:
    """Give each value that has a sentence, in the order of values.yaml."""
    path: list[tuple[int, str]] = []
    sentence: list[str] = []
    for line in (CHART / "values.yaml").read_text(encoding="utf-8").splitlines():
        if comment := re.fullmatch(r" *# (-- )?(.+)", line):
            sentence = [comment[2]] if comment[1] else [*sentence, comment[2]]
        elif key := re.match(r"( *)([A-Za-z]+):", line):
            path = [(indent, name) for indent, name in path if indent < len(key[1])] + [(len(key[1]), key[2])]
            names = tuple(name for _, name in path)
            if sentence:
                yield Value(names, _at(names), " ".join(sentence))
            sentence = []


def readme() -> str:
    """Write the chart's README."""
    rows = [f"| `{'.'.join(value.path)}` | {_code(value.default)} | {value.sentence} |\n" for value in values()]
    names = ", ".join(f"`{name}`" for name in _settings())
    return TOP.format(settings=names) + "".join(rows)


def schema() -> str:
    """Write values.schema.json again, with the values' sentences and the server's settings."""
    document = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    properties = document["properties"]
    properties["settings"] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            name: {**_values_of(option), "description": option.sentence} for name, option in _settings().items()
        },
    }
    for value in values():
        node = document
        for name in value.path:
            node = node["properties"][name]
        reference = node.pop("$ref", None)  # beside which a description would not count
        if reference:
            node["allOf"] = [{"$ref": reference}]
        node["description"] = value.sentence
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _settings() -> dict[str, Option]:
    """Give the settings that the value `settings` takes, by their names without the prefix."""
    known = {option.variable.removeprefix(PREFIX): option for option in options()}
    return {name: known[name] for name in sorted(known.keys() - OF_OTHER_VALUES.keys())}


def _values_of(option: Option) -> dict[str, Any]:
    """Say by a schema what a setting's parser expects, as far as its phrase tells."""
    expects = option.parser.expects
    if expects == "`true` or `false`":
        return {"type": "boolean"}
    if re.fullmatch(r"`\w+`( or `\w+`)*", expects):
        return {"enum": re.findall(r"`(\w+)`", expects)}
    if bounds := re.fullmatch(r"a whole number from (\d+) (?:up|to (\d+))", expects):
        return {"type": "integer", "minimum": int(bounds[1])} | ({"maximum": int(bounds[2])} if bounds[2] else {})
    if bounds := re.fullmatch(r"seconds from (\S+) to (\d+)", expects):
        return {"type": "number", "minimum": float(bounds[1]), "maximum": int(bounds[2])}
    return {"type": "string"}


def _at(path: tuple[str, ...]) -> Any:  # noqa: ANN401
    value = VALUES
    for name in path:
        value = value[name]
    return value


def _code(default: object) -> str:
    return "empty" if default in ("", [], {}) else f"`{json.dumps(default, ensure_ascii=False)}`"


def main(arguments: list[str]) -> int:
    """Write both files, or with `--check` say which of them is not current."""
    stale = []
    for name, text in (("README.md", readme()), ("values.schema.json", schema())):
        file = CHART / name
        if file.exists() and file.read_text(encoding="utf-8") == text:
            continue
        if "--check" in arguments:
            stale.append(f"helm/brinery/{name} is not what values.yaml and the settings make of it; run `make docs`.")
        else:
            file.write_text(text, encoding="utf-8")
    print(*stale, sep="\n", end="\n" if stale else "", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
