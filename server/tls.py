"""TLS: how we speak it, by the certificate that the settings name."""

import ssl
from pathlib import Path
from typing import Any, Final

from server.errors import SettingError, one_line
from server.options import PREFIX
from server.settings import Settings

HANDSHAKE: Final = 10.0  # seconds for a client to begin
GOODBYE: Final = 2.0  # seconds for a client to end, when we do


class ServerContext(ssl.SSLContext):
    """A context whose sockets have shaken hands when they are made, within `HANDSHAKE`.

    `files` are the certificate, the key and, if there is one, the authority for clients: for what has a TLS of its own.
    """

    files: tuple[bytes, bytes, bytes | None]

    def wrap_socket(self, sock: Any, *given: Any, **named: Any) -> ssl.SSLSocket:  # noqa: ANN401
        """Shake hands; raises `SSLEOFError`, which Gunicorn takes for a client who has gone, where it comes to nothing.

        Whatever else it raised would be written into the log, with a traceback: anybody who speaks no TLS can do that.
        """
        sock.settimeout(HANDSHAKE)
        try:
            made = super().wrap_socket(sock, *given, **{**named, "do_handshake_on_connect": True})
        except OSError:
            sock.close()
            raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "no TLS") from None
        made.settimeout(None)
        return made


def server_context(settings: Settings) -> ServerContext | None:
    """Make the context for our connections; None where the settings name no certificate.

    TLS 1.2 and 1.3, with the algorithms that Python's makers think right; HTTP/1.1. Raises `SettingError` for files
    that cannot be used.
    """
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    context = ServerContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    certificate = _read("TLS_CERTIFICATE", settings.tls_certificate, "a certificate in PEM")
    context.files = (certificate, _read("TLS_KEY", settings.tls_key, "a private key in PEM"), None)
    try:
        context.load_cert_chain(settings.tls_certificate, settings.tls_key, password="")
    except (OSError, ValueError) as error:
        msg = (
            f"The files of {PREFIX}TLS_CERTIFICATE and {PREFIX}TLS_KEY cannot be used ({one_line(error)}); expected a "
            "certificate and its private key in PEM, without a passphrase."
        )
        raise SettingError(msg) from None
    if settings.tls_client_ca is not None:
        context.files = (*context.files[:2], _read("TLS_CLIENT_CA", settings.tls_client_ca, "certificates in PEM"))
        try:
            context.load_verify_locations(settings.tls_client_ca)
        except (OSError, ValueError) as error:
            msg = f"The file of {PREFIX}TLS_CLIENT_CA cannot be used ({one_line(error)}); expected certificates in PEM."
            raise SettingError(msg) from None
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _read(name: str, file: Path, expected: str) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        msg = f"The file of {PREFIX}{name} cannot be read ({error.strerror}); expected {expected}."
        raise SettingError(msg) from None
