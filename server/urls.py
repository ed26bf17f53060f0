"""Where a bundle is, as settings and the console are told it: a path on this machine, or a URL elsewhere. Pure."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

SCHEMES: Final = ("http", "https", "s3", "gs", "az", "abfs", "abfss", "models", "oci")
ENDINGS: Final = (".tar", ".tar.gz", ".tgz", ".zip")
# A container in Azure's longer form; whatever else stands before an @ may be a password.
CONTAINER: Final = re.compile(r"[a-z0-9$](-?[a-z0-9])*")
# An @ elsewhere is the end of a password that has a slash, and was meant to be escaped.
STRAY_AT: Final = re.compile(r"@(?!sha256:[0-9a-f]+$)")


@dataclass(frozen=True, slots=True)
class Url:
    """A URL of which `str` is safe to show: without user, password and query, which may be credentials.

    `text` is the whole of it, for whoever fetches.
    """

    text: str = field(repr=False)

    @property
    def scheme(self) -> str:
        """The scheme, in small letters."""
        return self.text.partition(":")[0].lower()

    @property
    def name(self) -> str:
        """A name for what is there: the last part of the path, without an archive's ending or a version."""
        address, path = _parts(self)
        if self.scheme == "models":
            path = path.strip("/").partition("/")[0].partition("@")[0]
        elif self.scheme == "oci":
            path = re.split("[@:]", path.rstrip("/").rpartition("/")[2])[0]
        return without_ending(unquote(path).rstrip("/").rpartition("/")[2]) or address.partition(":")[0]

    def __str__(self) -> str:
        address, path = _parts(self)
        return f"{self.scheme}:{path}" if self.scheme == "models" else f"{self.scheme}://{address}{path}"


def _parts(url: Url) -> tuple[str, str]:
    """Give the address, without what may be a password before it, and the path."""
    parts = urlsplit(url.text)
    user, _, host = parts.netloc.rpartition("@")
    keeps = url.scheme.startswith("abfs") and CONTAINER.fullmatch(user)
    return f"{user}@{host}" if keeps else host, parts.path


def without_ending(name: str) -> str:
    """Take an archive's ending off a file's name."""
    ending = max((each for each in ENDINGS if name.lower().endswith(each)), key=len, default="")
    return name[: len(name) - len(ending)]


def read_place(text: str) -> Path | Url:
    """Read a path or a URL; raise `ValueError` for neither.

    `file://` is a path. A name with a colon is a path, unless `//` follows, or it begins as one of our URLs does. Only
    addresses of the web may have a user and a password.
    """
    if not text.isprintable() or not text:
        raise ValueError
    scheme = text.partition(":")[0].lower()
    if scheme == "file" and text[5:].startswith("//"):
        parts = urlsplit(text)
        if parts.netloc not in ("", "localhost") or not parts.path or parts.query or parts.fragment:
            raise ValueError
        return Path(unquote(parts.path))
    if "://" not in text and not text.startswith("models:/"):
        if ":" in text and scheme in SCHEMES:
            raise ValueError  # a slash is missing, and what follows may be a password
        return Path(text)
    if scheme not in SCHEMES or " " in text:
        raise ValueError
    url, parts = Url(scheme + text[len(scheme) :]), urlsplit(text)
    address, path = _parts(url)
    if parts.fragment or (not path.strip("/") and scheme in ("http", "https", "models", "oci")):
        raise ValueError
    if (scheme == "models") == bool(address) or (scheme != "models" and STRAY_AT.search(path)):
        raise ValueError
    if "@" in parts.netloc and "@" not in address and scheme not in ("http", "https"):
        raise ValueError
    parts.port  # noqa: B018  # raises `ValueError` for what is none
    return url


def shown(text: str) -> str:
    """Write what was meant to be a path or a URL without what may be credentials, however wrong it is."""
    scheme, found, rest = text.partition("://")
    if not found:
        scheme, found, rest = text.partition(":")
        if scheme.lower() not in SCHEMES or scheme == "models":
            return text.partition("?")[0] if ":/" in text else text
    return f"{scheme}{found}{rest.rpartition('@')[2].partition('?')[0].partition('#')[0]}"
