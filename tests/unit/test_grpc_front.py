"""The front that speaks gRPC, without a worker around it."""

from pathlib import Path

import pytest

from server import grpc_front
from server.application import assemble, prepare
from server.grpc_front import GrpcFront
from server.protocols.messages import SERVICE
from server.settings import Settings
from tests.http2 import GOAWAY, HEADERS, Idler
from tests.live.running import free_port

PICKLES = Path(__file__).resolve().parents[2] / "pickles"


def test_a_connection_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection is asked to go when it is old, and closed a while later, though its caller takes no answer."""
    monkeypatch.setattr(grpc_front, "AGE", 0.5)
    port = free_port()
    settings = Settings(
        bundle=PICKLES, host="127.0.0.1", grpc_port=port, deadline=0.5, write_timeout=1, log_level="error"
    )
    front = GrpcFront(assemble(settings, prepare(settings)))
    front.start()
    try:
        with Idler(port) as idler:
            idler.call(f"{SERVICE}/ServerLive")
            kinds = list(idler.kinds())
        assert {HEADERS, GOAWAY} <= set(kinds)
    finally:
        assert front.close(5.0)
