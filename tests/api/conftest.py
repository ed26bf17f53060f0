"""Applications that several test modules share: making one unpickles and tries a model."""

from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient
from threadpoolctl import threadpool_limits

from tests.api.serving import EXAMPLES, serve_folder


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Evaluate in one thread, as a worker does: small batches in several are slow on a busy machine."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session")
def crime() -> FlaskClient:
    """The model that is served by default."""
    return serve_folder(EXAMPLES["crime"])


@pytest.fixture(scope="session")
def titanic() -> FlaskClient:
    """A model of numbers and two categories."""
    return serve_folder(EXAMPLES["titanic"])


@pytest.fixture(scope="session")
def wine() -> FlaskClient:
    """A regressor."""
    return serve_folder(EXAMPLES["wine"])


@pytest.fixture(scope="session")
def adult() -> FlaskClient:
    """A pipeline on a DataFrame, with missing values."""
    return serve_folder(EXAMPLES["adult"])


@pytest.fixture(scope="session")
def reviews() -> FlaskClient:
    """A pipeline on texts."""
    return serve_folder(EXAMPLES["reviews"])


@pytest.fixture(scope="session", params=sorted(EXAMPLES))
def example(request: pytest.FixtureRequest) -> FlaskClient:
    """Each of the examples, one after the other."""
    client: FlaskClient = request.getfixturevalue(request.param)
    return client
