"""Tensors of the Open Inference Protocol, over HTTP and gRPC: inputs to a batch, what the model says to outputs. Pure.

A column is a tensor with its parameter's name, of shape [rows] or [rows, 1]. A matrix is the only input, whatever its
name, of shape [rows, parameters]. Format: the Open Inference Protocol, version 2.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple, NoReturn

from server.decoding import decode
from server.errors import InvalidInput, MalformedBody, WrongForm
from server.flow import Asked
from server.model import Model
from server.outputs import key_of
from server.parameter import Kind, Parameter, cut
from server.predictor import Outcome, Predictor
from server.protocols.metadata import inputs_of, outputs_of
from server.protocols.raw import BOOL, BYTES, DTYPES, count_of, unknown_datatype
from server.protocols.rows import Codes, codes_of
from server.signature import listing

# The types that elements of a datatype have, and bounds of its integers; None is a missing value.
NONE: Final = type(None)
REMEMBERED: Final = 64  # choices of outputs: callers make few
TYPES: Final[Mapping[str, frozenset[type]]] = {
    **dict.fromkeys(DTYPES, frozenset({int, float, NONE})),
    BOOL: frozenset({bool, NONE}),
    BYTES: frozenset({str, bytes, NONE}),
}
RANGES: Final = {
    name: (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if dtype.kind == "i" else (0, 2**bits - 1)
    for name, dtype in DTYPES.items()
    if dtype.kind in "iu" and (bits := dtype.itemsize * 8)
}


class Tensor(NamedTuple):
    """A tensor: its elements are a flat list in row-major order; those of BYTES are texts, or the bytes of texts."""

    name: str
    datatype: str
    shape: Sequence[int]
    data: Sequence[Any]
    parameters: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Inference(Asked):
    """Rows, the caller's id for the request, and the names of the outputs that are to be given, in this order.

    `binary` are those of them that the caller wants as bytes.
    """

    id: str = ""
    outputs: tuple[str, ...] = ()
    binary: frozenset[str] = frozenset()


class Tensors:
    """Reads and writes the tensors of one model."""

    def __init__(self, model: Model, predictor: Predictor) -> None:
        self._predictor, signature = predictor, model.signature
        self.inputs, self.outputs = inputs_of(signature), outputs_of(model.outputs)
        self._columns = {each.name: _Column(each) for each in signature.parameters}
        self._labels = [(each.name, codes_of(each) or None) for each in signature.parameters]
        self._required = {each.name for each in signature.parameters if each.required}
        self.required = len(self._required)  # how many inputs there are at least
        self._ignore_unknown = signature.ignore_unknown
        mixed = {each.name for each in self.outputs if each.datatype == BYTES and set(map(type, each.labels)) != {str}}
        self._written = {each.name: (each, each.written, each.name in mixed) for each in self.outputs}
        self._all = tuple(self._written)
        self._wanted = lru_cache(maxsize=REMEMBERED)(self._check_wanted)

    def read(self, tensors: Sequence[Tensor], wanted: Sequence[str], request_id: str = "") -> Inference:
        """Read the inputs of a request; `wanted` names outputs, all if it names none.

        Raises `WrongForm`, and what `Predictor.batch_of_columns` raises.
        """
        outputs, full = self._wanted(tuple(wanted))
        if not tensors:
            _refuse("`inputs` is empty; give a tensor for each parameter, or one matrix.")
        for at, tensor in enumerate(tensors):
            _check(tensor, f"`inputs`, {at}" + (f", {cut(tensor.name)}" if tensor.name in self._columns else ""))
        rows = tensors[0].shape[0]
        self._predictor.check_count(rows)
        given = self._matrix(tensors[0]) if self._is_matrix(tensors) else self._by_name(tensors, rows)
        columns = {name: self._columns[name].read(tensor, data) for name, (tensor, data) in given.items()}
        return Inference(self._predictor.batch_of_columns(columns, rows), full, request_id, outputs)

    def read_row(self, row: Mapping[str, Any], wanted: Sequence[str], request_id: str) -> Inference | None:
        """Read a row of JSON values, each in the datatype that its input's metadata says; None if it is refused."""
        outputs, full = self._wanted(tuple(wanted))
        try:
            return Inference(self._predictor.batch(row), full, request_id, outputs)
        except InvalidInput:  # `read` says it as for any tensors
            return None

    def row_of_matrix(self, shape: Sequence[int], data: Sequence[Any]) -> dict[str, Any]:
        """Give the only row of a matrix of numbers as JSON values.

        Raises `ValueError` for a matrix of another shape, and `KeyError` for a number that is to be a code and is none.
        """
        if len(shape) != 2 or shape[1] != len(self._labels):
            raise ValueError
        rows = zip(self._labels, data, strict=True)
        return {name: each if labels is None else labels[each] for (name, labels), each in rows}

    def write(self, asked: Inference, outcome: Outcome) -> list[Tensor]:
        """Write the outputs that were asked for."""
        predictions = outcome.predictions() if asked.full else []
        tensors = []
        for name in asked.outputs:
            metadata, parameters, mixed = self._written[name]
            if len(metadata.shape) == 1:
                data = predictions[metadata.place]
                if mixed:
                    data = list(map(key_of, data))
                shape: tuple[int, ...] = (len(data),)
            else:
                assert outcome.numbers is not None, "this form of answer has numbers"
                numbers = outcome.numbers[metadata.place]
                data, shape = numbers.ravel().tolist(), numbers.shape
            tensors.append(Tensor(name, metadata.datatype, shape, data, parameters))
        return tensors

    def _check_wanted(self, names: tuple[str, ...]) -> tuple[tuple[str, ...], bool]:
        """Give the outputs that are wanted, and whether predictions are among them."""
        if not names:
            return self._all, True
        if not self._written.keys() >= set(names):
            _refuse(f"`outputs`: there is no such output; the outputs are {listing(list(self._written))}.")
        if len(set(names)) < len(names):
            _refuse("`outputs`: an output is asked for twice.")
        return names, any(len(self._written[name][0].shape) == 1 for name in names)

    def _is_matrix(self, tensors: Sequence[Tensor]) -> bool:
        return len(tensors) == 1 and len(tensors[0].shape) == 2 and tensors[0].shape[1] == len(self._columns)

    def _matrix(self, tensor: Tensor) -> dict[str, tuple[Tensor, Sequence[Any]]]:
        width = len(self._columns)
        return {name: (tensor, tensor.data[at::width]) for at, name in enumerate(self._columns)}

    def _by_name(self, tensors: Sequence[Tensor], rows: int) -> dict[str, tuple[Tensor, Sequence[Any]]]:
        given = {}
        for at, tensor in enumerate(tensors):
            if tensor.name not in self._columns:
                if self._ignore_unknown:
                    continue
                if len(tensors) == 1 and len(tensor.shape) == 2:
                    width, got = len(self._columns), tensor.shape[1]
                    _refuse(f"`inputs`, {at}: a matrix of all inputs has {width} columns; this one has {got}.")
                names = listing(list(self._columns))
                _refuse(f"`inputs`, {at}: there is no such input; the inputs are {names}, or one matrix of all.")
            if tensor.name in given:
                _refuse(f"`inputs`, {at}: {cut(tensor.name)} is given twice.")
            if tuple(tensor.shape) not in ((rows,), (rows, 1)):
                _refuse(
                    f"`inputs`, {at}: {cut(tensor.name)} must have the shape [rows], with as many rows as the first."
                )
            given[tensor.name] = tensor, tensor.data
        if not self._required <= given.keys():
            missing = [name for name in self._columns if name in self._required and name not in given]
            _refuse(f"`inputs` lacks {listing(missing)}; give a tensor for each, or one matrix of all.")
        return given


class _Column:
    """Reads the values of one parameter, as JSON has them."""

    def __init__(self, parameter: Parameter) -> None:
        self._name = parameter.name
        self._codes = Codes.of(parameter)
        self._takes_booleans = parameter.kind is Kind.BOOLEAN or bool in map(type, parameter.labels)

    def read(self, tensor: Tensor, values: Sequence[Any]) -> Sequence[Any]:
        """Give texts as labels, and codes as what they stand for; NaN is null."""
        if tensor.datatype == BYTES:
            content_type, what = tensor.parameters.get("content_type"), f"Input {cut(self._name)}"
            values = _texts(values, content_type, what)
            if content_type != "pd_json":
                return values
            values = _cells(values, what)
        elif tensor.datatype == BOOL and not self._takes_booleans:
            values = [None if value is None else int(value) for value in values]
        elif tensor.datatype.startswith("FP"):
            values = [None if value != value else value for value in values]
        return values if self._codes is None else self._codes.column(values)


def _check(tensor: Tensor, what: str) -> None:
    """See that a tensor is one; raise `WrongForm`."""
    if tensor.datatype not in TYPES:
        _refuse(unknown_datatype(what))
    if count_of(tensor.shape, what) != len(tensor.data):
        _refuse(f"{what}: `data` has {len(tensor.data)} elements, not as many as the shape says.")
    kinds = set(map(type, tensor.data))
    if not kinds <= TYPES[tensor.datatype]:
        _refuse(f"{what}: `data` holds what is no {tensor.datatype}.")
    if tensor.datatype in RANGES:
        low, high = RANGES[tensor.datatype]
        if kinds == {int}:  # quickly, as nearly all are
            wrong = min(tensor.data) < low or max(tensor.data) > high
        else:
            wrong = any(each is not None and (not low <= each <= high or each % 1) for each in tensor.data)
        if wrong:
            _refuse(f"{what}: `data` holds a number that is no {tensor.datatype}.")


def _texts(values: Sequence[Any], content_type: object, what: str) -> list[str | None]:
    """Give texts for the bytes of texts, where `content_type` says so also in Base64."""
    try:
        if content_type == "base64":
            values = [each if each is None else base64.b64decode(each, validate=True) for each in values]
        if bytes not in map(type, values):
            return list(values)
        return [each.decode() if isinstance(each, bytes) else each for each in values]
    except UnicodeDecodeError:
        msg = f"{what} holds a text that is not UTF-8."
    except (binascii.Error, ValueError):
        msg = f"{what} holds a text that is not Base64, though its content_type says so."
    raise WrongForm(msg)


def _cells(texts: Sequence[str | None], what: str) -> list[object]:
    """Give the values of texts that are JSON each, as MLServer's codec writes a frame's columns of mixed types."""
    try:
        return [text if text is None else decode(text.encode()) for text in texts]
    except MalformedBody:
        msg = f"{what} holds a text that is not JSON, though its content_type says so."
    raise WrongForm(msg)


def no_classification(at: int) -> WrongForm:
    """Make the error for an output, by its place, that is to have Triton's `classification`."""
    msg = f"`outputs`, {at}: there is no `classification` here; the labels are parameters of the output."
    return WrongForm(msg)


def _refuse(message: str) -> NoReturn:
    raise WrongForm(message)
