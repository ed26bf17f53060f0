"""Readers of settings' texts: what each takes, and a phrase that says what was expected. Pure."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from server.rates import read_rate
from server.urls import read_place, shown

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Parser(Generic[T]):
    """Reads one setting's text: `read` raises `ValueError` for what `expects`, a phrase, does not describe.

    What is `secret` is never shown, neither as it is nor where it is refused. `shown` takes out of a text what may be
    a password in it.
    """

    read: Callable[[str], T]
    expects: str
    secret: bool = False
    shown: Callable[[str], str] = str


def integer(low: int, high: int | None = None) -> Parser[int]:
    """Make a parser of whole numbers from `low` to `high`, both included."""

    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,18}", text):
            raise ValueError
        value = int(text)
        if value < low or (high is not None and value > high):
            raise ValueError
        return value

    return Parser(read, f"a whole number from {low} to {high}" if high is not None else f"a whole number from {low} up")


def seconds(low: float) -> Parser[float]:
    """Make a parser of durations in seconds from `low` up to a day."""

    def read(text: str) -> float:
        value = float(text)
        if not low <= value <= 86_400:
            raise ValueError
        return value

    return Parser(read, f"seconds from {low:g} to 86400")


def choice(*values: str) -> Parser[Any]:
    """Make a parser of one of these words."""

    def read(text: str) -> str:
        if text not in values:
            raise ValueError
        return text

    return Parser(read, " or ".join(f"`{value}`" for value in values))


def some_of(*values: str) -> Parser[tuple[str, ...]]:
    """Make a parser of some of these words, which come in their own order."""

    def read(text: str) -> tuple[str, ...]:
        words = [part.strip() for part in text.split(",") if part.strip()]
        if not set(words) <= set(values):
            raise ValueError
        return tuple(value for value in values if value in words)

    return Parser(read, f"empty, or some of {', '.join(f'`{value}`' for value in values)} separated by commas")


def _boolean(text: str) -> bool:
    return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[text.lower()]


def _root_path(text: str) -> str:
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)*/?", text):
        raise ValueError
    return text.rstrip("/")


def _route(text: str) -> str:
    if text and not re.fullmatch(r"(/[A-Za-z0-9._~:@!$&'()*+,;=-]+)*/?", text):
        raise ValueError
    return text


def _origins(text: str) -> tuple[str, ...]:
    origins = tuple(part.strip() for part in text.split(",") if part.strip())
    for origin in origins:
        if origin != "*" and not re.fullmatch(r"https?://[A-Za-z0-9.\[\]:-]+", origin):
            raise ValueError
    return origins


def _text(text: str) -> str:
    if not text.isprintable() or not text:
        raise ValueError
    return text


def _jwks(text: str) -> str:
    if text and not re.fullmatch(r"https://[!-~]+", text) and ("://" in text or not text.isprintable()):
        raise ValueError
    return text


def _lines(text: str) -> str:
    if not text.replace("\n", "").isprintable():
        raise ValueError
    return text


def _optional(read: Callable[[str], T]) -> Callable[[str], T | None]:
    return lambda text: read(text) if text else None


def _globals(text: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    for name in names:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)+", name):
            raise ValueError
    return names


def _digest(text: str) -> str:
    if text and not re.fullmatch(r"sha256:[0-9a-f]{64}", text):
        raise ValueError
    return text


def _paths(text: str) -> tuple[Path, ...]:
    return tuple(Path(_text(part.strip())) for part in text.split(",") if part.strip())


BOOLEAN = Parser(_boolean, "`true` or `false`")
FOLDER = Parser(_optional(lambda text: Path(_text(text))), "empty, or the path of a folder")
PLACE = Parser(
    read_place,
    "the path of a folder or an archive, or a URL that begins with `http://`, `https://`, `s3://`, `gs://`, `az://`, "
    "`abfs://`, `file://`, `models:/` or `oci://`",
    shown=shown,
)
DIGEST = Parser(_digest, "empty, or `sha256:` and 64 hexadecimal digits")
PATHS = Parser(_paths, "empty, or paths of files separated by commas")
HOST = Parser(_text, "an address or a host name")
ROOT_PATH = Parser(_root_path, "empty, or a path such as `/crime-65`")
ROUTE = Parser(_route, "empty, or a path such as `/v1/models/crime:predict`")
OPTIONAL_PORT = Parser(_optional(integer(1, 65_535).read), "empty, or a whole number from 1 to 65535")
FILE = Parser(_optional(lambda text: Path(_text(text))), "empty, or the path of a file")
RATE = Parser(
    _optional(read_rate), "empty, or a number of requests by `s`, `m`, `h` or `d`, such as `100/s` or `6000/m`"
)
KEYS = Parser(_lines, "empty, or lines that `brinery key NAME` prints, separated by `;`", secret=True)
JWKS = Parser(_jwks, "empty, the path of a file, or an address that begins with `https://`")
FREE = Parser(lambda text: _text(text) if text else "", "empty, or a text")
GLOBALS = Parser(_globals, "empty, or exact names such as `package.module.Name` separated by commas")
ORIGINS = Parser(_origins, "empty, `*`, or origins such as `https://app.example` separated by commas")
