"""Asks servers through Triton's own client and prints what it gave: `ask_triton.py http|grpc < targets.json`.

Of a model it knows what the server's metadata say. What a target has stands in tests/live/clients.py.
"""

import importlib
import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from tritonclient.utils import InferenceServerException, triton_to_np_dtype

TRANSPORT = sys.argv[1]
triton = importlib.import_module(f"tritonclient.{TRANSPORT}")
# The forms that tensors have in this transport, as the arguments that choose them.
FORMS: dict[str, dict[str, bool]] = (
    {"json": {"binary_data": False}, "binary": {"binary_data": True}} if TRANSPORT == "http" else {"raw": {}}
)
AS_JSON = {} if TRANSPORT == "http" else {"as_json": True}


def tensor(name: str, datatype: str, values: object, **form: bool) -> Any:
    array = np.array(values, np.object_ if datatype == "BYTES" else triton_to_np_dtype(datatype))
    return triton.InferInput(name, list(array.shape), datatype).set_data_from_numpy(array, **form)


def columns(inputs: list[dict[str, Any]], rows: list[dict[str, Any]], **form: bool) -> list[Any]:
    """Make the tensors that the metadata ask for."""

    def column(each: dict[str, Any]) -> Any:
        shape = [len(rows), *map(int, each["shape"][1:])]
        values = np.array([row[each["name"]] for row in rows], np.object_).reshape(shape)
        return tensor(each["name"], each["datatype"], values, **form)

    return [column(each) for each in inputs]


def outcome(act: Callable[[], Any]) -> Any:
    """Give what an act gives, or what the client raised."""
    try:
        given = act()
    except InferenceServerException as error:
        return {"status": error.status(), "message": error.message()}
    except Exception as error:
        return {"status": None, "message": repr(error)}
    return outputs_of(given) if isinstance(given, triton.InferResult) else given


def outputs_of(result: Any) -> dict[str, Any]:
    """Give what stands in an answer, texts as such."""
    answer = result.get_response(**AS_JSON)
    outputs = {}
    for each in answer["outputs"]:
        array = result.as_numpy(each["name"])
        if array.dtype == np.object_:
            array = np.char.decode(array.astype(np.bytes_), "utf-8")
        outputs[each["name"]] = {"datatype": each["datatype"], "values": array.tolist()}
    names = {"id": "id", "model": "model_name", "version": "model_version"}
    return {**{ours: answer.get(theirs) for ours, theirs in names.items()}, "outputs": outputs}


def acts(client: Any, target: dict[str, Any]) -> dict[str, Callable[[], Any]]:
    model, version, rows, numbers = (target[name] for name in ("model", "version", "rows", "numbers"))
    metadata = client.get_model_metadata(model, **AS_JSON)
    inputs, outputs = metadata["inputs"], [each["name"] for each in metadata["outputs"]]

    def infer(inputs: list[Any], model: str = model, **more: Any) -> Callable[[], Any]:
        return lambda: client.infer(model, inputs, **more)

    good, count = columns(inputs, rows), len(rows)
    first = inputs[0]["name"]
    other = tensor("other", "FP64", [0.5] * count)
    wrong = tensor(first, *(("FP64", [0.5] * count) if good[0].datatype() == "BYTES" else ("BYTES", ["one"] * count)))
    todo: dict[str, Callable[[], Any]] = {
        "live": client.is_server_live,
        "ready": client.is_server_ready,
        "model ready": lambda: client.is_model_ready(model),
        "version ready": lambda: client.is_model_ready(model, version),
        "server": lambda: client.get_server_metadata(**AS_JSON),
        "model": lambda: metadata,
        "rows: whatever comes": infer(good),
        "rows: of a version": infer(good, model_version=version, request_id="order-17"),
        "not ready: unknown model": lambda: client.is_model_ready("other"),
        "not ready: unknown version": lambda: client.is_model_ready(model, "999"),
        "unknown: model": infer(good, model="other"),
        "unknown: version": infer(good, model_version="999"),
        "unknown: model's metadata": lambda: client.get_model_metadata("other"),
        "refused: a tensor is missing": infer([*good[1:], other]),
        "refused: a tensor too many": infer([*good, other]),
        "refused: a tensor twice": infer([*good, good[0]]),
        "refused: another number of rows": infer([tensor(first, "FP64", [1.0] * (count + 1)), *good[1:], good[0]]),
        "refused: a wide column": infer([tensor(first, "FP64", [[1.0, 2.0, 3.0]] * count), *good[1:]]),
        "refused: a narrow matrix": infer([tensor("input-0", "FP64", [[0.5] * (len(inputs) + 1)])]),
        "refused: a deep matrix": infer([tensor("input-0", "FP64", [[[0.5] * len(inputs)]])]),
        "refused: no rows": infer([tensor(each["name"], each["datatype"], []) for each in inputs]),
        "refused: another datatype": infer([wrong, *good[1:]]),
        "refused: unknown output": infer(good, outputs=[triton.InferRequestedOutput("other")]),
    }
    labelled = target["labelled"]
    if labelled:
        todo["refused: unknown label"] = infer(columns(inputs, [{**row, labelled: "no such label"} for row in rows]))
    for name, form in FORMS.items():
        wanted = [triton.InferRequestedOutput(each, **form) for each in outputs]
        todo[f"row: {name}"] = infer(columns(inputs, rows[:1], **form), outputs=wanted)
        todo[f"rows: {name}"] = infer(columns(inputs, rows, **form), outputs=wanted)
        for each in wanted:
            todo[f"rows: {each.name()} alone, {name}"] = infer(columns(inputs, rows, **form), outputs=[each])
        for datatype in target["datatypes"]:
            matrix = tensor("input-0", datatype, numbers, **form)
            todo[f"rows: matrix of {datatype}, {name}"] = infer([matrix], outputs=wanted)
        if numbers:
            split = zip(inputs, zip(*numbers, strict=True), strict=True)
            apart = [tensor(each["name"], "FP64", values, **form) for each, values in split]
            todo[f"rows: columns of numbers, {name}"] = infer(apart, outputs=wanted)
    return todo


told = {}
for target in json.load(sys.stdin):
    with triton.InferenceServerClient(target["url"]) as client:
        told[target["name"]] = {name: outcome(act) for name, act in acts(client, target).items()}
json.dump(told, sys.stdout)
