"""CSV and Arrow over HTTP: the real server answers tables as it answers the same rows in JSON."""

import csv
import io
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import ipc

from tests.docs.documentation import DOCS, blocks_of
from tests.live.running import Answer, Server

pytestmark = pytest.mark.live

CSV, ARROW = "text/csv", "application/vnd.apache.arrow.stream"
ROWS: Sequence[dict[str, Any]] = [
    {"month": month, "force": force, "crime": crime}
    for month in range(1, 13)
    for force in ("Thames Valley Police", "Kent Police")
    for crime in ("Bicycle theft", "Drugs")
]


def csv_of(rows: Sequence[dict[str, Any]]) -> bytes:
    """Write rows as CSV."""
    target = io.StringIO(newline="")
    writer = csv.DictWriter(target, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return target.getvalue().encode()


def arrow_of(rows: Sequence[dict[str, Any]]) -> bytes:
    """Write rows as a stream of some batches, with the texts in dictionaries."""
    table = pa.Table.from_pylist(rows)
    for place, name in enumerate(table.column_names):
        if pa.types.is_string(table.schema.field(name).type):
            table = table.set_column(place, name, table.column(name).dictionary_encode())
    target = io.BytesIO()
    with ipc.new_stream(target, table.schema) as writer:
        writer.write_table(table, max_chunksize=1_000)
    return target.getvalue()


def rows_of(answer: Answer) -> list[dict[str, float]]:
    """Read an answer in any form."""
    assert answer.status == 200, answer.body
    form = answer.headers["Content-Type"].partition(";")[0]
    if form == ARROW:
        rows: list[dict[str, float]] = ipc.open_stream(answer.body).read_all().to_pylist()
        return rows
    if form == CSV:
        lines = csv.DictReader(io.StringIO(answer.body.decode(), newline=""))
        return [{name: float(cell) for name, cell in line.items()} for line in lines]
    return answer.json  # type: ignore[no-any-return]


@pytest.mark.parametrize("times", [1, 100], ids=["a few", "many"])
def test_tables(crime: Server, times: int) -> None:
    """Rows in every form get the same numbers in every form, few at once and many on a thread."""
    rows = [*ROWS] * times
    expected = crime.request("POST", "/api/predict", rows).json
    for body, form in ((csv_of(rows), CSV), (arrow_of(rows), ARROW)):
        for accept in ("application/json", CSV, ARROW):
            headers = {"Content-Type": form, "Accept": accept}
            assert rows_of(crime.request("POST", "/api/predict", body, headers)) == expected


def test_refusals(crime: Server) -> None:
    """A refused cell is told by its row and column; what is no table, with 400; too many rows, before they are read."""
    rows = [ROWS[0], ROWS[1] | {"month": 13}]
    for write, form in ((csv_of, CSV), (arrow_of, ARROW)):
        headers = {"Content-Type": form, "Accept": form}
        answer = crime.request("POST", "/api/predict", write(rows), headers)
        assert (answer.status, answer.headers["Content-Type"]) == (422, "application/problem+json")
        assert [each["pointer"] for each in answer.json["errors"]] == ["/1/month"]
        assert crime.request("POST", "/api/predict", b"month\n6,7\n", headers).status == 400
        assert crime.request("POST", "/api/predict", write([*ROWS] * 209), headers).status == 413
        assert crime.request("HEAD", "/api/predict", headers=headers).status == 405


def test_the_example_of_the_documentation(crime: Server) -> None:
    """What the reference of the API shows for Arrow runs, and prints a table of answers."""
    (example,) = [block.text for block in blocks_of(DOCS / "api.md") if block.language == "py"]
    address = "http://127.0.0.1:8000/"
    assert address in example
    command = [sys.executable, "-W", "error", "-c", example.replace(address, f"{crime.url}/")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert "notCaughtProb: double" in printed
    assert "0.979134779757539" in printed
