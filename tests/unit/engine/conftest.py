"""The engines' tests share two cores with all others: threads within a fit or an evaluation would only wait."""

from collections.abc import Iterator

import pytest
from threadpoolctl import threadpool_limits


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    """Let numpy and scikit-learn use one thread."""
    with threadpool_limits(1):
        yield
