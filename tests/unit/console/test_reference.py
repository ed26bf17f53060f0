"""Every setting, as lines and as the reference page."""

from server.console.reference import settings_lines, settings_page
from server.platforms import Given
from server.settings import options
from tests.models import settings


def test_lines() -> None:
    """The lines say every setting's current value, meaning, default and source, and end as lines do."""
    given = {"port": Given("9000", "AIP_HTTP_PORT")}
    said = settings_lines(settings(port=9000, access_log=False, cors_origins=("https://a.example",)), given)
    assert said.endswith("\n")
    assert (
        "BRINERY_PORT=9000\n    Port to listen on.\n    Expected: a whole number from 1 to 65535. Default: 8000. "
        "Set by AIP_HTTP_PORT.\n" in said
    )
    assert "BRINERY_ACCESS_LOG=false\n" in said
    assert "BRINERY_CORS_ORIGINS=https://a.example\n" in said
    assert "Default: empty." in said
    for option in options():
        assert f"{option.variable}=" in said
        assert option.sentence in said


def test_page() -> None:
    """The page has a row for every setting."""
    rows = [line for line in settings_page().splitlines() if line.startswith("| `BRINERY_")]
    assert len(rows) == len(options())
    for option, row in zip(options(), rows, strict=True):
        variable, default, expected, meaning = [cell.strip() for cell in row.strip("|").split(" | ")]
        assert variable == f"`{option.variable}`"
        assert default.strip("`") == (option.default or "empty")
        assert (expected, meaning) == (option.parser.expects, option.sentence)
