"""Private addresses of an environment's servers: whatever comes or goes, a running server keeps its own."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network
from itertools import islice

from stacks.settings import Settings

NETWORK_ZONES = {
    "nbg1": "eu-central",
    "fsn1": "eu-central",
    "hel1": "eu-central",
    "ash": "us-east",
    "hil": "us-west",
    "sin": "ap-southeast",
}
"""Hetzner location to network zone (Hetzner Cloud API, locations)."""

FIRST_CELL_HOST = 10
"""Private addresses below this are kept for the control server and what may come beside it."""
CONTROL_HOST = 2
"""The control server's place in its subnet; the first belongs to the network itself."""


def locations(settings: Settings) -> set[str]:
    """Return where there are servers."""
    control = set() if settings.control is None else {settings.control.location}
    return {cell.location for cell in settings.cells.values()} | control


def control_address(location: str, subnets: Mapping[str, str]) -> str:
    """Return the control server's private address: always the same one of its zone's subnet."""
    return str(IPv4Network(subnets[NETWORK_ZONES[location]])[CONTROL_HOST])


def zone_subnets(settings: Settings) -> dict[str, str]:
    """Return the subnet of each network zone in use; a zone's subnet doesn't depend on which others are."""
    zones = dict.fromkeys(NETWORK_ZONES.values())
    ranges = map(str, IPv4Network(settings.network_range).subnets(new_prefix=24))
    used = {NETWORK_ZONES[location] for location in locations(settings)}
    return {zone: subnet for zone, subnet in zip(zones, ranges, strict=False) if zone in used}


def private_addresses(
    settings: Settings, subnets: Mapping[str, str], previous: Mapping[str, Mapping[str, str]]
) -> dict[str, str]:
    """Return each cell's private address: the one it had, or the first in its subnet that nobody had.

    Another cell's coming or going must not move a running server.
    """
    had = {name: cell["private_ip"] for name, cell in previous.items() if "private_ip" in cell}
    taken = set(had.values())
    addresses: dict[str, str] = {}
    for name, cell in sorted(settings.cells.items()):
        subnet = IPv4Network(subnets[NETWORK_ZONES[cell.location]])
        if name in had and IPv4Address(had[name]) in subnet:
            addresses[name] = had[name]
        else:
            hosts = map(str, islice(subnet, FIRST_CELL_HOST, None))
            addresses[name] = next(host for host in hosts if host not in taken)
            taken.add(addresses[name])
    return addresses
