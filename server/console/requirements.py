"""`brinery requirements`: prints what a bundle was made with, as pip reads it. Nothing is unpickled."""

import re
from pathlib import Path
from typing import Final

from server.allowed import Noting
from server.bundle import MANIFEST, MODEL, SKOPS, Files
from server.compression import decompressed
from server.errors import BundleError
from server.gate import MAX_OPERATIONS_OF_MODEL
from server.machine import judge
from server.manifest import modules_of, read_json, trust_of, verify
from server.settings import Settings
from server.skops import judge_skops, named_in_skops
from server.sources.fetching import read
from server.urls import Url

# What packages and versions may be called (PEP 508 and PEP 440): nothing else reaches pip.
PACKAGE: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")
VERSION: Final = re.compile(r"[0-9][A-Za-z0-9.!+_-]{0,98}")
SKLEARN: Final = "scikit-learn"


def requirements(place: Path | Url, settings: Settings) -> str:
    """Give lines for pip: what the bundle's manifest and its model say that they were made with.

    Packages of which neither tells the release are comments. A manifest is verified as at a start. Raises `BundleError`
    for a bundle that cannot be read.
    """
    files = read(settings, place)
    verify(files, trust_of(settings))
    pins = _of_manifest(files)
    # Brinery and a Python are there before any bundle is.
    python, _ = pins.pop("python", None), pins.pop("brinery", None)
    version, modules = _of_model(files, settings)
    if version is not None:
        # Whoever sealed the bundle may have had another release than whoever fitted the model.
        pins[SKLEARN] = version
    # A module's name stands in a comment, which a line feed in it would end.
    if not all(map(str.isidentifier, modules)) or not all(
        PACKAGE.fullmatch(name) and VERSION.fullmatch(said) for name, said in pins.items()
    ):
        msg = "The bundle names a module, a package or a release that there cannot be; make or fetch it again."
        raise BundleError(msg)
    known = tuple(SKLEARN if module == "sklearn" else module.replace("_", "-").lower() for module in modules)
    untold = [each for each in known if not any(name.lower().replace("_", "-").startswith(each) for name in pins)]
    return "".join(
        [
            *([f"# Python {python}\n"] if python and VERSION.fullmatch(python) else []),
            *(f"{name}=={pins[name]}\n" for name in sorted(pins)),
            *(f"# {each}: the model names it, and nothing tells its release\n" for each in untold),
        ]
    )


def _of_manifest(files: Files) -> dict[str, str]:
    content = files.proofs.get(MANIFEST)
    return {} if content is None else dict(read_json(content, MANIFEST)["versions"])


def _of_model(files: Files, settings: Settings) -> tuple[str | None, list[str]]:
    """Give the release of scikit-learn that the model says, and the modules that it names."""
    most = settings.max_model_bytes
    if SKOPS in files.contents:
        content = files.contents[SKOPS]
        judged = judge_skops(content, SKOPS, frozenset(settings.allowed_globals), most)
        return judged.version, modules_of({SKOPS: named_in_skops(content, SKOPS, most)})
    noting = Noting(settings.allowed_globals)
    judged = judge(decompressed(files.contents[MODEL], MODEL, most), noting, MAX_OPERATIONS_OF_MODEL)
    if judged.fault is not None:
        msg = f"{MODEL} is no pickle that can be read: {judged.fault}; write it again with pickle or joblib."
        raise BundleError(msg)
    return judged.version, modules_of({MODEL: sorted(noting.names)})
