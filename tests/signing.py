"""Signs JSON Web Tokens as an identity provider does."""

import base64
import json
import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

ISSUER: Final = "https://issuer.example"
AUDIENCE: Final = "crime"
KINDS: Final = ("RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA")
CURVES: Final[Mapping[str, Callable[[], ec.EllipticCurve]]] = {
    "ES256": ec.SECP256R1,
    "ES384": ec.SECP384R1,
    "ES512": ec.SECP521R1,
}


@cache
def private_key(algorithm: str, number: int = 0, bits: int = 2_048) -> Any:
    """Make a private key for an algorithm; another number is another key."""
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    if algorithm in CURVES:
        return ec.generate_private_key(CURVES[algorithm]())
    return rsa.generate_private_key(65_537, bits)


def jwk(algorithm: str, kid: str | None = None, key: Any = None, **more: object) -> dict[str, Any]:
    """Write the public half of a key for a JWK set."""
    public = (key or private_key(algorithm)).public_key()
    written: dict[str, Any] = json.loads(get_default_algorithms()[algorithm].to_jwk(public))
    written.pop("key_ops", None)
    return {**written, **({} if kid is None else {"kid": kid}), **more}


def jwks(*entries: dict[str, Any]) -> bytes:
    """Write a JWK set."""
    return json.dumps({"keys": entries}).encode()


def token(
    algorithm: str = "ES256", kid: str | None = None, key: Any = None, headers: Any = None, **claims: object
) -> str:
    """Sign a token; claims that are None are left out."""
    now = time.time()
    usual = {"iss": ISSUER, "aud": AUDIENCE, "sub": "somebody", "exp": int(now + 600), "iat": int(now)}
    payload = {name: value for name, value in {**usual, **claims}.items() if value is not None}
    head = {**({} if kid is None else {"kid": kid}), **(headers or {})}
    return jwt.encode(payload, key or private_key(algorithm), algorithm, head)


def forged(header: object, payload: object, signature: bytes = b"") -> str:
    """Write a token by hand."""
    parts = (json.dumps(header).encode(), json.dumps(payload).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)
