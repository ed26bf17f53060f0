"""A file of rows in, the same rows answered out."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest

from server.columns import Row
from server.console.batch import CHUNK_ROWS, FORMATS, Format, format_of, predict_file, predict_paths
from server.engine import Evaluation
from server.errors import FileError, MalformedBody
from server.model import Model
from server.parameter import Parameter
from tests.models import (
    FakeEvaluator,
    boolean,
    category,
    estimators,
    fake_model,
    integer,
    number,
    pipeline,
    real_model,
    settings,
    text,
)

ROWS = [{"c": "red", "n": 1.0}, {"c": "green", "n": -2.5}]


class Echo(FakeEvaluator):
    """Gives a row's number as the probability of the second label."""

    def evaluate(self, rows: Sequence[Row], *, with_classes: bool = False) -> Evaluation:  # noqa: ARG002  # the protocol has it
        super().evaluate(rows)
        return Evaluation([np.array([[0.0, row[1]] for row in rows], dtype=float)])


def model(*parameters: Parameter, **given: Any) -> Model:
    """Make a model of a category and a number."""
    return fake_model(*(parameters or (category("c"), number("n"))), evaluator=Echo(), **given)


def answered(
    source: str, source_format: Format, target_format: Format, given: Model | None = None
) -> tuple[str, tuple[int, int]]:
    """Answer a file that is a text; give the other file's text and the counts."""
    target = io.StringIO(newline="")
    counts = predict_file(given or model(), io.StringIO(source, newline=""), target, source_format, target_format)
    return target.getvalue(), counts


def written(rows: Sequence[dict[str, Any]], source_format: Format) -> str:
    """Write rows in a format."""
    if source_format == "json":
        return json.dumps(list(rows))
    if source_format == "jsonl":
        return "".join(json.dumps(row) + "\n" for row in rows)
    target = io.StringIO(newline="")
    writer = csv.DictWriter(target, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return target.getvalue()


def read(text: str, target_format: Format) -> list[dict[str, Any]]:
    """Read answers in a format."""
    if target_format == "json":
        answers: list[dict[str, Any]] = json.loads(text)
        return answers
    if target_format == "jsonl":
        return [json.loads(line) for line in text.splitlines()]
    return [{"no": float(row["no"]), "yes": float(row["yes"])} for row in csv.DictReader(io.StringIO(text, newline=""))]


@pytest.mark.parametrize("source_format", FORMATS)
@pytest.mark.parametrize("target_format", FORMATS)
def test_every_format(source_format: Format, target_format: Format) -> None:
    """Rows of every format are answered in every format, in their order."""
    said, counts = answered(written(ROWS, source_format), source_format, target_format)
    assert read(said, target_format) == [{"no": 0.0, "yes": 1.0}, {"no": 0.0, "yes": -2.5}]
    assert counts == (2, 0)


def test_single_object() -> None:
    """One object is answered by one."""
    assert answered(json.dumps(ROWS[0]), "json", "json")[0] == '{"no":0.0,"yes":1.0}\n'


@pytest.mark.parametrize(
    ("source", "source_format"), [("[]", "json"), ("", "jsonl"), ("\n \n", "jsonl"), ("c,n\n", "csv"), ("", "csv")],
    ids=["array", "nothing", "empty lines", "header", "empty file"],
)  # fmt: skip
def test_no_rows(source: str, source_format: Format) -> None:
    """A file without rows is answered by one without."""
    assert answered(source, source_format, "json") == ("[]\n", (0, 0))
    assert answered(source, source_format, "jsonl") == ("", (0, 0))
    assert answered(source, source_format, "csv") == ("no,yes,error\n", (0, 0))


@pytest.mark.parametrize("source_format", FORMATS)
@pytest.mark.parametrize("target_format", FORMATS)
def test_refused_rows(source_format: Format, target_format: Format) -> None:
    """A refused row has its problem in the place of a result, and is counted; the others are answered."""
    rows = [{"c": "blue", "n": 1}, *ROWS]
    said, counts = answered(written(rows, source_format), source_format, target_format)
    assert counts == (2, 1)
    if target_format == "csv":
        refused, *others = csv.DictReader(io.StringIO(said, newline=""))
        assert (refused["c"], refused["error"], refused["no"]) == ("blue", "c must be one of its 2 labels.", "")
        assert [each["error"] for each in others] == ["", ""]
    else:
        refused, *others = read(said, target_format)
        assert (refused["status"], refused["errors"][0]["code"]) == (422, "not_allowed")
        assert all("status" not in each for each in others)


@pytest.mark.parametrize("target_format", FORMATS)
@pytest.mark.parametrize("value", ["5", "null", '"text"', "[1]"])
def test_rows_that_are_no_objects(value: str, target_format: Format) -> None:
    """What is no object is refused like any other row, in every format."""
    said, counts = answered(f"[{value}, {json.dumps(ROWS[0])}]", "json", target_format)
    assert counts == (1, 1)
    assert "Expected an object" in said


def test_many_rows() -> None:
    """Rows beyond a chunk are answered in their order too."""
    rows = [{"c": "red", "n": float(index)} for index in range(2 * CHUNK_ROWS + 1)]
    said, counts = answered(written(rows, "jsonl"), "jsonl", "json")
    assert [each["yes"] for each in read(said, "json")] == [row["n"] for row in rows]
    assert counts == (len(rows), 0)


@pytest.mark.parametrize(
    ("parameter", "cell", "code"),
    [
        pytest.param(category("c"), "green", 1, id="label"),
        pytest.param(category("c", ("é", 'a"b', "a,b", "a\nb")), 'a"b', 1, id="quotes"),
        pytest.param(category("c", ("é", 'a"b', "a,b", "a\nb")), "a\nb", 3, id="line break"),
        pytest.param(category("c", ("é",)), "é", 0, id="letter"),
        pytest.param(category("c", (1, 2)), "2", 1, id="integer label"),
        pytest.param(category("c", ("1", "2")), "2", 1, id="digits"),
        pytest.param(category("c", (True, False)), "false", 1, id="boolean label"),
        pytest.param(category("c", (1, 2), open=True), "7", 7, id="integer that was not seen"),
        pytest.param(category("c", open=True), "blue", "blue", id="text that was not seen"),
        pytest.param(number("c"), " 1e2 ", 100.0, id="number"),
        pytest.param(integer("c"), "6.0", 6.0, id="integer"),
        pytest.param(boolean("c"), "true", True, id="boolean"),
        pytest.param(text("c"), "5", "5", id="text"),
        pytest.param(text("c"), "", "", id="empty text"),
        pytest.param(number("c", nullable=True, null_code=-1), "", -1, id="missing value"),
        pytest.param(number("c", default=9), "", 9.0, id="default"),
    ],
)
def test_cells(parameter: Parameter, cell: str, code: object) -> None:
    """A cell is read as the JSON value that its parameter takes."""
    evaluator = Echo()
    given = fake_model(parameter, number("n"), evaluator=evaluator)
    assert answered(written([{"c": cell, "n": "0.5"}], "csv"), "csv", "json", given)[1] == (1, 0)
    assert evaluator.rows == [[code, 0.5]]
    assert type(evaluator.rows[0][0]) is type(code)


@pytest.mark.parametrize(
    ("parameter", "cell", "code"),
    [
        pytest.param(category("c"), "", "missing", id="empty"),
        pytest.param(category("c", ("é", 'a"')), "\\u00e9", "not_allowed", id="escape"),
        pytest.param(category("c", ("é", 'a"')), "a\\", "not_allowed", id="half an escape"),
        pytest.param(category("c", (1, 2)), "x", "wrong_type", id="text for an integer"),
        pytest.param(number("c"), "six", "wrong_type", id="word"),
        pytest.param(number("c"), "nan", "wrong_type", id="no number"),
        pytest.param(number("c"), '"6"', "wrong_type", id="text in JSON"),
        pytest.param(number("c"), "true", "wrong_type", id="boolean for a number"),
        pytest.param(integer("c"), "6.5", "wrong_type", id="fraction"),
        pytest.param(boolean("c"), "yes", "wrong_type", id="word for a boolean"),
    ],
)
def test_refused_cells(parameter: Parameter, cell: str, code: str) -> None:
    """A cell that its parameter does not take is refused as in JSON."""
    given = model(parameter, number("n"))
    said, counts = answered(written([{"c": cell, "n": "0.5"}], "csv"), "csv", "jsonl", given)
    assert counts == (0, 1)
    assert json.loads(said)["errors"][0]["code"] == code


def test_unknown_column() -> None:
    """A column that no parameter has refuses its rows, unless such fields are ignored."""
    source = written([{"c": "red", "n": "1", "x": "2"}], "csv")
    assert answered(source, "csv", "json")[1] == (0, 1)
    assert answered(source, "csv", "json", model(ignore_unknown=True))[1] == (1, 0)


@pytest.mark.parametrize(
    ("source", "source_format", "message"),
    [
        pytest.param("{", "json", "The body is not JSON", id="JSON"),
        pytest.param("", "json", "The body is empty", id="nothing"),
        pytest.param('{"c":"red","n":1}\n\n{"c"\n', "jsonl", "^Line 3: The body is not JSON", id="line"),
        pytest.param('{"n":1,"n":2}\n', "jsonl", "^Line 1: .*same key twice", id="duplicate key"),
        pytest.param("c,n\nred,1,extra\ngreen,2\n", "csv", "^Line 2: expected 2 cells", id="more cells"),
        pytest.param("c,n\nred,1\ngreen\n", "csv", "^Line 3: expected 2 cells", id="fewer cells"),
        pytest.param('c,n\n"red,1\ngreen,2\n', "csv", "^Line 2 begins a row with a quoted cell", id="open quote"),
    ],
)
def test_unreadable(source: str, source_format: Format, message: str) -> None:
    """Text that cannot be read ends the work with a sentence that says where."""
    with pytest.raises(MalformedBody, match=message):
        answered(source, source_format, "json")


def test_columns_after_many_refusals() -> None:
    """A table has the answers' columns although its first rows have no answer, and those of all fields."""
    rows = [*[{"c": "blue", "n": 1}] * CHUNK_ROWS, *ROWS]
    said, counts = answered(json.dumps(rows), "json", "csv")
    assert counts == (2, CHUNK_ROWS)
    assert [row["yes"] for row in csv.DictReader(io.StringIO(said, newline=""))][-2:] == ["1.0", "-2.5"]
    said, _ = answered('[{"n": 1}, {"n": 1, "c": "red"}]', "json", "csv")
    assert said.splitlines()[0] == "n,c,no,yes,error"


def test_booleans_as_json_has_them() -> None:
    """A table has true and false as rows of it are read."""
    said, _ = answered('[{"b":true,"n":1}]', "json", "csv", model(boolean("b"), number("n")))
    assert said.splitlines()[1].startswith("true,1,")


def test_flat_columns() -> None:
    """Outputs and labels become columns `output.label`, beside those of the row."""
    given = real_model(estimators()["several"])
    said, _ = answered('[{"x0":1,"x1":2}]', "json", "csv", given)
    (row,) = csv.DictReader(io.StringIO(said, newline=""))
    assert list(row) == ["x0", "x1", "y0.off", "y0.on", "y1.off", "y1.on", "error"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [("a.csv", "csv"), ("A.CSV", "csv"), ("a.jsonl", "jsonl"), ("a.ndjson", "jsonl"), ("a.json", "json"), ("-", "json"),
     ("a.txt", "json")],
)  # fmt: skip
def test_format_of(path: str, expected: str) -> None:
    """A file's name tells its format."""
    assert format_of(path) == expected


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Write the bundle of a pipeline."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    joblib.dump(pipeline(), folder / "model.pkl")
    return folder


def test_files(bundle: Path, tmp_path: Path) -> None:
    """Files are read and written by their paths."""
    source, target = tmp_path / "rows.csv", tmp_path / "answers.jsonl"
    source.write_text("force,month\nKent,1\nEssex,2\n", encoding="utf-8")
    counts = predict_paths(bundle, settings(), (str(source), "csv"), (str(target), "jsonl"))
    assert counts == (2, 0)
    assert [list(json.loads(line)) for line in target.read_text().splitlines()] == [["caught", "free"]] * 2


def test_mark_of_a_spreadsheet(bundle: Path, tmp_path: Path) -> None:
    """The byte order mark that spreadsheets write is no part of the first column's name."""
    source, target = tmp_path / "rows.csv", tmp_path / "answers.jsonl"
    source.write_bytes(b"\xef\xbb\xbfforce,month\r\nKent,1\r\n")
    assert predict_paths(bundle, settings(), (str(source), "csv"), (str(target), "jsonl")) == (1, 0)


def test_standard_streams(bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """`-` is standard input or output."""
    monkeypatch.setattr("sys.stdin", io.StringIO('{"force":"Kent","month":1}'))
    assert predict_paths(bundle, settings(), ("-", "json"), ("-", "json")) == (1, 0)
    assert list(json.loads(capsys.readouterr().out)) == ["caught", "free"]


def test_standard_input_is_text_as_files_are(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the locale says, standard input is UTF-8, with or without a mark, and its ends of lines are its own."""
    content = b'\xef\xbb\xbfforce,month,note\r\nKent,1,"a\r\nb"\r\n'
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content), encoding="ascii", errors="surrogateescape"))
    target = tmp_path / "answers.csv"
    given = settings(unknown_fields="ignore")
    assert predict_paths(bundle, given, ("-", "csv"), (str(target), "csv")) == (1, 0)
    assert b'Kent,1,"a\r\nb",' in target.read_bytes()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xe9"), encoding="ascii", errors="surrogateescape"))
    with pytest.raises(MalformedBody, match="UTF-8"):
        predict_paths(bundle, given, ("-", "csv"), (str(target), "csv"))


def test_file_that_cannot_be_opened(bundle: Path, tmp_path: Path) -> None:
    """A file that is not there is refused by its path and the system's reason."""
    with pytest.raises(FileError, match=r"none\.json cannot be opened: No such file"):
        predict_paths(bundle, settings(), (str(tmp_path / "none.json"), "json"), ("-", "json"))


@pytest.mark.parametrize("source_format", FORMATS)
def test_file_in_another_encoding(bundle: Path, tmp_path: Path, source_format: Format) -> None:
    """A file that is not UTF-8 is refused in a sentence."""
    source = tmp_path / "rows"
    source.write_bytes('force,month\n"é",1\n'.encode("latin-1"))
    with pytest.raises(MalformedBody, match="UTF-8"):
        predict_paths(bundle, settings(), (str(source), source_format), (str(tmp_path / "out"), "json"))
