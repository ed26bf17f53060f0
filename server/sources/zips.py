"""Reads a zip: PKWARE's APPNOTE.TXT, with deflate or without compression, up to 4 GiB."""

import os
import stat
import struct
import zipfile
from typing import IO, Final

from server.sources.taken import MAX_ENTRIES, MAX_HEADER, Taken, refuse

# The end of a zip's directory without a comment, and what would stand before it if that did not hold the truth.
ZIP_END: Final = struct.Struct("<4s4H2LH")
ZIP_END_MAGIC: Final = b"PK\x05\x06"
ZIP64_LOCATOR: Final = b"PK\x06\x07"
ZIP64_LOCATOR_SIZE: Final = 20
ENCRYPTED: Final = 0x1
MADE_BY_UNIX: Final = 3


def _check_directory(file: IO[bytes]) -> None:
    """See that a zip's directory is as large as it says at its end, before anybody reads it into memory."""
    size = file.seek(0, os.SEEK_END)
    if size < ZIP_END.size:
        refuse("is cut off")
    file.seek(max(0, size - ZIP_END.size - ZIP64_LOCATOR_SIZE))
    tail = file.read()
    magic, _, _, _, entries, directory, _, comment = ZIP_END.unpack(tail[-ZIP_END.size :])
    if magic != ZIP_END_MAGIC or comment:
        refuse("is a zip that is cut off, or has a comment; pack the bundle again without one")
    if tail.startswith(ZIP64_LOCATOR) or entries > MAX_ENTRIES or directory > MAX_HEADER:
        refuse("is a zip of too many entries, or of more than 4 GiB; pack the bundle as tar.gz")
    file.seek(0)


def unzip(file: IO[bytes], taken: Taken) -> None:
    """Take a bundle's files; raise `FetchError`, or what zipfile raises, for a zip that is damaged or means harm."""
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
                refuse(f"has {place[1]} encrypted, or compressed by something else than deflate")
            with archive.open(entry) as content:
                taken.take(place, content, entry.file_size)
