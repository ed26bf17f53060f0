"""Which states a pickle may give to the objects that it makes."""

from typing import Any, Final

from server.calls import MASKED, NDARRAY, PARTIAL, SHELL, WRAPPER, array_state_fits, partial_state_fits
from server.layouts import layout_built
from server.symbols import Container, Group, Made, Role

# These read the files that a caller's texts name.
VECTORIZERS: Final = frozenset(
    f"sklearn.feature_extraction.text.{name}" for name in ("CountVectorizer", "HashingVectorizer", "TfidfVectorizer")
)


def state_fits(made: Made, state: Any) -> bool:  # noqa: ANN401
    """Tell whether an object may get this state, and note in it what it becomes by that."""
    if made.built:
        return False  # a second state could go to what the first one put in the way
    items = state.items if isinstance(state, Group) else ()
    if made.layout is not None:
        made.layout = layout_built(made.layout, state)
        return made.layout is not None
    if made.of == SHELL:
        made.of = NDARRAY
        return array_state_fits(items)
    if made.of == MASKED:
        made.of = NDARRAY
        return len(items) == 7 and array_state_fits((1, *items[1:5]))
    if made.of == PARTIAL:
        return partial_state_fits(items)
    if made.of == WRAPPER:
        return isinstance(state, Container)
    if made.role is Role.VALUE or (len(items) == 2 and isinstance(items[1], Container)):
        return False  # the second form sets attributes of what has slots, also such as are computed
    if not isinstance(state, Group) and not (isinstance(state, Container) and state.kind is dict):
        return False
    if isinstance(state, Container):
        # An entry that is not kept, or whose key only equals a text, could be the one that is asked for.
        known = state.length == len(state.entries)
        return made.of not in VECTORIZERS or (known and state.entries.get("input", "content") == "content")
    return True
