"""What all tests share: one recording mock of the engine, and declaring a program on it.

Pulumi is imported when a test declares something, not before: most tests never do.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from typing import Any, Protocol

import pytest

SECRET_SIGNATURE = "1b47061264138c4ac30d75fd1eb44270"
SIGNATURE_KEY = "4dabf18193072939515e22adb298388d"
"""How a secret is marked on the wire between a program and the engine."""

STACK_REFERENCE = "pulumi:pulumi:StackReference"
ROOT = "pulumi:pulumi:Stack"


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """One resource as the engine was asked to register it.

    Attributes:
        type: Its token.
        name: Its logical name.
        inputs: Properties as the engine gets them (camelCase), secrets unwrapped.
        secrets: Paths of inputs that are marked secret, such as ``envs`` or ``rules.0.value``.
        urn: Its URN.
        id: What the mock calls it.
        parent: Its parent's URN.
        provider: Name of the explicit provider that manages it; empty for a default one.
        custom: Whether a provider manages it; False for a component.
        delete_before_replace: None where that is left to the provider.
        dependencies: URNs of what it waits for.
    """

    type: str
    name: str
    inputs: Mapping[str, Any]
    secrets: frozenset[str]
    urn: str
    id: str
    parent: str
    provider: str
    custom: bool
    protect: bool
    retain_on_delete: bool
    delete_before_replace: bool | None
    ignore_changes: tuple[str, ...]
    aliases: tuple[str, ...]
    additional_secret_outputs: tuple[str, ...]
    dependencies: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Called:
    """One function of a provider as it was called."""

    token: str
    args: Mapping[str, Any]
    provider: str


@dataclass(kw_only=True)
class Declared:
    """What a program asked of the engine.

    Attributes:
        resources: Registered resources without the stack itself.
        reads: Stacks that were looked at.
        calls: Functions of providers that were called.
        component_outputs: URN of a component to the outputs that it registered.
        outputs: The stack's outputs, secrets unwrapped.
        secret_outputs: Paths of outputs that are marked secret.
        result: What the program returned.
        error: What it failed with, where that was expected.
    """

    resources: list[Recorded] = field(default_factory=list)
    reads: list[str] = field(default_factory=list)
    calls: list[Called] = field(default_factory=list)
    component_outputs: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    outputs: Mapping[str, Any] = field(default_factory=dict)
    secret_outputs: frozenset[str] = frozenset()
    result: Any = None
    error: BaseException | None = None

    @property
    def kinds(self) -> list[tuple[str, str]]:
        """Type and name of every resource but components and providers, sorted."""
        return sorted((each.type, each.name) for each in self.custom)

    @property
    def custom(self) -> list[Recorded]:
        """Every resource that a provider manages, without the providers themselves."""
        return [each for each in self.resources if each.custom and not each.type.startswith("pulumi:providers:")]

    def all(self, kind: str) -> list[Recorded]:
        """Return the resources whose type is, or ends in, the given one, by name."""
        found = [each for each in self.resources if each.type == kind or each.type.rsplit(":", 1)[-1] == kind]
        return sorted(found, key=lambda each: each.name)

    def one(self, kind: str, name: str | None = None) -> Recorded:
        """Return the only resource of a type (and name)."""
        found = [each for each in self.all(kind) if name is None or each.name == name]
        assert len(found) == 1, f"{len(found)} of {kind} {name or ''} in {self.kinds}"
        return found[0]


class Declare(Protocol):
    """Runs a program on the recording mock."""

    def __call__(
        self,
        program: Callable[[], object],
        *,
        stack: str = ...,
        config: Mapping[str, object] | None = ...,
        secret_config: Mapping[str, object] | None = ...,
        stacks: Mapping[str, Mapping[str, object]] | None = ...,
        answers: Mapping[str, Mapping[str, object]] | None = ...,
        fails_with: type[BaseException] | None = ...,
    ) -> Declared:
        """Run a program and return what it declared.

        Args:
            program: Declares resources; may be a coroutine function.
            stack: Name of the stack.
            config: Configuration, full name (``hosting:domain``) to value; mappings and lists become JSON.
            secret_config: The same, marked secret.
            stacks: Outputs of other stacks, qualified name to outputs.
            answers: Token of a provider's function to its answer, over the usual ones.
            fails_with: The error to expect.
        """
        ...


@pytest.fixture
def declare() -> Declare:
    """Run a function that declares resources in a program of its own, and record what it asks of the engine."""

    def run(
        program: Callable[[], object],
        *,
        stack: str = "test",
        config: Mapping[str, object] | None = None,
        secret_config: Mapping[str, object] | None = None,
        stacks: Mapping[str, Mapping[str, object]] | None = None,
        answers: Mapping[str, Mapping[str, object]] | None = None,
        fails_with: type[BaseException] | None = None,
    ) -> Declared:
        declared = Declared()
        main = _main(
            program,
            declared,
            stack=stack,
            config={**(config or {}), **(secret_config or {})},
            secret_keys=list(secret_config or {}),
            stacks=stacks or {},
            answers={**ANSWERS, **(answers or {})},
        )
        # The SDK keeps everything about a program in context variables: a fresh context is a fresh program.
        context = contextvars.copy_context()
        if fails_with is None:
            context.run(asyncio.run, main)
        else:
            with pytest.raises(fails_with) as failure:
                context.run(asyncio.run, main)
            declared.error = failure.value
        return declared

    return run


async def _main(
    program: Callable[[], object],
    declared: Declared,
    *,
    stack: str,
    config: Mapping[str, object],
    secret_keys: Sequence[str],
    stacks: Mapping[str, Mapping[str, object]],
    answers: Mapping[str, Mapping[str, object]],
) -> None:
    # Half a second that tests without a program don't spend.
    from pulumi.runtime import mocks, set_all_config, set_mocks, settings  # noqa: PLC0415
    from pulumi.runtime import stack as runtime_stack  # noqa: PLC0415

    settings.SETTINGS.outputs = set()  # a program that failed leaves tasks of a closed event loop behind
    settings.SETTINGS.package_refs = {}
    values = {key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()}
    set_all_config(values, list(secret_keys))
    mock_type, monitor_type = _recording()
    mock: mocks.Mocks = mock_type(declared, stacks, answers)
    set_mocks(mock, project="hosting", stack=stack, organization="organization", monitor=monitor_type(mock, declared))
    settings.ROOT.set(None)  # `run_in_stack` makes the stack itself, and registers its outputs after the program

    async def entry() -> None:
        result = program()
        declared.result = await result if inspect.isawaitable(result) else result

    with _threads() as threads:
        asyncio.get_running_loop().set_default_executor(threads)
        await runtime_stack.run_in_stack(entry)  # returns after every RPC and output is done


@contextmanager
def _threads() -> Iterator[ThreadPoolExecutor]:
    """Threads for the mock's answers: each needs an event loop, which the SDK would make and never close."""
    loops: list[asyncio.AbstractEventLoop] = []

    def begin() -> None:
        loops.append(asyncio.new_event_loop())
        asyncio.set_event_loop(loops[-1])

    try:
        with ThreadPoolExecutor(max_workers=4, initializer=begin) as threads:
            yield threads
    finally:
        for loop in loops:
            loop.close()


@cache
def _recording() -> tuple[Any, Any]:
    """Return the classes of the mock and of its monitor."""
    from google.protobuf import json_format  # noqa: PLC0415
    from pulumi.runtime import mocks  # noqa: PLC0415

    class Recorder(mocks.Mocks):
        """Answers as the clouds would: ids, addresses and the like."""

        def __init__(
            self,
            declared: Declared,
            stacks: Mapping[str, Mapping[str, object]],
            answers: Mapping[str, Mapping[str, object]],
        ) -> None:
            self._declared = declared
            self._stacks = stacks
            self._answers = answers
            self._numbers = count(1001)

        def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
            if args.typ == STACK_REFERENCE:
                name = str(args.inputs["name"])
                self._declared.reads.append(name)
                outputs = dict(self._stacks.get(name, {}))
                return name, {"name": name, "outputs": outputs, "secretOutputNames": []}
            number = next(self._numbers)
            identifier = str(number) if args.typ.startswith("hcloud:") else f"{args.name}-id"
            return identifier, {**_computed(args.typ, args.name, number), **args.inputs}

        def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]] | None]:
            self._declared.calls.append(Called(token=args.token, args=args.args, provider=_name(args.provider)))
            if args.token not in self._answers:
                message = f"no answer to {args.token}: give one in `answers`"
                raise AssertionError(message)
            return dict(self._answers[args.token]), []

    class Monitor(mocks.MockMonitor):
        """Hears what `Mocks` is not told: parents, protection and what else belongs to the options."""

        def __init__(self, mock: mocks.Mocks, declared: Declared) -> None:
            super().__init__(mock)
            self._declared = declared

        def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - as the base class has it
            response = super().RegisterResource(request)
            if request.type != ROOT:
                inputs, secrets = _plain(json_format.MessageToDict(request.object))
                self._declared.resources.append(
                    Recorded(
                        type=request.type,
                        name=request.name,
                        inputs=inputs,
                        secrets=frozenset(secrets),
                        urn=response.urn,
                        id=response.id,
                        parent=request.parent,
                        provider=_name(request.provider),
                        custom=request.custom,
                        protect=request.protect,
                        retain_on_delete=request.retainOnDelete,
                        delete_before_replace=request.deleteBeforeReplace
                        if request.deleteBeforeReplaceDefined
                        else None,
                        ignore_changes=tuple(request.ignoreChanges),
                        aliases=tuple(str(each) for each in (*request.aliasURNs, *request.aliases)),
                        additional_secret_outputs=tuple(request.additionalSecretOutputs),
                        dependencies=frozenset(request.dependencies),
                    )
                )
            return response

        def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802 - as the base class has it
            outputs, secrets = _plain(json_format.MessageToDict(request.outputs))
            if request.urn.split("::")[2] == ROOT:
                self._declared.outputs, self._declared.secret_outputs = outputs, frozenset(secrets)
            else:
                self._declared.component_outputs[request.urn] = outputs
            return super().RegisterResourceOutputs(request)

    return Recorder, Monitor


def _name(reference: str) -> str:
    """Return a provider's name from its reference, ``<urn>::<id>``."""
    return reference.rsplit("::", 2)[-2] if reference else ""


def _plain(value: Any, path: str = "") -> tuple[Any, list[str]]:
    """Return a value off the wire without its secrets' wrapping, and where they were."""
    if isinstance(value, dict):
        if value.get(SIGNATURE_KEY) == SECRET_SIGNATURE:
            inner, _ = _plain(value["value"], path)
            return inner, [path]
        pairs = {key: _plain(each, f"{path}.{key}".lstrip(".")) for key, each in value.items()}
        return {key: inner for key, (inner, _) in pairs.items()}, [at for _, found in pairs.values() for at in found]
    if isinstance(value, list):
        items = [_plain(each, f"{path}.{index}") for index, each in enumerate(value)]
        return [inner for inner, _ in items], [at for _, found in items for at in found]
    return value, []


def _computed(kind: str, name: str, number: int) -> dict[str, Any]:
    """Return what a cloud adds to a resource's inputs, each value the resource's own."""
    short = kind.rsplit(":", 1)[-1]
    low = number % 250
    return {
        "PrimaryIp": {"ipAddress": f"203.0.113.{low}"},
        "Server": {"ipv4Address": f"203.0.113.{low}", "ipv6Address": f"2001:db8::{low:x}"},
        "RemoteImage": {"imageId": f"sha256:{name}", "repoDigest": f"{name}@sha256:0"},
        "Container": {"name": f"{name}-{number}"},
        "Bucket": {"arn": f"arn:aws:s3:::{name}", "bucket": name},
        "AccessKey": {"secret": f"secret-of-{name}"},
    }.get(short, {})


def server_type(
    name: str, *locations: str, number: int = 1, available: bool | None = True, deprecated: bool = False
) -> dict[str, object]:
    """Return a server type as Hetzner's provider lists it."""
    return {
        "id": number,
        "name": name,
        "locations": [
            {"name": location, "isDeprecated": deprecated} | ({} if available is None else {"available": available})
            for location in locations
        ],
    }


SERVER_TYPES = "hcloud:index/getServerTypes:getServerTypes"
DATACENTERS = "hcloud:index/getDatacenters:getDatacenters"
ANSWERS: Mapping[str, Mapping[str, object]] = {
    SERVER_TYPES: {
        "serverTypes": [
            server_type("cx43", "nbg1", "fsn1", number=1),
            server_type("cpx42", "nbg1", "fsn1", "ash", number=2),
        ]
    },
    DATACENTERS: {"datacenters": []},
}
"""What providers say unless a test wants something else."""
