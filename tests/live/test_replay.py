"""The whole table of cases over real sockets, byte by byte as it stands there."""

import http.client
import io
import json
import socket
from dataclasses import dataclass, replace

import pytest

from tests.cases import Case, bad_inputs, json_texts, requests
from tests.live.running import Server

pytestmark = pytest.mark.live

CLOSED = 0  # the status of a connection that was closed without an answer
SECONDS = 10
CASES = [*requests(), *bad_inputs(), *json_texts()]


@dataclass(frozen=True)
class Reply:
    """What came back on the wire."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes
    whole: bytes


class Heard:
    """Bytes that were received, as `http.client` wants to read them."""

    def __init__(self, received: bytes) -> None:
        self._received = received

    def makefile(self, _: str) -> io.BytesIO:
        """Give the bytes as a file."""
        return io.BytesIO(self._received)


def wire_of(case: Case) -> tuple[bytes, bytes]:
    """Give the bytes of a request: head and body, or all that the case says."""
    if case.wire is not None:
        return case.wire, b""
    body = case.body or b""
    lines = [f"{case.method} {case.path} HTTP/1.1", "Host: localhost"]
    lines += [f"{name}: {value}" for name, value in case.headers.items()]
    if case.body is not None or case.method in ("POST", "PUT", "PATCH"):
        lines.append(f"Content-Length: {len(body)}")
    lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace"), body


def send(server: Server, case: Case) -> Reply:
    """Send a case on a connection of its own; fail if no answer comes in time."""
    head, body = wire_of(case)
    received = b""
    with socket.create_connection((server.host, server.port), timeout=SECONDS) as connection:
        connection.sendall(head)
        try:
            connection.sendall(body)
            if case.wire is not None and case.expect != (200,):
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it may be refused before it is sent; the answer is there all the same
        try:
            while chunk := connection.recv(65_536):
                received += chunk
        except ConnectionError:
            pass
    if not received:
        return Reply(CLOSED, http.client.HTTPMessage(), b"", b"")
    response = http.client.HTTPResponse(Heard(received), method=case.method)  # type: ignore[arg-type]
    response.begin()
    return Reply(response.status, response.headers, response.read(), received)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_case(crime: Server, front: str, case: Case) -> None:
    """Each request gets an answer that is allowed, in time, and as a problem document where it is an error."""
    if front == "asgi" and case.method == "FOO":
        # The parser of the event loop takes the methods of IANA's registry only: another is no HTTP to it.
        case = replace(case, expect=(400,), require={})
    reply = send(crime, case)
    if reply.status == CLOSED and case.raw.get("may_reset"):
        return
    assert reply.status in case.expect, case.why
    assert b"Traceback" not in reply.whole
    assert b'File "/' not in reply.whole
    if case.max_response_bytes:
        assert len(reply.body) <= case.max_response_bytes
    if reply.status == CLOSED:
        return
    assert reply.headers["X-Request-ID"]
    for name, value in case.require.items():
        assert reply.headers[name] == value
    if reply.status < 400:
        return
    assert reply.headers["Content-Type"] == "application/problem+json"
    if case.method == "HEAD":
        return
    problem = json.loads(reply.body)
    assert problem["status"] == reply.status
    assert problem["request_id"] == reply.headers["X-Request-ID"]
    if case.errors is not None:
        assert [(error["pointer"], error["code"]) for error in problem["errors"]] == list(case.errors)
    if case.error_count is not None:
        assert problem["error_count"] == case.error_count


def test_the_server_still_works(crime: Server) -> None:
    """After all of that the same worker, which never died, answers, and nothing went wrong inside."""
    assert crime.request("GET", "/api/health/ready").status == 200
    assert sum("Booting worker" in line for line in crime.out) == 1
    assert not [line for line in crime.out if json.loads(line)["level"] == "error"]
