"""Reads a bundle's folder, and gives what stands in its files.

What is unpickled goes through `server.gate`; see docs/security.md.
"""

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import orjson
import sklearn

from server.allowed import Noting
from server.compression import TOO_LARGE, decompressed
from server.errors import BundleError, gathering, raise_gathered
from server.gate import MAX_OPERATIONS_OF_MODEL, gate_of_data, gate_of_model
from server.machine import judge
from server.skops import judge_skops, load_skops, named_in_skops

MODEL: Final = "model.pkl"
SKOPS: Final = "model.skops"
LOOKUP: Final = "lookup.pkl"
LABELS: Final = ("labels.pkl", "flags.pkl")  # the second is the older name
METADATA: Final = "metadata.json"
LOADED: Final = (MODEL, SKOPS, LOOKUP, *LABELS, METADATA)

# What is said about the files above, and the most bytes that are read of it.
MANIFEST: Final = "manifest.json"
SIGNATURE: Final = "manifest.json.sig"
GOLDEN: Final = "golden.json"
PROOFS: Final[Mapping[str, int]] = {MANIFEST: 1_048_576, SIGNATURE: 1_024, GOLDEN: 4_194_304}

MAX_MODEL_BYTES: Final = 4 * 1024**3
MAX_OTHER_BYTES: Final = 64 * 1024**2  # of each other file


@dataclass(frozen=True, slots=True)
class Bundle:
    """What stands in a bundle's files, unpickled and not yet understood; None for a file that is not there.

    `digest` is `sha256:` and the SHA-256 of what `sha256sum` prints for the files that were read, in the order of
    their names. `sizes` are in bytes. `sklearn_version` is the one that pickled the model, None where it does not
    say.
    """

    name: str
    estimator: Any
    lookup: Any = None
    labels: Any = None
    metadata: Mapping[str, Any] | None = None
    digest: str = ""
    sizes: Mapping[str, int] | None = None
    sklearn_version: str | None = None


@dataclass(frozen=True)
class Files:
    """A bundle's files as they were read, once: the bytes that are hashed and tried are the bytes that are loaded.

    `folder` is where they came from, for messages; `contents` is what is loaded, `proofs` what is said about it (the
    names of `PROOFS`). See `Bundle` for the digest, which sealing does not change: it is of the contents alone. `named`
    is the model's name where the metadata has none, the folder's own unless it is given.
    """

    folder: Path
    contents: Mapping[str, bytes]
    proofs: Mapping[str, bytes] = field(default_factory=dict)
    named: str | None = None

    @cached_property
    def hashes(self) -> Mapping[str, str]:
        """The SHA-256 of each file that is loaded, in hexadecimal digits."""
        return {name: hashlib.sha256(content).hexdigest() for name, content in self.contents.items()}

    @property
    def digest(self) -> str:
        """The digest of the bundle."""
        lines = (f"{digits}  {name}\n" for name, digits in sorted(self.hashes.items()))
        return "sha256:" + hashlib.sha256("".join(lines).encode()).hexdigest()


def read_bundle(
    folder: Path,
    *,
    allow_other_version: bool = False,
    allowed: frozenset[str] = frozenset(),
    max_model_bytes: int = MAX_MODEL_BYTES,
) -> Bundle:
    """Read the bundle in `folder`, whatever its manifest says; see `read_files` and `load`."""
    files = read_files(folder, max_model_bytes=max_model_bytes)
    return load(files, allow_other_version=allow_other_version, allowed=allowed, max_model_bytes=max_model_bytes)


def load(
    bundle: Files,
    *,
    allow_other_version: bool = False,
    allowed: frozenset[str] = frozenset(),
    max_model_bytes: int = MAX_MODEL_BYTES,
) -> Bundle:
    """Load a bundle's files through the gate; raise `BundleError` that names the file and says why it cannot be used.

    A model of another minor release of scikit-learn is refused unless `allow_other_version`. `allowed` are exact
    globals, `package.module.Name`, that the model may name beside those that are listed.
    """
    files = bundle.contents
    labels_file = next((name for name in LABELS if name in files), LABELS[0])
    model = lookup = labels = metadata = version = None
    reasons: list[str] = []
    with gathering(reasons):
        model, version = _load_model(files, allow_other_version, allowed, max_model_bytes)
    with gathering(reasons):
        lookup = _load_data(files[LOOKUP], LOOKUP) if LOOKUP in files else None
    with gathering(reasons):
        labels = _load_data(files[labels_file], labels_file) if labels_file in files else None
    with gathering(reasons):
        metadata = _metadata(files[METADATA], METADATA) if METADATA in files else None
    raise_gathered(reasons)
    return Bundle(
        name=bundle.named or bundle.folder.resolve().name,
        estimator=model,
        lookup=lookup,
        labels=labels,
        metadata=metadata,
        digest=bundle.digest,
        sizes={name: len(content) for name, content in files.items()},
        sklearn_version=version,
    )


def read_files(folder: Path, *, max_model_bytes: int = MAX_MODEL_BYTES) -> Files:
    """Read the files of the bundle in `folder`; raise `BundleError` where one cannot be read, or has to be there."""
    if not folder.is_dir():
        msg = (
            f"There is no bundle at {folder}: expected a folder with a {MODEL}, or an archive of one; name one (the "
            "server takes it from BRINERY_BUNDLE)."
        )
        raise BundleError(msg)
    bounds = bounds_of(max_model_bytes)
    contents = {name: content for name in LOADED if (content := _read(folder, name, bounds[name])) is not None}
    if MODEL not in contents and SKOPS not in contents:
        msg = f"{MODEL} is missing: a bundle needs a fitted estimator, written by pickle or joblib (or {SKOPS})."
        raise BundleError(msg)
    if MODEL in contents and SKOPS in contents:
        msg = f"There are {MODEL} and {SKOPS}, and only one can be served; leave one of them out."
        raise BundleError(msg)
    proofs = {name: content for name in PROOFS if (content := _read(folder, name, bounds[name])) is not None}
    return Files(folder, contents, proofs)


def bounds_of(max_model_bytes: int) -> Mapping[str, int]:
    """Give the most bytes of each file that a bundle may have; it has no others."""
    loaded = {name: max_model_bytes if name in (MODEL, SKOPS) else MAX_OTHER_BYTES for name in LOADED}
    return {**loaded, **PROOFS}


def _read(folder: Path, name: str, most: int) -> bytes | None:
    """Read a file of at most so many bytes; None if there is none."""
    try:
        with open(folder / name, "rb", opener=_open_at_once) as file:  # a path's own takes no opener
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                msg = f"{name} is no regular file; put the file itself there."
                raise BundleError(msg)
            size = status.st_size  # to read more than that at once would ask for memory as large
            content = file.read(size + 1) if size <= most else None
    except FileNotFoundError:
        return None
    except OSError as error:
        msg = f"{name} cannot be read: {error.strerror}; check its owner and mode."
        raise BundleError(msg) from None
    if content is None:
        msg = f"{name} has more than {most} bytes; {TOO_LARGE}"
        raise BundleError(msg)
    if len(content) > size:
        msg = f"{name} grew while it was read; put it there in one step, whole, and try again."
        raise BundleError(msg)
    return content


def _open_at_once(path: str, flags: int) -> int:
    """Open a file; a named pipe does not wait for who writes to it, or we would wait for ever."""
    return os.open(path, flags | os.O_NONBLOCK)


def named_globals(files: Files, allowed: frozenset[str], max_model_bytes: int) -> Mapping[str, list[str]]:
    """Name the globals that each file names, sorted; `allowed` as `load` has it, which must have loaded the files."""
    named = {}
    for name, content in sorted(files.contents.items()):
        if name == SKOPS:
            named[name] = named_in_skops(content, name, max_model_bytes)
        elif name != METADATA:
            noting = Noting(allowed)
            most = max_model_bytes if name == MODEL else MAX_OTHER_BYTES
            judge(decompressed(content, name, most), noting, MAX_OPERATIONS_OF_MODEL)
            named[name] = sorted(noting.names)
    return named


def _load_model(
    files: Mapping[str, bytes], allow_other_version: bool, allowed: frozenset[str], max_bytes: int
) -> tuple[Any, str | None]:
    """Give the estimator, and the version of scikit-learn that pickled it."""
    if SKOPS in files:
        judgement = judge_skops(files[SKOPS], SKOPS, allowed, max_bytes)
        _check_version(SKOPS, judgement.version, allow_other_version)
        return load_skops(files[SKOPS], SKOPS, allowed, judgement), judgement.version
    content = files[MODEL]
    plain = _plain(content, MODEL, max_bytes)
    gate = gate_of_model(MODEL, allowed)
    judgement = gate.judge(plain)
    # What is not listed may only be another release's name for something that is.
    _check_version(MODEL, judgement.version, allow_other_version)
    return gate.load(plain, judgement), judgement.version


def _load_data(content: bytes, file: str) -> Any:  # noqa: ANN401
    """Give the value of lookup or labels."""
    plain = _plain(content, file, MAX_OTHER_BYTES)
    gate = gate_of_data(file)
    return gate.load(plain, gate.judge(plain))


def _plain(content: bytes, file: str, max_bytes: int) -> bytes:
    if not content:
        msg = f"{file} is empty; write it again with pickle or joblib."
        raise BundleError(msg)
    return decompressed(content, file, max_bytes)


def _check_version(file: str, version: str | None, allow_other_version: bool) -> None:
    """Refuse a model of another minor release of scikit-learn."""
    if is_other_version(version) and not allow_other_version:
        msg = (
            f"{file} was pickled by scikit-learn {version}, and {sklearn.__version__} runs here; export the model "
            f"with {sklearn.__version__}, or set BRINERY_VERSION_MISMATCH=warn to try."
        )
        raise BundleError(msg)


def is_other_version(version: str | None) -> bool:
    """Tell whether a model was pickled by another minor release of scikit-learn than the one that runs."""
    return version is not None and version.split(".")[:2] != sklearn.__version__.split(".")[:2]


def _metadata(content: bytes, file: str) -> Mapping[str, Any]:
    try:
        metadata = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        msg = f"{file} is not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        raise BundleError(msg) from None
    if not isinstance(metadata, dict):
        msg = f"{file} must hold a JSON object."
        raise BundleError(msg)
    return metadata
