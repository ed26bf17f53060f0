"""Where requests go: routes, how one is found for a path, and how a request is refused that none is for."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

from server.errors import MethodNotAllowed, RequestError, RouteNotFound
from server.exchange import Endpoint, Envelope, Request, RequestHeaders, Response, as_problem
from server.model import MAX_NAME

UNMATCHED: Final = "unmatched"  # the route of a request that no route is for
END_OF_TEXT: Final = re.compile(rb'\{"[\s:,\]}]')
PLACEHOLDER: Final = re.compile("<path:([a-z_]+)>")
# What stands for one: not much, since looking where one ends, in a path of thousands of slashes, takes their square.
PLACED: Final = f"[^/].{{0,{MAX_NAME - 1}}}?"
REMEMBERED: Final = 256  # paths with placeholders whose route is known; callers ask for few, and for any


class Rows(NamedTuple):
    """How many rows a body has, at least and at most, as far as can be seen without reading it."""

    least: int
    most: int


CountRows: TypeAlias = Callable[[RequestHeaders, bytes], Rows]


def count_objects(_: RequestHeaders, body: bytes) -> Rows:
    """Count the rows of a body that is a JSON object, or an array of them.

    What is no object is soon refused: of an array of others only that it may have several is told.
    """
    if not body.lstrip().startswith(b"["):
        return Rows(1, 1)
    return Rows(max(1, objects_in(body)), max(body.count(b"{"), 2 if b"," in body else 1))


def objects_in(body: bytes) -> int:
    """Count the objects of a JSON text, at least: those with members, if nothing stands between `{` and `"`.

    No text holds the two, whose quotes are escaped, but it may end by them.
    """
    return body.count(b'{"') - len(END_OF_TEXT.findall(body))


@dataclass(frozen=True, slots=True)
class Route:
    """A route: its template in Flask's syntax, and the endpoint of each method.

    A template's placeholders are written `<path:name>`, since what stands for one, a model's name or its version, may
    hold slashes. `blocking` says that its endpoints read files, or work otherwise longer than an event loop may wait.
    `scope`, one of `server.settings.SCOPES`, is what a caller must be let in for where the settings say so; None is for
    everybody. `envelope` writes its errors. `count` estimates the rows of a body. `probe` says that orchestrators ask
    it every few seconds: the log has no line for each.
    """

    rule: str
    endpoints: dict[str, Endpoint]
    blocking: bool = False
    scope: str | None = "info"
    envelope: Envelope = as_problem
    count: CountRows = count_objects
    probe: bool = False

    @property
    def path(self) -> str:
        """The template in the syntax of OpenAPI."""
        return PLACEHOLDER.sub(r"{\1}", self.rule)

    @property
    def allowed(self) -> Sequence[str]:
        """The methods that the route has, in the form of `Allow`."""
        implied = ["HEAD"] if "GET" in self.endpoints else []
        return sorted([*self.endpoints, *implied, "OPTIONS"])

    def endpoint(self, method: str) -> Endpoint | None:
        """Give the endpoint of a method; None if the route does not have it. A front drops the body of HEAD."""
        found = self.endpoints.get("GET" if method == "HEAD" else method)
        return self._options if found is None and method == "OPTIONS" else found

    def _options(self, _: Request) -> Response:
        return Response(204, headers=[("Allow", ", ".join(self.allowed))])


def refuse_by(error: Exception) -> Endpoint:
    """Make the endpoint that answers with the problem of an error."""

    def endpoint(_: Request) -> Response:
        raise error

    return endpoint


def refuse_route(_: Request) -> Response:
    """Answer a request that no route is for."""
    msg = "There is no such route; /api/docs lists them all."
    raise RouteNotFound(msg)


def refuse_method(allowed: Sequence[str]) -> Endpoint:
    """Make the endpoint for the methods that a route does not have."""

    def endpoint(_: Request) -> Response:
        msg = f"The route has the methods {', '.join(allowed)}."
        raise MethodNotAllowed(msg, allowed)

    return endpoint


def refuse_request(_: Request) -> Response:
    """Answer a request that a server's library refuses by itself."""
    msg = "The request cannot be understood; look at its address and its headers."
    raise RequestError(msg)


class _Nowhere(Route):
    """Refuses every method."""

    __slots__ = ()

    def endpoint(self, _: str) -> Endpoint:
        return refuse_route


NOWHERE: Final = _Nowhere(UNMATCHED, {}, scope=None)  # where a request goes that no route is for


class Router:
    """Finds the route of a path among these."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._fixed: dict[str, Route] = {}
        patterns: list[tuple[re.Pattern[str], Route]] = []
        for route in routes:
            if PLACEHOLDER.search(route.rule):
                patterns.append((_pattern(route.rule), route))
            else:
                self._fixed[route.rule] = route
        # What says more goes first: `/models/<path:name>/ready` is also of the form `/models/<path:name>`.
        self._patterns = sorted(patterns, key=lambda each: -len(PLACEHOLDER.sub("", each[1].rule)))
        self._searched = lru_cache(maxsize=REMEMBERED)(self._search)

    def find(self, path: str) -> tuple[Route, Mapping[str, str]] | None:
        """Give the route of a path, with what stands for its placeholders."""
        route = self._fixed.get(path)
        return (route, {}) if route is not None else self._searched(path)

    def _search(self, path: str) -> tuple[Route, Mapping[str, str]] | None:
        for pattern, route in self._patterns:
            if match := pattern.fullmatch(path):
                return route, match.groupdict()
        return None


def _pattern(rule: str) -> re.Pattern[str]:
    """Make the expression of a template: text and placeholders in turn."""
    parts = PLACEHOLDER.split(rule)
    written = [re.escape(parts[0])]
    for name, text in zip(parts[1::2], parts[2::2], strict=True):
        written.append(f"(?P<{name}>{PLACED})" + re.escape(text))
    return re.compile("".join(written), re.DOTALL)
