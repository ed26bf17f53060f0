"""What a failed fetch comes to: whether to try again, and a sentence without a word of whoever failed.

Libraries and servers put addresses, signatures and tokens into their messages; only kinds and statuses are told.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from server.errors import FetchError
from server.urls import Url

EXTRAS: Final = {"models": "mlflow", "oci": "oci"}
AGAIN: Final = (408, 425, 429)  # of the statuses below 500
ABSENT, REFUSED = (404, 410), (401, 403)
# Kinds of other people's errors, by name, since their libraries may not be there: trying again gives the same.
PERMANENT: Final = (
    "ClientAuthenticationError",
    "ClientConnectorCertificateError",
    "CredentialUnavailableError",
    "DefaultCredentialsError",
    "InvalidURL",
    "InvalidUrlClientError",
    "NoCredentialsError",
    "NonHttpUrlRedirectClientError",
    "PartialCredentialsError",
    "ParamValidationError",
    "ProfileNotFound",
    "SSLCertVerificationError",
    "SSLError",
    "TooManyRedirects",
)


@contextmanager
def explaining(url: Url) -> Iterator[None]:
    """Raise whatever is raised inside as a `FetchError`."""
    try:
        yield
    except (FetchError, MemoryError):
        raise
    except ImportError as error:
        extra = EXTRAS.get(url.scheme, "remote")
        msg = f"{url} needs a library that is not installed ({error.name or 'unknown'}); install brinery[{extra}]."
        raise FetchError(msg) from None
    except Exception as error:
        raise explained(error, url) from None


def explained(error: BaseException, url: Url) -> FetchError:
    """Give our own error for somebody else's."""
    status = status_of(error)
    if status in ABSENT or isinstance(error, FileNotFoundError):
        return FetchError(f"There is nothing at {url}; look at the address.")
    if status in REFUSED or isinstance(error, PermissionError):
        return FetchError(f"{url} is refused to us; look at the credentials, and at what they are good for.")
    if status is not None:
        return FetchError(f"{url} was answered with status {status}.", permanent=status < 500 and status not in AGAIN)
    if isinstance(error, TimeoutError) or "timeout" in type(error).__name__.lower():
        return FetchError(f"{url} did not answer in time.", permanent=False)
    kind = type(error).__name__
    if isinstance(error, OSError) and error.errno == errno.EFBIG:
        return too_large(url)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        return FetchError(f"{url} cannot be kept here ({os.strerror(error.errno)}); give temporary files more space.")
    if kind in PERMANENT or isinstance(error, (ValueError, TypeError, KeyError, AttributeError, NotImplementedError)):
        return FetchError(
            f"{url} cannot be asked for ({kind}); look at the address, and at the credentials' variables."
        )
    return FetchError(f"{url} cannot be reached, or broke off ({kind}).", permanent=False)


def too_large(url: Url) -> FetchError:
    """Give the error for what has more bytes than a bundle may have."""
    return FetchError(f"{url} has more bytes than a bundle may have; see BRINERY_MAX_MODEL_BYTES.")


def _is_unanswered(error: BaseException | None) -> bool:
    """Tell whether what led to an error is that nobody answered, for which MLflow makes up a status."""
    cause = error and (error.__cause__ or error.__context__)
    return isinstance(cause, OSError) and getattr(cause, "response", None) is None


def status_of(error: BaseException) -> int | None:
    """Give the HTTP status that an error is about, where it says one."""
    for candidate in (error, error.__cause__, error.__context__):
        response = getattr(candidate, "response", None)
        said = response.get("ResponseMetadata", {}) if isinstance(response, dict) else {}
        of_mlflow = getattr(candidate, "get_http_status_code", None)
        for status in (
            of_mlflow() if callable(of_mlflow) and not _is_unanswered(candidate) else None,
            getattr(candidate, "status", None),
            getattr(candidate, "status_code", None),
            # What led to an error may have a code of its own: aiohttp calls a body that was cut off a 400.
            getattr(candidate, "code", None) if candidate is error else None,
            getattr(response, "status_code", None),
            said.get("HTTPStatusCode"),
        ):
            if isinstance(status, int) and 300 <= status < 600:
                return status
    return None
