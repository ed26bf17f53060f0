"""The protocols that there are, by the names that the setting `PROTOCOLS` has."""

from collections.abc import Collection, Mapping, Sequence
from importlib.util import find_spec
from typing import Final

from server.errors import SettingError
from server.model import Model
from server.openapi import Part
from server.options import PREFIX
from server.protocols.azureml import AZUREML
from server.protocols.kserve import KSERVE
from server.protocols.mlflow import MLFLOW
from server.protocols.oip import OIP
from server.protocols.protocol import Context, Protocol
from server.protocols.vertex import VERTEX
from server.routing import Route
from server.settings import Settings

PROTOCOLS: Final[Mapping[str, Protocol]] = {
    "oip": OIP,
    "kserve": KSERVE,
    "mlflow": MLFLOW,
    "azureml": AZUREML,
    "vertex": VERTEX,
}
GRPC: Final = ("google", "grpc", "grpc_health", "grpc_reflection")  # what the extra installs


def routes_of(context: Context, ours: Collection[str]) -> dict[str, Sequence[Route]]:
    """Make the routes of the protocols that are spoken, beside `ours`; the paths that settings name go before others.

    Raises `SettingError` for such a path that is one of ours.
    """
    spoken = {name: each.routes(context) for name, each in PROTOCOLS.items() if name in context.settings.protocols}
    named = [route.rule for route in spoken.get("vertex", ())]
    for path in named:
        if path in ours:
            msg = (
                f"{path} is a route of our own, and cannot be Vertex AI's too. Name another: in "
                "BRINERY_VERTEX_PREDICT_ROUTE or BRINERY_VERTEX_HEALTH_ROUTE, or, where AIP_PREDICT_ROUTE or "
                "AIP_HEALTH_ROUTE has it, for the model that is uploaded."
            )
            raise SettingError(msg)
    return {
        name: [route for route in routes if name == "vertex" or route.rule not in named]
        for name, routes in spoken.items()
    }


def parts_of(model: Model, settings: Settings) -> list[Part]:
    """Write the parts of the OpenAPI document that belong to them."""
    parts = {name: each.part(model, settings) for name, each in PROTOCOLS.items() if name in settings.protocols}
    named = parts["vertex"].paths if "vertex" in parts else {}
    return [part if name == "vertex" else part.without(named) for name, part in parts.items()]


def methods_of(context: Context) -> Sequence[Route]:
    """Make the routes of the methods over gRPC, if it is spoken; raise `SettingError` where its packages are missing.

    gRPC itself is only looked for: its threads would not survive the fork.
    """
    if context.settings.grpc_port is None:
        return ()
    if any(find_spec(each) is None for each in GRPC):
        msg = (
            f"{PREFIX}GRPC_PORT needs packages that are not installed; run `pip install 'brinery[grpc]'` in the "
            "environment that serves, or leave the setting empty."
        )
        raise SettingError(msg)
    from server.protocols.rpc import methods

    return methods(context)
