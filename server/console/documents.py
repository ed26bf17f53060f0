"""`brinery openapi` and `brinery postman`: a bundle's documents, without serving it."""

from pathlib import Path

import orjson

from server.application import prepare
from server.openapi import openapi_document
from server.postman import collection
from server.protocols.registry import parts_of
from server.settings import Settings
from server.sources.fetching import read
from server.swagger import swagger_document
from server.urls import Url


def document(place: Path | Url, settings: Settings, *, swagger: bool) -> str:
    """Write the OpenAPI document of the bundle at `place`, or the Swagger one, as indented JSON."""
    prepared = prepare(settings, read(settings, place))
    model, example = prepared.model, prepared.example_answer
    if swagger:
        document = swagger_document(model, settings, example)
    else:
        document = openapi_document(model, settings, example, parts_of(model, settings))
    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()


def postman_collection(place: Path | Url, settings: Settings, *, host: str | None = None) -> str:
    """Write the Postman collection of the bundle at `place`, as indented JSON, for the server at `host`.

    Without one it is for a server on this machine that has these settings.
    """
    prepared = prepare(settings, read(settings, place))
    scheme = "http" if settings.tls_certificate is None else "https"
    here = f"{scheme}://127.0.0.1:{settings.port}{settings.root_path}"
    written = collection(prepared.model, settings, prepared.example_answer, (host or here).rstrip("/"))
    return orjson.dumps(written, option=orjson.OPT_INDENT_2).decode()
