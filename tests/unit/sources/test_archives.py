"""What is taken out of an archive, and what never is."""

import gzip
import stat
import struct
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import FetchError
from server.sources.archives import unpack
from server.sources.taken import MAX_ENTRIES
from tests.unit.sources.packing import BOUNDS, PACKERS, Pack, entry, gnu_tar, stored, tar, tar_gz, zip_entry, zipped

MODEL = {"model.pkl": b"m" * 3_000}
BUNDLE = {**MODEL, "lookup.pkl": b"l", "metadata.json": b"{}"}


def unpacked(archive: bytes, folder: Path, bounds: Mapping[str, int] = BOUNDS) -> dict[str, bytes]:
    """Unpack an archive in `folder`, see that nothing else was written there, and give the bundle's files."""
    folder.mkdir(exist_ok=True)
    file, target = folder / "archive", folder / "target"
    file.write_bytes(archive)
    target.mkdir()
    try:
        bundle = unpack(file, target, bounds)
    finally:
        written = [each for each in folder.rglob("*") if each not in (file, target)]
        assert all(each.is_dir() or each.name in bounds for each in written)
        assert all(stat.S_ISREG(each.lstat().st_mode) or each.is_dir() for each in written)
        assert sum(each.stat().st_size for each in written if each.is_file()) <= sum(bounds.values()) + 65_536
    return {each.name: each.read_bytes() for each in bundle.iterdir()}


def refusal(archive: bytes, folder: Path, bounds: Mapping[str, int] = BOUNDS) -> str:
    """Give the sentence by which an archive is refused, for good."""
    with pytest.raises(FetchError) as raised:
        unpacked(archive, folder, bounds)
    assert raised.value.permanent
    assert str(folder) not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS)
@pytest.mark.parametrize("top", ["", "./", "crime-65/", "./crime-65/"], ids=["root", "dot", "folder", "dot folder"])
def test_a_bundle(pack: Pack, top: str, tmp_path: Path) -> None:
    """A bundle in the root, or in a folder there, is taken with all of its files."""
    assert unpacked(pack({top + name: content for name, content in BUNDLE.items()}), tmp_path) == BUNDLE


@pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS)
def test_what_else_there_is(pack: Pack, tmp_path: Path) -> None:
    """Other files, and a bundle's names deeper down, are left where they are."""
    others = {"a/README.md": b"x", "a/._model.pkl": b"x", "__MACOSX/a/model.pkl": b"x", "a/b/model.pkl": b"x", "x": b""}
    assert unpacked(pack({**others, **{f"a/{name}": each for name, each in BUNDLE.items()}}), tmp_path) == BUNDLE


@pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS)
def test_the_root_goes_before(pack: Pack, tmp_path: Path) -> None:
    """Where the root has a bundle, folders beside it do not matter."""
    assert unpacked(pack({"old/model.pkl": b"old", **BUNDLE}), tmp_path) == BUNDLE


@pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS)
@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "no"),
        ({"README": b""}, "no model.pkl"),
        ({"a/lookup.pkl": b""}, "no model.pkl"),
        ({"a/model.pkl": b"1", "b/model.skops": b"2"}, "models in several folders"),
        ({"model.pkl": b"x" * 100_001}, "model.pkl in the archive has more than 100000 bytes"),
        ({**MODEL, "lookup.pkl": b"x" * 1_001}, "lookup.pkl in the archive has more than 1000 bytes"),
        ({"../model.pkl": b""}, "path leads elsewhere"),
        ({"a/../model.pkl": b""}, "path leads elsewhere"),
        ({"a/..": b""}, "path leads elsewhere"),
        ({"/model.pkl": b""}, "path leads elsewhere"),
        ({"//etc/passwd": b""}, "path leads elsewhere"),
        ({"..\\model.pkl": b""}, "path leads elsewhere"),
        ({"C:\\model.pkl": b""}, "path leads elsewhere"),
        ({"a\nb/model.pkl": b""}, "path leads elsewhere"),
    ],
    ids=[
        "empty", "nothing", "no model", "two models", "large model", "large lookup", "parent", "parent within",
        "parent last", "absolute", "two slashes", "backslash", "drive", "line feed",
    ],
)  # fmt: skip
def test_refused(pack: Pack, files: dict[str, bytes], said: str, tmp_path: Path) -> None:
    """What is no bundle, too large, or leads out of the folder is refused, whatever the archive's form."""
    assert said in refusal(pack(files), tmp_path)
    assert not (tmp_path.parent / "model.pkl").exists()


@pytest.mark.parametrize(
    "header",
    [
        entry("model.pkl", tarfile.SYMTYPE, link="/etc/passwd"),
        entry("model.pkl", tarfile.LNKTYPE, link="lookup.pkl"),
        entry("a", tarfile.SYMTYPE, link="/etc"),
        entry("model.pkl", tarfile.CHRTYPE),
        entry("model.pkl", tarfile.BLKTYPE),
        entry("model.pkl", tarfile.FIFOTYPE),
        entry("model.pkl", tarfile.CONTTYPE),
        entry("model.pkl", b"Z"),
    ],
    ids=["symlink", "hard link", "linked folder", "character", "block", "fifo", "contiguous", "unknown"],
)
def test_no_links_or_devices(header: tarfile.TarInfo, tmp_path: Path) -> None:
    """A tar with anything but files and folders is refused."""
    assert "a link, a device" in refusal(tar({"lookup.pkl": b"l"}, header), tmp_path)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFSOCK])
def test_no_links_or_devices_in_a_zip(kind: int, tmp_path: Path) -> None:
    """Nor are they taken out of a zip, which says so by a mode."""
    assert "a link, a device" in refusal(zip_entry("model.pkl", kind | 0o777, b"/etc/passwd"), tmp_path)


def test_twice(tmp_path: Path) -> None:
    """A file that is there twice is refused: which of them would be served?"""
    assert "has model.pkl twice" in refusal(tar(MODEL, entry("./model.pkl")), tmp_path / "tar")
    assert "has model.pkl twice" in refusal(zipped({**MODEL, "./model.pkl": b"x"}), tmp_path / "zip")


def test_sparse(tmp_path: Path) -> None:
    """A tar's file of holes, by which a few bytes are many, is refused."""
    header = entry("model.pkl", tarfile.GNUTYPE_SPARSE)
    assert "a link, a device" in refusal(tar({}, header), tmp_path / "gnu")
    header = entry("model.pkl")
    header.pax_headers = {
        "GNU.sparse.major": "0",
        "GNU.sparse.minor": "1",
        "GNU.sparse.map": "0,1",
        "GNU.sparse.size": "9",
    }
    assert "a link, a device" in refusal(tar({}, header), tmp_path / "pax")


def test_a_name_that_a_header_before_it_gives(tmp_path: Path) -> None:
    """A path that stands in an extended header is judged like any other."""
    header = entry("model.pkl")
    header.pax_headers = {"path": "../../model.pkl"}
    assert "path leads elsewhere" in refusal(tar({}, header), tmp_path)


@pytest.mark.parametrize("most", [10_000, 100_000])
def test_bombs(most: int, tmp_path: Path) -> None:
    """What becomes much larger than a bundle is left as soon as it does."""
    bounds = {"model.pkl": most}
    bomb = {"model.pkl": bytes(50_000_000)}
    assert f"more than {most} bytes" in refusal(tar_gz(bomb), tmp_path / "tar", bounds)
    assert f"more than {most} bytes" in refusal(zipped(bomb), tmp_path / "zip", bounds)
    hidden = {"README": bytes(50_000_000), **MODEL}
    assert "too large once it is decompressed" in refusal(tar_gz(hidden), tmp_path / "hidden", bounds)


def test_a_zip_that_is_wrong_about_sizes(tmp_path: Path) -> None:
    """A zip whose directory names a smaller size than its file has gives no more than that, and is damaged."""
    archive = bytearray(zipped({"model.pkl": bytes(1_000_000)}))
    directory = archive.rindex(b"PK\x01\x02")
    struct.pack_into("<L", archive, directory + 24, 10)
    assert "is damaged" in refusal(bytes(archive), tmp_path)


def test_too_many_entries(tmp_path: Path) -> None:
    """Entries without end are not looked at."""
    many = {f"{number}": b"" for number in range(MAX_ENTRIES + 1)}
    bounds = {**BOUNDS, "model.pkl": 1_000_000_000}
    assert "has more than 10000 entries" in refusal(tar(many), tmp_path / "tar", bounds)
    assert "too many entries" in refusal(stored(many), tmp_path / "zip", bounds)


def test_a_large_header(tmp_path: Path) -> None:
    """A header that tarfile would keep in memory as a whole is refused."""
    header = entry("model.pkl")
    header.pax_headers = {"comment": "x" * 5_000_000}
    bounds = {**BOUNDS, "model.pkl": 1_000_000_000}
    assert "a header that is too large" in refusal(gzip.compress(tar({}, header)), tmp_path, bounds)


def test_a_map_of_holes_without_end(tmp_path: Path) -> None:
    """A list that tarfile reads into memory before it gives the entry is refused as soon as it is too long."""
    header = entry("model.pkl", size=4_000_012)
    header.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9"}
    archive = header.tobuf(tarfile.PAX_FORMAT) + b"99999999999\n" + b"0\n" * 2_000_000
    bounds = {**BOUNDS, "model.pkl": 1_000_000_000}
    assert "a header that is too large" in refusal(gzip.compress(archive, 1), tmp_path, bounds)


def test_headers_for_all_entries(tmp_path: Path) -> None:
    """Those that git writes are none of our business; so many that they fill memory are refused."""
    header = tarfile.TarInfo.create_pax_global_header({"comment": "of git"})
    assert unpacked(header + tar(BUNDLE), tmp_path / "git") == BUNDLE
    many = tarfile.TarInfo.create_pax_global_header({str(number): "" for number in range(101)})
    assert "too many headers for all" in refusal(many + tar(BUNDLE), tmp_path / "many")


@pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS)
def test_a_large_model(pack: Pack, tmp_path: Path) -> None:
    """A file of any size within its bound is taken, and any number of small ones is passed by."""
    large = {**{f"{number}/x": b"" for number in range(3_000)}, "model.pkl": bytes(3_000_000), "lookup.pkl": b"l"}
    taken = unpacked(pack(large), tmp_path, {**BOUNDS, "model.pkl": 3_000_000, "model.skops": 3_000_000})
    assert taken == {"model.pkl": large["model.pkl"], "lookup.pkl": b"l"}


def test_a_large_directory(tmp_path: Path) -> None:
    """A zip whose directory says that it is large is not read, and neither is one that keeps its size elsewhere."""
    end = struct.Struct("<4s4H2LH")
    archive = zipped(MODEL)
    _, *rest = end.unpack(archive[-22:])
    large = archive[:-22] + end.pack(b"PK\x05\x06", *rest[:4], 2**31, *rest[5:])
    assert "too many entries" in refusal(large, tmp_path / "large")
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, 0, 1)
    assert "too many entries" in refusal(archive[:-22] + locator + archive[-22:], tmp_path / "zip64")
    assert "has a comment" in refusal(archive[:-2] + b"\x01\x00x", tmp_path / "comment")
    assert "cut off" in refusal(b"PK\x03\x04", tmp_path / "short")


def test_foreign_compression(tmp_path: Path) -> None:
    """A zip's other compressions, which may ask for any memory, and encryption are refused."""
    assert "something else than deflate" in refusal(zipped(MODEL, zipfile.ZIP_LZMA), tmp_path / "lzma")
    archive = bytearray(zipped(MODEL))
    archive[archive.rindex(b"PK\x01\x02") + 8] |= 1
    assert "encrypted" in refusal(bytes(archive), tmp_path / "encrypted")


def test_a_name_with_a_zero_byte(tmp_path: Path) -> None:
    """A zip's name is judged as a whole, also behind the byte at which zipfile ends it."""
    archive = zipped({"model.pklX../..": b"m"}).replace(b"model.pklX", b"model.pkl\0")
    assert "path leads elsewhere" in refusal(archive, tmp_path)


@pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS)
def test_every_cut_is_seen(pack: Pack, tmp_path: Path) -> None:
    """An archive that ends early, anywhere, is refused, also where a tar ends between two files."""
    archive = pack(BUNDLE)
    end = len(archive) - 1
    if pack in (tar, gnu_tar):  # which end with zeros, of which two blocks say that it is the end
        end = -len(archive.rstrip(b"\0")) // -512 * 512
    step = 512 if end > 2_000 else 7
    for number, size in enumerate([*range(0, end, step), end]):
        refusal(archive[:size], tmp_path / str(number))


def test_a_damaged_header(tmp_path: Path) -> None:
    """A header that is none is damage, and not the archive's end."""
    archive = bytearray(tar(BUNDLE))
    archive[archive.index(b"lookup.pkl")] = 0x41
    assert "is damaged" in refusal(bytes(archive), tmp_path)


def test_no_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no space it says so."""

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", full)
    archive, target = tmp_path / "a", tmp_path
    archive.write_bytes(tar(BUNDLE))
    with pytest.raises(FetchError, match=r"cannot be unpacked \(No space left on device\)"):
        unpack(archive, target, BOUNDS)


names = st.one_of(
    st.sampled_from(["model.pkl", "lookup.pkl", "a/model.pkl", "./model.pkl", "..", "../model.pkl", "/model.pkl", "a"]),
    st.lists(st.sampled_from(["..", ".", "a", "b", "model.pkl", "model.skops", ""]), min_size=1, max_size=4)
    .map("/".join)
    .filter(bool),
    st.text(min_size=1, max_size=20).filter(str.isprintable),
)


@given(st.dictionaries(names, st.binary(max_size=2_000), max_size=6), st.sampled_from(sorted(PACKERS)))
def test_nothing_but_a_bundle_comes_out(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes], form: str
) -> None:
    """Whatever the names, what comes out are a bundle's files with their own content, or a refusal."""
    folder = tmp_path_factory.mktemp("any")
    try:
        taken = unpacked(PACKERS[form](files), folder)
    except FetchError:
        return
    assert {"model.pkl", "model.skops"} & taken.keys()
    for name, content in taken.items():
        assert content in [each for path, each in files.items() if path.rstrip("/.").endswith(name)]


@given(st.data(), st.sampled_from(sorted(PACKERS)))
def test_damage(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, form: str) -> None:
    """A damaged archive gives a bundle's files or a refusal, and never anything else."""
    archive = bytearray(PACKERS[form](BUNDLE))
    for _ in range(data.draw(st.integers(1, 4))):
        archive[data.draw(st.integers(0, len(archive) - 1))] = data.draw(st.integers(0, 255))
    try:
        taken = unpacked(bytes(archive), tmp_path_factory.mktemp("damaged"))
    except FetchError:
        return
    assert set(taken) <= set(BOUNDS)


@given(st.binary(max_size=3_000))
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Bytes that are no archive are refused."""
    with pytest.raises(FetchError):
        unpacked(content, tmp_path_factory.mktemp("bytes"))
