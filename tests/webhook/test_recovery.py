"""What an update that was ended in its middle had ordered at Hetzner, taken away by the real client."""

from __future__ import annotations

from typing import Any

import pytest
from hcloud.locations import Location

from localcloud.faults import Fault, Mode
from tests.localcloud.laptop import TOKEN, Laptop, laptop
from webhook.recovery import NOTES, RecoveryError, recover

__all__ = ["laptop"]  # a fixture
OURS = {"managed-by": "pulumi", "cell": "eu-1"}
SERVER = "hcloud:index/server:Server"
ADDRESS = "hcloud:index/primaryIp:PrimaryIp"


def note(kind: str, name: str) -> dict[str, Any]:
    """Return the engine's note of a thing that it asked for."""
    return {"type": "creating", "resource": {"type": kind, "inputs": {"name": name}}}


def state(*notes: dict[str, Any], known: tuple[tuple[str, object], ...] = ()) -> dict[str, Any]:
    """Return a stack's state with notes of a killed update and resources that the engine knows."""
    return {NOTES: list(notes), "resources": [{"type": kind, "id": str(number)} for kind, number in known]}


def recovered(cloud: Laptop, found: dict[str, Any]) -> list[str]:
    """Recover a state; return what was said."""
    said: list[str] = []
    config = {"hosting:hcloud_token": TOKEN, "hosting:hcloud_endpoint": f"{cloud.root}/hetzner/v1"}
    assert recover(found, lambda: config, said.append)
    assert found[NOTES] == []
    return said


def test_a_half_made_server_is_removed(laptop: Laptop) -> None:
    """Also a protected one; the addresses that the engine knows, and a neighbour, stay."""
    address = laptop.client.primary_ips.create("ipv4", "prod-eu-1-v4", location=Location(name="nbg1"), labels=OURS)
    orphan = laptop.order("prod-eu-1", labels=OURS)
    orphan.change_protection(delete=True, rebuild=True).wait_until_finished()
    laptop.order("prod-eu-2", labels=OURS)
    found = state(note(SERVER, "prod-eu-1"), note(ADDRESS, "prod-eu-1-v4"), known=((ADDRESS, address.primary_ip.id),))
    said = recovered(laptop, found)
    assert [each.name for each in laptop.client.servers.get_all()] == ["prod-eu-2"]
    assert "prod-eu-1-v4" in [each.name for each in laptop.client.primary_ips.get_all()]
    assert len(said) == 1
    assert "prod-eu-1" in said[0]


def test_what_the_engine_knows_stays(laptop: Laptop) -> None:
    """A note may be older than the server that was made since."""
    server = laptop.order("prod-eu-1", labels=OURS)
    assert recovered(laptop, state(note(SERVER, "prod-eu-1"), known=((SERVER, server.id),))) == []
    assert len(laptop.client.servers.get_all()) == 1


def test_somebody_elses_stays(laptop: Laptop) -> None:
    """A server without our label is never touched, whatever its name."""
    laptop.order("prod-eu-1", labels={"managed-by": "hand"})
    assert recovered(laptop, state(note(SERVER, "prod-eu-1"))) == []
    assert len(laptop.client.servers.get_all()) == 1


def test_a_cloud_that_refuses_stops_the_update(laptop: Laptop) -> None:
    """Nothing is declared while it is not known what was left; the message names it and the fix."""
    laptop.faults.order(Fault(cloud="hetzner", operation="*", mode=Mode.ERROR, times=100))
    config = {"hosting:hcloud_token": TOKEN, "hosting:hcloud_endpoint": f"{laptop.root}/hetzner/v1"}
    with pytest.raises(RecoveryError, match=r"may have left prod-eu-1 .* Fix: "):
        recover(state(note(SERVER, "prod-eu-1")), lambda: config, lambda _: None)
