"""Keeps fetched bundles whose digest is known; nobody believes what it gives before its digest was seen again."""

import contextlib
import fcntl
import hashlib
import os
import shutil
import stat
import tempfile
import time
from pathlib import Path
from typing import Final

from server.errors import FetchError
from server.options import PREFIX
from server.urls import Url

NEW: Final = 60  # seconds in which whoever made a folder has surely locked it
SCRATCH: Final = "brinery-fetch-"


class Scratch:
    """A folder to fetch into, which nobody else can read: as long as we live it is ours, and then anybody's to remove.

    Raises `OSError` where it cannot be made.
    """

    def __init__(self, parent: Path) -> None:
        _sweep(parent)
        self.folder = Path(tempfile.mkdtemp(prefix=SCRATCH, dir=parent))
        self._lock: int | None = os.open(self.folder, os.O_RDONLY)
        with contextlib.suppress(OSError):  # some file systems know no locks: there nobody removes it
            fcntl.flock(self._lock, fcntl.LOCK_EX)

    def close(self) -> None:
        """Remove it with all that is in it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


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

    def has(self, entry: Path) -> bool:
        """Tell whether an entry is there that may be read."""
        return self._is_ours() and entry.is_dir()

    def scratch(self, *, kept: bool) -> Scratch:
        """Make a folder to fetch into; `kept`: one from which `keep` can take a bundle.

        Raises `FetchError` where that cannot be.
        """
        try:
            if kept:
                self._prepare()
            return Scratch(self._folder if kept else Path(tempfile.gettempdir()))
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
        if not self._is_ours():
            msg = (
                "The folder for bundles among the temporary files belongs to somebody else, or others may write to it; "
                f"name a folder of your own by {PREFIX}BUNDLE_CACHE."
            )
            raise FetchError(msg)

    def _is_ours(self) -> bool:
        """Tell whether the folder is the one that we made: its name can be guessed, and anybody may make it before."""
        if self._given is not None:
            return True
        try:
            found = self._folder.lstat()
        except OSError:
            return False
        return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077


def _sweep(folder: Path) -> None:
    """Remove what processes that were killed while they fetched have left there: nobody holds its lock any more."""
    for left in folder.glob(f"{SCRATCH}*"):
        with contextlib.suppress(OSError):
            if left.lstat().st_mtime > time.time() - NEW:
                continue
            lock = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(lock)
