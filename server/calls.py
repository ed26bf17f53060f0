"""What a listed callable may be called with in a pickle: exactly what the pickler writes for it.

A callable that is not in `RULES` takes plain data: no classes or functions.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from server.layouts import elements, layout_named, layout_of
from server.opcodes import Data, Text
from server.symbols import PLAIN, Container, Group, Made, Named, Role, loose_in

Arguments = tuple[Any, ...]
Rule = Callable[[Named, Arguments], Any]  # gives a symbol of the result, None for a misuse

NDARRAY: Final = "numpy.ndarray"
SHELL: Final = "numpy.ndarray, still empty"
MASKED: Final = "numpy.ma.MaskedArray, still empty"
PARTIAL: Final = "functools.partial"
CHECK_ARRAY: Final = "sklearn.utils.validation.check_array"
WRAPPER: Final = "joblib.numpy_pickle.NumpyArrayWrapper"
FACTORIES: Final = frozenset({"collections.OrderedDict", *(f"builtins.{name}" for name in ("dict", "list", "set"))})
BIT_GENERATOR: Final = "numpy.random._pickle.__bit_generator_ctor"
NUMBERS: Final = (bool, int, float)


def bytes_in(item: object) -> int | None:
    """Give the length of bytes, None of anything else."""
    if isinstance(item, Data):
        return item.length
    return len(item) if isinstance(item, bytes) else None


def call(callee: Named, arguments: Arguments) -> Any:  # noqa: ANN401
    """Give a symbol of what a listed callable gives for these arguments, None if it must not be called so."""
    if callee.role in (Role.ANY, Role.REFUSED):
        return Made(callee, arguments)
    if callee.role is not Role.CALL:
        return None
    return RULES.get(callee.name, _plain)(callee, arguments)


def _plain(callee: Named, arguments: Arguments) -> Made | None:
    return None if any(isinstance(each, Named) or loose_in(each) for each in arguments) else Made(callee, arguments)


def _named(item: object, *names: str) -> bool:
    return isinstance(item, Named) and item.name in names


def _of_class(package: str) -> Rule:
    """Take a class of the package that objects are made of, and plain data."""

    def rule(callee: Named, arguments: Arguments) -> Made | None:
        if not arguments or not isinstance(arguments[0], Named) or _plain(callee, arguments[1:]) is None:
            return None
        kind = arguments[0]
        fits = kind.role is Role.OBJECT and kind.name.startswith(package)
        return Made(kind, arguments) if fits else None

    return rule


def _only(*kinds: type | tuple[type, ...]) -> Rule:
    """Take exactly these kinds of plain arguments."""

    def rule(callee: Named, arguments: Arguments) -> Made | None:
        fits = len(arguments) == len(kinds) and all(map(isinstance, arguments, kinds))
        return Made(callee) if fits else None

    return rule


def _encode(_callee: Named, arguments: Arguments) -> Data | None:
    """Bytes, as the protocols before 3 write them."""
    if len(arguments) != 2 or arguments[1] != "latin1" or not isinstance(arguments[0], str | Text):
        return None
    return Data(len(arguments[0]) if isinstance(arguments[0], str) else arguments[0].length)


def _buffer(_callee: Named, arguments: Arguments) -> Data | None:
    """An empty one, or one of given bytes; never of a given size."""
    length = bytes_in(arguments[0]) if len(arguments) == 1 else 0
    return Data(length) if length is not None and len(arguments) <= 1 else None


def _collection(callee: Named, arguments: Arguments) -> Container | Made | None:
    if len(arguments) > 1 or not all(isinstance(each, Container) and each.kind is list for each in arguments):
        return None
    return Made(callee, arguments)


def _slice(callee: Named, arguments: Arguments) -> Made | None:
    fits = len(arguments) == 3 and all(each is None or type(each) is int for each in arguments)
    return Made(callee) if fits else None


def _defaultdict(callee: Named, arguments: Arguments) -> Made | None:
    fits = len(arguments) <= 1 and all(isinstance(each, Named) and each.name in FACTORIES for each in arguments)
    return Made(callee) if fits else None


def _reconstructor(_callee: Named, arguments: Arguments) -> Made | None:
    """An object without arguments, as the protocols before 2 write it."""
    if len(arguments) != 3 or not isinstance(arguments[0], Named):
        return None
    kind, base, state = arguments
    if kind.role not in (Role.OBJECT, Role.ANY, Role.REFUSED) and kind.name != WRAPPER:
        return None
    of_object = _named(base, "builtins.object") and state is None
    of_dict = _named(base, "builtins.dict") and isinstance(state, Container) and state.kind is dict
    return Made(kind, arguments[2:]) if of_object or of_dict else None


def _dtype(callee: Named, arguments: Arguments) -> Made | None:
    if len(arguments) != 3 or arguments[1:] != (False, True):  # a copy, which nobody else uses
        return None
    layout = layout_named(arguments[0])
    if layout is None:
        return None
    made = Made(callee)
    made.layout = layout
    return made


def _shell(_callee: Named, arguments: Arguments) -> Made | None:
    """An array that gets its shape and data by its state."""
    if len(arguments) != 3 or not _named(arguments[0], NDARRAY, "numpy.matrix"):
        return None
    shape, kind = arguments[1:]
    return _array(SHELL) if elements(shape) == 0 and (kind in (b"b", "b") or _is_b(kind)) else None


def _is_b(kind: object) -> bool:
    return isinstance(kind, Data) and kind.length == 1  # `_codecs.encode('b', 'latin1')`


def _masked_shell(_callee: Named, arguments: Arguments) -> Made | None:
    if len(arguments) != 4 or not _named(arguments[0], "numpy.ma.MaskedArray", "numpy.ma.core.MaskedArray"):
        return None
    fits = _named(arguments[1], NDARRAY) and elements(arguments[2]) == 0 and arguments[3] in (b"b", "b")
    return _array(MASKED) if fits else None


def _array(of: str) -> Made:
    return Made(Named(of, Role.VALUE))


def _from_buffer(_callee: Named, arguments: Arguments) -> Made | None:
    if len(arguments) != 4:
        return None
    data, dtype, shape, order = arguments
    return _array(NDARRAY) if order in ("C", "F") and _fills(data, dtype, shape) else None


def _fills(data: object, dtype: object, shape: object) -> bool:
    """Tell whether these bytes are an array of this dtype and shape."""
    layout, count, length = layout_of(dtype), elements(shape), bytes_in(data)
    if layout is None or count is None or length is None or layout.is_object:
        return False
    return count * layout.itemsize == length


def array_state_fits(items: Arguments) -> bool:
    """Tell whether a state of `ndarray.__setstate__` describes its own data: version, shape, dtype, order, data."""
    if len(items) != 5 or items[0] != 1 or items[3] not in (0, 1):
        return False
    _, shape, dtype, _, data = items
    layout = layout_of(dtype)
    if layout is not None and layout.is_object:
        return isinstance(data, Container) and data.kind is list and elements(shape) == data.length
    return _fills(data, dtype, shape)


def _scalar(callee: Named, arguments: Arguments) -> Made | None:
    if len(arguments) != 2:
        return None
    layout = layout_of(arguments[0])
    fits = layout is not None and not layout.is_object and bytes_in(arguments[1]) == layout.itemsize
    return Made(callee) if fits else None


def _random_state(callee: Named, arguments: Arguments) -> Made | None:
    """A generator of numbers around a bit generator that the file made before."""
    bits = arguments[0] if arguments else None
    fits = isinstance(bits, Made) and bits.of.startswith("numpy.random.")
    fits = fits and (len(arguments) == 1 or (len(arguments) == 2 and _named(arguments[1], BIT_GENERATOR)))
    return Made(callee, arguments) if fits else None


def _partial(callee: Named, arguments: Arguments) -> Made | None:
    """Only what histogram gradient boosting keeps: scikit-learn's check of its input."""
    return Made(callee) if len(arguments) == 1 and _named(arguments[0], CHECK_ARRAY) else None


def partial_state_fits(items: Arguments) -> bool:
    """Tell whether a state of a partial is that of scikit-learn's check: function, arguments, keywords, attributes."""
    if len(items) != 4 or not _named(items[0], CHECK_ARRAY):
        return False
    keywords, attributes = items[2:]
    return (
        isinstance(items[1], Group)
        and not items[1].items
        and isinstance(keywords, Container)
        and keywords.length == len(keywords.entries)
        and all(type(each) in PLAIN or isinstance(each, Named | Container) for each in keywords.entries.values())
        and (attributes is None or (isinstance(attributes, Container) and not attributes.length))
    )


def _index(_callee: Named, arguments: Arguments) -> Made | None:
    """An index of data that are an array already; from others, pandas would parse names of types and time zones."""
    if len(arguments) != 2 or not isinstance(arguments[0], Named) or arguments[0].role is not Role.OBJECT:
        return None
    kind, keywords = arguments
    if not kind.name.startswith("pandas.") or not isinstance(keywords, Container) or keywords.kind is not dict:
        return None
    entries = keywords.entries
    if keywords.length != len(entries) or not entries.keys() <= {"data", "name", "start", "stop", "step"}:
        return None
    numbers = [entries[key] for key in ("start", "stop", "step") if key in entries]
    fits = all(type(each) is int for each in numbers) and isinstance(entries.get("data"), Made | None)
    return Made(kind, arguments) if fits else None


def _string_dtype(callee: Named, arguments: Arguments) -> Made | None:
    fits = len(arguments) <= 2 and (not arguments or arguments[0] in ("python", "pyarrow"))
    missing = arguments[1:]
    named = not missing or isinstance(missing[0], float) or (isinstance(missing[0], Named) and not loose_in(missing[0]))
    return Made(callee) if fits and named else None


RULES: Final[Mapping[str, Rule]] = {
    "_codecs.encode": _encode,
    "builtins.bytes": _buffer,
    "builtins.bytearray": _buffer,
    "builtins.set": _collection,
    "builtins.frozenset": _collection,
    "builtins.slice": _slice,
    "builtins.complex": _only(NUMBERS, NUMBERS),
    "builtins.range": _only(int, int, int),
    "collections.OrderedDict": _collection,
    "collections.defaultdict": _defaultdict,
    "copyreg._reconstructor": _reconstructor,
    "numpy.dtype": _dtype,
    "numpy._core.multiarray._reconstruct": _shell,
    "numpy._core.multiarray.scalar": _scalar,
    "numpy._core.numeric._frombuffer": _from_buffer,
    "numpy.ma.core._mareconstruct": _masked_shell,
    BIT_GENERATOR: _of_class("numpy.random."),
    "numpy.random._pickle.__generator_ctor": _random_state,
    "numpy.random._pickle.__randomstate_ctor": _random_state,
    "numpy.random.bit_generator.__pyx_unpickle_SeedSequence": _of_class("numpy.random.bit_generator.SeedSequence"),
    "functools.partial": _partial,
    **{
        f"sklearn.{module}.newObj": _of_class(f"sklearn.{module}.")
        for module in ("metrics._dist_metrics", "neighbors._kd_tree", "neighbors._ball_tree")
    },
    "sklearn._loss._loss.__pyx_unpickle_CyHalfMultinomialLoss": _of_class("sklearn._loss._loss.CyHalf"),
    "pandas._libs.arrays.__pyx_unpickle_NDArrayBacked": _of_class("pandas."),
    "pandas.core.indexes.base._new_Index": _index,
    "pandas.StringDtype": _string_dtype,
    "pandas.core.arrays.string_.StringDtype": _string_dtype,
}
