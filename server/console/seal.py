"""`brinery seal`: writes down what a bundle's files are, what its estimator answers, and who says so."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from server.application import answer_of, check_answers
from server.bundle import GOLDEN, MANIFEST, SIGNATURE, Files, load, named_globals, read_files
from server.console.batch import first_rows, format_of
from server.ed25519 import private_key, sign
from server.errors import BrineryError, FileError, PredictionError
from server.golden import MAX_REQUESTS, Case, Golden, draw_requests, read_golden, write_golden
from server.manifest import is_global, make_manifest, versions
from server.model import Model, make_model
from server.predictor import Predictor
from server.settings import Settings

DRAWN: Final = 50  # golden requests where nobody says how many


def seal(
    folder: Path,
    settings: Settings,
    *,
    rows_file: str | None = None,
    rows: int | None = None,
    key: Path | None = None,
    allow: Sequence[str] = (),
) -> str:
    """Seal the bundle in `folder`, and say what was written.

    A golden.json that is there stays, unless `rows_file` names a file of requests or `rows` says how many to draw. Its
    answers come from the estimator itself, and must be what the engine that will serve answers too. The settings on
    manifests are not heeded: what they want is being made. Raises `BundleError`, and `FileError` for any other file.
    """
    _check_names(allow)
    signer = private_key(key) if key is not None else None
    files = read_files(folder, max_model_bytes=settings.max_model_bytes)
    # What the signer allows is allowed here too: it is he who loads his own bundle.
    allowed = frozenset([*settings.allowed_globals, *allow])
    bundle = load(
        files,
        allow_other_version=settings.version_mismatch == "warn",
        allowed=allowed,
        max_model_bytes=settings.max_model_bytes,
    )
    oracle = make_model(bundle, replace(settings, engine="pickle"))
    if rows_file is not None or rows is not None or GOLDEN not in files.proofs:
        requests = _requests(oracle, rows_file, DRAWN if rows is None else rows)
        golden = _answered(oracle, requests, keep=rows_file is not None)
        content = write_golden(golden)
    else:
        content = files.proofs[GOLDEN]
        golden = read_golden(content)
    check_answers(make_model(bundle, settings), golden)

    sealed = Files(folder, files.contents, {GOLDEN: content})
    manifest = make_manifest(sealed, named_globals(files, allowed, settings.max_model_bytes), allow)
    if content != files.proofs.get(GOLDEN):
        _write(folder / GOLDEN, content)
    _write(folder / SIGNATURE, sign(manifest, signer) if signer is not None else None)
    _write(folder / MANIFEST, manifest)
    names = ", ".join(sorted([*files.contents, GOLDEN]))
    signed = f"signed with {key}" if signer is not None else "not signed"
    return f"{folder} is sealed, {signed}: {names}; {len(golden.cases)} golden requests.\n"


def _check_names(allow: Sequence[str]) -> None:
    for name in allow:
        if not is_global(name):
            msg = f"--allow is {name!r}; expected the exact name of a global, such as `package.module.Name`."
            raise FileError(msg)


def _requests(model: Model, rows_file: str | None, count: int) -> Sequence[object]:
    if rows_file is None:
        return draw_requests(model.signature.parameters, count)
    requests = first_rows(model, rows_file, format_of(rows_file), MAX_REQUESTS + 1)
    if not 0 < len(requests) <= MAX_REQUESTS:
        msg = f"{rows_file} has {'no' if not requests else 'too many'} rows; give from 1 to {MAX_REQUESTS}."
        raise FileError(msg)
    return requests


def _answered(model: Model, requests: Sequence[object], *, keep: bool) -> Golden:
    """Ask the estimator; what was only drawn is left out where the answer is not finite."""
    predictor = Predictor(model, max_rows=MAX_REQUESTS)
    cases = []
    for index, request in enumerate(requests):
        try:
            cases.append(Case(request, answer_of(predictor, request)))
        except PredictionError:
            if keep:
                msg = f"The model fails on row {index} (the first is 0) of the file of golden requests; leave it out."
                raise FileError(msg) from None
        except BrineryError as error:
            msg = f"Row {index} (the first is 0) of the file of golden requests is refused: {error}"
            raise FileError(msg) from None
    return Golden(tuple(cases), versions())


def _write(path: Path, content: bytes | None) -> None:
    """Write beside the file, and put that in its place; without content, take the file away."""
    beside = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        if content is None:
            path.unlink(missing_ok=True)
            return
        beside.write_bytes(content)
        beside.replace(path)
    except OSError as error:
        msg = f"{path} cannot be written: {error.strerror}."
        raise FileError(msg) from None
    finally:
        beside.unlink(missing_ok=True)
