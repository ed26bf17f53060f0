"""What we add to uvicorn: connections whose protocol errors are problem documents, in a worker of Gunicorn's."""

from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn_worker import UvicornWorker

from server.errors import HeadersTooLarge, MalformedRequest, RequestError
from server.exchange import raw_answer

MAX_HEADERS: Final = 100
MAX_HEADER_BYTES: Final = 32_768  # all names and values together


class Connection(HttpToolsProtocol):
    """One connection of a client."""

    def on_message_begin(self) -> None:
        """Start a request."""
        super().on_message_begin()
        self._header_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, within bounds."""
        self._header_bytes += len(name) + len(value)
        if len(self.headers) >= MAX_HEADERS or self._header_bytes > MAX_HEADER_BYTES:
            self._refuse(HeadersTooLarge(f"A request has at most {MAX_HEADERS} headers; send fewer or shorter ones."))
            return
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start to answer, unless the request is refused already."""
        if not self.transport.is_closing():
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        if not self.transport.is_closing():
            super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        if not self.transport.is_closing():
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  # uvicorn's message is not for callers
        """Answer what is no HTTP with a problem, and close."""
        self._refuse(MalformedRequest("The request is not well-formed HTTP/1.1; look at its first line and headers."))

    def eof_received(self) -> bool:  # type: ignore[override]  # the answer is asyncio's, which uvicorn leaves out
        """Tell whether the connection stays: a caller who has sent all and closed his side still has his answer."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete and not cycle.more_body

    def _refuse(self, error: RequestError) -> None:
        if self.transport.is_closing():
            return
        self.transport.write(raw_answer(error))
        self.transport.close()


class LoopWorker(UvicornWorker):  # type: ignore[misc]  # uvicorn_worker has no types
    """A worker with an event loop: uvicorn's HTTP over httptools, on uvloop."""

    CONFIG_KWARGS: dict[str, Any] = {  # noqa: RUF012  # Gunicorn makes an instance for each worker and none writes to it
        "loop": "uvloop",
        "http": Connection,
        "ws": "none",
        "lifespan": "off",
        "access_log": False,
        "proxy_headers": False,
        "server_header": False,
    }
