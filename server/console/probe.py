"""`brinery probe`: asks a server whether it is ready, or to predict.

It runs every few seconds beside the server, so it needs Python's own library alone.
"""

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from http.client import HTTPException, HTTPMessage
from ipaddress import ip_address
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import urlsplit

from server.errors import FileError, NotReady
from server.settings import Settings
from server.urls import shown

TIMEOUT: Final = 5.0  # seconds for each answer
MAX_ANSWER: Final = 16 * 1024**2  # bytes; a document names every label
TYPES: Final[Mapping[str, type | tuple[type, ...]]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "null": type(None),
}


def probe(url: str | None, settings: Settings, *, predict: bool = False, key_file: Path | None = None) -> str:
    """Say in one sentence that the server at `url` is ready, or that it predicts as its document says.

    Without `url` it is the server of these settings, on this machine. Raises `NotReady` with a sentence for every
    other case, and `FileError` for a file of a key that cannot be read.
    """
    server = _Server(url or _own_url(settings), settings if url is None else None, _key(key_file))
    if not predict:
        server.ask("/api/health/ready")
        return f"{server.url} is ready."
    document = server.ask("/openapi.json")
    try:
        body = document["paths"]["/api/predict"]["post"]["requestBody"]["content"]["application/json"]
        row, schema = body["examples"]["one row"]["value"], document["components"]["schemas"]["Answer"]
        most = [each["maxItems"] for each in body["schema"]["anyOf"] if each.get("type") == "array"]
    except (KeyError, TypeError):
        msg = f"{server.url}/openapi.json has no example of a prediction; expected the document of a Brinery."
        raise NotReady(msg) from None
    batch = [row] * min([2, *most])
    for asked, answered in ((row, _one), (batch, _each_of(len(batch)))):
        if not all(_fits(each, schema) for each in answered(server.ask("/api/predict", asked))):
            msg = f"{server.url}/api/predict answers otherwise than its document says; compare both."
            raise NotReady(msg)
    return f"{server.url} predicts as its document says."


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A key is for the server that was named, and for no other that this one names."""

    def redirect_request(
        self, _req: urllib.request.Request, _fp: IO[bytes], _code: int, _msg: str, _headers: HTTPMessage, _newurl: str
    ) -> None:
        return None


class _Server:
    """A server that can be asked; `settings` are its own where it runs on this machine."""

    def __init__(self, url: str, settings: Settings | None, key: str | None) -> None:
        self.url = url.rstrip("/")
        if not _is_address(self.url):
            msg = f"The address to probe is {shown(url)!r}; expected one such as http://127.0.0.1:8000."
            raise NotReady(msg)
        self._headers = {"X-API-Key": key} if key else {}
        handlers = [urllib.request.ProxyHandler({}), _NoRedirect()]
        if self.url.startswith("https:"):
            handlers.append(urllib.request.HTTPSHandler(context=_context(settings)))
        self._opener = urllib.request.build_opener(*handlers)

    def ask(self, path: str, body: object = None) -> Any:  # noqa: ANN401
        """Give an answer's JSON; raise `NotReady` for any status but 200, and where nobody answers."""
        sent = None if body is None else json.dumps(body).encode()
        headers = {**self._headers, **({} if sent is None else {"Content-Type": "application/json"})}
        try:
            request = urllib.request.Request(self.url + path, sent, headers)  # noqa: S310  # of its scheme see above
            with self._opener.open(request, timeout=TIMEOUT) as answer:
                return json.loads(answer.read(MAX_ANSWER))
        except urllib.error.HTTPError as error:
            error.close()
            why = f"answers with status {error.code}"
        except HTTPException as error:  # whose message is what the server said
            why = f"does not answer ({type(error).__name__})"
        except OSError as error:
            reason = getattr(error, "reason", error)
            why = f"does not answer ({getattr(reason, 'strerror', None) or reason or type(error).__name__})"
        except (ValueError, RecursionError):
            why = "does not answer in JSON"
        msg = f"{self.url}{path} {why}; expected 200."
        raise NotReady(msg)


def _is_address(url: str) -> bool:
    """Tell whether a URL is one that can be asked: no more than scheme, host, port and path."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    return (
        parts.scheme in ("http", "https") and bool(parts.hostname) and url.isprintable() and not set("@?# ") & set(url)
    )


def _own_url(settings: Settings) -> str:
    """Give the address under which a server with these settings can be asked on its own machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104  # read, not bound
    scheme = "https" if settings.tls_certificate else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{settings.port}{settings.root_path}"


def _context(own: Settings | None) -> ssl.SSLContext:
    """Give what TLS needs: for a server of our own, whose certificate names others, no look at the certificate."""
    context = ssl.create_default_context()
    if own is None:
        return context
    if not _is_loopback(own.host):
        msg = f"BRINERY_HOST is {own.host!r}, and there is TLS; give the address whose name the certificate holds."
        raise NotReady(msg)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if own.tls_client_ca and own.tls_certificate:
        try:
            context.load_cert_chain(own.tls_certificate, own.tls_key)
        except OSError:
            msg = "BRINERY_TLS_CERTIFICATE and BRINERY_TLS_KEY cannot be read, and the server wants a certificate."
            raise NotReady(msg) from None
    return context


def _is_loopback(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost"
    return address.is_loopback or address.is_unspecified


def _key(file: Path | None) -> str | None:
    """Read the key that a file holds."""
    if file is None:
        return None
    try:
        key = file.read_text(encoding="ascii").strip()
    except OSError as error:
        msg = f"{file} cannot be read: {error.strerror}; expected a file with an API key."
        raise FileError(msg) from None
    except UnicodeDecodeError:
        key = ""
    if not key.isprintable() or not key:
        msg = f"{file} holds no API key; expected one line, as `brinery key` prints it."
        raise FileError(msg)
    return key


def _one(answer: object) -> list[object]:
    return [answer]


def _each_of(count: int) -> Callable[[object], list[object]]:
    return lambda answer: answer if isinstance(answer, list) and len(answer) == count else [None]


def _fits(value: Any, schema: Mapping[str, Any]) -> bool:  # noqa: ANN401
    """Tell whether an answer is one of this schema, as far as our documents' schemas of answers go."""
    types = schema.get("type", ())
    types = [types] if isinstance(types, str) else types
    if types and not any(isinstance(value, TYPES[each]) for each in types):
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if isinstance(value, dict):
        members = schema.get("properties", {})
        return set(schema.get("required", ())) <= value.keys() and all(
            _fits(member, members.get(name, {})) for name, member in value.items()
        )
    if isinstance(value, int | float):
        return bool(schema.get("minimum", value) <= value <= schema.get("maximum", value))
    return True
