"""A client of HTTP/2 that takes no answer: it lets the server send heads, and no data. Format: RFC 9113."""

import socket
import struct
from collections.abc import Iterator
from types import TracebackType
from typing import Self

PATIENCE = 30  # seconds
DATA, HEADERS, SETTINGS, GOAWAY = 0, 1, 4, 7  # kinds of frames
END_STREAM, END_HEADERS = 1, 4
INITIAL_WINDOW_SIZE = 4  # a setting


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Write a frame."""
    return struct.pack(">HBBBI", len(payload) >> 8, len(payload) & 255, kind, flags, stream) + payload


def text(value: bytes) -> bytes:
    """Write a short text as heads have it."""
    return bytes([len(value)]) + value


class Idler:
    """A connection whose client takes nothing but the heads of answers."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._incoming = self._socket.makefile("rb")
        settings = frame(SETTINGS, 0, 0, struct.pack(">HI", INITIAL_WINDOW_SIZE, 0))
        self._socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings)

    def call(self, method: str) -> None:
        """Call a method of gRPC with an empty message."""
        named = ((b":authority", b"x"), (b"content-type", b"application/grpc"), (b"te", b"trailers"))
        post_by_http_to = b"\x83\x86\x04"
        head = post_by_http_to + text(f"/{method}".encode())
        head += b"".join(b"\x00" + text(name) + text(value) for name, value in named)
        self._socket.sendall(frame(HEADERS, END_HEADERS, 1, head) + frame(DATA, END_STREAM, 1, bytes(5)))

    def kinds(self) -> Iterator[int]:
        """Give the kinds of frames that come in, until the server closes the connection."""
        try:
            while head := self._incoming.read(9):
                self._incoming.read(int.from_bytes(head[:3]))
                yield head[3]
        except ConnectionError:
            return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._incoming.close()
        self._socket.close()
