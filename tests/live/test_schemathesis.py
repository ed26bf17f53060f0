"""Schemathesis, which knows only the published document, finds nothing that the server does otherwise."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.live.running import BIN, Server, bundle_of

pytestmark = [pytest.mark.live, pytest.mark.slow]

HERE = Path(__file__).parent
SECONDS = 600  # where nothing else asks for the machine it takes one
# Of each operation and phase. `make fuzz` gives a number: then they are many, and others each time.
GIVEN = os.environ.get("SCHEMATHESIS_EXAMPLES")
EXAMPLES = int(GIVEN or 50)
BODY_BYTES = 64 * 1024 * 1024  # more than any batch has: that a text is too long is no matter of the schema
ROWS = 50  # the tool tries one row more than may be: fewer are soon written


# The second front with one model: what both do alike, tests/api sees. Not adult's swagger.json: the tool's coverage
# phase sends null as wrong where `x-nullable`, an extension, allows it.
@pytest.mark.parametrize(
    ("name", "document", "front"),
    [
        ("crime", "openapi.json", "asgi"),
        ("crime", "openapi.json", "wsgi"),
        ("adult", "openapi.json", "asgi"),
        ("crime", "swagger.json", "asgi"),
    ],
    indirect=["front"],
)
def test_nothing_is_found(name: str, document: str, front: str, tmp_path: Path) -> None:
    """All checks in all phases hold, over the same examples each time."""
    with Server(bundle=bundle_of(name), workers=2, front=front, max_body_bytes=BODY_BYTES, max_rows=ROWS) as server:
        command: list[object] = [BIN / "schemathesis", "--config-file", HERE / "schemathesis.toml"]
        command += ["run", f"{server.url}/{document}", "--checks", "all", "--phases", "examples,coverage,fuzzing"]
        command += ["--max-examples", EXAMPLES, "--continue-on-failure"]
        command += ["--request-timeout", 20, "--no-color", *([] if GIVEN else ["--generation-deterministic"])]
        done = subprocess.run(
            [str(each) for each in command],
            env={**os.environ, "SCHEMATHESIS_HOOKS": str(HERE / "schemathesis_hooks.py")},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=None if GIVEN else SECONDS,
            check=False,
        )
        assert done.returncode == 0, "\n".join(line[:500] for line in done.stdout.splitlines()) + done.stderr
        assert "Traceback" not in server.said
