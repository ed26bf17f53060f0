"""`brinery key`: a new API key, and the line by which the server knows it."""

from server.errors import SettingError
from server.keys import NAME, digest_of, new_key
from server.rates import read_rate
from server.settings import SCOPES


def key_lines(name: str, scopes: str = "", rate: str = "") -> str:
    """Make a key, and say it and its line; raise `SettingError` for a name, scopes or a rate that cannot be used."""
    if not NAME.fullmatch(name):
        msg = f"The name is {name!r}; expected up to 64 letters, digits, dots, dashes and underscores."
        raise SettingError(msg)
    if scopes and not set(scopes.split(",")) <= set(SCOPES):
        msg = f"The scopes are {scopes!r}; expected some of {','.join(SCOPES)}."
        raise SettingError(msg)
    if rate:
        try:
            read_rate(rate)
        except ValueError:
            msg = f"The rate is {rate!r}; expected one such as 100/s or 6000/m."
            raise SettingError(msg) from None
    key = new_key()
    line = " ".join(word for word in (name, digest_of(key), scopes, rate) if word)
    return (
        f"The key, for the caller; it is shown here once, and kept nowhere:\n{key}\n"
        f"Its line, for BRINERY_API_KEYS_FILE or BRINERY_API_KEYS:\n{line}\n"
    )
