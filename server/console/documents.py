"""`brinery openapi` and `brinery postman`: a bundle's documents, without serving it."""

from pathlib import Path

import orjson

from server.application import prepare
from server.bundle import read_files
from server.openapi import openapi_document
from server.postman import collection
from server.settings import Settings
from server.swagger import swagger_document


def document(folder: Path, settings: Settings, *, swagger: bool) -> str:
    """Write the OpenAPI document of the bundle in `folder`, or the Swagger one, as indented JSON."""
    prepared = prepare(settings, read_files(folder, max_model_bytes=settings.max_model_bytes))
    write = swagger_document if swagger else openapi_document
    document = write(prepared.model, settings, prepared.example_answer)
    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()


def postman_collection(folder: Path, settings: Settings, *, host: str | None = None) -> str:
    """Write the Postman collection of the bundle in `folder`, as indented JSON, for the server at `host`.

    Without one it is for a server on this machine that has these settings.
    """
    prepared = prepare(settings, read_files(folder, max_model_bytes=settings.max_model_bytes))
    scheme = "http" if settings.tls_certificate is None else "https"
    here = f"{scheme}://127.0.0.1:{settings.port}{settings.root_path}"
    written = collection(prepared.model, settings, prepared.example_answer, (host or here).rstrip("/"))
    return orjson.dumps(written, option=orjson.OPT_INDENT_2).decode()
