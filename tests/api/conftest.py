"""Applications that several test modules share: making one unpickles and tries a model."""

from collections.abc import Iterator

import pytest
from threadpoolctl import threadpool_limits
from werkzeug.test import Client

from tests.api.fronts import NAMES
from tests.api.serving import EXAMPLES, FRONTS, serve_folder


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Evaluate in one thread, as a worker does: small batches in several are slow on a busy machine."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session", autouse=True, params=NAMES)
def front(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each front, for every test. A fixture that outlives a test and serves must ask for it."""
    name: str = request.param
    with FRONTS.through(name):
        yield name


@pytest.fixture(scope="session")
def crime(front: str) -> Client:
    """The model that is served by default."""
    return serve_folder(EXAMPLES["crime"])


@pytest.fixture(scope="session")
def titanic(front: str) -> Client:
    """A model of numbers and two categories."""
    return serve_folder(EXAMPLES["titanic"])


@pytest.fixture(scope="session")
def wine(front: str) -> Client:
    """A regressor."""
    return serve_folder(EXAMPLES["wine"])


@pytest.fixture(scope="session")
def adult(front: str) -> Client:
    """A pipeline on a DataFrame, with missing values."""
    return serve_folder(EXAMPLES["adult"])


@pytest.fixture(scope="session")
def reviews(front: str) -> Client:
    """A pipeline on texts."""
    return serve_folder(EXAMPLES["reviews"])


@pytest.fixture(scope="session", params=sorted(EXAMPLES))
def example(front: str, request: pytest.FixtureRequest) -> Client:
    """Each of the examples, one after the other."""
    client: Client = request.getfixturevalue(request.param)
    return client
