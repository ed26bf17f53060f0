"""API keys: their entries, from a file and from the environment, and which one a caller presents.

We hold their SHA-256 only. A key is 256 random bits: nobody can guess it from its hash, which is why a slow hash, made
for passwords that people invent, would cost every request something and protect nothing.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from server.errors import SettingError
from server.options import PREFIX
from server.rates import Rate, read_rate
from server.settings import SCOPES, Settings

MIN_LENGTH: Final = 32  # characters: what is shorter was invented by somebody, and could be guessed
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
DIGEST: Final = re.compile(r"sha256:([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Key:
    """An operator's entry: the key's name, its SHA-256, what it may be used for, and its own rate if it has one."""

    name: str
    digest: bytes
    scopes: frozenset[str]
    rate: Rate | None = None


class Keys:
    """The keys that are accepted."""

    def __init__(self, entries: Sequence[Key]) -> None:
        self._entries = tuple(entries)

    def __bool__(self) -> bool:
        """Tell whether there are any."""
        return bool(self._entries)

    def find(self, presented: str) -> Key | None:
        """Give the entry of a key; takes as long for any that was presented."""
        if len(presented) < MIN_LENGTH:
            return None
        digest = hashlib.sha256(presented.encode("utf-8", "surrogatepass")).digest()
        found = None
        for entry in self._entries:
            if hmac.compare_digest(entry.digest, digest):
                found = entry
        return found


def read_keys(settings: Settings) -> Keys:
    """Read the keys from the settings; raise `SettingError` that names the line, and never quotes it."""
    entries: list[Key] = []
    if settings.api_keys:
        entries += _read_lines(f"{PREFIX}API_KEYS", re.split(r"[;\n]", settings.api_keys))
    if settings.api_keys_file is not None:
        source = f"{PREFIX}API_KEYS_FILE"  # not its value: what stops a reload is told at /api/info
        try:
            text = settings.api_keys_file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            msg = f"The file of {source} cannot be read ({reason}); expected lines that `brinery key NAME` prints."
            raise SettingError(msg) from None
        entries += _read_lines(source, text.splitlines())
    for what in ("name", "digest"):
        seen = [getattr(entry, what) for entry in entries]
        twice = next((entry.name for entry in entries if seen.count(getattr(entry, what)) > 1), None)
        if twice is not None:
            msg = f"The API key {twice} is there twice, by its {what}; give each key a line and a name of its own."
            raise SettingError(msg)
    return Keys(entries)


def _read_lines(source: str, lines: Sequence[str]) -> Iterator[Key]:
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if words:
            yield _read_entry(f"{source}, line {number}", words)


def _read_entry(place: str, words: Sequence[str]) -> Key:
    name, digest, *more = [*words, ""][: max(2, len(words))]
    if not NAME.fullmatch(name):
        raise _refusal(place, "begins with no name: up to 64 letters, digits, dots, dashes and underscores")
    if not (matched := DIGEST.fullmatch(digest)):
        raise _refusal(
            place, "has no `sha256:` with 64 hexadecimal digits behind the name; a key itself has no place here"
        )
    scopes, rate = frozenset(SCOPES), None
    if more and "/" in more[-1]:
        try:
            rate = read_rate(more.pop())
        except ValueError:
            raise _refusal(place, "has a rate that is none; expected one such as `100/s` or `6000/m`") from None
    if more:
        scopes = frozenset(more.pop().split(","))
        if not scopes <= set(SCOPES):
            raise _refusal(place, f"has scopes that are none; expected some of {','.join(SCOPES)}")
    if more:
        raise _refusal(place, "has words behind its end; expected a name, a hash, scopes and a rate")
    return Key(name, bytes.fromhex(matched[1]), scopes, rate)


def _refusal(place: str, what: str) -> SettingError:
    return SettingError(f"{place} {what}. `brinery key NAME` prints such a line.")


def new_key() -> str:
    """Make a key: 256 random bits, recognisable by its start."""
    return f"brn_{secrets.token_urlsafe(32)}"


def digest_of(key: str) -> str:
    """Write a key's hash as an entry has it."""
    return f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"
