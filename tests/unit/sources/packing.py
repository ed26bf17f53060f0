"""Archives of bundles, honest ones and those that mean harm."""

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable, Mapping

Pack = Callable[[Mapping[str, bytes]], bytes]

BOUNDS = {"model.pkl": 100_000, "model.skops": 100_000, "lookup.pkl": 1_000, "metadata.json": 1_000}


def entry(name: str, kind: bytes = tarfile.REGTYPE, *, size: int = 0, link: str = "") -> tarfile.TarInfo:
    """Make a header of a tar."""
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, link
    return info


def tar(files: Mapping[str, bytes], *more: tarfile.TarInfo, form: int = tarfile.PAX_FORMAT) -> bytes:
    """Write a tar of these files, and further headers without content."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=form) as archive:
        for name, content in files.items():
            archive.addfile(entry(name, size=len(content)), io.BytesIO(content))
        for each in more:
            archive.addfile(each)
    return target.getvalue()


def tar_gz(files: Mapping[str, bytes]) -> bytes:
    """Write a tar.gz of these files."""
    return gzip.compress(tar(files))


def gnu_tar(files: Mapping[str, bytes]) -> bytes:
    """Write a tar as GNU's own form has it."""
    return tar(files, form=tarfile.GNU_FORMAT)


def zipped(files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Write a zip of these files."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return target.getvalue()


def stored(files: Mapping[str, bytes]) -> bytes:
    """Write a zip without compression."""
    return zipped(files, zipfile.ZIP_STORED)


def zip_entry(name: str, mode: int, content: bytes = b"") -> bytes:
    """Write a zip of one entry with a mode of Unix."""
    target = io.BytesIO()
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, mode << 16
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr(info, content)
    return target.getvalue()


PACKERS: dict[str, Pack] = {"tar": tar, "gnu": gnu_tar, "tar.gz": tar_gz, "zip": zipped, "stored": stored}
