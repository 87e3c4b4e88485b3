"""The control service's database on the recording mock: private, kept, backed up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pulumi

from components.control_database import ControlDatabase, ControlDatabaseArgs
from tests.conftest import Declare, Declared

LABELS = {"managed-by": "pulumi"}


def declared_with(declare: Declare, **changes: Any) -> Declared:
    """Declare a database with some arguments changed."""

    def program() -> None:
        args = ControlDatabaseArgs(
            image="postgres:15.14",
            password=pulumi.Output.secret("a/b:c"),
            memory_mib=1024,
            backup_image="sha256:control",
            backup_environment={"BACKUP_BUCKET": "backups", "AWS_SECRET_ACCESS_KEY": pulumi.Output.secret("aws")},
            outer_network_name="control",
            labels=LABELS,
            health_interval=30,
            protect=True,
        )
        ControlDatabase("control", replace(args, **changes))

    return declare(program)


def test_it_is_exactly_these_resources(declare: Declare) -> None:
    """Postgres with its image, network and volume, and the backups' container."""
    declared = declared_with(declare)
    assert [(kind.rsplit(":", 1)[-1], name) for kind, name in declared.kinds] == [
        ("Container", "control-backup"),
        ("Container", "control-database"),
        ("Network", "control-database"),
        ("RemoteImage", "control-database"),
        ("Volume", "control-database"),
    ]
    component = declared.one("hosting:control:ControlDatabase")
    assert {each.parent for each in declared.custom} == {component.urn}


def test_its_network_has_no_way_out(declare: Declare) -> None:
    """Postgres is on that network only, and publishes nothing."""
    declared = declared_with(declare)
    assert declared.one("Network").inputs["internal"] is True
    database = declared.one("Container", "control-database").inputs
    assert database["networksAdvanced"] == [{"name": "control-database", "aliases": ["database"]}]
    assert "ports" not in database


def test_its_data_are_kept(declare: Declare) -> None:
    """On a volume that is protected, outlives mistakes and is never replaced; two servers never share it."""
    declared = declared_with(declare)
    volume, container = declared.one("Volume"), declared.one("Container", "control-database")
    assert (volume.protect, volume.retain_on_delete) == (True, True)
    assert set(volume.ignore_changes) == {"driverOpts", "labels"}
    assert container.inputs["volumes"] == [
        {"volumeName": "control-database", "containerPath": "/var/lib/postgresql/data"}
    ]
    assert container.delete_before_replace
    assert container.inputs["stopTimeout"] == container.inputs["destroyGraceSeconds"] == 60
    given_up = declared_with(declare, protect=False).one("Volume")
    assert (given_up.protect, given_up.retain_on_delete) == (False, False)


def test_the_password_is_secret_everywhere(declare: Declare) -> None:
    """In both containers and in the URL, where its characters can't end it early."""
    declared = declared_with(declare)
    database, backup = declared.one("Container", "control-database"), declared.one("Container", "control-backup")
    assert database.inputs["envs"] == ["POSTGRES_DB=hosting", "POSTGRES_PASSWORD=a/b:c", "POSTGRES_USER=hosting"]
    assert database.secrets == {"envs.1"}
    assert backup.inputs["envs"] == [
        "AWS_SECRET_ACCESS_KEY=aws", "BACKUP_BUCKET=backups", "PGDATABASE=hosting", "PGHOST=database",
        "PGPASSWORD=a/b:c", "PGUSER=hosting",
    ]  # fmt: skip
    assert backup.secrets == {"envs.0", "envs.4"}
    outputs = declared.component_outputs[declared.one("ControlDatabase").urn]
    assert outputs["url"] == "postgresql://hosting:a%2Fb%3Ac@database:5432/hosting"


def test_who_uses_it_waits_for_it(declare: Declare) -> None:
    """The backups' container depends on a healthy database, though it names its network only."""
    declared = declared_with(declare)
    database, backup = declared.one("Container", "control-database"), declared.one("Container", "control-backup")
    assert database.urn in backup.dependencies
    assert database.inputs["wait"] is True
    assert database.inputs["healthcheck"]["tests"][:2] == ["CMD", "pg_isready"]


def test_backups_reach_s3_and_the_database(declare: Declare) -> None:
    """From the service's image; whether they are late is the container's health."""
    inputs = declared_with(declare).one("Container", "control-backup").inputs
    assert inputs["networksAdvanced"] == [{"name": "control"}, {"name": "control-database"}]
    assert (inputs["image"], inputs["command"]) == ("sha256:control", ["backup"])
    assert inputs["healthcheck"]["tests"] == ["CMD", "control-start", "backup", "check"]


def test_nothing_has_privileges(declare: Declare) -> None:
    """No capability, no way to gain one, a read-only root, bounded memory, logs that end."""
    for each in declared_with(declare).all("Container"):
        assert each.inputs["capabilities"] == {"drops": ["ALL"]}
        assert each.inputs["securityOpts"] == ["no-new-privileges:true"]
        assert each.inputs["readOnly"] is True
        assert each.inputs["memory"] == each.inputs["memorySwap"] > 0
        assert each.inputs["restart"] == "unless-stopped"
        assert each.inputs["logOpts"].keys() == {"max-size", "max-file"}
