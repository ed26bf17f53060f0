"""Reads `model.skops`: the archive is judged as a whole, by the list that pickles have, before skops loads it.

skops has a list of its own that it trusts; ours is asked for every node, so that it does not widen ours. The format
is that of `skops.io`: a zip with `schema.json`, a tree of nodes that each name a class and the node's loader.
"""

import io
import warnings
import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

import orjson

from server.allowed import allowed_in_model, canonical
from server.calls import FACTORIES
from server.compression import TOO_LARGE
from server.errors import BundleError, one_line
from server.gate import gate_of_model
from server.judgement import Judgement
from server.machine import MAPPINGS
from server.states import VECTORIZERS
from server.symbols import Named, Role

SCHEMA: Final = "schema.json"
MAX_NODES: Final = 3_000_000

# The loaders that we know to do nothing but make what they name, and what they may make: names, or starts of names
# with a dot at their end. Most call what is named, so the list alone is not enough. Those of partials, methods and
# operators are left out: they call what the file names with what it likes.
MADE: Final[Mapping[str, tuple[str, ...]]] = {
    "BytearrayNode": ("builtins.bytearray",),
    "BytesNode": ("builtins.bytes",),
    "CachedNode": ("builtins.",),
    "DTypeNode": ("numpy.dtype",),
    "DefaultDictNode": ("collections.defaultdict",),
    "DictNode": ("builtins.dict", *MAPPINGS),
    "JsonNode": ("builtins.str",),
    "ListNode": ("builtins.list",),
    "LossNode": ("sklearn._loss._loss.", "sklearn.linear_model._sgd_fast."),
    "MaskedArrayNode": ("numpy.ma.MaskedArray",),
    "NdArrayNode": ("numpy.",),
    "RandomGeneratorNode": ("numpy.random._generator.Generator",),
    "RandomStateNode": ("numpy.random.mtrand.RandomState",),
    "SetNode": ("builtins.set",),
    "SliceNode": ("builtins.slice",),
    "SparseMatrixNode": ("scipy.sparse.",),
    "TreeNode": ("sklearn.tree._tree.Tree",),
    "TupleNode": ("builtins.tuple",),
}
# Made by loaders of their own, and never by a pickle.
RANDOM: Final = frozenset({*MADE["RandomGeneratorNode"], *MADE["RandomStateNode"]})
OF_ROLES: Final[Mapping[str, Role]] = {"FunctionNode": Role.VALUE, "ObjectNode": Role.OBJECT, "TypeNode": Role.VALUE}
# Classes that are listed for pickles as callables, and are made or kept here.
BESIDE: Final[Mapping[str, frozenset[str]]] = {"ObjectNode": MAPPINGS, "TypeNode": FACTORIES}


def load_skops(content: bytes, file: str, extra: frozenset[str], judgement: Judgement) -> Any:  # noqa: ANN401
    """Load an archive that was judged; raise `BundleError` that says why it cannot be."""
    gate_of_model(file, extra).refuse(judgement)
    try:
        import skops.io  # it imports all of scikit-learn, and hardly anybody needs it
    except ModuleNotFoundError:
        msg = f"{file} needs skops, which is not installed; install brinery[skops], or export a model.pkl."
        raise BundleError(msg) from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Every name in it was found on our list before.
            return skops.io.loads(content, trusted=skops.io.get_untrusted_types(data=content))
    except Exception as error:  # a broken archive can raise anything
        msg = f"{file} cannot be loaded ({one_line(error)}); write it again with skops."
        raise BundleError(msg) from None


def judge_skops(content: bytes, file: str, extra: frozenset[str], max_bytes: int) -> Judgement:
    """Go through an archive without loading anything; raise `BundleError` for what is none, or too large."""
    judgement = Judgement()
    allowed = allowed_in_model(extra)
    nodes = list(_nodes(_schema(content, file, max_bytes), file))
    differing = _differing(nodes)
    for node in nodes:
        loader = str(node["__loader__"])
        named = allowed.named(str(node.get("__module__")), str(node.get("__class__")))
        if loader not in MADE and loader not in OF_ROLES:
            judgement.misused[f"skops.{loader}"] = None
        elif not _fits(loader, named):
            (judgement.refused if named.role is Role.REFUSED else judgement.misused)[named.name] = None
        if named.name in VECTORIZERS and not _takes_texts(node, differing):
            judgement.misused[named.name] = None
        version = _json(_entries(node).get("_sklearn_version"))
        if judgement.version is None and isinstance(version, str):
            judgement.version = version
    return judgement


def named_in_skops(content: bytes, file: str, max_bytes: int) -> list[str]:
    """Name the globals that an archive names, sorted; see `judge_skops`."""
    nodes = _nodes(_schema(content, file, max_bytes), file)
    return sorted({canonical(str(node.get("__module__")), str(node.get("__class__"))) for node in nodes})


def _fits(loader: str, named: Named) -> bool:
    """Tell whether a loader may make what a node names."""
    if loader in OF_ROLES:
        return named.role in (OF_ROLES[loader], Role.ANY) or named.name in BESIDE.get(loader, ())
    if named.name in RANDOM:
        return named.name in MADE[loader]
    starts = tuple(each for each in MADE[loader] if each.endswith("."))
    listed = named.role is not Role.REFUSED
    return listed and (named.name in MADE[loader] or named.name.startswith(starts))


def _schema(content: bytes, file: str, max_bytes: int) -> Any:  # noqa: ANN401
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            if sum(member.file_size for member in members) > max_bytes:
                msg = f"{file} has more than {max_bytes} bytes once it is decompressed; {TOO_LARGE}"
                raise BundleError(msg)
            names = [member.filename for member in members]
            if len(set(names)) == len(names):  # of two, one would be judged and the other loaded
                return orjson.loads(archive.read(SCHEMA))
    except (zipfile.BadZipFile, KeyError, ValueError, NotImplementedError, RuntimeError, OSError, EOFError):
        pass
    msg = f"{file} is no archive of skops, or damaged; write it again with skops."
    raise BundleError(msg)


def _nodes(schema: Any, file: str) -> Iterator[dict[str, Any]]:  # noqa: ANN401
    """Give every node, wherever it stands."""
    waiting, seen = [schema], 0
    while waiting:
        each = waiting.pop()
        seen += 1
        if seen > MAX_NODES:
            msg = f"{file} has more nodes than a model may have; export a model.pkl."
            raise BundleError(msg)
        if isinstance(each, dict):
            if "__loader__" in each:
                yield each
            waiting.extend(value for value in each.values() if isinstance(value, dict | list))
        elif isinstance(each, list):
            waiting.extend(value for value in each if isinstance(value, dict | list))


def _takes_texts(vectorizer: Mapping[str, Any], differing: Collection[object]) -> bool:
    """Tell whether it says plainly that what it is given are texts, and not the names of files."""
    if vectorizer["__loader__"] != "ObjectNode":  # the class itself, of which nothing is made
        return True
    state, entries = vectorizer.get("content"), _entries(vectorizer)
    given = entries.get("input")
    return (
        isinstance(state, dict)
        and state.get("__loader__") == "DictNode"
        and all(map(str.isidentifier, entries))  # a key may be made of another text, such as one with a zero behind
        and isinstance(given, dict)
        and given.get("__loader__") == "JsonNode"
        and _json(given) == "content"
        and not any(_id(each) in differing for each in (vectorizer, state, given))
    )


def _differing(nodes: Iterable[Mapping[str, Any]]) -> set[object]:
    """Give the ids of nodes that differ: skops takes the first of them for all, whatever the others say."""
    first: dict[object, Mapping[str, Any]] = {}
    differing: set[object] = set()
    for node in nodes:
        number = _id(node)
        if number is not None and node["__loader__"] != "CachedNode" and first.setdefault(number, node) != node:
            differing.add(number)
    return differing


def _id(node: Mapping[str, Any]) -> int | float | str | None:
    number = node.get("__id__")
    return number if isinstance(number, int | float | str) else None


def _entries(node: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give the nodes of an object's state by their names."""
    state = node.get("content")
    entries = state.get("content") if isinstance(state, dict) else None
    return entries if isinstance(entries, dict) else {}


def _json(node: Any) -> object:  # noqa: ANN401
    """Give the value of a node that holds one as JSON, itself for any other."""
    text = node.get("content") if isinstance(node, dict) else None
    try:
        return orjson.loads(text) if isinstance(text, str) else node
    except ValueError:
        return node
