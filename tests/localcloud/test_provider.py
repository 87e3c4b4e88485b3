"""The provider as the engine talks to it: a real gRPC client against a served cloud."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc
import pytest
from pulumi.runtime.proto import plugin_pb2, provider_pb2

from localcloud.faults import Fault, Faults, Mode
from localcloud.provider import UNKNOWN, Cloud, CloudError, Field, Properties, pack, token_of, unpack
from localcloud.store import Store
from tests.localcloud.engine_stub import EngineStub, engine_for

THING = "test:index/thing:Thing"
INPUTS: Properties = {"name": "a", "size": 1}


class ThingKind:
    """A resource type that keeps what it has in a dictionary."""

    fields: Mapping[str, Field] = {
        "name": Field(type=str, required=True, replaces=True),
        "size": Field(type=float, required=True),
        "colour": Field(type=str, one_of=("red", "blue")),
        "public": Field(type=bool),
        "labels": Field(type=dict),
        "rules": Field(type=list, replaces=True),
    }

    def __init__(self) -> None:
        self.things: dict[str, Properties] = {}

    def create(self, inputs: Properties, name: str) -> tuple[str, Properties]:
        if inputs["name"] == "refused":
            raise CloudError("422: no such name, says the cloud")
        self.things[name] = inputs
        return name, {"address": f"203.0.113.{len(self.things)}"}

    def read(self, key: str, state: Properties) -> Properties | None:
        return None if key not in self.things else {**self.things[key], "address": "203.0.113.1"}

    def update(self, key: str, state: Properties, inputs: Properties) -> Properties:
        if inputs["size"] < state["size"]:
            raise CloudError("409: it never shrinks")
        self.things[key] = inputs
        return {"address": state["address"]}

    def delete(self, key: str, state: Properties) -> None:
        if self.things.get(key, {}).get("labels") == {"keep": "yes"}:
            raise CloudError("423: it is kept")
        self.things.pop(key, None)


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(tmp_path / "cloud.db")) as opened:
        yield opened


@pytest.fixture
def faults(store: Store, slept: list[float]) -> Faults:
    return Faults(store, sleep=slept.append)


@pytest.fixture
def kind() -> ThingKind:
    return ThingKind()


@pytest.fixture
def engine(faults: Faults, kind: ThingKind) -> Iterator[EngineStub]:
    cloud = Cloud(name="test", version="6.7.8", kinds={THING: kind}, faults=faults, required_settings=("apiToken",))
    with engine_for(cloud) as stub:
        yield stub


def refused(call: Callable[[], object]) -> tuple[grpc.StatusCode, str]:
    """Return the status and the message that a call was refused with."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    error: Any = caught.value
    return error.code(), error.details()


def test_the_engine_attaches(engine: EngineStub) -> None:
    """It says its version, shakes hands, takes its configuration, supports previews and can be told to stop."""
    assert engine.plugin_version() == "6.7.8"
    engine.rpc.Attach(plugin_pb2.PluginAttach(address="127.0.0.1:1"))
    engine.rpc.Handshake(provider_pb2.ProviderHandshakeRequest(engine_address="127.0.0.1:1"))
    assert engine.rpc.Configure(provider_pb2.ConfigureRequest(args=pack({"apiToken": "x"}))).supportsPreview
    same = engine.rpc.DiffConfig(provider_pb2.DiffRequest(news=pack({"apiToken": "y"})))
    assert same.changes == provider_pb2.DiffResponse.DIFF_NONE
    engine.rpc.Cancel(provider_pb2.google_dot_protobuf_dot_empty__pb2.Empty())


def test_a_missing_setting_is_named(engine: EngineStub) -> None:
    """A provider without its token is refused, with the token's name; with it it is not."""
    response = engine.rpc.CheckConfig(provider_pb2.CheckRequest(news=pack({"region": "x"})))
    assert [(each.property, each.reason) for each in response.failures] == [("apiToken", "it is required")]
    response = engine.rpc.CheckConfig(provider_pb2.CheckRequest(news=pack({"apiToken": "x"})))
    assert not response.failures
    assert unpack(response.inputs) == {"apiToken": "x"}


@pytest.mark.parametrize(
    ("changes", "name", "reason"),
    [
        ({"name": None}, "name", "it is required"),
        ({"size": None}, "size", "it is required"),
        ({"name": 7}, "name", "got 7"),
        ({"size": "big"}, "size", "got 'big'"),
        ({"size": True}, "size", "got True"),
        ({"public": "yes"}, "public", "got 'yes'"),
        ({"labels": ["a"]}, "labels", "got ['a']"),
        ({"rules": {"a": "b"}}, "rules", "got {'a': 'b'}"),
        ({"colour": "green"}, "colour", "expected one of red, blue, got 'green'"),
        ({"color": "red"}, "color", "there is no such input"),
    ],
)
def test_a_check_names_property_and_reason(engine: EngineStub, changes: Properties, name: str, reason: str) -> None:
    """What is missing, of a wrong type, of a wrong value or unknown to the resource is told, and nothing else."""
    failures = engine.failures(THING, {**INPUTS, **changes})
    assert list(failures) == [name]
    assert reason in failures[name]


def test_a_check_names_every_problem(engine: EngineStub) -> None:
    """Three problems are three failures."""
    assert engine.failures(THING, {"size": "x", "color": 1}).keys() == {"name", "size", "color"}


def test_sound_inputs_pass_the_check(engine: EngineStub) -> None:
    """Whole numbers, fractions, the engine's own marks and everything optional pass, and come back as they were."""
    inputs = {"name": "a", "size": 1.5, "colour": "blue", "public": False, "labels": {"a": "b"}, "rules": [1]}
    assert engine.failures(THING, {**inputs, "__defaults": []}) == {}
    response = engine.rpc.Check(provider_pb2.CheckRequest(urn=f"urn:pulumi:t::h::{THING}::x", news=pack(inputs)))
    assert unpack(response.inputs) == inputs


def test_what_is_not_known_yet_passes_the_check(engine: EngineStub) -> None:
    """The engine's mark for a value of a resource that is still to come is taken for any type."""
    assert engine.failures(THING, dict.fromkeys(ThingKind.fields, UNKNOWN)) == {}


@pytest.mark.parametrize(
    ("old", "new", "changed", "replaces"),
    [
        ({}, {}, [], []),
        ({"size": 1}, {"size": 1.0}, [], []),
        ({"labels": {"a": "1", "b": "2"}}, {"labels": {"b": "2", "a": "1"}}, [], []),
        ({}, {"size": 2}, ["size"], []),
        ({}, {"name": "b"}, ["name"], ["name"]),
        ({}, {"name": "b", "size": 2}, ["name", "size"], ["name"]),
        ({"rules": [1]}, {"rules": None}, ["rules"], ["rules"]),
        ({}, {"colour": "red"}, ["colour"], []),
        ({"public": True}, {"public": False}, ["public"], []),
        ({"labels": {"a": "1"}}, {"labels": {"a": "2"}}, ["labels"], []),
        ({}, {"size": UNKNOWN}, ["size"], []),
        ({}, {"name": UNKNOWN}, ["name"], ["name"]),
    ],
)
def test_a_diff_says_what_changed_and_what_needs_another(
    engine: EngineStub, old: Properties, new: Properties, changed: list[str], replaces: list[str]
) -> None:
    """Each changed input is named; one that can't be changed in place asks for another resource."""
    diff = engine.diff(THING, {**INPUTS, **old}, {**INPUTS, **old, **new})
    assert list(diff.diffs) == changed
    assert list(diff.replaces) == replaces
    some, none = provider_pb2.DiffResponse.DIFF_SOME, provider_pb2.DiffResponse.DIFF_NONE
    assert diff.changes == (some if changed else none)


def test_a_diff_leaves_out_what_is_to_be_ignored(engine: EngineStub) -> None:
    """ignore_changes holds."""
    diff = engine.diff(THING, INPUTS, {"name": "b", "size": 2}, ignored=("name",))
    assert (list(diff.diffs), list(diff.replaces)) == (["size"], [])


def test_a_resource_lives(engine: EngineStub, kind: ThingKind) -> None:
    """It is created under its name, read with its inputs, changed, deleted, and gone."""
    key, state = engine.create(THING, INPUTS, name="first")
    assert (key, state) == ("first", {**INPUTS, "address": "203.0.113.1"})
    assert engine.read(THING, key, state) == ("first", state, INPUTS)
    assert engine.update(THING, key, state, {"name": "a", "size": 2}) == {**state, "size": 2}
    engine.delete(THING, key, state)
    assert kind.things == {}
    assert engine.read(THING, key, state) == ("", {}, {})


def test_a_preview_touches_nothing(engine: EngineStub, kind: ThingKind, store: Store) -> None:
    """During a preview nothing is created or changed, no call is counted and no fault is used up."""
    key, state = engine.create(THING, INPUTS)
    before = store.calls()
    assert engine.create(THING, {"name": "refused", "size": UNKNOWN}, name="two", preview=True) == (
        "",
        {"name": "refused", "size": UNKNOWN},
    )
    assert engine.update(THING, key, state, {"name": "a", "size": 0}, preview=True) == {"name": "a", "size": 0}
    assert kind.things == {"one": INPUTS}
    assert store.calls() == before


def test_the_clouds_refusals_reach_the_engine(engine: EngineStub, kind: ThingKind) -> None:
    """Its words come through on create, update and delete."""
    create = refused(lambda: engine.create(THING, {"name": "refused", "size": 1}))
    assert create == (grpc.StatusCode.UNKNOWN, "422: no such name, says the cloud")
    key, state = engine.create(THING, {**INPUTS, "labels": {"keep": "yes"}})
    assert refused(lambda: engine.update(THING, key, state, {"name": "a", "size": 0}))[1] == "409: it never shrinks"
    assert refused(lambda: engine.delete(THING, key, state))[1] == "423: it is kept"
    assert list(kind.things) == ["one"]


def test_another_resource_type_is_refused(engine: EngineStub) -> None:
    """The message names the type that is missing and those that are there, whatever is asked of it."""
    other = "test:index/other:Other"
    for call in (
        lambda: engine.failures(other, {}),
        lambda: engine.diff(other, {}, {}),
        lambda: engine.create(other, {}),
        lambda: engine.read(other, "1", {}),
        lambda: engine.update(other, "1", {}, {}),
        lambda: engine.delete(other, "1", {}),
    ):
        code, message = refused(call)
        assert code is grpc.StatusCode.UNIMPLEMENTED
        assert message == f"{other}: the local cloud has no such resource (it has {THING})"


FAILURES = {
    Mode.ERROR: (grpc.StatusCode.UNKNOWN, "test: 503 Service Unavailable"),
    Mode.RATE_LIMITED: (grpc.StatusCode.UNKNOWN, "test: 429 Too Many Requests"),
    Mode.TIMEOUT: (grpc.StatusCode.DEADLINE_EXCEEDED, "test: no answer"),
}


@pytest.mark.parametrize("mode", list(FAILURES))
@pytest.mark.parametrize("verb", ["create", "read", "update", "delete"])
def test_a_fault_refuses_a_call_and_does_nothing(
    engine: EngineStub, kind: ThingKind, faults: Faults, slept: list[float], mode: Mode, verb: str
) -> None:
    """An error, a rate limit and a timeout leave everything as it is, and the next call goes through."""
    key, state = engine.create(THING, INPUTS)
    calls: dict[str, Callable[[], object]] = {
        "create": lambda: engine.create(THING, INPUTS, name="two"),
        "read": lambda: engine.read(THING, key, state),
        "update": lambda: engine.update(THING, key, state, {"name": "a", "size": 2}),
        "delete": lambda: engine.delete(THING, key, state),
    }
    faults.order(Fault(cloud="test", operation=f"{verb} Thing", mode=mode, seconds=9))
    assert refused(calls[verb]) == FAILURES[mode]
    assert kind.things == {"one": INPUTS}
    assert slept == ([9] if mode is Mode.TIMEOUT else [])
    calls[verb]()
    assert (kind.things == {"one": INPUTS}) is (verb == "read")


def test_a_slow_call_is_served(engine: EngineStub, kind: ThingKind, faults: Faults, slept: list[float]) -> None:
    """Slow takes its time and works."""
    faults.order(Fault(cloud="test", operation="create Thing", mode=Mode.SLOW, seconds=3))
    engine.create(THING, INPUTS)
    assert slept == [3]
    assert list(kind.things) == ["one"]


def test_a_crash_after_create_leaves_what_the_engine_does_not_know(
    engine: EngineStub, kind: ThingKind, faults: Faults
) -> None:
    """The resource is there, the engine heard of a broken connection."""
    faults.order(Fault(cloud="test", operation="create Thing", mode=Mode.CRASH_AFTER_CREATE))
    assert refused(lambda: engine.create(THING, INPUTS)) == (grpc.StatusCode.UNAVAILABLE, "transport is closing")
    assert kind.things == {"one": INPUTS}


def test_faults_of_another_operation_are_left_alone(engine: EngineStub, store: Store, faults: Faults) -> None:
    """A fault for deletions waits for one; every call is counted under its own name."""
    faults.order(Fault(cloud="test", operation="delete Thing", mode=Mode.ERROR))
    key, state = engine.create(THING, INPUTS)
    engine.read(THING, key, state)
    assert len(store.faults()) == 1
    assert store.calls() == {("test", "create Thing"): 1, ("test", "read Thing"): 1}


def test_numbers_come_and_go_as_they_are() -> None:
    """The wire knows floats only: whole ones become whole numbers again at any depth, and null is left out."""
    values = {"a": 1, "b": 1.5, "c": [1, {"d": 2}], "e": True, "f": "1", "g": {"h": [0, -3]}}
    back = unpack(pack({**values, "nothing": None}))
    assert back == values
    assert [type(each) for each in (back["a"], back["b"], back["c"][0], back["e"])] == [int, float, int, bool]


def test_the_token_ends_the_type_part_of_a_urn() -> None:
    """Parents' types and the resource's name are no part of it."""
    assert token_of(f"urn:pulumi:prod::hosting::hosting:cell:Cell$hosting:cell:Customer${THING}::a::b") == THING
    assert token_of(f"urn:pulumi:prod::hosting::{THING}::a") == THING
