"""Clients that people have are pointed at us, unmodified, and get what /api/predict answers."""

import contextlib
import functools
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.live.clients import CLIENTS, Expected, run, target_of
from tests.live.running import Server, bundle_of, free_port

pytestmark = [pytest.mark.live, pytest.mark.slow]

# Labels with codes; labels that only the pipeline knows; integers and null; a regressor; free text.
BUNDLES = {"asgi": ["crime", "adult", "titanic", "wine", "reviews"], "wsgi": ["crime"]}
SERVED = [pytest.param(front, name, id=f"{front}-{name}") for front, names in BUNDLES.items() for name in names]
STATUSES = {"refused": "400", "unknown": "404"}
STATUSES_OF_GRPC = {"refused": "StatusCode.INVALID_ARGUMENT", "unknown": "StatusCode.NOT_FOUND"}
Servers = dict[tuple[str, str], tuple[Server, dict[str, Any]]]
Told = Callable[[str, str, str], dict[str, Any]]


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """Give servers of all bundles, and what to ask them for."""
    with contextlib.ExitStack() as stack:
        started = {}
        for front, names in BUNDLES.items():
            for name in names:
                grpc = free_port()
                server = Server(bundle=bundle_of(name), front=front, grpc_port=grpc)
                stack.enter_context(server)
                started[front, name] = server, target_of(name, server, grpc=f"{server.host}:{grpc}")
        yield started


@pytest.fixture(scope="module")
def told(servers: Servers) -> Told:
    """Give what a client got of a server; it runs once for all of a front."""

    @functools.cache
    def of_front(client: str, front: str) -> dict[str, Any]:
        targets = [target for (its_front, _), (_, target) in servers.items() if its_front == front]
        if client == "triton-grpc":
            targets = [{**target, "url": target["grpc"]} for target in targets]
        answers: dict[str, Any] = run(*CLIENTS[client], given=targets)
        return answers

    return lambda client, front, name: of_front(client, front)[name]


def is_right(case: str, given: Any, expected: dict[str, list[Any]]) -> bool:
    """Tell whether an answer is the expected one: all outputs or the one asked for, or one value for each row."""
    if isinstance(given, dict) and "outputs" in given:
        alone = [name for name in expected if f" {name} alone" in case]
        outputs = {name: output["values"] for name, output in given["outputs"].items()}
        return outputs == {name: expected[name] for name in alone or expected}
    predictions: object = given.get("predictions") if isinstance(given, dict) else given
    return predictions == expected["predict"]


def kind_of(case: str) -> str:
    """Give what a case is of: `rows` of `v1 rows: named`."""
    return re.sub("^(v1|v2|grpc) ", "", case.split(":")[0])


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(("front", "name"), SERVED)
def test_answers_are_those_of_predict(client: str, front: str, name: str, servers: Servers, told: Told) -> None:
    """A client reads what /api/predict answers for the same rows, to the last bit."""
    server, target = servers[front, name]
    expected = {
        "row": Expected.of(server, target["rows"][:1]).outputs,
        "rows": Expected.of(server, target["rows"]).outputs,
    }
    if target["nulls"]:
        expected["nulls"] = Expected.of(server, target["nulls"]).outputs
    given = {case: answer for case, answer in told(client, front, name).items() if kind_of(case) in expected}
    assert given
    assert not {case: each for case, each in given.items() if not is_right(case, each, expected[kind_of(case)])}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(("front", "name"), SERVED)
def test_bad_input_is_refused_in_the_clients_own_way(client: str, front: str, name: str, told: Told) -> None:
    """What is wrong is an error that the client reads, with a sentence of ours that quotes no value; never a fault."""
    given = {case: answer for case, answer in told(client, front, name).items() if kind_of(case) in STATUSES}
    wrong = {}
    for case, answer in given.items():
        statuses = STATUSES_OF_GRPC if client == "triton-grpc" or case.startswith("grpc ") else STATUSES
        refused = isinstance(answer, dict) and str(answer.get("status")) == statuses[kind_of(case)]
        if not refused or not is_sentence(sentence_of(answer["message"])):
            wrong[case] = answer
    assert given
    assert not wrong


def sentence_of(message: str) -> str:
    """Give what we said, out of what a client makes of it."""
    if message.startswith("{"):  # MLflow's gives the whole body
        return str(json.loads(message)["message"])
    return re.sub(r", '\d{3} [A-Z][A-Za-z ]+' for url '.*'$", "", message)


def is_sentence(text: str) -> bool:
    """Tell whether a text is for people."""
    return len(text) > 10 and text.endswith((".", "?")) and "no such label" not in text and "Traceback" not in text


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(("front", "name"), SERVED)
def test_clients_learn_what_is_there(client: str, front: str, name: str, servers: Servers, told: Told) -> None:
    """Whether server and model live and are ready, what else is unknown, and what the model is called."""
    given, target = told(client, front, name), servers[front, name][1]
    states = {case: answer for case, answer in given.items() if case.endswith(("live", "ready")) and ":" not in case}
    unknown = {case: answer for case, answer in given.items() if case.startswith(("not ready", "v2 not ready"))}
    assert all(answer is True for answer in states.values()), states
    if client != "triton-grpc":  # which raises what we answer for an unknown model; see the refusals
        assert not any(unknown.values()), unknown
    for answer in given.values():
        if isinstance(answer, dict) and "outputs" in answer and "model" in answer:
            assert answer["model"] == target["model"]
            assert answer.get("version", target["version"]) == target["version"]
    for case in ("rows: of a version", "v2 rows: with an id", "rows: frame"):
        if isinstance(given.get(case), dict):
            assert given[case]["id"] == "order-17"
    if "model" in given:
        assert [each["name"] for each in given["model"]["inputs"]] == [name for name, _ in target["columns"]]
        assert given["model"]["versions"] == [target["version"]]
    if client == "kserve":
        assert given["v1 explained"]["status"] == 501
    if client == "mlflow":
        assert given["ping"] is None
        assert re.fullmatch(r"\d+\.\d+\..*", given["version"])
