"""Typed settings of an environment: everything under ``hosting:`` in ``Pulumi.<environment>.yaml``.

One file serves the platform stack and every cell stack of the environment; the engine is told so by
``PULUMI_OPTION_CONFIG_FILE`` or ``--config-file``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from ipaddress import IPv4Network, ip_network
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from registry.cells import Cell
from registry.customers import Customer
from stacks.control_settings import ControlSettings, check_pinned
from stacks.names import CONTROL

NAMESPACE = "hosting"
HTTPS = 443
LONGEST_PREFIX = 22
"""Longest prefix of the private network: a /24 for each of Hetzner's four network zones."""
SECRET_NAMES = (
    "hcloud_token",
    "cloudflare_token",
    "tenant_master_keys",
    "control_environment",
    "control_database_password",
    "control_ssh_key",
)
"""Settings that are set with ``--secret`` and read through ``pulumi.Config`` only."""


FIRST_VERSIONS: dict[Literal["jwt", "encryption"], int] = {"jwt": 1, "encryption": 1}


class SettingsError(Exception):
    """One or more settings are missing or wrong; the message names each, its meaning and the fix."""


class Settings(BaseModel):
    """Settings of one environment. Descriptions become the configuration reference."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)

    domain: Annotated[
        str,
        Field(
            pattern=r"^[a-z0-9-]+\.[a-z0-9-]+$",
            description="Domain that instances live under; exactly two labels, for Caddy's routing counts them.",
        ),
    ] = "markitup.io"
    registry: Annotated[
        Path, Field(description="Path of the registry file, relative to the folder of the stack file.")
    ] = Path("customers.yaml")
    cells: Annotated[
        dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,10}$")], Cell],
        Field(min_length=1, description="The cells, name to location, sizes and capacity; one server each."),
    ]
    image: Annotated[str, Field(description="MarkItUp image, pinned by tag or digest (not `latest`).")]
    proxy_image: Annotated[
        str, Field(description="Caddy image with the Cloudflare DNS module, pinned; built from images/caddy.")
    ]
    tls: Annotated[
        Literal["cloudflare", "internal"],
        Field(description="`cloudflare`: Let's Encrypt, wildcard by DNS-01. `internal`: Caddy's own authority (demo)."),
    ] = "cloudflare"
    acme_email: Annotated[str | None, Field(description="Address that Let's Encrypt writes to about certificates.")] = (
        None
    )
    acme_directory: Annotated[
        str | None, Field(description="Other ACME directory than Let's Encrypt's (a staging or test server).")
    ] = None
    control_url: Annotated[
        str,
        Field(
            pattern=r"^https?://",
            description="Base URL of the control service as the cells reach it (private network): Caddy asks it "
            "whether a custom domain is a customer's and what to show for a name that doesn't answer.",
        ),
    ]
    control: Annotated[
        ControlSettings | None,
        Field(description="The control server and its service, see below; without it they run elsewhere (demo)."),
    ] = None
    control_address: Annotated[
        str | None,
        Field(
            description="Public IPv4 address of the shared pages (apex, www, portal) where `control` is not set; else"
            " it is that server's."
        ),
    ] = None
    zone_id: Annotated[
        str, Field(pattern=r"^[0-9a-f]{32}$", description="Cloudflare's id of the domain's zone (32 hex digits).")
    ]
    server_image: Annotated[str, Field(description="Operating system of the servers.")] = "debian-12"
    ssh_public_keys: Annotated[
        list[str], Field(min_length=1, description="SSH public keys of the operators and of the control service.")
    ]
    admin_networks: Annotated[
        list[str], Field(min_length=1, description="CIDR ranges that may open SSH connections.")
    ] = ["0.0.0.0/0", "::/0"]
    network_range: Annotated[
        str, Field(description="Private network of the servers; each network zone gets a /24 of it.")
    ] = "10.0.0.0/16"
    hcloud_endpoint: Annotated[str | None, Field(description="Other Hetzner API than Hetzner's (tests, demo).")] = None
    cloudflare_endpoint: Annotated[
        str | None, Field(description="Other Cloudflare API than Cloudflare's (tests, demo).")
    ] = None
    ssh_options: Annotated[
        list[str],
        Field(
            description="Options of `ssh` for reaching the cells' Docker Engines, such as "
            '`["-i", "/etc/hosting/id", "-o", "UserKnownHostsFile=/etc/hosting/known_hosts"]`; they win over our own.'
        ),
    ] = []
    backup_bucket: Annotated[str, Field(description="S3 bucket for backups.")] = "markitup-backups"
    backup_region: Annotated[str, Field(description="AWS region of the bucket.")] = "eu-central-1"
    backup_retention_days: Annotated[int, Field(ge=1, description="Days that a backup is kept.")] = 30
    publish_address: Annotated[str, Field(description="Host address of Caddy's published ports (demo: 127.0.0.1).")] = (
        "0.0.0.0"  # noqa: S104 - a web server's ports are meant for everyone
    )
    health_interval_seconds: Annotated[
        int, Field(ge=1, description="Seconds between two health checks of an instance.")
    ] = 30
    health_start_interval_seconds: Annotated[
        int,
        Field(
            ge=0,
            description="Seconds between two checks while an instance starts; 0 for Docker Engines older than 25, "
            "which know only the interval above.",
        ),
    ] = 2
    secret_versions: Annotated[
        dict[Literal["jwt", "encryption"], int],
        Field(description="Version of each kind of per-customer secret; raise `jwt` to end all sessions."),
    ] = FIRST_VERSIONS
    protect: Annotated[
        bool, Field(description="Protect servers, addresses, buckets and certificates against deletion.")
    ] = True

    def url_of(self, entry: Customer) -> str:
        """Return where a customer's instance answers; with the port where it is not the usual one (demo)."""
        port = self.cells[entry.cell].https_port
        return f"https://{entry.subdomain}.{self.domain}{'' if port == HTTPS else f':{port}'}"

    @field_validator("secret_versions")
    @classmethod
    def _all_kinds(cls, value: dict[Literal["jwt", "encryption"], int]) -> dict[Literal["jwt", "encryption"], int]:
        return {**FIRST_VERSIONS, **value}

    @field_validator("cells")
    @classmethod
    def _no_cell_is_control(cls, value: dict[str, Cell]) -> dict[str, Cell]:
        if CONTROL in value:
            msg = f"no cell can be called `{CONTROL}`: its stack would be the control service's"
            raise ValueError(msg)
        return value

    @field_validator("admin_networks")
    @classmethod
    def _networks(cls, value: list[str]) -> list[str]:
        for each in value:
            ip_network(each)
        return value

    @field_validator("network_range")
    @classmethod
    def _has_room(cls, value: str) -> str:
        if IPv4Network(value).prefixlen > LONGEST_PREFIX:
            msg = f"must be at least a /{LONGEST_PREFIX}"
            raise ValueError(msg)
        return value

    @field_validator("image", "proxy_image")
    @classmethod
    def _pinned(cls, value: str) -> str:
        return check_pinned(value)


def parse_settings(raw: Mapping[str, object], *, environment: str) -> Settings:
    """Check the values of the ``hosting:`` namespace.

    Args:
        raw: Name without namespace to value; a value may be JSON text, as ``pulumi.Config`` gives it.
        environment: Name of the platform stack, for the fix.

    Raises:
        SettingsError: naming every missing or wrong setting, its meaning and the command that fixes it.
    """
    values = {name: _decoded(name, value) for name, value in raw.items() if name not in SECRET_NAMES}
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError(_explain(error, environment)) from None


def read_settings(path: Path) -> Settings:
    """Read an environment's settings from its stack file, without the engine and without secrets.

    Raises:
        SettingsError: the file is missing or a setting is wrong.
    """
    environment = path.stem.removeprefix("Pulumi.")
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        message = f"{path}: there is no such settings file. Fix: create it (see docs/configuration.md)."
        raise SettingsError(message) from None
    except yaml.YAMLError as error:
        message = f"{path}: it is no YAML. Fix: mend it, or restore it from git.\n{error}"
        raise SettingsError(message) from None
    prefix = f"{NAMESPACE}:"
    config = document.get("config") or {}
    return parse_settings(
        {key.removeprefix(prefix): value for key, value in config.items() if key.startswith(prefix)},
        environment=environment,
    )


def _decoded(name: str, value: object) -> object:
    """Undo the JSON text in which the engine hands over mappings, lists, numbers and booleans."""
    if not isinstance(value, str):
        return value
    annotation = Settings.model_fields[name].annotation if name in Settings.model_fields else str
    if annotation in {str, Path} or value.strip() == "" or not re.match(r"^[\[{]|^(true|false|null|-?\d+)$", value):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value  # the check of its type says what is wrong with it


def _explain(error: ValidationError, environment: str) -> str:
    lines = [f"The settings of `{environment}` (Pulumi.{environment}.yaml) are refused; nothing is declared:"]
    for item in error.errors(include_url=False):
        path = ".".join(str(part) for part in item["loc"] if part != "[key]")
        field = Settings.model_fields.get(str(item["loc"][0]))
        reason = {"missing": "is missing", "extra_forbidden": "no such setting"}.get(item["type"], item["msg"])
        meaning = f" Meaning: {field.description}" if field is not None else ""
        # What has no meaning, or a name that can't be, is not mended by another value.
        needless = item["type"] == "extra_forbidden" or item["loc"][-1] == "[key]"
        command = f"rm --path 'hosting:{path}'" if needless else f"set --path 'hosting:{path}' VALUE"
        lines.append(
            f"  hosting:{path}: {reason}.{meaning} Fix: pulumi config {command} --config-file Pulumi.{environment}.yaml"
        )
    return "\n".join(lines)
