"""Asks servers through KServe's own clients, REST in both versions and gRPC: `ask_kserve.py < targets.json`.

Prints what the client gave or raised. What a target has stands in tests/live/clients.py.
"""

import asyncio
import json
import logging
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import httpx
import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, InferResponse, RESTConfig
from kserve.protocol.infer_type import RequestedOutput
from kserve.utils.numpy_codec import to_np_dtype

Act = Callable[[], Awaitable[Any]]


async def outcome(act: Act) -> Any:
    """Give what an act gives, or what the client raised."""
    try:
        given = await act()
    except httpx.HTTPStatusError as error:
        return {"status": error.response.status_code, "message": str(error)}
    except grpc.RpcError as error:
        return {"status": str(error.code()), "message": error.details()}
    except Exception as error:
        return {"status": None, "message": repr(error)}
    return outputs_of(given) if isinstance(given, InferResponse) else given


def outputs_of(answer: InferResponse) -> dict[str, Any]:
    """Give what stands in an answer, texts as such."""
    outputs = {}
    for each in answer.outputs:
        array = each.as_numpy()
        if each.datatype == "BYTES":
            flat = [value.decode() if isinstance(value, bytes) else value for value in array.flat]
            array = np.array(flat, np.object_).reshape(array.shape)
        outputs[each.name] = {"datatype": each.datatype, "values": array.tolist()}
    return {"id": answer.id, "model": answer.model_name, "outputs": outputs}


def tensor(name: str, datatype: str, values: object, *, binary: bool) -> InferInput:
    array = np.array(values, to_np_dtype(datatype))
    made = InferInput(name, list(array.shape), datatype)
    made.set_data_from_numpy(array, binary_data=binary)
    return made


def acts_v1(client: InferenceRESTClient, target: dict[str, Any]) -> dict[str, Act]:
    url, model, rows = f"http://{target['url']}", target["model"], target["rows"]
    names = [name for name, _ in target["columns"]]

    def infer(data: dict[str, Any], model: str = model) -> Act:
        return lambda: client.infer(url, data, model)

    row, listed = rows[0], [[row[name] for name in names] for row in rows]
    todo = {
        "live": lambda: client.is_server_live(url),
        "model ready": lambda: client.is_model_ready(url, model),
        "unknown: model is ready": lambda: client.is_model_ready(url, "other"),
        "unknown: model": infer({"instances": rows}, "other"),
        "explained": lambda: client.explain(url, model, {"instances": rows}),
        "row: named": infer({"instances": [row]}),
        "rows: named": infer({"instances": rows}),
        "rows: listed": infer({"instances": listed}),
        "rows: by column": infer({"instances": {name: [row[name] for row in rows] for name in names}}),
        "refused: no instances": infer({"rows": rows}),
        "refused: no row": infer({"instances": []}),
        "refused: a name is unknown": infer({"instances": [{**row, "other": 1}]}),
        "refused: a name is missing": infer({"instances": [{name: row[name] for name in names[1:]}]}),
        "refused: a list is short": infer({"instances": [listed[0][1:]]}),
        "refused: a list is long": infer({"instances": [[*listed[0], 1]]}),
        "refused: ragged lists": infer({"instances": [*listed, listed[0][1:]]}),
        "refused: null": infer({"instances": None}),
    }
    if target["nulls"]:
        todo["nulls: named"] = infer({"instances": target["nulls"]})
    if target["numbers"]:
        todo["rows: numbers"] = infer({"instances": target["numbers"]})
    if target["labelled"]:
        todo["refused: a label is unknown"] = infer({"instances": [{**row, target["labelled"]: "no such label"}]})
    return todo


def acts_of_tensors(ask: Callable[[InferRequest], Awaitable[Any]], target: dict[str, Any]) -> dict[str, Act]:
    model, rows, columns, labelled = (target[name] for name in ("model", "rows", "columns", "labelled"))
    count = len(rows)

    def infer(inputs: list[InferInput], asked: str = model, outputs: tuple[str, ...] = (), **more: Any) -> Act:
        wanted = [RequestedOutput(each) for each in outputs] or None
        return lambda: ask(InferRequest(asked, inputs, request_outputs=wanted, **more))

    def each_of(rows: list[dict[str, Any]], *, binary: bool) -> list[InferInput]:
        return [tensor(name, datatype, [row[name] for row in rows], binary=binary) for name, datatype in columns]

    good, first = each_of(rows, binary=False), columns[0][0]
    other = tensor("other", "FP64", [0.5] * count, binary=False)
    wrong = ("FP64", [0.5] * count) if columns[0][1] == "BYTES" else ("BYTES", ["one"] * count)
    long, wide = [1.0] * (count + 1), [[1.0, 2.0, 3.0]] * count
    todo = {
        "unknown: model": infer(good, "other"),
        "rows: with an id": infer(good, request_id="order-17"),
        "rows: predict alone": infer(good, outputs=("predict",)),
        "refused: a tensor is missing": infer([*good[1:], other]),
        "refused: a tensor too many": infer([*good, other]),
        "refused: another number of rows": infer([*good, tensor(first, "FP64", long, binary=False)]),
        "refused: a wide column": infer([*good[1:], tensor(first, "FP64", wide, binary=False)]),
        "refused: another datatype": infer([*good[1:], tensor(first, *wrong, binary=False)]),
        "refused: unknown output": infer(good, outputs=("other",)),
    }
    if labelled:
        unlabelled = [{**row, labelled: "no such label"} for row in rows]
        todo["refused: a label is unknown"] = infer(each_of(unlabelled, binary=False))
    for name, binary in (("elements", False), ("binary", True)):
        todo[f"row: {name}"] = infer(each_of(rows[:1], binary=binary))
        todo[f"rows: {name}"] = infer(each_of(rows, binary=binary))
        if target["numbers"]:
            todo[f"rows: matrix, {name}"] = infer([tensor("input-0", "FP64", target["numbers"], binary=binary)])
    return todo


def acts_v2(client: InferenceRESTClient, target: dict[str, Any]) -> dict[str, Act]:
    url, model = f"http://{target['url']}", target["model"]
    return {
        "live": lambda: client.is_server_live(url),
        "ready": lambda: client.is_server_ready(url),
        "model ready": lambda: client.is_model_ready(url, model),
        "not ready: unknown model": lambda: client.is_model_ready(url, "other"),
        **acts_of_tensors(lambda request: client.infer(url, request, request.model_name), target),
    }


def acts_grpc(client: InferenceGRPCClient, target: dict[str, Any]) -> dict[str, Act]:
    return {
        "live": client.is_server_live,
        "ready": client.is_server_ready,
        "model ready": lambda: client.is_model_ready(target["model"]),
        **acts_of_tensors(client.infer, target),
    }


async def main() -> dict[str, Any]:
    told: dict[str, Any] = {}
    for target in json.load(sys.stdin):
        name = target["name"]
        async with (
            InferenceRESTClient(RESTConfig(protocol="v1")) as v1,
            InferenceRESTClient(RESTConfig(protocol="v2")) as v2,
            InferenceGRPCClient(target["grpc"]) as grpc_client,
        ):
            todo = {
                **{f"v1 {case}": act for case, act in acts_v1(v1, target).items()},
                **{f"v2 {case}": act for case, act in acts_v2(v2, target).items()},
                **{f"grpc {case}": act for case, act in acts_grpc(grpc_client, target).items()},
            }
            told[name] = {case: await outcome(act) for case, act in todo.items()}
    return told


logging.disable()  # the client also logs what it raises
json.dump(asyncio.run(main()), sys.stdout)
