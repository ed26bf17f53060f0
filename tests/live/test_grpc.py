"""The gRPC service of the real server: what it answers, whom it refuses, and that no call is lost."""

import contextlib
import hashlib
import json
import os
import signal
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.http2 import HEADERS, SETTINGS, Idler
from tests.live.bundles import Gate
from tests.live.certificates import Authority
from tests.live.grpc_client import HEALTH, SERVICE, GrpcClient
from tests.live.running import BIN, PATIENCE, Program, Server, environ_with, eventually, free_port
from tests.live.secure import SecureServer

pytestmark = pytest.mark.live

ROWS = [
    {"month": 10, "force": "Thames Valley Police", "crime": "Bicycle theft"},
    {"month": 2, "force": "Kent Police", "crime": "Robbery"},
]
KEY = "brn_app-and-much-more-that-nobody-guesses"
INFER = f"{SERVICE}/ModelInfer"


def column(name: str, datatype: str, **contents: list[Any]) -> dict[str, Any]:
    """Write an input with a value for each of the rows."""
    return {"name": name, "datatype": datatype, "shape": [len(ROWS)], "contents": contents}


ASKED: dict[str, Any] = {
    "model_name": "crime",
    "id": "seven",
    "inputs": [
        column("month", "INT64", int64_contents=[row["month"] for row in ROWS]),
        *(
            column(name, "BYTES", bytes_contents=[str(row[name]).encode() for row in ROWS])
            for name in ("force", "crime")
        ),
    ],
}


def raw(text: str) -> bytes:
    """Write a text as raw contents have it."""
    return struct.pack("<I", len(text)) + text.encode()


RAW: dict[str, Any] = {
    "model_name": "crime",
    "inputs": [{"name": each["name"], "datatype": each["datatype"], "shape": [2]} for each in ASKED["inputs"]],
    "raw_input_contents": [
        struct.pack("<2q", *(row["month"] for row in ROWS)),
        *(b"".join(raw(str(row[name])) for row in ROWS) for name in ("force", "crime")),
    ],
}


@pytest.fixture(scope="module")
def server(front: str) -> Iterator[Server]:
    """Serve crime by two workers, over gRPC too."""
    with Server(front=front, workers=2, grpc_port=free_port(), body_timeout=1, max_body_bytes=100_000) as server:
        yield server


def port_of(server: Server) -> int:
    """Give the port of gRPC of a server."""
    environ = Path(f"/proc/{server.process.pid}/environ").read_bytes().split(b"\0")
    return next(int(each.partition(b"=")[2]) for each in environ if each.startswith(b"BRINERY_GRPC_PORT="))


@pytest.fixture
def client(server: Server) -> Iterator[GrpcClient]:
    """Ask it."""
    with GrpcClient(port_of(server)) as client:
        yield client


def test_what_the_server_says_of_itself(client: GrpcClient) -> None:
    """It lives, it is ready, and it names its model, the inputs and the outputs."""
    assert client("ServerLive").live
    assert client("ServerReady").ready
    assert client("ModelReady", {"name": "crime", "version": "1"}).ready
    assert client("ServerMetadata").name == "brinery"
    told = client("ModelMetadata", {"name": "crime"})
    assert (told.name, list(told.versions), told.platform) == ("crime", ["1"], "sklearn_estimator")
    assert [(each.name, each.datatype, list(each.shape)) for each in told.inputs] == [
        ("month", "INT64", [-1]),
        ("force", "BYTES", [-1]),
        ("crime", "BYTES", [-1]),
    ]
    assert [each.name for each in told.outputs] == ["predict", "predict_proba"]


def test_answers_are_those_of_the_api(server: Server, client: GrpcClient) -> None:
    """Both forms of tensors give the numbers that /api/predict gives; each is answered in its own form."""
    expected = [number for each in server.request("POST", "/api/predict", ROWS).json for number in each.values()]
    answer = client("ModelInfer", ASKED)
    assert (answer.model_name, answer.model_version, answer.id) == ("crime", "1", "seven")
    label, probabilities = answer.outputs
    assert list(label.contents.bytes_contents) == [b"notCaughtProb"] * 2
    assert list(probabilities.shape) == [2, 2]
    assert list(probabilities.contents.fp64_contents) == expected
    assert list(json.loads(probabilities.parameters["labels"].string_param)) == ["notCaughtProb", "caughtProb"]
    assert not answer.raw_output_contents

    answer = client("ModelInfer", {**RAW, "outputs": [{"name": "predict_proba"}]})
    assert [each.HasField("contents") for each in answer.outputs] == [False]
    assert list(struct.unpack("<4d", answer.raw_output_contents[0])) == expected


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"model_name": "other"}, "NOT_FOUND", "no such model"),
        ({"model_version": "9"}, "NOT_FOUND", "no such version"),
        ({"inputs": []}, "INVALID_ARGUMENT", "`inputs`"),
        ({"inputs": ASKED["inputs"][1:]}, "INVALID_ARGUMENT", "month"),
        ({"outputs": [{"name": "other"}]}, "INVALID_ARGUMENT", "no such output"),
        ({"raw_input_contents": [b"x"]}, "INVALID_ARGUMENT", "raw_input_contents"),
        ({"raw_input_contents": [b"x"] * 3}, "INVALID_ARGUMENT", "contents"),
        ({"inputs": [{"name": "x", "datatype": "FP64", "shape": [2**62, 3]}]}, "INVALID_ARGUMENT", "shape"),
        ({"inputs": [{"name": "x", "datatype": "FP64", "shape": [-1, 3]}]}, "INVALID_ARGUMENT", "shape"),
        (
            {"inputs": [column("month", "INT32", int64_contents=[1, 2]), *ASKED["inputs"][1:]]},
            "INVALID_ARGUMENT",
            "int_contents",
        ),
        (
            {"inputs": [column("month", "INT64", int64_contents=[1, 13]), *ASKED["inputs"][1:]]},
            "INVALID_ARGUMENT",
            "/1/month",
        ),
        ({"id": "x" * 100_000}, "RESOURCE_EXHAUSTED", ""),
    ],
    ids=[
        *(
            "model",
            "version",
            "no inputs",
            "a missing input",
            "output",
            "too few raw",
            "both",
            "huge shape",
            "negative",
        ),
        *("contents of another type", "a refused value", "too large"),
    ],
)
def test_refusals(client: GrpcClient, changes: dict[str, Any], code: str, said: str) -> None:
    """What cannot be read is the caller's own fault, by the sentences of the other protocols."""
    got, sentence = client.refusal("ModelInfer", ASKED | changes)
    assert got == code
    assert said in sentence


def test_what_is_no_message(client: GrpcClient) -> None:
    """Bytes that are no message are refused, so is what nobody knows; who sends nothing is not waited for."""
    for name, sent, code in (
        ("ModelInfer", b"\xff\xff", "INVALID_ARGUMENT"),
        ("ModelStreamInfer", b"", "UNIMPLEMENTED"),
    ):
        with pytest.raises(grpc.RpcError) as refused:
            client.channel.unary_unary(f"/{SERVICE}/{name}")(sent)
        assert refused.value.code().name == code
    silence = threading.Event()

    def nothing() -> Iterator[bytes]:
        silence.wait()
        yield from ()

    with pytest.raises(grpc.RpcError) as refused:
        client.channel.stream_unary(f"/{INFER}")(nothing())
    silence.set()
    assert refused.value.code().name == "DEADLINE_EXCEEDED"


def test_many_calls_at_once(client: GrpcClient) -> None:
    """A client who asks much at once is answered, one after the other."""
    asked, method = client.method("ModelInfer")
    calls = [method.future(asked(**ASKED)) for _ in range(1_500)]
    assert {call.code().name for call in calls} == {"OK"}


def has_room(port: int) -> bool:
    """Tell whether one more connection is answered."""
    with Idler(port) as idler:
        return next(idler.kinds(), None) is not None


def test_an_answer_that_nobody_takes(front: str) -> None:
    """A caller who goes before he has taken his answer leaves no line but that of his request."""
    port = free_port()
    with Server(front=front, workers=1, grpc_port=port) as server, GrpcClient(port) as client:
        with Idler(port) as idler:
            idler.call(f"{SERVICE}/ServerLive")
            assert HEADERS in idler.kinds()
        assert client("ServerLive").live
        server.stop()
        events = [json.loads(line)["event"] for line in server.out if line.startswith("{")]
        assert events.count("request") >= 2
        assert not [each for each in events if "ServerLive" in each]


def test_connections(front: str) -> None:
    """Connections beyond those of a worker are closed, and so is who does not speak; HTTP has its own."""
    port = free_port()
    with Server(front=front, workers=1, grpc_port=port, max_connections=2, header_timeout=1) as server:
        with Idler(port) as one, Idler(port) as other:
            assert SETTINGS in one.kinds()
            assert SETTINGS in other.kinds()
            assert not has_room(port)
            assert server.request("GET", "/api/health/ready").status == 200
        eventually(lambda: has_room(port), "room")
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as silent, contextlib.suppress(ConnectionError):
            while silent.recv(4_096):
                pass


def test_compressed_messages(client: GrpcClient) -> None:
    """A message that is compressed is refused, whatever is in it."""
    got, _ = client.refusal("ModelInfer", ASKED, compression=grpc.Compression.Gzip)
    assert got == "UNIMPLEMENTED"


def test_health_and_reflection(client: GrpcClient) -> None:
    """gRPC's own services tell that the server serves, whom it serves, and what can be asked."""
    assert {SERVICE, HEALTH} <= set(client.services)
    assert client("Check", service=HEALTH).status == 1
    assert client("Check", {"service": SERVICE}, service=HEALTH).status == 1
    assert client.refusal("Check", {"service": "other"}, service=HEALTH)[0] == "NOT_FOUND"
    watching = client("Watch", service=HEALTH)
    assert next(watching).status == 1
    watching.cancel()
    watching = client("Watch", {"service": "other"}, service=HEALTH)
    assert next(watching).status == 3  # unknown, in the words of the protocol; it may come yet
    assert watching.is_active()
    watching.cancel()


def test_ids_and_books(server: Server, client: GrpcClient) -> None:
    """A call has its caller's id, a line in the log and a place in the metrics, as requests have."""
    _, method = client.method("ModelInfer")
    asked = client.message("inference.ModelInferRequest")(**ASKED)
    _, call = method.with_call(asked, metadata=[("x-request-id", "call-1")])
    trailers = dict(call.trailing_metadata())
    assert trailers["x-request-id"] == "call-1"
    assert trailers["x-model-name"] == "crime"
    line = server.wait_for_event("request", request_id="call-1")
    assert (line["route"], line["status"], line["rows"]) == (INFER, 200, 2)
    counted = f'brinery_http_requests_total{{method="POST",route="{INFER}",status="200"}}'
    assert counted in server.request("GET", "/metrics").body.decode()


def test_callers(front: str, tmp_path: Path) -> None:
    """Only who has credentials for a method is answered; probes are for everybody."""
    file, digest = tmp_path / "keys", hashlib.sha256(KEY.encode()).hexdigest()
    file.write_text(f"app sha256:{digest} predict\n")
    port = free_port()
    with (
        Server(front=front, grpc_port=port, auth="predict,info", api_keys_file=file),
        GrpcClient(port) as stranger,
    ):
        ask = stranger.channel.unary_unary
        assert ask(f"/{HEALTH}/Check")(b"") == b"\x08\x01"
        for name, sent, metadata, code in (
            ("ModelInfer", b"", [], "UNAUTHENTICATED"),
            ("ModelInfer", b"", [("x-api-key", "wrong")], "UNAUTHENTICATED"),
            ("ModelInfer", b"", [("authorization", f"Bearer {KEY}")], "NOT_FOUND"),
            ("ModelMetadata", b"", [("x-api-key", KEY)], "PERMISSION_DENIED"),
        ):
            with pytest.raises(grpc.RpcError) as refused:
                ask(f"/{SERVICE}/{name}")(sent, metadata=metadata)
            assert refused.value.code().name == code
        with pytest.raises(Exception, match=r"(?i)credentials"):
            stranger.services  # noqa: B018


def test_tls(front: str, tmp_path: Path) -> None:
    """With a certificate, calls too come by TLS, and from those whom the authority for clients has signed."""
    authority, port = Authority(tmp_path), free_port()
    own = authority.sign("client")
    with SecureServer(authority, own, front=front, grpc_port=port, tls_client_ca=authority.ca):
        with GrpcClient(port, authority.ca, own) as client:
            assert client("ModelInfer", ASKED).id == "seven"
        for refused in (GrpcClient(port, authority.ca), GrpcClient(port)):
            with refused, pytest.raises(Exception, match=r"(?i)unavailable|connect|closed|reset"):
                refused("ServerLive")


def refused_start(**settings: Any) -> str:
    """Start a server that must not start; give its line."""
    environ = environ_with({"port": free_port(), "host": "127.0.0.1", "workers": 1, **settings})
    with Program(BIN / "brinery", "serve", environ=environ) as program:
        assert program.wait() != 0, program.said
        return next(line for line in program.err if line.startswith("brinery: "))


def test_a_port_that_is_taken(server: Server) -> None:
    """A port on which somebody listens stops the start with a sentence, and so does our own."""
    assert "BRINERY_GRPC_PORT" in refused_start(grpc_port=server.port)
    assert "BRINERY_PROTOCOLS" in refused_start(grpc_port=free_port(), protocols="kserve")


# What comes in while a worker sends its goodbye is begun by nobody: gRPC's library says so by either code.
REACHED_NOBODY = {"OK", "UNAVAILABLE", "CANCELLED"}


def test_a_full_queue_and_a_stop(front: str, tmp_path: Path) -> None:
    """Who finds no room is told so; who was taken has his answer, also after the stop has begun."""
    gate, port = Gate(tmp_path), free_port()
    held, other = (
        {"name": "x0", "datatype": "FP64", "shape": [1], "contents": {"fp64_contents": [x]}} for x in (42, 1)
    )
    with (
        Server(
            bundle=gate.bundle,
            front=front,
            environ=gate.environ,
            threads=1,
            max_queue_requests=1,
            grpc_port=port,
        ) as server,
        GrpcClient(port) as client,
    ):
        name = client.refusal("ModelMetadata", {"name": "?"})[1].rpartition(" ")[2].rstrip(".")
        asked, method = client.method("ModelInfer")
        first = method.future(asked(model_name=name, inputs=[held]))
        gate.wait_until_entered()
        others = [method.future(asked(model_name=name, inputs=[other])) for _ in range(10)]
        eventually(lambda: sum(each.done() for each in others) == 9, "refusals")
        refused = [each for each in others if each.done()]
        assert {each.code().name for each in refused} == {"UNAVAILABLE"}
        assert "retry-after" in dict(refused[0].trailing_metadata())
        late = method.future(asked(model_name=name, inputs=[other]), timeout=0.01)
        assert late.code().name in ("DEADLINE_EXCEEDED", "UNAVAILABLE")
        server.terminate()
        server.wait_for_event("draining")
        gate.open()
        waited = next(each for each in others if each not in refused)
        assert [first.code().name, waited.code().name] == ["OK", "OK"]
        server.check_end()


class Callers:
    """Threads that call without a pause, each on a connection of its own."""

    def __init__(self, port: int, count: int = 4) -> None:
        self.codes: Counter[str] = Counter()
        self._port, self._ended, self._lock = port, threading.Event(), threading.Lock()
        self._threads = [threading.Thread(target=self._call) for _ in range(count)]

    def _call(self) -> None:
        with GrpcClient(self._port) as client:
            asked, method = client.method("ModelInfer")
            message = asked(**ASKED)
            while not self._ended.is_set():
                try:
                    method(message, timeout=30)
                    code = "OK"
                except grpc.RpcError as error:
                    code = error.code().name
                with self._lock:
                    self.codes[code] += 1

    def has_called(self, times: int) -> Callable[[], bool]:
        """Make the condition that so many more calls were answered well."""
        wanted = self.codes["OK"] + times
        return lambda: self.codes["OK"] >= wanted

    def __enter__(self) -> "Callers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()


def answered(server: Server) -> int:
    """Count the calls that a server says it answered well."""
    lines = (json.loads(line) for line in server.out if line.startswith("{"))
    return sum(line.get("route") == INFER and line["status"] == 200 for line in lines)


def test_a_stop_under_load(front: str) -> None:
    """Whatever the server answered before its end has come to its caller; others hear that it is unavailable."""
    port = free_port()
    with Server(front=front, workers=2, grpc_port=port) as server:
        with Callers(port) as callers:
            eventually(callers.has_called(50), "calls")
            server.stop()
            eventually(lambda: callers.codes["UNAVAILABLE"] > 0, "the end")
        assert set(callers.codes) <= REACHED_NOBODY
        assert callers.codes["OK"] == answered(server)


def test_a_drain(front: str) -> None:
    """While the server drains it says that it is not ready, to who asks and to who watches, and still answers."""
    port = free_port()
    with Server(front=front, workers=1, grpc_port=port, drain_delay=2) as server, GrpcClient(port) as client:
        watching = client("Watch", service=HEALTH)
        assert next(watching).status == 1
        server.terminate()
        assert next(watching).status == 2
        assert not client("ServerReady").ready
        assert not client("ModelReady", {"name": "crime"}).ready
        assert client("ServerLive").live
        assert client("ModelInfer", ASKED).id == "seven"
        with pytest.raises(grpc.RpcError):
            next(watching)
        server.check_end()


def test_a_worker_that_dies(front: str) -> None:
    """Calls that a killed worker held are lost; those to others go on, and another takes its place."""
    port = free_port()
    with Server(front=front, workers=2, grpc_port=port) as server, Callers(port) as callers:
        eventually(callers.has_called(20), "calls")
        before = server.workers()
        os.kill(before[0], signal.SIGKILL)
        eventually(lambda: len(server.workers()) == 2 and before[0] not in server.workers(), "another worker")
        eventually(callers.has_called(50), "calls")
        assert set(callers.codes) <= REACHED_NOBODY


def test_a_share_of_calls(front: str) -> None:
    """A worker goes after its share of requests, of which calls are a part, and another takes its place."""
    port = free_port()
    with Server(front=front, workers=1, grpc_port=port, max_requests=50) as server, Callers(port, 1) as callers:
        (before,) = server.workers()
        eventually(lambda: before not in server.workers(), "its end")
        eventually(callers.has_called(10), "calls")
        assert set(callers.codes) <= REACHED_NOBODY


def test_a_reload(front: str) -> None:
    """Workers of another model take over the port; what the ones before answered has come to its callers."""
    port = free_port()
    with Server(front=front, workers=2, grpc_port=port) as server, Callers(port) as callers:
        eventually(callers.has_called(20), "calls")
        before = set(server.workers())
        server.process.send_signal(signal.SIGHUP)
        eventually(lambda: bool(server.workers()) and not before & set(server.workers()), "new workers alone")
        eventually(callers.has_called(50), "calls")
        assert set(callers.codes) <= REACHED_NOBODY
