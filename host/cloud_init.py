"""What a server does on its first boot, as cloud-init reads it (Debian).

Nothing here is specific to a customer, and a change reaches new servers only: Hetzner can't change the user data of
a server. Containers, networks and volumes are Pulumi's.

No ``userns-remap``: volumes belong to the uid 1001 inside the containers, a remapping would add an offset that each
server chooses for itself, and data that moves between servers or comes from a backup would belong to nobody.
Containers run as 1001 (tenants) and 1100 (Caddy), without capabilities and without a way to gain any.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

import yaml

FILES = Path(__file__).parent / "files"
MAX_BYTES = 32 * 1024
"""Hetzner's limit for user data (Hetzner Cloud API, servers)."""

ROOT = "/opt/markitup"
USER = "markitup"
USER_ID = 2000
"""Far from 1001 and 1100, as which containers write: no account of the server owns their files."""

FIRST_BOOT_DONE = "/var/lib/markitup/first-boot-done"
"""Docker doesn't start before this file exists (see docker-waits.conf)."""

WAITS_FOR_FIRST_BOOT = f"[Unit]\nConditionPathExists={FIRST_BOOT_DONE}\n"
DOCKER_WAITS = "/etc/systemd/system/docker.service.d/markitup.conf"
TENANTS_UNITS = ("tenant-firewall.service", "var-lib-docker-volumes.mount", "storage-quota.timer")

DOCKER_SOURCE = "deb [signed-by=/etc/apt/keyrings/docker.asc] https://download.docker.com/linux/debian $RELEASE stable"
DOCKER_PACKAGES = ("containerd.io", "docker-ce", "docker-ce-cli")
PACKAGES = (
    "ca-certificates",
    "e2fsprogs",
    "htop",
    "iotop",
    "iptables",
    "ncdu",
    "nethogs",
    "quota",
    "ufw",
    "unattended-upgrades",
)
ADDRESS_POOLS = ("172.24.0.0/14", "192.168.0.0/17")
"""Ranges for networks that name none, best first; away from the tenants' 172.30 and the servers' private 10.0."""


class UserDataTooLongError(Exception):
    """The rendered user data exceeds Hetzner's limit."""


@dataclass(frozen=True, kw_only=True)
class TenantsBridge:
    """Where a cell's tenants are.

    Attributes:
        interface: The host's interface of the tenants network.
        subnet: That network's range in CIDR notation.
        caddy_address: The one address on it that may open connections to tenants.
    """

    interface: str
    subnet: str
    caddy_address: str


@dataclass(frozen=True, kw_only=True)
class HostSettings:
    """What differs from server to server.

    Attributes:
        name: Name of the cell, or ``control``.
        ssh_public_keys: Who may log in as ``markitup``; OpenSSH's one-line format.
        tenants: Where its tenants are; None for a server without: it gets neither their firewall rules nor quotas.
    """

    name: str
    ssh_public_keys: tuple[str, ...]
    tenants: TenantsBridge | None


def user_data(settings: HostSettings) -> str:
    """Return the ``#cloud-config`` document of a server.

    Raises:
        UserDataTooLongError: It has more than 32 KiB.
    """
    config = {
        "disable_root": False,
        "ssh_pwauth": False,
        "groups": ["docker"],
        "users": [_management_user(settings)],
        "write_files": _files(settings),
        "apt": {"sources": {"docker.list": {"source": DOCKER_SOURCE}}},
        "package_update": True,
        "package_upgrade": True,
        "packages": [*PACKAGES, *DOCKER_PACKAGES],
        "runcmd": _commands(settings),
        # A new kernel takes effect before the first customer, not with a reboot that some later night needs.
        "power_state": {"mode": "reboot", "condition": "test -e /run/reboot-required"},
        "final_message": f"{settings.name}: first boot done after $UPTIME seconds",
    }
    document = "#cloud-config\n" + yaml.dump(config, Dumper=_Dumper, sort_keys=False, width=120)
    if len(document.encode()) > MAX_BYTES:
        message = (
            f"the first-boot script of {settings.name} has {len(document.encode())} bytes, Hetzner takes {MAX_BYTES}: "
            "shorten host/files or the list of SSH keys (hosting:ssh_public_keys)"
        )
        raise UserDataTooLongError(message)
    return document


def daemon_json(tenants: TenantsBridge | None) -> str:
    """Return Docker's daemon configuration for a server whose tenants, if it has any, live there."""
    taken = [] if tenants is None else [IPv4Network(tenants.subnet)]
    pools = [pool for pool in ADDRESS_POOLS if not any(IPv4Network(pool).overlaps(each) for each in taken)]
    return json.dumps(
        {
            # Containers outlive a restart of the daemon.
            "live-restore": True,
            "log-driver": "json-file",
            "log-opts": {"max-size": "10m", "max-file": "3"},
            # Docker's own pools end after about 31 networks and include the tenants' range.
            "default-address-pools": [{"base": pool, "size": 24} for pool in pools],
            # The proxy would hide clients' addresses from Caddy.
            "userland-proxy": False,
            "no-new-privileges": True,
        },
        indent=2,
    )


def _management_user(settings: HostSettings) -> dict[str, object]:
    # Being in the group docker is as good as being root on this server: no sudo is needed on top.
    return {
        "name": USER,
        "gecos": "Deployments",
        "uid": USER_ID,
        "groups": ["docker"],
        "shell": "/bin/bash",
        "lock_passwd": True,
        "ssh_authorized_keys": list(settings.ssh_public_keys),
    }


def _files(settings: HostSettings) -> list[dict[str, str]]:
    # cloud-init writes files before it installs packages: what Docker's first start needs is there.
    return [
        *(_own_files() if settings.tenants is None else _tenants_files(settings.tenants)),
        # Refused is clearer than a connection that no daemon takes.
        _file("/etc/systemd/system/docker.socket.d/markitup.conf", WAITS_FOR_FIRST_BOOT),
        _file("/etc/docker/daemon.json", daemon_json(settings.tenants) + "\n"),
        # Before 50-cloud-init.conf: sshd takes the first value that it reads.
        _file("/etc/ssh/sshd_config.d/10-markitup.conf", _read("sshd.conf")),
        _file("/etc/apt/keyrings/docker.asc", _read("docker-apt-key.asc")),
        _file("/etc/apt/apt.conf.d/90markitup-upgrades", _read("apt-upgrades.conf")),
    ]


def _tenants_files(tenants: TenantsBridge) -> list[dict[str, str]]:
    firewall = _read("tenant-firewall.service")
    for mark, value in (
        ("@BRIDGE@", tenants.interface),
        ("@SUBNET@", tenants.subnet),
        ("@CADDY_ADDRESS@", tenants.caddy_address),
    ):
        firewall = firewall.replace(mark, value)
    programs = ("tenant-firewall", "storage-quota", "volumes-image")
    units = ("volumes-image.service", "var-lib-docker-volumes.mount", "storage-quota.service", "storage-quota.timer")
    return [
        *(_file(f"/usr/local/sbin/{name}", _read(name), "0755") for name in programs),
        _file("/etc/systemd/system/tenant-firewall.service", firewall),
        *(_file(f"/etc/systemd/system/{name}", _read(name)) for name in units),
        _file(DOCKER_WAITS, _read("docker-waits.conf")),
    ]


def _own_files() -> list[dict[str, str]]:
    return [
        _file(DOCKER_WAITS, WAITS_FOR_FIRST_BOOT),
        # Docker publishes a port at the private address, and may start before the private network has given it: a
        # container that can't have its port is not started again.
        _file("/etc/sysctl.d/90-markitup.conf", "net.ipv4.ip_nonlocal_bind = 1\n"),
    ]


def _commands(settings: HostSettings) -> list[list[str] | str]:
    """Return what runs once at the end, in order: ``ufw`` first, Docker last, and no Docker if one fails."""
    own = ["install", "-d", "-o", USER, "-g", USER, "-m", "0750"]
    units = () if settings.tenants is None else TENANTS_UNITS
    return [
        # cloud-init makes one shell script of all this.
        "set -e",
        ["ufw", "default", "deny", "incoming"],
        ["ufw", "default", "allow", "outgoing"],
        *(["ufw", "allow", port] for port in ("22/tcp", "80/tcp", "443/tcp", "443/udp")),
        ["ufw", "--force", "enable"],
        [*own, *(f"{ROOT}{path}" for path in ("", "/customers", "/backups", "/scripts", "/logs"))],
        [*own, *(f"{ROOT}/caddy{path}" for path in ("", "/config", "/data"))],
        *([["sysctl", "--quiet", "--system"]] if settings.tenants is None else []),
        ["systemctl", "reload-or-restart", "ssh.service"],
        ["systemctl", "daemon-reload"],
        ["systemctl", "enable", *units, "docker.service"],
        *([["systemctl", "start", *units]] if units else []),
        ["touch", FIRST_BOOT_DONE],
        # Before a reboot it would be up for seconds, long enough for a deployment to begin.
        ["sh", "-c", "test -e /run/reboot-required || systemctl start docker.service"],
    ]


def _read(name: str) -> str:
    return (FILES / name).read_text(encoding="utf-8")


def _file(path: str, content: str, permissions: str = "0644") -> dict[str, str]:
    return {"path": path, "owner": "root:root", "permissions": permissions, "content": content}


class _Dumper(yaml.SafeDumper):
    """Writes files as blocks, so that what a server got can be read in Hetzner's answers."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)
