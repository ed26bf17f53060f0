"""JSON Web Tokens: who signed them, for whom, until when, and what they are good for.

Formats: RFC 7519 (JWT), RFC 7517 (JWK sets). Only asymmetric signatures are accepted: who can verify a token cannot
make one. The public keys come from a file, or from an address that is asked again in the background.
"""

import hashlib
import http.client
import os
import threading
import time
import urllib.request
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import orjson

from server.errors import SettingError, Unauthenticated, one_line
from server.options import PREFIX
from server.settings import SCOPES, Settings

if TYPE_CHECKING:
    from jwt import PyJWK

# The algorithms by the kind of the key and its curve: a token cannot choose one that its key is not for.
ALGORITHMS: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("RSA", ""): ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA",),
    ("OKP", "Ed448"): ("EdDSA",),
}
MIN_RSA_BITS: Final = 2_048
REQUIRED: Final = ("exp", "iss", "aud", "sub")
CLAIM_PREFIX: Final = "brinery:"  # of our scopes among those of a token

LEEWAY: Final = 30.0  # seconds that clocks may differ
REFRESH: Final = 300.0  # seconds between two fetches of the keys
IMPATIENT: Final = 10.0  # seconds at least between two fetches, however many tokens name keys that we do not know
TIMEOUT: Final = 5.0  # seconds that a fetch may take
MAX_BYTES: Final = 1_048_576
REMEMBERED: Final = 4_096  # tokens that need not be verified again

Fetch = Callable[[], bytes]
Report = Callable[[Exception | None], None]


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """A token that is good: its subject, unique with its issuer, its scopes of ours, and its end (POSIX time)."""

    subject: str
    scopes: frozenset[str]
    end: float


class KeySet:
    """The public keys of a JWK set that can verify a signature, by their id and algorithm."""

    def __init__(self, text: bytes) -> None:
        """Read a JWK set; raise `ValueError` for a text that is none, or has no key that we can use."""
        from jwt import PyJWK
        from jwt.exceptions import PyJWTError

        document = orjson.loads(text)
        entries = document.get("keys") if isinstance(document, dict) else None
        if not isinstance(entries, list):
            msg = "it is no JWK set, an object with an array `keys`"
            raise ValueError(msg)
        self._keys: dict[tuple[str | None, str], list[PyJWK]] = {}
        for entry in entries:
            for algorithm in _algorithms(entry):
                try:
                    key = PyJWK(entry, algorithm)
                except (PyJWTError, ValueError, TypeError, KeyError):
                    break
                if getattr(key.key, "key_size", MIN_RSA_BITS) < MIN_RSA_BITS and entry["kty"] == "RSA":
                    break
                for name in {_text(entry.get("kid")), None}:
                    self._keys.setdefault((name, algorithm), []).append(key)
        if not self._keys:
            kinds = "RSA from 2048 bits, P-256, P-384, P-521, Ed25519 or Ed448"
            msg = f"it has no public key for signatures that we can use ({kinds})"
            raise ValueError(msg)

    def find(self, kid: object, algorithm: object) -> "PyJWK | None":
        """Give the key of a token's header; a header without an id needs a key that is the only one of its kind."""
        some = self._keys.get((_text(kid), algorithm), []) if isinstance(algorithm, str) else []
        return some[0] if len(some) == 1 else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _algorithms(entry: object) -> tuple[str, ...]:
    """Give the algorithms for which an entry of a JWK set may be used."""
    if not isinstance(entry, dict) or entry.get("use", "sig") != "sig" or "d" in entry:
        return ()
    operations = entry.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        return ()
    kind, curve, given = entry.get("kty"), entry.get("crv", ""), entry.get("alg")
    if not isinstance(kind, str) or not isinstance(curve, str):
        return ()
    possible = ALGORITHMS.get((kind, curve), ())
    return possible if given is None else tuple(each for each in possible if each == given)


class Tokens:
    """Verifies tokens, of one issuer and for one audience.

    `fetch` gives the JWK set; where `refresh`, it is called again in the background, by a thread of each process that
    is started when a token first comes: after the fork. Keys that were fetched once serve on where that fails. `report`
    hears of each of these fetches, with the error if there was one.
    """

    def __init__(
        self,
        fetch: Fetch,
        *,
        issuer: str,
        audience: str,
        scopes: frozenset[str],
        refresh: bool = False,
        report: Report = lambda _: None,
    ) -> None:
        self._fetch, self._report, self._refresh = fetch, report, refresh
        self._issuer, self._audience, self._scopes = issuer, audience, scopes
        self._keys = KeySet(fetch())
        self._good: OrderedDict[bytes, VerifiedToken] = OrderedDict()
        self._lock = threading.Lock()
        self._wanted = threading.Event()
        self._refresher = 0  # the process in which the thread runs

    def verify(self, presented: str) -> VerifiedToken:
        """Give a token that is good; raise `Unauthenticated` for another. Waits for nobody."""
        if self._refresh and self._refresher != os.getpid():
            self._start()
        digest = hashlib.sha256(presented.encode("utf-8", "surrogatepass")).digest()
        with self._lock:
            if token := self._good.get(digest):
                self._good.move_to_end(digest)
        if token is None:
            token = self._read(presented)
            with self._lock:
                self._good[digest] = token
                if len(self._good) > REMEMBERED:
                    self._good.popitem(last=False)
        if token.end + LEEWAY <= time.time():
            _refuse("has expired; get a new one", "expired_token")
        return token

    def _read(self, presented: str) -> VerifiedToken:
        import jwt

        try:
            header = jwt.get_unverified_header(presented)
            if "crit" in header or header.get("alg") not in {each for some in ALGORITHMS.values() for each in some}:
                _refuse("is of a kind that is not accepted here", "token_kind")
            key = self._keys.find(header.get("kid"), header["alg"])
            if key is None:
                self._wanted.set()
                _refuse(
                    "is signed by a key that is not known here; if it is new, try again in some seconds", "token_key"
                )
            claims = jwt.decode(
                presented,
                key,
                algorithms=[header["alg"]],
                issuer=self._issuer,
                audience=self._audience,
                leeway=LEEWAY,
                options={"require": list(REQUIRED)},
            )
            end = float(claims["exp"])
        except jwt.ExpiredSignatureError:
            _refuse("has expired; get a new one", "expired_token")
        except jwt.ImmatureSignatureError:
            _refuse("is not valid yet; look at the clocks", "early_token")
        except (jwt.InvalidIssuerError, jwt.InvalidAudienceError, jwt.MissingRequiredClaimError):
            _refuse(
                "was made by or for somebody else, or says too little: it needs exp, iss, aud and sub", "token_claims"
            )
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
            _refuse("is not well-formed, or its signature is wrong", "invalid_token")
        return VerifiedToken(f"{claims['sub']}", _scopes_of(claims) or self._scopes, end)

    def _start(self) -> None:
        with self._lock:
            if self._refresher == os.getpid():
                return
            self._refresher = os.getpid()
        threading.Thread(target=self._fetch_again, name="keys of tokens", daemon=True).start()

    def _fetch_again(self) -> NoReturn:
        while True:
            time.sleep(IMPATIENT)
            self._wanted.wait(REFRESH - IMPATIENT)
            self._wanted.clear()
            self.fetch_now()

    def fetch_now(self) -> None:
        """Fetch the keys; where that fails, the old ones stay."""
        try:
            self._keys = KeySet(self._fetch())
        except Exception as error:  # whatever it was, the thread is to try again
            self._report(error)
            return
        with self._lock:
            self._good.clear()  # whoever's key was taken back is known no longer
        self._report(None)


def _refuse(what: str, reason: str) -> NoReturn:
    msg = f"The token {what}."
    raise Unauthenticated(msg, reason) from None


def _scopes_of(claims: Mapping[str, Any]) -> frozenset[str]:
    """Give the scopes of ours that a token names, in `scope` (RFC 8693) or `scp`."""
    named: set[str] = set()
    for claim in (claims.get("scope"), claims.get("scp")):
        if isinstance(claim, str):
            named |= set(claim.split(" "))
        elif isinstance(claim, list):
            named |= {each for each in claim if isinstance(each, str)}
    return frozenset(scope for scope in SCOPES if CLAIM_PREFIX + scope in named)


def read_tokens(settings: Settings, report: Report = lambda _: None) -> Tokens | None:
    """Make what verifies tokens by the settings; None where they name no keys.

    Raises `SettingError` where the keys cannot be read.
    """
    source = settings.jwt_jwks
    if not source:
        return None
    remote = source.startswith("https://")
    try:
        return Tokens(
            (lambda: fetch_over_https(source)) if remote else Path(source).read_bytes,
            issuer=settings.jwt_issuer,
            audience=settings.jwt_audience,
            scopes=frozenset(settings.jwt_scopes),
            refresh=remote,
            report=report,
        )
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = (isinstance(error, OSError) and error.strerror) or one_line(error)  # without the path
        msg = f"What {PREFIX}JWT_JWKS names cannot be used ({reason}); expected a JWK set with public keys."
        raise SettingError(msg) from None


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def fetch_over_https(address: str) -> bytes:
    """Get what is at an address, within `TIMEOUT` and `MAX_BYTES`; it must be there itself, and not lead elsewhere.

    Raises `OSError`, `ValueError` or `HTTPException`.
    """
    end, parts, size = time.monotonic() + TIMEOUT, [], 0
    opener = urllib.request.build_opener(_NoRedirects)
    with opener.open(address, timeout=TIMEOUT) as response:
        while part := response.read1(65_536):
            size += len(part)
            parts.append(part)
            if size > MAX_BYTES or time.monotonic() > end:
                msg = f"it takes longer than {TIMEOUT:g} s or has more than {MAX_BYTES} bytes"
                raise ValueError(msg)
    return b"".join(parts)
