"""What the documents say of credentials: the schemes, and the operations that want them. Pure.

Formats: the Security Scheme Object of OpenAPI 3.1.1 and that of Swagger 2.0, which knows no bearer tokens.
"""

from collections.abc import Mapping
from typing import Any, Final

from server.settings import Settings

# The scopes of the routes that the documents describe; what is not here is open to everybody.
SCOPE_OF: Final[Mapping[str, str]] = {
    "/api/predict": "predict",
    "/api/predict/params": "info",
    "/api/info": "info",
    "/openapi.json": "info",
    "/swagger.json": "info",
    "/metrics": "metrics",
}
BEARER: Final = "An API key, or a JSON Web Token, as `Authorization: Bearer`."
API_KEY: Final = "An API key."


def openapi_schemes(settings: Settings) -> dict[str, Any]:
    """Write the schemes of the OpenAPI document."""
    form = {"bearerFormat": "JWT"} if settings.jwt_jwks else {}
    schemes = {"bearer": {"type": "http", "scheme": "bearer", "description": BEARER, **form}}
    return schemes | (_keys() if _has_keys(settings) else {})


def swagger_schemes(settings: Settings) -> dict[str, Any]:
    """Write the schemes of the Swagger document."""
    schemes = {"bearer": {"type": "apiKey", "in": "header", "name": "Authorization", "description": BEARER}}
    return schemes | (_keys() if _has_keys(settings) else {})


def protect(
    paths: dict[str, Any],
    scopes: Mapping[str, str],
    settings: Settings,
    schemes: Mapping[str, Any],
    problems: Mapping[str, Any],
) -> None:
    """Say of each operation that the settings protect which schemes there are, and how it refuses."""
    for path, operations in paths.items():
        if scopes.get(path) in settings.auth:
            for operation in operations.values():
                operation["security"] = [{name: []} for name in schemes]
                form = _form_of(operation["responses"].get("500", {}))
                refusals = {status: {**problem, **form} for status, problem in problems.items()}
                operation["responses"] = {**operation["responses"], **refusals}


def _form_of(response: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give the form in which an operation tells of failures: a protocol has one of its own."""
    return {"content": response["content"]} if "content" in response else {}


def _keys() -> dict[str, Any]:
    return {"apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": API_KEY}}


def _has_keys(settings: Settings) -> bool:
    return bool(settings.api_keys) or settings.api_keys_file is not None
