"""A client of gRPC that knows nothing of the server: what it can be asked, it learns by reflection."""

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from tests.live.running import PATIENCE

SERVICE = "inference.GRPCInferenceService"
HEALTH = "grpc.health.v1.Health"


class GrpcClient:
    """One channel to a server, with a connection of its own; `metadata` goes with every call."""

    def __init__(
        self, port: int, authority: Path | None = None, client: tuple[Path, Path] | None = None, **metadata: str
    ) -> None:
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
        target = f"127.0.0.1:{port}"
        self._metadata = [(name.replace("_", "-"), value) for name, value in metadata.items()]
        self.channel: Any  # the stubs have no messages that are bytes
        if authority is None:
            self.channel = grpc.insecure_channel(target, options)
        else:
            certificate, key = (file.read_bytes() for file in client) if client else (None, None)
            credentials = grpc.ssl_channel_credentials(authority.read_bytes(), key, certificate)
            self.channel = grpc.secure_channel(target, credentials, options)
        self._database = ProtoReflectionDescriptorDatabase(self.channel)
        self._pool = DescriptorPool(self._database)

    @property
    def services(self) -> list[str]:
        """The services that reflection tells of."""
        return list(self._database.get_services())

    def message(self, name: str) -> Any:
        """Give the class of a message."""
        return GetMessageClass(self._pool.FindMessageTypeByName(name))

    def method(self, name: str, service: str = SERVICE) -> tuple[Any, Any]:
        """Give the class of a method's request, and the method as a callable."""
        described = self._pool.FindServiceByName(service).methods_by_name[name]
        asked, answered = GetMessageClass(described.input_type), GetMessageClass(described.output_type)
        make = self.channel.unary_stream if described.server_streaming else self.channel.unary_unary
        return asked, make(
            f"/{service}/{name}", request_serializer=asked.SerializeToString, response_deserializer=answered.FromString
        )

    def __call__(self, name: str, members: dict[str, Any] | None = None, service: str = SERVICE, **more: Any) -> Any:
        """Call a method; give the answer's message, or raise `grpc.RpcError`."""
        asked, method = self.method(name, service)
        return method(asked(**(members or {})), timeout=PATIENCE, metadata=self._metadata, **more)

    def refusal(self, name: str, members: dict[str, Any] | None = None, **more: Any) -> tuple[str, str]:
        """Call a method that must fail; give the name of its code, and its sentence."""
        try:
            answer = self(name, members, **more)
        except grpc.RpcError as error:
            return error.code().name, error.details() or ""
        raise AssertionError(answer)

    def close(self) -> None:
        """End; its threads end with it."""
        self.channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
