"""The gate in front of unpickling, and the only module that unpickles.

A file is judged as a whole before anything of it is done (`machine`); then exactly the judged operations are
done, by an unpickler that finds nothing but what is listed. See docs/security.md for what this does not stop.
"""

import importlib
import io
import pickle
import warnings
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import numpy as np

from server.allowed import Allowed, allowed_in_data, allowed_in_model
from server.calls import CHECK_ARRAY, PARTIAL, WRAPPER
from server.errors import BundleError, one_line
from server.judgement import Judgement
from server.machine import judge
from server.symbols import Role

SHOWN: Final = 5
MAX_OPERATIONS_OF_MODEL: Final = 30_000_000  # some ten seconds
MAX_OPERATIONS_OF_DATA: Final = 1_000_000


class Gate:
    """What one file may hold, and the words in which it is refused."""

    def __init__(
        self, file: str, allowed: Allowed, max_operations: int, remedy: str, *, of_scripts: str | None = None
    ) -> None:
        self._file, self._allowed, self._max_operations, self._remedy = file, allowed, max_operations, remedy
        self._of_scripts = of_scripts

    def judge(self, content: bytes) -> Judgement:
        """Go through the file without doing anything that it says; see `refuse`."""
        return judge(content, self._allowed, self._max_operations)

    def refuse(self, judgement: Judgement) -> None:
        """Raise `BundleError` if the file holds anything that it must not."""
        if judgement.refused:
            if self._of_scripts and (own := [name for name in judgement.refused if name.startswith("__main__.")]):
                raise BundleError(f"{self._file} names {shown(own[0])}, {self._of_scripts}")
            names = [shown(name) for name in judgement.refused]
            some = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
            verb, them = ("is", "it") if len(names) == 1 else ("are", "them")
            msg = f"{self._file} names {some}, which {verb} not on the list of {self._remedy.replace('{them}', them)}"
            raise BundleError(msg)
        if judgement.misused:
            some = ", ".join(shown(name) for name in list(judgement.misused)[:SHOWN])
            msg = (
                f"{self._file} uses {some} in a way in which neither pickle nor joblib writes it: it may be an attack; "
                "if it is your own, export it again."
            )
            raise BundleError(msg)
        if judgement.fault:
            msg = f"{self._file} cannot be unpickled ({judgement.fault}); write it again with pickle or joblib."
            raise BundleError(msg)

    def load(self, content: bytes, judgement: Judgement) -> Any:  # noqa: ANN401
        """Unpickle a file that was judged and not refused; raise `BundleError` that says why it cannot be."""
        self.refuse(judgement)
        try:
            with warnings.catch_warnings():
                # The version was judged before, and what else is outdated tells its caller nothing.
                warnings.simplefilter("ignore")
                return _load(content, judgement, self._allowed)
        except ModuleNotFoundError as error:
            msg = (
                f"{self._file} needs the module {error.name!r}, which is not installed; install it or export the "
                "model without."
            )
            raise BundleError(msg) from None
        except AttributeError as error:
            msg = (
                f"{self._file} needs a class or a function that is not found here ({one_line(error)}); put it into a "
                "package that is installed beside Brinery, import it from there, and export the model again."
            )
            raise BundleError(msg) from None
        except Exception as error:  # a broken pickle can raise anything
            msg = f"{self._file} cannot be unpickled ({one_line(error)}); write it again with pickle or joblib."
            raise BundleError(msg) from None


def gate_of_model(file: str, extra: frozenset[str] = frozenset()) -> Gate:
    """Make the gate of a model; `extra` are exact globals that the operator trusts."""
    remedy = "what a model may hold; if you trust {them}, add {them} to BRINERY_ALLOWED_GLOBALS."
    # No setting helps: another process has another __main__.
    of_scripts = (
        "which was defined in the script that wrote the file, and can be imported by no other program; move it to a "
        "module of a package that is installed beside Brinery, import it from there, and export the model again."
    )
    return Gate(file, allowed_in_model(extra), MAX_OPERATIONS_OF_MODEL, remedy, of_scripts=of_scripts)


def gate_of_data(file: str) -> Gate:
    """Make the gate of lookup and labels."""
    remedy = "what it may hold: Python's own types and numpy's scalars and arrays; write it again with these."
    return Gate(file, allowed_in_data(), MAX_OPERATIONS_OF_DATA, remedy)


def shown(name: str) -> str:
    """Write a global's name into a sentence, whatever the file made of it."""
    text = name if name.isascii() and name.isprintable() and " " not in name else ascii(name)
    return text if len(text) <= 100 else text[:99] + "…"


def _load(content: bytes, judgement: Judgement, allowed: Allowed) -> Any:  # noqa: ANN401
    """Do the judged operations.

    The bytes of joblib's arrays are taken out of the stream; in their places we ask ourselves for the array by the
    operation of persistent ids, which the file itself cannot have.
    """
    pieces = []
    position = judgement.start
    for raw in judgement.arrays:
        pieces += [content[position : raw.after], pickle.BINPERSID]
        position = raw.end
    pieces.append(content[position : judgement.end])
    return _Unpickler(b"".join(pieces), content, judgement, allowed).load()


class _Wrapped:
    """Stands for joblib's `NumpyArrayWrapper`: holds what it says of the array that follows."""

    shape: tuple[int, ...]
    order: str
    dtype: np.dtype[Any]


class _Unpickler(pickle.Unpickler):
    def __init__(self, operations: bytes, content: bytes, judgement: Judgement, allowed: Allowed) -> None:
        # Without a buffer, each operation outside of a frame would be a read of its own.
        super().__init__(io.BufferedReader(io.BytesIO(operations)), fix_imports=False)
        self._content, self._allowed = content, allowed
        self._arrays = iter(judgement.arrays)

    def find_class(self, module: str, name: str, /) -> Any:  # noqa: ANN401
        named = self._allowed.named(module, name)
        if named.role is Role.REFUSED:
            msg = f"{shown(named.name)} is not allowed"
            raise pickle.UnpicklingError(msg)
        if named.name in REPLACED:
            return REPLACED[named.name]
        module, _, name = named.name.rpartition(".")
        found = getattr(importlib.import_module(module), name)
        if named.role is Role.OBJECT and not isinstance(found, type):
            msg = f"{shown(named.name)} is no class"
            raise pickle.UnpicklingError(msg)
        return found

    def persistent_load(self, wrapped: Any) -> Any:  # noqa: ANN401
        raw = next(self._arrays, None)
        if raw is None or type(wrapped) is not _Wrapped:
            msg = "an array stands where none was seen"
            raise pickle.UnpicklingError(msg)
        if raw.nested is not None:
            return _load(self._content, raw.nested, self._allowed)
        dtype, shape = wrapped.dtype, wrapped.shape
        count = int(np.prod(shape, dtype=np.int64))
        if dtype.hasobject or count * dtype.itemsize != raw.end - raw.start:
            msg = "an array is not as it was seen"
            raise pickle.UnpicklingError(msg)
        if raw.start == raw.end:
            return np.empty(shape, dtype)
        flat = np.frombuffer(self._content, dtype, count, raw.start).astype(dtype.newbyteorder("="))
        return flat.reshape(shape[::-1]).transpose() if wrapped.order == "F" else flat.reshape(shape)


def _encode(text: str, encoding: str) -> bytes:
    """Bytes as protocols before 3 write them; no other codec is of use."""
    if encoding != "latin1":
        msg = f"the codec {encoding!r} is not allowed"
        raise pickle.UnpicklingError(msg)
    return text.encode("latin1")


def _reconstruct(kind: type, base: type, state: Any) -> Any:  # noqa: ANN401
    """An object as protocols before 2 write it; see `copyreg._reconstructor`."""
    if base is object and state is None:
        return object.__new__(kind)
    if base is dict and issubclass(kind, dict) and type(state) is dict:
        made = dict.__new__(kind)
        dict.update(made, state)
        return made
    msg = "an object is built on something else than it may be"
    raise pickle.UnpicklingError(msg)


def _scalar(dtype: np.dtype[Any], data: bytes) -> Any:  # noqa: ANN401
    """One of numpy's scalars; never an object."""
    if dtype.hasobject or len(data) != dtype.itemsize:
        msg = "a scalar is none"
        raise pickle.UnpicklingError(msg)
    return np.frombuffer(data, dtype, 1)[0] if data else dtype.type()


class _Check(partial):  # type: ignore[type-arg]
    """A partial of scikit-learn's check of its input, as histogram gradient boosting keeps it, and of nothing else."""

    def __new__(cls, function: Any, /) -> "_Check":  # noqa: ANN401
        _only_check(function)
        return super().__new__(cls, function)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _only_check(state[0])
        super().__setstate__(state)  # type: ignore[misc]


def _only_check(function: Any) -> None:  # noqa: ANN401
    if f"{function.__module__}.{function.__qualname__}" != CHECK_ARRAY:
        msg = "a partial of something else"
        raise pickle.UnpicklingError(msg)


# What is found in place of callables that do more than a model needs.
REPLACED: Final[Mapping[str, Any]] = {
    "_codecs.encode": _encode,
    "copyreg._reconstructor": _reconstruct,
    "numpy._core.multiarray.scalar": _scalar,
    PARTIAL: _Check,
    WRAPPER: _Wrapped,
}
