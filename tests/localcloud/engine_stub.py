"""The engine's side of a provider: a real gRPC client that sends what Pulumi's engine would."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from localcloud.provider import Cloud, pack, serve, unpack

Properties = dict[str, Any]


class EngineStub:
    """Calls a provider for resources of a project of its own."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.rpc = provider_pb2_grpc.ResourceProviderStub(channel)

    def failures(self, token: str, inputs: Properties) -> dict[str, str]:
        """Return what a check finds wrong: property to reason."""
        response = self.rpc.Check(provider_pb2.CheckRequest(urn=urn(token), news=pack(inputs)))
        return {each.property: each.reason for each in response.failures}

    def diff(self, token: str, old: Properties, new: Properties, ignored: tuple[str, ...] = ()) -> Any:
        """Return how the provider compares two sets of inputs."""
        request = provider_pb2.DiffRequest(
            id="1", urn=urn(token), old_inputs=pack(old), olds=pack(old), news=pack(new), ignoreChanges=ignored
        )
        return self.rpc.Diff(request)

    def create(
        self, token: str, inputs: Properties, *, name: str = "one", preview: bool = False
    ) -> tuple[str, Properties]:
        """Create a resource; return its id and properties."""
        request = provider_pb2.CreateRequest(urn=urn(token, name), properties=pack(inputs), preview=preview)
        response = self.rpc.Create(request)
        return response.id, unpack(response.properties)

    def read(self, token: str, key: str, state: Properties) -> tuple[str, Properties, Properties]:
        """Return a resource's id (empty: it is gone), properties and inputs as they are now."""
        response = self.rpc.Read(provider_pb2.ReadRequest(id=key, urn=urn(token), properties=pack(state)))
        return response.id, unpack(response.properties), unpack(response.inputs)

    def update(
        self, token: str, key: str, state: Properties, inputs: Properties, *, preview: bool = False
    ) -> Properties:
        """Change a resource; return its properties."""
        request = provider_pb2.UpdateRequest(
            id=key, urn=urn(token), olds=pack(state), news=pack(inputs), preview=preview
        )
        return unpack(self.rpc.Update(request).properties)

    def delete(self, token: str, key: str, state: Properties) -> None:
        """Delete a resource."""
        self.rpc.Delete(provider_pb2.DeleteRequest(id=key, urn=urn(token), properties=pack(state)))

    def plugin_version(self) -> str:
        """Return what the provider says its version is."""
        return self.rpc.GetPluginInfo(Empty()).version


@contextmanager
def engine_at(port: int | str) -> Iterator[EngineStub]:
    """Connect to a provider of this machine."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield EngineStub(channel)


@contextmanager
def engine_for(cloud: Cloud) -> Iterator[EngineStub]:
    """Serve a cloud and connect to it."""
    server, port = serve(cloud)
    try:
        with engine_at(port) as engine:
            yield engine
    finally:
        server.stop(grace=None).wait()


def urn(token: str, name: str = "one") -> str:
    """Return the URN of a resource inside a component."""
    return f"urn:pulumi:test::hosting::hosting:cell:Customer${token}::{name}"


def providers(debug_providers: str) -> Mapping[str, str]:
    """Return the ports in a value of PULUMI_DEBUG_PROVIDERS by cloud."""
    return dict(each.split(":") for each in debug_providers.split(","))
