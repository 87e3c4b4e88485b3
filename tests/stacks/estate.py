"""An environment of two cells as tests configure it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from stacks.program import program

CONFIG: Mapping[str, Any] = {
    "hosting:domain": "markitup.io",
    "hosting:cells": {
        "eu-1": {"region": "eu", "location": "nbg1", "server_types": ["cx43", "cpx42"], "subnet": "172.30.1.0/24"},
        "us-1": {"region": "us", "location": "ash", "server_types": ["cpx42"], "subnet": "172.30.2.0/24"},
    },
    "hosting:image": "ghcr.io/example/markitup:1.0.0",
    "hosting:proxy_image": "ghcr.io/example/caddy:2.11.9",
    "hosting:control_url": "http://10.0.0.2:8300",
    "hosting:control_address": "203.0.113.9",
    "hosting:zone_id": "0123456789abcdef" * 2,
    "hosting:ssh_public_keys": ["ssh-ed25519 AAAA ada", "ssh-ed25519 BBBB ci"],
    "hosting:admin_networks": ["198.51.100.0/24"],
}
CONTROL: Mapping[str, Any] = {
    "location": "fsn1",
    "server_types": ["cx43"],
    "image": "ghcr.io/example/control:1.2.3",
    "database_image": "postgres:15.14-bookworm",
    "repository": "git@github.com:example/hosting.git",
    "environment": {"HOSTING_SMTP_HOST": "mail.example.org", "AWS_REGION": "eu-central-1", "PULUMI_PARALLEL": "4"},
}
MASTER_KEY = "a master key that is long enough for this"
SECRETS: Mapping[str, Any] = {
    "hosting:hcloud_token": "hcloud-token-in-the-clear",
    "hosting:cloudflare_token": "cloudflare-token-in-the-clear",
    "hosting:tenant_master_keys": {"1": MASTER_KEY},
}
CONTROL_SECRETS: Mapping[str, Any] = {
    **SECRETS,
    "hosting:control_environment": {
        "HOSTING_GITHUB_TOKEN": "github-token-in-the-clear",
        "HOSTING_STRIPE_API_KEY": "stripe-key-in-the-clear",
        "PULUMI_BACKEND_URL": "s3://state-in-the-clear",
    },
    "hosting:control_database_password": "password/in-the-clear",
    "hosting:control_ssh_key": "ssh-key-in-the-clear\n",
}
PLATFORM = {"organization/hosting/test": {"cells": {"eu-1": {"ipv4": "203.0.113.1"}, "us-1": {"ipv4": "203.0.113.3"}}}}

ENTRY = "  {key}:\n    subdomain: {key}\n    plan: {plan}\n    status: {status}\n    cell: {cell}\n"


def entry(key: str, status: str = "active", *, plan: str = "team", cell: str = "eu-1", domain: str = "") -> str:
    """Return one customer's lines; the subdomain is the id."""
    text = ENTRY.format(key=key, plan=plan, status=status, cell=cell)
    if domain:
        text += f"    domain: {domain}\n"
    return text + ("    delete_after: 2099-01-01\n" if status in {"deleting", "purging"} else "")


def registry_file(folder: Path, *entries: str) -> Path:
    """Write a registry."""
    path = folder / "customers.yaml"
    path.write_text("customers:\n" + "".join(entries))
    return path


def configured(registry: Path, **changes: object) -> dict[str, Any]:
    """Return the configuration with a registry and some settings changed; None takes one away."""
    changed = {f"hosting:{name}": value for name, value in changes.items()}
    values = {**CONFIG, "hosting:registry": str(registry), **changed}
    return {key: value for key, value in values.items() if value is not None}


def the_program(confirmed_removals: int = 0) -> Callable[[], object]:
    """Return the program as the command line and the workers run it."""
    return lambda: program(confirmed_removals)
