"""What the connections of a worker keep to."""

from typing import Final

from server.incoming import Buffered, Reader
from server.settings import Settings

# What a connection waits for until its time is over; also the reason why it was closed, where no answer says so.
HEAD: Final = "header-timeout"
BODY: Final = "body-timeout"
NEXT: Final = "idle"
READING: Final = "write-timeout"
STOP: Final = "draining"
END: Final = ""  # the caller's own close: nothing to tell

EARLY: Final = 0.9  # of the time for a head: the caller counts from before we took the connection


class Bounds:
    """What the connections of one worker keep to: times in seconds, and what they may hold together."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.head, self.body = settings.header_timeout * EARLY, settings.body_timeout
        self.idle, self.write = settings.idle_timeout, settings.write_timeout
        one = settings.max_header_bytes + settings.max_body_bytes
        self._buffered = Buffered(max(settings.max_buffered_bytes, one))

    @property
    def held(self) -> int:
        """Give the bytes of requests that are still coming in."""
        return self._buffered.size

    def reader(self) -> Reader:
        """Make the reader of a connection."""
        return Reader(self.settings.max_body_bytes, self.settings.max_header_bytes, self._buffered)
