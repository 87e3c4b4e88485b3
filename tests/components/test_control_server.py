"""The control server on the recording mock: a server like a cell's, behind a firewall of its own."""

from __future__ import annotations

import pytest

from components.control_server import ControlServer, ControlServerArgs
from tests.conftest import Declare, Declared


@pytest.fixture
def declared(declare: Declare) -> Declared:
    """A declared control server."""

    def program() -> None:
        args = ControlServerArgs(
            server_type="cx23",
            location="nbg1",
            image="debian-12",
            user_data="#cloud-config\n",
            ssh_key_ids=["11"],
            admin_networks=["198.51.100.0/24"],
            network_id=31,
            private_ip="10.0.0.2",
            placement_group_id=41,
            labels={"stack": "prod"},
            protect=True,
        )
        ControlServer("prod-control", args)

    return declare(program)


def test_it_is_a_server_and_a_firewall(declared: Declared) -> None:
    """Made of the cells' pieces, which are its children."""
    component = declared.one("hosting:compute:ControlServer")
    server, firewall = declared.one("CellServer"), declared.one("EdgeFirewall")
    assert server.parent == firewall.parent == component.urn
    assert declared.one("Server").inputs["firewallIds"] == [int(declared.one("Firewall").id)]
    assert declared.one("ServerNetwork").inputs["ip"] == "10.0.0.2"
    outputs = declared.component_outputs[component.urn]
    assert outputs["ipv4"] == f"203.0.113.{int(declared.one('PrimaryIp', 'prod-control-v4').id) % 250}"
    assert outputs["ipv6"].startswith("2001:db8::")


def test_no_rule_opens_the_cells_port(declared: Declared) -> None:
    """Hetzner's firewall doesn't see the private network: a rule for 8300 could only open it to the internet."""
    rules = declared.one("Firewall").inputs["rules"]
    assert [rule.get("port") for rule in rules] == ["22", "80", "443", "443", None]
    assert rules[0]["sourceIps"] == ["198.51.100.0/24"]


def test_it_is_as_ordered_and_protected(declared: Declared) -> None:
    """Every argument reaches the server."""
    server = declared.one("Server")
    expected = {
        "serverType": "cx23",
        "location": "nbg1",
        "image": "debian-12",
        "userData": "#cloud-config\n",
        "sshKeys": ["11"],
        "placementGroupId": 41,
        "labels": {"stack": "prod"},
    }
    assert {key: server.inputs[key] for key in expected} == expected
    assert server.protect
