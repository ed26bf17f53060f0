"""Frames as pandas splits them: read as their schema says, and told from columns."""

import tracemalloc
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from server.decoding import decode
from server.errors import InvalidInput, MalformedBody, TooManyRows, WrongForm
from server.model import Model
from server.predictor import Predictor
from server.protocols.forms import frame_schemas
from server.protocols.frames import FrameReader, decode_frames
from tests.contract.test_accepts_iff_schema import MAX_ROWS, SETTINGS, models, read, rows, write
from tests.models import fake_model, number


def reader_of(model: Model) -> FrameReader:
    """Make the reader of a model's frames."""
    return FrameReader(model.signature, Predictor(model, max_rows=MAX_ROWS))


@given(st.data())
@settings(max_examples=150)
def test_what_the_schema_accepts_is_read(data: st.DataObject) -> None:
    """A frame in the order of the parameters is read if and only if the published schema accepts it."""
    model = data.draw(models())
    names = [parameter.name for parameter in model.signature.parameters]
    schemas = frame_schemas(model, SETTINGS)
    validator = Draft202012Validator({"$ref": "#/components/schemas/Split", "components": {"schemas": schemas}})
    some = [data.draw(rows(model))] * data.draw(st.sampled_from([1, 0, 2, MAX_ROWS, MAX_ROWS + 1]))
    frame: dict[str, Any] = {"data": [list(row.values()) if isinstance(row, dict) else row for row in some]}
    if data.draw(st.booleans()):
        frame["columns"] = data.draw(st.sampled_from([names, [*range(len(names))], None, 3, [3]]))
    if data.draw(st.booleans()):
        frame["index"] = data.draw(st.sampled_from([[0], [], None, "a"]))
    text = write(frame)
    try:
        value = decode(text.encode())
    except MalformedBody:
        return
    try:
        reader_of(model).split(value, "frame")
        accepted = True
    except (InvalidInput, TooManyRows, WrongForm):
        accepted = False
    event("accepted" if accepted else "refused")
    assert accepted == validator.is_valid(read(text)), text


@pytest.mark.parametrize(
    ("names", "given", "is_split"),
    [
        pytest.param(["a"], {"data": [[1]]}, True, id="data alone"),
        pytest.param(["a"], {"columns": ["a"], "data": [[1]], "index": [0]}, True, id="all"),
        pytest.param(["a"], {"columns": ["a"]}, False, id="no data"),
        pytest.param(["a"], {"data": [[1]], "a": [1]}, False, id="another member"),
        pytest.param(["data"], {"data": [1]}, False, id="a parameter of that name"),
        pytest.param(["data"], {"columns": ["data"], "data": [[1]]}, True, id="a frame of that parameter"),
        pytest.param(["a"], [{"data": [1]}], False, id="a list"),
    ],
)
def test_a_frame_is_told_from_columns(names: list[str], given: object, is_split: bool) -> None:
    """An object is a frame by its members' names, unless all are parameters'."""
    assert reader_of(fake_model(*map(number, names))).is_split(given) is is_split


def test_nan_beside_a_long_text() -> None:
    """Looking for NaN takes no memory for the texts that it passes: it was a hundred times the body."""
    body = b'{"a": "' + b"a" * 1_000_000 + b'", "b": NaN}'
    tracemalloc.start()
    assert decode_frames(body) == {"a": "a" * 1_000_000, "b": None}
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 30 * len(body)
