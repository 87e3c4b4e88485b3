"""The control service's Postgres and its backups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

import pulumi
import pulumi_docker as docker

from components.docker_labels import container_labels, network_labels, volume_labels
from components.durations import go_duration
from components.labels import DATABASE, DATABASE_BACKUP, ROLE

NAME = "hosting"
"""Of the database and its user."""
HOST = "database"
BACKUP_CHECK = ("CMD", "control-start", "backup", "check")
LOG_OPTIONS = {"max-size": "10m", "max-file": "3"}
STOP_SECONDS = 60
"""Postgres ends its clients and writes a checkpoint."""


@dataclass(frozen=True, kw_only=True)
class ControlDatabaseArgs:
    """How the database runs and where its backups go.

    Attributes:
        image: Pinned reference of the Postgres image.
        password: Of the database's user.
        memory_mib: Memory limit in MiB.
        backup_image: Id of the control service's image, which has ``pg_dump``.
        backup_environment: Bucket and S3 credentials, secret values as secret Outputs.
        outer_network_name: Network from which the backups reach S3.
        labels: Docker labels.
        health_interval: Seconds between two health checks.
        protect: Refuse to delete the volume.
    """

    image: str
    password: pulumi.Output[str]
    memory_mib: int
    backup_image: pulumi.Input[str]
    backup_environment: Mapping[str, pulumi.Input[str]]
    outer_network_name: pulumi.Input[str]
    labels: Mapping[str, str]
    health_interval: int
    protect: bool


class ControlDatabase(pulumi.ComponentResource):
    """Postgres on a network without a way out, its data on a protected volume, a dump of it a day in the bucket.

    Two servers can't share the data: a change of its container stops the old one first. Meanwhile events are
    answered 503, and Stripe sends them again.
    """

    network_name: pulumi.Output[str]
    url: pulumi.Output[str]

    def __init__(self, name: str, args: ControlDatabaseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("hosting:control:ControlDatabase", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        network = docker.Network(
            f"{name}-database",
            name=f"{name}-database",
            driver="bridge",
            internal=True,
            labels=network_labels(args.labels),
            opts=child,
        )
        volume = docker.Volume(
            f"{name}-database",
            name=f"{name}-database",
            labels=volume_labels(args.labels),
            opts=pulumi.ResourceOptions(
                parent=self,
                protect=args.protect,
                retain_on_delete=args.protect,
                ignore_changes=["driver_opts", "labels"],
            ),
        )
        image = docker.RemoteImage(f"{name}-database", name=args.image, keep_locally=True, opts=child)
        database = docker.Container(
            f"{name}-database",
            image=image.image_id,
            user="999:999",
            restart="unless-stopped",
            must_run=True,
            read_only=True,
            tmpfs={
                "/tmp": "rw,noexec,nosuid,size=64m",  # noqa: S108 - in the container
                "/var/run/postgresql": "rw,noexec,nosuid,size=1m,uid=999,gid=999",
            },
            shm_size=128,
            memory=args.memory_mib,
            memory_swap=args.memory_mib,
            capabilities=docker.ContainerCapabilitiesArgs(drops=["ALL"]),
            security_opts=["no-new-privileges:true"],
            envs=[
                f"POSTGRES_DB={NAME}",
                pulumi.Output.format("POSTGRES_PASSWORD={0}", args.password),
                f"POSTGRES_USER={NAME}",
            ],
            healthcheck=docker.ContainerHealthcheckArgs(
                tests=["CMD", "pg_isready", "-q", "-h", "127.0.0.1", "-U", NAME],
                interval=go_duration(args.health_interval),
                timeout="5s",
                retries=3,
                start_period="1m0s",
            ),
            wait=True,
            wait_timeout=120,
            stop_timeout=STOP_SECONDS,
            destroy_grace_seconds=STOP_SECONDS,
            volumes=[docker.ContainerVolumeArgs(volume_name=volume.name, container_path="/var/lib/postgresql/data")],
            networks_advanced=[docker.ContainerNetworksAdvancedArgs(name=network.name, aliases=[HOST])],
            log_driver="json-file",
            log_opts=LOG_OPTIONS,
            labels=container_labels({**args.labels, ROLE: DATABASE}),
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True),
        )
        # A connection before the database is there would fail: who gets the names waits for it.
        self.network_name = pulumi.Output.all(network.name, database.id).apply(lambda both: both[0])
        self.url = pulumi.Output.secret(
            pulumi.Output.all(args.password, database.id).apply(
                lambda both: f"postgresql://{NAME}:{quote(both[0], safe='')}@{HOST}:5432/{NAME}"
            )
        )
        self._backup(name, args)
        self.register_outputs({"network_name": self.network_name, "url": self.url})

    def _backup(self, name: str, args: ControlDatabaseArgs) -> None:
        environment: dict[str, pulumi.Input[str]] = {
            **args.backup_environment,
            "PGDATABASE": NAME,
            "PGHOST": HOST,
            "PGPASSWORD": args.password,
            "PGUSER": NAME,
        }
        docker.Container(
            f"{name}-backup",
            image=args.backup_image,
            command=["backup"],
            restart="unless-stopped",
            must_run=True,
            init=True,
            read_only=True,
            tmpfs={"/tmp": "rw,noexec,nosuid,size=16m"},  # noqa: S108 - in the container
            memory=256,
            memory_swap=256,
            capabilities=docker.ContainerCapabilitiesArgs(drops=["ALL"]),
            security_opts=["no-new-privileges:true"],
            envs=[pulumi.Output.format("{0}={1}", key, value) for key, value in sorted(environment.items())],
            healthcheck=docker.ContainerHealthcheckArgs(
                tests=list(BACKUP_CHECK),
                interval="1m0s",
                timeout="10s",
                retries=3,
                start_period="10m0s",
            ),
            networks_advanced=[
                docker.ContainerNetworksAdvancedArgs(name=args.outer_network_name),
                docker.ContainerNetworksAdvancedArgs(name=self.network_name),
            ],
            log_driver="json-file",
            log_opts=LOG_OPTIONS,
            labels=container_labels({**args.labels, ROLE: DATABASE_BACKUP}),
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True),
        )
