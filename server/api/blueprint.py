"""Routes to a Flask blueprint: a request of Flask's in, a response of Flask's out, `Exchange` between them."""

from collections.abc import Sequence
from http import HTTPMethod
from typing import Final

import flask
from werkzeug.wrappers import Response as FlaskResponse

from server.exchange import READ_ON_FACTOR, Endpoint, Exchange, Request, incomplete, too_large
from server.routing import UNMATCHED, Route, refuse_method

CHUNK: Final = 65_536


def make_blueprint(name: str, routes: Sequence[Route], exchange: Exchange) -> flask.Blueprint:
    """Make a blueprint of routes, each answered by `exchange`."""
    blueprint = flask.Blueprint(name, __name__)
    for number, route in enumerate(routes):
        # All methods, since the route refuses some: Flask would look further, and take `/models/a/ready` for a name.
        blueprint.add_url_rule(
            route.rule,
            endpoint=str(number),
            view_func=_view(route, exchange),
            methods=list(HTTPMethod),
            provide_automatic_options=False,
        )
    return blueprint


def _view(route: Route, exchange: Exchange) -> flask.typing.RouteCallable:
    def view(**_: str) -> FlaskResponse:
        endpoint = route.endpoint(flask.request.method)
        return answer(exchange, route, endpoint or refuse_method(route.allowed), matched=endpoint is not None)

    return view


def answer(exchange: Exchange, route: Route, endpoint: Endpoint, *, matched: bool = True) -> FlaskResponse:
    """Answer Flask's current request by an endpoint of a route, or by one for what it has no endpoint for."""
    theirs = flask.request
    ours = Request(
        method=theirs.method,
        route=route.rule if matched else UNMATCHED,
        headers=theirs.headers,
        query=theirs.args.to_dict(flat=False) if theirs.query_string else {},
        read=read_body,
        variables=theirs.view_args or {},
        envelope=route.envelope,
        probe=route.probe,
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
            unread = limit * READ_ON_FACTOR
        else:
            length = int(announced)
            body = stream.read(max(0, length)) if length <= limit else b""
            unread = min(length, limit * READ_ON_FACTOR)
        if length > limit:
            _skip(stream, unread)
    except Exception:  # each server's stream has its own errors about framing and connections
        raise incomplete() from None
    if length > limit:
        raise too_large(limit)
    if len(body) < length:
        raise incomplete()
    return body


def _skip(stream: object, count: int) -> None:
    while count > 0:
        chunk = stream.read(min(count, CHUNK))  # type: ignore[attr-defined]
        if not chunk:
            return
        count -= len(chunk)
