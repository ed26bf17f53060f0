"""Golden requests: what a model answered where it was trained, which it must answer where it serves. Pure.

`golden.json` holds, in format 1: `format`; `requests`, a list of objects with a `request`, as a caller would send it,
and its `answer`; and, if its writer likes, the `versions` of what made the answers.
"""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from server.bundle import GOLDEN
from server.engine.parity import TOLERANCE
from server.errors import BrineryError, BundleError
from server.manifest import read_json, versions
from server.parameter import MAX_SAFE_INTEGER, REFUSED, Kind, Parameter, Scalar, cut

FORMAT: Final = 1
MEMBERS: Final = frozenset({"format", "requests", "versions"})
MAX_REQUESTS: Final = 1_000
LONGEST_TEXT: Final = 200
ORDINARY: Final = 1e6  # numbers beyond are the bounds themselves, or of a parameter without bounds of its own


@dataclass(frozen=True, slots=True)
class Case:
    """A request, and what the model answers."""

    request: Any
    answer: Any


@dataclass(frozen=True, slots=True)
class Golden:
    """Requests with their answers, and the releases that answered, where they are known."""

    cases: tuple[Case, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)


def read_golden(content: bytes) -> Golden:
    """Read the file; raise `BundleError` for one of another form."""
    value = read_json(content, GOLDEN)

    def check(holds: bool, what: str) -> None:
        if not holds:
            msg = f"{GOLDEN} {what}; write it again, by `brinery seal --rows 50` for one."
            raise BundleError(msg)

    check(isinstance(value, dict), "is no JSON object")
    said = value.get("format")
    check(type(said) is int and said == FORMAT, f"is not of format {FORMAT}, the only one that this release reads")
    right = {"format", "requests"} <= value.keys() <= MEMBERS
    check(right, "must have the members format, requests and, if need be, versions, and no others")
    requests, made_by = value["requests"], value.get("versions", {})
    check(isinstance(requests, list) and len(requests) <= MAX_REQUESTS, f"must have at most {MAX_REQUESTS} requests")
    right = all(isinstance(each, dict) and each.keys() == {"request", "answer"} for each in requests)
    check(right, "must have in `requests` objects with a `request` and an `answer` only")
    texts = isinstance(made_by, dict) and all(type(each) is str for each in made_by.values())
    check(texts, "must have texts as `versions`")
    return Golden(tuple(Case(each["request"], each["answer"]) for each in requests), made_by)


def write_golden(golden: Golden) -> bytes:
    """Write the file, a line for each request; numbers are read back as the same doubles."""
    lines = [orjson.dumps({"request": each.request, "answer": each.answer}).decode() for each in golden.cases]
    said = orjson.dumps(dict(golden.versions)).decode()
    requests = "[\n    " + ",\n    ".join(lines) + "\n  ]" if lines else "[]"
    return f'{{\n  "format": {FORMAT},\n  "versions": {said},\n  "requests": {requests}\n}}\n'.encode()


def check_golden(
    golden: Golden, answer: Callable[[object], object], *, exact: bool, made_by: str | None = None
) -> None:
    """See that every request is answered as it was, to the last bit where `exact`; raise `BundleError` if not.

    Numbers that are not `exact` may differ by 1e-12 of themselves, or of 1. `made_by` is the release of scikit-learn
    that pickled the model, in case the file does not say which one answered.
    """
    for index, case in enumerate(golden.cases):
        try:
            found = answer(case.request)
        except BrineryError as error:
            said = f"is refused here ({str(error).rstrip('.')})"
        else:
            difference = _difference(case.answer, found, exact=exact)
            if difference is None:
                continue
            said = f"is answered otherwise: {difference}"
        msg = (
            f"{GOLDEN}: request {index} (the first is 0) {said}. Numeric drift: {_releases(golden, made_by)}; "
            f"serve the model with the releases that made it, or, if this is meant, run `brinery seal --rows 50`."
        )
        raise BundleError(msg)


def _releases(golden: Golden, made_by: str | None) -> str:
    here = versions()
    there = {"scikit-learn": made_by or "(it does not say)", **golden.versions}
    others = [
        f", {name} {there[name]}, running {here[name]}"
        for name in ("numpy", "python")
        if name in there and there[name] != here[name]
    ]
    return f"made by scikit-learn {there['scikit-learn']}, running {here['scikit-learn']}" + "".join(others)


def _difference(expected: object, found: object, *, exact: bool, where: str = "it") -> str | None:
    """Say where two answers differ first; None if they do not."""
    if isinstance(expected, dict) and isinstance(found, dict) and expected.keys() == found.keys():
        pairs = [(cut(name), expected[name], found[name]) for name in expected]
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        pairs = [(f"row {row}", *pair) for row, pair in enumerate(zip(expected, found, strict=True))]
    elif _same(expected, found, exact=exact):
        return None
    else:
        return f"{where} is {cut(repr(found))}, expected {cut(repr(expected))}"
    said = (
        _difference(theirs, ours, exact=exact, where=name if where == "it" else f"{where}, {name}")
        for name, theirs, ours in pairs
    )
    return next((each for each in said if each is not None), None)


def _same(expected: object, found: object, *, exact: bool) -> bool:
    numbers = isinstance(expected, (int, float)) and isinstance(found, (int, float))
    if not numbers or isinstance(expected, bool) or isinstance(found, bool):
        return type(expected) is type(found) and expected == found
    if exact:
        return expected == found
    return math.isclose(expected, found, rel_tol=TOLERANCE, abs_tol=TOLERANCE)  # type: ignore[arg-type]


def draw_requests(parameters: Sequence[Parameter], count: int) -> list[dict[str, Scalar]]:
    """Draw up to `count` different requests that the schema accepts, always the same, from its edges inwards.

    The first is the example. Then each label, bound, null and default of each parameter comes up once, as far as
    `count` goes.
    """
    draw = random.Random(0)  # noqa: S311  # no secret
    columns = [_candidates(parameter, count, draw) for parameter in parameters]
    rows = [[each[index] if index < len(each) else draw.choice(each) for each in columns] for index in range(count)]
    requests = [
        {each.name: value for each, value in zip(parameters, row, strict=True) if value is not REFUSED} for row in rows
    ]
    return list({repr(request): request for request in requests}.values())


def _candidates(parameter: Parameter, count: int, draw: random.Random) -> list[Any]:
    """Give values of one parameter, the example first, then its edges among others; `REFUSED` leaves the field out."""
    values: list[Any] = [REFUSED] * (not parameter.required) + [None] * parameter.nullable
    match parameter.kind:
        case Kind.CATEGORY:
            values += parameter.labels
        case Kind.BOOLEAN:
            values += [True, False]
        case Kind.TEXT:
            least, most = parameter.min_length or 0, min(LONGEST_TEXT, parameter.max_length or LONGEST_TEXT)
            values += ["." * least, "é" * most, "Not bad at all"]
        case _:
            values += _numbers(parameter, count, draw)
    encode, example = parameter.encoder(), parameter.example()
    others = [value for value in values if repr(value) != repr(example)]
    accepted = [value for value in others if value is REFUSED or encode(value) is not REFUSED][: count - 1]
    draw.shuffle(accepted)  # so that the edges of all parameters do not meet in the same rows
    return [example, *accepted]


def _numbers(parameter: Parameter, count: int, draw: random.Random) -> list[Scalar]:
    """Give numbers: the bounds, then some of every magnitude within them.

    Bounds that are the number format's rather than the bundle's are left out: nobody sends such numbers, and sums of
    them say more about the order of summing than about the model.
    """
    ends = (parameter.minimum, parameter.maximum)
    bounds = [each for each in ends if each is not None and abs(each) < MAX_SAFE_INTEGER]
    low, high = float(parameter.minimum or 0), float(parameter.maximum or 0)
    step = parameter.multiple_of or (1 if parameter.kind is Kind.INTEGER else 0)
    if high - low <= ORDINARY:
        numbers = [draw.uniform(low, high) for _ in range(count)]
    else:
        numbers = [draw.gauss(0, 1) * 10.0 ** draw.randint(-2, 4) for _ in range(count)]
    drawn = [round(number / step) * step if step else round(number, 6) for number in numbers]
    return list(dict.fromkeys([*bounds, *drawn]))
