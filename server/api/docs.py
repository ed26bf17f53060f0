"""The documents, the page that shows them, and the way there from `/`.

Every link is relative, so that the page works under any path that a proxy gives us; Swagger UI's files come from a
package that is installed with us, so that it works without a network.
"""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import orjson

from server.api.health import ALIVE
from server.exchange import Endpoint, Request, Response
from server.negotiation import check_accepts, is_for_people
from server.routing import Route
from server.settings import Settings


def _folder_of(package: str) -> Path:
    """Find an installed package without importing it."""
    spec = find_spec(package)
    assert spec is not None, "it is installed with us"
    assert spec.submodule_search_locations is not None, "it is a package"
    return Path(spec.submodule_search_locations[0])


SWAGGER_UI: Final = _folder_of("flask_swagger_ui") / "dist"
WEB: Final = files("server") / "web"
ASSETS: Final = {
    "swagger-ui.css": (SWAGGER_UI, "text/css; charset=utf-8"),
    "swagger-ui-bundle.js": (SWAGGER_UI, "text/javascript; charset=utf-8"),
    "favicon-32x32.png": (SWAGGER_UI, "image/png"),
    "docs.js": (WEB, "text/javascript; charset=utf-8"),
}
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
PAGE_HEADERS: Final = [
    ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Frame-Options", "DENY"),
]
CACHED_FOR_A_DAY: Final = [("Cache-Control", "public, max-age=86400")]


def docs_routes(openapi: Mapping[str, Any], swagger: Mapping[str, Any], settings: Settings) -> Sequence[Route]:
    """Make the routes of both documents and of the page that shows the first."""
    page = (WEB / "docs.html").read_bytes()

    def show(_: Request) -> Response:
        return Response(200, page, "text/html; charset=utf-8", list(PAGE_HEADERS))

    def lead(request: Request) -> Response:
        if speaks_kserve and not is_for_people(request.headers.get("Accept", "")):
            return Response(200, ALIVE)  # what a client of KServe's takes for a live server
        return Response(307, b"", "text/plain; charset=utf-8", list(there))

    speaks_kserve = "kserve" in settings.protocols
    there = [("Location", f"{settings.root_path}/api/docs")]
    return [
        Route("/openapi.json", {"GET": _document(openapi)}),
        Route("/swagger.json", {"GET": _document(swagger)}),
        # A browser sends no credentials for a page: it holds nothing of the model, and asks for the document with them.
        Route("/api/docs", {"GET": show}, scope=None),
        Route("/", {"GET": lead}, scope=None),
        *(Route(f"/api/docs/assets/{name}", {"GET": _asset(name)}, blocking=True, scope=None) for name in ASSETS),
    ]


def _document(document: Mapping[str, Any]) -> Endpoint:
    body = orjson.dumps(document)

    def get(request: Request) -> Response:
        check_accepts(request.headers.get("Accept", ""))
        return Response(200, body)

    return get


def _asset(name: str) -> Endpoint:
    folder, media_type = ASSETS[name]

    def get(_: Request) -> Response:
        return Response(200, (folder / name).read_bytes(), media_type, list(CACHED_FOR_A_DAY))

    return get
