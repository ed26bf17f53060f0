"""The Postman collection that testers run against any deployment passes on live servers of different models."""

import os
import subprocess
from collections.abc import Callable

import pytest

from tests.live.running import REPOSITORY, Server

pytestmark = pytest.mark.live

POSTMAN = REPOSITORY / "postman"
NEWMAN = POSTMAN / "node_modules" / ".bin" / "newman"
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("titanic", "wine", "reviews")]


@pytest.mark.parametrize("name", ["crime", "adult", *SLOW])
def test_collection(name: str, serving: Callable[[str], Server]) -> None:
    """Newman runs every request of the collection, and every assertion holds."""
    if not NEWMAN.exists():
        assert os.environ.get("CI") != "true", "Newman is missing"
        pytest.skip("Newman is not installed; tests/tools.sh installs it")
    command: list[object] = [NEWMAN, "run", POSTMAN / "brinery.postman_collection.json"]
    command += ["--environment", POSTMAN / "brinery.postman_environment.json"]
    command += ["--env-var", f"api-host={serving(name).url}", "--disable-unicode", "--color", "off"]
    done = subprocess.run([str(each) for each in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "assertions" in done.stdout
