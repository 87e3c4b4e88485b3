"""A cell's server on the recording mock: never lost by accident, reachable at addresses that stay."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from components.cell_server import CellServer, CellServerArgs
from tests.conftest import Declare, Declared

LABELS = {"managed-by": "pulumi", "cell": "eu-1"}


def declared_with(declare: Declare, **changes: Any) -> Declared:
    """Declare a server with some arguments changed."""

    def program() -> None:
        args = CellServerArgs(
            server_type="cx43",
            location="nbg1",
            image="debian-12",
            user_data="#cloud-config\n",
            ssh_key_ids=["11", "12"],
            firewall_id=21,
            network_id=31,
            private_ip="10.0.0.10",
            placement_group_id=41,
            labels=LABELS,
            protect=True,
        )
        CellServer("prod-eu-1", replace(args, **changes))

    return declare(program)


def test_it_is_a_server_two_addresses_and_a_place_in_the_network(declare: Declare) -> None:
    """All are children of the component, which says where the server is."""
    declared = declared_with(declare)
    assert declared.kinds == [
        ("hcloud:index/primaryIp:PrimaryIp", "prod-eu-1-v4"),
        ("hcloud:index/primaryIp:PrimaryIp", "prod-eu-1-v6"),
        ("hcloud:index/server:Server", "prod-eu-1"),
        ("hcloud:index/serverNetwork:ServerNetwork", "prod-eu-1-private"),
    ]
    component = declared.one("hosting:compute:CellServer")
    assert {each.parent for each in declared.custom} == {component.urn}
    outputs = declared.component_outputs[component.urn]
    assert set(outputs) == {"server_id", "ipv4", "ipv6"}
    assert outputs["ipv4"].startswith("203.0.113.")
    assert outputs["ipv6"].startswith("2001:db8::")


def test_the_server_is_as_ordered(declare: Declare) -> None:
    """Its size, place, system, first boot, keys, firewall and placement group are the arguments'."""
    inputs = declared_with(declare).one("Server").inputs
    expected = {
        "serverType": "cx43",
        "location": "nbg1",
        "image": "debian-12",
        "userData": "#cloud-config\n",
        "sshKeys": ["11", "12"],
        "firewallIds": [21],
        "placementGroupId": 41,
        "labels": LABELS,
    }
    assert {key: inputs[key] for key in expected} == expected
    assert "datacenter" not in inputs


def test_nothing_replaces_the_server(declare: Declare) -> None:
    """Whatever would is ignored, deletion is refused thrice, and a rescale keeps the disk."""
    server = declared_with(declare).one("Server")
    assert set(server.ignore_changes) == {"image", "location", "sshKeys", "userData"}
    assert server.protect
    assert server.inputs["deleteProtection"] is True
    assert server.inputs["rebuildProtection"] is True
    assert server.inputs["keepDisk"] is True
    assert server.inputs["shutdownBeforeDeletion"] is True


def test_a_rescale_is_not_ignored(declare: Declare) -> None:
    """The server's type may change: that is how a cell grows."""
    assert "serverType" not in declared_with(declare).one("Server").ignore_changes


def test_addresses_outlive_the_server(declare: Declare) -> None:
    """One of each kind, kept when the server goes, protected, and attached to it by number."""
    declared = declared_with(declare)
    v4, v6 = declared.all("PrimaryIp")
    for address, kind in ((v4, "ipv4"), (v6, "ipv6")):
        assert address.inputs == {
            "type": kind,
            "location": "nbg1",
            "assigneeType": "server",
            "autoDelete": False,
            "deleteProtection": True,
            "labels": LABELS,
        }
        assert address.protect
        assert address.ignore_changes == ("location",)
    server = declared.one("Server")
    (public,) = server.inputs["publicNets"]
    assert (public["ipv4Enabled"], public["ipv6Enabled"]) == (True, True)
    assert (public["ipv4"], public["ipv6"]) == (int(v4.id), int(v6.id))
    assert {v4.urn, v6.urn} <= server.dependencies


def test_it_has_a_fixed_private_address(declare: Declare) -> None:
    """It is attached to the private network after it exists."""
    declared = declared_with(declare)
    attachment = declared.one("ServerNetwork")
    assert (attachment.inputs["networkId"], attachment.inputs["ip"]) == (31, "10.0.0.10")
    assert attachment.inputs["serverId"] == int(declared.one("Server").id)
    assert declared.one("Server").urn in attachment.dependencies


def test_protection_can_be_lifted(declare: Declare) -> None:
    """A test's or demo's server can be destroyed, its addresses too."""
    declared = declared_with(declare, protect=False)
    assert not any(each.protect for each in declared.custom)
    assert declared.one("Server").inputs["deleteProtection"] is False
    assert declared.one("Server").inputs["rebuildProtection"] is False
    assert all(each.inputs["deleteProtection"] is False for each in declared.all("PrimaryIp"))
