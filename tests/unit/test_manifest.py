"""Manifests: the very bytes that are loaded are those that were sealed, or nothing is loaded."""

import copy
import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from server.bundle import GOLDEN, MANIFEST, SIGNATURE, Files
from server.ed25519 import private_key, public_keys, sign
from server.errors import BundleError
from server.manifest import SEALABLE, Seal, Trust, make_manifest, verify, versions
from tests.unit.keypairs import KeyPair, make_pair

FOLDER = Path("bundle")
CONTENTS = {"model.pkl": b"\x80\x04N.", "lookup.pkl": b"\x80\x04}.", "metadata.json": b'{"name": "it"}'}
NAMED = {"lookup.pkl": [], "model.pkl": ["numpy.dtype"]}
GOLDEN_TEXT = b'{"format": 1, "requests": []}'
ALLOWED = ("my_models.blend.Blend", "my_models.blend.Mean")
SIGNER = Ed25519PrivateKey.from_private_bytes(bytes(32))


def sealed(
    allowed: tuple[str, ...] = (), signature: bytes | None = None, contents: Mapping[str, bytes] = CONTENTS
) -> Files:
    """Give files with their manifest."""
    proofs = {GOLDEN: GOLDEN_TEXT, MANIFEST: manifest_of(tuple(contents.items()), allowed)}
    return Files(FOLDER, contents, proofs | ({} if signature is None else {SIGNATURE: signature}))


@cache
def manifest_of(contents: tuple[tuple[str, bytes], ...], allowed: tuple[str, ...]) -> bytes:
    """Make a manifest, once: to look for all that is installed takes a tenth of a second."""
    return make_manifest(Files(FOLDER, dict(contents), {GOLDEN: GOLDEN_TEXT}), NAMED, allowed)


def with_manifest(manifest: bytes) -> Files:
    """Give the files with another manifest."""
    return Files(FOLDER, CONTENTS, {GOLDEN: GOLDEN_TEXT, MANIFEST: manifest})


def refusal(files: Files, trust: Trust = Trust()) -> str:  # noqa: B008
    """Verify files that must be refused; give what is said, which is a line for each reason."""
    with pytest.raises(BundleError) as caught:
        verify(files, trust)
    assert all("\n" not in reason and reason.endswith(".") for reason in caught.value.reasons)
    assert len(str(caught.value)) < 1_000
    return str(caught.value)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> KeyPair:
    """The key that is trusted."""
    return make_pair(tmp_path_factory.mktemp("keys"), "trusted")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> KeyPair:
    """A key that nobody trusts."""
    return make_pair(tmp_path_factory.mktemp("keys"), "other")


def test_what_was_sealed_is_accepted() -> None:
    """Files with their own manifest are sealed; without one they are not, and both may be served."""
    assert verify(sealed(), Trust()) == Seal(sealed=True)
    assert verify(Files(FOLDER, CONTENTS), Trust()) == Seal()


def test_a_manifest_says_what_was_sealed() -> None:
    """It lists SHA-256 and size of every file, the releases that run, and the globals of each pickle."""
    manifest = json.loads(sealed(ALLOWED).proofs[MANIFEST])
    assert set(manifest["files"]) == {*CONTENTS, GOLDEN}
    assert manifest["files"]["metadata.json"]["size"] == len(CONTENTS["metadata.json"])
    assert manifest["versions"] == versions()
    assert {"python", "scikit-learn", "numpy", "brinery"} == versions().keys()
    assert manifest["globals"] == NAMED
    assert manifest["allowed_globals"] == list(ALLOWED)
    assert sealed(ALLOWED).proofs[MANIFEST] == sealed(ALLOWED[::-1]).proofs[MANIFEST]


@given(st.data())
def test_any_flipped_bit_is_refused(data: st.DataObject) -> None:
    """Whichever bit of whichever file is another, the file is named, and both digests."""
    files = sealed()
    name = data.draw(st.sampled_from([*CONTENTS, GOLDEN]))
    content = bytearray(files.contents.get(name) or files.proofs[name])
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    changed = {name: bytes(content)}
    contents = {**files.contents, **changed} if name in CONTENTS else files.contents
    proofs = {**files.proofs, **changed} if name == GOLDEN else files.proofs
    said = refusal(Files(FOLDER, contents, proofs))
    assert said.startswith(f"{name} is not the file that was sealed: ")
    assert said.count("SHA-256") == 2
    assert "brinery seal`" in said


@given(st.binary(max_size=300).filter(lambda content: content != CONTENTS["model.pkl"]))
def test_any_other_content_is_refused(content: bytes) -> None:
    """A file may not be cut, grown or replaced."""
    said = refusal(Files(FOLDER, {**CONTENTS, "model.pkl": content}, sealed().proofs))
    assert f"it has {len(content)} bytes" in said


def test_files_that_came_and_went() -> None:
    """A file that is not listed is refused, and so is one that is missing; both are told."""
    contents = {"model.pkl": CONTENTS["model.pkl"], "metadata.json": b"{}", "labels.pkl": b"\x80\x04]."}
    with pytest.raises(BundleError) as caught:
        verify(Files(FOLDER, contents, sealed().proofs), Trust())
    labels, lookup, metadata = caught.value.reasons
    assert "labels.pkl is not listed by manifest.json" in labels
    assert "lookup.pkl is missing, and manifest.json lists it" in lookup
    assert "metadata.json is not the file that was sealed" in metadata


def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    """Give the manifest with something changed in it."""
    manifest = copy.deepcopy(json.loads(sealed().proofs[MANIFEST]))
    change(manifest)
    return json.dumps(manifest).encode()


HOSTILE: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "manifest.json is empty"),
    "no JSON": (b"<html>not found</html>", "manifest.json is not JSON"),
    "not in UTF-8": (b'{"format": "\xff"}', "manifest.json is not JSON"),
    "an array": (b"[]", "no JSON object"),
    "null": (b"null", "no JSON object"),
    "deep": (b"[" * 100_000, "manifest.json"),
    "deep and whole": (b"[" * 500 + b"]" * 500, "nested more than 64 levels deep"),
    "NaN": (b'{"format": NaN}', "manifest.json is not JSON"),
    "a key twice": (b'{"format": 1, "format": 1}', "the same key twice"),
    "a file twice": (b'{"format": 1, "files": {"model.pkl": {}, "model.pkl": {}}}', "the same key twice"),
    "another format": (changed(lambda it: it.update(format=2)), "not of format 1"),
    "a format that is true": (changed(lambda it: it.update(format=True)), "not of format 1"),
    "no format": (changed(lambda it: it.pop("format")), "not of format 1"),
    "an extra member": (changed(lambda it: it.update(trust="me")), "and no others"),
    "no files": (changed(lambda it: it.pop("files")), "must have the members"),
    "files that are a list": (changed(lambda it: it.update(files=["model.pkl"])), "an object as `files`"),
    "a path upwards": (changed(lambda it: it["files"].update({"../model.pkl": {}})), "which is no file of a bundle"),
    "an absolute path": (changed(lambda it: it["files"].update({"/etc/passwd": {}})), "which is no file of a bundle"),
    "itself": (changed(lambda it: it["files"].update({"manifest.json": {}})), "which is no file of a bundle"),
    "a long name": (changed(lambda it: it["files"].update({"x\n" * 9_999: {}})), "which is no file of a bundle"),
    "an entry of another algorithm": (changed(lambda it: it["files"].update({"model.pkl": {"md5": "0"}})), "sha256"),
    "an extra algorithm": (changed(lambda it: it["files"]["model.pkl"].update(md5="0")), "nothing else"),
    "an entry that is a text": (changed(lambda it: it["files"].update({"model.pkl": "0" * 64})), "nothing else"),
    "a digest in capitals": (changed(lambda it: it["files"]["model.pkl"].update(sha256="A" * 64)), "64 hexadecimal"),
    "a short digest": (changed(lambda it: it["files"]["model.pkl"].update(sha256="ab")), "64 hexadecimal"),
    "a digest that is a number": (changed(lambda it: it["files"]["model.pkl"].update(sha256=1)), "64 hexadecimal"),
    "a size below zero": (changed(lambda it: it["files"]["model.pkl"].update(size=-1)), "number of bytes"),
    "a size that is true": (changed(lambda it: it["files"]["model.pkl"].update(size=True)), "number of bytes"),
    "a fraction as size": (changed(lambda it: it["files"]["model.pkl"].update(size=4.0)), "number of bytes"),
    "another size": (changed(lambda it: it["files"]["model.pkl"].update(size=5)), "not the file that was sealed"),
    "another digest": (changed(lambda it: it["files"]["model.pkl"].update(sha256="0" * 64)), "not the file that was"),
    "one file less": (changed(lambda it: it["files"].pop("lookup.pkl")), "lookup.pkl is not listed"),
    "versions that are numbers": (changed(lambda it: it.update(versions={"python": 3})), "texts as `versions`"),
    "globals that are a list": (changed(lambda it: it.update(globals=["a.B"])), "lists of texts in `globals`"),
    "allowed a text": (changed(lambda it: it.update(allowed_globals="os.system")), "`allowed_globals`"),
    "allowed a number": (changed(lambda it: it.update(allowed_globals=[1])), "`allowed_globals`"),
    "allowed twice": (changed(lambda it: it.update(allowed_globals=["a.B", "a.B"])), "`allowed_globals`"),
    "allowed all": (changed(lambda it: it.update(allowed_globals=["sklearn.*"])), "`allowed_globals`"),
}


@pytest.mark.parametrize(("manifest", "why"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_manifests(manifest: bytes, why: str) -> None:
    """Whatever stands there instead of a manifest is refused in a sentence that names it."""
    said = refusal(with_manifest(manifest))
    assert said.startswith((*SEALABLE, "An object in manifest.json", "manifest.json"))
    assert why in said


@given(st.data())
def test_any_flipped_bit_of_a_signed_manifest_is_refused(data: st.DataObject) -> None:
    """With a signature not even a blank of the manifest may change, nor a bit of the signature."""
    key = SIGNER
    files = sealed(ALLOWED)
    proofs = {**files.proofs, SIGNATURE: sign(files.proofs[MANIFEST], key)}
    trust = Trust("signed", (key.public_key(),))
    assert verify(Files(FOLDER, CONTENTS, proofs), trust) == Seal(True, True, ALLOWED)
    name = data.draw(st.sampled_from([MANIFEST, SIGNATURE]))
    content = bytearray(proofs[name].rstrip())
    content[data.draw(st.integers(0, len(content) - 3))] ^= 1
    said = refusal(Files(FOLDER, CONTENTS, {**proofs, name: bytes(content)}), trust)
    assert "manifest.json.sig is no signature under this manifest.json" in said


@pytest.mark.parametrize("demand", ["optional", "required", "signed"])
def test_signature_by_another_key(demand: str, pair: KeyPair, other: KeyPair) -> None:
    """A signature that no trusted key made is refused, whatever is demanded: it is there for a reason."""
    files = sealed(ALLOWED)
    signature = sign(files.proofs[MANIFEST], private_key(other.private))
    files = sealed(ALLOWED, signature)
    said = refusal(files, Trust(demand, public_keys([pair.public])))
    assert "manifest.json.sig is no signature" in said
    assert "1 keys of BRINERY_TRUSTED_KEYS" in said


def test_signature_of_another_bundle(pair: KeyPair) -> None:
    """A signature is good for one manifest."""
    key = private_key(pair.private)
    signature = sign(sealed(contents={"model.pkl": b"another"}).proofs[MANIFEST], key)
    assert "is no signature" in refusal(sealed(signature=signature), Trust("optional", (key.public_key(),)))


def test_only_a_trusted_signature_allows_globals(pair: KeyPair) -> None:
    """Globals that a manifest allows count if a trusted key signed it; otherwise they are known to be ignored."""
    key = private_key(pair.private)
    signature = sign(sealed(ALLOWED).proofs[MANIFEST], key)
    signed, trust = sealed(ALLOWED, signature), Trust("optional", (key.public_key(),))
    assert verify(signed, trust) == Seal(True, True, allowed_globals=ALLOWED)
    assert verify(sealed(ALLOWED), trust) == Seal(True, False, ignored_globals=ALLOWED)
    assert verify(signed, Trust()) == Seal(True, False, ignored_globals=ALLOWED)


def test_what_is_demanded(pair: KeyPair) -> None:
    """A manifest that is required must be there, a signature too, and each sentence says what to do."""
    keys = public_keys([pair.public])
    bare = Files(FOLDER, CONTENTS)
    assert "manifest.json is missing, and BRINERY_MANIFEST is 'required'" in refusal(bare, Trust("required"))
    assert "manifest.json is missing, and BRINERY_MANIFEST is 'signed'" in refusal(bare, Trust("signed", keys))
    assert verify(sealed(), Trust("required")) == Seal(sealed=True)
    said = refusal(sealed(), Trust("signed", keys))
    assert "manifest.json is not signed" in said
    assert "brinery seal --key" in said


def test_a_signature_alone() -> None:
    """A signature whose manifest is gone is refused, also where no manifest is demanded."""
    assert "its signature is there" in refusal(Files(FOLDER, CONTENTS, {SIGNATURE: b"AAAA"}))


def test_what_a_manifest_cannot_see() -> None:
    """An old bundle put back with its own manifest is whole: only a digest that somebody kept tells it from the new."""
    old = sealed(contents={"model.pkl": b"old"})
    assert verify(old, Trust("required")).sealed
    assert old.digest != sealed().digest
