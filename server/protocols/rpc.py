"""The Open Inference Protocol over gRPC: what each method answers, bytes to bytes; gRPC itself is not imported.

A method is a route whose rule is its name, such as `inference.GRPCInferenceService/ModelInfer`; an error's answer is
its sentence, and its status becomes a code. Formats: the Open Inference Protocol, version 2; `grpc.health.v1`.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Any, Final

from grpc_health.v1 import health_pb2

from server.errors import RouteNotFound, WrongForm
from server.exchange import Request, RequestHeaders, Response
from server.flow import Flow
from server.model import Identity
from server.protocols.envelopes import sentence, status_of
from server.protocols.messages import SERVICE, message, read, write
from server.protocols.metadata import model_metadata
from server.protocols.protocol import Context, check_model
from server.protocols.raw import BOOL, BYTES, decode, encode
from server.protocols.tensors import Inference, Tensor, Tensors, no_classification
from server.routing import Route, Rows

MEDIA_TYPE: Final = "application/grpc"
HEALTH: Final = "grpc.health.v1.Health"
CHECK: Final = f"{HEALTH}/Check"
WATCH: Final = f"{HEALTH}/Watch"
REFLECTIONS: Final = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")
REFLECT: Final = tuple(f"{each}/ServerReflectionInfo" for each in REFLECTIONS)
SERVING: Final[Any] = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING: Final[Any] = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN: Final[Any] = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
SPARE: Final = 1_000  # members of a list beyond those that the model has: a short message can hold very many

# The member of `InferTensorContents` that holds the elements of a datatype; those of FP16 are always raw.
CONTENTS: Final[Mapping[str, str]] = {
    BOOL: "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    BYTES: "bytes_contents",
}


def as_status(error: Exception, _: str) -> Response:
    """Write an error as its sentence."""
    return Response(status_of(error), sentence(error).encode(), MEDIA_TYPE)


def methods(context: Context) -> list[Route]:
    """Make the routes of the methods; the front that speaks gRPC answers `WATCH` and `REFLECT` by streams."""
    readiness, identity = context.readiness, context.model.identity
    tensors = Tensors(context.model, context.flow.predictor)
    columns, own_version = max(1, len(tensors.inputs)), version("brinery")

    def live(_: Any) -> dict[str, object]:  # noqa: ANN401
        return {"live": True}

    def ready(_: Any) -> dict[str, object]:  # noqa: ANN401
        return {"ready": readiness.ready}

    def model_ready(asked: Any) -> dict[str, object]:  # noqa: ANN401
        check_model(identity, asked.name, asked.version)
        return {"ready": readiness.ready}

    def server(_: Any) -> dict[str, object]:  # noqa: ANN401
        return {"name": "brinery", "version": own_version}

    def model(asked: Any) -> dict[str, object]:  # noqa: ANN401
        check_model(identity, asked.name, asked.version)
        return model_metadata(identity, tensors.inputs, tensors.outputs, lambda each: each.basics)

    def check(request: Request) -> Response:
        asked = read(health_pb2.HealthCheckRequest, request.read(context.settings.max_body_bytes))
        if asked.service in ("", SERVICE, HEALTH, *REFLECTIONS):
            return Response(200, health(ready=readiness.ready), MEDIA_TYPE)
        if request.route == WATCH:  # who watches is told, and waits for it
            return Response(200, UNKNOWN, MEDIA_TYPE)
        raise RouteNotFound(f"There is no such service; ask for {SERVICE}, or for none.")

    def count(_: RequestHeaders, body: bytes) -> Rows:
        return Rows(1, len(body) // columns + 1)  # an element takes a byte at least

    def route(name: str, answer: Callable[[Any], dict[str, object]], scope: str | None) -> Route:
        asked, answered = message(f"{name}Request"), message(f"{name}Response")

        def endpoint(request: Request) -> Response:
            given = read(asked, request.read(context.settings.max_body_bytes))
            return Response(200, write(answered(**answer(given))), MEDIA_TYPE)

        return Route(f"{SERVICE}/{name}", {"POST": endpoint}, scope=scope, envelope=as_status)

    infer = functools.partial(_infer, context.flow, identity, tensors)
    return [
        route("ServerLive", live, None),
        route("ServerReady", ready, None),
        route("ModelReady", model_ready, None),
        route("ServerMetadata", server, "info"),
        route("ModelMetadata", model, "info"),
        Route(f"{SERVICE}/ModelInfer", {"POST": infer}, True, "predict", as_status, count),
        *(Route(name, {"POST": check}, scope=None, envelope=as_status, probe=name == CHECK) for name in (CHECK, WATCH)),
        *(Route(name, {"POST": lambda _: Response(200)}, envelope=as_status) for name in REFLECT),
    ]


def health(*, ready: bool) -> bytes:
    """Write the answer of the health service."""
    return write(health_pb2.HealthCheckResponse(status=SERVING if ready else NOT_SERVING))


UNKNOWN: Final = write(health_pb2.HealthCheckResponse(status=SERVICE_UNKNOWN))


def _infer(flow: Flow, identity: Identity, tensors: Tensors, request: Request) -> Response:
    """Answer `ModelInfer`, by raw bytes to who sends them."""

    def parse(body: bytes) -> Inference:
        asked = read(REQUEST, body)
        check_model(identity, asked.model_name, asked.model_version)
        for member, known in (("inputs", tensors.inputs), ("outputs", tensors.outputs)):
            if (given := len(getattr(asked, member))) > len(known) + SPARE:
                raise WrongForm(f"`{member}` has {given} members; the model has {len(known)}.")
        raw, wanted = bool(asked.raw_input_contents), []
        for at, each in enumerate(asked.outputs):
            if "classification" in each.parameters:
                raise no_classification(at)
            wanted.append(each.name)
        inference = tensors.read(_raw(asked) if raw else _contents(asked), wanted, asked.id)
        return dataclasses.replace(inference, binary=frozenset(inference.outputs)) if raw else inference

    asked, outcome = flow.predict(request, parse)
    return Response(200, _written(identity, asked, tensors.write(asked, outcome)), MEDIA_TYPE)


REQUEST: Final = message("ModelInferRequest")
RESPONSE: Final = message("ModelInferResponse")


def _contents(asked: Any) -> list[Tensor]:  # noqa: ANN401
    """Give the tensors of a request whose elements are in members of their types."""
    tensors = []
    for at, each in enumerate(asked.inputs):
        member, what = CONTENTS.get(each.datatype), f"`inputs`, {at}"
        filled = [field.name for field, _ in each.contents.ListFields()]
        if member is None and each.datatype == "FP16":
            raise WrongForm(f"{what}: the elements of FP16 have no `contents`; send `raw_input_contents`.")
        if member is not None and filled not in ([], [member]):
            raise WrongForm(f"{what}: the elements of {each.datatype} must be in `{member}`.")
        data = list(getattr(each.contents, member)) if member is not None else []
        tensors.append(_tensor(each, data))
    return tensors


def _raw(asked: Any) -> list[Tensor]:  # noqa: ANN401
    """Give the tensors of a request whose elements are bytes, one text of them for each tensor."""
    if len(asked.raw_input_contents) != len(asked.inputs):
        msg = (
            f"`raw_input_contents` has {len(asked.raw_input_contents)} members and `inputs` has {len(asked.inputs)}; "
            "send one for each."
        )
        raise WrongForm(msg)
    tensors = []
    for at, (each, raw) in enumerate(zip(asked.inputs, asked.raw_input_contents, strict=True)):
        if each.HasField("contents"):
            raise WrongForm(f"`inputs`, {at}: `contents` cannot stand beside `raw_input_contents`; send one of them.")
        tensors.append(_tensor(each, decode(each.datatype, tuple(each.shape), raw, f"`inputs`, {at}")))
    return tensors


def _tensor(given: Any, data: list[Any]) -> Tensor:  # noqa: ANN401
    parameters = {
        name: getattr(each, each.WhichOneof("parameter_choice") or "string_param")
        for name, each in given.parameters.items()
    }
    return Tensor(given.name, given.datatype, tuple(given.shape), data, parameters)


def _written(identity: Identity, asked: Inference, tensors: Sequence[Tensor]) -> bytes:
    """Write the answer to a call."""
    answer = RESPONSE(model_name=identity.name, model_version=identity.version_text, id=asked.id)
    for each in tensors:
        output = answer.outputs.add(name=each.name, datatype=each.datatype, shape=each.shape)
        for name, value in each.parameters.items():
            output.parameters[name].string_param = value
        if each.name in asked.binary:
            answer.raw_output_contents.append(encode(each.datatype, each.data))
        else:
            elements = [v.encode() for v in each.data] if each.datatype == BYTES else each.data
            getattr(output.contents, CONTENTS[each.datatype]).extend(elements)
    return write(answer)
