"""What is taken out of an archive: a bundle's files, by names of our own choosing, each within its bound.

What an archive says of paths, owners, modes and links is never followed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, NoReturn

from server.bundle import MODEL, SKOPS
from server.errors import FetchError

MAX_ENTRIES: Final = 10_000
MAX_HEADER: Final = 1_048_576  # bytes of what stands before an entry: a header that says it has more is hostile
PIECE: Final = 65_536


@dataclass
class Taken:
    """What was taken out of an archive so far: a folder for each of its own folders that has files of a bundle."""

    folder: Path
    bounds: Mapping[str, int]

    def __post_init__(self) -> None:
        self._places: dict[str, Path] = {}
        self._entries = 0
        self._left = sum(self.bounds.values())  # bytes, all files together

    def entry(self, name: str, *, regular: bool, is_folder: bool) -> tuple[str, str] | None:
        """Look at an entry: give its folder and name if it is one to take, None if not; refuse what means harm."""
        self._entries += 1
        if self._entries > MAX_ENTRIES:
            refuse(f"has more than {MAX_ENTRIES} entries")
        if not name.isprintable() or "\\" in name or name.startswith("/") or ".." in name.split("/"):
            refuse("has an entry whose path leads elsewhere")
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if is_folder:
            return None
        if not regular:
            refuse("has a link, a device or something else that is no file; pack the files themselves")
        if not 1 <= len(parts) <= 2 or parts[-1] not in self.bounds:
            return None
        return "".join(parts[:-1]), parts[-1]

    def take(self, place: tuple[str, str], content: IO[bytes], size: int) -> None:
        """Write a file of `size` bytes, of which the archive may be wrong."""
        parent, name = place
        most = min(self.bounds[name], self._left)
        if size > most:
            refuse_size(name, most)
        folder = self._places.get(parent)
        if folder is None:
            folder = self._places[parent] = self.folder / f"bundle-{len(self._places)}"
            folder.mkdir(mode=0o700)
        try:
            written = 0
            with (folder / name).open("xb") as file:
                while piece := content.read(PIECE):
                    written += len(piece)
                    if written > most:
                        refuse_size(name, most)
                    file.write(piece)
        except FileExistsError:
            refuse(f"has {name} twice")
        if written != size:
            refuse(f"ends within {name}")
        self._left -= written

    def bundle(self) -> Path:
        """Give the folder that has the bundle: the root if there is a model, or the only folder with one."""
        places = {parent: folder for parent, folder in self._places.items() if _has_model(folder)}
        models = [places[""]] if "" in places else list(places.values())
        if len(models) > 1:
            refuse("has models in several folders; pack one bundle alone")
        if not models:
            refuse(f"has no {MODEL} in its root or in a folder there")
        return models[0]


def _has_model(folder: Path) -> bool:
    return (folder / MODEL).exists() or (folder / SKOPS).exists()


def refuse(what: str) -> NoReturn:
    """Refuse an archive, which `what` goes on to say."""
    msg = f"The archive {what}." if ";" in what else f"The archive {what}; pack the bundle again."
    raise FetchError(msg)


def refuse_size(name: str, most: int) -> NoReturn:
    """Refuse an archive whose file is too large."""
    msg = f"{name} in the archive has more than {most} bytes; see BRINERY_MAX_MODEL_BYTES if it is the model."
    raise FetchError(msg)
