"""Takes joblib's compression off a file, within a bound."""

import bz2
import lzma
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Final

from server.errors import BundleError

MAX_MEMORY: Final = 256 * 1024 * 1024  # for the dictionary that an lzma file asks for

# What joblib writes with the standard library, by the bytes that it starts with.
DECOMPRESSORS: Final[Mapping[bytes, Callable[[], Any]]] = {
    b"\x78": zlib.decompressobj,
    b"\x1f\x8b": lambda: zlib.decompressobj(wbits=31),
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ": lambda: lzma.LZMADecompressor(memlimit=MAX_MEMORY),
    b"\x5d\x00": lambda: lzma.LZMADecompressor(memlimit=MAX_MEMORY),
}
LZ4: Final = b"\x04\x22\x4d\x18"


def decompressed(content: bytes, file: str, max_bytes: int) -> bytes:
    """Give the bytes behind the compression, or the content itself where there is none.

    Raises `BundleError` that names the file if they are more than `max_bytes`, or if the file is damaged.
    """
    if content.startswith(LZ4):
        msg = f"{file} is compressed by lz4, which is not read; write it again with joblib's compress=('zlib', 3)."
        raise BundleError(msg)
    make = next((make for prefix, make in DECOMPRESSORS.items() if content.startswith(prefix)), None)
    plain = content if make is None else _decompressed(content, make(), file, max_bytes)
    if len(plain) > max_bytes:
        msg = f"{file} has more than {max_bytes} bytes{' once it is decompressed' if make else ''}; {TOO_LARGE}"
        raise BundleError(msg)
    return plain


TOO_LARGE: Final = "write a smaller one, or set BRINERY_MAX_MODEL_BYTES if it is the model and you trust it."


def _decompressed(content: bytes, decompressor: Any, file: str, max_bytes: int) -> bytes:  # noqa: ANN401
    try:
        plain: bytes = decompressor.decompress(content, max_bytes + 1)
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError):
        plain = b""
    if len(plain) <= max_bytes and (not decompressor.eof or decompressor.unused_data):
        msg = f"{file} is compressed and cannot be decompressed: it is damaged; write it again."
        raise BundleError(msg)
    return plain
