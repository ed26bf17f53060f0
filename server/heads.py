"""The heads of answers, as they go over a connection."""

import functools
import http
import time
from email.utils import formatdate
from typing import Final

from server.exchange import Response
from server.incoming import Incoming

STATUS_LINES: Final = {each.value: f"HTTP/1.1 {each.value} {each.phrase}\r\n" for each in http.HTTPStatus}


def head_of(response: Response, asked: Incoming | None, *, last: bool) -> bytes:
    """Write the head of an answer, its empty line too; `asked` is None where the request could not be read.

    The `last` one says that the connection ends behind it.
    """
    lines = [STATUS_LINES[response.status], _date(int(time.time()))]
    if response.status != 204:
        lines.append(f"Content-Type: {response.media_type}\r\nContent-Length: {len(response.body)}\r\n")
    lines += [f"{name}: {value}\r\n" for name, value in response.headers]
    if last:
        lines.append("Connection: close\r\n")
    elif asked is not None and asked.version == "1.0":
        lines.append("Connection: keep-alive\r\n")
    lines.append("\r\n")
    return "".join(lines).encode("latin-1")


@functools.lru_cache(maxsize=1)
def _date(second: int) -> str:
    return f"Date: {formatdate(second, usegmt=True)}\r\n"
