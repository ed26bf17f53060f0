"""What all examples do alike: read a command line, find the data, write a bundle."""

import argparse
import json
import pickle
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import joblib

REPOSITORY = Path(__file__).resolve().parents[1]
DATA = REPOSITORY.parent / "shared" / "data"


@dataclass(frozen=True)
class Bundle:
    """A fitted model with what explains its inputs and outputs; only the model is required.

    `lookup` is in the model's column order, `labels` in the order of its outputs. `figures` are measured
    on rows that the model has not seen, and stand in the metadata if there are any. `compress` is
    joblib's option, for models that are too large as a plain pickle.
    """

    model: Any
    figures: Mapping[str, float]
    lookup: Mapping[str, Any] | None = None
    labels: list[str] | None = None
    metadata: Mapping[str, Any] | None = None
    compress: tuple[str, int] | None = None


def command_line(description: str, out: Path) -> argparse.ArgumentParser:
    """Give a parser that knows `--out`; whoever reads data adds `--data`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--out", type=Path, default=out, metavar="FOLDER", help="where the bundle goes (default: %(default)s)"
    )
    return parser


def existing(path: Path, where: str) -> Path:
    """Return `path` if it is there; else end the program with one sentence that says `where` to get it."""
    if not path.exists():
        sys.exit(f"There is no data at {path}: get it from {where} and name it with --data.")
    return path


def write(bundle: Bundle, folder: Path) -> None:
    """Write the bundle's files into `folder`, seal it, and print the figures and what was written.

    The folder is made if need be; what else it holds is left alone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model = folder / "model.pkl"
    if bundle.compress:
        joblib.dump(bundle.model, model, compress=bundle.compress, protocol=5)
    else:
        model.write_bytes(pickle.dumps(bundle.model, protocol=5))
    written = [model]
    for name, content in (("lookup.pkl", bundle.lookup), ("labels.pkl", bundle.labels)):
        if content is not None:
            written.append(folder / name)
            written[-1].write_bytes(pickle.dumps(content, protocol=5))
    if bundle.metadata is not None:
        facts = {**bundle.metadata, **bundle.figures, "trained_at": datetime.now(UTC).date().isoformat()}
        # The parameters are the longest part: a reader finds everything else above them.
        facts["parameters"] = facts.pop("parameters")
        written.append(folder / "metadata.json")
        written[-1].write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    for figure, value in bundle.figures.items():
        print(f"{figure}: {value}")
    for path in written:
        print(f"{path}: {path.stat().st_size:,} bytes")
    seal(folder)


def seal(folder: Path) -> None:
    """Seal the bundle by the console, with golden requests drawn anew; end the program where that is refused."""
    command = [sys.executable, "-m", "server", "seal", folder.resolve(), "--rows", "50"]
    if subprocess.run(command, cwd=REPOSITORY, check=False).returncode:  # noqa: S603  # our own console, no shell
        sys.exit(f"{folder} was written, and cannot be sealed: see above.")
