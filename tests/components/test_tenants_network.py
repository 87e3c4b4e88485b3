"""The tenants' bridge on the recording mock."""

from __future__ import annotations

import pytest

from components.tenants_network import TenantsNetwork, TenantsNetworkArgs
from tests.conftest import Declare, Declared

LABELS = {"managed-by": "pulumi", "markitup.cell": "eu-1"}


@pytest.fixture
def declared(declare: Declare) -> Declared:
    """A declared bridge."""

    def program() -> None:
        TenantsNetwork(
            "eu-1",
            TenantsNetworkArgs(
                network_name="tenants-eu-1",
                bridge="mku-eu-1",
                subnet="172.30.1.0/24",
                gateway="172.30.1.1",
                tenant_range="172.30.1.128/25",
                labels=LABELS,
            ),
        )

    return declare(program)


def test_it_is_one_network(declared: Declared) -> None:
    """Its name is the component's output: whoever joins it waits for it."""
    assert declared.kinds == [("docker:index/network:Network", "eu-1")]
    component = declared.one("hosting:cell:TenantsNetwork")
    assert declared.one("Network").parent == component.urn
    assert declared.component_outputs[component.urn] == {"network_name": "tenants-eu-1"}


def test_tenants_do_not_reach_each_other(declared: Declared) -> None:
    """The bridge passes nothing between containers and has the name that the firewall rules are about."""
    inputs = declared.one("Network").inputs
    assert (inputs["name"], inputs["driver"]) == ("tenants-eu-1", "bridge")
    assert inputs["options"] == {
        "com.docker.network.bridge.name": "mku-eu-1",
        "com.docker.network.bridge.enable_icc": "false",
    }


def test_addresses_are_fixed_and_version_4(declared: Declared) -> None:
    """Tenants get theirs from the upper half; IPv6 would go around the firewall rules."""
    inputs = declared.one("Network").inputs
    assert inputs["ipamConfigs"] == [{"subnet": "172.30.1.0/24", "gateway": "172.30.1.1", "ipRange": "172.30.1.128/25"}]
    assert not inputs.get("ipv6")


def test_it_is_labelled(declared: Declared) -> None:
    """It carries the cell's labels."""
    assert {each["label"]: each["value"] for each in declared.one("Network").inputs["labels"]} == LABELS
