"""A Pulumi provider over gRPC that the real engine attaches to (``PULUMI_DEBUG_PROVIDERS=cloud:PORT``).

What a resource is made of and what it does comes from its ``Kind``; the protocol is all that is here.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol

import grpc
from google.protobuf import json_format, struct_pb2
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from localcloud.faults import Faults, Mode

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""What the engine sends for a string that is not known before the update runs."""

Properties = dict[str, Any]


class CloudError(Exception):
    """The cloud refuses; the message, HTTP status and body are what its API would answer."""

    def __init__(self, message: str, *, status: int = 400, body: Properties | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body = body or {}


@dataclass(frozen=True, kw_only=True)
class Field:
    """One input of a resource.

    Attributes:
        type: Python type of the value after JSON (``float`` takes whole numbers too).
        required: Refuse a resource without it.
        one_of: The only values, if limited.
        replaces: A change needs another resource.
    """

    type: type | tuple[type, ...]
    required: bool = False
    one_of: tuple[object, ...] = ()
    replaces: bool = False

    def problem(self, value: object) -> str | None:
        """Return why a value is refused, or None."""
        if value == UNKNOWN:
            return None
        if value is None:
            return "it is required" if self.required else None
        wanted = (int, float) if self.type is float else self.type
        if not isinstance(value, wanted) or (isinstance(value, bool) and self.type is float):
            return f"expected {self.type}, got {value!r}"
        if self.one_of and value not in self.one_of:
            return f"expected one of {', '.join(map(str, self.one_of))}, got {value!r}"
        return None


class Kind(Protocol):
    """One resource type."""

    @property
    def fields(self) -> Mapping[str, Field]:
        """Return its inputs."""
        ...

    def create(self, inputs: Properties, name: str) -> tuple[str, Properties]:
        """Create it; return its id and outputs. Raises CloudError."""
        ...

    def read(self, key: str, state: Properties) -> Properties | None:
        """Return its outputs as they are now; None where it is gone."""
        ...

    def update(self, key: str, state: Properties, inputs: Properties) -> Properties:
        """Change it; return its outputs. Raises CloudError."""
        ...

    def delete(self, key: str, state: Properties) -> None:
        """Delete it; nothing happens where it is gone already."""
        ...


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """A cloud's resource types by token (``cloudflare:index/dnsRecord:DnsRecord``)."""

    name: str
    version: str
    kinds: Mapping[str, Kind]
    faults: Faults
    required_settings: tuple[str, ...] = field(default=())


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """Serves one cloud to the engine."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def GetPluginInfo(self, request: Empty, context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        return plugin_pb2.PluginInfo(version=self._cloud.version)

    def Attach(self, request: plugin_pb2.PluginAttach, context: grpc.ServicerContext) -> Empty:
        return Empty()

    def Handshake(
        self,
        request: provider_pb2.ProviderHandshakeRequest,
        context: grpc.ServicerContext,
    ) -> provider_pb2.ProviderHandshakeResponse:
        return provider_pb2.ProviderHandshakeResponse()

    def CheckConfig(
        self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext
    ) -> provider_pb2.CheckResponse:
        missing = [name for name in self._cloud.required_settings if name not in request.news.fields]
        failures = [provider_pb2.CheckFailure(property=name, reason="it is required") for name in missing]
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    def DiffConfig(self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext) -> provider_pb2.DiffResponse:
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(
        self,
        request: provider_pb2.ConfigureRequest,
        context: grpc.ServicerContext,
    ) -> provider_pb2.ConfigureResponse:
        return provider_pb2.ConfigureResponse(supportsPreview=True)

    def Cancel(self, request: Empty, context: grpc.ServicerContext) -> Empty:
        return Empty()

    def Check(self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext) -> provider_pb2.CheckResponse:
        fields = self._kind(request.urn, context).fields
        news = unpack(request.news)
        failures = [
            provider_pb2.CheckFailure(property=name, reason="there is no such input")
            for name in news
            if name not in fields and not name.startswith("__")
        ]
        for name, known in fields.items():
            problem = known.problem(news.get(name))
            if problem is not None:
                failures.append(provider_pb2.CheckFailure(property=name, reason=problem))
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    def Diff(self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext) -> provider_pb2.DiffResponse:
        fields = self._kind(request.urn, context).fields
        olds, news = unpack(request.old_inputs), unpack(request.news)
        ignored = set(request.ignoreChanges)
        changed = [name for name in fields if name not in ignored and olds.get(name) != news.get(name)]
        changes = provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE
        replaces = [name for name in changed if fields[name].replaces]
        return provider_pb2.DiffResponse(changes=changes, diffs=changed, replaces=replaces)

    def Create(self, request: provider_pb2.CreateRequest, context: grpc.ServicerContext) -> provider_pb2.CreateResponse:
        inputs = unpack(request.properties)
        if request.preview:
            return provider_pb2.CreateResponse(properties=request.properties)
        after = self._suffer("create", request.urn, context)
        kind = self._kind(request.urn, context)
        try:
            key, outputs = kind.create(inputs, request.urn.rsplit("::", 1)[-1])
        except CloudError as error:
            context.abort(grpc.StatusCode.UNKNOWN, str(error))
        if after is Mode.CRASH_AFTER_CREATE:
            context.abort(grpc.StatusCode.UNAVAILABLE, "transport is closing")
        return provider_pb2.CreateResponse(id=key, properties=pack({**inputs, **outputs}))

    def Read(self, request: provider_pb2.ReadRequest, context: grpc.ServicerContext) -> provider_pb2.ReadResponse:
        self._suffer("read", request.urn, context)
        kind = self._kind(request.urn, context)
        outputs = kind.read(request.id, unpack(request.properties))
        if outputs is None:
            return provider_pb2.ReadResponse()
        inputs = {name: outputs[name] for name in kind.fields if outputs.get(name) is not None}
        return provider_pb2.ReadResponse(id=request.id, properties=pack(outputs), inputs=pack(inputs))

    def Update(self, request: provider_pb2.UpdateRequest, context: grpc.ServicerContext) -> provider_pb2.UpdateResponse:
        if request.preview:
            return provider_pb2.UpdateResponse(properties=request.news)
        self._suffer("update", request.urn, context)
        inputs = unpack(request.news)
        try:
            outputs = self._kind(request.urn, context).update(request.id, unpack(request.olds), inputs)
        except CloudError as error:
            context.abort(grpc.StatusCode.UNKNOWN, str(error))
        return provider_pb2.UpdateResponse(properties=pack({**inputs, **outputs}))

    def Delete(self, request: provider_pb2.DeleteRequest, context: grpc.ServicerContext) -> Empty:
        self._suffer("delete", request.urn, context)
        try:
            self._kind(request.urn, context).delete(request.id, unpack(request.properties))
        except CloudError as error:
            context.abort(grpc.StatusCode.UNKNOWN, str(error))
        return Empty()

    def _kind(self, urn: str, context: grpc.ServicerContext) -> Kind:
        token = token_of(urn)
        kind = self._cloud.kinds.get(token)
        if kind is None:
            known = ", ".join(sorted(self._cloud.kinds))
            _unimplemented(context, f"{token}: the local cloud has no such resource (it has {known})")
        return kind

    def _suffer(self, verb: str, urn: str, context: grpc.ServicerContext) -> Mode | None:
        mode = self._cloud.faults.suffer(self._cloud.name, f"{verb} {token_of(urn).rsplit(':', 1)[-1]}")
        if mode is Mode.ERROR:
            context.abort(grpc.StatusCode.UNKNOWN, f"{self._cloud.name}: 503 Service Unavailable")
        if mode is Mode.RATE_LIMITED:
            context.abort(grpc.StatusCode.UNKNOWN, f"{self._cloud.name}: 429 Too Many Requests")
        if mode is Mode.TIMEOUT:
            context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, f"{self._cloud.name}: no answer")
        return mode


def serve(cloud: Cloud) -> tuple[grpc.Server, int]:
    """Serve a cloud on a free port of 127.0.0.1; return the server, to be stopped, and the port."""
    server = grpc.server(ThreadPoolExecutor(max_workers=32, thread_name_prefix=cloud.name))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Provider(cloud), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


def token_of(urn: str) -> str:
    """Return the resource type at the end of a URN's type part."""
    return urn.split("::")[2].rsplit("$", 1)[-1]


def unpack(properties: struct_pb2.Struct) -> Properties:
    """Return properties as Python values; numbers without fraction become whole ones."""
    return {name: _whole(value) for name, value in json_format.MessageToDict(properties).items() if value is not None}


def pack(properties: Properties) -> struct_pb2.Struct:
    """Return Python values as properties."""
    struct = struct_pb2.Struct()
    json_format.ParseDict(properties, struct)
    return struct


def _whole(value: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_whole(item) for item in value]
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    return value


def _unimplemented(context: grpc.ServicerContext, message: str) -> NoReturn:
    context.abort(grpc.StatusCode.UNIMPLEMENTED, message)
    raise AssertionError(message)  # abort raises; this tells type checkers
