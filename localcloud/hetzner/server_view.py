"""How the API shows a server, and what state it is in."""

from __future__ import annotations

from localcloud.hetzner.cloud import Cloud
from localcloud.hetzner.firewalls import firewalls_of
from localcloud.hetzner.placement_groups import group_view
from localcloud.hetzner.primary_ips import addresses_of
from localcloud.store import Thing


def status_of(cloud: Cloud, server: Thing) -> str:
    """Return a server's status: that of the phase it is in, else the one it ended up in."""
    now = cloud.clock()
    return next((phase["status"] for phase in server["phases"] if now < phase["until"]), server["status"])


def server_view(cloud: Cloud, server: Thing) -> Thing:
    """Return a server as the API shows it."""
    server_type = cloud.catalogue.server_type(server["server_type"]) or {}
    group = cloud.find("placement_group", server["placement_group"]) if server["placement_group"] else None
    prices = {price["location"]: price for price in server_type["prices"]}
    return {
        "id": server["id"],
        "name": server["name"],
        "status": status_of(cloud, server),
        "created": server["created"],
        "public_net": _public_net(cloud, server),
        "private_net": server["private_net"],
        "server_type": server_type,
        "location": cloud.catalogue.location(server["location"]),
        "datacenter": cloud.catalogue.datacenter_at(server["location"]),
        "image": cloud.catalogue.image(server["image"]),
        "iso": None,
        "rescue_enabled": False,
        "locked": server["busy_until"] > cloud.clock(),
        "backup_window": None,
        "included_traffic": prices[server["location"]]["included_traffic"],
        "ingoing_traffic": None,
        "outgoing_traffic": None,
        "primary_disk_size": server["primary_disk_size"],
        "placement_group": group_view(cloud, group) if group else None,
        "protection": server["protection"],
        "labels": server["labels"],
        "volumes": [],
        "load_balancers": [],
    }


def _public_net(cloud: Cloud, server: Thing) -> Thing:
    addresses = addresses_of(cloud, server["id"])
    ipv4, ipv6 = addresses.get("ipv4"), addresses.get("ipv6")
    return {
        "ipv4": ipv4
        and {"id": ipv4["id"], "ip": ipv4["ip"], "blocked": False, "dns_ptr": ipv4["dns_ptr"][0]["dns_ptr"]},
        "ipv6": ipv6 and {"id": ipv6["id"], "ip": ipv6["ip"], "blocked": False, "dns_ptr": ipv6["dns_ptr"]},
        "floating_ips": [],
        "firewalls": [{"id": key, "status": "applied"} for key in firewalls_of(cloud, server)],
    }
