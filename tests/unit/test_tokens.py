"""JSON Web Tokens: which are good, for what and until when, and where the keys come from."""

import hashlib
import hmac
import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from server import tokens as module
from server.errors import SettingError, Unauthenticated
from server.tokens import LEEWAY, KeySet, Tokens, read_tokens
from tests.models import settings
from tests.signing import AUDIENCE, ISSUER, KINDS, forged, jwk, jwks, private_key, token

NOW = 1_800_000_000
PREDICT = frozenset({"predict"})


def verifier(*entries: dict[str, Any], **given: Any) -> Tokens:
    """Make what verifies tokens by these keys, or by one of P-256."""
    text = jwks(*(entries or [jwk("ES256")]))
    return Tokens(lambda: text, issuer=ISSUER, audience=AUDIENCE, scopes=PREDICT, **given)


def reason(presented: str, tokens: Tokens | None = None) -> str:
    """Present a token that must be refused; give the reason."""
    with pytest.raises(Unauthenticated) as refused:
        (tokens or verifier()).verify(presented)
    assert refused.value.given
    assert len(presented) < 16 or presented not in str(refused.value)
    return refused.value.reason


@pytest.mark.parametrize("algorithm", KINDS)
def test_good_token(algorithm: str) -> None:
    """A token that the issuer signed for us is good, with an id of the key and without, twice too."""
    for kid in ("one", None):
        tokens = verifier(jwk(algorithm, kid))
        presented = token(algorithm, kid)
        for _ in range(2):
            assert tokens.verify(presented).subject == "somebody"


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"iss": "https://else.example"}, "token_claims"),
        ({"iss": None}, "token_claims"),
        ({"aud": "other"}, "token_claims"),
        ({"aud": None}, "token_claims"),
        ({"exp": None}, "token_claims"),
        ({"sub": None}, "token_claims"),
        ({"sub": 7}, "invalid_token"),
        ({"exp": "soon"}, "invalid_token"),
        ({"exp": 10**400}, "invalid_token"),
        ({"exp": float("inf")}, "invalid_token"),
        ({"exp": int(time.time() - LEEWAY - 5)}, "expired_token"),
        ({"nbf": int(time.time() + 86_400)}, "early_token"),
        ({"nbf": "x"}, "invalid_token"),
    ],
    ids=[
        *("other issuer", "no issuer", "other audience", "no audience", "no end", "no subject", "number as subject"),
        *("text as end", "end beyond a double", "no end ever", "expired", "early", "text as start"),
    ],
)
def test_claims(claims: dict[str, Any], why: str) -> None:
    """A token that is for somebody else, by somebody else, too old, too new, or says too little, is refused."""
    assert reason(token(**claims)) == why


def test_clocks_may_differ() -> None:
    """Half a minute of difference between clocks is nothing."""
    verifier().verify(token(exp=int(time.time() - LEEWAY / 2)))
    verifier().verify(token(nbf=int(time.time() + LEEWAY / 2)))


def test_audience_among_others() -> None:
    """A token may be for others too."""
    verifier().verify(token(aud=["other", AUDIENCE]))


def test_signatures() -> None:
    """Nothing but the issuer's own signature by the key's own algorithm is good."""
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "x", "exp": time.time() + 600}
    good = token()
    head, payload, signature = good.split(".")
    assert reason(token(key=private_key("ES256", 1))) == "invalid_token"
    assert reason(f"{head}.{payload}.{signature[::-1]}") == "invalid_token"
    assert reason(f"{head}.{payload}.") == "invalid_token"
    others: tuple[object, ...] = ("none", "None", "HS256", "hs256", "", "ES256K", None, 7, [], {})
    for algorithm in others:
        assert reason(forged({"alg": algorithm}, claims)) in ("token_kind", "invalid_token")
    assert reason(forged({"alg": "RS256"}, claims)) == "token_key"
    assert reason(forged({"alg": "ES256", "crit": ["b64"], "b64": False}, claims)) == "invalid_token"
    assert reason(token(headers={"crit": ["exp"]})) in ("token_kind", "invalid_token")


def test_a_public_key_is_no_secret() -> None:
    """Our public key as the secret of an HMAC makes no token (RFC 8725, section 2.1)."""
    pem = private_key("RS256").public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    unsigned = forged({"alg": "HS256"}, {"iss": ISSUER, "aud": AUDIENCE, "sub": "x", "exp": time.time() + 600})[:-1]
    signature = hmac.digest(pem, unsigned.encode(), hashlib.sha256)
    assert reason(forged({"alg": "HS256"}, {}, signature), verifier(jwk("RS256"))) == "token_kind"


@given(st.text() | st.builds(lambda parts: ".".join(parts), st.lists(st.text(max_size=9), min_size=3, max_size=3)))
def test_no_text_breaks_it(presented: str) -> None:
    """Whatever is presented is refused in a sentence."""
    assert reason(presented, VERIFIER)


INNER = st.none() | st.booleans() | st.text()
JSON = st.recursive(INNER, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
NAMES = st.sampled_from(["alg", "kid", "typ", "crit", "x5c", "jku"])


@given(st.dictionaries(NAMES, st.none() | st.text() | st.integers()), JSON, st.binary(max_size=64))
def test_no_forgery_is_accepted(header: Any, payload: Any, signature: bytes) -> None:
    """Nor does anything that has the form of a token get in."""
    assert reason(forged(header, payload, signature), VERIFIER)


VERIFIER = verifier()


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        ({}, {"predict"}),
        ({"scope": "openid profile"}, {"predict"}),
        ({"scope": "brinery:info"}, {"info"}),
        ({"scope": "openid brinery:info brinery:metrics"}, {"info", "metrics"}),
        ({"scp": ["brinery:predict", "brinery:info", 7]}, {"predict", "info"}),
        ({"scp": "brinery:metrics"}, {"metrics"}),
        ({"scope": "brinery:all brinery:"}, {"predict"}),
        ({"scope": 7}, {"predict"}),
    ],
    ids=lambda each: str(sorted(each.items()) if isinstance(each, dict) else sorted(each)),
)
def test_scopes(claims: dict[str, Any], scopes: set[str]) -> None:
    """A token is good for the scopes of ours that it names, or else for those of the settings."""
    assert verifier().verify(token(**claims)).scopes == scopes


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "unexpected end|input data|empty"),
        (b"[]", "no JWK set"),
        (b'{"keys": {}}', "no JWK set"),
        (jwks(), "no public key"),
        (jwks({"kty": "oct", "k": "c2VjcmV0"}), "no public key"),
        (jwks(jwk("ES256", use="enc")), "no public key"),
        (jwks(jwk("ES256", key_ops=["encrypt"])), "no public key"),
        (jwks(jwk("ES256", key_ops="verify")), "no public key"),
        (jwks(jwk("RS256", alg="HS256")), "no public key"),
        (jwks({"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}), "no public key"),
        (jwks({"kty": ["EC"], "crv": 7}), "no public key"),
        (jwks(jwk("RS256", key=private_key("RS256", 9, 1_024))), "no public key"),
        (b'{"keys": [7, null, "x"]}', "no public key"),
    ],
    ids=["nothing", "array", "object", "empty", "secret", "encryption", "operations", "text", "algorithm", "point",
         "types", "short", "others"],
)  # fmt: skip
def test_keys_that_cannot_be_used(text: bytes, said: str) -> None:
    """A text without a key that we can use is no set of keys."""
    with pytest.raises(ValueError, match=said):
        KeySet(text)


def test_private_keys_are_not_taken() -> None:
    """A set that holds a private key was published by mistake."""
    with pytest.raises(ValueError, match="no public key"):
        KeySet(jwks(jwk("ES256", d="c2VjcmV0")))


def test_several_keys() -> None:
    """The id in a token's header chooses the key; without one it must be clear which it is."""
    other = private_key("ES256", 1)
    tokens = verifier(jwk("ES256", "one"), jwk("ES256", "two", other), jwk("RS256", "three"), {"kty": "oct", "k": "eA"})
    tokens.verify(token("ES256", "one"))
    tokens.verify(token("ES256", "two", other))
    tokens.verify(token("PS256", key=private_key("RS256")))
    assert reason(token("ES256", "one", other), tokens) == "invalid_token"
    assert reason(token("ES256"), tokens) == "token_key"
    assert reason(token("ES256", "four"), tokens) == "token_key"
    assert reason(token("RS256", "one"), tokens) == "token_key"


def test_a_token_is_verified_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that was good is known, until it ends; no more of them are kept than a number."""
    tokens, presented = verifier(), token(exp=int(time.time()) + 5)
    monkeypatch.setattr(module, "REMEMBERED", 2)
    first = tokens.verify(presented)
    assert tokens.verify(presented) is first
    monkeypatch.setattr(time, "time", lambda: first.end + LEEWAY)
    assert reason(presented, tokens) == "expired_token"
    monkeypatch.undo()
    monkeypatch.setattr(module, "REMEMBERED", 2)
    for number in range(5):
        tokens.verify(token(sub=str(number)))
    assert len(tokens._good) == 2


def test_keys_are_fetched_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token of a new key is refused, makes us fetch the keys in the background, and is good then."""
    monkeypatch.setattr(module, "IMPATIENT", 0.0)
    sets, fetched = [jwks(jwk("ES256", "old"))], threading.Event()
    told: list[object] = []

    def report(error: Exception | None) -> None:
        told.append(error)
        fetched.set()

    tokens = Tokens(lambda: sets[-1], issuer=ISSUER, audience=AUDIENCE, scopes=PREDICT, refresh=True, report=report)
    old = token("ES256", "old")
    tokens.verify(old)
    sets.append(jwks(jwk("ES256", "new", private_key("ES256", 1))))
    new = token("ES256", "new", private_key("ES256", 1))
    assert reason(new, tokens) == "token_key"
    assert fetched.wait(30)
    assert tokens.verify(new).subject == "somebody"
    assert reason(old, tokens) == "token_key"
    assert told[0] is None


@pytest.mark.parametrize("error", [OSError("x"), ValueError("x")], ids=["network", "text"])
def test_old_keys_serve_on(error: Exception) -> None:
    """Where the keys cannot be fetched again, those that are known stay, and it is told."""
    texts: list[Any] = [error, jwks(jwk("ES256"))]
    told: list[object] = []

    def fetch() -> bytes:
        text = texts.pop()
        if isinstance(text, Exception):
            raise text
        return bytes(text)

    tokens = Tokens(fetch, issuer=ISSUER, audience=AUDIENCE, scopes=PREDICT, report=told.append)
    tokens.fetch_now()
    assert told == [error]
    tokens.verify(token())


def test_settings(tmp_path: Path) -> None:
    """The settings name a file; one that cannot be used stops the start."""
    assert read_tokens(settings()) is None
    file = tmp_path / "keys.json"
    given = {"jwt_jwks": str(file), "jwt_issuer": ISSUER, "jwt_audience": AUDIENCE, "jwt_scopes": ("info",)}
    with pytest.raises(SettingError, match="BRINERY_JWT_JWKS names cannot be used"):
        read_tokens(settings(**given))
    file.write_text(json.dumps({"keys": [jwk("EdDSA")]}))
    tokens = read_tokens(settings(**given))
    assert tokens is not None
    assert tokens.verify(token("EdDSA")).scopes == {"info"}


def test_an_address_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys that cannot be fetched at the start stop it."""
    with pytest.raises(SettingError, match="cannot be used"):
        read_tokens(settings(jwt_jwks="https://127.0.0.1:1/keys", jwt_issuer=ISSUER, jwt_audience=AUDIENCE))
