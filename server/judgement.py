"""What a pickle would do, as `machine` finds it, and `gate` acts on it."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Raw:
    """The bytes of an array between the operations; `nested` if they are a pickle of its objects."""

    after: int  # the operations before it end here
    start: int
    end: int
    nested: "Judgement | None" = None


@dataclass(slots=True)
class Judgement:
    """What a pickle would do, all of it allowed unless `fault`, `refused` or `misused` say otherwise."""

    start: int = 0
    end: int = 0
    refused: dict[str, None] = field(default_factory=dict)  # in the order of the file
    misused: dict[str, None] = field(default_factory=dict)
    version: str | None = None
    arrays: list[Raw] = field(default_factory=list)
    fault: str | None = None
