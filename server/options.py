"""Settings as the console and the documentation see them: what one is declared by, read from, and written as."""

import dataclasses
import re
from dataclasses import dataclass
from typing import Any, Final

from server.errors import SettingError
from server.parsers import Parser

PREFIX: Final = "BRINERY_"

# Kubernetes puts such variables into every pod of a namespace that has a Service whose name starts with "brinery".
SERVICE_LINK = re.compile(r"BRINERY_(\w+_)?(SERVICE_(HOST|PORT)(_\w+)?|PORT(_[0-9]+_\w+)?)")


def setting(default: object, parser: Parser[Any], sentence: str, *, shown: str | None = None) -> Any:  # noqa: ANN401
    """Declare a field: `shown` describes a default that is computed, in which case `default` is a function."""
    metadata = {"parser": parser, "sentence": sentence, "shown": shown}
    if shown is not None:
        return dataclasses.field(default_factory=default, metadata=metadata)  # type: ignore[call-overload]
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True)
class Option:
    """One field of `Settings` as the console and the documentation see it."""

    name: str
    parser: Parser[Any]
    sentence: str
    default: str

    @property
    def variable(self) -> str:
        """Name of the environment variable."""
        return PREFIX + self.name.upper()

    @property
    def flag(self) -> str:
        """Name of the option of `brinery serve`."""
        return "--" + self.name.replace("_", "-")

    def parse(self, text: str, *, source: str) -> object:
        """Read the value from `text`; raise `SettingError` that names `source`, the text and what was expected."""
        try:
            return self.parser.read(text.strip())
        except (ValueError, KeyError):
            got = "not shown here" if self.parser.secret else repr(self.parser.shown(text))
            msg = f"{source} is {got}; expected {self.parser.expects}."
            raise SettingError(msg) from None


def options_of(settings: type) -> list[Option]:
    """Give every setting of a class of them, in its order."""
    return [
        Option(
            name=field.name,
            parser=field.metadata["parser"],
            sentence=field.metadata["sentence"],
            default=field.metadata["shown"] or as_text(field.default),
        )
        for field in dataclasses.fields(settings)
    ]


def is_service_link(variable: str, value: str) -> bool:
    """Tell whether Kubernetes made this variable; two can be ours or its own, as `tcp://10.0.0.1:8000`."""
    if variable in (f"{PREFIX}PORT", f"{PREFIX}GRPC_PORT"):
        return value.startswith(("tcp://", "udp://"))
    return SERVICE_LINK.fullmatch(variable) is not None


def as_text(value: object) -> str:
    """Write a setting's value as its parser reads it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).removesuffix(".0") if isinstance(value, float) else str(value)
