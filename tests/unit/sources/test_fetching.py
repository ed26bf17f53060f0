"""From a place to a bundle's files: real child processes, and a store that is replaced where it is asked."""

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from server.apart import Apart
from server.bundle import read_files
from server.errors import BundleError, FetchError
from server.sources import fetching
from server.sources.cache import SCRATCH, Cache, Scratch
from server.sources.fetching import Fetch, begin, read
from server.urls import Url
from tests.models import settings
from tests.unit.sources.packing import tar_gz

PICKLES = Path(__file__).resolve().parents[3] / "pickles"
URL = Url("https://user:geheim@a.example/crime-65.tar.gz?sig=geheim")
NAMES = ("model.pkl", "lookup.pkl", "labels.pkl", "metadata.json", "golden.json", "manifest.json")
OTHER = f"sha256:{'0' * 64}"


class Store:
    """What is fetched from instead of a real store; the child has a copy of it, so it counts in a file."""

    def __init__(self, folder: Path) -> None:
        self.archive = tar_gz({f"crime/{name}": (PICKLES / name).read_bytes() for name in NAMES})
        self._log = folder / "asked"
        self.act: Callable[[], object] = lambda: None

    @property
    def asked(self) -> int:
        return self._log.stat().st_size if self._log.exists() else 0

    def fetch(self, url: Url, folder: Path, *_: object) -> Path:
        assert url == URL
        with self._log.open("a") as log:
            log.write("x")
        self.act()
        (folder / "archive").write_bytes(self.archive)
        return folder / "archive"


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the folder for temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.fixture
def store(tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """Give the store, and see that nothing is left among the temporary files."""
    made = Store(tmp_path)
    monkeypatch.setattr(fetching, "_fetch", made.fetch)
    yield made
    assert not list(temporary.rglob(f"{SCRATCH}*"))


def made(**given: Any) -> Any:
    """Make settings that fetch, and do not wait long."""
    return settings(bundle=URL, fetch_timeout=30.0, **given)


def pinned(**given: Any) -> Any:
    """Make settings that fetch the bundle of the repository and no other."""
    return made(bundle_digest=read_files(PICKLES).digest, **given)


def test_a_folder(store: Store) -> None:
    """A folder is read, and nothing else happens."""
    files = begin(settings(), PICKLES)
    assert not isinstance(files, Fetch)
    assert files == read_files(PICKLES)
    assert store.asked == 0


def test_a_url(store: Store, temporary: Path) -> None:
    """What a URL leads to is fetched each time, and named after the URL; nothing is kept."""
    for count in (1, 2):
        files = read(made())
        assert (files.contents, files.proofs) == (read_files(PICKLES).contents, read_files(PICKLES).proofs)
        assert files.named == "crime-65"
        assert store.asked == count
    assert not list(temporary.iterdir())


def test_a_local_archive(store: Store, tmp_path: Path) -> None:
    """An archive on this machine is unpacked by a process of its own, too."""
    archive = tmp_path / "local.tar.gz"
    archive.write_bytes(store.archive)
    files = read(settings(), archive)
    assert (files.digest, files.named) == (read_files(PICKLES).digest, "local")
    archive.write_bytes(store.archive[:1_000])
    with pytest.raises(BundleError, match="The archive is damaged"):
        read(settings(), archive)


def test_no_such_place(tmp_path: Path) -> None:
    """A path that leads nowhere is told."""
    with pytest.raises(BundleError, match="There is no bundle at"):
        read(settings(), tmp_path / "none")
    with pytest.raises(BundleError, match=r"The bundle at .* cannot be read: |There is no bundle at"):
        read(settings(), tmp_path / ("x" * 300))


def test_an_archive_of_no_bundle(store: Store) -> None:
    """What was fetched is judged like any bundle."""
    store.archive = tar_gz({"model.pkl": b"", "model.skops": b""})
    with pytest.raises(BundleError, match=r"There are model\.pkl and model\.skops"):
        read(made())


def test_a_pin(store: Store, temporary: Path) -> None:
    """A bundle whose digest is set is fetched once, and served from the cache when the store is gone."""
    assert read(pinned()).digest == read_files(PICKLES).digest
    store.archive = b"gone"
    assert read(pinned()).proofs == read_files(PICKLES).proofs
    assert store.asked == 1
    (cache,) = temporary.iterdir()
    assert cache.stat().st_mode & 0o077 == 0


def test_new_credentials(store: Store) -> None:
    """Credentials that change do not make it another bundle."""
    read(pinned())
    files = begin(pinned(), Url(URL.text.replace("geheim", "anders")))
    assert not isinstance(files, Fetch)
    assert store.asked == 1


def test_another_digest(store: Store, temporary: Path) -> None:
    """A bundle with another digest is refused with both, and not kept."""
    with pytest.raises(BundleError) as raised:
        read(made(bundle_digest=OTHER))
    assert OTHER in str(raised.value)
    assert read_files(PICKLES).digest in str(raised.value)
    assert "geheim" not in str(raised.value)
    (cache,) = temporary.iterdir()
    assert not list(cache.iterdir())
    with pytest.raises(BundleError, match=OTHER):
        read(settings(bundle_digest=OTHER), PICKLES)
    assert store.asked == 1


@pytest.mark.parametrize("damage", ["changed", "missing", "empty"])
def test_the_cache_is_not_trusted(store: Store, tmp_path: Path, damage: str) -> None:
    """What lies in the cache is held to its digest again, and fetched again where it does not hold."""
    cache = tmp_path / "cache"
    read(pinned(bundle_cache=cache))
    (entry,) = cache.iterdir()
    if damage == "changed":
        (entry / "lookup.pkl").write_bytes(b"x")
    elif damage == "missing":
        (entry / "lookup.pkl").unlink()
    else:
        shutil.rmtree(entry)
        entry.mkdir()
    assert read(pinned(bundle_cache=cache)).digest == read_files(PICKLES).digest
    assert read(pinned(bundle_cache=cache)).digest == read_files(PICKLES).digest
    assert store.asked == 2
    assert list(cache.iterdir()) == [entry]


def test_a_bundle_that_was_sealed_later(store: Store) -> None:
    """A seal changes no digest, so an entry without the one that is wanted is fetched again."""
    sealed = store.archive
    store.archive = tar_gz({name: (PICKLES / name).read_bytes() for name in NAMES if name != "manifest.json"})
    assert "manifest.json" not in read(pinned()).proofs
    store.archive = sealed
    for _ in range(2):
        assert "manifest.json" in read(pinned(manifest="required")).proofs
    assert store.asked == 2


def test_two_at_once(store: Store, tmp_path: Path) -> None:
    """Two who fetch the same bundle at once both have it, and the cache has it once."""
    asked = pinned(bundle_cache=tmp_path / "cache")
    first, second = begin(asked, URL), begin(asked, URL)
    assert isinstance(first, Fetch)
    assert isinstance(second, Fetch)
    assert first.wait().digest == second.wait().digest
    assert store.asked == 2
    assert len(list((tmp_path / "cache").iterdir())) == 1
    assert not isinstance(begin(asked, URL), Fetch)


def test_a_cache_that_cannot_be_written(store: Store, tmp_path: Path) -> None:
    """It says which setting names the folder."""
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(FetchError, match=r"The folder of BRINERY_BUNDLE_CACHE cannot be written to"):
        read(pinned(bundle_cache=file / "cache"))
    assert store.asked == 0


def test_somebody_elses_folder(store: Store, temporary: Path) -> None:
    """A folder that others may write to is not taken for ours, whoever made it."""
    folder = temporary / f"brinery-bundles-{os.geteuid()}"
    folder.mkdir(mode=0o700)
    folder.chmod(0o777)
    entry = Cache(None).entry(URL, pinned().bundle_digest)
    entry.mkdir()
    os.mkfifo(entry / "model.pkl")  # who reads it waits for ever
    with pytest.raises(FetchError, match="others may write to it; name a folder of your own by") as raised:
        read(pinned())
    assert str(temporary) not in str(raised.value)
    assert store.asked == 0


@pytest.mark.parametrize("kept", [True, False], ids=["cache", "temporary"])
def test_what_was_abandoned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: bool) -> None:
    """What a process that was killed left behind goes; what somebody still fetches, or may have just begun, stays."""
    cache = tmp_path if not kept else tmp_path / "cache"
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    old, new = cache / f"{SCRATCH}old", cache / f"{SCRATCH}new"
    for folder in (old, new):
        folder.mkdir(parents=True)
    held = Scratch(cache)
    (cache / f"{SCRATCH}link").symlink_to(new)
    for folder in (old, held.folder):
        os.utime(folder, (0, 0))
    os.utime(cache / f"{SCRATCH}link", (0, 0), follow_symlinks=False)
    Cache(cache).scratch(kept=kept).close()
    assert not old.exists()
    assert new.exists()
    assert held.folder.exists()
    held.close()
    held.close()
    assert not held.folder.exists()


def test_interrupted(store: Store, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who breaks off the wait leaves nothing behind."""
    waits, has_begun = os.pipe()
    wait = Apart.wait

    def begin_to_wait(child: Apart) -> Sequence[str]:
        os.write(has_begun, b".")
        return wait(child)

    monkeypatch.setattr(Apart, "wait", begin_to_wait)

    def interrupt() -> None:
        os.read(waits, 1)
        os.kill(os.getppid(), signal.SIGINT)
        time.sleep(600)

    store.act = interrupt
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # which the tests may have been told to ignore
    try:
        with pytest.raises(KeyboardInterrupt):
            read(made())
    finally:
        signal.signal(signal.SIGINT, before)
    os.close(waits)
    os.close(has_begun)
    assert not list(temporary.iterdir())


def test_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails at first is tried again."""
    monkeypatch.setattr("server.sources.attempts.FIRST_PAUSE", 0.001)

    def fail_twice() -> None:
        if store.asked <= 2:
            raise ConnectionResetError

    store.act = fail_twice
    assert read(made()).named == "crime-65"
    assert store.asked == 3


def test_too_often(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of attempts is bounded, and the reason told without credentials."""
    monkeypatch.setattr("server.sources.attempts.FIRST_PAUSE", 0.001)

    def fail() -> None:
        raise ConnectionResetError(URL.text)

    store.act = fail
    with pytest.raises(BundleError) as raised:
        read(made(fetch_attempts=3))
    assert str(raised.value) == (
        "https://a.example/crime-65.tar.gz cannot be reached, or broke off (ConnectionResetError). It was tried 3 "
        "times; see BRINERY_FETCH_ATTEMPTS and BRINERY_FETCH_TIMEOUT."
    )
    assert store.asked == 3


def test_too_slow(store: Store) -> None:
    """A library that hangs is ended with its process."""
    store.act = lambda: time.sleep(600)
    with pytest.raises(BundleError, match="was not fetched within 1 seconds; see BRINERY_FETCH_TIMEOUT"):
        read(settings(bundle=URL, fetch_timeout=1.0))


def test_too_large(store: Store) -> None:
    """Whoever writes more than a bundle may have is stopped by the system."""

    def write() -> None:
        import tempfile

        with tempfile.TemporaryFile() as file:
            file.truncate(10**12)

    store.act = write
    with pytest.raises(BundleError, match="has more bytes than a bundle may have"):
        read(made())


def test_says_nothing(store: Store, capfd: pytest.CaptureFixture[str]) -> None:
    """What libraries print, log and warn is heard by nobody."""

    def talk() -> None:
        import logging
        import warnings

        os.write(1, b"geheim")
        os.write(2, b"geheim")
        logging.getLogger("lib").error("geheim")
        warnings.warn("geheim", stacklevel=1)

    store.act = talk
    read(made())
    assert capfd.readouterr() == ("", "")


def test_close(store: Store, temporary: Path) -> None:
    """Who does not want it any more ends the child, and leaves nothing behind."""
    store.act = lambda: time.sleep(600)
    fetch = begin(made(), URL)
    assert isinstance(fetch, Fetch)
    fetch.close()
    with pytest.raises(ProcessLookupError):
        os.kill(fetch.pid, 0)
    assert not list(temporary.iterdir())


def test_no_process(store: Store, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no process to be had, nothing is left behind."""

    def full() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", full)
    with pytest.raises(BlockingIOError):
        begin(made(), URL)
    assert not list(temporary.iterdir())
    assert store.asked == 0
