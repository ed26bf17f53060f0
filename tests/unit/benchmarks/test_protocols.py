"""The requests of other servers' protocols."""

import json
from pathlib import Path

import pytest

from benchmarks.points import PROTOCOLS
from benchmarks.protocols import SPOKEN, translate
from server.app import publish
from server.application import assemble, prepare
from server.bundle import Bundle
from tests.models import pipeline, settings

ROWS = [{"force": "Kent", "month": 1.0}, {"force": "Essex", "month": 4.0}]


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_asks_for_the_same_rows(name: str, tmp_path: Path) -> None:
    """What is measured is answered, one row and a batch, with as many predictions as there are rows."""
    made = settings(log_level="error", access_log=False)
    client = publish(assemble(made, prepare(made, Bundle("oak", pipeline(), digest="sha256:0")))).test_client()
    (tmp_path / "bodies").write_text(f"{json.dumps(ROWS[0])}\n{json.dumps(ROWS)}\n")
    translate(tmp_path / "bodies", SPOKEN[name], tmp_path / "translated")
    expected = client.post("/api/predict?detail=full", json=ROWS).get_json()
    for count, body in zip((1, 2), (tmp_path / "translated").read_text().splitlines(), strict=True):
        response = client.post(SPOKEN[name].path.format(name="oak"), data=body, content_type="application/json")
        assert response.status_code == 200, response.get_json()
        answer = response.get_json()
        predictions = answer["predictions"] if "predictions" in answer else answer["outputs"][0]["data"]
        assert predictions == [each["prediction"] for each in expected[:count]]
