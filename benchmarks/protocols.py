"""The protocols of other servers, each with the request that asks for the same rows as `/api/predict`."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from benchmarks.points import KSERVE, MLFLOW, OIP, PROTOCOLS

Row: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Protocol:
    """A protocol: the path at which a model of a name predicts, and the body that asks for rows."""

    path: str
    body: Callable[[Sequence[Row]], Mapping[str, Any]]


def _tensors(rows: Sequence[Row]) -> dict[str, Any]:
    return {
        "inputs": [
            {
                "name": name,
                "shape": [len(rows)],
                "datatype": "BYTES" if isinstance(value, str) else "FP64",
                "data": [row[name] for row in rows],
            }
            for name, value in rows[0].items()
        ]
    }


def _split(rows: Sequence[Row]) -> dict[str, Any]:
    return {"dataframe_split": {"columns": list(rows[0]), "data": [list(row.values()) for row in rows]}}


SPOKEN: Final[Mapping[str, Protocol]] = {
    OIP: Protocol("/v2/models/{name}/infer", _tensors),
    KSERVE: Protocol("/v1/models/{name}:predict", lambda rows: {"instances": list(rows)}),
    MLFLOW: Protocol("/invocations", _split),
}
assert tuple(SPOKEN) == PROTOCOLS


def translate(bodies: Path, protocol: Protocol, target: Path) -> None:
    """Write a file of bodies for `/api/predict`, a line each, as those of a protocol."""
    lines = []
    for line in bodies.read_text(encoding="utf-8").splitlines():
        value = json.loads(line)
        lines.append(json.dumps(protocol.body(value if isinstance(value, list) else [value])))
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")
