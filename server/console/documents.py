"""`brinery openapi`: a bundle's documents, without serving it."""

from pathlib import Path

import orjson

from server.application import prepare
from server.bundle import read_files
from server.openapi import openapi_document
from server.settings import Settings
from server.swagger import swagger_document


def document(folder: Path, settings: Settings, *, swagger: bool) -> str:
    """Write the OpenAPI document of the bundle in `folder`, or the Swagger one, as indented JSON."""
    prepared = prepare(settings, read_files(folder, max_model_bytes=settings.max_model_bytes))
    write = swagger_document if swagger else openapi_document
    document = write(prepared.model, settings, prepared.example_answer)
    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()
