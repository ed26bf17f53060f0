"""The methods of the gRPC service, bytes to bytes; gRPC itself is not there."""

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from server.application import Application, assemble, prepare
from server.errors import SettingError
from server.exchange import Request, Response
from server.protocols import registry
from server.protocols.messages import SERVICE, message, read, write
from server.protocols.raw import DATATYPES, encode
from server.protocols.rpc import CHECK, CONTENTS
from server.routing import Route
from server.settings import Settings

REPOSITORY = Path(__file__).resolve().parents[3]


@functools.cache
def application(name: str) -> Application:
    """Make the application of an example."""
    settings = Settings(bundle=REPOSITORY / "examples" / name / "bundle", grpc_port=9000, log_level="error")
    return assemble(settings, prepare(settings))


def route_of(served: Application, name: str) -> Route:
    """Give the route of a method."""
    return next(each for each in served.methods if each.rule == name)


def call(served: Application, name: str, body: bytes) -> Response:
    """Call a method by the exchange."""
    route = route_of(served, name)
    request = Request("POST", route.rule, {}, {}, lambda _: body, envelope=route.envelope)
    return served.exchange(request, route.endpoints["POST"])


def infer(served: Application, **members: Any) -> Any:
    """Call `ModelInfer`; give the answer's message, or the status and the sentence."""
    asked = message("ModelInferRequest")(model_name=served.model.identity.name, **members)
    response = call(served, f"{SERVICE}/ModelInfer", write(asked))
    if response.status != 200:
        return response.status, response.body.decode()
    return read(message("ModelInferResponse"), response.body)


def test_a_matrix() -> None:
    """One matrix in, by either form, gives the estimator's numbers by the same form."""
    wine = application("wine")
    columns = len(wine.model.signature.parameters)
    rows = np.tile(np.arange(1.0, columns + 1), (2, 1))
    tensor = {"name": "rows", "datatype": "FP64", "shape": [2, columns]}
    by_contents = infer(wine, inputs=[{**tensor, "contents": {"fp64_contents": rows.ravel().tolist()}}])
    by_raw = infer(wine, inputs=[tensor], raw_input_contents=[rows.tobytes()])
    if isinstance(by_contents, tuple):  # the signature may refuse such a wine; then it does so in both
        assert by_contents == by_raw
        assert by_contents[0] == 400
        return
    assert list(by_contents.outputs[0].contents.fp64_contents) == np.frombuffer(by_raw.raw_output_contents[0]).tolist()


def test_datatypes() -> None:
    """Every datatype has a member for its elements, but those that are only raw."""
    assert set(DATATYPES) - set(CONTENTS) == {"FP16"}
    fields = message("InferTensorContents").DESCRIPTOR.fields_by_name
    assert set(CONTENTS.values()) == set(fields)


@pytest.mark.parametrize(
    ("tensor", "said"),
    [
        ({"datatype": "FP16", "shape": [1]}, "raw_input_contents"),
        ({"datatype": "FP64", "shape": [1], "contents": {"fp32_contents": [1.0]}}, "fp64_contents"),
        (
            {"datatype": "FP64", "shape": [1], "contents": {"fp64_contents": [1.0], "int_contents": [1]}},
            "fp64_contents",
        ),
        ({"datatype": "NONE", "shape": [1]}, "datatype"),
        ({"datatype": "FP64", "shape": [2**60]}, "shape"),
        ({"datatype": "FP64", "shape": [1, 1, 1], "contents": {"fp64_contents": [1.0]}}, "shape"),
    ],
    ids=["half floats", "another member", "two members", "no datatype", "huge", "three dimensions"],
)
def test_bad_tensors(tensor: dict[str, Any], said: str) -> None:
    """A tensor that is none is the caller's fault, by a sentence that names it."""
    status, sentence = infer(application("wine"), inputs=[{"name": "x", **tensor}])
    assert status == 400
    assert said in sentence


@pytest.mark.parametrize("member", ["inputs", "outputs"])
def test_lists_of_nothing(member: str) -> None:
    """A list that cannot be right is refused by its length: each of its empty messages takes but two bytes."""
    status, sentence = infer(application("titanic"), **{member: [{}] * 5_000})
    assert status == 400
    assert f"`{member}` has 5000 members" in sentence


def test_classification() -> None:
    """Triton's classification is refused, not passed over: its answer would have another form."""
    outputs = [{"name": "predict", "parameters": {"classification": {"int64_param": 1}}}]
    status, sentence = infer(application("titanic"), inputs=[{"name": "x"}], outputs=outputs)
    assert (status, "classification" in sentence) == (400, True)


def test_half_floats() -> None:
    """Elements of FP16 are read as raw bytes."""
    wine = application("wine")
    columns = len(wine.model.signature.parameters)
    raw = encode("FP16", [1.0] * columns)
    answer = infer(wine, inputs=[{"name": "x", "datatype": "FP16", "shape": [1, columns]}], raw_input_contents=[raw])
    assert not isinstance(answer, tuple) or answer[0] == 400


def test_parameters_of_a_tensor() -> None:
    """What a tensor's parameters say is read, of whatever type they are."""
    crime = functools.partial(infer, application("titanic"))
    parameters = {"content_type": {"string_param": "str"}, "n": {"int64_param": 1}, "none": {}}
    status, _ = crime(inputs=[{"name": "no such", "datatype": "BYTES", "shape": [0], "parameters": parameters}])
    assert status == 400


@pytest.mark.parametrize("name", ["ModelReady", "ModelMetadata"])
def test_other_models(name: str) -> None:
    """Another model, or another version, is not found."""
    titanic = application("titanic")
    own = titanic.model.identity
    for members, status in (
        ({"name": own.name}, 200),
        ({"name": own.name, "version": own.version_text}, 200),
        ({"name": "other"}, 404),
        ({"name": own.name, "version": "none"}, 404),
        ({}, 404),
    ):
        assert call(titanic, f"{SERVICE}/{name}", write(message(f"{name}Request")(**members))).status == status


def test_readiness() -> None:
    """While the server drains it is not ready, and lives."""
    settings = Settings(bundle=REPOSITORY / "pickles", grpc_port=9000, log_level="error")
    served = assemble(settings, prepare(settings))
    assert call(served, f"{SERVICE}/ServerReady", b"").body == b"\x08\x01"
    assert call(served, CHECK, b"").body == b"\x08\x01"
    served.common.readiness.drain()
    assert call(served, f"{SERVICE}/ServerReady", b"").body == b""
    assert call(served, f"{SERVICE}/ServerLive", b"").body == b"\x08\x01"
    assert call(served, CHECK, b"").body == b"\x08\x02"


def test_count() -> None:
    """A message has at least one row, and never more than its bytes can hold."""
    route = route_of(application("titanic"), f"{SERVICE}/ModelInfer")
    assert route.count({}, b"") == (1, 1)
    assert route.count({}, b"x" * 70_000).most >= 10_000


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port without the packages that it needs stops the start with a sentence."""
    monkeypatch.setattr(registry, "find_spec", lambda name: None if name == "grpc" else name)
    settings = Settings(bundle=REPOSITORY / "pickles", grpc_port=9000, log_level="error")
    with pytest.raises(SettingError, match=r"brinery\[grpc\]"):
        assemble(settings, prepare(settings))


def test_no_port() -> None:
    """Without a port there are no methods."""
    settings = Settings(bundle=REPOSITORY / "pickles", log_level="error")
    assert assemble(settings, prepare(settings)).methods == ()
