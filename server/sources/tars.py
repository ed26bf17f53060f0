"""Reads a tar from its start to its end: POSIX.1-2001 `pax`, with GNU's extensions."""

import os
import tarfile
from collections.abc import Iterator
from typing import Final, Protocol

from server.sources.taken import MAX_HEADER, PIECE, Taken, refuse

MAX_GLOBALS: Final = 100  # of headers that are for all entries, which tarfile keeps and copies


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
            refuse("has a header that is too large")
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
            refuse("is too large once it is decompressed; see BRINERY_MAX_MODEL_BYTES")
        content = self._file.read(size)
        self._read += len(content)
        self._last = (self._last + content)[-tarfile.BLOCKSIZE :]
        return content


def untar(file: Readable, taken: Taken) -> None:
    """Take a bundle's files; raise `FetchError`, or what tarfile raises, for a tar that is damaged or means harm."""
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
            refuse("is damaged, or cut off")
        while forward.read(PIECE):  # gzip tells at its end whether all of it is what was packed
            forward.go_on()


def _members(tar: tarfile.TarFile, forward: _Forward) -> Iterator[tarfile.TarInfo]:
    while (member := tar.next()) is not None:
        if len(tar.pax_headers) > MAX_GLOBALS:
            refuse("has too many headers for all of its entries")
        yield member
        tar.members = []  # type: ignore[attr-defined]  # or it would keep all of them
        forward.go_on()
