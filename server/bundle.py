"""Reads a bundle's folder; the only module that unpickles.

Unpickling runs code: whoever may write the folder may run code here. See docs/security.md.
"""

import bz2
import gzip
import hashlib
import io
import lzma
import re
import warnings
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import joblib
import orjson
import sklearn
from sklearn.exceptions import InconsistentVersionWarning

from server.errors import BundleError, gathering, one_line, raise_gathered

MODEL: Final = "model.pkl"
LOOKUP: Final = "lookup.pkl"
LABELS: Final = ("labels.pkl", "flags.pkl")  # the second is the older name
METADATA: Final = "metadata.json"

# How a pickle writes the version that scikit-learn puts into every estimator's state: readable without unpickling.
PICKLED_VERSION: Final = re.compile(
    rb"_sklearn_version.{1,12}?([0-9]+(?:\.(?:dev|post)?[0-9]+)+(?:rc[0-9]+)?)", re.DOTALL
)

# The compressions that joblib writes with the standard library, by the bytes that they start with.
DECOMPRESSORS: Final[Mapping[bytes, Callable[[bytes], bytes]]] = {
    b"\x78": zlib.decompress,
    b"\x1f\x8b": gzip.decompress,
    b"BZh": bz2.decompress,
    b"\xfd7zXZ": lzma.decompress,
    b"\x5d\x00": lzma.decompress,
}


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


@dataclass(frozen=True, slots=True)
class Files:
    """A bundle's files as they were read, once: the bytes that are hashed and tried are the bytes that are loaded.

    `folder` is where they came from, for messages; see `Bundle` for the digest.
    """

    folder: Path
    contents: Mapping[str, bytes]

    @property
    def digest(self) -> str:
        """The digest of the bundle."""
        lines = (f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(self.contents.items()))
        return "sha256:" + hashlib.sha256("".join(lines).encode()).hexdigest()


def read_bundle(folder: Path, *, allow_other_version: bool = False) -> Bundle:
    """Read the bundle in `folder`; see `read_files` and `load`."""
    return load(read_files(folder), allow_other_version=allow_other_version)


def load(bundle: Files, *, allow_other_version: bool = False) -> Bundle:
    """Unpickle a bundle's files; raise `BundleError` that names the file and says why it cannot be used.

    A model of another minor release of scikit-learn is refused unless `allow_other_version`.
    """
    folder, files = bundle.folder, bundle.contents
    labels_file = next((name for name in LABELS if name in files), LABELS[0])
    model = lookup = labels = metadata = version = None
    reasons: list[str] = []
    with gathering(reasons):
        pickled = _decompressed(files[MODEL], folder / MODEL)
        version = _check_version(pickled, folder / MODEL, allow_other_version)
        model = _unpickle(pickled, folder / MODEL)
    with gathering(reasons):
        lookup = _unpickle(files[LOOKUP], folder / LOOKUP) if LOOKUP in files else None
    with gathering(reasons):
        labels = _unpickle(files[labels_file], folder / labels_file) if labels_file in files else None
    with gathering(reasons):
        metadata = _metadata(files[METADATA], folder / METADATA) if METADATA in files else None
    raise_gathered(reasons)
    return Bundle(
        name=folder.resolve().name,
        estimator=model,
        lookup=lookup,
        labels=labels,
        metadata=metadata,
        digest=bundle.digest,
        sizes={name: len(content) for name, content in files.items()},
        sklearn_version=version,
    )


def read_files(folder: Path) -> Files:
    """Read the files of the bundle in `folder`; raise `BundleError` where one cannot be read, or has to be there."""
    if not folder.is_dir():
        msg = f"There is no bundle at {folder}: expected a folder with a {MODEL}; set BRINERY_BUNDLE to one."
        raise BundleError(msg)
    files = {}
    for name in (MODEL, LOOKUP, *LABELS, METADATA):
        try:
            files[name] = (folder / name).read_bytes()
        except FileNotFoundError:
            continue
        except OSError as error:
            msg = f"{folder / name} cannot be read: {error.strerror}; check its owner and mode."
            raise BundleError(msg) from None
    if MODEL not in files:
        msg = f"{folder / MODEL} is missing: a bundle needs a fitted estimator, written by pickle or joblib."
        raise BundleError(msg)
    return Files(folder, files)


def _unpickle(content: bytes, path: Path) -> Any:  # noqa: ANN401
    """Load a file of pickle or joblib, plain or compressed."""
    if not content:
        msg = f"{path} is empty; write it again with pickle or joblib."
        raise BundleError(msg)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InconsistentVersionWarning)  # `_check_version` has judged it
            return joblib.load(io.BytesIO(content))
    except ModuleNotFoundError as error:
        msg = f"{path} needs the module {error.name!r}, which is not installed; install it or export the model without."
        raise BundleError(msg) from None
    except AttributeError as error:
        msg = (
            f"{path} needs a class or a function that is not found here ({one_line(error)}); put it into a package "
            "that is installed beside Brinery, import it from there, and export the model again."
        )
        raise BundleError(msg) from None
    except Exception as error:  # a broken pickle can raise anything
        msg = f"{path} cannot be unpickled ({one_line(error)}); write it again with pickle or joblib."
        raise BundleError(msg) from None


def _check_version(content: bytes, path: Path, allow_other_version: bool) -> str | None:
    """Give the version of scikit-learn that pickled the model; refuse one of another minor release."""
    found = PICKLED_VERSION.search(content)
    version = found[1].decode() if found else None
    if is_other_version(version) and not allow_other_version:
        msg = (
            f"{path} was pickled by scikit-learn {version}, and {sklearn.__version__} runs here; export the model with "
            f"{sklearn.__version__}, or set BRINERY_VERSION_MISMATCH=warn to try."
        )
        raise BundleError(msg)
    return version


def is_other_version(version: str | None) -> bool:
    """Tell whether a model was pickled by another minor release of scikit-learn than the one that runs."""
    return version is not None and version.split(".")[:2] != sklearn.__version__.split(".")[:2]


def _decompressed(content: bytes, path: Path) -> bytes:
    """Give the bytes behind joblib's compression, or the content itself where there is none."""
    for prefix, decompress in DECOMPRESSORS.items():
        if content.startswith(prefix):
            try:
                return decompress(content)
            except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError):
                msg = f"{path} is compressed and cannot be decompressed: it is damaged; write it again."
                raise BundleError(msg) from None
    return content


def _metadata(content: bytes, path: Path) -> Mapping[str, Any]:
    try:
        metadata = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        msg = f"{path} is not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        raise BundleError(msg) from None
    if not isinstance(metadata, dict):
        msg = f"{path} must hold a JSON object."
        raise BundleError(msg)
    return metadata
