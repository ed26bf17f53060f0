"""One input of a model: which JSON values it takes, and which code the estimator gets for each. Pure."""

import difflib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Final, TypeAlias

from server.errors import FieldError

Label: TypeAlias = str | int | bool
Code: TypeAlias = str | int | float | bool | None
Scalar: TypeAlias = str | int | float | bool | None

MAX_SAFE_INTEGER: Final = 2**53 - 1  # beyond it a double no longer holds every integer (RFC 8259, section 6)
EXACT_BELOW: Final = 2**63  # an integer that is larger may have been rounded to a double where JSON is read
MAX_DOUBLE: Final = 1.7976931348623157e308

NAME_CUT: Final = 64  # longest name that a message quotes
ALLOWED_CUT: Final = 20  # most labels that a message lists
SHORTEST_PREFIX: Final = 3  # of a label that is taken for its beginning
SUGGESTION_CUT: Final = 200  # most labels that a text is compared with, so that a refusal stays cheap


class Absent(Enum):
    """Markers that no JSON value equals."""

    REFUSED = "refused"  # the schema refuses this value
    REQUIRED = "required"  # the parameter has no default


REFUSED: Final = Absent.REFUSED
REQUIRED: Final = Absent.REQUIRED

Encoder: TypeAlias = Callable[[object], "Code | Absent"]
Suggest: TypeAlias = Callable[[object, Sequence[object]], str | None]


class NoCode(float):
    """A number that was to be a label's code, and is that of none."""


class Kind(StrEnum):
    """What a parameter takes, as the lookup says it."""

    CATEGORY = "category"
    NUMBER = "number"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    TEXT = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One input of a model; immutable.

    `labels` and `codes`, of the same length, belong to a category: the label in the request, the code for the
    estimator. An `open` category also takes labels that are not listed; their code is the label itself. `minimum`,
    `maximum` (both included) and `multiple_of` bound numbers and integers, `min_length` and `max_length` bound texts
    (in code points). `null_code` is the code for `null` where the parameter is `nullable`; `unseen_code`, if it is
    given, that of all labels that an open category does not list. `own` is the parameter with the estimator's own
    codes, where an engine takes others.
    """

    name: str
    kind: Kind
    labels: tuple[Label, ...] = ()
    codes: tuple[Code, ...] = ()
    open: bool = False
    unseen_code: Code | None = None
    minimum: float | int | None = None
    maximum: float | int | None = None
    multiple_of: int | None = None
    min_length: int | None = None
    max_length: int | None = None
    nullable: bool = False
    null_code: Code = math.nan
    default: Scalar | Absent = REQUIRED
    description: str = ""
    examples: tuple[Scalar, ...] = ()
    own: "Parameter | None" = field(default=None, repr=False, compare=False)

    @property
    def required(self) -> bool:
        """Tell whether a request must have this field."""
        return self.default is REQUIRED

    @property
    def label_type(self) -> type[Label] | None:
        """The one type of all labels, or None where they differ or there are none."""
        types = {type(label) for label in self.labels}
        return types.pop() if len(types) == 1 else None

    def encoder(self) -> Encoder:
        """Make the function from a JSON value to the estimator's code, or `REFUSED`: the one place that decides."""
        encode = _ENCODERS[self.kind](self)
        if not self.nullable:
            return encode
        null_code = self.null_code
        return lambda value: null_code if value is None else encode(value)

    def example(self) -> Scalar:
        """Give a value that the parameter accepts, the metadata's first example where it has one."""
        if self.examples:
            return self.examples[0]
        if not isinstance(self.default, Absent) and self.default is not None:
            return self.default
        if self.kind is Kind.CATEGORY:
            return self.labels[0]
        if self.kind is Kind.BOOLEAN:
            return False
        if self.kind is Kind.TEXT:
            return "text"[: self.max_length].ljust(self.min_length or 0, ".")
        return self._example_number()

    def _example_number(self) -> int | float:
        """Give the number within the bounds that is nearest to zero; `server.parameters` sees that there is one."""
        low = -math.inf if self.minimum is None else self.minimum
        high = math.inf if self.maximum is None else self.maximum
        nearest = min(max(0, low), high)
        step = self.multiple_of or (1 if self.kind is Kind.INTEGER else 0)
        if step and nearest % step:
            nearest = (math.ceil(nearest / step) if nearest > 0 else math.floor(nearest / step)) * step
        return nearest if abs(nearest) <= MAX_SAFE_INTEGER else float(nearest)  # no writer of JSON takes any integer

    def explain(self, value: object, pointer: str, *, hints: bool, suggest: "Suggest | None" = None) -> FieldError:
        """Say why a value that the encoder refused is refused.

        `hints` adds the labels, and the likeliest of them, for which `suggest` looks (`closest` by default).
        """
        name = cut(self.name)
        if self.kind is Kind.CATEGORY and self._has_label_type(value):
            return FieldError(
                pointer,
                "not_allowed",
                f"{name} must be one of its {len(self.labels)} labels.",
                allowed=self.labels if hints else (),
                did_you_mean=(suggest or closest)(value, self.labels) if hints else None,
            )
        if self.kind in (Kind.NUMBER, Kind.INTEGER) and isinstance(value, (int, float)) and type(value) is not bool:
            return self._explain_number(value, pointer)
        if self.kind is Kind.TEXT and isinstance(value, str):
            return FieldError(pointer, "wrong_length", f"{name} must be {self.expectation()}.")
        return FieldError(
            pointer,
            "wrong_type",
            f"{name} must be {self.expectation()}; got {json_type(value)}.",
            allowed=self.labels if hints and self.kind is Kind.CATEGORY else (),
        )

    def _explain_number(self, value: int | float, pointer: str) -> FieldError:
        name = cut(self.name)
        if self.kind is Kind.INTEGER and value % 1:
            return FieldError(pointer, "wrong_type", f"{name} must be {self.expectation()}; got a fraction.")
        low, high = self.minimum, self.maximum
        if isinstance(value, float) and math.isinf(value):  # JSON has none; bytes of tensors and tables may
            return FieldError(pointer, "out_of_range", f"{name} must be {self.expectation()}, and finite.")
        if (low is not None and value < low) or (high is not None and value > high):
            beyond = abs(value) > MAX_SAFE_INTEGER  # then the bound may be one that is not said as a rule
            return FieldError(pointer, "out_of_range", f"{name} must be {self.expectation(every_bound=beyond)}.")
        return FieldError(pointer, "not_multiple", f"{name} must be {self.expectation()}.")

    def _has_label_type(self, value: object) -> bool:
        """Tell whether a value has the type of some label, so that it is the wrong label and not no label at all."""
        types: set[type] = {type(label) for label in self.labels}
        return type(value) in types or (int in types and _is_number(value))

    def expectation(self, *, every_bound: bool = False) -> str:
        """Say in a phrase what the parameter takes; `every_bound` names also those of the number format itself."""
        match self.kind:
            case Kind.CATEGORY:
                phrase = f"one of its {len(self.labels)} labels"
            case Kind.BOOLEAN:
                phrase = "true or false"
            case Kind.TEXT:
                phrase = "a text" + _between(self.min_length, self.max_length, " characters")
            case _:
                phrase = "an integer" if self.kind is Kind.INTEGER else "a number"
                if self.multiple_of is not None:
                    phrase += f" that is a multiple of {self.multiple_of}"
                phrase += _between(self.minimum, self.maximum, "", every_bound=every_bound)
        return f"{phrase} or null" if self.nullable else phrase


def _between(low: float | None, high: float | None, unit: str, *, every_bound: bool = False) -> str:
    """Say the bounds, as a rule only those that a person would care about."""
    has_low = low is not None and (every_bound or low > -MAX_SAFE_INTEGER)
    has_high = high is not None and (every_bound or high < MAX_SAFE_INTEGER)
    if has_low and has_high:
        return f" from {low} to {high}{unit}"
    if has_low:
        return f" of at least {low}{unit}"
    return f" of at most {high}{unit}" if has_high else ""


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _category(parameter: Parameter) -> Encoder:
    # Python holds 1 == True == 1.0; JSON Schema holds 1 == 1.0 only. Hence one table for each type.
    tables: dict[type, dict[Label, Code]] = {str: {}, int: {}, bool: {}}
    for label, code in zip(parameter.labels, parameter.codes, strict=True):
        tables[type(label)][label] = code
    texts, integers, booleans = tables[str], tables[int], tables[bool]
    open_to = parameter.label_type if parameter.open else None
    unseen = parameter.unseen_code

    def encode(value: object) -> Code | Absent:
        kind = type(value)
        if kind is str:
            return texts.get(value, (value if unseen is None else unseen) if open_to is str else REFUSED)  # type: ignore[call-overload,no-any-return]
        if kind is bool:
            return booleans.get(value, REFUSED)  # type: ignore[call-overload,no-any-return]
        if kind is int or kind is float:
            if open_to is int and value % 1 == 0 and abs(value) <= MAX_SAFE_INTEGER:  # type: ignore[operator,arg-type]
                return integers.get(value, int(value) if unseen is None else unseen)  # type: ignore[call-overload,no-any-return]
            return integers.get(value, REFUSED)  # type: ignore[call-overload,no-any-return]
        return REFUSED

    if integers or booleans or open_to:
        return encode
    return lambda value: texts.get(value, REFUSED) if type(value) is str else REFUSED


def _number(parameter: Parameter) -> Encoder:
    low = -MAX_DOUBLE if parameter.minimum is None else parameter.minimum
    high = MAX_DOUBLE if parameter.maximum is None else parameter.maximum
    step = parameter.multiple_of or (1 if parameter.kind is Kind.INTEGER else 0)

    def encode(value: object) -> Code | Absent:
        if type(value) is not float and type(value) is not int:
            return REFUSED
        if not low <= value <= high or (step and value % step):
            return REFUSED
        return float(value)

    return encode


def _boolean(_: Parameter) -> Encoder:
    return lambda value: value if type(value) is bool else REFUSED


def _text(parameter: Parameter) -> Encoder:
    low, high = parameter.min_length or 0, parameter.max_length
    if not low and high is None:
        return lambda value: value if type(value) is str else REFUSED
    top = math.inf if high is None else high
    return lambda value: value if type(value) is str and low <= len(value) <= top else REFUSED


_ENCODERS: Final[dict[Kind, Callable[[Parameter], Encoder]]] = {
    Kind.CATEGORY: _category,
    Kind.NUMBER: _number,
    Kind.INTEGER: _number,
    Kind.BOOLEAN: _boolean,
    Kind.TEXT: _text,
}


def cut(name: object) -> str:
    """Write a name so that it is short enough for a message."""
    text = str(name)
    return text if len(text) <= NAME_CUT else text[: NAME_CUT - 1] + "…"


def closest(value: object, candidates: Sequence[object]) -> str | None:
    """Give the candidate text that is most like `value`, or None where nothing is near or the search would be dear."""
    if not isinstance(value, str) or len(value) >= NAME_CUT or len(candidates) > SUGGESTION_CUT:
        return None
    texts = {text.casefold(): text for text in candidates if isinstance(text, str) and len(text) < NAME_CUT}
    wanted = value.strip().casefold()
    near = difflib.get_close_matches(wanted, texts, n=1)
    if not near and len(wanted) >= SHORTEST_PREFIX:
        near = [text for text in texts if text.startswith(wanted)][:1]
    return texts[near[0]] if near else None


def json_type(value: object) -> str:
    """Say in a phrase what type a JSON value has."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case NoCode():
            return "a number that is no label's code"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "an array"
        case _:
            return "an object"
