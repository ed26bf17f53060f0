"""`GET /api/info`: what is served, and by which versions."""

import functools
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import orjson

from server.exchange import Request, Response
from server.golden import Golden
from server.manifest import Seal
from server.model import Model
from server.negotiation import check_accepts
from server.routing import Route
from server.schemas import parameter_schema
from server.scoreboard import Record, Scoreboard


def info_routes(model: Model, seal: Seal, golden: Golden, scoreboard: Scoreboard) -> Sequence[Route]:
    """Make the route that says what is served, and how the last reload ended."""
    body = orjson.dumps(info(model, seal, golden))

    def get(request: Request) -> Response:
        check_accepts(request.headers.get("Accept", ""))
        return Response(200, body[:-1] + b',"reload":' + orjson.dumps(_reloads(scoreboard.read())) + b"}")

    return [Route("/api/info", {"GET": get})]


def info(model: Model, seal: Seal, golden: Golden) -> dict[str, Any]:
    """Give what the route says; `status` and `metadata` are what older clients read."""
    identity = model.identity
    return {
        "status": "alive",
        "metadata": dict(model.metadata),
        "model": {
            "name": identity.name,
            "version": identity.version,
            "digest": identity.digest,
            "class": model.estimator_class,
            "engine": model.engine.name,
            "sklearn_version": model.sklearn_version,
        },
        "engine": {
            "name": model.engine.name,
            "microseconds_first_row": round(model.engine.cost.first_row * 1e6, 1),
            "microseconds_further_row": round(model.engine.cost.further_row * 1e6, 2),
            "shared_rows": model.engine.shared_rows,
            "rows_compared": model.engine.comparison.rows,
            "largest_difference": model.engine.comparison.largest_difference,
            "fallback": model.engine.fallback,
        },
        "seal": {"sealed": seal.sealed, "signed": seal.signed, "golden_requests": len(golden.cases)},
        "runtime": dict(runtime_versions()),
        "signature": {
            "parameters": [
                {"name": each.name, "required": each.required, **parameter_schema(each)}
                for each in model.signature.parameters
            ],
            "answer": model.outputs.form.value,
            "outputs": [{"name": each.name, "labels": list(each.labels)} for each in model.outputs.outputs],
        },
    }


def _reloads(record: Record) -> dict[str, Any]:
    last = record.last_reload
    return {
        "succeeded": record.reloads_succeeded,
        "failed": record.reloads_failed,
        "last": last
        and {
            "result": "succeeded" if last.succeeded else "failed",
            "at": datetime.fromtimestamp(last.at, tz=UTC).isoformat(timespec="milliseconds"),
            "reason": last.reason or None,
        },
    }


@functools.cache  # each is read from a file
def runtime_versions() -> Mapping[str, str]:
    """Give the versions of what serves the model."""
    packages = {"sklearn": "scikit-learn", "numpy": "numpy", "pandas": "pandas", "brinery": "brinery"}
    return {"python": platform.python_version(), **{name: version(package) for name, package in packages.items()}}


def metric_labels(model: Model) -> Mapping[str, str]:
    """Give the labels of the model's info metric."""
    versions = runtime_versions()
    return {
        "name": model.identity.name,
        "version": model.identity.version_text,
        "digest": model.identity.digest,
        "engine": model.engine.name,
        "pickled_by": model.sklearn_version or "",
        **{name: versions[name] for name in ("python", "sklearn", "numpy", "brinery")},
    }
