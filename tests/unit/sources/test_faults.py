"""What other people's errors come to."""

import errno
from types import SimpleNamespace
from typing import Any

import pytest

from server.errors import FetchError
from server.sources.faults import explaining
from server.urls import Url

URL = Url("https://user:geheim@a.example/b.zip?sig=geheim")


class Told(Exception):
    """Somebody's error, with what it says of HTTP, and our secrets in its message."""

    def __init__(self, **members: Any) -> None:
        super().__init__(URL.text)
        self.__dict__.update(members)


class ReadTimeoutError(Exception):
    """As botocore and urllib3 name theirs."""


class NoCredentialsError(Exception):
    """As botocore names its own."""


def unanswered() -> Exception:
    """Give what MLflow raises where nobody answers: with a status of its own."""
    error = Told(get_http_status_code=lambda: 500)
    error.__context__ = ConnectionRefusedError("geheim")
    return error


@pytest.mark.parametrize(
    ("error", "said", "permanent"),
    [
        (FileNotFoundError(URL.text), "There is nothing at", True),
        (Told(status=404), "There is nothing at", True),
        (Told(get_http_status_code=lambda: 404), "There is nothing at", True),
        (Told(response=SimpleNamespace(status_code=410)), "There is nothing at", True),
        (PermissionError("geheim"), "is refused to us", True),
        (Told(status=401), "is refused to us", True),
        (Told(code=403), "is refused to us", True),
        (Told(response={"ResponseMetadata": {"HTTPStatusCode": 403}}), "is refused to us", True),
        (Told(status=400), "was answered with status 400", True),
        (Told(status=301), "was answered with status 301", True),
        (Told(status=408), "was answered with status 408", False),
        (Told(status=429), "was answered with status 429", False),
        (Told(status_code=500), "was answered with status 500", False),
        (Told(status=503), "was answered with status 503", False),
        (TimeoutError("geheim"), "did not answer in time", False),
        (ReadTimeoutError("geheim"), "did not answer in time", False),
        (ConnectionResetError(104, "geheim"), r"cannot be reached, or broke off \(ConnectionResetError\)", False),
        (EOFError("geheim"), r"broke off \(EOFError\)", False),
        (OSError(errno.EFBIG, "geheim"), "has more bytes than a bundle may have", True),
        (OSError(errno.ENOSPC, "geheim"), "No space left on device", True),
        (NoCredentialsError("geheim"), r"cannot be asked for \(NoCredentialsError\)", True),
        (ValueError("geheim"), r"cannot be asked for \(ValueError\)", True),
        (ModuleNotFoundError("geheim", name="s3fs"), r"\(s3fs\); install brinery\[remote\]\.", True),
        (FetchError("Ours.", permanent=False), "^Ours.$", False),
        (unanswered(), r"cannot be reached, or broke off \(Told\)", False),
    ],
    ids=map(str, range(25)),
)
def test_faults(error: Exception, said: str, permanent: bool) -> None:
    """Each is explained, without credentials, and tried again only where that may help."""
    with pytest.raises(FetchError, match=said) as raised, explaining(URL):
        raise error
    assert raised.value.permanent is permanent
    assert "geheim" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_a_status_beneath() -> None:
    """A status is also found in the error that led to another."""
    with pytest.raises(FetchError, match="status 503"), explaining(URL):
        raise OSError(errno.EIO, "geheim") from Told(status=503)


def test_a_code_beneath() -> None:
    """A code in the error that led to another is none that a server answered with."""
    with pytest.raises(FetchError, match="broke off") as raised, explaining(URL):
        raise EOFError from Told(code=400)
    assert not raised.value.permanent


@pytest.mark.parametrize(("text", "extra"), [("s3://b/c", "remote"), ("models:/c/1", "mlflow"), ("oci://r/c", "oci")])
def test_extras(text: str, extra: str) -> None:
    """A library that is missing is named, with the extra that brings it."""
    with pytest.raises(FetchError, match=rf"install brinery\[{extra}\]"), explaining(Url(text)):
        raise ModuleNotFoundError(name="lib")


def test_want_of_memory() -> None:
    """It is no fault of the store's: who runs the process says what it means."""
    with pytest.raises(MemoryError), explaining(URL):
        raise MemoryError
