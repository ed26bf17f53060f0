"""`brinery predict`: a file of rows in, the same rows answered out; JSON, JSON Lines or CSV."""

import csv
import io
import itertools
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal, TextIO, TypeAlias

import orjson
from tqdm import tqdm

from server.application import prepare
from server.decoding import decode
from server.errors import FileError, MalformedBody
from server.formats.delimited import CsvReader, written
from server.model import Model
from server.predictor import Predictor
from server.problems import describe
from server.settings import Settings
from server.sources.fetching import read
from server.urls import Url

Format: TypeAlias = Literal["json", "jsonl", "csv"]
FORMATS: Final[tuple[Format, ...]] = ("json", "jsonl", "csv")
MARKED: Final = "utf-8-sig"  # the mark that spreadsheets write is dropped
CHUNK_ROWS: Final = 1_000  # rows evaluated at once: enough to be fast, few enough for any memory

Row: TypeAlias = dict[str, Any]
Item: TypeAlias = dict[str, Any]


def format_of(path: str) -> Format:
    """Tell a file's format by the end of its name; JSON where it says nothing."""
    suffix = Path(path).suffix.lower()
    return {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}.get(suffix, "json")  # type: ignore[return-value]


def predict_paths(
    place: Path | Url, settings: Settings, source: tuple[str, Format], target: tuple[str, Format]
) -> tuple[int, int]:
    """Answer the rows of one file in another, each a path (`-` for a standard stream) and its format.

    Gives how many rows were answered and how many refused. Raises `BundleError`, `MalformedBody`, and `FileError` for
    a file that cannot be opened.
    """
    model = prepare(settings, read(settings, place)).model
    with _reading(source[0]) as reading, _writing(target[0]) as writing:
        try:
            return predict_file(model, reading, writing, source[1], target[1])
        except UnicodeError:
            raise _not_utf8(source[0]) from None


def first_rows(model: Model, path: str, source_format: Format, most: int) -> list[Row]:
    """Read a file of rows, as `predict_paths` does; give at most so many of them."""
    with _reading(path) as reading:
        try:
            return list(itertools.islice(_read(model, reading, source_format)[1], most))
        except UnicodeError:
            raise _not_utf8(path) from None


@contextmanager
def _reading(path: str) -> Iterator[TextIO]:
    if path == "-":
        yield _utf8(sys.stdin, MARKED)
        return
    try:
        file = open(path, encoding=MARKED, newline="")  # noqa: SIM115, PTH123
    except OSError as error:
        raise _cannot_open(path, error) from None
    with file:
        yield file


@contextmanager
def _writing(path: str) -> Iterator[TextIO]:
    """Write beside the file, which is replaced only when all went well; write a device or a pipe itself."""
    if path == "-":
        yield _utf8(sys.stdout, "utf-8")
        return
    target = Path(path).resolve()
    is_file = target.is_file() or not target.exists()
    beside = target.with_name(f"{target.name}.{os.getpid()}.part") if is_file else target
    try:
        file = beside.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise _cannot_open(path, error) from None
    try:
        with file:
            yield file
        if is_file:
            beside.replace(target)
    finally:
        if is_file:
            beside.unlink(missing_ok=True)


def _utf8(stream: TextIO, encoding: str) -> TextIO:
    """Make a standard stream take text as files do, whatever the locale says."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(encoding=encoding, errors="strict", newline="")
    return stream


def _not_utf8(path: str) -> MalformedBody:
    return MalformedBody(f"{path} is not in UTF-8; save it in that encoding.")


def _cannot_open(path: str, error: OSError) -> FileError:
    return FileError(f"{path} cannot be opened: {error.strerror}.")


def predict_file(
    model: Model, source: TextIO, target: TextIO, source_format: Format, target_format: Format
) -> tuple[int, int]:
    """Answer every row of `source` on `target`, in order; give how many were answered and how many refused.

    A refused row gets its problem in the place of a result. Raises `MalformedBody` for text that cannot be read.
    """
    single, rows = _read(model, source, source_format)
    answered = refused = 0
    write = _csv_writer(target, _columns(model)) if target_format == "csv" else _WRITERS[target_format](target, single)
    # A bar only where someone sees it, and only if it takes long enough to be asked for.
    with tqdm(desc="predict", unit=" rows", disable=None, delay=1, leave=False) as bar:
        for numbered, items in _answered(model, rows):
            write(numbered, items)
            bad = sum("problem" in item for item in items)
            answered, refused = answered + len(items) - bad, refused + bad
            bar.update(len(items))
        write([], [])
    return answered, refused


def _answered(model: Model, rows: Iterable[Row]) -> Iterator[tuple[list[Row], list[Item]]]:
    """Give the rows and their items, a chunk at a time."""
    predictor = Predictor(model, max_rows=CHUNK_ROWS)
    iterator, first = iter(rows), 0
    while chunk := list(itertools.islice(iterator, CHUNK_ROWS)):
        batch = predictor.batch(chunk, lenient=True, first=first)
        first += len(chunk)
        answer = predictor.render(batch, predictor.evaluate(batch), describe=lambda error: describe(error, ""))
        yield chunk, orjson.loads(answer.body)


def _columns(model: Model) -> list[str]:
    """Name the columns of an answer, by the model's own for the signature's example."""
    _, items = next(_answered(model, [model.signature.example()]))
    return list(_flat(items[0].get("result", {})))


def _read(model: Model, source: TextIO, source_format: Format) -> tuple[bool, Iterable[Row]]:
    if source_format == "csv":
        return False, CsvReader(model.signature).rows(source)
    if source_format == "jsonl":
        return False, _json_lines(source)
    value = decode(source.read().encode())
    return (False, value) if isinstance(value, list) else (True, [value])  # type: ignore[list-item]


def _json_lines(source: TextIO) -> Iterator[Row]:
    for number, line in enumerate(source, 1):
        if line.strip():
            try:
                yield decode(line.encode())  # type: ignore[misc]
            except MalformedBody as error:
                msg = f"Line {number}: {error}"
                raise MalformedBody(msg) from None


Write: TypeAlias = Callable[[Sequence[Row], Sequence[Item]], None]


def _json_writer(target: TextIO, single: bool) -> Write:
    started = False

    def write(_: Sequence[Row], items: Sequence[Item]) -> None:
        nonlocal started
        for item in items:
            text = orjson.dumps(_shown(item)).decode()
            target.write(text if single else (",\n" if started else "[\n") + text)
            started = True
        if not items:
            target.write("\n" if single else ("\n]\n" if started else "[]\n"))

    return write


def _json_lines_writer(target: TextIO, _: bool) -> Write:
    def write(_: Sequence[Row], items: Sequence[Item]) -> None:
        target.writelines(orjson.dumps(_shown(item)).decode() + "\n" for item in items)

    return write


# Each makes the function that writes a chunk; called with an empty one, it ends the file.
_WRITERS: Final[Mapping[Format, Callable[[TextIO, bool], Write]]] = {"json": _json_writer, "jsonl": _json_lines_writer}


def _csv_writer(target: TextIO, columns: Sequence[str]) -> Write:
    writer: csv.DictWriter[str] | None = None

    def write(rows: Sequence[object], items: Sequence[Item]) -> None:
        nonlocal writer
        flat = [{"error": item["problem"]["detail"]} if "problem" in item else _flat(item["result"]) for item in items]
        given = [row if isinstance(row, dict) else {} for row in rows]  # what is no object has no columns
        if writer is None:
            names = dict.fromkeys([*itertools.chain.from_iterable(given), *columns, "error"])
            writer = csv.DictWriter(target, list(names), restval="", extrasaction="ignore", lineterminator="\n")
            writer.writeheader()
        lines = ({**row, **answer} for row, answer in zip(given, flat, strict=True))
        writer.writerows(dict(zip(line, written(line.values()), strict=True)) for line in lines)

    return write


def _shown(item: Item) -> Any:  # noqa: ANN401
    return item["problem"] if "problem" in item else item["result"]


def _flat(result: Any, name: str = "") -> dict[str, Any]:  # noqa: ANN401
    """Flatten an answer into columns: `output.label`."""
    if not isinstance(result, dict):
        return {name: result}
    columns: dict[str, Any] = {}
    for key, value in result.items():
        columns |= _flat(value, f"{name}.{key}" if name else key)
    return columns
