"""Keeps fetched bundles whose digest is known; nobody believes what it gives before its digest was seen again."""

import contextlib
import hashlib
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Final

from server.errors import FetchError
from server.settings import PREFIX
from server.urls import Url

ABANDONED: Final = 86_400  # seconds after which what is still being fetched has no owner any more
SCRATCH: Final = "brinery-fetch-"


class Cache:
    """A folder of bundles, each in a folder of its own that appears whole or not at all.

    Processes may share it: whoever comes second finds the first one's, and loses nothing. None is the folder of this
    user among the temporary files.
    """

    def __init__(self, folder: Path | None) -> None:
        self._given = folder
        self._folder = folder or Path(tempfile.gettempdir()) / f"brinery-bundles-{os.geteuid()}"

    def entry(self, url: Url | Path, digest: str) -> Path:
        """Give the folder in which this bundle is, or would be; credentials, which change, are no part of it."""
        return self._folder / hashlib.sha256(f"{url}\n{digest}".encode()).hexdigest()

    def scratch(self, *, kept: bool) -> Path:
        """Make a folder to fetch into, which nobody else can read; `kept`: from which `keep` can take a bundle.

        Raises `FetchError` where that cannot be.
        """
        try:
            if kept:
                self._prepare()
            folder = self._folder if kept else Path(tempfile.gettempdir())
            _sweep(folder)
            return Path(tempfile.mkdtemp(prefix=SCRATCH, dir=folder))
        except OSError as error:
            where = f"The folder of {PREFIX}BUNDLE_CACHE" if kept else "The folder for temporary files"
            msg = f"{where} cannot be written to ({error.strerror}); name one that can, with space for the bundle."
            raise FetchError(msg) from None

    def keep(self, folder: Path, entry: Path) -> None:
        """Put a bundle that was verified into its place, where there is none; a cache that is full keeps nothing."""
        with contextlib.suppress(OSError):
            folder.rename(entry)

    def drop(self, entry: Path) -> None:
        """Take away an entry that is not what it should be, in one step."""
        with contextlib.suppress(OSError):
            aside = Path(tempfile.mkdtemp(prefix=SCRATCH, dir=self._folder))
            entry.rename(aside / "dropped")
            shutil.rmtree(aside, ignore_errors=True)

    def _prepare(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._given is None:
            found = self._folder.lstat()
            # The name can be guessed, and anybody may make a folder among the temporary files.
            if found.st_uid != os.geteuid() or found.st_mode & 0o077 or self._folder.is_symlink():
                msg = (
                    f"{self._folder} belongs to somebody else, or others may write to it; name a folder of your own by "
                    f"{PREFIX}BUNDLE_CACHE."
                )
                raise FetchError(msg)


def _sweep(folder: Path) -> None:
    """Remove what processes that were killed while they fetched have left there."""
    for left in folder.glob(f"{SCRATCH}*"):
        with contextlib.suppress(OSError):
            if left.lstat().st_mtime < time.time() - ABANDONED:
                shutil.rmtree(left, ignore_errors=True)
