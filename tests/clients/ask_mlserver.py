"""Asks with requests that MLServer's codecs make, and reads answers by them: `ask_mlserver.py < targets.json`.

What a target has stands in tests/live/clients.py.
"""

import http.client
import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from mlserver.codecs import NumpyCodec, NumpyRequestCodec, PandasCodec, StringCodec
from mlserver.types import Datatype, InferenceErrorResponse, InferenceRequest, InferenceResponse, MetadataModelResponse


def asked(client: http.client.HTTPConnection, path: str, request: InferenceRequest) -> Any:
    """Give the outputs, decoded by MLServer's own codecs, or the refusal as MLServer reads it."""
    client.request("POST", path, request.model_dump_json().encode(), {"Content-Type": "application/json"})
    answer = client.getresponse()
    body = answer.read()
    if answer.status != 200:
        return {"status": answer.status, "message": InferenceErrorResponse.model_validate_json(body).error}
    response = InferenceResponse.model_validate_json(body)
    outputs = {}
    for each in response.outputs:
        texts = each.datatype == Datatype.BYTES
        values = StringCodec.decode_output(each) if texts else NumpyCodec.decode_output(each).tolist()
        outputs[each.name] = {"datatype": each.datatype, "values": values}
    return {"id": response.id, "model": response.model_name, "version": response.model_version, "outputs": outputs}


def acts(target: dict[str, Any]) -> dict[str, Callable[[], Any]]:
    client, path = http.client.HTTPConnection(target["url"]), f"/v2/models/{target['model']}"
    rows, numbers, labelled = target["rows"], target["numbers"], target["labelled"]

    def ask(request: InferenceRequest, **members: Any) -> Callable[[], Any]:
        return lambda: asked(client, f"{path}/infer", request.model_copy(update=members))

    def metadata() -> Any:
        client.request("GET", path)
        return MetadataModelResponse.model_validate_json(client.getresponse().read()).model_dump(mode="json")

    frame = pd.DataFrame(rows)
    todo = {
        "model": metadata,
        "row: frame": ask(PandasCodec.encode_request(frame[:1], use_bytes=False)),
        "rows: frame": ask(PandasCodec.encode_request(frame, use_bytes=False), id="order-17"),
        # Each cell is JSON in a text, as the codec writes columns of mixed types.
        "rows: frame of objects": ask(PandasCodec.encode_request(frame.astype(object), use_bytes=False)),
        "refused: a column is missing": ask(PandasCodec.encode_request(frame[frame.columns[1:]], use_bytes=False)),
        "refused: a column too many": ask(PandasCodec.encode_request(frame.assign(other=1), use_bytes=False)),
    }
    if labelled:
        wrong = frame.assign(**{labelled: "no such label"})
        todo["refused: a label is unknown"] = ask(PandasCodec.encode_request(wrong, use_bytes=False))
    nulls = pd.DataFrame(target["nulls"])
    # The codec itself fails on texts of which some are missing.
    if len(nulls) and not any(column.hasnans and column.dtype == object for _, column in nulls.items()):
        todo["nulls: frame"] = ask(PandasCodec.encode_request(nulls, use_bytes=False))
    by_column = [NumpyCodec.encode_input(str(name), np.array(frame[name].tolist())) for name in frame]
    todo["rows: arrays"] = ask(InferenceRequest(inputs=by_column))
    if numbers:
        todo["rows: matrix"] = ask(NumpyRequestCodec.encode_request(np.array(numbers, float)))
        todo["refused: a narrow matrix"] = ask(NumpyRequestCodec.encode_request(np.array(numbers, float)[:, 1:]))
    return todo


told = {target["name"]: {name: act() for name, act in acts(target).items()} for target in json.load(sys.stdin)}
json.dump(told, sys.stdout)
