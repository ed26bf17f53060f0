"""Whatever a damaged or forged file is, it is loaded or refused in a sentence, and starts and opens nothing."""

import importlib
import pickle
import sys
from contextlib import suppress
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.allowed import listed
from server.errors import BundleError
from server.gate import gate_of_data, gate_of_model
from tests.models import pipeline
from tests.unit.gate.hostile import text
from tests.unit.gate.writing import through, written

WATCHED = ("open", "os.", "subprocess.", "socket.", "shutil.", "ctypes.dlopen", "exec", "compile", "import", "urllib.")
SEEN: list[str] = []
WATCHING = False


def _watch(event: str, _: Any) -> None:
    if WATCHING and event.startswith(WATCHED):
        SEEN.append(event)


sys.addaudithook(_watch)


@pytest.fixture(scope="module", autouse=True)
def everything_is_imported() -> None:
    """Import what is listed, so that an import of it is no event of ours."""
    for name in listed()["all"]:
        with suppress(ImportError):
            importlib.import_module(name.rpartition(".")[0])


@cache
def good() -> list[bytes]:
    """Give the files that are changed."""
    values = [pipeline(), {"a": {"x": np.int64(0), "y": 1}, "b": [np.str_("z"), (1, 2)]}, np.array(["a", 1], object)]
    return [content for value in values for content in written(value, compressed=False).values()]


NAMES = st.sampled_from([b"cos\nsystem\n", b"\x8c\x02os\x8c\x06system\x93", b"cbuiltins\nexec\n", text("os")])


@st.composite
def changed(draw: Any) -> bytes:
    """Draw a good file with some of its bytes changed, left out, repeated, or others put between."""
    content = bytearray(draw(st.sampled_from(good())))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(content)))
        length = draw(st.integers(0, 12))
        other = draw(st.sampled_from(good()))[place:][:40]
        content[place : place + length] = draw(st.one_of(st.binary(max_size=6), NAMES, st.just(other)))
    return bytes(content)


@settings(max_examples=400, deadline=None)
@given(content=changed())
def test_changed_files(content: bytes) -> None:
    """A changed file does nothing but hold what it holds."""
    global WATCHING  # the hook cannot be taken away
    for gate in (gate_of_model("model.pkl"), gate_of_data("lookup.pkl")):
        WATCHING = True
        try:
            with suppress(BundleError):
                through(gate, content)
        finally:
            WATCHING = False
    assert not SEEN


def test_the_hook_sees() -> None:
    """The hook would tell of a call."""
    global WATCHING
    WATCHING = True
    with suppress(Exception):
        pickle.loads(b"cos\nlistdir\n(V/\ntR.")  # it is ours
    WATCHING = False
    assert SEEN
    SEEN.clear()
