"""Where a server says who it is."""

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from server.errors import FileError
from server.status_file import Status, StatusFile


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder for temporary files of our own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_one_for_each_port(folder: Path) -> None:
    """Each server has a status of its own, which nobody else may read, and no other file is left."""
    statuses = {1: Status(7), 2: Status(8, reloading=True, reloads=3, failure="No.", digest="sha256:0")}
    for port, status in statuses.items():
        StatusFile(port).write(Status(1))
        StatusFile(port).write(status)
    assert {port: StatusFile(port).read() for port in statuses} == statuses
    assert {each.name: each.stat().st_mode & 0o777 for each in folder.iterdir()} == {
        "brinery-1.json": 0o600,
        "brinery-2.json": 0o600,
    }


@pytest.mark.usefixtures("folder")
def test_no_server() -> None:
    """Where there is no server, the error says where it was looked for and what to give."""
    StatusFile(1).write(Status(7))
    StatusFile(1).remove()
    StatusFile(1).remove()
    with pytest.raises(FileError, match=r"brinery-1\.json that it runs; give the port .*, and its TMPDIR if"):
        StatusFile(1).read()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1, "more": 2}', "null"])
def test_damaged(folder: Path, content: str) -> None:
    """A file that is not ours is none."""
    (folder / "brinery-1.json").write_text(content)
    with pytest.raises(FileError):
        StatusFile(1).read()


def test_links_are_not_followed(folder: Path) -> None:
    """Another user's link leads nowhere."""
    StatusFile(2).write(Status(7))
    (folder / "brinery-1.json").symlink_to(folder / "brinery-2.json")
    with pytest.raises(FileError):
        StatusFile(1).read()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file to somebody else")
def test_of_another_user(folder: Path) -> None:
    """Another user's word is not taken: he could let us signal any process."""
    StatusFile(1).write(Status(7))
    os.chown(folder / "brinery-1.json", 12345, 12345)
    with pytest.raises(FileError, match="belongs to another user"):
        StatusFile(1).read()


def test_unwritable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a folder for temporary files a server still runs."""
    monkeypatch.setattr(tempfile, "tempdir", "/nonexistent")
    StatusFile(1).write(Status(7))


@pytest.mark.usefixtures("folder")
def test_another_process_with_its_id() -> None:
    """A server that was killed left its file; the process that has its id now is not asked for anything."""
    with subprocess.Popen(["sleep", "60"]) as other:
        file = StatusFile(1)
        file.write(Status(other.pid))
        assert file.read() == Status(other.pid)
        other.kill()
        other.wait()
        with pytest.raises(FileError, match="No server of this user"):
            file.read()


def test_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no folder for temporary files can be written to, there is no status."""

    def none() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    with pytest.raises(FileError):
        StatusFile(65_536).read()
