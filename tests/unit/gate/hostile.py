"""Files that would run code, read files, or eat memory and time if they were loaded naively; every payload is harmless.

`files(canary)` gives them by name. Whatever runs leaves a file at `canary`.
"""

import bz2
import functools
import gzip
import importlib
import io
import lzma
import os
import pickle
import subprocess
import timeit
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from struct import pack
from typing import Any

import joblib
import numpy as np
from sklearn.linear_model import LogisticRegression

from server.symbols import KEPT_ENTRIES


class Call:
    """Is pickled as a call of `function(*arguments)`."""

    def __init__(self, function: Any, *arguments: Any, state: Any = None) -> None:
        self.parts = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> Any:
        return self.parts


def text(value: str) -> bytes:
    """Write a text."""
    data = value.encode("utf-8", "surrogatepass")
    return b"X" + pack("<I", len(data)) + data


def named(module: str, name: str) -> bytes:
    """Name a global by two texts."""
    return text(module) + text(name) + b"\x93"


def call(module: str, name: str, *arguments: bytes) -> bytes:
    """Call a global with arguments that are written already."""
    return named(module, name) + b"(" + b"".join(arguments) + b"tR"


def new(module: str, name: str) -> bytes:
    """Make an object of a class without calling it."""
    return named(module, name) + b")\x81"


def whole(operations: bytes, protocol: int = 4) -> bytes:
    """Make a pickle of operations."""
    return b"\x80" + bytes([protocol]) + operations + b"."


def number(value: int) -> bytes:
    """Write an integer."""
    data = value.to_bytes(max(1, (value.bit_length() + 8) // 8), "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def dtype(name: str, *state: bytes) -> bytes:
    """Write a dtype, with a state if one is given."""
    made = call("numpy", "dtype", text(name), b"\x89", b"\x88")
    return made + (b"(" + b"".join(state) + b"tb" if state else b"")


F8 = dtype("f8", b"K\x03", text("<"), b"NNN", number(-1), number(-1), b"K\x00")
SHELL = call("numpy._core.multiarray", "_reconstruct", named("numpy", "ndarray"), b"K\x00\x85", b"C\x01b")
MODEL = new("sklearn.linear_model._logistic", "LogisticRegression")


def joblib_bytes(value: Any, compress: Any = 0, protocol: int | None = None) -> bytes:
    """Write a value as joblib does."""
    buffer = io.BytesIO()
    joblib.dump(value, buffer, compress=compress, protocol=protocol)
    return buffer.getvalue()


def files(canary: Path) -> Mapping[str, bytes]:
    """Give every hostile file by its name."""
    touch = f"touch {canary}"
    system = Call(os.system, touch)
    return {
        **dict(_calls(canary, system)),
        **dict(_names(touch)),
        **dict(_operations(touch)),
        **dict(_wrapped(canary, system)),
        **dict(_listed_ones_misused(canary)),
        **dict(_too_much()),
        **dict(_no_pickles()),
    }


def _calls(canary: Path, system: Call) -> Iterator[tuple[str, bytes]]:
    opening = f"open({str(canary)!r}, 'w')"
    for protocol in range(6):
        yield f"os.system by protocol {protocol}", pickle.dumps(system, protocol)
        yield f"os.system by joblib, protocol {protocol}", joblib_bytes(system, protocol=protocol)
    functions: dict[str, Any] = {
        "eval": Call(eval, opening),
        "exec": Call(exec, opening),
        "compile": Call(compile, opening, "x", "eval"),
        "open": Call(open, str(canary), "w"),
        "getattr": Call(getattr, "x", "upper"),
        "import": Call(__import__, "os"),
        "importlib": Call(importlib.import_module, "os"),
        "popen": Call(subprocess.Popen, ["touch", str(canary)]),
        "os.popen": Call(os.popen, f"touch {canary}"),
        "timeit": Call(timeit.timeit, opening, "pass", timeit.default_timer, 1),
        "pickle.loads": Call(pickle.loads, pickle.dumps(system)),
        "joblib.load": Call(joblib.load, "x.pkl"),
        "numpy.load": Call(np.load, "x.npy"),
        "numpy.savetxt": Call(np.savetxt, str(canary), [1.0]),
        "numpy.fromfile": Call(np.fromfile, "/etc/passwd"),
        "numpy.memmap": Call(np.memmap, str(canary), "u1", "w+", 0, (4,)),
        "numpy.frompyfunc": Call(np.frompyfunc, eval, 1, 1),
        "partial": functools.partial(os.system, f"touch {canary}"),
        "partial of nothing": Call(functools.partial, print),
        "reduce": Call(functools.reduce, os.system, [f"touch {canary}"]),
        "map": Call(map, os.system, [f"touch {canary}"]),
        "type": Call(type, "X", (), {}),
        "in a list": [1, [2, system]],
        "in a mapping": {"a": {1: system}},
        "in an array": np.array([system], dtype=object),
        "in a model": {"model": LogisticRegression(), "extra": system},
        "in a state": _with(LogisticRegression(), coef_=system),
        "in a parameter": LogisticRegression(C=system),
        "twice": [system, system],
    }
    for name, value in functions.items():
        yield name, pickle.dumps(value)
        yield f"{name}, by joblib", joblib_bytes(value)
    more = [
        ("pandas", "read_pickle"),
        ("pandas", "eval"),
        ("pandas.core.computation.eval", "eval"),
        ("sklearn.datasets", "fetch_openml"),
        ("sklearn.datasets._svmlight_format_io", "load_svmlight_file"),
        ("sklearn.utils._testing", "run_module_suite"),
        ("sklearn.utils.fixes", "_mode"),
        ("xgboost.core", "DMatrix"),
        ("lightgbm.basic", "Dataset"),
        ("scipy.io", "loadmat"),
        ("scipy.stats._distn_infrastructure", "rv_continuous_frozen"),
        ("types", "FunctionType"),
        ("types", "CodeType"),
        ("operator", "attrgetter"),
        ("operator", "methodcaller"),
        ("ctypes", "CDLL"),
        ("socket", "create_connection"),
        ("urllib.request", "urlopen"),
        ("webbrowser", "open"),
        ("shutil", "rmtree"),
        ("runpy", "run_path"),
        ("code", "interact"),
        ("pty", "spawn"),
        ("site", "execsitecustomize"),
        ("pip", "main"),
        ("server.bundle", "read_bundle"),
        ("sys", "exit"),
        ("sys", "setrecursionlimit"),
        ("os", "_exit"),
        ("builtins", "exit"),
        ("copyreg", "add_extension"),
        ("_codecs", "decode"),
        ("codecs", "open"),
        ("__main__", "anything"),
    ]
    for module, name in more:
        yield f"{module}.{name}", whole(call(module, name, text(str(canary))))


def _with(estimator: Any, **state: Any) -> Any:
    vars(estimator).update(state)
    return estimator


def _names(touch: str) -> Iterator[tuple[str, bytes]]:
    argument = text(touch) + b"\x85R"
    system = f"(V{touch}\nt"
    yield "GLOBAL", f"cos\nsystem\n{system}R.".encode()
    yield "GLOBAL of posix", f"cposix\nsystem\n{system}R.".encode()
    yield "GLOBAL of Python 2", f"c__builtin__\neval\n{system}R.".encode()
    yield "Python 2's map", f"citertools\nimap\n{system}R.".encode()
    yield "Python 2's name", f"ccommands\ngetoutput\n{system}R.".encode()
    yield "INST", f"(V{touch}\nios\nsystem\n.".encode()
    yield "OBJ", b"(" + named("os", "system") + text(touch) + b"o."
    yield "NEWOBJ", whole(named("os", "system") + text(touch) + b"\x85\x81")
    yield "NEWOBJ_EX", whole(named("subprocess", "Popen") + text(touch) + b"\x85}\x92")
    yield "dotted", whole(named("sklearn", "os.system") + argument)
    yield "dotted, a listed one", whole(named("numpy", "ndarray.tofile") + argument)
    yield "dotted module", whole(named("sklearn.os", "system") + argument)
    yield "no module", whole(named("", "eval") + argument)
    yield "no name", whole(named("os", "") + argument)
    yield "by the memo", whole(text("os") + b"q\x000" + text("system") + b"q\x010h\x00h\x01\x93" + argument)
    yield "by the long memo", whole(text("system") + b"\x940" + text("os") + b"h\x00\x93" + argument)
    yield "by a text of bytes", whole(b"C\x02osC\x06system\x93" + argument)
    yield "by an old text", whole(b"U\x02osU\x06system\x93" + argument)
    yield "by an old quoted text", whole(b"S'os'\nS'system'\n\x93" + argument)
    yield "by a text with escapes", b"V\\u006fs\nVsyste\\u006d\n\x93" + argument + b"."
    yield "by a text in bits", whole(b"\x8c\x02os\x8d" + pack("<Q", 6) + b"system\x93" + argument)
    yield "behind a pop", whole(text("numpy") + text("x") + b"0" + text("savetxt") + b"\x93" + argument)
    yield "in full width", whole(named("\uff4f\uff53", "\uff53\uff59\uff53\uff54\uff45\uff4d") + argument)
    yield "with a zero", whole(named("os\0", "system") + argument)
    yield "with a line", whole(named("os\nx", "system\n") + argument)
    yield "with a surrogate", whole(named("\ud800", "system") + argument)
    yield "by a number", whole(b"K\x01K\x02\x93" + argument)
    yield "never called", whole(named("os", "system"))
    yield "thrown away", whole(named("os", "system") + b"0N")
    yield "called and thrown away", whole(named("os", "system") + argument + b"0N")
    yield "behind a mark", whole(b"N(" + named("os", "system") + argument + b"1")
    yield "in a frame", whole(b"\x95" + pack("<Q", 200) + named("os", "system") + argument)
    many = b"".join(named("os", f"f{index}") + b"0" for index in range(100))
    yield "a hundred", whole(many + b"N")
    yield "a long one", whole(named("a" * 10_000, "b" * 10_000))


def _operations(touch: str) -> Iterator[tuple[str, bytes]]:
    argument = text(touch) + b"\x85R"
    for code in (b"\x82\x01", b"\x83\x01\x00", b"\x84\x01\x00\x00\x00"):
        yield f"extension {code.hex()}", whole(code + argument)
    yield "PERSID", b"Pos.system\n."
    yield "BINPERSID", whole(text("os.system") + b"Q")
    yield "NEXT_BUFFER", whole(b"\x97", 5)
    yield "READONLY_BUFFER", whole(b"N\x98", 5)
    yield "DUP", whole(named("os", "system") + b"2" + argument)
    yield "protocol 6", whole(b"N", 6)
    yield "protocol 255", whole(b"N", 255)
    yield "a second protocol", whole(b"\x80\x02c__builtin__\neval\n" + argument)
    yield "a state for a class", whole(named("sklearn.linear_model._logistic", "LogisticRegression") + b"}b")
    yield "a state for a function", whole(named("numpy", "mean") + b"}" + text("__call__") + b"Nsb")
    yield "a state for a list", whole(b"]}b")
    yield "attributes by slots", whole(MODEL + b"N}" + text("__class__") + text("x") + b"s\x86b")
    yield "items of a class", whole(named("sklearn.svm._classes", "SVC") + text("a") + text("b") + b"s")
    yield "items of an object", whole(MODEL + b"(" + text("a") + text("b") + b"u")
    yield "appending to an object", whole(MODEL + b"(K\x01e")
    yield "adding to an object", whole(MODEL + b"(K\x01\x90")
    yield "two states", whole(MODEL + b"}b}b")
    yield "calling an object", whole(MODEL + b")R")
    yield "calling a text", whole(text("os.system") + b")R")
    yield "calling with a list", whole(named("builtins", "slice") + b"]R")
    yield "an object of an object", whole(MODEL + b")\x81")
    yield "a state that is a class", whole(MODEL + named("sklearn.svm._classes", "SVC") + b"b")
    yield "a class as it is", whole(named("sklearn.svm._classes", "SVC"))
    yield "two values", whole(b"NN")
    yield "a mark too many", whole(b"(N")
    yield "nothing", whole(b"")
    yield "an unknown operation", whole(b"\xff")
    yield "a key alone", whole(b"}(Nu")
    yield "popping from nothing", whole(b"0N")
    yield "getting nothing", whole(b"h\x07")
    yield "memoizing nothing", whole(b"\x94N")


def _wrapped(canary: Path, system: Call) -> Iterator[tuple[str, bytes]]:
    evil = pickle.dumps(system)
    for codec in ("zlib", "gzip", "bz2", "lzma", "xz"):
        yield f"joblib by {codec}", joblib_bytes(system, (codec, 3))
    compressions: list[Callable[[bytes], bytes]] = [zlib.compress, gzip.compress, bz2.compress, lzma.compress]
    for compress in compressions:
        yield f"compressed by {compress.__module__}", compress(evil)
        yield f"compressed by {compress.__module__}, and more", compress(pickle.dumps([1])) + evil
    yield "compressed twice", zlib.compress(zlib.compress(evil))
    yield "compressed by lz4", b"\x04\x22\x4d\x18" + evil
    for kind in ("f8", "u1", "U3", "M8[D]"):
        yield f"behind an array of {kind}", joblib_bytes([np.zeros(9, kind), system])
    yield "behind an array, compressed", joblib_bytes([np.arange(9.0), system], ("zlib", 3))
    yield "in an array of objects", joblib_bytes([np.array([1, system], dtype=object)])
    yield "behind an array of objects", joblib_bytes([np.array([1, "a"], dtype=object), system])
    yield "in an array in an array", joblib_bytes(np.array([[np.array([system], dtype=object)], 1], dtype=object))
    in_data = joblib_bytes([np.frombuffer(evil, "u1"), 1])
    yield "an array that is said to be shorter", in_data.replace(b"K" + bytes([len(evil)]), b"K\x01", 1)
    yield "trailing", pickle.dumps([1]) + evil
    yield "trailing, by joblib", joblib_bytes([np.arange(9.0)]) + evil
    yield "trailing bytes", pickle.dumps([1]) + b"\n"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("data.pkl", evil)
    yield "in an archive", buffer.getvalue()
    npy = io.BytesIO()
    np.save(npy, np.array([system], dtype=object), allow_pickle=True)
    yield "in numpy's own file", npy.getvalue()
    wrapper = named("joblib.numpy_pickle", "NumpyArrayWrapper") + b")\x81"
    yield "an array of joblib's without a state", whole(wrapper)
    yield "an array of joblib's with another state", whole(wrapper + b"}b")
    yield "an array of an older joblib", whole(new("joblib.numpy_pickle_compat", "NDArrayWrapper") + b"}b")
    state = (("shape", b"(K\x02t"), ("order", text("C")), ("dtype", F8), ("subclass", named("os", "system")))
    yield (
        "an array of joblib's of another class",
        whole(wrapper + b"}(" + b"".join(text(key) + each for key, each in state) + b"ub" + b"\0" * 16),
    )


def _listed_ones_misused(canary: Path) -> Iterator[tuple[str, bytes]]:
    path = text(str(canary))
    yield "codecs", whole(call("_codecs", "encode", path, text("rot13")))
    yield "codecs, of bytes", whole(call("_codecs", "encode", b"C\x01a", text("latin1")))
    reconstruct = ("copyreg", "_reconstructor")
    listed = named("sklearn.svm._classes", "SVC")
    yield "reconstructor of a text", whole(call(*reconstruct, listed, named("builtins", "str"), path))
    yield "reconstructor of a list", whole(call(*reconstruct, listed, named("builtins", "list"), b"]"))
    yield "reconstructor of a model", whole(call(*reconstruct, listed, listed, b"N"))
    yield "reconstructor with a state", whole(call(*reconstruct, listed, named("builtins", "object"), path))
    yield "calling an estimator", whole(call("sklearn.svm._classes", "SVC"))
    yield "calling a Booster", whole(call("xgboost.core", "Booster", b"N", b"N", path))
    yield "a Booster with arguments", whole(named("lightgbm.basic", "Booster") + path + b"\x85\x81")
    yield "calling a value", whole(call("numpy", "mean", b"]"))
    yield "a state with a class", whole(MODEL + b"}" + text("predict") + named("xgboost.core", "Booster") + b"sb")
    hidden = text("predict") + named("xgboost.core", "Booster") + b"\x85\x85s"
    yield "a state with a class in a tuple", whole(MODEL + b"}" + hidden + b"b")
    yield "a list with a function", whole(b"](" + named("numpy.random._pickle", "__randomstate_ctor") + b"e")
    vectorizer = new("sklearn.feature_extraction.text", "TfidfVectorizer")
    for how in ("filename", "file"):
        yield f"a vectorizer of {how}", whole(vectorizer + b"}" + text("input") + text(how) + b"sb")
    many = b"".join(text(f"x{index}") + b"N" for index in range(KEPT_ENTRIES))
    yield (
        "a vectorizer of files behind much",
        whole(vectorizer + b"}(" + many + text("input") + text("filename") + b"ub"),
    )
    five = call("numpy", "dtype", text("U5") + b"\x89\x88")
    alike = call("numpy._core.multiarray", "scalar", five, b"C\x14" + "input".encode("utf-32-le"))
    yield "a vectorizer of files by numpy's text", whole(vectorizer + b"}" + alike + text("filename") + b"sb")
    ctor = named("numpy.random._pickle", "__bit_generator_ctor")
    yield "any constructor", whole(call("numpy.random._pickle", "__bit_generator_ctor", listed))
    yield "a generator by a function", whole(call("numpy.random._pickle", "__randomstate_ctor", path, ctor))
    yield "a new object of anything", whole(call("sklearn.neighbors._kd_tree", "newObj", listed))
    yield "an index of anything", whole(call("pandas.core.indexes.base", "_new_Index", listed, b"}"))
    zone = b"}(" + text("data") + b"]" + text("dtype") + text("datetime64[ns, dateutil//etc/passwd]") + b"u"
    yield "an index that opens", whole(call("pandas.core.indexes.base", "_new_Index", named("pandas", "Index"), zone))
    yield "a mapping by a class", whole(call("collections", "defaultdict", named("sklearn.svm._classes", "SVC")))
    yield "a mapping by a function", whole(call("collections", "defaultdict", named("numpy", "mean")))
    check = named("sklearn.utils.validation", "check_array")
    part = named("functools", "partial") + check + b"\x85R"
    yield "a partial with another state", whole(part + b"(" + named("numpy", "mean") + b")}Ntb")
    yield "a partial with arguments", whole(part + b"(" + check + path + b"\x85}Ntb")
    yield (
        "an array of a size",
        whole(
            call(
                "numpy._core.multiarray", "_reconstruct", named("numpy", "ndarray"), number(2**40) + b"\x85", b"C\x01b"
            )
        ),
    )
    yield "an array of a model", whole(call("numpy._core.multiarray", "_reconstruct", listed, b"K\x00\x85", b"C\x01b"))
    objects = dtype("O8", b"K\x03", text("|"), b"NNN", number(-1), number(-1), b"K\x3f")
    eight = b"C\x08" + b"A" * 8
    yield "pointers by an array", whole(SHELL + b"(K\x01K\x01\x85" + objects + b"\x89" + eight + b"tb")
    yield (
        "pointers by a buffer",
        whole(call("numpy._core.numeric", "_frombuffer", eight, objects, b"K\x01\x85", text("C"))),
    )
    yield "pointers by a scalar", whole(call("numpy._core.multiarray", "scalar", objects, eight))
    yield "a class by a scalar", whole(call("numpy._core.multiarray", "scalar", objects, listed) + b"}b")
    for kind, flags in (("O8", 0), ("f8", 63), ("V8", 7)):
        size = b"".join(number(8 if kind == "V8" else -1) for _ in range(2))
        lie = dtype(kind, b"K\x03", text("|"), b"NNN", size, number(flags))
        yield f"a dtype {kind} that lies", whole(SHELL + b"(K\x01K\x01\x85" + lie + b"\x89" + eight + b"tb")
    fields = b"}" + text("a") + objects + b"K\x00\x86s"
    record = dtype("V8", b"K\x03", text("|"), b"N", text("a") + b"\x85", fields, b"K\x08K\x01K\x10")
    yield "pointers in a record", whole(SHELL + b"(K\x01K\x01\x85" + record + b"\x89" + eight + b"tb")
    outside = b"}" + text("a") + F8 + b"M\x00\x10\x86s"
    record = dtype("V8", b"K\x03", text("|"), b"N", text("a") + b"\x85", outside, b"K\x08K\x01K\x10")
    yield "a record beyond its end", whole(SHELL + b"(K\x01K\x01\x85" + record + b"\x89" + eight + b"tb")
    late = dtype("V8") + b"q\x00" + b"0" + SHELL + b"(K\x01K\x01\x85h\x00\x89" + eight + b"tb0"
    yield "a dtype that changes", whole(late + b"h\x00(K\x03" + text("|") + b"NNNM\x00\x10K\x01K\x00tb")
    yield "an array shorter than it says", whole(SHELL + b"(K\x01K\x09\x85" + F8 + b"\x89" + eight + b"tb")
    yield (
        "an array of less than nothing",
        whole(SHELL + b"(K\x01" + number(-1) + b"\x85" + F8 + b"\x89" + eight + b"tb"),
    )
    yield (
        "a shared dtype",
        whole(
            call("numpy", "dtype", text("f8"), b"\x89", b"\x89")
            + b"(K\x03"
            + text(">")
            + b"NNNJ\xff\xff\xff\xffK\x00K\x00tb"
        ),
    )
    yield "a buffer of a size", whole(call("builtins", "bytearray", number(2**40)))
    yield (
        "a range as a set",
        whole(call("builtins", "set", call("builtins", "range", b"K\x00", number(2**62), b"K\x01"))),
    )


def _too_much() -> Iterator[tuple[str, bytes]]:
    laughs = b"N\x85" + b"".join(b"q" + bytes([index]) + b"h" + bytes([index]) + b"\x86" for index in range(64))
    yield "hashing for ever", whole(b"}" + laughs + b"Ns")
    yield "hashing for ever, in a set", whole(b"\x8f(" + laughs + b"\x90")
    yield "hashing for ever, in a frozen set", whole(b"(" + laughs + b"\x91")
    yield "hashing for ever, by a call", whole(named("builtins", "set") + b"](" + laughs + b"e\x85R")
    yield "nesting for ever", whole(b"}" + b"N" + b"\x85" * 100_000 + b"Ns")
    yield "nesting lists for ever", whole(b"]" * 100_000 + b"a" * 99_999)
    yield "memo for ever", whole(b"Nr\xff\xff\xff\xff")
    yield "memo for ever, as text", b"Np99999999999\n."
    yield "BINBYTES8", whole(b"\x8e" + pack("<Q", 2**62) + b"a")
    yield "BYTEARRAY8", whole(b"\x96" + pack("<Q", 2**40) + b"a", 5)
    yield "BINUNICODE8", whole(b"\x8d" + pack("<Q", 2**63 - 1) + b"a")
    yield "FRAME", whole(b"\x95" + pack("<Q", 2**63 - 1) + b"N")
    yield "LONG4", whole(b"\x8b" + pack("<i", 50_000) + b"\x01" * 50_000)
    yield "LONG4, less than nothing", whole(b"\x8b" + pack("<i", -1) + b"\x01")
    yield "LONG", b"L" + b"9" * 1_000_000 + b"L\n."
    yield "INT", b"I" + b"9" * 4_000 + b"\n."
    yield "INT, octal", b"I010\n."
    yield "INT, none", b"Ix\n."
    yield "BINSTRING, less than nothing", whole(b"T" + pack("<i", -1) + b"a")
    yield "a bomb", zlib.compress(b"\x80\x04" + b"N0" * 1_000_000)
    yield "a bomb of gzip", gzip.compress(b"\x00" * 20_000_000)
    yield "a bomb of xz", lzma.compress(b"\x00" * 20_000_000)


def _no_pickles() -> Iterator[tuple[str, bytes]]:
    good = pickle.dumps(LogisticRegression())
    yield "empty", b""
    yield "half", good[: len(good) // 2]
    yield "without its end", good[:-1]
    yield "only its start", good[:2]
    yield "a dot", b"."
    yield "zeros", b"\0" * 1_000
    yield "HTML", b"<!DOCTYPE html>\n<html>404</html>"
    yield "JSON", b'{"a": 1}'
    yield "a pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    yield "bytes in order", bytes(range(256)) * 20
    for name, compress in (("zlib", zlib.compress), ("gzip", gzip.compress), ("bz2", bz2.compress)):
        yield f"half, by {name}", compress(good)[:-20]
