"""The list of what a file of the bundle may name: exact globals, each with what it may be used for.

It stands in `allowed.txt`, so that nothing has to be imported, or searched for, to know it. `REPLACED` are listed
callables for which the gate puts its own, narrower ones.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from typing import Final

from server.symbols import Named, Role

# The names under which older releases wrote the same things: numpy's before 2, and Python 2's in protocols before 3.
MODULES: Final[Mapping[str, str]] = {
    "__builtin__": "builtins",
    "copy_reg": "copyreg",
    "numpy.core.multiarray": "numpy._core.multiarray",
    "numpy.core.numeric": "numpy._core.numeric",
}
NAMES: Final[Mapping[str, str]] = {
    "builtins.xrange": "builtins.range",
    "builtins.long": "builtins.int",
    "builtins.unicode": "builtins.str",
    # joblib says so of an array that was mapped when it was written; nothing is mapped here.
    "numpy.memmap": "numpy.ndarray",
}
PLAIN_DATA: Final = "plain"


class Allowed:
    """What one file may name: its own list and, for a model, the globals that the operator trusts."""

    def __init__(self, roles: Mapping[str, Role], extra: Iterable[str] = ()) -> None:
        self._roles = {**roles, **dict.fromkeys(extra, Role.ANY)}

    def named(self, module: str, name: str) -> Named:
        """Give the global of a pickle's two texts; its role is `REFUSED` if it is not on the list."""
        full = canonical(module, name)
        role = Role.REFUSED if "." in name else self._roles.get(full, Role.REFUSED)
        return Named(full, role)


class Noting(Allowed):
    """What a model may name, with a note of the `names` that were asked for."""

    def __init__(self, extra: Iterable[str] = ()) -> None:
        super().__init__(listed()["all"], extra)
        self.names: set[str] = set()

    def named(self, module: str, name: str) -> Named:
        """Give the global, and note it."""
        named = super().named(module, name)
        self.names.add(named.name)
        return named


def canonical(module: str, name: str) -> str:
    """Give the name of a global as the list has it: its module as it is called today, a dot, and its name."""
    full = f"{MODULES.get(module, module)}.{name}"
    return NAMES.get(full, full)


def allowed_in_model(extra: Iterable[str] = ()) -> Allowed:
    """Give what a model may name; `extra` are exact globals, `package.module.Name`, that the operator trusts."""
    return Allowed(listed()["all"], extra)


def allowed_in_data() -> Allowed:
    """Give what lookup and labels may name: builtins and numpy's scalars and arrays."""
    return Allowed(listed()[PLAIN_DATA])


@cache
def listed() -> Mapping[str, Mapping[str, Role]]:
    """Read the list: the roles of `all` globals, and of those for `plain` data."""
    everything: dict[str, Role] = {}
    plain: dict[str, Role] = {}
    role = Role.REFUSED
    into_plain = False
    for line in resources.files("server").joinpath("allowed.txt").read_text(encoding="ascii").splitlines():
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            words = line[1:-1].split()
            role, into_plain = Role(words[-1]), words[0] == PLAIN_DATA
            continue
        everything[line] = role
        if into_plain:
            plain[line] = role
    return {"all": everything, PLAIN_DATA: plain}
