"""Who is let in, and what he is told of it."""

import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import Forbidden, RateLimited, Unauthenticated
from server.exchange import Request, Response
from server.guard import Guard, Guarded, credential
from server.keys import digest_of, new_key, read_keys
from server.rates import Rate
from server.routing import Route
from server.settings import SCOPES
from tests.models import settings

KEY, SLOW = new_key(), new_key()
KEYS = read_keys(settings(api_keys=f"app {digest_of(KEY)} predict\nslow {digest_of(SLOW)} predict 1/d"))


def request(**headers: str) -> Request:
    """Make a request with headers."""
    return Request("POST", "/x", {name.replace("_", "-"): value for name, value in headers.items()}, {}, lambda _: b"")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"X_API_Key": "a"}, "a"),
        ({"X_API_Key": " a\t"}, "a"),
        ({"Authorization": "Bearer a"}, "a"),
        ({"Authorization": "bearer   a "}, "a"),
        ({"Authorization": "BEARER a, Bearer b"}, "a, Bearer b"),
        ({"Authorization": "Basic eDp5", "X_API_Key": "a"}, "a"),
    ],
    ids=str,
)
def test_credential(headers: dict[str, str], expected: str) -> None:
    """A credential comes in either header; what is another scheme's is not ours."""
    assert credential(request(**headers).headers) == expected


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, "missing"),
        ({"Authorization": "Basic eDp5"}, "missing"),
        ({"Authorization": "Bearer"}, "missing"),
        ({"Authorization": "Bearer "}, "missing"),
        ({"X_API_Key": " "}, "missing"),
        ({"Authorization": "Bearer a", "X_API_Key": "a"}, "several"),
    ],
    ids=str,
)
def test_no_credential(headers: dict[str, str], reason: str) -> None:
    """Without one, or with two, nobody is let in."""
    with pytest.raises(Unauthenticated) as refused:
        credential(request(**headers).headers)
    assert (refused.value.reason, refused.value.given) == (reason, reason != "missing")


TEXTS = st.text(st.characters(max_codepoint=255)) | st.text(string.whitespace + "Bearer,.")


@given(TEXTS, TEXTS)
def test_no_header_breaks_it(authorization: str, key: str) -> None:
    """Whatever stands in the headers, the answer is a refusal, unless it is the key."""
    guard = Guard(SCOPES, keys=KEYS)
    for value in (authorization, f"Bearer {authorization}", f"{authorization} {KEY}"):
        asked = request(Authorization=value, X_API_Key=key)
        if (
            value.lower().strip(" \t").split(" ", 1)[0] == "bearer"
            and value.endswith(f" {KEY}")
            and not key.strip(" \t")
        ):
            continue
        with pytest.raises(Unauthenticated):
            guard.admit(asked, "predict")
        assert asked.caller is None


def test_only_what_is_protected_is_guarded() -> None:
    """Other routes are the very same ones; OPTIONS stays open everywhere."""
    routes = {name: [Route(f"/{name}", {"GET": lambda _: Response(200)}, scope=name)] for name in SCOPES}
    routes["open"] = [Route("/open", {"GET": lambda _: Response(200)}, scope=None)]
    guarded = Guard(("predict",), keys=KEYS).protect(routes)
    assert [name for name in routes if guarded[name][0] is not routes[name][0]] == ["predict"]
    options = guarded["predict"][0].endpoint("OPTIONS")
    assert options is not None
    assert options(request()).status == 204
    for method in ("GET", "HEAD"):
        endpoint = guarded["predict"][0].endpoint(method)
        assert endpoint is not None
        with pytest.raises(Unauthenticated):
            endpoint(request())
        assert endpoint(request(X_API_Key=KEY)).status == 200


def test_who_was_judged_is_not_judged_again() -> None:
    """A front may judge before it lets wait; that costs the caller one request of his rate, not two."""
    guard = Guard(SCOPES, keys=KEYS)
    route = Route("/x", {"POST": lambda _: Response(200)}, scope="predict")
    endpoint = guard.protect({"x": [route]})["x"][0].endpoint("POST")
    assert isinstance(endpoint, Guarded)
    asked = request(X_API_Key=SLOW)
    assert endpoint.refusal(asked) is None
    assert endpoint(asked).status == 200
    assert isinstance(endpoint.refusal(request(X_API_Key=SLOW)), RateLimited)
    assert isinstance(endpoint.refusal(request()), Unauthenticated)


def test_a_route_is_protected_unless_it_says_otherwise() -> None:
    """A route that was added without a thought tells nothing to strangers."""
    assert Route("/new", {}).scope == "info"


def test_a_key_for_something_else() -> None:
    """A good key opens what it is for, and nothing else."""
    guard = Guard(SCOPES, keys=KEYS)
    asked = request(X_API_Key=KEY)
    guard.admit(asked, "predict")
    assert (asked.caller, asked.standing) == ("app", None)
    with pytest.raises(Forbidden) as refused:
        guard.admit(request(X_API_Key=KEY), "metrics")
    assert refused.value.scope == "metrics"


def admitted(guard: Guard, key: str) -> Any:
    """Ask with a key; give what the caller is told of his rate."""
    asked = request(X_API_Key=key)
    guard.admit(asked, "predict")
    return asked.standing


def test_rates() -> None:
    """A key has the rate of the settings, or its own; each is told how he stands."""
    guard = Guard(SCOPES, keys=KEYS, rate=Rate(2, 3_600))
    assert admitted(guard, KEY) == [("RateLimit-Policy", '"default";q=2;w=3600'), ("RateLimit", '"default";r=1;t=1800')]
    assert admitted(guard, SLOW)[0] == ("RateLimit-Policy", '"default";q=1;w=86400')
    admitted(guard, KEY)
    with pytest.raises(RateLimited) as refused:
        admitted(guard, KEY)
    assert 1_799 < refused.value.wait <= 1_800


class FakeTokens:
    """Takes every token for one that speaks of its own last part."""

    def verify(self, presented: str) -> Any:
        class Good:
            subject = presented.rpartition(".")[2]
            scopes = frozenset({"predict"})

        return Good()


def test_tokens() -> None:
    """What has the form of a token is verified as one; each subject has a rate of his own, and no name in the log."""
    guard = Guard(SCOPES, keys=KEYS, tokens=FakeTokens(), rate=Rate(1, 3_600))
    asked = request(Authorization="Bearer a.b.somebody")
    guard.admit(asked, "predict")
    assert asked.caller == "jwt"
    admitted(guard, "a.b.else")
    with pytest.raises(RateLimited):
        admitted(guard, "c.d.else")
    admitted(guard, KEY)
    with pytest.raises(Unauthenticated):
        admitted(guard, new_key())
