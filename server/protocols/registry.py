"""The dialects that there are, by the names that the setting `PROTOCOLS` has."""

from collections.abc import Mapping, Sequence
from typing import Final

from server.model import Model
from server.openapi import Part
from server.protocols.kserve import KSERVE
from server.protocols.protocol import Context, Protocol
from server.routing import Route
from server.settings import Settings

PROTOCOLS: Final[Mapping[str, Protocol]] = {"kserve": KSERVE}


def routes_of(context: Context) -> dict[str, Sequence[Route]]:
    """Make the routes of the dialects that are spoken."""
    return {name: each.routes(context) for name, each in PROTOCOLS.items() if name in context.settings.protocols}


def parts_of(model: Model, settings: Settings) -> list[Part]:
    """Write the parts of the OpenAPI document that belong to them."""
    return [each.part(model, settings) for name, each in PROTOCOLS.items() if name in settings.protocols]
