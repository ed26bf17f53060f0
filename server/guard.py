"""Who may call: which credentials a request has, what they are good for, and how often they may be used.

A guard stands before the endpoints of the scopes that the settings protect, and nowhere else; without credentials that
are good it lets no body be read. Formats: RFC 6750 for bearer credentials; for the headers about rates the IETF's draft
"RateLimit header fields for HTTP" (draft-ietf-httpapi-ratelimit-headers), with its one policy called `default`.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from server.errors import BrineryError, Forbidden, RateLimited, Unauthenticated
from server.exchange import Endpoint, Request, RequestHeaders, Response
from server.keys import Keys
from server.rates import Limiter, Rate
from server.routing import Route

OF_TOKENS: Final = "jwt"  # the name of all who come with a token: their own is a caller's value
TOKEN_PARTS: Final = 3


class Token(Protocol):
    """A token that was verified."""

    @property
    def subject(self) -> str:
        """Who it speaks of."""
        ...

    @property
    def scopes(self) -> frozenset[str]:
        """What it is good for."""
        ...


class Tokens(Protocol):
    """Verifies tokens."""

    def verify(self, presented: str, /) -> Token:
        """Give a token that is good; raise `Unauthenticated` for another."""
        ...


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: his name for the log, his identity for his rate, what he may do, and his rate if he has one."""

    name: str
    identity: str
    scopes: frozenset[str]
    rate: Rate | None


class Guard:
    """Judges the callers of one application, whose rates the `limiter` counts across workers and models."""

    def __init__(
        self,
        scopes: Iterable[str],
        limiter: Limiter | None = None,
        *,
        keys: Keys | None = None,
        tokens: Tokens | None = None,
        rate: Rate | None = None,
    ) -> None:
        self._scopes, self._limiter = frozenset(scopes), limiter or Limiter()
        self._keys, self._tokens, self._rate = keys or Keys(()), tokens, rate

    def protect(self, routes: Mapping[str, Sequence[Route]]) -> dict[str, list[Route]]:
        """Give the same routes with the guard before the endpoints of those that are protected."""
        return {name: [self._guarded(route) for route in some] for name, some in routes.items()}

    def _guarded(self, route: Route) -> Route:
        if route.scope is None or route.scope not in self._scopes:
            return route
        endpoints: dict[str, Endpoint] = {
            method: Guarded(endpoint, self, route.scope) for method, endpoint in route.endpoints.items()
        }
        return dataclasses.replace(route, endpoints=endpoints)

    def admit(self, request: Request, scope: str) -> None:
        """Let the caller in, and note in the request who he is and how he stands.

        Raises `Unauthenticated`, `RateLimited` or `Forbidden`.
        """
        caller = self._identify(request.headers)
        request.caller = caller.name
        if caller.rate is not None:
            self._charge(request, caller, caller.rate)
        if scope not in caller.scopes:
            msg = f"These credentials are good, and not for {scope}; ask the operator for others."
            raise Forbidden(msg, scope)

    def _identify(self, headers: RequestHeaders) -> Caller:
        presented = credential(headers)
        if key := self._keys.find(presented):
            return Caller(key.name, f"key {key.name}", key.scopes, key.rate or self._rate)
        if self._tokens is None or presented.count(".") != TOKEN_PARTS - 1:
            msg = "The credentials are none that are accepted here; look whether they are complete, and still in use."
            raise Unauthenticated(msg, "unknown_key")
        token = self._tokens.verify(presented)
        return Caller(OF_TOKENS, f"subject {token.subject}", token.scopes, self._rate)

    def _charge(self, request: Request, caller: Caller, rate: Rate) -> None:
        standing = self._limiter.take(caller.identity, rate)
        request.standing = [
            ("RateLimit-Policy", f'"default";q={rate.count};w={rate.seconds}'),
            ("RateLimit", f'"default";r={standing.remaining};t={math.ceil(standing.reset)}'),
        ]
        if not standing.allowed:
            msg = (
                f"These credentials may be used for {rate.count} requests in {rate.seconds} s; wait, then go on slower."
            )
            raise RateLimited(msg, standing.wait)


class Guarded:
    """An endpoint behind a guard; a front may ask for a `refusal` before it gives the request a place in a queue."""

    def __init__(self, endpoint: Endpoint, guard: Guard, scope: str) -> None:
        self._endpoint, self._guard, self._scope = endpoint, guard, scope

    def __call__(self, request: Request) -> Response:
        """Answer a request whose caller may ask; raises what `Guard.admit` does."""
        if request.caller is None:
            self._guard.admit(request, self._scope)
        return self._endpoint(request)

    def refusal(self, request: Request) -> BrineryError | None:
        """Judge the caller now, once: give why he is not let in, or nothing."""
        try:
            self._guard.admit(request, self._scope)
        except BrineryError as error:
            return error
        return None


def credential(headers: RequestHeaders) -> str:
    """Give the credential that a request presents, a key or a token; never raises anything but `Unauthenticated`.

    Another scheme than Bearer's is somebody else's, such as a proxy's; it says nothing to us.
    """
    presented = headers.get("X-API-Key", "").strip(" \t")
    scheme, _, value = headers.get("Authorization", "").strip(" \t").partition(" ")
    if scheme.lower() == "bearer":
        if presented:
            msg = "There are credentials in both Authorization and X-API-Key; send one of them."
            raise Unauthenticated(msg, "several")
        presented = value.strip(" \t")
    if not presented:
        msg = "Credentials are needed; send an API key or a token as `Authorization: Bearer`, or a key as `X-API-Key`."
        raise Unauthenticated(msg, "missing", given=False)
    return presented
