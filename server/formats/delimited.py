"""CSV: rows of cells to JSON values by their parameters, and columns to CSV. Pure.

Format: RFC 4180 in UTF-8, with its parameter `header`. A line without anything is no row.
"""

import csv
import io
import itertools
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import orjson

from server.columns import Columns, Named
from server.errors import MalformedBody
from server.parameter import EXACT_BELOW, REQUIRED, Absent, Kind, Parameter, Scalar
from server.signature import Signature, listing

MARK: Final = "\ufeff".encode()  # in front of what some programs write
BLURRING: Final = (b'"', b"\n\n", b"\n\r", b"\r\r")  # where these are, lines are perhaps not rows
NUMBERS: Final = frozenset({int, float})


class CsvReader:
    """Reads CSV with rows for one signature."""

    def __init__(self, signature: Signature) -> None:
        self._signature = signature
        self._readers = {parameter.name: _CellReader(parameter) for parameter in signature.parameters}

    def columns(self, body: bytes, *, header: bool | None, most: int) -> tuple[Columns, int]:
        """Read a whole text: the values of each parameter by its name, and how many rows there are.

        `header` says whether the first line names the columns. None tells that by a parameter's name in it; without
        names the columns are in the signature's order. Of more rows than `most` only one more is read. A cell without
        a value is `REQUIRED`: see `Signature.parse_columns`.

        Raises `MalformedBody`, and `InvalidInput` for a column that is missing, or that there is no parameter for.
        """
        names, rows = self._table(_text(body), header, most)
        self._signature.check_names(names)
        cells = zip(*rows, strict=True)
        return {
            name: reader.column(column)
            for name, column in zip(names, cells, strict=False)  # without rows there are no columns
            if (reader := self._readers.get(name)) is not None
        }, len(rows)

    def rows(self, source: Iterable[str]) -> Iterator[dict[str, Any]]:
        """Read the lines of a text with names in the first one, bit by bit, as objects.

        A cell that no parameter reads stays text; one without a value has no member. Raises `MalformedBody`.
        """
        lines = _lines(source)
        names: Sequence[str] = _names(*next(lines, (1, [])))
        readers = [(name, self._readers.get(name, str)) for name in names]
        for _, cells in lines:
            values = ((name, read(cell)) for (name, read), cell in zip(readers, cells, strict=True))
            yield {name: value for name, value in values if value is not REQUIRED}

    def _table(self, text: str, header: bool | None, most: int) -> tuple[Sequence[str], list[list[str]]]:
        lines = _lines(io.StringIO(text, newline=""))
        line, first = next(lines, (1, []))
        if not first:
            msg = "The body is empty; send a line with the columns' names, and a line for each row."
            raise MalformedBody(msg)
        if header is None:
            header = any(cell in self._readers for cell in first)
            if not header and {_folded(cell) for cell in first} <= set(map(_folded, self._readers)):
                msg = (
                    f"Line {line} has names of parameters, but for case or spaces; write them as they are, or say "
                    "`header=absent` in the media type if it is a row."
                )
                raise MalformedBody(msg)
        if header:
            return _names(line, first), [cells for _, cells in itertools.islice(lines, most + 1)]
        if len(first) != len(self._readers):
            cells = f"{len(first)} cells" if len(first) > 1 else "1 cell (are they separated by commas?)"
            msg = (
                f"Line {line} has {cells} and none of the parameters' names; expected names, or "
                f"{len(self._readers)} cells in the order {listing(list(self._readers))}."
            )
            raise MalformedBody(msg)
        return list(self._readers), [first, *(cells for _, cells in itertools.islice(lines, most))]


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        msg = "The body is not in UTF-8; send it in that encoding."
        raise MalformedBody(msg) from None


def _lines(source: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """Give the cells of each row, with the number of the line that it begins in; all have as many as the first."""
    csv.field_size_limit(sys.maxsize)  # whoever gives us a text has bounded it
    reader = csv.reader(_without_nul(source), strict=True)
    width, line = 0, 1
    try:
        for cells in reader:
            if cells:
                if len(cells) != (width := width or len(cells)):
                    msg = f"Line {line}: expected {width} cells, as in the first; got {len(cells)}."
                    raise MalformedBody(msg)
                yield line, cells
            line = reader.line_num + 1
    except csv.Error:
        msg = (
            f"Line {line} begins a row with a quoted cell that is not closed, or that text stands behind; quote the "
            "whole cell, and write each quote in it twice."
        )
        raise MalformedBody(msg) from None


def _without_nul(source: Iterable[str]) -> Iterator[str]:
    for number, line in enumerate(source, 1):
        if "\0" in line:
            msg = f"Line {number} holds a NUL; send text in UTF-8."
            raise MalformedBody(msg)
        yield line


def _folded(name: str) -> str:
    return name.strip().casefold()


def _names(line: int, cells: Sequence[str]) -> Sequence[str]:
    places: dict[str, int] = {}
    for place, name in enumerate(cells, 1):
        if name in places:
            msg = f"Line {line} has the same name in cells {places[name]} and {place}; name each column once."
            raise MalformedBody(msg)
        places[name] = place
    return cells


class _CellReader:
    """Reads a cell, which is always text, as the JSON value that its parameter would take.

    What cannot be read stays text, so that the schema refuses it like any other value. An empty one is null, else
    `REQUIRED`, unless the parameter takes an empty text.
    """

    def __init__(self, parameter: Parameter) -> None:
        self._labels = {label if isinstance(label, str) else json.dumps(label): label for label in parameter.labels}
        self._texts = parameter.kind is Kind.TEXT or parameter.label_type is str
        self._numbers = parameter.kind in (Kind.NUMBER, Kind.INTEGER)
        self._default = parameter.default
        self._empty: Scalar | Absent = REQUIRED
        if parameter.nullable:
            self._empty = None
        elif parameter.kind is Kind.TEXT and parameter.default is REQUIRED:
            self._empty = ""

    def __call__(self, cell: str) -> Scalar | Absent:
        if cell in self._labels:
            return self._labels[cell]
        if not cell:
            return self._empty
        return cell if self._texts else _number(cell)

    def column(self, cells: Sequence[str]) -> Sequence[object]:
        """Read the cells of a column; an empty one is the parameter's default, where it has one and is not null."""
        if self._numbers and (numbers := _all_numbers(cells, nullable=self._empty is None)) is not None:
            return numbers
        known = {cell: self(cell) for cell in set(cells)}
        if known.get("") is REQUIRED:
            known[""] = self._default
        return list(map(known.__getitem__, cells))


def _number(cell: str) -> Scalar:
    """Read a number, or true or false, as JSON has it; any other text stays."""
    try:
        value = orjson.loads(cell)
    except orjson.JSONDecodeError:
        return cell
    if type(value) is float and abs(value) >= EXACT_BELOW:
        value = json.loads(cell)  # it may be a rounded integer: see `server.decoding`
    return value if isinstance(value, (int, float)) else cell


def _all_numbers(cells: Sequence[str], *, nullable: bool) -> Sequence[float | None] | None:
    """Read cells that are all numbers, or empty for null, at once; None if one has to be looked at alone.

    A number holds no comma: where there are as many numbers as cells, each cell is one.
    """
    holes = cells.count("") if nullable else 0
    try:
        values: list[Any] = orjson.loads(f"[{','.join([cell or 'null' for cell in cells] if holes else cells)}]")
    except orjson.JSONDecodeError:
        return None
    numbers = [value for value in values if value is not None] if holes else values
    if len(values) != len(cells) or len(numbers) + holes != len(cells) or not NUMBERS.issuperset(map(type, numbers)):
        return None
    return values if not numbers or (min(numbers) > -EXACT_BELOW and max(numbers) < EXACT_BELOW) else None


def write_csv(columns: Sequence[Named]) -> bytes:
    """Write columns as CSV with a line of their names."""
    target = io.StringIO(newline="")
    writer = csv.writer(target)
    writer.writerow([each.name for each in columns])
    cells = (written(each.values) if each.type is bool else each.values for each in columns)
    writer.writerows(zip(*cells, strict=True))
    return target.getvalue().encode()


def written(values: Iterable[object]) -> Iterable[object]:
    """Give values for a writer of CSV, which writes them as JSON has them, and null as an empty cell."""
    return (json.dumps(value) if value is True or value is False else value for value in values)


def count_lines(body: bytes) -> tuple[int, int]:
    """Give how many rows a text has at least and at most: lines, of which a cell may hold some, and others nothing."""
    ends = body.count(b"\n") + body.count(b"\r") - body.count(b"\r\n")
    known = not any(part in body for part in BLURRING) and not body.removeprefix(MARK).startswith((b"\n", b"\r"))
    return max(1, ends - 1) if known else 1, ends + 1
