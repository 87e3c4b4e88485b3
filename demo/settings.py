"""Writes the demo's Pulumi.yaml, its stack file and the variables for the engine."""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Mapping
from typing import Any

import yaml

from demo.places import CA, DEMO, ENGINE_HOME, ENVIRONMENT, PROJECT, REGISTRY, SETTINGS, STATE
from localcloud.serve import Endpoints

DOMAIN = "markitup.localhost"
DOCKER_HOST = "unix:///var/run/docker.sock"
STRIPE_API_KEY = "sk_test_" + "d3m0" * 6
STAND_IN = "hosting-local/markitup:"
SSH_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA demo"


def cells(ports: Mapping[str, int]) -> dict[str, Any]:
    """Return the two cells: both on this machine's Engine, each with a Caddy and ports of its own."""
    places = {"eu-1": ("nbg1", "172.30.1.0/24"), "eu-2": ("fsn1", "172.30.2.0/24")}
    return {
        name: {
            "region": "eu",
            "location": location,
            "server_types": ["cpx41", "cx43"],
            "subnet": subnet,
            "docker_host": DOCKER_HOST,
            "http_port": ports[f"{name}-http"],
            "https_port": ports[name],
        }
        for name, (location, subnet) in places.items()
    }


def chosen_image() -> str | None:
    """Return the image that somebody set for this demo; None for the stand-in."""
    image = _existing().get("hosting:image")
    return None if image is None or str(image).startswith(STAND_IN) else str(image)


def stand_in_is_chosen() -> bool:
    """Whether the stand-in took the real image's place at an earlier run."""
    return str(_existing().get("hosting:image", "")).startswith(STAND_IN)


def write_settings(
    *, ports: Mapping[str, int], endpoints: Endpoints, control_url: str, zone_id: str, image: str, proxy_image: str
) -> None:
    """Write the stack file, keeping what only the engine can write (salt, secrets) and a person's own settings."""
    ours: dict[str, Any] = {
        "hosting:domain": DOMAIN,
        "hosting:registry": str(REGISTRY),
        "hosting:cells": cells(ports),
        "hosting:image": image,
        "hosting:proxy_image": proxy_image,
        "hosting:tls": "internal",
        "hosting:control_url": control_url,
        "hosting:zone_id": zone_id,
        "hosting:ssh_public_keys": [SSH_KEY],
        "hosting:hcloud_endpoint": endpoints.hetzner,
        "hosting:cloudflare_endpoint": endpoints.cloudflare,
        "hosting:publish_address": "127.0.0.1",
        "hosting:health_interval_seconds": 2,
        "hosting:health_start_interval_seconds": 0,
        "hosting:protect": False,
    }
    document = yaml.safe_load(SETTINGS.read_text()) if SETTINGS.exists() else {}
    config = {**(document.get("config") or {}), **ours}
    SETTINGS.write_text(yaml.safe_dump({**document, "config": config}, sort_keys=False))
    project = yaml.safe_load((PROJECT / "Pulumi.yaml").read_text())
    options = {"virtualenv": str(PROJECT / ".venv")}
    project |= {"main": str(PROJECT), "runtime": {"name": "python", "options": options}}
    (DEMO / "Pulumi.yaml").write_text(yaml.safe_dump(project, sort_keys=False))


def missing_secrets() -> dict[str, str]:
    """Return the secret settings that the stack file does not have yet, with fresh values."""
    fresh = {
        "hosting:hcloud_token": secrets.token_hex(32),
        "hosting:cloudflare_token": secrets.token_hex(20),
        "hosting:tenant_master_keys": f'{{"1": "{secrets.token_urlsafe(48)}"}}',
    }
    there = _existing()
    return {name: value for name, value in fresh.items() if name not in there}


def write_environment(
    endpoints: Endpoints,
    engine: Mapping[str, str],
    previous: Mapping[str, str],
    webhook_secret: str,
    *,
    database_url: str,
    webhook_url: str,
    public_url: str,
) -> dict[str, str]:
    """Write and return the variables with which `pulumi`, `hosting` and the services work on the demo."""
    mail_host, _, mail_port = endpoints.mail.partition(":")
    variables = {
        **engine,
        "PULUMI_BACKEND_URL": f"file://{STATE}",
        "PULUMI_CONFIG_PASSPHRASE": previous.get("PULUMI_CONFIG_PASSPHRASE") or secrets.token_urlsafe(32),
        "PULUMI_OPTION_CONFIG_FILE": str(SETTINGS),
        "PULUMI_DEBUG_PROVIDERS": endpoints.debug_providers,
        "PULUMI_HOME": str(ENGINE_HOME),
        "AWS_ENDPOINT_URL": endpoints.s3,
        "AWS_ACCESS_KEY_ID": "demo",
        "AWS_SECRET_ACCESS_KEY": "demo",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "HOSTING_SETTINGS_FILE": str(SETTINGS),
        "HOSTING_CA_FILE": str(CA),
        "HOSTING_DATABASE_URL": database_url,
        "HOSTING_STRIPE_WEBHOOK_SECRETS": webhook_secret,
        "HOSTING_STRIPE_API_KEY": STRIPE_API_KEY,
        "HOSTING_STRIPE_API_URL": endpoints.stripe,
        "HOSTING_STRIPE_WEBHOOK_URL": webhook_url,
        "HOSTING_SECRET_KEY": previous.get("HOSTING_SECRET_KEY") or secrets.token_urlsafe(48),
        "HOSTING_PUBLIC_URL": public_url,
        "HOSTING_SMTP_HOST": mail_host,
        "HOSTING_SMTP_PORT": mail_port,
        "HOSTING_SMTP_TLS": "none",
        "HOSTING_ALERTS_TO": f"operators@{DOMAIN}",
    }
    lines = [f"{name}={shlex.quote(value)}" for name, value in variables.items()]
    ENVIRONMENT.touch(mode=0o600)
    ENVIRONMENT.write_text("# For a shell:  set -a; . .local/demo/environment; set +a\n" + "\n".join(lines) + "\n")
    return variables


def _existing() -> dict[str, Any]:
    document = yaml.safe_load(SETTINGS.read_text()) if SETTINGS.exists() else {}
    return dict(document.get("config") or {})
