"""`create_app`: the whole application for any WSGI server, by Flask."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import flask
from werkzeug.exceptions import HTTPException, NotFound
from werkzeug.exceptions import MethodNotAllowed as FlaskMethodNotAllowed
from werkzeug.routing import PathConverter, RequestRedirect
from werkzeug.wrappers import Response as FlaskResponse

from server.api.blueprint import answer, make_blueprint
from server.application import Application, assemble, prepare
from server.bundle import Bundle
from server.exchange import Endpoint
from server.routing import NOWHERE, PLACED, Router, refuse_by, refuse_method, refuse_request, refuse_route
from server.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class Placed(PathConverter):
    """What stands for a placeholder, as `Router` has it."""

    regex = PLACED


def create_app(settings: Settings, *, bundle: Bundle | None = None) -> flask.Flask:
    """Make the whole application of a bundle, the settings' own unless one is given."""
    return publish(assemble(settings, prepare(settings, bundle)))


def publish(application: Application) -> flask.Flask:
    """Put an application behind Flask, for any WSGI server; it is in `app.extensions["brinery"]`."""
    settings = application.settings
    app = flask.Flask("server", static_folder=None)
    app.url_map.merge_slashes = False  # a redirect to a tidier path would be a page of HTML
    app.url_map.converters["path"] = Placed
    for name, routes in application.routes.items():
        app.register_blueprint(make_blueprint(name, routes, application.exchange))
    _answer_what_no_route_takes(app, application)
    if settings.root_path:
        app.wsgi_app = _below(settings.root_path, app.wsgi_app)  # type: ignore[assignment]
    app.extensions["brinery"] = application
    return app


def _answer_what_no_route_takes(app: flask.Flask, application: Application) -> None:
    """Answer in our own form what Flask itself refuses, and what only Flask would take."""
    router = Router(route for routes in application.routes.values() for route in routes)

    @app.before_request
    def refuse_other_slashes() -> None:
        # Werkzeug takes `//metrics` for `/metrics`: a proxy that guards the one would let the other through. Where a
        # setting names `/predict/`, it leads from `/predict` there by a page of HTML.
        redirected = isinstance(flask.request.routing_exception, RequestRedirect)
        if redirected or flask.request.environ.get("PATH_INFO", "").startswith("//"):
            raise NotFound

    def refuse(error: HTTPException) -> FlaskResponse:
        route, _ = router.find(flask.request.path) or (NOWHERE, {})
        endpoint: Endpoint = refuse_request
        if isinstance(error, FlaskMethodNotAllowed):
            endpoint = refuse_method(route.allowed)
        elif isinstance(error, NotFound):
            endpoint = refuse_route
        elif error.code is None or error.code >= 500:
            endpoint = refuse_by(getattr(error, "original_exception", None) or error)
        return answer(application.exchange, route, endpoint, matched=False)

    app.register_error_handler(HTTPException, refuse)


def _below(root_path: str, application: "WSGIApplication") -> "WSGIApplication":
    """Take requests with the proxy's path in front as well as without it."""

    def strip(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == root_path or path.startswith(f"{root_path}/"):
            environ["PATH_INFO"] = path.removeprefix(root_path) or "/"
            environ["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "") + root_path
        return application(environ, start_response)

    return strip
