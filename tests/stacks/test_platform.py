"""A whole platform on the recording mock, from configuration to the engine's requests."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest
import yaml
from pulumi import RunError

from tests.conftest import DATACENTERS, SERVER_TYPES, Declare, Declared, server_type
from tests.stacks.estate import CONFIG, CONTROL, SECRETS, configured, entry, registry_file, the_program

CELLS: Mapping[str, Any] = CONFIG["hosting:cells"]


def declared_with(
    declare: Declare,
    folder: Path,
    *,
    before: Mapping[str, Any] | None = None,
    control_before: Mapping[str, Any] | None = None,
    answers: Mapping[str, Mapping[str, object]] | None = None,
    fails: bool = False,
    customers: str = "",
    **changes: object,
) -> Declared:
    """Declare the platform of an environment whose last update left these cells."""
    return declare(
        the_program(),
        stack="test",
        config=configured(registry_file(folder, customers or entry("acme")), **changes),
        secret_config=SECRETS,
        stacks={
            "organization/hosting/test": {
                name: value for name, value in (("cells", before), ("control", control_before)) if value is not None
            }
        },
        answers=answers,
        fails_with=RunError if fails else None,
    )


@pytest.fixture
def platform(declare: Declare, tmp_path: Path) -> Declared:
    """A declared platform of two cells on two continents."""
    return declared_with(declare, tmp_path)


def private_ips(declared: Declared) -> dict[str, str]:
    """Return each cell's private address as it is attached."""
    return {
        each.name.removeprefix("test-").removesuffix("-private"): each.inputs["ip"]
        for each in declared.all("ServerNetwork")
    }


def test_it_is_exactly_these_resources(platform: Declared) -> None:
    """What the cells share, a server with its addresses for each, DNS and the backups' bucket."""
    found = [f"{kind.split(':')[0]} {kind.rsplit(':', 1)[-1]} {name}" for kind, name in platform.kinds]
    assert [each for each in found if each.startswith("hcloud ")] == [
        "hcloud Firewall test",
        "hcloud Network test",
        "hcloud NetworkSubnet test-eu-central",
        "hcloud NetworkSubnet test-us-east",
        "hcloud PlacementGroup test-ash",
        "hcloud PlacementGroup test-nbg1",
        "hcloud PrimaryIp test-eu-1-v4",
        "hcloud PrimaryIp test-eu-1-v6",
        "hcloud PrimaryIp test-us-1-v4",
        "hcloud PrimaryIp test-us-1-v6",
        "hcloud Server test-eu-1",
        "hcloud Server test-us-1",
        "hcloud ServerNetwork test-eu-1-private",
        "hcloud ServerNetwork test-us-1-private",
        "hcloud SshKey test-1",
        "hcloud SshKey test-2",
    ]
    assert len([each for each in found if each.startswith("cloudflare DnsRecord")]) == 2 + 3 + 2
    assert [each for each in found if each.startswith("cloudflare ZoneSetting")] == [
        f"cloudflare ZoneSetting test-{name}"
        for name in ("always_use_https", "http3", "min_tls_version", "ssl", "websockets")
    ]
    assert len([each for each in found if each.startswith("aws ")]) == 7 + 2 * 3
    assert not [each for each in found if each.startswith("docker ")]


def test_outputs(platform: Declared) -> None:
    """Names in snake_case all the way down; the backups' keys are secret, nothing else is."""
    outputs = platform.outputs
    assert set(outputs) == {"backup_bucket", "backup_credentials", "cells", "url"}
    assert outputs["url"] == "https://markitup.io"
    assert outputs["backup_bucket"] == "markitup-backups"
    v4 = {each.name: each for each in platform.all("PrimaryIp")}
    assert set(outputs["cells"]) == {"eu-1", "us-1"}
    eu = outputs["cells"]["eu-1"]
    assert (eu["location"], eu["server_type"], eu["custom_domain_target"], eu["private_ip"]) == (
        "nbg1", "cx43", "edge-eu-1.markitup.io", "10.0.0.10",
    )  # fmt: skip
    assert eu["ipv4"] == f"203.0.113.{int(v4['test-eu-1-v4'].id) % 250}"
    assert eu["ipv6"].startswith("2001:db8::")
    names = [*outputs, *eu, *outputs["backup_credentials"]["eu-1"]]
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in names)
    assert platform.secret_outputs == {f"backup_credentials.{cell}.secret_access_key" for cell in ("eu-1", "us-1")}


def test_everything_has_its_provider(platform: Declared) -> None:
    """No default provider is used, and every token is marked secret."""
    names = {"hcloud": "hcloud", "cloudflare": "cloudflare", "aws": "aws"}
    for each in platform.custom:
        assert each.provider == names[each.type.split(":")[0]], each.name
    assert platform.one("pulumi:providers:hcloud").secrets == {"token"}
    assert platform.one("pulumi:providers:cloudflare").secrets == {"apiToken"}
    assert platform.one("pulumi:providers:aws").inputs["region"] == "eu-central-1"
    assert {each.provider for each in platform.calls} == {"hcloud"}
    shown = json.dumps([each.inputs for each in platform.custom])
    assert "in-the-clear" not in shown


def test_hetzner_is_labelled(platform: Declared) -> None:
    """Everything that takes labels says which stack made it; a cell's things also whose they are."""
    takes_none = {"ServerNetwork", "NetworkSubnet"}
    for each in platform.custom:
        kind = each.type.rsplit(":", 1)[-1]
        if each.type.startswith("hcloud:") and kind not in takes_none:
            expected = {"managed-by": "pulumi", "stack": "test"}
            if kind in {"Server", "PrimaryIp"}:
                expected["cell"] = each.name.removeprefix("test-")[:4]
            assert each.inputs["labels"] == expected, each.name
    assert platform.one("Bucket").inputs["tags"] == {"managed-by": "pulumi", "stack": "test"}


def test_servers_belong_together(platform: Declared) -> None:
    """Each has its own location's group, the firewall, all keys, and a place in the network after its subnets."""
    groups = {each.name: int(each.id) for each in platform.all("PlacementGroup")}
    keys = {each.id for each in platform.all("SshKey")}
    subnets = {each.urn for each in platform.all("NetworkSubnet")}
    for cell, location in (("eu-1", "nbg1"), ("us-1", "ash")):
        server = platform.one("Server", f"test-{cell}")
        assert server.inputs["location"] == location
        assert server.inputs["placementGroupId"] == groups[f"test-{location}"]
        assert server.inputs["firewallIds"] == [int(platform.one("Firewall").id)]
        assert set(server.inputs["sshKeys"]) == keys
        assert server.protect
        attachment = platform.one("ServerNetwork", f"test-{cell}-private")
        assert attachment.inputs["networkId"] == int(platform.one("Network").id)
        assert subnets <= platform.one("CellServer", f"test-{cell}").dependencies
    assert {each.inputs["type"] for each in platform.all("PlacementGroup")} == {"spread"}
    assert platform.one("Firewall").inputs["rules"][0]["sourceIps"] == ["198.51.100.0/24"]


def test_first_boot_knows_the_cells_network(platform: Declared) -> None:
    """The firewall rules on the server are about the bridge and addresses that the cell's stack declares."""
    text = platform.one("Server", "test-us-1").inputs["userData"]
    document = yaml.safe_load(text)
    assert document["users"][0]["ssh_authorized_keys"] == CONFIG["hosting:ssh_public_keys"]
    for part in ("mku-us-1", "172.30.2.0/24", "172.30.2.2"):
        assert part in text


def test_zones_have_a_subnet_each(platform: Declared) -> None:
    """A /24 of the range, and each server's address is in its own zone's."""
    subnets = {each.inputs["networkZone"]: each.inputs["ipRange"] for each in platform.all("NetworkSubnet")}
    assert subnets == {"eu-central": "10.0.0.0/24", "us-east": "10.0.1.0/24"}
    assert private_ips(platform) == {"eu-1": "10.0.0.10", "us-1": "10.0.1.10"}


def test_another_zone_moves_no_subnet(declare: Declare, tmp_path: Path) -> None:
    """A cell in Singapore, alphabetically first, leaves Europe's range and servers where they are."""
    offers = {SERVER_TYPES: {"serverTypes": [server_type("cpx42", "nbg1", "ash", "sin")]}}
    cells = {**CELLS, "asia-1": {"region": "asia", "location": "sin", "server_types": ["cpx42"]}}
    cells["eu-1"] = {**CELLS["eu-1"], "server_types": ["cpx42"]}
    subnets = {
        each.inputs["networkZone"]: each.inputs["ipRange"]
        for each in declared_with(declare, tmp_path, cells=cells, answers=offers).all("NetworkSubnet")
    }
    assert len(set(subnets.values())) == 3
    assert subnets.items() >= {"eu-central": "10.0.0.0/24", "us-east": "10.0.1.0/24"}.items()


def test_another_cell_moves_no_server(declare: Declare, tmp_path: Path) -> None:
    """Private addresses are as they were; a new cell gets one that no other has, even if its name comes first."""
    before = declared_with(declare, tmp_path).outputs["cells"]
    cells = {**CELLS, "de-1": {"region": "eu", "location": "fsn1", "server_types": ["cx43"]}}
    after = private_ips(declared_with(declare, tmp_path, cells=cells, before=before))
    assert after == {"de-1": "10.0.0.11", "eu-1": "10.0.0.10", "us-1": "10.0.1.10"}


def test_another_range_moves_everything_into_it(declare: Declare, tmp_path: Path) -> None:
    """An address of the old range would be in no subnet of the new one."""
    before = declared_with(declare, tmp_path).outputs["cells"]
    after = private_ips(declared_with(declare, tmp_path, before=before, network_range="10.9.0.0/16"))
    assert after == {"eu-1": "10.9.0.10", "us-1": "10.9.1.10"}


def test_private_addresses_are_above_the_reserved_ones(declare: Declare, tmp_path: Path) -> None:
    """Cells without a history get distinct addresses from the tenth on, in their subnet."""
    cells = {f"eu-{number}": {"region": "eu", "location": "nbg1", "server_types": ["cx43"]} for number in range(1, 4)}
    addresses = private_ips(declared_with(declare, tmp_path, cells=cells))
    assert len(set(addresses.values())) == 3
    assert all(IPv4Address("10.0.0.10") <= IPv4Address(each) for each in addresses.values())
    assert all(IPv4Address(each) in IPv4Network("10.0.0.0/24") for each in addresses.values())


def types_of(declared: Declared) -> dict[str, str]:
    """Return each cell's server type."""
    return {each.name.removeprefix("test-"): each.inputs["serverType"] for each in declared.all("Server")}


def test_the_first_type_to_be_had_is_ordered(platform: Declared) -> None:
    """By each cell's own list and location."""
    assert types_of(platform) == {"eu-1": "cx43", "us-1": "cpx42"}


def test_a_sold_out_type_gives_way_to_the_next(declare: Declare, tmp_path: Path) -> None:
    """For a new server; a server that exists keeps its type."""
    answers = {
        SERVER_TYPES: {
            "serverTypes": [
                server_type("cx43", "nbg1", number=1, available=False),
                server_type("cpx42", "nbg1", "ash", number=2),
            ]
        }
    }
    assert types_of(declared_with(declare, tmp_path, answers=answers))["eu-1"] == "cpx42"
    before = {"eu-1": {"server_type": "cx43"}}
    assert types_of(declared_with(declare, tmp_path, answers=answers, before=before))["eu-1"] == "cx43"


def test_an_older_provider_is_asked_for_data_centers(declare: Declare, tmp_path: Path) -> None:
    """Where the catalogue doesn't say what is in stock, the data centers' lists do."""
    answers = {
        SERVER_TYPES: {
            "serverTypes": [
                server_type("cx43", "nbg1", number=1, available=None),
                server_type("cpx42", "nbg1", "ash", number=2, available=None),
            ]
        },
        DATACENTERS: {
            "datacenters": [
                {"location": {"name": "nbg1"}, "availableServerTypeIds": [2]},
                {"location": {"name": "ash"}, "availableServerTypeIds": [1, 2]},
            ]
        },
    }
    declared = declared_with(declare, tmp_path, answers=answers)
    assert types_of(declared) == {"eu-1": "cpx42", "us-1": "cpx42"}
    assert [each.token for each in declared.calls] == [SERVER_TYPES, DATACENTERS]


def test_a_newer_provider_is_asked_once(platform: Declared) -> None:
    """The catalogue alone says it."""
    assert [each.token for each in platform.calls] == [SERVER_TYPES]


def test_no_server_to_be_had_declares_nothing(declare: Declare, tmp_path: Path) -> None:
    """But for the provider that had to be asked."""
    answers = {SERVER_TYPES: {"serverTypes": [server_type("cx43", "nbg1", deprecated=True)]}}
    declared = declared_with(declare, tmp_path, answers=answers, fails=True)
    assert [each.type for each in declared.resources] == ["pulumi:providers:hcloud"]
    assert "hosting:cells.eu-1.server_types: no server can be ordered in nbg1" in str(declared.error)


def test_a_registry_error_declares_nothing(declare: Declare, tmp_path: Path) -> None:
    """The platform's update reads the registry too: a broken file stops everything alike."""
    declared = declared_with(declare, tmp_path, customers=entry("acme", cell="mars"), fails=True)
    assert declared.resources == []
    assert declared.calls == []
    assert "customers/acme/cell" in str(declared.error)


def test_protection_is_a_setting(declare: Declare, tmp_path: Path) -> None:
    """On unless the environment is to be destroyed again."""
    shielded = {"Server", "PrimaryIp", "Bucket"}
    for protect in (True, False):
        declared = declared_with(declare, tmp_path, protect=protect)
        protected = {each.type.rsplit(":", 1)[-1] for each in declared.custom if each.protect}
        assert protected == (shielded if protect else set())


def test_another_api_is_for_tests(declare: Declare, tmp_path: Path) -> None:
    """The endpoint goes to the provider, which then needn't be patient."""
    usual = declared_with(declare, tmp_path).one("pulumi:providers:hcloud").inputs
    assert not {"endpoint", "pollInterval"} & set(usual)
    local = declared_with(declare, tmp_path, hcloud_endpoint="http://127.0.0.1:9/v1").one("pulumi:providers:hcloud")
    assert (local.inputs["endpoint"], local.inputs["pollInterval"]) == ("http://127.0.0.1:9/v1", "20ms")


@pytest.fixture
def with_control(declare: Declare, tmp_path: Path) -> Declared:
    """The same platform with a control server in a third place."""
    return declared_with(declare, tmp_path, control=CONTROL, control_address=None)


def test_the_control_server_adds_exactly_this(platform: Declared, with_control: Declared) -> None:
    """A server with its addresses, its own firewall, its place's group, and a writer of backups."""
    added = [
        f"{kind.rsplit(':', 1)[-1]} {name}" for kind, name in with_control.kinds if (kind, name) not in platform.kinds
    ]
    assert sorted(added) == [
        "AccessKey markitup-backups-control",
        "Firewall test-control",
        "PlacementGroup test-fsn1",
        "PrimaryIp test-control-v4",
        "PrimaryIp test-control-v6",
        "Server test-control",
        "ServerNetwork test-control-private",
        "User markitup-backups-control",
        "UserPolicy markitup-backups-control",
    ]
    assert set(platform.kinds) < set(with_control.kinds)


def test_the_control_server_is_where_the_cells_ask(with_control: Declared) -> None:
    """At the second address of its zone's subnet, which no cell's ever is."""
    assert private_ips(with_control)["control"] == "10.0.0.2"
    assert CONFIG["hosting:control_url"] == "http://10.0.0.2:8300"
    server = with_control.one("Server", "test-control")
    assert server.inputs["firewallIds"] == [int(with_control.one("Firewall", "test-control").id)]
    assert server.inputs["location"] == "fsn1"
    assert server.protect
    assert "tenant-firewall" not in server.inputs["userData"]
    subnets = {each.urn for each in with_control.all("NetworkSubnet")}
    assert subnets <= with_control.one("ControlServer").dependencies


def test_the_shared_names_lead_to_the_control_server(with_control: Declared) -> None:
    """Apex, www and portal have its address without anybody writing it down."""
    address = with_control.outputs["control"]["ipv4"]
    v4 = with_control.one("PrimaryIp", "test-control-v4")
    assert address == f"203.0.113.{int(v4.id) % 250}"
    records = {
        each.inputs["name"]: each.inputs["content"]
        for each in with_control.all("DnsRecord")
        if "content" in each.inputs
    }
    shared = ("markitup.io", "www.markitup.io", "portal.markitup.io")
    assert {name: records[name] for name in shared} == dict.fromkeys(shared, address)


def test_the_control_servers_outputs(with_control: Declared) -> None:
    """What its stack needs of it, and credentials of its own for backups."""
    outputs = with_control.outputs
    assert set(outputs["control"]) == {"ipv4", "ipv6", "private_ip", "location", "server_type"}
    assert (outputs["control"]["private_ip"], outputs["control"]["server_type"]) == ("10.0.0.2", "cx43")
    assert set(outputs["backup_credentials"]) == {"eu-1", "us-1", "control"}
    assert "backup_credentials.control.secret_access_key" in with_control.secret_outputs
    policy = json.loads(with_control.one("UserPolicy", "markitup-backups-control").inputs["policy"])
    assert policy["Statement"][1]["Resource"].endswith("/control/*")


def test_the_control_server_keeps_its_type(declare: Declare, tmp_path: Path) -> None:
    """A size that sells out doesn't rescale it; the refusal of a new one names the setting."""
    offers = {SERVER_TYPES: {"serverTypes": [server_type("cx43", "nbg1"), server_type("cpx42", "nbg1", "ash", "fsn1")]}}
    control = {**CONTROL, "server_types": ["cx43"]}
    refused = declared_with(declare, tmp_path, control=control, answers=offers, fails=True)
    assert "hosting:control.server_types: no server can be ordered in fsn1" in str(refused.error)
    kept = declared_with(declare, tmp_path, control=control, answers=offers, control_before={"server_type": "cx43"})
    assert types_of(kept)["control"] == "cx43"


def test_a_control_server_elsewhere_opens_its_zone(declare: Declare, tmp_path: Path) -> None:
    """Its subnet exists, where no cell is too."""
    offers = {SERVER_TYPES: {"serverTypes": [server_type("cx43", "nbg1", "sin"), server_type("cpx42", "ash")]}}
    declared = declared_with(declare, tmp_path, control={**CONTROL, "location": "sin"}, answers=offers)
    assert {each.inputs["networkZone"] for each in declared.all("NetworkSubnet")} == {
        "eu-central",
        "us-east",
        "ap-southeast",
    }
    assert private_ips(declared)["control"] == "10.0.3.2"
