"""Servers that several modules share, each started when it is first asked for."""

import contextlib
from collections.abc import Callable, Iterator

import pytest

from tests.live.running import FRONTS, Server, bundle_of

# Servers take long to start: the front that is not the default has its turn in `make test-all`.
EACH = [pytest.param(name, marks=() if name == "asgi" else pytest.mark.slow) for name in FRONTS]


@pytest.fixture(scope="session", params=EACH)
def front(request: pytest.FixtureRequest) -> str:
    """Each front, for tests of what both do alike."""
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def serving(front: str) -> Iterator[Callable[[str], Server]]:
    """Give a function from a committed bundle's name to a server of it."""
    with contextlib.ExitStack() as stack:
        servers: dict[str, Server] = {}

        def get(name: str) -> Server:
            if name not in servers:
                servers[name] = stack.enter_context(Server(bundle=bundle_of(name), front=front))
            return servers[name]

        yield get


@pytest.fixture(scope="session")
def crime(serving: Callable[[str], Server]) -> Server:
    """Give a server of the default bundle."""
    return serving("crime")
