"""Keys: what is read, what is refused, and whose signature counts."""

import base64
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from server.ed25519 import DOMAIN, is_signed_by, private_key, public_keys, sign
from server.errors import FileError, SettingError
from tests.unit.keypairs import make_pair

SIGNER = Ed25519PrivateKey.from_private_bytes(bytes(32))
CURVE = ec.generate_private_key(ec.SECP256R1())


@given(st.binary(max_size=200), st.data())
def test_any_other_byte_breaks_a_signature(manifest: bytes, data: st.DataObject) -> None:
    """A signature is good for the bytes that were signed, and for no others."""
    signature = sign(manifest, SIGNER)
    assert is_signed_by(manifest, signature, [SIGNER.public_key()])
    other = data.draw(st.binary(max_size=200).filter(lambda each: each != manifest))
    assert not is_signed_by(other, signature, [SIGNER.public_key()])


def test_what_is_signed_is_only_a_manifest() -> None:
    """A signature under the same bytes without the words that stand before them does not count."""
    assert not is_signed_by(b"{}", base64.b64encode(SIGNER.sign(b"{}")), [SIGNER.public_key()])
    assert DOMAIN.endswith(b"\n")


@pytest.mark.parametrize("signature", [b"", b"?", b"AAAA", b"A" * 1_000, "é".encode(), bytes(64)], ids=repr)
def test_no_signature(signature: bytes) -> None:
    """What is not 64 bytes in base64 is no signature."""
    assert not is_signed_by(b"{}", signature, [SIGNER.public_key()])


def test_several_keys(tmp_path: Path) -> None:
    """Keys come from several files, and several from one; a signature by any of them counts."""
    pairs = [make_pair(tmp_path, name) for name in ("old", "new", "next")]
    both = tmp_path / "both.pem"
    both.write_bytes(pairs[0].public.read_bytes() + b"a comment\n" + pairs[1].public.read_bytes())
    keys = public_keys([both, pairs[2].public])
    assert len(keys) == 3
    for pair in pairs:
        assert is_signed_by(b"{}", sign(b"{}", private_key(pair.private)), keys)
    assert not is_signed_by(b"{}", sign(b"{}", private_key(pairs[0].private)), keys[1:])
    assert public_keys([]) == ()


NO_PUBLIC_KEYS = {
    "empty": b"",
    "text": b"ssh-ed25519 AAAA me@here\n",
    "damaged": b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
    "another algorithm": CURVE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    "a private key": SIGNER.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
}


@pytest.mark.parametrize("content", NO_PUBLIC_KEYS.values(), ids=NO_PUBLIC_KEYS)
def test_no_public_key(tmp_path: Path, content: bytes) -> None:
    """A file without a public key of Ed25519 is named with its setting, and its content is not told."""
    path = tmp_path / "key.pem"
    path.write_bytes(content)
    with pytest.raises(SettingError, match=r"BRINERY_TRUSTED_KEYS names .*key\.pem.*Ed25519.*openssl") as caught:
        public_keys([path])
    assert "\n" not in str(caught.value)
    assert "AAAA" not in str(caught.value)


def test_a_key_file_that_is_not_there(tmp_path: Path) -> None:
    """A file that cannot be read is named."""
    with pytest.raises(SettingError, match=r"none\.pem, which cannot be read: No such file"):
        public_keys([tmp_path / "none.pem"])
    with pytest.raises(FileError, match=r"none\.pem cannot be opened: No such file"):
        private_key(tmp_path / "none.pem")


NO_PRIVATE_KEYS = {
    "empty": b"",
    "a public key": SIGNER.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    "encrypted": SIGNER.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")),
    "another algorithm": CURVE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
}


@pytest.mark.parametrize("content", NO_PRIVATE_KEYS.values(), ids=NO_PRIVATE_KEYS)
def test_no_private_key(tmp_path: Path, content: bytes) -> None:
    """A file without a private key that can be used is named, and what would make one."""
    path = tmp_path / "key.pem"
    path.write_bytes(content)
    with pytest.raises(FileError, match=r"key\.pem holds no Ed25519 private key.*openssl genpkey"):
        private_key(path)


def test_cryptography_waits_until_a_key_is_read() -> None:
    """A server without keys starts without the package that reads them."""
    code = "import sys, server.application; sys.exit('cryptography' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
