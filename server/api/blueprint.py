"""Routes to a Flask blueprint: a request of Flask's in, a response of Flask's out, `Exchange` between them."""

from collections.abc import Sequence
from typing import Final

import flask
from werkzeug.wrappers import Response as FlaskResponse

from server.errors import BodyTooLarge, IncompleteBody
from server.exchange import Endpoint, Exchange, Request, Response, Route

CHUNK: Final = 65_536
POLITE_FACTOR: Final = 4  # how many times the limit we read on, so that a caller who writes first can hear the answer


def make_blueprint(name: str, routes: Sequence[Route], exchange: Exchange) -> flask.Blueprint:
    """Make a blueprint of routes, each answered by `exchange`."""
    blueprint = flask.Blueprint(name, __name__)
    for route in routes:
        blueprint.add_url_rule(
            route.rule,
            endpoint=route.rule.replace(".", "_"),
            view_func=_view(route, exchange),
            methods=[*route.endpoints, "OPTIONS"],
            provide_automatic_options=False,
        )
    return blueprint


def _view(route: Route, exchange: Exchange) -> flask.typing.RouteCallable:
    endpoints = {**route.endpoints, "OPTIONS": _options(route)}
    if "GET" in endpoints:
        endpoints["HEAD"] = endpoints["GET"]

    def view() -> FlaskResponse:
        return answer(exchange, route.rule, endpoints[flask.request.method])

    return view


def _options(route: Route) -> Endpoint:
    headers = [("Allow", ", ".join(route.allowed))]
    return lambda _: Response(204, headers=list(headers))


def answer(exchange: Exchange, route: str, endpoint: Endpoint) -> FlaskResponse:
    """Answer Flask's current request by an endpoint; `route` is its template."""
    theirs = flask.request
    ours = Request(
        method=theirs.method,
        route=route,
        headers=theirs.headers,
        query=theirs.args.to_dict(flat=False) if theirs.query_string else {},
        read=read_body,
    )
    response = exchange(ours, endpoint)
    made = FlaskResponse(response.body, response.status, response.headers, content_type=response.media_type)
    if response.status == 204:
        del made.headers["Content-Type"]
    return made


def read_body(limit: int) -> bytes:
    """Read the body of Flask's current request.

    Raises `BodyTooLarge` if it has more than `limit` bytes, and `IncompleteBody` if it ends before its announced
    length or its chunks are broken.
    """
    environ = flask.request.environ
    stream, announced = environ["wsgi.input"], environ.get("CONTENT_LENGTH")
    try:
        if not announced:
            # Without a length only a server that ends the stream by itself can be read to the end.
            body: bytes = stream.read(limit + 1) if environ.get("wsgi.input_terminated") else b""
            length = len(body)
            unread = limit * POLITE_FACTOR
        else:
            length = int(announced)
            body = stream.read(max(0, length)) if length <= limit else b""
            unread = min(length, limit * POLITE_FACTOR)
        if length > limit:
            _skip(stream, unread)
    except Exception:  # each server's stream has its own errors about framing and connections
        msg = "The body's framing is broken; send Content-Length, or well-formed chunks."
        raise IncompleteBody(msg) from None
    if length > limit:
        msg = f"The body has more than {limit} bytes; send fewer rows in one request."
        raise BodyTooLarge(msg)
    if len(body) < length:
        msg = "The body ended before the length that Content-Length announced."
        raise IncompleteBody(msg)
    return body


def _skip(stream: object, count: int) -> None:
    while count > 0:
        chunk = stream.read(min(count, CHUNK))  # type: ignore[attr-defined]
        if not chunk:
            return
        count -= len(chunk)
