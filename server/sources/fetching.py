"""From the place of a bundle to its files: read from a folder, taken from the cache, or fetched by a child process.

The libraries that fetch start threads, keep memory, and read what strangers wrote: none of that is for the process that
forks workers. The child writes the bundle's files into a folder, and we read them as we read any bundle.
"""

import contextlib
import logging
import os
import resource
import shutil
import signal
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from server.apart import Apart, Task
from server.bundle import Files, bounds_of, read_files
from server.errors import BundleError, FetchError, raise_gathered
from server.manifest import trust_of, verify
from server.memory import free_memory
from server.options import PREFIX
from server.settings import Settings
from server.sources.archives import is_archive, unpack
from server.sources.attempts import attempted
from server.sources.cache import Cache
from server.sources.faults import explaining
from server.urls import ENDINGS, Url, without_ending

PATIENCE: Final = 20.0  # seconds at most that a connection, or the next bytes, may take
LEAST_MEMORY: Final = 2 * 1024**3  # of address space, of which threads reserve much more than they use
GRACE: Final = 1.0  # seconds that the child has to tell why it is late
BUNDLE: Final = "bundle"

FETCH: Final = Task(
    "fetched the bundle",
    "a library that it uses failed",
    "The bundle was not fetched within {seconds:g} seconds; see BRINERY_FETCH_TIMEOUT.",
    "The bundle takes more than {memory} MB of memory to fetch and unpack.",
)


class Fetch:
    """A bundle on its way: begins at once, in a child process.

    Whoever waits for the child calls `overdue` now and then, `finish` with its status, and `close` in any case.
    """

    def __init__(self, settings: Settings, place: Path | Url) -> None:
        self._settings, self._place = settings, place
        self._cache = Cache(settings.bundle_cache)
        self._kept = isinstance(place, Url) and bool(settings.bundle_digest)
        self._scratch = self._cache.scratch(kept=self._kept)
        self._child: Apart | None = None
        bounds, target = bounds_of(settings.max_model_bytes), self._scratch.folder
        seconds, attempts = settings.fetch_timeout, settings.fetch_attempts
        try:
            self._child = Apart(
                lambda: fetch_into(place, target, bounds, seconds=seconds, attempts=attempts),
                memory=max(LEAST_MEMORY, free_memory()),
                seconds=seconds + GRACE,
                task=replace(FETCH, late=FETCH.late.format(seconds=seconds)),
            )
        except OSError:
            self.close()
            raise
        self.pid, self.overdue = self._child.pid, self._child.overdue

    def wait(self) -> Files:
        """Wait for the bundle; see `finish`."""
        assert self._child is not None, "or it would not have begun"
        try:
            reasons = self._child.wait()
        except BaseException:  # somebody wants it no more
            self.close()
            raise
        return self._finish(reasons)

    def finish(self, status: int) -> Files:
        """Give the bundle's files, and keep them if their digest is set; `status` is the one that `waitpid` gave.

        Raises `FetchError`, and `BundleError` for files that are no bundle, or not the one that is meant.
        """
        assert self._child is not None, "or it would not have begun"
        return self._finish(self._child.outcome(status))

    def _finish(self, reasons: Sequence[str]) -> Files:
        assert self._child is not None
        self._child = None
        try:
            raise_gathered(reasons)
            bundle = self._scratch.folder / BUNDLE
            files = _read(self._settings, bundle, self._place)
            if self._kept:
                self._cache.keep(bundle, self._cache.entry(self._place, self._settings.bundle_digest))
            return files
        finally:
            self.close()

    def close(self) -> None:
        """End the child if it goes on, and leave nothing behind but what is kept."""
        if self._child is not None:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):  # somebody has waited for it
                os.kill(self._child.pid, signal.SIGKILL)
                self._child.outcome(os.waitpid(self._child.pid, 0)[1])
        self._scratch.close()


def begin(settings: Settings, place: Path | Url) -> Files | Fetch:
    """Give the files of the bundle at `place`, or begin to fetch it if it is neither in a folder nor in the cache.

    Raises `BundleError` for what cannot be used.
    """
    if isinstance(place, Path):
        try:
            packed = place.is_file() and (place.name.lower().endswith(ENDINGS) or is_archive(place))
        except OSError as error:
            msg = (
                f"The bundle at {place} cannot be read: {error.strerror}; check who may look into the folders above it."
            )
            raise BundleError(msg) from None
        return Fetch(settings, place) if packed else _read(settings, place, place)
    if settings.bundle_digest:
        cache = Cache(settings.bundle_cache)
        entry = cache.entry(place, settings.bundle_digest)
        if cache.has(entry):
            try:
                files = _read(settings, entry, place)
                verify(files, trust_of(settings))  # which the digest says nothing of
                return files
            except BundleError:  # whatever happened to it there, or to its seal since, we fetch it again
                cache.drop(entry)
    return Fetch(settings, place)


def read(settings: Settings, place: Path | Url | None = None) -> Files:
    """Give the files of the bundle at `place`, the settings' own unless one is given, wherever that is.

    Raises `BundleError` for one that cannot be had, or is not the one whose digest is set.
    """
    begun = begin(settings, settings.bundle if place is None else place)
    return begun.wait() if isinstance(begun, Fetch) else begun


def _read(settings: Settings, folder: Path, place: Path | Url) -> Files:
    """Read a folder, and see that it holds the bundle that is meant."""
    files = read_files(folder, max_model_bytes=settings.max_model_bytes)
    if folder != place:
        name = place.name if isinstance(place, Url) else without_ending(place.name)
        files = Files(folder, files.contents, files.proofs, name)
    if settings.bundle_digest and files.digest != settings.bundle_digest:
        msg = (
            f"The bundle at {place} has the digest {files.digest}, and {PREFIX}BUNDLE_DIGEST is "
            f"{settings.bundle_digest}; put the bundle there that is meant, or set the digest of this one."
        )
        raise BundleError(msg)
    return files


def fetch_into(place: Path | Url, folder: Path, bounds: Mapping[str, int], *, seconds: float, attempts: int) -> None:
    """Fetch the bundle at `place` into `folder`, where it is to be the folder `bundle`; a child process does this.

    Raises `FetchError`.
    """
    _be_quiet(folder)
    most = sum(bounds.values())
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))  # whatever a library writes
    if isinstance(place, Path):
        unpack(place, folder, bounds).rename(folder / BUNDLE)
        return
    patience = min(PATIENCE, seconds / attempts)

    def attempt() -> Path:
        part = Path(tempfile.mkdtemp(dir=folder))
        try:
            with explaining(place):
                return _fetch(place, part, bounds, patience)
        except FetchError:
            shutil.rmtree(part, ignore_errors=True)  # its space is needed
            raise

    fetched = attempted(attempt, attempts, seconds)
    if fetched.is_file():
        part = folder / "unpacked"
        part.mkdir()
        fetched = unpack(fetched, part, bounds)
    fetched.rename(folder / BUNDLE)


def _fetch(url: Url, folder: Path, bounds: Mapping[str, int], patience: float) -> Path:
    if url.scheme == "models":
        from server.sources import models

        return models.fetch(url, folder, bounds, patience)
    if url.scheme == "oci":
        from server.sources import artifacts

        return artifacts.fetch(url, folder, bounds, patience)
    from server.sources import stores

    return stores.fetch(url, folder, bounds, patience)


def _be_quiet(folder: Path) -> None:
    """Let nobody hear what libraries say, which may be a password, and keep their files together with ours."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    logging.disable()
    warnings.simplefilter("ignore")
    tempfile.tempdir = str(folder)
