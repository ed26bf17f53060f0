"""Callers who ask again and again, try nothing twice, and note all that comes back."""

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Protocol, Self

from tests.live.running import JSON, PATIENCE, eventually

THEFT = {"month": 10, "force": "Thames Valley Police", "crime": "Bicycle theft"}


def posted(body: bytes) -> bytes:
    """Write a request for a prediction."""
    head = f"POST /api/predict HTTP/1.1\r\nHost: x\r\nContent-Type: {JSON['Content-Type']}\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body


class Address(Protocol):
    """Where somebody listens."""

    @property
    def host(self) -> str:
        """A name or an address."""

    @property
    def port(self) -> int:
        """A number of a port."""


class Load:
    """Some callers, from the start of the context to its end.

    `pauses` are the seconds that each waits between two requests: a caller who waits long has an idle connection.
    With `keep` a caller keeps his connection as long as the server does, without it each request has its own.
    `failed` holds what was no whole answer with status 200, `versions` counts the versions that answered, `closed` is
    how many answers ended their connection.
    """

    def __init__(
        self, server: Address, *, pauses: Iterable[float] = (0.0,) * 4, body: object = THEFT, keep: bool = True
    ) -> None:
        self._host, self._port, self._body = server.host, server.port, json.dumps(body)
        self._headers = JSON if keep else {**JSON, "Connection": "close"}
        self._done = threading.Event()
        self._lock = threading.Lock()
        self.answered, self.closed = 0, 0
        self.versions: Counter[str] = Counter()
        self.failed: list[str] = []
        self._callers = [threading.Thread(target=self._call, args=(pause,), daemon=True) for pause in pauses]

    def _call(self, pause: float) -> None:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=PATIENCE)
        while not self._done.is_set():
            try:
                connection.request("POST", "/api/predict?detail=full", self._body, self._headers)
                response = connection.getresponse()
                self._note(response, response.read())
            except (OSError, http.client.HTTPException) as error:
                self._fail(repr(error))
                connection.close()
            self._done.wait(pause)
        connection.close()

    def _note(self, response: http.client.HTTPResponse, body: bytes) -> None:
        if response.status != 200:
            self._fail(f"{response.status} {body!r}")
            return
        version = response.headers["X-Model-Version"]
        result: Any = json.loads(body)
        if result["model"]["version"] != version:
            self._fail(f"the header says {version}, the body {result['model']}")
        with self._lock:
            self.answered += 1
            self.versions[version] += 1
            self.closed += response.headers.get("Connection") == "close"

    def _fail(self, what: str) -> None:
        with self._lock:
            self.failed.append(what)

    def until(self, answered: int) -> None:
        """Wait until so many more requests were answered."""
        enough = self.answered + answered
        eventually(lambda: self.answered >= enough, "answers under load")

    def lasting(self, seconds: float) -> None:
        """Go on for some seconds."""
        time.sleep(seconds)

    def __enter__(self) -> Self:
        for caller in self._callers:
            caller.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        for caller in self._callers:
            caller.join(PATIENCE)
