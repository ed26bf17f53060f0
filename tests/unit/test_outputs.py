"""Outputs and the names of their labels."""

import pytest

from server.outputs import Output, key_of
from server.parameter import Label


@pytest.mark.parametrize(
    ("label", "key"), [("a", "a"), ("True", "True"), (True, "true"), (False, "false"), (1, "1"), (-1, "-1"), ("", "")]
)
def test_key_of(label: Label, key: str) -> None:
    """A label is written as JSON would write it, without quotes."""
    assert key_of(label) == key


def test_keys() -> None:
    """The keys of an output are those of its labels, in their order."""
    assert Output("y", (True, 2, "three")).keys == ("true", "2", "three")
