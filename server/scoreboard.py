"""What the master tells its workers of the whole server, in memory that all of them see."""

import mmap
import struct
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import orjson

SIZE: Final = 16_384
HEAD: Final = struct.Struct("<II")  # length and checksum of what follows
MAX_REASON: Final = 2_000  # letters of a reason that are kept


@dataclass(frozen=True, slots=True)
class Reload:
    """How a reload ended: `at` is the time in seconds since 1970, `reason` says why it failed, and is else empty."""

    succeeded: bool
    at: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """What became of workers and reloads since the master started; `crashes` are counted by their cause."""

    starts: int = 0
    crashes: Mapping[str, int] = field(default_factory=dict)
    reloads_succeeded: int = 0
    reloads_failed: int = 0
    last_reload: Reload | None = None


class Scoreboard:
    """A record that one process writes and all read; made before the first fork."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, SIZE)  # anonymous memory that children share
        self.write(Record())

    def write(self, record: Record) -> None:
        """Replace the record."""
        content: dict[str, Any] = asdict(record)
        if record.last_reload is not None:
            content["last_reload"]["reason"] = record.last_reload.reason[:MAX_REASON]
        text = orjson.dumps(content)
        self._memory[HEAD.size : HEAD.size + len(text)] = text
        self._memory[: HEAD.size] = HEAD.pack(len(text), zlib.crc32(text))

    def read(self) -> Record:
        """Give the record."""
        while True:
            length, checksum = HEAD.unpack(self._memory[: HEAD.size])
            text = self._memory[HEAD.size : HEAD.size + length]
            if zlib.crc32(text) == checksum:  # else it is being written just now
                content = orjson.loads(text)
                last = content.pop("last_reload")
                return Record(**content, last_reload=None if last is None else Reload(**last))
