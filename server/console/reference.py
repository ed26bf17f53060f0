"""`brinery settings`: every setting with its meaning, as lines for people or as the reference page."""

from collections.abc import Mapping

from server.options import as_text
from server.platforms import Given
from server.settings import Settings, options

PAGE_TOP = """# Configuration

Every setting is an environment variable, and an option of `brinery serve` by the same name (`--max-rows` for
`BRINERY_MAX_ROWS`). A value that cannot be used stops the start with a sentence that names it, and so does a
variable with our prefix that is not in this table. What [a platform](platforms/sagemaker.md) says by variables of its
own is a default that goes before the one of this table; `brinery settings` tells where a value comes from. This page is
written by `make docs`.

| variable | default | expected | meaning |
|---|---|---|---|
"""


def settings_lines(settings: Settings, given: Mapping[str, Given]) -> str:
    """Say every setting: its variable, its current value, its meaning, its default, and where its value was `given`."""
    blocks = []
    for option in options():
        value = as_text(getattr(settings, option.name))
        value = "(set, and not shown)" if value and option.parser.secret else value
        blocks.append(
            f"{option.variable}={value}\n    {option.sentence}\n"
            f"    Expected: {option.parser.expects}. Default: {option.default or 'empty'}."
            + (f" Set by {given[option.name].source}." if option.name in given else "")
        )
    return "\n".join(blocks) + "\n"


def settings_page() -> str:
    """Write the reference page."""
    rows = [
        f"| `{option.variable}` | {_code(option.default)} | {option.parser.expects} | {option.sentence} |"
        for option in options()
    ]
    return PAGE_TOP + "\n".join(rows) + "\n"


def _code(default: str) -> str:
    if not default:
        return "empty"
    return default if " " in default else f"`{default}`"
