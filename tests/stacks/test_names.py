"""Names that several programs must agree on."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest

from stacks.names import CONTROL, CellNetwork, StackName, cell_labels, control_labels, volume_name


@pytest.mark.parametrize(
    ("text", "environment", "cell"),
    [("prod", "prod", None), ("prod-eu-1", "prod", "eu-1"), ("demo-us-east-2", "demo", "us-east-2")],
)
def test_a_stacks_name_is_taken_apart_and_put_together(text: str, environment: str, cell: str | None) -> None:
    """The environment ends at the first hyphen; the rest is the cell."""
    name = StackName.parse(text)
    assert (name.environment, name.cell) == (environment, cell)
    assert str(name) == text
    assert name.qualified == f"organization/hosting/{text}"


def test_the_control_service_has_a_cells_place() -> None:
    """Its stack is one more beside the cells', on the same platform."""
    name = StackName.parse("prod-control")
    assert name.cell == CONTROL
    assert name.platform == StackName.parse("prod") == StackName.parse("prod-eu-1").platform
    assert control_labels(name) == {"managed-by": "pulumi", "markitup.stack": "prod-control"}


def test_a_hyphen_at_the_end_is_no_cell() -> None:
    """A cell's name is never empty."""
    assert StackName.parse("prod-") == StackName.parse("prod")


def test_a_cells_network_is_laid_out() -> None:
    """Gateway first, Caddy second, tenants in the upper half, names with the cell in them."""
    assert CellNetwork.of("eu-1", "172.30.1.0/24") == CellNetwork(
        tenants_name="tenants-eu-1",
        edge_name="edge-eu-1",
        bridge="mku-eu-1",
        subnet="172.30.1.0/24",
        gateway="172.30.1.1",
        caddy_address="172.30.1.2",
        tenant_range="172.30.1.128/25",
    )


@pytest.mark.parametrize("subnet", ["172.30.1.0/25", "10.20.0.0/16"])
def test_caddys_address_is_never_a_tenants(subnet: str) -> None:
    """Whatever the range's size: both fixed addresses are in it and outside of the tenants' part."""
    network = CellNetwork.of("eu-1", subnet)
    tenants = IPv4Network(network.tenant_range)
    for address in (network.gateway, network.caddy_address):
        assert IPv4Address(address) in IPv4Network(subnet)
        assert IPv4Address(address) not in tenants
    assert tenants.subnet_of(IPv4Network(subnet))
    assert tenants.num_addresses * 2 == IPv4Network(subnet).num_addresses


def test_the_longest_cell_name_makes_a_bridge_that_linux_takes() -> None:
    """Interface names have at most 15 characters; settings allow cell names of 11."""
    assert len(CellNetwork.of("a" * 11, "172.30.1.0/24").bridge) == 15


def test_volumes_and_labels_name_their_owners() -> None:
    """A volume is a cell's and a customer's; labels say who manages a thing and where it belongs."""
    assert volume_name("eu-1", "c-acme") == "markitup-eu-1-c-acme"
    assert cell_labels(StackName.parse("prod-eu-1")) == {
        "managed-by": "pulumi",
        "markitup.stack": "prod-eu-1",
        "markitup.cell": "eu-1",
    }
