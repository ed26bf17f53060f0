"""The Postman collection fails, and says at what, on servers that are wrong on purpose."""

import re
from dataclasses import replace

import pytest

from tests.live import newman
from tests.live.running import Server, bundle_of, free_port
from tests.live.wrong_server import NOT_TOGETHER, WRONGS, Answered, Asked, Forward, Wrong, WrongServer, limits_the_rate

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


@pytest.mark.by_hand
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


def _knows_no_key(asked: Asked, forward: Forward) -> Answered:
    return replace(forward(asked), status=401)


def _predicts_without_a_key(asked: Asked, forward: Forward) -> Answered:
    return replace(forward(asked), status=401) if asked.method == "POST" else forward(asked)


def _is_a_page(asked: Asked, forward: Forward) -> Answered:
    return replace(forward(asked), body=b"<html>Sign in</html>")


def _is_another_service(asked: Asked, forward: Forward) -> Answered:
    return forward(asked).saying({"openapi": "3.1.0", "paths": {"/pets": {}}, "components": {"schemas": {}}})


@pytest.mark.parametrize(
    ("wrong", "said", "request_"),
    [
        pytest.param(_knows_no_key, "answers with 401: set api-key", "OpenAPI", id="key"),
        pytest.param(_predicts_without_a_key, "answers with 401: set api-key", "one row", id="key for predictions"),
        pytest.param(_is_a_page, "nothing that describes a deployment of Brinery; set api-host", "OpenAPI", id="page"),
        pytest.param(_is_another_service, "nothing that describes a deployment", "OpenAPI", id="another service"),
    ],
)
def test_a_server_that_cannot_be_tested(wrong: Wrong, said: str, request_: str, real: Server) -> None:
    """Where all tests would fail for one reason, one test fails, which says the reason, and the run ends."""
    with WrongServer(real.port, [wrong]) as server:
        ran = newman.run(server.url, cases=NO_TABLE)
    assert [failure for failure in ran.failures if said in failure] == ran.failures[-1:]
    assert (request_, "the deployment can be tested") == list(ran.tests)[-1]
    assert ran.status == 1


@pytest.mark.parametrize(
    ("host", "said"),
    [
        pytest.param("http://127.0.0.1:{}", "Nobody answers at http://127.0.0.1:", id="nobody"),
        pytest.param("127.0.0.1:{}", "no address with http:// or https://; set api-host", id="no scheme"),
    ],
)
def test_nobody_to_test(host: str, said: str) -> None:
    """An address at which nobody answers, or that is none, costs one request, and is told in a sentence."""
    ran = newman.run(host.format(free_port()))
    assert said in ran.tests["OpenAPI", "the deployment can be tested"]
    assert {request for request, _ in ran.tests} == {"OpenAPI"}


def test_a_folder_that_needs_another(real: Server) -> None:
    """A folder whose requests are made from others' answers says which request it lacks."""
    ran = newman.run(real.url, "--folder", "What is refused")
    assert ["The request OpenAPI was left out" in failure for failure in ran.failures] == [True]
