"""API keys: their entries, and who is found by them."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import SettingError
from server.keys import MIN_LENGTH, digest_of, new_key, read_keys
from server.rates import Rate
from server.settings import SCOPES
from tests.models import settings

KEY = new_key()
OTHER = new_key()
KEYS = read_keys(settings(api_keys=f"app {digest_of(KEY)} predict; ops {digest_of(OTHER)}"))


def test_entries() -> None:
    """Several keys are good at once, each for its own scopes, or for all if none are named."""
    found, other = KEYS.find(KEY), KEYS.find(OTHER)
    assert found is not None
    assert other is not None
    assert (found.name, found.scopes, found.rate) == ("app", frozenset({"predict"}), None)
    assert (other.name, other.scopes) == ("ops", frozenset(SCOPES))


@given(
    st.text()
    | st.sampled_from([KEY[:-1], KEY + " ", KEY.upper(), KEY[::-1], KEY + OTHER, digest_of(KEY)])
    | st.builds(lambda at, letter: KEY[:at] + letter + KEY[at + 1 :], st.integers(0, len(KEY) - 1), st.characters())
)
def test_no_other_text_is_accepted(presented: str) -> None:
    """Nothing but the key itself is the key."""
    assert (KEYS.find(presented) is None) == (presented not in (KEY, OTHER))


def test_a_short_key_is_never_good() -> None:
    """A text that a person invented is refused, though its hash has a line."""
    short = "x" * (MIN_LENGTH - 1)
    assert read_keys(settings(api_keys=f"short {digest_of(short)}")).find(short) is None
    long = "x" * MIN_LENGTH
    assert read_keys(settings(api_keys=f"long {digest_of(long)}")).find(long) is not None


def test_a_file(tmp_path: Path) -> None:
    """A file has a line for each key, comments and empty lines; the environment adds to it."""
    file = tmp_path / "keys"
    file.write_text(f"# ours\n\napp {digest_of(KEY)} predict,info 5/m  # until June\n")
    keys = read_keys(settings(api_keys_file=file, api_keys=f"ops {digest_of(OTHER)} 7/s"))
    found, other = keys.find(KEY), keys.find(OTHER)
    assert found is not None
    assert other is not None
    assert (found.scopes, found.rate) == (frozenset({"predict", "info"}), Rate(5, 60))
    assert (other.scopes, other.rate) == (frozenset(SCOPES), Rate(7, 1))


HASH = digest_of(KEY)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (f"app {KEY}", "a key itself has no place here"),
        ("app", "a key itself has no place here"),
        (f"app {HASH.upper()}", "a key itself has no place here"),
        (f"äpp {HASH}", "begins with no name"),
        (f"app {HASH} all", "has scopes that are none"),
        (f"app {HASH} predict 5", "has scopes that are none"),
        (f"app {HASH} predict 5/w", "has a rate that is none"),
        (f"app {HASH} predict info 5/s", "has words behind its end"),
        (f"app {HASH}\napp {digest_of(OTHER)}", "by its name"),
        (f"app {HASH}\nops {HASH}", "by its digest"),
    ],
    ids=["key", "name alone", "capitals", "letter", "scopes", "order", "rate", "words", "name twice", "key twice"],
)
def test_a_bad_line_stops_the_start(lines: str, said: str, tmp_path: Path) -> None:
    """The sentence names the line, and holds neither a key nor a hash."""
    file = tmp_path / "keys"
    file.write_text(lines)
    for some in (settings(api_keys_file=file), settings(api_keys=lines)):
        with pytest.raises(SettingError) as refused:
            read_keys(some)
        assert said in str(refused.value)
        assert KEY not in str(refused.value)
        assert hashlib.sha256(KEY.encode()).hexdigest() not in str(refused.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """A file that is not there, or no text, stops the start."""
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    for file in (tmp_path / "none", binary):
        with pytest.raises(SettingError, match="API_KEYS_FILE cannot be read"):
            read_keys(settings(api_keys_file=file))
