"""Renders Caddy's configuration."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import Literal

from jinja2 import Environment, PackageLoader, StrictUndefined


@dataclass(frozen=True, kw_only=True)
class EdgeSettings:
    """What Caddy has to know.

    Attributes:
        cell: The cell's name; it tells the control service who asks.
        domain: The product's domain, two labels.
        tls: ``cloudflare``: Let's Encrypt with a wildcard by DNS-01, token from CLOUDFLARE_API_TOKEN;
            ``internal``: Caddy's own authority.
        control_url: Base URL of the control service.
        acme_email: Contact for Let's Encrypt.
        acme_directory: Another ACME directory.
        acme_root: File in the container with that directory's root certificate.
        max_request_body: Largest request, as Caddy writes sizes.
    """

    cell: str
    domain: str
    tls: Literal["cloudflare", "internal"]
    control_url: str
    acme_email: str | None = None
    acme_directory: str | None = None
    acme_root: str | None = None
    max_request_body: str = "100MB"


@dataclass(frozen=True, kw_only=True)
class ControlEdgeSettings:
    """What the Caddy in front of the control service has to know.

    Attributes:
        domain: The product's domain; the shared pages are at it, at ``www.`` and at ``portal.``.
        tls: As for a cell.
        web: Name and port of the web process.
        acme_email: Contact for Let's Encrypt.
        acme_directory: Another ACME directory.
        acme_root: File in the container with that directory's root certificate.
    """

    domain: str
    tls: Literal["cloudflare", "internal"]
    web: str
    acme_email: str | None = None
    acme_directory: str | None = None
    acme_root: str | None = None


def caddyfile(settings: EdgeSettings) -> str:
    """Return a cell's Caddyfile."""
    return _rendered("Caddyfile.j2", settings)


def control_caddyfile(settings: ControlEdgeSettings) -> str:
    """Return the control server's Caddyfile."""
    return _rendered("Control.Caddyfile.j2", settings)


def _rendered(template: str, settings: EdgeSettings | ControlEdgeSettings) -> str:
    environment = Environment(
        loader=PackageLoader("edge", "."),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - a Caddyfile is no HTML
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(**asdict(settings), trusted_proxies=cloudflare_ranges())


def cloudflare_ranges() -> tuple[str, ...]:
    """Return the address ranges of Cloudflare's proxies."""
    lines = (files("edge") / "cloudflare_ranges.txt").read_text(encoding="utf-8").splitlines()
    return tuple(line for line in lines if line and not line.startswith("#"))


def fallback_page() -> str:
    """Return the page that Caddy shows by itself while the control service is away."""
    return (files("edge") / "fallback.html").read_text(encoding="utf-8")
