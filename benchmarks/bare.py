"""The floor: a server that reads the body and answers fixed bytes. Nothing behind the same Gunicorn can be faster."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

BODY = b'{"no":0.25,"yes":0.75}'
HEADERS = [("Content-Type", "application/json"), ("Content-Length", str(len(BODY)))]


def wsgi(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """Answer as a WSGI application."""
    environ["wsgi.input"].read()
    start_response("200 OK", HEADERS)
    return [BODY]


async def asgi(
    scope: dict[str, Any],  # noqa: ARG001  # it answers everything alike
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """Answer as an ASGI application."""
    while (await receive()).get("more_body"):
        pass
    headers = [(name.lower().encode(), value.encode()) for name, value in HEADERS]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": BODY})
