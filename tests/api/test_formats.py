"""CSV and Arrow on `POST /api/predict`: the same rows, the same answers, the same refusals as in JSON."""

import csv
import io
import json
import random
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pytest
from werkzeug.test import Client, TestResponse

from tests.api.estimators import ARRAY, BINARY
from tests.api.rows import draw_row
from tests.api.serving import EXAMPLES, GOOD, check_headers, post, predict, problem, serve, serve_folder
from tests.models import estimators
from tests.unit.formats.streams import read_stream, stream, stream_of

CSV, ARROW = "text/csv", "application/vnd.apache.arrow.stream"
Rows = Sequence[Mapping[str, Any]]


def rows_of(client: Client, count: int) -> list[dict[str, Any]]:
    """Draw rows that a model accepts."""
    document = client.get("/openapi.json").json
    assert document is not None
    rng = random.Random(1)
    names = list(document["components"]["schemas"]["Input"]["properties"])
    rows = [draw_row(document["components"]["schemas"]["Input"], rng) for _ in range(count)]
    return [{name: row[name] for name in names} for row in rows]


def csv_of(rows: Rows) -> bytes:
    """Write rows as CSV."""
    target = io.StringIO(newline="")
    writer = csv.writer(target)
    writer.writerow(rows[0])
    for row in rows:
        writer.writerow(json.dumps(value) if isinstance(value, bool) else value for value in row.values())
    return target.getvalue().encode()


def arrow_of(rows: Rows, *, dictionaries: bool = False) -> bytes:
    """Write rows as a stream of Arrow's."""
    table = pa.Table.from_pylist([dict(row) for row in rows])
    if dictionaries:
        for at, column in enumerate(table.columns):
            if pa.types.is_string(column.type):
                table = table.set_column(at, table.column_names[at], column.dictionary_encode())
    return stream(table)


def flat(result: Any, name: str = "") -> dict[str, Any]:
    """Give the members of an answer, and those of its members, under the names of columns."""
    if not isinstance(result, dict):
        return {name: result}
    members: dict[str, Any] = {}
    for key, value in result.items():
        members |= flat(value, f"{name}.{key}" if name else key)
    return members


def cells(response: TestResponse) -> list[dict[str, str]]:
    """Read an answer in CSV."""
    assert response.status_code == 200, response.text
    assert response.content_type == "text/csv; charset=utf-8; header=present"
    check_headers(response)
    return list(csv.DictReader(io.StringIO(response.text, newline=""), strict=True))


def table(response: TestResponse) -> list[dict[str, Any]]:
    """Read an answer in Arrow."""
    assert response.status_code == 200, response.data
    assert response.content_type == ARROW
    check_headers(response)
    rows: list[dict[str, Any]] = read_stream(response.data).to_pylist()
    return rows


def cell(value: object) -> str:
    """Write a value as a cell of an answer."""
    return "" if value is None else json.dumps(value) if isinstance(value, bool) else str(value)


def bodies(rows: Rows) -> list[tuple[bytes, str]]:
    """Write rows in every form, with its media type."""
    return [
        (json.dumps(list(rows)).encode(), "application/json"),
        (csv_of(rows), CSV),
        (arrow_of(rows), ARROW),
        (arrow_of(rows, dictionaries=True), ARROW),
    ]


@pytest.mark.parametrize("detail", ["", "?detail=full"], ids=["brief", "full"])
@pytest.mark.parametrize("count", [1, 40])
def test_every_form_has_the_same_answers(example: Client, count: int, detail: str) -> None:
    """Whatever the form of the rows, and of the answer, the numbers are those of JSON to the last bit."""
    rows, path = rows_of(example, count), f"/api/predict{detail}"
    expected = predict(example, rows, path, X_Request_ID="r")
    for body, media_type in bodies(rows):
        given = {"Content_Type": media_type, "X_Request_ID": "r"}
        assert post(example, body, path, **given).json == expected
        said = cells(post(example, body, path, Accept=CSV, **given))
        assert said == [{name: cell(value) for name, value in flat(row).items()} for row in expected]
        assert table(post(example, body, path, Accept=ARROW, **given)) == list(map(flat, expected))


@pytest.mark.parametrize("name", sorted(estimators()))
def test_every_form_of_answer(name: str) -> None:
    """Every estimator's answer has columns: one for each member, and for each member of one."""
    client = serve(estimators()[name])
    rows = rows_of(client, 3)
    for path in ("/api/predict", "/api/predict?detail=full"):
        expected = [flat(row) for row in predict(client, rows, path, X_Request_ID="r")]
        body = json.dumps(rows)
        assert table(post(client, body, path, Accept=ARROW, X_Request_ID="r")) == expected
        said = cells(post(client, body, path, Accept=CSV, X_Request_ID="r"))
        assert said == [{name: cell(value) for name, value in row.items()} for row in expected]


def test_lenient_batches(crime: Client) -> None:
    """Row by row, a refused one has its status and its sentence, and the others have their answers."""
    rows = [GOOD, GOOD | {"month": 13}, GOOD | {"month": 1}]
    path, prefer = "/api/predict?detail=full", {"Prefer": "handling=lenient", "X_Request_ID": "r"}
    items = predict(crime, rows, path, **prefer)
    expected = [
        flat(item["result"]) | {"status": 200, "error": None}
        if item["status"] == 200
        else {"status": 422, "error": "month must be an integer from 1 to 12."}
        for item in items
    ]
    for body, media_type in bodies(rows):
        response = post(crime, body, path, Content_Type=media_type, Accept=ARROW, **prefer)
        assert response.headers["Preference-Applied"] == "handling=lenient"
        said_rows = table(response)
        assert [{name: row[name] for name in some} for row, some in zip(said_rows, expected, strict=True)] == expected
        assert set(said_rows[1].values()) == {None, *expected[1].values()}
        said = cells(post(crime, body, path, Content_Type=media_type, Accept=CSV, **prefer))
        assert [row["error"] for row in said] == ["", "month must be an integer from 1 to 12.", ""]
        assert [row["status"] for row in said] == ["200", "422", "200"]
        assert post(crime, body, path, Content_Type=media_type, **prefer).json == items


def test_lenient_batches_of_refused_rows(crime: Client) -> None:
    """A batch without one good row has the same columns."""
    response = post(crime, json.dumps([{}]), Accept=ARROW, Prefer="handling=lenient")
    (row,) = table(response)
    assert row.keys() == {"notCaughtProb", "caughtProb", "status", "error"}
    assert (row["caughtProb"], row["status"]) == (None, 422)


@pytest.mark.parametrize("media_type", [CSV, ARROW])
def test_refusals(crime: Client, media_type: str) -> None:
    """What JSON is refused for, other forms are refused for, by row and field."""
    rows = [GOOD, GOOD | {"month": 13}, GOOD | {"force": "Kent"}]
    expected = problem(post(crime, json.dumps(rows)), 422)
    given = {kind: body for body, kind in bodies(rows)}[media_type]
    document = problem(post(crime, given, Content_Type=media_type), 422)
    assert document["errors"] == expected["errors"]
    assert [each["pointer"] for each in document["errors"]] == ["/1/month", "/2/force"]


@pytest.mark.parametrize(
    ("body", "media_type", "status"),
    [
        pytest.param(b"", CSV, 400, id="no text"),
        pytest.param(b"month,force,crime\n", CSV, 422, id="no lines"),
        pytest.param(b'month,force,crime\n6,"Kent,Drugs\n', CSV, 400, id="open quote"),
        pytest.param(b"month,force\n6,Kent Police\n", CSV, 422, id="missing column"),
        pytest.param(b"month,force,crime\n" + b"6,Kent Police,Drugs\n" * 11, CSV, 413, id="many lines"),
        pytest.param(b"", ARROW, 400, id="no stream"),
        pytest.param(b"month,force,crime\n", ARROW, 400, id="text for a stream"),
        pytest.param(stream_of({"month": [], "force": [], "crime": []}), ARROW, 422, id="no rows"),
        pytest.param(stream_of({"month": [6]}), ARROW, 422, id="missing columns"),
        pytest.param(arrow_of([GOOD | {"month": [6]}]), ARROW, 422, id="list"),
        pytest.param(arrow_of([GOOD] * 11), ARROW, 413, id="many rows"),
        pytest.param(arrow_of([GOOD])[:-20], ARROW, 400, id="cut off"),
        pytest.param(b"[]", "application/xml", 415, id="another media type"),
        pytest.param(b"n\n1\n", "text/csv; charset=latin-1", 415, id="another charset"),
        pytest.param(b"n\n1\n", "text/csv; header=maybe", 415, id="neither present nor absent"),
    ],
)
def test_other_refusals(front: str, body: bytes, media_type: str, status: int) -> None:  # it must be chosen
    """What cannot be read, has no rows, too many, or other columns is refused by a problem document."""
    client = serve_folder(EXAMPLES["crime"], max_rows=10)
    problem(post(client, body, Content_Type=media_type), status)


def test_names_may_be_left_out(crime: Client) -> None:
    """Without a line of names the cells are in the order of the fields."""
    names = list(rows_of(crime, 1)[0])
    line = ",".join(str(GOOD[name]) for name in names).encode()
    expected = [predict(crime, GOOD)]
    assert post(crime, line, Content_Type=CSV).json == expected
    assert post(crime, line, Content_Type="text/csv; header=absent").json == expected
    problem(post(crime, line, Content_Type="text/csv; header=present"), 422)


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("text/csv, application/json", "application/json"),
        ("text/csv, application/json;q=0.9", "text/csv; charset=utf-8; header=present"),
        ("text/*", "text/csv; charset=utf-8; header=present"),
        (f"{ARROW}, */*;q=0.1", ARROW),
        (f"{ARROW};q=0, text/csv;q=0.001", "text/csv; charset=utf-8; header=present"),
    ],
)
def test_what_is_written(crime: Client, accept: str, media_type: str) -> None:
    """An answer has the form that the caller likes best, JSON where he likes others as much."""
    assert post(crime, json.dumps(GOOD), Accept=accept).content_type == media_type


def test_nothing_to_write(crime: Client) -> None:
    """Who takes nothing that is written is told what is; a problem is one whatever he takes."""
    document = problem(post(crime, json.dumps(GOOD), Accept="application/xml"), 406)
    assert all(media_type in document["detail"] for media_type in ("application/json", CSV, ARROW))
    document = problem(post(crime, b"<a/>", Content_Type="text/xml", Accept=CSV), 415)
    assert all(media_type in document["detail"] for media_type in ("application/json", CSV, ARROW))


def test_the_document_says_so(example: Client) -> None:
    """The published document lists what is read and written, with an example of CSV that is accepted."""
    document = example.get("/openapi.json").json
    assert document is not None
    operation = document["paths"]["/api/predict"]["post"]
    expected = {"application/json", CSV, ARROW}
    assert operation["requestBody"]["content"].keys() == operation["responses"]["200"]["content"].keys() == expected
    text = operation["requestBody"]["content"][CSV]["examples"]["a batch"]["value"]
    row = operation["requestBody"]["content"]["application/json"]["examples"]["one row"]["value"]
    assert post(example, text, Content_Type=CSV).json == [predict(example, row)]


def test_large_batches_run_on_threads() -> None:
    """A batch that only its bytes tell of is answered like any other, as many rows as it has."""
    client = serve(estimators()["binary"])
    rows = [{"x0": float(value[0]), "x1": float(value[1])} for value in ARRAY[: len(BINARY)]] * 100
    expected = predict(client, rows)
    for body, media_type in bodies(rows):
        assert post(client, body, Content_Type=media_type).json == expected
