"""The Postman collection fails, and says at what, on servers that are wrong on purpose."""

import re

import pytest

from tests.live import newman
from tests.live.running import Server, bundle_of
from tests.live.wrong_server import NOT_TOGETHER, WRONGS, Wrong, WrongServer, limits_the_rate

pytestmark = pytest.mark.live

NO_TABLE = "[]"  # the table of cases finds nothing here that the other requests do not


@pytest.fixture(name="real", scope="module")
def _real() -> object:
    with Server(bundle=bundle_of("crime")) as server:
        yield server


def found(wrong: Wrong, failures: list[str]) -> bool:
    """Tell whether a failure is the one by which this must be found."""
    return any(re.match(WRONGS[wrong], failure, re.DOTALL) for failure in failures)


def test_a_server_that_is_wrong_in_many_ways(real: Server) -> None:
    """What is wrong is found, each by the assertion that names it, where it is all wrong at once."""
    together = [wrong for wrong in WRONGS if wrong not in NOT_TOGETHER]
    with WrongServer(real.port, together) as server:
        ran = newman.run(server.url, cases=NO_TABLE)
    assert ran.status == 1
    missed = [wrong.__name__ for wrong in together if not found(wrong, ran.failures)]
    assert missed == [], "\n".join(each.partition("\n\n")[0] for each in ran.failures)


@pytest.mark.slow
@pytest.mark.parametrize("wrong", WRONGS, ids=lambda wrong: wrong.__name__)
def test_a_server_that_is_wrong_in_one_way(wrong: Wrong, real: Server) -> None:
    """What is wrong is found by the assertion that names it, and all else passes that has nothing to do with it."""
    with WrongServer(real.port, [wrong]) as server:
        ran = newman.run(server.url, cases=NO_TABLE)
    assert ran.status == 1
    assert found(wrong, ran.failures), "\n".join(ran.failures)
    assert len(ran.failures) < len(ran.tests) / 2


@pytest.mark.slow
def test_a_rate_is_waited_for(real: Server) -> None:
    """Where each first attempt to predict exceeds a rate, the collection tries again, and finds nothing wrong."""
    with WrongServer(real.port, [limits_the_rate()]) as server:
        ran = newman.run(server.url, cases=NO_TABLE, replicas=2)  # so that counters are not compared: they miss these
    ran.check()


@pytest.mark.slow
def test_a_proxy_is_no_fault(real: Server) -> None:
    """The same proxy without a fault passes: what the other tests find is what was made wrong."""
    with WrongServer(real.port, []) as server:
        newman.run(server.url).check()
