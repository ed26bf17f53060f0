"""`brinery openapi`: a bundle's documents, without serving it."""

from pathlib import Path

import orjson

from server.application import example_of
from server.bundle import read_bundle
from server.model import make_model
from server.openapi import openapi_document
from server.predictor import Predictor
from server.settings import Settings
from server.swagger import swagger_document


def document(folder: Path, settings: Settings, *, swagger: bool) -> str:
    """Write the OpenAPI document of the bundle in `folder`, or the Swagger one, as indented JSON."""
    model = make_model(read_bundle(folder, allow_other_version=settings.version_mismatch == "warn"), settings)
    write = swagger_document if swagger else openapi_document
    example_answer = example_of(Predictor(model, max_rows=settings.max_rows), model)
    return orjson.dumps(write(model, settings, example_answer), option=orjson.OPT_INDENT_2).decode()
