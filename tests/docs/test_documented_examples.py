"""The examples in the documentation are true: they are run, and give what stands behind them."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import flask
import pytest
from werkzeug.test import TestResponse

from server.__main__ import main
from server.app import create_app
from server.settings import Settings
from tests.docs.documentation import DOCS, PAGES, ROOT, Block, blocks_of, curl_request, name_of

# Lines of `brinery check` that depend on versions, and on the machine.
VOLATILE = ("  files ", "  digest ", "  pickled by ", "  a row takes ")
PAGES_WITH_EXAMPLES = [page for page in PAGES if any(block.language == "sh" for block in blocks_of(page))]
PAGES_WITH_JSON = [page for page in PAGES if any(block.language == "json" for block in blocks_of(page))]


class Reader:
    """Does what a page says, block by block, in an empty folder."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._folder = folder
        self._capsys = capsys
        self._apps: dict[tuple[str, ...], flask.Flask] = {}
        self._app: flask.Flask | None = None
        self._answer: TestResponse | None = None
        self._printed = ""
        self.compared = 0

    def read(self, block: Block) -> None:
        """Run a block of commands or code, or compare a block of output with what the one before gave."""
        match block.language:
            case "python":
                self._python(block.text)
            case "sh":
                for words in block.commands:
                    self._command(words)
            case "json" if self._answer is not None:
                assert like(self._answer.get_json(force=True), json.loads(block.text)), self._answer.text
                self._forget()
            case "http":
                assert self._answer is not None
                self._compare_http(self._answer, block.text)
                self._forget()
            case "csv" if self._answer is not None:
                assert cells(self._answer.text) == cells(block.text)
                self._forget()
            case "csv" if self._printed:
                assert cells(self._printed) == cells(block.text)
                self._forget()
            case "csv":
                (self._folder / "rows.csv").write_text(block.text, encoding="utf-8")
            case "text" if self._printed:
                expected = [line for line in block.text.splitlines() if not line.startswith(VOLATILE)]
                assert expected == [line for line in self._printed.splitlines() if not line.startswith(VOLATILE)]
                self._forget()

    def _forget(self) -> None:
        self._answer, self._printed = None, ""
        self.compared += 1

    def _python(self, code: str) -> None:
        subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=self._folder, check=True)

    def _command(self, words: Sequence[str]) -> None:
        match words:
            case ["make", "test"] | ["cd", _] | ["sha256sum", *_]:
                return  # the last two have a test of their own
            case ["make", "serve", *given]:
                self._app = self._serve(given)
            case ["curl", *_]:
                self._answer = self._send(words)
            case [".venv/bin/brinery", "check" | "requirements" as verb, bundle]:
                self._capsys.readouterr()
                own = self._folder / bundle
                assert main([verb, str(own if own.exists() else ROOT / bundle)]) == 0
                self._printed = self._capsys.readouterr().out
            case [".venv/bin/brinery", "predict", bundle, file]:
                self._predict(bundle, file)
            case [setting, ".venv/bin/brinery", "predict", bundle, file]:
                name, _, value = setting.partition("=")
                with mock.patch.dict(os.environ, {name: value}):
                    self._predict(bundle, file)
            case _:
                raise AssertionError(f"a page has a command that is not tried: {' '.join(words)}")

    def _predict(self, bundle: str, file: str) -> None:
        self._capsys.readouterr()
        status = main(["predict", str(ROOT / bundle), str(self._folder / file)])
        captured = self._capsys.readouterr()
        assert status == (1 if "were refused" in captured.err else 0)
        self._printed = captured.out

    def _serve(self, given: Sequence[str]) -> flask.Flask:
        key = tuple(given)
        if key not in self._apps:
            environ = {f"BRINERY_{name}": value for name, _, value in (each.partition("=") for each in given)}
            bundle = environ.setdefault("BRINERY_BUNDLE", "pickles")
            own = self._folder / bundle
            environ["BRINERY_BUNDLE"] = str(own if own.exists() else ROOT / bundle)
            self._apps[key] = create_app(Settings.from_environ({**environ, "BRINERY_LOG_LEVEL": "error"}))
        return self._apps[key]

    def _send(self, words: Sequence[str]) -> TestResponse:
        app = self._app or self._serve([])
        asked = curl_request(words)
        body: str | bytes | None = asked.body
        if asked.body is not None and asked.body.startswith("@"):
            body = (self._folder / asked.body[1:]).read_bytes()
        return app.test_client().open(asked.path, method=asked.method, headers=dict(asked.headers), data=body)

    @staticmethod
    def _compare_http(answer: TestResponse, text: str) -> None:
        head, _, body = text.partition("\n\n")
        status, *headers = head.splitlines()
        assert status == f"HTTP/1.1 {answer.status}"
        for name, _, value in (line.partition(": ") for line in headers):
            assert name in answer.headers
            if name != "Server-Timing":  # it says how long this one took
                assert answer.headers[name] == value
        assert like(answer.get_json(force=True), json.loads(body))


def cells(text: str) -> list[list[Any]]:
    """Read CSV, numbers but for their last bits."""
    return [[_cell(cell) for cell in line] for line in csv.reader(text.splitlines())]


def _cell(cell: str) -> Any:
    try:
        return round(float(cell), 12)
    except ValueError:
        return cell


def like(found: Any, expected: Any) -> bool:
    """Tell whether two JSON values are the same, but for request ids and for the last bits of numbers."""
    if isinstance(expected, dict):
        return (
            isinstance(found, dict)
            and list(found) == list(expected)
            and all(key == "request_id" or like(found[key], value) for key, value in expected.items())
        )
    if isinstance(expected, list):
        return isinstance(found, list) and len(found) == len(expected) and all(map(like, found, expected))
    if isinstance(expected, float):
        return type(found) in (int, float) and found == pytest.approx(expected, rel=1e-9)
    return type(found) is type(expected) and bool(found == expected)


@pytest.mark.parametrize("page", PAGES_WITH_EXAMPLES, ids=name_of)
def test_examples_of_a_page_give_what_it_shows(page: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Code runs, bundles that it writes are served, and each answer is the one that stands behind its request."""
    reader = Reader(tmp_path, capsys)
    for block in blocks_of(page):
        reader.read(block)
    assert reader.compared


@pytest.mark.parametrize("page", PAGES_WITH_JSON, ids=name_of)
def test_blocks_of_json_are_json(page: Path) -> None:
    """What is shown as JSON can be parsed, also where it is not the answer to an example."""
    for block in blocks_of(page):
        if block.language == "json":
            json.loads(block.text)


def test_every_bundle_of_the_readme_can_be_served(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each block of Python in the README writes one bundle, which `brinery check` accepts."""
    reader = Reader(tmp_path, capsys)
    codes = [block for block in blocks_of(ROOT / "README.md") if block.language == "python"]
    for code in codes:
        reader.read(code)
    bundles = [file.parent for file in tmp_path.glob("*/model.pkl")]
    assert len(bundles) == len(codes) == 2
    for bundle in bundles:
        assert main(["check", str(bundle)]) == 0


def test_the_readme_has_a_request_and_a_refusal() -> None:
    """The README shows the crime model's own answer, and what a wrong request is told."""
    answers = [json.loads(block.text) for block in blocks_of(ROOT / "README.md") if block.language == "json"]
    assert set(answers[0]) == {"notCaughtProb", "caughtProb"}
    assert answers[1]["status"] == 422


def test_the_digest_is_what_sha256sum_prints() -> None:
    """The command on the page about bundles gives the digest that the server reports."""
    commands = next(block.text for block in blocks_of(DOCS / "bundle.md") if "sha256sum" in block.text)
    printed = subprocess.run(["sh", "-ec", commands], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    app = create_app(Settings(bundle=ROOT / "pickles", log_level="error"))
    digest = app.test_client().get("/api/info").get_json()["model"]["digest"]
    assert digest == "sha256:" + printed.split()[0]
