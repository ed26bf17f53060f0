"""A bundle's manifest: what its files were when it was sealed. Pure; it runs before anything is unpickled.

`manifest.json` holds, in format 1: `format`; `files`, for each file its `sha256` and `size`; `versions` of what
sealed it; `globals` that each pickle names; and `allowed_globals`, which the signer lets the pickles name beyond our
own list. It has no other members.
"""

import hashlib
import platform
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import packages_distributions, version
from typing import TYPE_CHECKING, Any, Final

import orjson

from server.bundle import GOLDEN, LOADED, MANIFEST, SIGNATURE, Files
from server.decoding import decode
from server.ed25519 import is_signed_by, public_keys
from server.errors import BundleError, MalformedBody
from server.parameter import cut
from server.settings import Settings

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FORMAT: Final = 1
MEMBERS: Final = frozenset({"format", "files", "versions", "globals", "allowed_globals"})
SEALABLE: Final = frozenset({*LOADED, GOLDEN})
GLOBAL: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
SHOWN_DIGITS: Final = 12  # of a SHA-256, in a message


@dataclass(frozen=True, slots=True)
class Seal:
    """What verifying a bundle showed: whether it has a manifest, and whether a trusted key signed that.

    `allowed_globals` may be named by its pickles because that signer says so. `ignored_globals` are said to be allowed
    by a manifest that no trusted key signed, and are not.
    """

    sealed: bool = False
    signed: bool = False
    allowed_globals: tuple[str, ...] = ()
    ignored_globals: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Trust:
    """What an operator demands of a bundle (`optional`, `required` or `signed`), and whose signatures count."""

    demand: str = "optional"
    keys: Sequence["Ed25519PublicKey"] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """What a manifest says of a file."""

    sha256: str
    size: int


def trust_of(settings: Settings) -> Trust:
    """Read the operator's keys; raise `SettingError` for one that cannot be used."""
    return Trust(settings.manifest, public_keys(settings.trusted_keys))


def verify(files: Files, trust: Trust) -> Seal:
    """Hold the bytes that were read against their manifest; raise `BundleError` with all that does not fit."""
    content, signature = files.proofs.get(MANIFEST), files.proofs.get(SIGNATURE)
    if content is None:
        if signature is not None:
            msg = f"{MANIFEST} is missing, but its signature is there; fetch the bundle again."
            raise BundleError(msg)
        if trust.demand != "optional":
            msg = (
                f"{MANIFEST} is missing, and BRINERY_MANIFEST is {trust.demand!r}; seal the bundle where it was "
                "trained, with `brinery seal`."
            )
            raise BundleError(msg)
        return Seal()
    signed = _is_signed(content, signature, trust)
    entries, allowed = _parse(content)
    reasons = _differences(files, entries)
    if reasons:
        raise BundleError(*reasons)
    return Seal(True, signed, allowed if signed else (), () if signed else allowed)


def make_manifest(files: Files, globals_named: Mapping[str, Sequence[str]], allowed: Sequence[str]) -> bytes:
    """Write the manifest of these files; the same files always give the same bytes, by the same releases."""
    entries = _entries(files)
    manifest = {
        "format": FORMAT,
        "files": {name: {"sha256": each.sha256, "size": each.size} for name, each in sorted(entries.items())},
        "versions": {**versions(), **_versions_of(globals_named)},
        "globals": globals_named,
        "allowed_globals": sorted(set(allowed)),
    }
    return orjson.dumps(manifest, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def versions() -> Mapping[str, str]:
    """Give the releases that run here, of what a model's answers depend on."""
    packages = ("scikit-learn", "numpy", "brinery")
    return {"python": platform.python_version(), **{package: version(package) for package in packages}}


def modules_of(globals_named: Mapping[str, Sequence[str]]) -> list[str]:
    """Give the outermost modules of what pickles name, without Python's own."""
    found = {name.partition(".")[0] for names in globals_named.values() for name in names}
    return sorted(found - sys.stdlib_module_names)


def _versions_of(globals_named: Mapping[str, Sequence[str]]) -> Mapping[str, str]:
    """Give the releases of the packages that pickles name; a module that nobody installed has none."""
    packages = packages_distributions()
    return {package: version(package) for module in modules_of(globals_named) for package in packages.get(module, ())}


def read_json(content: bytes, file: str) -> Any:  # noqa: ANN401
    """Read a file as strictly as a request: no key twice, no NaN, no endless depth; raise `BundleError`."""
    try:
        return decode(content)
    except MalformedBody as error:
        said = str(error).replace("The body", file).replace("the body", file).partition(";")[0].rstrip(".")
        msg = f"{said}; write it again, or fetch the bundle again."
        raise BundleError(msg) from None


def _is_signed(content: bytes, signature: bytes | None, trust: Trust) -> bool:
    """Tell whether a trusted key signed the manifest; refuse a signature by no such key where there are keys."""
    if signature is None:
        if trust.demand == "signed":
            msg = (
                f"{MANIFEST} is not signed, and BRINERY_MANIFEST is 'signed'; seal the bundle with `brinery seal "
                "--key`, by a key of which BRINERY_TRUSTED_KEYS has the public half."
            )
            raise BundleError(msg)
        return False
    if not trust.keys:
        return False
    if is_signed_by(content, signature, trust.keys):
        return True
    msg = (
        f"{SIGNATURE} is no signature under this {MANIFEST} by one of the {len(trust.keys)} keys of "
        "BRINERY_TRUSTED_KEYS; fetch the bundle again, or name the public key of whoever sealed it."
    )
    raise BundleError(msg)


def _parse(content: bytes) -> tuple[Mapping[str, Entry], tuple[str, ...]]:
    """Give the files that a manifest lists, and the globals that it allows."""
    manifest = read_json(content, MANIFEST)

    def check(holds: bool, what: str) -> None:
        if not holds:
            msg = f"{MANIFEST} {what}; it is not as `brinery seal` writes it: seal the bundle again."
            raise BundleError(msg)

    check(isinstance(manifest, dict), "is no JSON object")
    said = manifest.get("format")
    check(type(said) is int and said == FORMAT, f"is not of format {FORMAT}, the only one that this release reads")
    check(manifest.keys() == MEMBERS, f"must have the members {', '.join(sorted(MEMBERS))} and no others")
    files, allowed = manifest["files"], manifest["allowed_globals"]
    check(isinstance(files, dict), "must have an object as `files`")
    entries = {}
    for name, entry in files.items():
        check(name in SEALABLE, f"lists {cut(repr(name))}, which is no file of a bundle")
        right = isinstance(entry, dict) and entry.keys() == {"sha256", "size"}
        check(right, f"must give `sha256` and `size` of {name}, and nothing else")
        sha256, size = entry["sha256"], entry["size"]
        right = isinstance(sha256, str) and re.fullmatch("[0-9a-f]{64}", sha256) is not None
        check(right, f"must give 64 hexadecimal digits as `sha256` of {name}")
        check(type(size) is int and size >= 0, f"must give a number of bytes as `size` of {name}")
        entries[name] = Entry(sha256, size)
    texts = isinstance(manifest["versions"], dict) and all(type(each) is str for each in manifest["versions"].values())
    check(texts, "must have texts as `versions`")
    named = manifest["globals"]
    check(isinstance(named, dict) and all(map(_are_texts, named.values())), "must have lists of texts in `globals`")
    right = _are_texts(allowed) and all(map(is_global, allowed)) and len(set(allowed)) == len(allowed)
    check(right, "must have exact names, each once, as `allowed_globals`")
    return entries, tuple(allowed)


def is_global(name: str) -> bool:
    """Tell whether a text has the form of a global's exact name: `package.module.Name`."""
    return GLOBAL.fullmatch(name) is not None


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(type(each) is str for each in value)


def _entries(files: Files) -> dict[str, Entry]:
    """Say what a manifest would of the files that were read."""
    entries = {name: Entry(files.hashes[name], len(content)) for name, content in files.contents.items()}
    golden = files.proofs.get(GOLDEN)
    if golden is not None:
        entries[GOLDEN] = Entry(hashlib.sha256(golden).hexdigest(), len(golden))
    return entries


def _differences(files: Files, listed: Mapping[str, Entry]) -> list[str]:
    """Say of each file that was read, or should have been, how it differs from what was sealed."""
    found, reasons = _entries(files), []
    do = "fetch the bundle again, or, if this is meant, run `brinery seal`."
    for name in sorted({*found, *listed}):
        if name not in found:
            reasons.append(f"{name} is missing, and {MANIFEST} lists it; {do}")
        elif name not in listed:
            reasons.append(f"{name} is not listed by {MANIFEST}, so it was not sealed; {do}")
        elif found[name] != listed[name]:
            reasons.append(
                f"{name} is not the file that was sealed: it has {_say(found[name])}, {MANIFEST} says "
                f"{_say(listed[name])}; {do}"
            )
    return reasons


def _say(entry: Entry) -> str:
    return f"{entry.size} bytes and SHA-256 {entry.sha256[:SHOWN_DIGITS]}…"
