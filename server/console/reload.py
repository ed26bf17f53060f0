"""`brinery reload`: asks a server on this machine to serve what stands in its bundle's folder now."""

import os
import signal
import time
from typing import Final

from server.errors import BundleError, FileError
from server.status_file import Status, StatusFile

LOOK: Final = 0.05  # seconds


def reload(port: int, *, seconds: float) -> str:
    """Reload the server on a port, and say so once it has, and whether it is another bundle that it serves now.

    Raises `BundleError` with the reason where the model before goes on, and `FileError` where there is no such server,
    or where it has not said anything for so many seconds.
    """
    file = StatusFile(port)
    before = file.read()
    try:
        os.kill(before.pid, signal.SIGHUP)
    except OSError as error:
        msg = f"The server on port {port}, process {before.pid}, cannot be asked to reload ({error.strerror})."
        raise FileError(msg) from None
    after = _wait(file, before, time.monotonic() + seconds)
    if after is None:
        msg = f"The server on port {port} has not said within {seconds:g} seconds how the reload ended; see its log."
        raise FileError(msg)
    if after.failure is not None:
        raise BundleError("The reload failed, and the model before it goes on.", after.failure)
    if after.digest == before.digest:
        return f"Reloaded; it is the same bundle as before, {after.digest}."
    return f"Reloaded; the bundle is now {after.digest}."


def _wait(file: StatusFile, before: Status, until: float) -> Status | None:
    while time.monotonic() < until:
        time.sleep(LOOK)
        after = file.read()
        if after.reloads > before.reloads and not after.reloading:
            return after
    return None
