"""Bodies of the Open Inference Protocol over HTTP: JSON, and the bytes of tensors behind it. Pure.

Formats: the protocol's specification for HTTP/REST, and Triton's extension for binary tensor data.
"""

import dataclasses
import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

import orjson

from server.decoding import decode, has_only, read
from server.errors import UnsupportedMediaType, WrongForm
from server.exchange import RequestHeaders, Response
from server.model import Identity
from server.negotiation import JSON, check_json_body
from server.parameter import EXACT_BELOW
from server.predictor import Outcome
from server.protocols import raw
from server.protocols.answers import METHOD, METHODS
from server.protocols.tensors import Inference, Tensor, Tensors, no_classification
from server.routing import Rows

OCTETS: Final = "application/octet-stream"
LENGTH: Final = "Inference-Header-Content-Length"
SHAPE: Final = re.compile(rb"\s*:\s*\[\s*([0-9]{1,9})")  # what stands behind its key, as far as the rows
MATRICES: Final[Mapping[str, frozenset[type]]] = {
    "INT64": frozenset({int}),
    **dict.fromkeys(("FP32", "FP64"), frozenset({int, float})),
}
FEW: Final = 2  # rows, of which it is no matter how many they are
PHRASES: Final = {str: "a text", list: "an array", dict: "an object", bool: "true or false"}


def length_of(headers: RequestHeaders) -> int | None:
    """Give how many bytes of a body are JSON, None for all of it.

    Raises `UnsupportedMediaType` for a body that is neither, and `WrongForm` for a length that is none.
    """
    length, content_type = headers.get(LENGTH, ""), headers.get("Content-Type", "")
    coding = headers.get("Content-Encoding", "")
    if not length and not coding and content_type == JSON:
        return None
    if not length:
        if content_type.partition(";")[0].strip().lower() == OCTETS:
            msg = f"A body of {OCTETS} needs the header {LENGTH}, which says how many bytes of it are JSON."
            raise UnsupportedMediaType(msg)
        check_json_body(content_type or JSON, coding)
        return None
    check_json_body(JSON if content_type.partition(";")[0].strip().lower() in ("", OCTETS) else content_type, coding)
    if not re.fullmatch("[0-9]{1,18}", length):
        _refuse(f"The header {LENGTH} must be a whole number, of bytes of JSON.")
    return int(length)


class Bodies:
    """Reads and writes bodies of requests to one model."""

    def __init__(self, tensors: Tensors, identity: Identity) -> None:
        self._tensors, self._required = tensors, max(1, tensors.required)
        self._inputs = len(tensors.inputs)
        # Labels of several types are sent as they cannot be told apart from codes.
        self._usual = {
            each.name: each.datatype
            for each in tensors.inputs
            if each.datatype != raw.BYTES or set(map(type, each.labels)) <= {str}
        }
        # Answers are put together of texts: quicker than writing objects, and the same.
        self._head = orjson.dumps({"model_name": identity.name, "model_version": identity.version_text})[:-1]
        self._outputs = {each.name: _head(each.name, each.datatype, each.written) for each in tensors.outputs}

    def read(self, body: bytes, length: int | None) -> Inference:
        """Read a request: `length` bytes of JSON with the bytes of tensors behind it, or JSON only.

        Raises `MalformedBody`, and what `Tensors.read` raises.
        """
        if length is not None and length > len(body):
            _refuse(f"The header {LENGTH} says more bytes than the body has.")
        if length is None and (usual := self._read_usual(body)) is not None:
            return usual
        request = decode(body if length is None else body[:length])
        if type(request) is not dict:
            _refuse("The body must be an object with the member `inputs`.")
        tail = _Tail(b"" if length is None else body[length:])
        tensors = [_input(each, f"`inputs`, {at}", tail) for at, each in enumerate(_member(request, "inputs", list))]
        tail.check_end()
        wanted = []
        binary = {}
        parameters = _parameters(request)
        if parameters.get(METHOD, METHODS[0]) not in METHODS:
            _refuse(f"`parameters.{METHOD}` is neither `predict` nor `predict_proba`; ask for outputs by `outputs`.")
        everything = _member(parameters, "binary_data_output", bool, False)
        for at, output in enumerate(_member(request, "outputs", list, [])):
            name = _member(output, "name", str, what=f"`outputs`, {at}: ")
            parameters = _parameters(output, f"`outputs`, {at}: ")
            if parameters.get("classification"):
                raise no_classification(at)
            binary[name] = _member(parameters, "binary_data", bool, everything, what=f"`outputs`, {at}: ")
            wanted.append(name)
        asked = self._tensors.read(tensors, wanted, _member(request, "id", str, ""))
        chosen = frozenset(name for name in asked.outputs if binary.get(name, everything))
        return dataclasses.replace(asked, binary=chosen)

    def _read_usual(self, body: bytes) -> Inference | None:
        """Read a request as most are, quickly: one row, in columns or a matrix; None for any other."""
        request: Any = read(body)
        names: list[str] = []
        try:
            row, strings = self._row(request["inputs"])
            strings += 1
            if len(request) > 1:
                outputs = request.get("outputs", [])
                names = [output["name"] for output in outputs]
                strings += 2 * len(names) + ("outputs" in request) + 2 * ("id" in request)
                if (
                    type(outputs) is not list
                    or type(request.get("id", "")) is not str
                    or not {str}.issuperset(map(type, names))
                ):
                    return None
        except (AttributeError, LookupError, TypeError, ValueError):
            return None
        # Where the body holds more texts than these, it has other members, or some of them twice.
        return self._tensors.read_row(row, names, request.get("id", "")) if has_only(body, strings) else None

    def _row(self, inputs: Any) -> tuple[dict[str, Any], int]:  # noqa: ANN401
        """Give the only row of some inputs, and how many keys and texts they are; raise for inputs of another form."""
        row: dict[str, Any] = {}
        strings = 0
        for tensor in inputs:
            shape, data = tensor["shape"], tensor["data"]
            if len(tensor) != 4 or type(data) is not list or shape[0] != 1 or type(shape[0]) is not int:
                raise ValueError
            if len(shape) != 1:
                return self._row_of_matrix(inputs)
            name, (value,) = tensor["name"], data
            kind = type(value)
            if tensor["datatype"] != self._usual[name] or (kind is float and abs(value) >= EXACT_BELOW):
                raise ValueError
            row[name] = value
            strings += 7 if kind is str else 6
        if len(inputs) != len(row) or not row or type(inputs) is not list:
            raise ValueError
        return row, strings

    def _row_of_matrix(self, inputs: Any) -> tuple[dict[str, Any], int]:  # noqa: ANN401
        """Do so for a matrix, whose elements need no further look if they have these types."""
        (tensor,) = inputs
        data, kinds = tensor["data"], MATRICES[tensor["datatype"]]
        if type(data[0]) is list:
            (data,) = data
        types = set(map(type, data))
        if not kinds >= types or type(tensor["name"]) is not str or type(inputs) is not list:
            raise ValueError
        if float in types and any(abs(each) >= EXACT_BELOW for each in data):
            raise ValueError
        return self._tensors.row_of_matrix(tensor["shape"], data), 6

    def write(self, asked: Inference, outcome: Outcome, request_id: str) -> Response:
        """Write the answer; it has the caller's id, or else the request's."""
        written, tail = [], []
        for tensor in self._tensors.write(asked, outcome):
            shape = orjson.dumps(tensor.shape)
            if tensor.name not in asked.binary:
                head = self._outputs[tensor.name]
                written.append(b'%b,"shape":%b,"data":%b}' % (head, shape, orjson.dumps(tensor.data)))
                continue
            tail.append(raw.encode(tensor.datatype, tensor.data))
            parameters = {**tensor.parameters, "binary_data_size": len(tail[-1])}
            written.append(b'%b,"shape":%b}' % (_head(tensor.name, tensor.datatype, parameters), shape))
        given = orjson.dumps(asked.id or request_id)
        text = b'%b,"id":%b,"outputs":[%b]}' % (self._head, given, b",".join(written))
        if not tail:
            return Response(200, text)
        return Response(200, text + b"".join(tail), OCTETS, [(LENGTH, str(len(text)))])

    def count(self, headers: RequestHeaders, body: bytes) -> Rows:
        """Estimate the rows of a body.

        Each takes a byte or a comma for each parameter, and the members of each tensor take three. A tensor's shape
        begins with them, if it is seen: a key may be written otherwise.
        """
        length = headers.get(LENGTH, "")
        text = body[: int(length)] if length.isdecimal() and len(length) < 19 else body
        found, required = text.count(b'"shape"'), self._required
        most = (text.count(b",") - 3 * min(found, required) + len(body) - len(text)) // required + 1
        if most <= FEW or not 0 < found <= self._inputs or b"\\" in text:
            return Rows(1, max(most, 1))
        shapes = [SHAPE.match(each) for each in text.split(b'"shape"')[1:]]
        rows = [1, *(int(each[1]) if each is not None else most for each in shapes)]
        return Rows(min(most, *rows[1:]), min(most, max(rows)))


class _Tail:
    """The bytes behind the JSON, of which each tensor takes some."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, size: object, what: str) -> bytes:
        """Give the next bytes."""
        if type(size) is not int or not 0 <= size <= len(self._data) - self._at:
            _refuse(f"{what}: `binary_data_size` must be a whole number, of bytes that are left in the body.")
        self._at += size
        return self._data[self._at - size : self._at]

    def check_end(self) -> None:
        """See that no byte is left."""
        if self._at != len(self._data):
            _refuse("The body has bytes behind its JSON that no input takes.")


def _input(value: object, what: str, tail: _Tail) -> Tensor:
    """Read one input."""
    what = f"{what}: "
    name, datatype = _member(value, "name", str, what=what), _member(value, "datatype", str, what=what)
    shape, parameters = _member(value, "shape", list, what=what), _parameters(value, what)
    if "binary_data_size" in parameters:
        if "data" in value:  # type: ignore[operator]  # it has members
            _refuse(f"{what}it has `data`, and bytes too; give one of both.")
        data = raw.decode(datatype, shape, tail.take(parameters["binary_data_size"], what[:-2]), what[:-2])
    else:
        data = _flat(_member(value, "data", list, what=what), shape, what)
    return Tensor(name, datatype, shape, data, parameters)


def _flat(data: list[Any], shape: Sequence[Any], what: str) -> list[Any]:
    """Give the elements of data that may be nested as the shape says."""
    if list not in map(type, data):
        return data
    raw.count_of(shape, what[:-2])
    if len(shape) != 2 or any(type(row) is not list or len(row) != shape[1] for row in data):
        _refuse(f"{what}`data` must be nested as `shape` says, or not at all.")
    return list(itertools.chain.from_iterable(data))


def _parameters(value: object, what: str = "") -> Any:  # noqa: ANN401
    return _member(value, "parameters", dict, {}, what=what)


def _member(value: object, name: str, kind: type, default: Any = None, *, what: str = "") -> Any:  # noqa: ANN401
    """Give a member of an object; raise `WrongForm` if it is of another type, or missing without a default."""
    if type(value) is not dict:
        _refuse(f"{what}expected an object.")
    member = value.get(name)
    if member is None and default is not None:
        return default
    if type(member) is not kind:
        _refuse(f"{what}`{name}` must be {PHRASES[kind]}.")
    return member


def _head(name: str, datatype: str, parameters: Mapping[str, Any]) -> bytes:
    """Write the beginning of an output."""
    head = {"name": name, "datatype": datatype} | ({"parameters": dict(parameters)} if parameters else {})
    return orjson.dumps(head)[:-1]


def _refuse(message: str) -> NoReturn:
    raise WrongForm(message)
