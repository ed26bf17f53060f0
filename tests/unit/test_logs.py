"""The form of log lines."""

import datetime
import io
import logging
import logging.config
import warnings

import orjson
import pytest

from server.logs import log_warnings, logging_config, make_logger, where_raised
from tests.models import settings


def lines(captured: pytest.CaptureFixture[str]) -> list[str]:
    """Give the lines that were written."""
    return captured.readouterr().out.splitlines()


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    """A line is one JSON object with its event, level and time in UTC."""
    make_logger(settings()).info("started", model="é\n", path=object)
    (line,) = lines(capsys)
    written = orjson.loads(line)
    assert (written["event"], written["level"], written["model"]) == ("started", "info", "é\n")
    assert datetime.datetime.fromisoformat(written["timestamp"]).tzinfo == datetime.UTC


def test_console(capsys: pytest.CaptureFixture[str]) -> None:
    """For people, a line is columns without colours."""
    make_logger(settings(log_format="console")).info("started", model="m")
    (line,) = lines(capsys)
    assert "started" in line
    assert "model=m" in line
    assert "\x1b" not in line


@pytest.mark.parametrize(
    ("level", "expected"),
    [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)],
)
def test_level(capsys: pytest.CaptureFixture[str], level: str, expected: int) -> None:
    """Lines below the level are not written."""
    log = make_logger(settings(log_level=level))
    log.debug("one")
    log.info("two")
    log.warning("three")
    log.error("four")
    assert len(lines(capsys)) == expected


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_gunicorn_lines(log_format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gunicorn's own lines have our form; its access log is silent."""
    target = io.StringIO()
    config = logging_config(settings(log_format=log_format))
    config["handlers"]["ours"]["stream"] = target
    del config["root"]
    logging.config.dictConfig(config)
    try:
        logging.getLogger("gunicorn.error").info("Booting worker with pid: %d", 7)
        logging.getLogger("gunicorn.access").info("GET /?secret")
    finally:
        for name in ("gunicorn.error", "gunicorn.access"):
            logger = logging.getLogger(name)
            logger.handlers.clear()
            logger.setLevel(logging.NOTSET)
            logger.propagate = True
    (line,) = target.getvalue().splitlines()
    assert "Booting worker with pid: 7" in line
    if log_format == "json":
        assert orjson.loads(line)["level"] == "info"


def test_where_raised() -> None:
    """The places an exception came through are told, innermost last; its message is not."""

    def inner() -> None:
        msg = "secret"
        raise ValueError(msg)

    with pytest.raises(ValueError, match="secret") as raised:
        inner()
    places = where_raised(raised.value)
    assert places[-1].startswith("test_logs.py:")
    assert places[-1].endswith(" inner")
    assert "secret" not in str(places)


def test_where_raised_is_bounded() -> None:
    """A deep stack is told by its last places only."""

    def deep(depth: int) -> None:
        if not depth:
            raise ValueError
        deep(depth - 1)

    with pytest.raises(ValueError, match=r"^$") as raised:
        deep(50)
    assert len(where_raised(raised.value)) == 12


def test_warnings_of_libraries(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A library's warning is a line of ours, once for each place, and without its text."""
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    with warnings.catch_warnings():
        log_warnings(settings())
        for message in ("the value 42 is odd", "the value 43 is odd"):
            warnings.simplefilter("always")
            warnings.warn_explicit(message, UserWarning, "/site-packages/library/module.py", 7)
    captured = capsys.readouterr()
    (line,) = captured.out.splitlines()
    written = orjson.loads(line)
    del written["timestamp"]
    assert written == {
        "event": "library_warning",
        "level": "warning",
        "warning": "UserWarning",
        "raised": "library/module.py:7",
    }
    assert captured.err == ""
