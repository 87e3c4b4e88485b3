"""Web and workers on the recording mock: exchanged without a gap, with no more secrets than each needs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pulumi

from components.control_service import ControlService, ControlServiceArgs
from tests.conftest import Declare, Declared, Recorded


def declared_with(declare: Declare, **changes: Any) -> Declared:
    """Declare the service with some arguments changed."""

    def program() -> None:
        args = ControlServiceArgs(
            image_id="sha256:control",
            workers=2,
            repository="git@example.org:hosting.git",
            settings_file="Pulumi.prod.yaml",
            environment=pulumi.Output.secret({"HOSTING_STRIPE_API_KEY": "rk"}),
            worker_environment=pulumi.Output.secret({"PULUMI_BACKEND_URL": "s3://state", "CONTROL_SSH_KEY": "key"}),
            network_name="control",
            database_network_name="control-database",
            database_url=pulumi.Output.secret("postgresql://u:p@database/hosting"),
            web_memory_mib=256,
            worker_memory_mib=2048,
            labels={"managed-by": "pulumi"},
            health_interval=30,
            protect=True,
        )
        ControlService("control", replace(args, **changes))

    return declare(program)


def environment(container: Recorded) -> dict[str, str]:
    """Return a container's environment variables."""
    return dict(each.split("=", 1) for each in container.inputs["envs"])


def test_it_is_exactly_these_resources(declare: Declare) -> None:
    """One web container, the workers, and a volume for the registry's clone."""
    declared = declared_with(declare)
    assert [(kind.rsplit(":", 1)[-1], name) for kind, name in declared.kinds] == [
        ("Container", "control-web"),
        ("Container", "control-worker-1"),
        ("Container", "control-worker-2"),
        ("Volume", "control-registry"),
    ]
    component = declared.one("hosting:control:ControlService")
    assert {each.parent for each in declared.custom} == {component.urn}
    assert declared.component_outputs[component.urn]["web_name"].startswith("control-web-")


def test_web_is_exchanged_healthy_first(declare: Declare) -> None:
    """No name of its own to collide, the alias that Caddy asks for, a wait for health, time for what is in progress."""
    web = declared_with(declare).one("Container", "control-web")
    assert "name" not in web.inputs
    assert web.delete_before_replace is False
    assert web.inputs["networksAdvanced"] == [{"name": "control", "aliases": ["web"]}, {"name": "control-database"}]
    assert (web.inputs["wait"], web.inputs["waitTimeout"]) == (True, 120)
    assert web.inputs["stopTimeout"] == web.inputs["destroyGraceSeconds"] == 30
    assert "/healthz" in web.inputs["healthcheck"]["tests"][-1]
    assert "ports" not in web.inputs


def test_a_worker_is_stopped_before_its_successor(declare: Declare) -> None:
    """Under the same name for the durable workflows; with five minutes for an update in progress."""
    declared = declared_with(declare)
    for number in (1, 2):
        worker = declared.one("Container", f"control-worker-{number}")
        assert worker.delete_before_replace
        assert worker.inputs["stopTimeout"] == worker.inputs["destroyGraceSeconds"] == 300
        assert worker.inputs["hostname"] == environment(worker)["DBOS__VMID"] == f"control-worker-{number}"
        assert worker.inputs["healthcheck"]["tests"] == ["NONE"]
        assert worker.ignore_changes == ("healthcheck",)


def test_each_gets_the_secrets_that_it_needs(declare: Declare) -> None:
    """The engine's credentials and the SSH key never reach the process that faces the internet."""
    declared = declared_with(declare)
    web = environment(declared.one("Container", "control-web"))
    assert web == {
        "HOSTING_STRIPE_API_KEY": "rk",
        "HOSTING_DATABASE_URL": "postgresql://u:p@database/hosting",
        "HOSTING_SETTINGS_FILE": "/srv/hosting/registry/Pulumi.prod.yaml",
    }
    worker = environment(declared.one("Container", "control-worker-2"))
    own = {"DBOS__VMID": "control-worker-2", "PULUMI_BACKEND_URL": "s3://state", "CONTROL_SSH_KEY": "key"}
    assert worker == {**web, **own}
    assert all(each.secrets == {"envs"} for each in declared.all("Container"))


def test_one_worker_clones(declare: Declare) -> None:
    """The first; the others and the web process wait for its clone, which web can't write to."""
    declared = declared_with(declare)
    clones = [each.name for each in declared.all("Container") if "CONTROL_REPOSITORY" in environment(each)]
    assert clones == ["control-worker-1"]
    mounts = {each.name: each.inputs["volumes"] for each in declared.all("Container")}
    assert mounts["control-web"] == [
        {"volumeName": "control-registry", "containerPath": "/srv/hosting", "readOnly": True}
    ]
    assert mounts["control-worker-1"] == [{"volumeName": "control-registry", "containerPath": "/srv/hosting"}]


def test_commits_that_are_not_pushed_are_kept(declare: Declare) -> None:
    """The clone's volume is protected and outlives its removal, unless all is to go."""
    volume = declared_with(declare).one("Volume")
    assert (volume.protect, volume.retain_on_delete) == (True, True)
    volume = declared_with(declare, protect=False).one("Volume")
    assert (volume.protect, volume.retain_on_delete) == (False, False)


def test_nothing_has_privileges(declare: Declare) -> None:
    """No capability, a read-only root, bounded memory, an init that hands signals on."""
    for each in declared_with(declare).all("Container"):
        assert each.inputs["capabilities"] == {"drops": ["ALL"]}
        assert each.inputs["securityOpts"] == ["no-new-privileges:true"]
        assert (each.inputs["readOnly"], each.inputs["init"]) == (True, True)
        assert each.inputs["memory"] == each.inputs["memorySwap"]
        assert set(each.inputs["tmpfs"]) == {"/tmp", "/home/hosting"}
