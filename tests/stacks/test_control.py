"""The control service's stack on the recording mock, from configuration to the engine's requests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pulumi import RunError

from tests.conftest import Declare, Declared
from tests.stacks.estate import CONTROL, CONTROL_SECRETS, configured, entry, registry_file, the_program

PLATFORM: Mapping[str, Any] = {
    "control": {"ipv4": "203.0.113.9", "private_ip": "10.0.0.2"},
    "backup_credentials": {"control": {"access_key_id": "AKIA", "secret_access_key": "aws-in-the-clear"}},
}


def declared_with(
    declare: Declare, folder: Path, *, platform: Mapping[str, Any] = PLATFORM, fails: bool = False, **changes: object
) -> Declared:
    """Declare the control service of an environment."""
    return declare(
        the_program(),
        stack="test-control",
        config=configured(registry_file(folder, entry("acme")), **{"control": CONTROL, **changes}),
        secret_config=CONTROL_SECRETS,
        stacks={"organization/hosting/test": platform},
        fails_with=RunError if fails else None,
    )


@pytest.fixture
def control(declare: Declare, tmp_path: Path) -> Declared:
    """A declared control service."""
    return declared_with(declare, tmp_path)


def environment(declared: Declared, name: str) -> dict[str, str]:
    """Return a container's environment variables."""
    return dict(each.split("=", 1) for each in declared.one("Container", name).inputs["envs"])


def test_it_is_exactly_these_resources(control: Declared) -> None:
    """Database with backups, web, a worker, Caddy, three networks, three volumes, three images."""
    found = [f"{kind.rsplit(':', 1)[-1]} {name}" for kind, name in control.kinds]
    assert found == [
        "Container control",
        "Container control-backup",
        "Container control-database",
        "Container control-web",
        "Container control-worker-1",
        "Network control",
        "Network control-database",
        "Network control-edge",
        "RemoteImage control",
        "RemoteImage control-database",
        "RemoteImage control-image",
        "Volume control-data",
        "Volume control-database",
        "Volume control-registry",
    ]
    assert {each.provider for each in control.custom} == {"docker"}


def test_it_is_on_the_control_server(declare: Declare, tmp_path: Path) -> None:
    """By the platform's address over SSH, or where a setting says."""
    assert (
        declared_with(declare, tmp_path).one("pulumi:providers:docker").inputs["host"] == "ssh://markitup@203.0.113.9"
    )
    elsewhere = declared_with(declare, tmp_path, control={**CONTROL, "docker_host": "unix:///x"})
    assert elsewhere.one("pulumi:providers:docker").inputs["host"] == "unix:///x"


def test_a_new_version_comes_before_the_old_one_goes(control: Declared) -> None:
    """Left to itself the provider deletes a named image first, and the engine all containers made from it with it."""
    assert control.one("RemoteImage", "control").delete_before_replace is False
    assert control.one("Container", "control-web").delete_before_replace is False


def test_caddy_alone_is_reachable(control: Declared) -> None:
    """The web's ports for everyone, the cells' at the private address; no other container publishes anything."""
    published = {each.name: each.inputs["ports"] for each in control.all("Container") if "ports" in each.inputs}
    assert set(published) == {"control"}
    assert [(port["ip"], port["external"], port["protocol"]) for port in published["control"]] == [
        ("0.0.0.0", 80, "tcp"), ("0.0.0.0", 443, "tcp"), ("0.0.0.0", 443, "udp"), ("10.0.0.2", 8300, "tcp"),
    ]  # fmt: skip


def test_caddy_reaches_web_and_not_the_database(control: Declared) -> None:
    """They share one network, on which the database is not."""
    networks = {
        each.name: {network["name"] for network in each.inputs["networksAdvanced"]} for each in control.all("Container")
    }
    assert networks["control"] == {"edge-control", "control"}
    assert networks["control-database"] == {"control-database"}
    assert networks["control-web"] == networks["control-worker-1"] == {"control", "control-database"}
    uploads = {each["file"]: each["content"] for each in control.one("Container", "control").inputs["uploads"]}
    assert "reverse_proxy web:8300" in uploads["/etc/caddy/Caddyfile"]


def test_variables_go_where_they_are_needed(control: Declared) -> None:
    """The service's own to web and workers, the engine's, git's and mail's to workers only, S3's to the backups."""
    web, worker = environment(control, "control-web"), environment(control, "control-worker-1")
    assert set(web) == {
        "HOSTING_DATABASE_URL", "HOSTING_SETTINGS_FILE", "HOSTING_STRIPE_API_KEY",
    }  # fmt: skip
    assert set(worker) == {
        *web, "AWS_REGION", "CONTROL_REPOSITORY", "CONTROL_SSH_KEY", "DBOS__VMID", "HOSTING_GITHUB_TOKEN",
        "HOSTING_SMTP_HOST", "PULUMI_BACKEND_URL", "PULUMI_PARALLEL",
    }  # fmt: skip
    assert web["HOSTING_SETTINGS_FILE"] == "/srv/hosting/registry/Pulumi.test.yaml"
    assert worker["CONTROL_SSH_KEY"] == "ssh-key-in-the-clear"
    backup = environment(control, "control-backup")
    assert (backup["AWS_ACCESS_KEY_ID"], backup["BACKUP_BUCKET"]) == ("AKIA", "markitup-backups")
    assert backup["AWS_REGION"] == "eu-central-1"
    assert not {name for name in backup if name.startswith(("HOSTING_", "PULUMI_"))}


def test_secrets_are_marked(control: Declared) -> None:
    """Whatever holds one is encrypted in the state."""
    for each in control.custom:
        for name, value in each.inputs.items():
            if "in-the-clear" in json.dumps(value):
                marked = {path.split(".")[0] for path in each.secrets}
                assert name in marked, (each.name, name)
    assert "in-the-clear" not in json.dumps(control.outputs)


def test_everything_is_labelled(control: Declared) -> None:
    """With the stack, so that other programs find it."""
    for each in control.custom:
        if each.type.rsplit(":", 1)[-1] in {"Container", "Network", "Volume"}:
            labels = {label["label"]: label["value"] for label in each.inputs["labels"]}
            assert labels["markitup.stack"] == "test-control", each.name


def test_outputs(control: Declared) -> None:
    """Which container is in service, from which image, and where."""
    assert set(control.outputs) == {"web", "server_ipv4", "control_image"}
    assert control.outputs["server_ipv4"] == "203.0.113.9"


def test_without_a_server_nothing_is_declared(declare: Declare, tmp_path: Path) -> None:
    """The platform comes first."""
    declared = declared_with(declare, tmp_path, platform={}, fails=True)
    assert declared.custom == []
    assert "the platform `test` has no server for this yet. Fix: hosting up" in str(declared.error)


def test_without_the_setting_nothing_is_declared(declare: Declare, tmp_path: Path) -> None:
    """As in the demo, where the same processes run directly."""
    declared = declared_with(declare, tmp_path, control=None, fails=True)
    assert declared.resources == []
    assert "hosting:control is not set" in str(declared.error)
