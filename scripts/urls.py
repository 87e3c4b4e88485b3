"""Where a customer's instance answers."""

from __future__ import annotations

from registry.customers import Customer
from stacks.settings import Settings

HTTPS = 443


def url_of(settings: Settings, entry: Customer) -> str:
    """Return the instance's address; with the port where it is not the usual one (demo)."""
    cell = settings.cells[entry.cell]
    port = "" if cell.https_port == HTTPS else f":{cell.https_port}"
    return f"https://{entry.subdomain}.{settings.domain}{port}"
