"""The control service's own containers: the web process and its workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_docker as docker

from components.docker_labels import container_labels, volume_labels
from components.durations import go_duration
from components.labels import ROLE, WEB, WORKER

WEB_HOST = "web"
WEB_PORT = 8300
STATE_FOLDER = "/srv/hosting"
REGISTRY_FOLDER = f"{STATE_FOLDER}/registry"
"""Where the image keeps its clone of the registry (images/control/control-start)."""
WEB_STOP_SECONDS = 30
"""More than gunicorn gives requests in progress (images/control/gunicorn_settings.py)."""
WORKER_STOP_SECONDS = 300
"""An update of a cell in progress comes to its end; what takes longer is continued by the next worker."""
HEALTHY_WITHIN_SECONDS = 120
LOG_OPTIONS = {"max-size": "50m", "max-file": "5"}
USER = "uid=1200,gid=1200"
"""The image's user."""
HEALTH_TEST = (
    "CMD",
    "python",
    "-c",
    f"import urllib.request as r; r.urlopen('http://127.0.0.1:{WEB_PORT}/healthz', timeout=4)",
)


@dataclass(frozen=True, kw_only=True)
class ControlServiceArgs:
    """How web and workers run.

    Attributes:
        image_id: The control service's image on the server's Engine.
        workers: How many workers.
        repository: Address from which the registry is cloned, by the first worker.
        settings_file: Name of the environment's stack file in it.
        environment: Variables of all containers; secret values as secret Outputs.
        worker_environment: More for the workers: the engine's backend and credentials, the SSH key.
        network_name: The network of the service, on which Caddy is too.
        database_network_name: The database's network.
        database_url: The database; not before it is there.
        web_memory_mib: Memory limit of the web container in MiB.
        worker_memory_mib: Memory limit of a worker in MiB.
        labels: Docker labels.
        health_interval: Seconds between two health checks.
        protect: Refuse to delete the volume with the clone.
    """

    image_id: pulumi.Input[str]
    workers: int
    repository: str
    settings_file: str
    environment: pulumi.Output[Mapping[str, str]]
    worker_environment: pulumi.Output[Mapping[str, str]]
    network_name: pulumi.Input[str]
    database_network_name: pulumi.Input[str]
    database_url: pulumi.Output[str]
    web_memory_mib: int
    worker_memory_mib: int
    labels: Mapping[str, str]
    health_interval: int
    protect: bool


class ControlService(pulumi.ComponentResource):
    """One web container, exchanged healthy first, and workers, each stopped before its successor starts.

    The new web container carries the same alias as the old one, which goes once the new one is healthy: at no time
    is there nobody to take an event in. Two workers of one name would do the same work twice; what a stopped one
    left begun is in the database, and its successor continues it under the same name.
    """

    web_name: pulumi.Output[str]

    def __init__(self, name: str, args: ControlServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("hosting:control:ControlService", name, None, opts)
        volume = docker.Volume(
            f"{name}-registry",
            name=f"{name}-registry",
            labels=volume_labels(args.labels),
            opts=pulumi.ResourceOptions(
                parent=self,
                # Commits that could not be pushed yet are nowhere else.
                protect=args.protect,
                retain_on_delete=args.protect,
                ignore_changes=["driver_opts", "labels"],
            ),
        )
        for number in range(1, args.workers + 1):
            self._worker(f"{name}-worker-{number}", args, volume, clones=number == 1)
        self.web_name = self._web(f"{name}-web", args, volume).name
        self.register_outputs({"web_name": self.web_name})

    def _web(self, name: str, args: ControlServiceArgs, volume: docker.Volume) -> docker.Container:
        return docker.Container(
            name,
            image=args.image_id,
            command=["web"],
            envs=_environment(args, {}),
            healthcheck=docker.ContainerHealthcheckArgs(
                tests=list(HEALTH_TEST),
                interval=go_duration(args.health_interval),
                timeout="5s",
                retries=3,
                start_period="1m0s",
            ),
            wait=True,
            wait_timeout=HEALTHY_WITHIN_SECONDS,
            stop_timeout=WEB_STOP_SECONDS,
            destroy_grace_seconds=WEB_STOP_SECONDS,
            memory=args.web_memory_mib,
            memory_swap=args.web_memory_mib,
            volumes=[docker.ContainerVolumeArgs(volume_name=volume.name, container_path=STATE_FOLDER, read_only=True)],
            networks_advanced=[
                docker.ContainerNetworksAdvancedArgs(name=args.network_name, aliases=[WEB_HOST]),
                docker.ContainerNetworksAdvancedArgs(name=args.database_network_name),
            ],
            labels=container_labels({**args.labels, ROLE: WEB}),
            # Said, not left out: the official provider would delete first.
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=False),
            **HARDENED,
        )

    def _worker(self, name: str, args: ControlServiceArgs, volume: docker.Volume, *, clones: bool) -> None:
        own = {"DBOS__VMID": name} | ({"CONTROL_REPOSITORY": args.repository} if clones else {})
        docker.Container(
            name,
            image=args.image_id,
            command=["worker"],
            # The same for its successor: the durable workflows and the engine's locks are held under it.
            hostname=name,
            envs=_environment(args, own, args.worker_environment),
            healthcheck=docker.ContainerHealthcheckArgs(tests=["NONE"]),
            stop_timeout=WORKER_STOP_SECONDS,
            destroy_grace_seconds=WORKER_STOP_SECONDS,
            memory=args.worker_memory_mib,
            memory_swap=args.worker_memory_mib,
            volumes=[docker.ContainerVolumeArgs(volume_name=volume.name, container_path=STATE_FOLDER)],
            networks_advanced=[
                docker.ContainerNetworksAdvancedArgs(name=args.network_name),
                docker.ContainerNetworksAdvancedArgs(name=args.database_network_name),
            ],
            labels=container_labels({**args.labels, ROLE: WORKER}),
            opts=pulumi.ResourceOptions(
                parent=self,
                delete_before_replace=True,
                # Docker fills what `NONE` leaves open from the image, and that would be a change at the next update.
                ignore_changes=["healthcheck"],
            ),
            **HARDENED,
        )


HARDENED: Mapping[str, Any] = {
    "restart": "unless-stopped",
    "must_run": True,
    "init": True,
    "read_only": True,
    "tmpfs": {
        "/tmp": "rw,noexec,nosuid,size=64m",  # noqa: S108 - in the container
        "/home/hosting": f"rw,nosuid,size=256m,mode=0700,{USER}",
    },
    "capabilities": docker.ContainerCapabilitiesArgs(drops=["ALL"]),
    "security_opts": ["no-new-privileges:true"],
    "log_driver": "json-file",
    "log_opts": LOG_OPTIONS,
}


def _environment(
    args: ControlServiceArgs, own: Mapping[str, str], more: pulumi.Output[Mapping[str, str]] | None = None
) -> pulumi.Output[list[str]]:
    known = {"HOSTING_SETTINGS_FILE": f"{REGISTRY_FOLDER}/{args.settings_file}", **own}
    return pulumi.Output.all(args.database_url, args.environment, more or {}).apply(
        lambda all_: sorted(
            f"{key}={value}" for key, value in {**all_[1], **all_[2], **known, "HOSTING_DATABASE_URL": all_[0]}.items()
        )
    )
