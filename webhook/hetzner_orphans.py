"""Takes away what an update that was ended in its middle had ordered at Hetzner and the engine does not know of."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import hcloud

HETZNER = "https://api.hetzner.cloud/v1"
MANAGED = ("managed-by", "pulumi")
"""Label of all that we order; what has not got it is somebody else's, whatever its name."""
COLLECTIONS: Mapping[str, str] = {
    "hcloud:index/server:Server": "servers",
    "hcloud:index/primaryIp:PrimaryIp": "primary_ips",
    "hcloud:index/network:Network": "networks",
    "hcloud:index/firewall:Firewall": "firewalls",
    "hcloud:index/sshKey:SshKey": "ssh_keys",
    "hcloud:index/placementGroup:PlacementGroup": "placement_groups",
}
"""Resource type to the client's name for such things. What is attached to them goes with them."""
PROTECTED = frozenset({"servers", "primary_ips", "networks"})


def remove_orphan(kind: str, name: str, *, known: AbstractSet[str], config: Mapping[str, str]) -> bool:
    """Remove a thing by its exact name unless the engine knows of it; return whether there was one.

    It was being made when the update ended, so no customer's data can be on it.

    Args:
        kind: Resource type, one of ``COLLECTIONS``.
        name: At Hetzner.
        known: Ids of that type in the engine's state.
        config: The stack's settings and secrets.

    Raises:
        hcloud.HCloudException: Hetzner refuses.
        requests.RequestException: Hetzner can't be reached.
    """
    endpoint = config.get("hosting:hcloud_endpoint") or HETZNER
    client = hcloud.Client(token=config["hosting:hcloud_token"], api_endpoint=endpoint)
    things: Any = getattr(client, COLLECTIONS[kind])
    found = things.get_by_name(name)
    if found is None or str(found.id) in known or (found.labels or {}).get(MANAGED[0]) != MANAGED[1]:
        return False
    if COLLECTIONS[kind] in PROTECTED:
        rebuild = {"rebuild": False} if COLLECTIONS[kind] == "servers" else {}
        found.change_protection(delete=False, **rebuild).wait_until_finished()
    action = found.delete()
    if hasattr(action, "wait_until_finished"):
        action.wait_until_finished()
    return True
