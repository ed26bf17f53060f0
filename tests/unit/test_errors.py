"""The tree of exceptions."""

import re

import pytest

from server import errors
from server.errors import BrineryError, BundleError, FieldError, InvalidInput, gathering, raise_gathered


def drawn(text: str) -> dict[str, str]:
    """Read the drawn tree: each name with its parent's."""
    parents: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    for line in text.splitlines():
        if not (match := re.match(r"( {4,}[│├└─ ]*)([A-Z]\w+)", line)):
            continue
        # A child's name is indented by its parent's branch, whatever the drawing's width.
        depth = len(re.sub(r"[│├└]", " ", match[1]).rstrip("─ ")) if "─" not in match[1] else match[1].index("─")
        while above and above[-1][0] >= depth:
            above.pop()
        if above:
            parents[match[2]] = above[-1][1]
        above.append((depth, match[2]))
    return parents


def test_tree_is_drawn_as_it_is() -> None:
    """The tree on top of the module shows every exception below its base, and no other."""
    classes = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, BrineryError)]
    actual = {each.__name__: each.__bases__[0].__name__ for each in classes if each is not BrineryError}
    assert drawn(errors.__doc__ or "") == actual


def test_every_exception_is_described() -> None:
    """Every exception has a docstring of its own."""
    for each in vars(errors).values():
        if isinstance(each, type) and issubclass(each, BrineryError):
            assert each.__doc__ != BrineryError.__doc__ or each is BrineryError


def refuse(*because: str) -> None:
    """Raise if there are reasons."""
    raise_gathered(because)


def test_reasons_are_gathered() -> None:
    """What several steps have against a bundle is raised together, in their order."""
    reasons: list[str] = []
    for step in (["One.", "Two."], [], ["Three."]):
        with gathering(reasons):
            refuse(*step)
    with pytest.raises(BundleError, match=r"^One\. Two\. Three\.$") as raised:
        raise_gathered(reasons)
    assert raised.value.reasons == ("One.", "Two.", "Three.")


def test_no_reasons_raise_nothing() -> None:
    """Without a reason nothing is raised."""
    raise_gathered([])


@pytest.mark.parametrize(
    ("count", "sentence"),
    [
        pytest.param(1, "Wrong.", id="one"),
        pytest.param(2, "Wrong. There is one more error.", id="two"),
        pytest.param(3, "Wrong. There are 2 more errors.", id="three"),
    ],
)
def test_invalid_input_says_how_much_more(count: int, sentence: str) -> None:
    """The sentence is that of the first error, and says how many more there are."""
    assert str(InvalidInput([FieldError("/a", "wrong_type", "Wrong.")], count)) == sentence
