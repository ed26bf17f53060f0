"""Every way in which a value is written into a file of the bundle."""

import io
import pickle
from collections.abc import Mapping
from typing import Any

import joblib

from server.gate import Gate

COMPRESSIONS = ("zlib", "gzip", "bz2", "lzma", "xz")


def written(value: Any, *, compressed: bool = True) -> Mapping[str, bytes]:
    """Write a value by pickle and joblib, in every protocol, and compressed by everything that is read."""
    ways: dict[str, bytes] = {f"pickle {protocol}": pickle.dumps(value, protocol) for protocol in range(6)}
    ways |= {f"joblib {protocol}": by_joblib(value, protocol=protocol) for protocol in (0, 2, 4, 5)}
    if compressed:
        ways |= {f"joblib by {codec}": by_joblib(value, compress=(codec, 3)) for codec in COMPRESSIONS}
    return ways


def by_joblib(value: Any, **given: Any) -> bytes:
    """Write a value by joblib."""
    buffer = io.BytesIO()
    joblib.dump(value, buffer, **given)
    return buffer.getvalue()


def through(gate: Gate, content: bytes) -> Any:
    """Take a file through its gate."""
    return gate.load(content, gate.judge(content))
