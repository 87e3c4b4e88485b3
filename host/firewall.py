"""Command lines of the tenants' firewall: the same script on a server, in the demo and in tests."""

from __future__ import annotations

from pathlib import Path

SCRIPT = Path(__file__).parent / "files" / "tenant-firewall"


def apply(*, bridge: str, subnet: str, caddy_address: str) -> list[str]:
    """Return the argv that puts a bridge's rules in place; needs root, may be run again at any time.

    Args:
        bridge: The host's interface of the tenants network; it need not exist yet.
        subnet: The network's range in CIDR notation.
        caddy_address: The one address on it that may open connections to tenants.
    """
    return [str(SCRIPT), "apply", bridge, subnet, caddy_address]


def remove(*, bridge: str, subnet: str, caddy_address: str) -> list[str]:
    """Return the argv that takes exactly the rules of `apply` away again; needs root."""
    return [str(SCRIPT), "remove", bridge, subnet, caddy_address]
