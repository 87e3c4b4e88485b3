"""Reads the rules of a firewall."""

from __future__ import annotations

import re
from ipaddress import ip_network

from localcloud.hetzner.fields import MISSING, Fields
from localcloud.store import Thing

MOST_RULES = 50
MOST_RANGES = 100
_PORT = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")
_HIGHEST_PORT = 65535


def read_rules(fields: Fields, *, required: bool = False) -> list[Thing]:
    """Return the field ``rules``, noting all that is wrong with it."""
    rules = [_rule(each) for each in fields.objects("rules", required=required)]
    if len(rules) > MOST_RULES:
        fields.problem("rules", f"Longer than maximum length {MOST_RULES}.")
    return rules


def _rule(fields: Fields) -> Thing:
    direction = fields.text("direction", required=True, choices={"in", "out"})
    protocol = fields.text("protocol", required=True, choices={"tcp", "udp", "icmp", "esp", "gre"})
    port = fields.text("port")
    with_ports = protocol in {"tcp", "udp"}
    if with_ports and port is None:
        fields.problem("port", MISSING)
    if not with_ports and port is not None:
        fields.problem("port", f"Must not be given for protocol {protocol}.")
    if port is not None and not _is_port(port):
        fields.problem("port", "Not a valid port or port range.")
    sources = _ranges(fields, "source_ips", required=direction == "in")
    destinations = _ranges(fields, "destination_ips", required=direction == "out")
    return {
        "direction": direction,
        "protocol": protocol,
        "port": port,
        "source_ips": sources,
        "destination_ips": destinations,
        "description": fields.text("description", limit=255),
    }


def _ranges(fields: Fields, name: str, *, required: bool) -> list[str]:
    ranges = fields.values(name, str, required=required)
    if required and fields.has(name) and not ranges:
        fields.problem(name, "Shorter than minimum length 1.")
    if len(ranges) > MOST_RANGES:
        fields.problem(name, f"Longer than maximum length {MOST_RANGES}.")
    for index, text in enumerate(ranges):
        if not _is_range(text):
            fields.problem(f"{name}.{index}", "Not a valid network in CIDR notation.")
    return ranges


def _is_range(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return "/" in text


def _is_port(text: str) -> bool:
    if text == "any":
        return True
    match = _PORT.fullmatch(text)
    if match is None:
        return False
    first, last = int(match[1]), int(match[2] or match[1])
    return 1 <= first <= last <= _HIGHEST_PORT
