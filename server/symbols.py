"""What a pickle would make, as far as the gate has to know it: symbols instead of objects."""

from collections.abc import Iterable
from enum import Enum
from typing import Any, Final

from server.opcodes import Data, Malformed, Text

# Objects within objects; deeper ones end the process in C code that calls itself, and no pickler writes them.
MAX_DEPTH: Final = 2_000
# Of a mapping, so many entries are kept: enough for the states that the rules ask about.
KEPT_ENTRIES: Final = 200


class Role(Enum):
    """What a listed global may be used for in a pickle."""

    OBJECT = "objects"  # a class, of which objects are made without calling it
    CALL = "calls"  # called, with arguments of its rule
    VALUE = "values"  # a part of a state, and never called
    ANY = "any"  # what the operator trusts
    REFUSED = "refused"


class Named:
    """A global."""

    __slots__ = ("name", "role")

    def __init__(self, name: str, role: Role) -> None:
        self.name = name
        self.role = role


class Group:
    """A tuple; `weight` is the number of its parts, and theirs, each counted as often as it is reached."""

    __slots__ = ("depth", "items", "loose", "weight")

    def __init__(self, items: tuple[Any, ...]) -> None:
        self.items = items
        self.depth = 0
        self.weight = 1 + len(items)
        self.loose: Named | None = None
        for item in items:
            if type(item) not in PLAIN:
                self.weight += weight_of(item)
                self.loose = self.loose or loose_in(item)
                self.depth = deeper(self.depth, item)


class Container:
    """A list, dict or set; of a dict, the entries whose keys are short texts.

    It is `frozen` once something relies on what it holds.
    """

    __slots__ = ("depth", "entries", "frozen", "kind", "length", "weight")

    def __init__(self, kind: type) -> None:
        self.kind = kind
        self.entries: dict[str, Any] = {}
        self.frozen = False
        self.length = 0
        self.depth = 0
        self.weight = 1


class Made:
    """An object of the class `of`, or what the function `of` gives; `layout` is a dtype's.

    It is `built` once it has its state, or something relies on what it is.
    """

    __slots__ = ("built", "depth", "layout", "of", "role")

    def __init__(self, of: Named, arguments: Iterable[Any] = ()) -> None:
        self.of = of.name
        self.role = of.role
        self.depth = 0
        self.built = False
        self.layout: Any = None
        for item in arguments:
            self.depth = deeper(self.depth, item)


PLAIN: Final = frozenset({type(None), bool, int, float, str, bytes, Text, Data})


def deeper(depth: int, item: object) -> int:
    """Give the depth of something of this depth that now holds `item`."""
    if type(item) not in PLAIN and not isinstance(item, Named):
        depth = max(depth, 1 + item.depth)  # type: ignore[attr-defined]
        if depth > MAX_DEPTH:
            msg = f"its objects are nested more than {MAX_DEPTH} deep"
            raise Malformed(msg)
    return depth


def weight_of(item: object) -> int:
    """Give how much there is to walk through when `item` is hashed."""
    return item.weight if isinstance(item, Group | Container) else 1


def loose_in(item: object) -> Named | None:
    """Give the global in `item` that must not be handed on: whatever it is given to could call it."""
    if isinstance(item, Named):
        return None if item.role in (Role.VALUE, Role.ANY, Role.REFUSED) else item
    return item.loose if isinstance(item, Group) else None
