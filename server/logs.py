"""The form of the log lines: one JSON object a line for machines, or columns for people.

A line never holds a value or a field name that a caller sent.
"""

import sys
import traceback
import warnings
from collections.abc import MutableMapping
from typing import Any, Final, TextIO

import orjson
import structlog

from server.settings import Settings

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def make_logger(settings: Settings) -> structlog.typing.FilteringBoundLogger:
    """Make a logger that writes to standard output from the settings' level up."""
    logger: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
        _StandardOutput(),
        processors=[*shared_processors(), _renderer(settings)],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[settings.log_level]),
        context_class=dict,
    )
    return logger


def shared_processors() -> list[structlog.typing.Processor]:
    """Give what is done to a line of ours and to one of Gunicorn's alike."""
    return [structlog.processors.add_log_level, structlog.processors.TimeStamper(fmt="iso", utc=True)]


def logging_config(settings: Settings) -> dict[str, Any]:
    """Give the configuration (`logging.config`) that writes Gunicorn's own lines in our form."""
    # At debug Gunicorn tells its whole configuration, with the machine's paths, and more of callers than we would.
    level = max("info", settings.log_level, key=LEVELS.__getitem__)
    handler = {"class": "logging.StreamHandler", "formatter": "ours", "stream": "ext://sys.stdout"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "ours": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": shared_processors(),
                "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer(settings)],
            }
        },
        "handlers": {"ours": handler},
        "root": {"level": "WARNING", "handlers": ["ours"]},
        "loggers": {
            "gunicorn.error": {"level": level.upper(), "handlers": ["ours"], "propagate": False},
            # Ours is the access log: Gunicorn's holds the caller's path and query.
            "gunicorn.access": {"level": "CRITICAL", "handlers": [], "propagate": False},
        },
    }


def log_warnings(settings: Settings) -> None:
    """Write what libraries warn of as lines of ours from now on, each place once.

    Not the message, which may hold a caller's value. Each place once, whatever the filters say: an estimator may warn
    at every row.
    """
    log, seen = make_logger(settings), set()

    def write(
        _message: Warning | str,
        category: type[Warning],
        filename: str,
        line: int,
        _file: TextIO | None = None,
        _line: str | None = None,
    ) -> None:
        place = (category.__name__, f"{'/'.join(filename.split('/')[-2:])}:{line}")
        if place not in seen:
            seen.add(place)
            log.warning("library_warning", warning=place[0], raised=place[1])

    warnings.showwarning = write  # type: ignore[assignment]  # nobody gives these arguments by their names


def where_raised(error: BaseException) -> list[str]:
    """Give the places an exception came through, innermost last; not its message, which may hold a caller's value."""
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames[-12:]]


class _StandardOutput:
    """Writes to whatever standard output is at the moment: a line is one write, so that workers' lines never mix."""

    def msg(self, line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    debug = info = warning = error = msg


def _renderer(settings: Settings) -> structlog.typing.Processor:
    return _to_json if settings.log_format == "json" else structlog.dev.ConsoleRenderer(colors=False)


def _to_json(_: object, __: str, event: MutableMapping[str, Any]) -> str:
    return orjson.dumps(event, default=str).decode()
