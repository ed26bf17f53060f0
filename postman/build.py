"""Writes the collection from its sources in `src/` and the table of cases; `--check` only says whether it is current.

Postman lets scripts share nothing, so that all sources become one script of the collection; it runs behind each
request, and finds its part by the request's name.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
SOURCES = FOLDER / "src"
COLLECTION = FOLDER / "brinery.postman_collection.json"
TABLE = FOLDER.parent / "tests" / "cases" / "requests.jsonl"
SCHEMA = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
SCRIPTS = (
    *("schema", "deployment", "answers", "rows", "metrics"),
    *("chapters", "served", "accepted", "refused", "counted", "run"),
)
VARIABLES = {
    "api-host": ("http://127.0.0.1:8000", "The deployment, with its path where it has one: https://host/crime-65."),
    "api-key": ("", "An API key or a token, where the deployment wants one."),
    "replicas": ("1", "How many answer at this address. With more than one, counters are not compared."),
    "max-body-bytes": ("", "The deployment's BRINERY_MAX_BODY_BYTES, to have it tried."),
    "tolerance": ("1e-12", "How far the answer for a row may differ, alone and in a batch."),
    "skip": ("", "Names of requests to leave out, separated by semicolons, where something is not published."),
}
BEFORE = """\
pm.variables.set('api-host', pm.variables.get('api-host').trim().replace(/\\/+$/, ''));
const skipped = (pm.variables.get('skip') || '').split(';').map((name) => name.trim());
if (skipped.includes(pm.info.requestName)) { pm.execution.skipRequest(); }
"""
DESCRIPTION = """\
Tests any deployment of Brinery. The requests are made from what it publishes, so that the collection knows no model: \
set api-host and run it. This file is written by postman/build.py."""

# Methods that HTTP knows; what comes of others depends on the front, and on what stands before it.
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
# What has one answer whichever model is served, and whatever stands between it and us.
GROUPS = ("syntax", "encoding", "duplicate", "number", "media", "method", "path", "query", "read")
PLAIN_PATH = re.compile(r"(/[A-Za-z0-9_-]+(\.[a-z]+)?)+(\?[A-Za-z0-9=&_-]*)?")
COMMENT = re.compile(r"/[/*]")  # Newman takes them out of JSON
LONGEST_PATH = 1000  # what proxies let through
REDIRECT = 307  # Newman follows it


def sendable(case: dict[str, Any]) -> bool:
    """Tell whether Newman can send a case as it stands: text in UTF-8, and plain headers."""
    body, get = case.get("body"), case["method"] in ("GET", "HEAD")
    if case["method"] not in METHODS or "body_b64" in case or "body_gen" in case or (get and body is not None):
        return False
    if COMMENT.search(body or ""):
        return False
    try:
        (body or "").encode()
        "".join(case["headers"].values()).encode("ascii")
    except UnicodeEncodeError:
        return False
    return REDIRECT not in case["expect"] and all(case["headers"].values())


def cases(lines: list[str]) -> list[dict[str, Any]]:
    """Give the table's cases that Newman can send, as the collection reads them."""
    table = [case for line in lines if sendable(case := json.loads(line))]
    keys = ("method", "path", "headers", "body", "expect", "errors", "did_you_mean")
    return [
        {"name": f"{case['group']}: {case['name']}", **{key: case[key] for key in keys if key in case}}
        for case in table
    ]


def universal(case: dict[str, Any]) -> bool:
    """Tell whether a case of `cases` has its answer at any deployment."""
    if case["name"].partition(":")[0] not in GROUPS:
        return False
    if case["expect"] == [422] and "?" not in case["path"]:
        return False
    if case["expect"] == [200] and case["method"] == "POST":
        return False
    return len(case["path"]) < LONGEST_PATH and PLAIN_PATH.fullmatch(case["path"]) is not None


def script(name: str, text: str) -> dict[str, Any]:
    """Write an event of the collection."""
    return {"listen": name, "script": {"type": "text/javascript", "exec": text.splitlines()}}


def item(given: dict[str, Any]) -> dict[str, Any]:
    """Write a request."""
    target = given.get("get", "/api/predict")
    headers = [{"key": key, "value": value} for key, value in given.get("headers", {}).items()]
    url = {"raw": "{{api-host}}" + target, "host": ["{{api-host}}"], "path": target[1:].split("/")}
    request: dict[str, Any] = {"method": "GET", "header": headers, "url": url}
    if "post" in given:
        headers.append({"key": "Content-Type", "value": "application/json"})
        request |= {"method": "POST", "body": {"mode": "raw", "raw": given["post"]}}
    if "auth" in given:
        request["auth"] = {"type": given["auth"]}
    return {"name": given["name"], "request": request, "response": []}


def folders() -> Iterator[dict[str, Any]]:
    """Write the folders."""
    for folder in json.loads((SOURCES / "requests.json").read_text(encoding="utf-8")):
        items = [item(given) for given in folder["requests"]]
        yield {"name": folder["folder"], "description": folder["about"], "item": items}


def collection() -> str:
    """Write the collection."""
    variables = [{"key": key, "value": value, "description": text} for key, (value, text) in VARIABLES.items()]
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    table = [case for case in cases(lines) if universal(case)]
    variables += [{"key": "cases", "value": json.dumps(table, ensure_ascii=True, separators=(",", ":"))}]
    variables += [{"key": key, "value": ""} for key in ("document", "info", "params", "row", "wrong", "before", "sent")]
    sources = "\n".join((SOURCES / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS)
    written = {
        "info": {"name": "Brinery", "description": DESCRIPTION, "schema": SCHEMA},
        "auth": {"type": "bearer", "bearer": [{"key": "token", "value": "{{api-key}}", "type": "string"}]},
        "event": [script("prerequest", BEFORE), script("test", sources)],
        "variable": variables,
        "item": list(folders()),
    }
    return json.dumps(written, indent=2, ensure_ascii=False) + "\n"


def main() -> int:
    """Write the collection, or check it."""
    parser = argparse.ArgumentParser(description="Write the collection from its sources.")
    parser.add_argument("--check", action="store_true", help="only say whether it is current")
    if not parser.parse_args().check:
        COLLECTION.write_text(collection(), encoding="utf-8")
        return 0
    current = COLLECTION.read_text(encoding="utf-8") == collection()
    if not current:
        sys.stderr.write(f"{COLLECTION.name} is not what postman/build.py writes; run `make collection`.\n")
    return 0 if current else 1


if __name__ == "__main__":
    sys.exit(main())
