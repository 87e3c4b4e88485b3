"""Public addresses from the ranges that are reserved for documentation: they belong to nobody."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Network

from localcloud.hetzner.cloud import Cloud
from localcloud.hetzner.errors import ApiError

IPV4_POOL = tuple(str(host) for pool in ("203.0.113.0/24", "198.51.100.0/24") for host in IPv4Network(pool).hosts())
"""RFC 5737."""
IPV6_POOL = int(IPv6Network("2001:db8::/32").network_address)
"""RFC 3849; each server gets a /64 of it."""


def free_ipv4(cloud: Cloud) -> str:
    """Return an address that nobody has; one that was given back comes again as late as possible.

    Raises:
        ApiError: all are in use.
    """
    taken = {address["ip"] for address in cloud.all("primary_ip")}
    for _ in IPV4_POOL:
        ip = IPV4_POOL[(cloud.store.next_number("hetzner/ipv4") - 1) % len(IPV4_POOL)]
        if ip not in taken:
            return ip
    raise ApiError("resource_unavailable", "no IPv4 address is available")


def free_ipv6(cloud: Cloud) -> str:
    """Return a network that nobody had before."""
    number = cloud.store.next_number("hetzner/ipv6")
    return str(IPv6Network((IPV6_POOL + (number << 64), 64)))


def reverse_name(ip: str) -> str:
    """Return the name that an IPv4 address resolves to by default."""
    backwards = ".".join(reversed(str(IPv4Address(ip)).split(".")))
    return f"static.{backwards}.clients.your-server.de"
