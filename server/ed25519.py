"""Ed25519 keys (RFC 8032): read from PEM files, to sign manifests and to see who signed one.

`cryptography` is imported where a key is read, and nowhere else: a server without keys starts without it.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from server.errors import FileError, SettingError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

# Stands before the manifest in what is signed, so that a signature under anything else is none under a manifest.
DOMAIN: Final = b"brinery manifest 1\n"
SIGNATURE_BYTES: Final = 64
PUBLIC_KEY: Final = re.compile(rb"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", re.DOTALL)


def public_keys(paths: Sequence[Path]) -> tuple["Ed25519PublicKey", ...]:
    """Read the keys of all files, of which each may hold several; raise `SettingError` for a file without any."""
    keys: list[Ed25519PublicKey] = []
    for path in paths:
        try:
            content = path.read_bytes()
        except OSError as error:
            msg = f"BRINERY_TRUSTED_KEYS names {path.name}, which cannot be read: {error.strerror}."
            raise SettingError(msg) from None
        keys += [_public_key(block, path) for block in PUBLIC_KEY.findall(content) or [content]]
    return tuple(keys)


def _public_key(block: bytes, path: Path) -> "Ed25519PublicKey":
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(block)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        msg = (
            f"BRINERY_TRUSTED_KEYS names {path.name}, which holds something else than Ed25519 public keys in PEM; "
            "write one with `openssl pkey -in private.pem -pubout`."
        )
        raise SettingError(msg)
    return key


def private_key(path: Path) -> "Ed25519PrivateKey":
    """Read the key that signs; raise `FileError` for a file that holds no such key, or an encrypted one."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        msg = f"{path} cannot be opened: {error.strerror}."
        raise FileError(msg) from None
    except (ValueError, TypeError, UnsupportedAlgorithm):  # a TypeError says that a password is wanted
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        msg = (
            f"{path} holds no Ed25519 private key in PEM without a password; make one with `openssl genpkey -algorithm "
            "ed25519`."
        )
        raise FileError(msg)
    return key


def sign(manifest: bytes, key: "Ed25519PrivateKey") -> bytes:
    """Sign a manifest: 64 bytes in base64, and the end of a line."""
    return base64.b64encode(key.sign(DOMAIN + manifest)) + b"\n"


def is_signed_by(manifest: bytes, signature: bytes, keys: Sequence["Ed25519PublicKey"]) -> bool:
    """Tell whether one of these keys signed exactly these bytes."""
    from cryptography.exceptions import InvalidSignature

    try:
        raw = base64.b64decode(signature.strip(), validate=True)
    except binascii.Error:
        return False
    if len(raw) != SIGNATURE_BYTES:
        return False
    for key in keys:
        try:
            key.verify(raw, DOMAIN + manifest)
        except InvalidSignature:
            continue
        return True
    return False
