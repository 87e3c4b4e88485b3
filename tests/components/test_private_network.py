"""The servers' private network on the recording mock."""

from __future__ import annotations

import pytest

from components.private_network import PrivateNetwork, PrivateNetworkArgs
from tests.conftest import Declare, Declared


@pytest.fixture
def declared(declare: Declare) -> Declared:
    """A declared network with two subnets."""

    def program() -> None:
        PrivateNetwork(
            "prod",
            PrivateNetworkArgs(
                ip_range="10.0.0.0/16",
                subnets={"us-east": "10.0.1.0/24", "eu-central": "10.0.0.0/24"},
                labels={"stack": "prod"},
            ),
        )

    return declare(program)


def test_it_is_a_network_with_a_subnet_for_each_zone(declared: Declared) -> None:
    """All are children of the component; the network carries the labels (subnets can't)."""
    assert declared.kinds == [
        ("hcloud:index/network:Network", "prod"),
        ("hcloud:index/networkSubnet:NetworkSubnet", "prod-eu-central"),
        ("hcloud:index/networkSubnet:NetworkSubnet", "prod-us-east"),
    ]
    network = declared.one("Network")
    assert network.inputs == {"ipRange": "10.0.0.0/16", "labels": {"stack": "prod"}}
    assert {each.parent for each in declared.custom} == {declared.one("PrivateNetwork").urn}


def test_subnets_are_in_their_zones(declared: Declared) -> None:
    """Each is a cloud subnet of the network with its own range."""
    zones = {each.inputs["networkZone"]: each for each in declared.all("NetworkSubnet")}
    assert {zone: each.inputs["ipRange"] for zone, each in zones.items()} == {
        "eu-central": "10.0.0.0/24",
        "us-east": "10.0.1.0/24",
    }
    number = int(declared.one("Network").id)
    assert declared.component_outputs[declared.one("PrivateNetwork").urn]["network_id"] == number
    assert {(each.inputs["type"], each.inputs["networkId"]) for each in zones.values()} == {("cloud", number)}
    assert {next(iter(each.dependencies)) for each in zones.values()} == {declared.one("Network").urn}
