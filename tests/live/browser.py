"""Uses a page in a real browser as a person does: looks, types and clicks. Format: the Chrome DevTools Protocol."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import pytest

from tests.live.running import PATIENCE

CHROMIUM: Final = shutil.which("chromium")
FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
)

# The browser hears on the file descriptor 3, and speaks on 4.
BECOME: Final = """
import fcntl, os, sys
for target, given in enumerate([fcntl.fcntl(int(each), fcntl.F_DUPFD, 10) for each in sys.argv[1:3]], 3):
    os.dup2(given, target)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Page:
    """A page in a browser of its own; `complaints` are what its console says, but for requests that were refused."""

    def __init__(self, profile: Path) -> None:
        if CHROMIUM is None:
            pytest.skip("Chromium is not installed")
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        flags = (*FLAGS, "--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank")
        self._process = subprocess.Popen(
            [sys.executable, "-c", BECOME, str(theirs_in), str(theirs_out), CHROMIUM, *flags],
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._heard, self._number, self._session = b"", 0, ""
        self.complaints: list[str] = []
        (target,) = [each for each in self._ask("Target.getTargets")["targetInfos"] if each["type"] == "page"]
        self._session = self._ask("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        self._ask("Log.enable")
        self._ask("Runtime.enable")

    def open(self, address: str) -> None:
        """Go to an address."""
        self._ask("Page.navigate", url=address)

    def run(self, code: str) -> Any:
        """Give what an expression of JavaScript is in the page."""
        return self._ask("Runtime.evaluate", expression=code, returnByValue=True)["result"].get("value")

    def wait_for(self, code: str) -> None:
        """Return as soon as an expression is true."""
        end = time.monotonic() + 2 * PATIENCE
        while not self.run(f"Boolean({code})"):
            assert time.monotonic() < end, f"waited in vain for {code}\n{self.run('document.body.innerText')}"
            time.sleep(0.05)

    def click(self, selector: str) -> None:
        """Click on an element as soon as it is there."""
        self.wait_for(f"document.querySelector({selector!r})")
        self.run(f"document.querySelector({selector!r}).click()")

    def _ask(self, method: str, **given: object) -> dict[str, Any]:
        self._number += 1
        message: dict[str, object] = {"id": self._number, "method": method, "params": given}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            heard = self._hear()
            if heard.get("id") == self._number:
                result: dict[str, Any] = heard["result"]
                return result
            entry = heard.get("params", {}).get("entry", {})
            if entry.get("level") in ("warning", "error") and entry.get("source") != "network":
                self.complaints.append(entry["text"])
            if heard.get("method") == "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(heard["params"]))

    def _hear(self) -> dict[str, Any]:
        while b"\0" not in self._heard:
            part = os.read(self._in, 65_536)
            assert part, "the browser has ended"
            self._heard += part
        message, _, self._heard = self._heard.partition(b"\0")
        heard: dict[str, Any] = json.loads(message)
        return heard

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            os.close(self._out)
        os.close(self._in)
        self._process.kill()
        self._process.wait()
