"""Where a server that runs on this machine says who it is and how its reloads ended: for `brinery reload`.

One file in the folder for temporary files for each port. Only its owner's word is taken: other users may write there
too.
"""

import contextlib
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from server.errors import FileError


@dataclass(frozen=True, slots=True)
class Status:
    """A server's master: its process id, whether it reloads, how many reloads have ended, and why the last failed.

    `digest` is that of the bundle which it serves.
    """

    pid: int
    reloading: bool = False
    reloads: int = 0
    failure: str | None = None
    digest: str = ""


class StatusFile:
    """The file of the server on a port."""

    def __init__(self, port: int) -> None:
        try:
            folder = tempfile.gettempdir()
        except FileNotFoundError:  # none can be written to: then nothing is
            folder = os.sep
        self._path = Path(folder) / f"brinery-{port}.json"

    def write(self, status: Status) -> None:
        """Replace the status; a folder that cannot be written to costs no more than the file."""
        with contextlib.suppress(OSError):
            descriptor, name = tempfile.mkstemp(prefix=f"{self._path.name}.", dir=self._path.parent)
            with os.fdopen(descriptor, "wb") as file:
                file.write(orjson.dumps({**asdict(status), "started": _start_of(status.pid)}))
            Path(name).replace(self._path)

    def read(self) -> Status:
        """Give the status; raise `FileError` where there is none that can be trusted."""
        try:
            with os.fdopen(os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
                if os.fstat(file.fileno()).st_uid != os.getuid():
                    msg = f"{self._path} belongs to another user; ask for the reload as the user who runs the server."
                    raise FileError(msg)
                content = orjson.loads(file.read())
                started, status = content.pop("started"), Status(**content)
                if started == _start_of(status.pid):  # else it was killed, and its id may be another's by now
                    return status
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            pass
        msg = (
            f"No server of this user says in {self._path} that it runs; give the port that it listens on, "
            "and its TMPDIR if it has one of its own."
        )
        raise FileError(msg)

    def remove(self) -> None:
        """Forget the server."""
        with contextlib.suppress(OSError):
            self._path.unlink()


def _start_of(pid: int) -> str | None:
    """Tell when a process started, in the kernel's own measure (proc_pid_stat(5), field 22); None if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return None
