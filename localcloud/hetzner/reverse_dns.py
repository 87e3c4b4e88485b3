"""The names that public addresses resolve to."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from localcloud.hetzner.addresses import reverse_name
from localcloud.hetzner.fields import Fields
from localcloud.store import Thing


def change_dns_ptr(fields: Fields, address: Thing) -> None:
    """Set or reset the name of one address of a primary IP.

    Raises:
        ApiError: the body is wrong or the address is another's.
    """
    ip = fields.text("ip", required=True)
    name = fields.text("dns_ptr", limit=253)
    if not fields.has("dns_ptr"):
        fields.problem("dns_ptr", "Missing data for required field.")
    if ip is not None and not owns(address, ip):
        fields.problem("ip", "Not an address of this resource.")
    fields.check()
    others = [each for each in address["dns_ptr"] if each["ip"] != ip]
    if name is None and address["type"] == "ipv4":
        name = reverse_name(str(ip))
    address["dns_ptr"] = [*others, {"ip": ip, "dns_ptr": name}] if name else others


def owns(address: Thing, ip: str) -> bool:
    """Return whether an address belongs to a primary IP."""
    try:
        return ip_address(ip) in ip_network(address["ip"])
    except ValueError:
        return False
