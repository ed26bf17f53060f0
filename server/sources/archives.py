"""Takes a bundle's files out of an archive that nobody vouches for.

Nothing is written but the files that a bundle knows, by names of our own choosing, each within its bound; what an
archive says of paths, owners, modes and links is never followed. Formats: POSIX.1-2001 `pax` with GNU's extensions
(tar), RFC 1952 (gzip), PKWARE's APPNOTE.TXT (zip).
"""

import gzip
import os
import stat
import struct
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, NoReturn, Protocol

from server.bundle import MODEL, SKOPS
from server.errors import FetchError

MAX_ENTRIES: Final = 10_000
MAX_HEADER: Final = 1_048_576  # bytes of what stands before an entry: a header that says it has more is hostile
MAX_GLOBALS: Final = 100  # of a tar's headers that are for all of its entries, which tarfile keeps and copies
PIECE: Final = 65_536

GZIP: Final = b"\x1f\x8b"
ZIP: Final = b"PK\x03\x04"
# The end of a zip's directory without a comment, and what would stand before it if that did not hold the truth.
ZIP_END: Final = struct.Struct("<4s4H2LH")
ZIP_END_MAGIC: Final = b"PK\x05\x06"
ZIP64_LOCATOR: Final = b"PK\x06\x07"
ZIP64_LOCATOR_SIZE: Final = 20
ENCRYPTED: Final = 0x1
MADE_BY_UNIX: Final = 3


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
                _unzip(file, taken)
            elif magic.startswith(GZIP):
                with gzip.GzipFile(fileobj=file) as plain:
                    _untar(plain, taken)
            else:
                _untar(file, taken)
    except (FetchError, MemoryError):
        raise
    except Exception as error:  # a parser's own fault, which somebody may have provoked, is among them
        if isinstance(error, OSError) and error.errno is not None:
            msg = f"The archive cannot be unpacked ({error.strerror}); look at the space for temporary files."
        else:
            msg = f"The archive is damaged, or no tar, tar.gz or zip ({type(error).__name__}); pack the bundle again."
        raise FetchError(msg) from None
    return taken.bundle()


@dataclass
class Taken:
    """What was taken out of an archive so far: a folder for each of its own folders that has files of a bundle."""

    folder: Path
    bounds: Mapping[str, int]

    def __post_init__(self) -> None:
        self._places: dict[str, Path] = {}
        self._entries = 0
        self._left = sum(self.bounds.values())  # bytes, all files together

    def entry(self, name: str, *, regular: bool, is_folder: bool) -> tuple[str, str] | None:
        """Look at an entry: give its folder and name if it is one to take, None if not; refuse what means harm."""
        self._entries += 1
        if self._entries > MAX_ENTRIES:
            _refuse(f"has more than {MAX_ENTRIES} entries")
        if not name.isprintable() or "\\" in name or name.startswith("/") or ".." in name.split("/"):
            _refuse("has an entry whose path leads elsewhere")
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if is_folder:
            return None
        if not regular:
            _refuse("has a link, a device or something else that is no file; pack the files themselves")
        if not 1 <= len(parts) <= 2 or parts[-1] not in self.bounds:
            return None
        return "".join(parts[:-1]), parts[-1]

    def take(self, place: tuple[str, str], content: IO[bytes], size: int) -> None:
        """Write a file of `size` bytes, of which the archive may be wrong."""
        parent, name = place
        most = min(self.bounds[name], self._left)
        if size > most:
            _refuse_size(name, most)
        folder = self._places.get(parent)
        if folder is None:
            folder = self._places[parent] = self.folder / f"bundle-{len(self._places)}"
            folder.mkdir(mode=0o700)
        try:
            written = 0
            with (folder / name).open("xb") as file:
                while piece := content.read(PIECE):
                    written += len(piece)
                    if written > most:
                        _refuse_size(name, most)
                    file.write(piece)
        except FileExistsError:
            _refuse(f"has {name} twice")
        if written != size:
            _refuse(f"ends within {name}")
        self._left -= written

    def bundle(self) -> Path:
        """Give the folder that has the bundle: the root if there is a model, or the only folder with one."""
        places = {parent: folder for parent, folder in self._places.items() if _has_model(folder)}
        models = [places[""]] if "" in places else list(places.values())
        if len(models) > 1:
            _refuse("has models in several folders; pack one bundle alone")
        if not models:
            _refuse(f"has no {MODEL} in its root or in a folder there")
        return models[0]


def _has_model(folder: Path) -> bool:
    return (folder / MODEL).exists() or (folder / SKOPS).exists()


def _refuse(what: str) -> NoReturn:
    msg = f"The archive {what}." if ";" in what else f"The archive {what}; pack the bundle again."
    raise FetchError(msg)


def _refuse_size(name: str, most: int) -> NoReturn:
    msg = f"{name} in the archive has more than {most} bytes; see BRINERY_MAX_MODEL_BYTES if it is the model."
    raise FetchError(msg)


class Readable(Protocol):
    """A file that can be read."""

    def read(self, size: int = -1, /) -> bytes:
        """Give up to so many bytes."""


class _Forward:
    """A file that is read from its start to its end, bounded in all and from one seek, or `go_on`, to the next.

    tarfile keeps a header of any size, and seeks before each piece of content. It goes back over the last block only,
    so that nothing has to be decompressed twice.
    """

    def __init__(self, file: Readable, most: int) -> None:
        self._file, self._most = file, most
        self._at = self._read = 0  # where the reader is, and how far the file was read
        self._since = 0  # bytes that were read since
        self._last = b""

    def read(self, size: int = -1) -> bytes:
        self._since += size
        if size < 0 or self._since > MAX_HEADER:
            _refuse("has a header that is too large")
        again = self._last[len(self._last) - (self._read - self._at) :][:size] if self._at < self._read else b""
        content = again + self._advance(size - len(again)) if len(again) < size else again
        self._at += len(content)
        return content

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence != os.SEEK_SET or offset < self._read - len(self._last):
            raise tarfile.StreamError
        while self._read < offset and self._advance(min(PIECE, offset - self._read)):
            pass
        self.go_on()
        self._at = min(offset, self._read)
        return self._at

    def go_on(self) -> None:
        """Begin to count again: what was read so far is kept by nobody."""
        self._since = 0

    def _advance(self, size: int) -> bytes:
        if self._read + size > self._most:
            _refuse("is too large once it is decompressed; see BRINERY_MAX_MODEL_BYTES")
        content = self._file.read(size)
        self._read += len(content)
        self._last = (self._last + content)[-tarfile.BLOCKSIZE :]
        return content


def _untar(file: Readable, taken: Taken) -> None:
    forward = _Forward(file, sum(taken.bounds.values()))
    with tarfile.open(fileobj=forward, mode="r:", errorlevel=2) as tar:  # type: ignore[call-overload]
        for member in _members(tar, forward):
            plain = member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not member.issparse()
            place = taken.entry(member.name, regular=plain, is_folder=member.isdir())
            if place is not None:
                content = tar.extractfile(member)
                assert content is not None, "it is a regular file"
                taken.take(place, content, member.size)
        # tarfile takes whatever is no header for the end, also where an archive was cut.
        forward.seek(tar.offset)
        if forward.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            _refuse("is damaged, or cut off")
        while forward.read(PIECE):  # gzip tells at its end whether all of it is what was packed
            forward.go_on()


def _members(tar: tarfile.TarFile, forward: _Forward) -> Iterator[tarfile.TarInfo]:
    while (member := tar.next()) is not None:
        if len(tar.pax_headers) > MAX_GLOBALS:
            _refuse("has too many headers for all of its entries")
        yield member
        tar.members = []  # type: ignore[attr-defined]  # or it would keep all of them
        forward.go_on()


def _check_directory(file: IO[bytes]) -> None:
    """See that a zip's directory is as large as it says at its end, before anybody reads it into memory."""
    size = file.seek(0, os.SEEK_END)
    if size < ZIP_END.size:
        _refuse("is cut off")
    file.seek(max(0, size - ZIP_END.size - ZIP64_LOCATOR_SIZE))
    tail = file.read()
    magic, _, _, _, entries, directory, _, comment = ZIP_END.unpack(tail[-ZIP_END.size :])
    if magic != ZIP_END_MAGIC or comment:
        _refuse("is a zip that is cut off, or has a comment; pack the bundle again without one")
    if tail.startswith(ZIP64_LOCATOR) or entries > MAX_ENTRIES or directory > MAX_HEADER:
        _refuse("is a zip of too many entries, or of more than 4 GiB; pack the bundle as tar.gz")
    file.seek(0)


def _unzip(file: IO[bytes], taken: Taken) -> None:
    _check_directory(file)
    with zipfile.ZipFile(file) as archive:
        for entry in archive.infolist():
            kind = stat.S_IFMT(entry.external_attr >> 16) if entry.create_system == MADE_BY_UNIX else 0
            # The name as it stands there: zipfile ends it at a zero byte.
            place = taken.entry(
                entry.orig_filename,
                regular=kind in (0, stat.S_IFREG),
                is_folder=entry.is_dir() and kind in (0, stat.S_IFDIR),
            )
            if place is None:
                continue
            if entry.flag_bits & ENCRYPTED or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                _refuse(f"has {place[1]} encrypted, or compressed by something else than deflate")
            with archive.open(entry) as content:
                taken.take(place, content, entry.file_size)
