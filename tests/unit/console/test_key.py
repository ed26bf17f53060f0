"""`brinery key`."""

import pytest

from server.__main__ import main
from server.keys import read_keys
from server.rates import Rate
from tests.models import settings


def test_a_key_and_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    """The line that is printed lets in who has the key that is printed, for what was said."""
    assert main(["key", "app-2026", "--scopes", "predict,info", "--rate", "5/m"]) == 0
    _, key, _, line = capsys.readouterr().out.splitlines()
    found = read_keys(settings(api_keys=line)).find(key)
    assert found is not None
    assert (found.name, found.scopes, found.rate) == ("app-2026", frozenset({"predict", "info"}), Rate(5, 60))
    assert key not in line


def test_no_two_keys_are_alike(capsys: pytest.CaptureFixture[str]) -> None:
    """Each call makes a key of its own, which is good for everything unless something else is said."""
    keys = set()
    for _ in range(3):
        main(["key", "app"])
        _, key, _, line = capsys.readouterr().out.splitlines()
        keys.add(key)
        found = read_keys(settings(api_keys=line)).find(key)
        assert found is not None
        assert found.scopes == {"predict", "info", "metrics"}
    assert len(keys) == 3


@pytest.mark.parametrize(
    "given", [["a b"], [""], ["app", "--scopes", "all"], ["app", "--rate", "fast"]],
    ids=["name", "no name", "scopes", "rate"],
)  # fmt: skip
def test_what_makes_no_line_is_refused(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A line that the server would refuse is not made."""
    assert main(["key", *given]) == 1
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert "expected" in said.err
