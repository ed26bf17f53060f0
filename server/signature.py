"""All inputs of a model: a JSON value in, rows of codes out, or every reason why not. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from server.errors import FieldError, InvalidInput
from server.parameter import NAME_CUT, REFUSED, Absent, Code, Encoder, Parameter, Scalar, closest, cut, json_type

Row: TypeAlias = list[Code]

MAX_ERRORS: Final = 20  # most field errors that one answer tells
LATER_ERRORS: Final = 3  # of a row, once that many rows are refused: the answer stays in proportion to the request


@dataclass(frozen=True, slots=True)
class Signature:
    """The parameters in the estimator's column order; immutable.

    With `ignore_unknown`, fields that no parameter names are passed over; otherwise they are refused.
    """

    parameters: tuple[Parameter, ...]
    ignore_unknown: bool = False
    _columns: tuple[tuple[str, Encoder, "Code | Absent"], ...] = field(init=False, repr=False, compare=False)
    _names: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Build the encoders once."""
        columns = []
        for parameter in self.parameters:
            encode = parameter.encoder()
            absent = REFUSED if isinstance(parameter.default, Absent) else encode(parameter.default)
            columns.append((parameter.name, encode, absent))
        object.__setattr__(self, "_columns", tuple(columns))
        object.__setattr__(self, "_names", frozenset(parameter.name for parameter in self.parameters))

    def parse(self, value: object) -> Row:
        """Encode one object; raise `InvalidInput` with every reason if the schema refuses it."""
        row = self._encode(value)
        if row is None:
            raise InvalidInput(*self._explain(value, "", hints=True))
        return row

    def parse_rows(self, values: Sequence[object]) -> list[Row]:
        """Encode a batch, all or nothing; raise `InvalidInput` with the reasons of all rows together."""
        rows: list[Row] = []
        told: list[FieldError] = []
        count = 0
        for index, value in enumerate(values):
            row = self._encode(value)
            if row is not None:
                rows.append(row)
                continue
            errors, more = self._explain(value, f"/{index}", hints=len(told) < MAX_ERRORS)
            told.extend(errors[: MAX_ERRORS - len(told)])
            count += more
        if count:
            raise InvalidInput(told, count)
        return rows

    def parse_each(self, values: Sequence[object], *, first: int = 0) -> Iterator[Row | InvalidInput]:
        """Encode a batch row by row: for each its codes, or why it is refused (in full for the first few).

        `first` is the place of the first row in what the caller sees as a whole.
        """
        refused = 0
        for index, value in enumerate(values, first):
            row = self._encode(value)
            if row is not None:
                yield row
            else:
                refused += 1
                hints = refused <= MAX_ERRORS
                errors, count = self._explain(value, f"/{index}", hints=hints)
                yield InvalidInput(errors if hints else errors[:LATER_ERRORS], count)

    def example(self) -> dict[str, Scalar]:
        """Give an object that the schema accepts."""
        return {parameter.name: parameter.example() for parameter in self.parameters}

    def _encode(self, value: object) -> Row | None:
        if type(value) is not dict:
            return None
        row: Row = []
        absent = 0
        for name, encode, default in self._columns:
            if name in value:
                code = encode(value[name])
            else:
                code, absent = default, absent + 1
            if code is REFUSED:
                return None
            row.append(code)  # type: ignore[arg-type]  # mypy does not narrow by `is` on an enum's member in a union
        if len(value) > len(row) - absent and not self.ignore_unknown:
            return None
        return row

    def _explain(self, value: object, pointer: str, *, hints: bool) -> tuple[list[FieldError], int]:
        """Say what is wrong with a refused value: at most `MAX_ERRORS` reasons, and how many there are."""
        if not isinstance(value, dict):
            names = ", ".join(cut(parameter.name) for parameter in self.parameters[:5])
            more = ", ..." if len(self.parameters) > 5 else ""
            detail = f"Expected an object with the fields {names}{more}; got {json_type(value)}."
            return [FieldError(pointer, "wrong_type", detail)], 1
        errors = []
        for parameter, (name, encode, default) in zip(self.parameters, self._columns, strict=True):
            at = f"{pointer}/{escape(name)}"
            if name not in value:
                if default is REFUSED:
                    detail = f"{cut(name)} is missing; give {parameter.expectation()}."
                    errors.append(FieldError(at, "missing", detail))
            elif encode(value[name]) is REFUSED:
                errors.append(parameter.explain(value[name], at, hints=hints))
        count = len(errors)
        if not self.ignore_unknown:
            unknown = [key for key in value if key not in self._names]
            count += len(unknown)
            errors.extend(self._unknown(key, pointer, hints=hints) for key in unknown[:MAX_ERRORS])
        return errors[:MAX_ERRORS], count

    def _unknown(self, key: str, pointer: str, *, hints: bool) -> FieldError:
        near = closest(key, [name for name, _, _ in self._columns]) if hints else None
        detail = "There is no such field."
        return FieldError(f"{pointer}/{escape(key)}", "unknown_field", detail, did_you_mean=near)


def escape(key: str) -> str:
    """Write a key as a part of a JSON Pointer (RFC 6901), cut where it is longer than any message should be."""
    return (key if len(key) <= NAME_CUT else cut(key)).replace("~", "~0").replace("/", "~1")
