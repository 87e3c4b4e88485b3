"""Ranges and addresses inside a private network."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from ipaddress import IPv4Address, IPv4Network
from itertools import islice

from localcloud.hetzner.fields import Fields
from localcloud.store import Thing

NEW_SUBNET = 24
SMALLEST = 30
"""Longest prefix of a subnet."""


def as_range(fields: Fields, text: str | None, name: str = "ip_range") -> IPv4Network | None:
    """Return a range in CIDR notation; None, with the problem noted, if it is none."""
    try:
        return IPv4Network(text) if text is not None else None
    except ValueError:
        fields.problem(name, "Not a valid IPv4 range in CIDR notation.")
        return None


def read_subnet(
    fields: Fields, whole: IPv4Network, others: Sequence[Thing], locations: Sequence[Thing]
) -> Thing | None:
    """Return the subnet that a body describes, noting what is wrong with it; None if there is no range left."""
    kind = fields.text("type", required=True, choices={"cloud", "server", "vswitch"})
    zone = fields.text("network_zone", required=True, choices={each["network_zone"] for each in locations})
    text = fields.text("ip_range")
    vswitch = fields.number("vswitch_id", required=kind == "vswitch")
    taken = [IPv4Network(other["ip_range"]) for other in others]
    chosen = as_range(fields, text) if text else next_free(whole, taken)
    if chosen is None:
        return None
    if not chosen.subnet_of(whole):
        fields.problem("ip_range", "Must be a subnet of the network's range.")
    if chosen.prefixlen > SMALLEST:
        fields.problem("ip_range", f"Must be /{SMALLEST} or larger.")
    if any(chosen.overlaps(other) for other in taken):
        fields.problem("ip_range", "Overlaps with another subnet.")
    return {
        "type": kind,
        "ip_range": str(chosen),
        "network_zone": zone,
        "gateway": str(whole[1]),
        "vswitch_id": vswitch,
    }


def next_free(whole: IPv4Network, taken: Sequence[IPv4Network]) -> IPv4Network | None:
    """Return the first free range for a subnet, or None."""
    ranges = whole.subnets(new_prefix=max(NEW_SUBNET, whole.prefixlen))
    return next((each for each in ranges if not any(each.overlaps(other) for other in taken)), None)


def subnet_of(network: Thing, ip: str) -> Thing | None:
    """Return the subnet of an address, or None."""
    address = IPv4Address(ip)
    return next((each for each in network["subnets"] if address in IPv4Network(each["ip_range"])), None)


def free_address(network: Thing, subnet: Thing, taken: Collection[str]) -> str | None:
    """Return the first free address of a subnet, or None."""
    hosts = IPv4Network(subnet["ip_range"]).hosts()
    candidates = (str(host) for host in islice(hosts, len(taken) + 2))
    return next((each for each in candidates if is_assignable(network, subnet, each) and each not in taken), None)


def is_assignable(network: Thing, subnet: Thing, ip: str) -> bool:
    """Return whether an address may belong to a server: not the network's, broadcast's or gateway's."""
    whole = IPv4Network(subnet["ip_range"])
    reserved = {whole.network_address, whole.broadcast_address, IPv4Network(network["ip_range"])[1]}
    return IPv4Address(ip) not in reserved
