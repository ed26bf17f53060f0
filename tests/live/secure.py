"""A server behind TLS, and clients who look at its certificate."""

import http.client
import json
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.live.certificates import Authority
from tests.live.running import JSON, PATIENCE, Answer, Server


class SecureServer(Server):
    """A server that is asked by TLS, by clients who look at its certificate."""

    def __init__(self, authority: Authority, client: tuple[Path, Path] | None = None, **settings: Any) -> None:
        self.authority = authority
        self.context = ssl.create_default_context(cafile=authority.ca)
        if client is not None:
            self.context.load_cert_chain(*client)
        certificate, key = authority.sign("server")
        super().__init__(tls_certificate=certificate, tls_key=key, **settings)

    def request(self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Answer:
        """Send one request by TLS, on a connection of its own."""
        connection = http.client.HTTPSConnection(self.host, self.port, timeout=PATIENCE, context=self.context)
        sent = None if body is None else json.dumps(body).encode()
        try:
            connection.request(method, path, sent, {**({} if sent is None else JSON), **(headers or {})})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def shake_hands(self, context: ssl.SSLContext) -> ssl.SSLSocket:
        """Begin a connection by this context."""
        plain = socket.create_connection((self.host, self.port), timeout=PATIENCE)
        try:
            return context.wrap_socket(plain, server_hostname="localhost")
        except OSError:
            plain.close()
            raise
