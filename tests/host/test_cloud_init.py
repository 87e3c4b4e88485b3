"""The first boot of a server: a valid document, small enough, with every part of requirement row 1."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
from collections.abc import Mapping
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
import yaml

from host.cloud_init import FILES, MAX_BYTES, HostSettings, TenantsBridge, UserDataTooLongError, user_data

TENANTS = TenantsBridge(interface="mku-eu-1", subnet="172.30.0.0/24", caddy_address="172.30.0.2")
SETTINGS = HostSettings(
    name="eu-1",
    ssh_public_keys=("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBnJ ada", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICs2 ci"),
    tenants=TENANTS,
)
UNITS = Path("/etc/systemd/system")


def config(settings: HostSettings = SETTINGS) -> dict[str, Any]:
    return yaml.safe_load(user_data(settings))


def files() -> dict[str, Mapping[str, str]]:
    return {file["path"]: file for file in config()["write_files"]}


def content(path: str | Path) -> str:
    return files()[str(path)]["content"]


def commands() -> list[str]:
    """Return the commands of the first boot, each as one line."""
    return [command if isinstance(command, str) else " ".join(command) for command in config()["runcmd"]]


def verdict(document: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Return what the real cloud-init says about a document."""
    path = folder / "user-data"
    path.write_text(document)
    return subprocess.run(["cloud-init", "schema", "-c", path], capture_output=True, text=True, check=False)


def test_cloud_init_accepts_the_document(tmp_path: Path) -> None:
    """The real cloud-init finds nothing wrong and nothing deprecated."""
    done = verdict(user_data(SETTINGS), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "deprecated" not in (done.stdout + done.stderr).lower()


def test_cloud_init_refuses_a_wrong_document(tmp_path: Path) -> None:
    """The control: a mistake of type is noticed, so the acceptance above means something."""
    wrong = user_data(SETTINGS).replace("package_update: true", "package_update: often")
    assert verdict(wrong, tmp_path).returncode == 1


def test_the_document_is_small_enough() -> None:
    """Hetzner takes 32 KiB; some room is left for keys."""
    document = user_data(SETTINGS)
    assert document.startswith("#cloud-config\n")
    assert len(document.encode()) < MAX_BYTES * 0.9


def test_a_document_too_long_is_an_error_with_a_way_out() -> None:
    """Before anything is ordered; Hetzner's own answer would not say what to shorten."""
    many = dataclasses.replace(SETTINGS, ssh_public_keys=("ssh-rsa " + "A" * 700,) * 20)
    with pytest.raises(UserDataTooLongError, match=r"eu-1 has \d+ bytes.*ssh_public_keys"):
        user_data(many)


def test_the_same_settings_give_the_same_document() -> None:
    """A document that changed by itself would show up in every preview."""
    assert user_data(SETTINGS) == user_data(dataclasses.replace(SETTINGS))


def test_files_arrive_as_they_are_and_can_be_read() -> None:
    """Scripts are in the document line by line, and YAML gives back every byte."""
    assert "\n    #!/bin/sh\n" in user_data(SETTINGS)
    for name in ("tenant-firewall", "storage-quota", "volumes-image"):
        file = files()[f"/usr/local/sbin/{name}"]
        assert file["content"] == (FILES / name).read_text()
        assert (file["permissions"], file["owner"]) == ("0755", "root:root")


def test_the_system_is_updated_first_and_then_every_night() -> None:
    """Updates on the first boot, a reboot if a kernel was among them; later security updates without a reboot."""
    wanted = config()
    assert wanted["package_update"] is True
    assert wanted["package_upgrade"] is True
    assert wanted["power_state"] == {"mode": "reboot", "condition": "test -e /run/reboot-required"}
    assert "unattended-upgrades" in wanted["packages"]
    upgrades = content("/etc/apt/apt.conf.d/90markitup-upgrades")
    assert 'APT::Periodic::Unattended-Upgrade "1";' in upgrades
    assert 'Automatic-Reboot "false";' in upgrades


def test_tools_are_installed() -> None:
    """The operators' tools of row 1, and what the scripts here call."""
    assert {"htop", "iotop", "nethogs", "ncdu"} <= set(config()["packages"])
    assert {"ufw", "iptables", "quota", "e2fsprogs"} <= set(config()["packages"])


def test_docker_comes_from_its_signed_repository() -> None:
    """The key is in the document, bound to the one source; it is Docker's."""
    source = config()["apt"]["sources"]["docker.list"]["source"]
    assert source.startswith("deb [signed-by=/etc/apt/keyrings/docker.asc] https://download.docker.com/linux/debian ")
    assert {"docker-ce", "docker-ce-cli", "containerd.io"} <= set(config()["packages"])
    shown = subprocess.run(
        ["gpg", "--show-keys", "--with-colons"],
        input=content("/etc/apt/keyrings/docker.asc"), capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    # https://docs.docker.com/engine/install/debian/
    assert "fpr:::::::::9DC858229FC7DD38854AE2D88D81803C0EBFCD88:" in shown


def test_nothing_downloaded_is_run() -> None:
    """No `curl | sh` and no other download: apt checks signatures, a shell does not."""
    document = re.sub(r"^\s*#.*$", "", user_data(SETTINGS), flags=re.MULTILINE)
    assert not re.search(r"\b(curl|wget)\b", document)
    assert not re.search(r"\|\s*(sudo\s+)?(ba|da)?sh\b", document)
    assert re.findall(r"https?://[^/\s]+", document) == ["https://download.docker.com"]


def test_ufw_lets_in_ssh_and_the_web_only() -> None:
    """Deny incoming; 22, 80, 443, and 443 over UDP for HTTP/3; in force before Docker starts."""
    lines = commands()
    assert "ufw default deny incoming" in lines
    assert {line for line in lines if line.startswith("ufw allow")} == {
        "ufw allow 22/tcp", "ufw allow 80/tcp", "ufw allow 443/tcp", "ufw allow 443/udp",
    }  # fmt: skip
    starts_docker = next(line for line in lines if "start docker.service" in line)
    assert lines.index("ufw --force enable") < lines.index(starts_docker)


def test_the_management_user_has_keys_docker_and_no_password() -> None:
    """`markitup` is in the group docker; it needs no sudo, and no container's user has its number."""
    (user,) = config()["users"]
    assert (user["name"], user["groups"], user["lock_passwd"]) == ("markitup", ["docker"], True)
    assert user["ssh_authorized_keys"] == list(SETTINGS.ssh_public_keys)
    assert "docker" in config()["groups"]
    assert "sudo" not in user
    assert user["uid"] not in {1001, 1100}


def test_the_tree_is_made() -> None:
    """/opt/markitup with all of row 1's folders, the user's."""
    made = {word for line in commands() if line.startswith("install -d -o markitup") for word in line.split()}
    wanted = {"customers", "backups", "scripts", "logs", "caddy/config", "caddy/data"}
    assert {f"/opt/markitup/{folder}" for folder in wanted} <= made


def test_sshd_takes_keys_only_and_bursts() -> None:
    """No passwords; a deployment opens many connections at once. sshd itself accepts the file where it is installed."""
    text = content("/etc/ssh/sshd_config.d/10-markitup.conf")
    options = dict(line.split(None, 1) for line in text.splitlines() if not line.startswith("#"))
    assert options["PasswordAuthentication"] == "no"
    assert options["PermitRootLogin"] == "prohibit-password"
    assert int(options["MaxStartups"].split(":")[0]) >= 100
    assert int(options["MaxSessions"]) > 10


def test_sshd_accepts_its_file(tmp_path: Path) -> None:
    """The real sshd's own check."""
    sshd = "/usr/sbin/sshd"
    key, path = tmp_path / "key", tmp_path / "sshd.conf"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    path.write_text(content("/etc/ssh/sshd_config.d/10-markitup.conf"))
    Path("/run/sshd").mkdir(exist_ok=True)
    done = subprocess.run([sshd, "-t", "-f", path, "-h", key], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_dockers_daemon_is_configured() -> None:
    """Containers outlive the daemon, logs are rotated, no proxy hides clients, nobody gains privileges."""
    daemon = json.loads(content("/etc/docker/daemon.json"))
    assert daemon["live-restore"] is True
    assert daemon["log-opts"].keys() == {"max-size", "max-file"}
    assert daemon["userland-proxy"] is False
    assert daemon["no-new-privileges"] is True


@pytest.mark.parametrize("subnet", ["172.30.0.0/24", "172.25.4.0/24", "192.168.7.0/24"])
def test_dockers_own_networks_are_elsewhere(subnet: str) -> None:
    """Networks without a range get none of the tenants', nor of the servers' private network; and there are many."""
    written = config(dataclasses.replace(SETTINGS, tenants=dataclasses.replace(TENANTS, subnet=subnet)))["write_files"]
    (daemon,) = (json.loads(file["content"]) for file in written if file["path"] == "/etc/docker/daemon.json")
    pools = [IPv4Network(pool["base"]) for pool in daemon["default-address-pools"]]
    taken = (IPv4Network(subnet), IPv4Network("10.0.0.0/16"))
    assert not [pool for pool in pools for network in taken if pool.overlaps(network)]
    assert sum(pool.num_addresses for pool in pools) / 256 >= 100


def test_docker_waits_for_the_tenants_rules_and_the_volumes() -> None:
    """It doesn't start at all without either; at no boot is there a container without the rules."""
    waits = content(UNITS / "docker.service.d/markitup.conf")
    for unit in ("tenant-firewall.service", "var-lib-docker-volumes.mount"):
        assert re.search(rf"^Requires=.*{re.escape(unit)}", waits, re.MULTILINE)
        assert re.search(rf"^After=.*{re.escape(unit)}", waits, re.MULTILINE)
        (enable,) = (line for line in commands() if line.startswith("systemctl enable"))
        assert unit in enable.split()


def test_the_rules_are_this_cells() -> None:
    """The unit has the cell's bridge, range and Caddy; nothing is left to fill in."""
    unit = content(UNITS / "tenant-firewall.service")
    assert "ExecStart=/usr/local/sbin/tenant-firewall apply mku-eu-1 172.30.0.0/24 172.30.0.2\n" in unit
    assert not re.search(r"@[A-Z_]+@", user_data(SETTINGS))


def test_docker_answers_only_when_the_first_boot_is_done() -> None:
    """Commands stop at the first that fails, and the mark without which Docker doesn't start comes after all others."""
    lines = commands()
    mark = "/var/lib/markitup/first-boot-done"
    assert lines[0] == "set -e"
    assert lines[-2] == f"touch {mark}"
    assert lines[-1] == "sh -c test -e /run/reboot-required || systemctl start docker.service"
    for unit in ("docker.service.d", "docker.socket.d"):
        assert f"ConditionPathExists={mark}\n" in content(UNITS / unit / "markitup.conf")


def test_volumes_have_a_file_system_with_project_quotas() -> None:
    """Made once, mounted with quotas where Docker keeps volumes, without holes that something else could fill."""
    assert "mkfs.ext4" in content("/usr/local/sbin/volumes-image")
    assert "-O project,quota -E quotatype=prjquota" in content("/usr/local/sbin/volumes-image")
    mount = content(UNITS / "var-lib-docker-volumes.mount")
    assert "Where=/var/lib/docker/volumes\n" in mount
    options = re.search(r"^Options=(.*)$", mount, re.MULTILINE)
    assert options is not None
    assert {"loop", "prjquota", "nosuid", "nodev"} <= set(options[1].split(","))
    assert "discard" not in options[1].split(",")
    # By default a mount is before, and a service after, sysinit.target: a cycle, of which systemd leaves one out.
    for unit in ("volumes-image.service", "var-lib-docker-volumes.mount"):
        assert "DefaultDependencies=no\n" in content(UNITS / unit)
    assert "storage-quota.timer" in next(line for line in commands() if line.startswith("systemctl enable"))


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    """The real systemd reads the units with those of Docker and ufw (stand-ins) and finds no mistake."""
    for path, file in files().items():
        if path.startswith((f"{UNITS}/", "/usr/local/sbin/")):
            target = tmp_path / path.removeprefix("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            # The check looks for the programs on this machine.
            target.write_text(file["content"].replace("/usr/local/sbin/", f"{FILES}/"))
    units = tmp_path / str(UNITS).removeprefix("/")
    (units / "docker.service").write_text("[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n")
    (units / "docker.socket").write_text("[Socket]\nListenStream=/run/docker.sock\n")
    (units / "ufw.service").write_text("[Unit]\nBefore=network-pre.target\n[Service]\nExecStart=/bin/true\n")
    names = ["docker.service", "docker.socket", "tenant-firewall.service", "volumes-image.service",
             "var-lib-docker-volumes.mount", "storage-quota.service", "storage-quota.timer"]  # fmt: skip
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(units / name for name in names)],
        env={"SYSTEMD_UNIT_PATH": f"{units}:", "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_user_namespaces_are_left_out_with_a_reason() -> None:
    """Whoever wonders finds why in the module."""
    assert "userns-remap" not in content("/etc/docker/daemon.json")
    source = (FILES.parent / "cloud_init.py").read_text()
    assert "No ``userns-remap``: " in source


CONTROL = dataclasses.replace(SETTINGS, name="control", tenants=None)


def test_a_server_without_tenants_has_nothing_of_theirs() -> None:
    """Neither their firewall rules nor their quotas' file system; Docker waits for the first boot only."""
    text = user_data(CONTROL)
    for word in ("tenant-firewall", "storage-quota", "volumes-image", "var-lib-docker-volumes"):
        assert word not in text
    written = {file["path"]: file["content"] for file in config(CONTROL)["write_files"]}
    assert written[str(UNITS / "docker.service.d/markitup.conf")] == (
        "[Unit]\nConditionPathExists=/var/lib/markitup/first-boot-done\n"
    )
    pools = json.loads(written["/etc/docker/daemon.json"])["default-address-pools"]
    assert {pool["base"] for pool in pools} == {"172.24.0.0/14", "192.168.0.0/17"}


def test_a_server_without_tenants_is_as_closed_and_as_ready() -> None:
    """The same users, sshd, ufw and upgrades; the same last commands."""
    here, there = config(CONTROL), config()
    for part in ("users", "packages", "apt", "power_state", "ssh_pwauth"):
        assert here[part] == there[part]
    ufw = [each for each in here["runcmd"] if "ufw" in each]
    assert ufw == [each for each in there["runcmd"] if "ufw" in each]
    assert here["runcmd"][-2:] == there["runcmd"][-2:]
    assert ["systemctl", "enable", "docker.service"] in here["runcmd"]


def test_cloud_init_accepts_the_document_of_a_server_without_tenants(tmp_path: Path) -> None:
    """The real one."""
    done = verdict(user_data(CONTROL), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_port_may_be_published_before_its_address_is_there() -> None:
    """Docker starts before the private network has given the address, and would leave Caddy stopped."""
    written = {file["path"]: file["content"] for file in config(CONTROL)["write_files"]}
    assert written["/etc/sysctl.d/90-markitup.conf"] == "net.ipv4.ip_nonlocal_bind = 1\n"
    commands_here = config(CONTROL)["runcmd"]
    assert commands_here.index(["sysctl", "--quiet", "--system"]) < len(commands_here) - 1
    assert "/etc/sysctl.d/90-markitup.conf" not in files()
