"""Takes a bundle's files out of an archive that nobody vouches for: a tar, one in RFC 1952 (gzip), or a zip."""

import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from server.errors import FetchError
from server.sources.taken import Taken
from server.sources.tars import untar
from server.sources.zips import unzip

GZIP: Final = b"\x1f\x8b"
ZIP: Final = b"PK\x03\x04"
TAR: Final = b"ustar"  # of every tar that is younger than 1988
TAR_AT: Final = 257


def is_archive(file: Path) -> bool:
    """Tell by its first bytes whether a file may be an archive; raise `OSError` for one that cannot be read."""
    with file.open("rb") as content:
        start = content.read(TAR_AT + len(TAR))
    return start.startswith((GZIP, ZIP)) or start.endswith(TAR)


def unpack(archive: Path, folder: Path, bounds: Mapping[str, int]) -> Path:
    """Take a bundle's files out of `archive`, and give the folder below `folder` in which they are.

    They stand in the archive's root or in a folder there; what else it holds is left there. `bounds` are the names and
    the most bytes of each. Raises `FetchError` for an archive that is damaged, ambiguous, or means harm.
    """
    taken = Taken(folder, bounds)
    try:
        with archive.open("rb") as file:
            magic = file.read(4)
            file.seek(0)
            if magic == ZIP:
                unzip(file, taken)
            elif magic.startswith(GZIP):
                with gzip.GzipFile(fileobj=file) as plain:
                    untar(plain, taken)
            else:
                untar(file, taken)
    except (FetchError, MemoryError):
        raise
    except Exception as error:  # a parser's own fault, which somebody may have provoked, is among them
        if isinstance(error, OSError) and error.errno is not None:
            msg = f"The archive cannot be unpacked ({error.strerror}); look at the space for temporary files."
        else:
            msg = f"The archive is damaged, or no tar, tar.gz or zip ({type(error).__name__}); pack the bundle again."
        raise FetchError(msg) from None
    return taken.bundle()
