"""Which subdomains and custom domains are allowed."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from ipaddress import ip_address

SUBDOMAIN = re.compile(r"[a-z0-9](?:[a-z0-9-]{1,38})[a-z0-9]", re.ASCII)
HOST_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
LONGEST_HOST = 253
RESERVED_PREFIXES = ("edge-", "xn--")
# RFC 6761, 6762, 7686, 8375 and ICANN's .internal: never public host names.
SPECIAL_TLDS = frozenset(
    {"localhost", "local", "internal", "invalid", "test", "onion", "arpa", "alt", "home", "lan", "corp"}
)


@cache
def reserved() -> frozenset[str]:
    """Return the names that no customer can have."""
    lines = (files("registry") / "reserved.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(line.strip() for line in lines if line.strip() and not line.startswith("#"))


def subdomain_problem(name: str) -> str | None:
    """Return why a subdomain is not allowed, or None."""
    if SUBDOMAIN.fullmatch(name) is None:
        return f"`{name[:60]}` is no subdomain: 3-40 lower-case letters, digits and inner hyphens"
    if name.startswith(RESERVED_PREFIXES) or name[2:4] == "--":
        return f"`{name}` has a reserved prefix"
    if name in reserved():
        return f"`{name}` is reserved"
    return None


def domain_problem(host: str, *, product_domain: str) -> str | None:
    """Return why a custom domain is not allowed, or None."""
    if len(host) > LONGEST_HOST or any(HOST_LABEL.fullmatch(label) is None for label in host.split(".")):
        return f"`{host[:80]}` is no host name: lower-case labels of letters, digits and inner hyphens"
    labels = host.split(".")
    if len(labels) < 2:  # noqa: PLR2004 - a public host name has a top-level domain
        return f"`{host}` has no top-level domain"
    if _is_address(host) or labels[-1].isdigit():
        return f"`{host}` is an address, not a host name"
    if labels[-1] in SPECIAL_TLDS:
        return f"`{host}` is not a public name (.{labels[-1]})"
    if host == product_domain or host.endswith(f".{product_domain}"):
        return f"`{host}` is below {product_domain}, where names are subdomains"
    return None


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
