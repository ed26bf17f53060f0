"""Each protocol is there or not, whichever others are; and what a route does not take is refused by that route."""

import itertools
from collections.abc import Collection
from typing import Any, Final

import pytest
from werkzeug.test import Client

from server.protocols.registry import PROTOCOLS, parts_of
from tests.api.fronts import application_of
from tests.api.moody import Moody
from tests.api.serving import serve

VERTEX: Final = {"vertex_predict_route": "/AIP/predict", "vertex_health_route": "/AIP/health"}
SUBSETS: Final = [some for size in range(len(PROTOCOLS) + 1) for some in itertools.combinations(PROTOCOLS, size)]
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW")
IDENTITY: Final = {"name": "moody", "version": "1"}


def speaking(protocols: Collection[str]) -> Client:
    """Serve a model by some of the protocols."""
    return serve(Moody(), metadata=IDENTITY, protocols=tuple(protocols), **VERTEX)


@pytest.fixture(name="spoken", scope="module")
def _spoken(front: str) -> Client:
    """Serve a model by all of them."""
    return speaking(PROTOCOLS)


@pytest.mark.parametrize("protocols", SUBSETS, ids=lambda some: "+".join(some) or "none")
def test_what_is_off_is_not_there(spoken: Client, protocols: tuple[str, ...]) -> None:
    """The routes of protocols that are off are 404 and in no document; all others are there, and in the document."""
    client = speaking(protocols)
    documented: dict[str, Any] = client.get("/openapi.json").get_json()["paths"]
    for name, routes in application_of(spoken).routes.items():
        for route in routes if name in PROTOCOLS else ():
            path, is_on = route.path.format(**IDENTITY), name in protocols
            assert (route.path in documented) == is_on
            for method in ("GET", "POST", "OPTIONS"):
                assert (client.open(path, method=method).status_code == 404) != is_on, f"{method} {path}"


def test_the_document_knows_the_scopes(spoken: Client) -> None:
    """Each route is told of by the scope that it has: the two are written in different places."""
    application = application_of(spoken)
    parts = parts_of(application.model, application.settings)
    told = {path: scope for part in parts for path, scope in part.scopes.items()}
    routes = [route for name in PROTOCOLS for route in application.routes[name]]
    assert told == {route.path: route.scope for route in routes if route.scope is not None}


def test_a_route_refuses_other_methods_itself(spoken: Client) -> None:
    """A method that a route does not have is 405 with those that it has, even if its path has another's form."""
    for route in itertools.chain.from_iterable(application_of(spoken).routes.values()):
        path = route.path.format(**IDENTITY)
        for method in METHODS:
            if method not in route.allowed:
                response = spoken.open(path, method=method)
                assert response.status_code == 405, f"{method} {path}"
                assert response.headers["Allow"] == ", ".join(route.allowed)
