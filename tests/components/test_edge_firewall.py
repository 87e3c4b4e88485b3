"""Hetzner's firewall on the recording mock."""

from __future__ import annotations

import pytest

from components.edge_firewall import EdgeFirewall, EdgeFirewallArgs
from tests.conftest import Declare, Declared

ANYWHERE = ["0.0.0.0/0", "::/0"]


@pytest.fixture
def declared(declare: Declare) -> Declared:
    """A declared firewall."""

    def program() -> None:
        EdgeFirewall("prod", EdgeFirewallArgs(admin_networks=["198.51.100.0/24"], labels={"stack": "prod"}))

    return declare(program)


def test_exactly_these_ports_are_open(declared: Declared) -> None:
    """SSH for the operators' networks; HTTP, HTTPS, HTTP/3 and ping for everyone; nothing else."""
    rules = declared.one("Firewall").inputs["rules"]
    assert {rule["direction"] for rule in rules} == {"in"}
    assert [(rule["protocol"], rule.get("port"), rule["sourceIps"]) for rule in rules] == [
        ("tcp", "22", ["198.51.100.0/24"]),
        ("tcp", "80", ANYWHERE),
        ("tcp", "443", ANYWHERE),
        ("udp", "443", ANYWHERE),
        ("icmp", None, ANYWHERE),
    ]


def test_it_is_one_labelled_firewall(declared: Declared) -> None:
    """Its number is the component's output, as servers want it."""
    assert declared.kinds == [("hcloud:index/firewall:Firewall", "prod")]
    firewall, component = declared.one("Firewall"), declared.one("hosting:network:EdgeFirewall")
    assert firewall.inputs["labels"] == {"stack": "prod"}
    assert firewall.parent == component.urn
    assert declared.component_outputs[component.urn] == {"firewall_id": int(firewall.id)}
