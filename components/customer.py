"""One customer: a volume, a container, a DNS record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_cloudflare as cloudflare
import pulumi_docker as docker

from components.docker_labels import container_labels, volume_labels
from components.durations import go_duration
from components.shared_dns import AUTOMATIC_TTL

APP_PORT = 3000
HEALTHY_WITHIN_SECONDS = 60
"""REQUIREMENTS row 2: wait up to 60 s for healthy."""

MIB = 1024 * 1024

# The image has neither curl nor wget. A database that can't be opened still answers 200, so the body counts.
HEALTH_SCRIPT = (
    f"fetch('http://127.0.0.1:'+(process.env.PORT||{APP_PORT})+'/api/health')"
    ".then(async r=>process.exit(r.ok&&(await r.json()).status==='healthy'?0:1),()=>process.exit(1))"
)
HEALTH_TEST = ("CMD", "node", "-e", HEALTH_SCRIPT)


@dataclass(frozen=True, kw_only=True)
class Health:
    """How Docker checks an instance; all times in seconds.

    Attributes:
        interval: Between two checks.
        timeout: For one check.
        retries: Failures in a row until it counts as unhealthy.
        start_period: Time at the start in which failures do not count.
        start_interval: Between two checks in that time; None for an Engine older than 25.
    """

    interval: int = 30
    timeout: int = 10
    retries: int = 3
    start_period: int = 60
    start_interval: int | None = 2


@dataclass(frozen=True, kw_only=True)
class CustomerArgs:
    """What one customer's instance is made of.

    Attributes:
        subdomain: Its first label.
        domain: The product's domain.
        custom_domain: Its own host name, if any.
        running: Whether the container exists; a suspended customer has none.
        has_dns: Whether the DNS record exists.
        keep_data: Whether the volume is protected and outlives its entry.
        image_id: The tenant image on the cell's Engine.
        memory_mib: Memory limit in MiB; there is no swap on top.
        cpus: CPU limit in cores.
        environment: Plain environment variables.
        secrets: Secret environment variables.
        network_name: The tenants' bridge.
        volume_name: Docker's name of the data volume.
        zone_id: Cloudflare zone.
        server_ipv4: Where the DNS record points.
        health: How Docker checks it.
        labels: Docker labels.
    """

    subdomain: str
    domain: str
    custom_domain: str | None
    running: bool
    has_dns: bool
    keep_data: bool
    image_id: pulumi.Input[str]
    memory_mib: int
    cpus: float
    environment: Mapping[str, str]
    secrets: Mapping[str, pulumi.Output[str]]
    network_name: pulumi.Input[str]
    volume_name: str
    zone_id: str
    server_ipv4: pulumi.Input[str]
    health: Health
    labels: Mapping[str, str]


class Customer(pulumi.ComponentResource):
    """A customer's instance on its cell.

    The volume comes first and goes last: it is protected and retained until the registry says
    ``purging``. The container carries the network aliases that Caddy's fixed configuration looks for, so
    nothing else changes when it comes or goes. Its name is chosen by the provider, so that a replacement
    is healthy before the old container is removed.
    """

    volume_name: pulumi.Output[str]
    container_name: pulumi.Output[str] | None = None

    def __init__(self, name: str, args: CustomerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("hosting:cell:Customer", name, None, opts)
        volume = docker.Volume(
            f"{name}-data",
            name=args.volume_name,
            labels=volume_labels({k: v for k, v in args.labels.items() if k in STABLE_LABELS}),
            opts=pulumi.ResourceOptions(
                parent=self,
                protect=args.keep_data,
                retain_on_delete=args.keep_data,
                # Docker can't change a volume: a difference would replace it, and the data would be gone.
                ignore_changes=["driver_opts", "labels"],
            ),
        )
        self.volume_name = volume.name
        if args.running:
            self.container_name = self._container(name, args, volume).name
        if args.has_dns:
            cloudflare.DnsRecord(
                name,
                zone_id=args.zone_id,
                name=f"{args.subdomain}.{args.domain}",
                type="A",
                content=args.server_ipv4,
                proxied=True,
                ttl=AUTOMATIC_TTL,
                comment=f"customer {name}",
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.register_outputs({"volume_name": self.volume_name})

    def _container(self, name: str, args: CustomerArgs, volume: docker.Volume) -> docker.Container:
        aliases = [f"tenant-{args.subdomain}"]
        if args.custom_domain is not None:
            aliases.append(f"domain--{args.custom_domain}.invalid")
        return docker.Container(
            name,
            image=args.image_id,
            restart="unless-stopped",
            must_run=True,
            init=True,
            memory=args.memory_mib,
            memory_swap=args.memory_mib,
            cpus=str(float(args.cpus)),
            envs=_environment(args),
            read_only=True,
            tmpfs={
                "/tmp": "rw,noexec,nosuid,size=64m",  # noqa: S108 - in the container
                # The app writes its analytics here; without it /api/analytics fails.
                "/app/analytics": "rw,noexec,nosuid,size=16m,uid=1001,gid=1001",
            },
            capabilities=docker.ContainerCapabilitiesArgs(drops=["ALL"]),
            security_opts=["no-new-privileges:true"],
            healthcheck=docker.ContainerHealthcheckArgs(
                tests=list(HEALTH_TEST),
                interval=go_duration(args.health.interval),
                timeout=go_duration(args.health.timeout),
                retries=args.health.retries,
                start_period=go_duration(args.health.start_period),
                start_interval=None if args.health.start_interval is None else go_duration(args.health.start_interval),
            ),
            wait=True,
            wait_timeout=HEALTHY_WITHIN_SECONDS,
            stop_timeout=10,
            destroy_grace_seconds=10,
            volumes=[docker.ContainerVolumeArgs(volume_name=volume.name, container_path="/app/data")],
            networks_advanced=[docker.ContainerNetworksAdvancedArgs(name=args.network_name, aliases=aliases)],
            log_driver="json-file",
            log_opts={"max-size": "10m", "max-file": "3"},
            labels=container_labels(args.labels),
            # Said, not left out: the official provider would delete first.
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=False),
        )


STABLE_LABELS = frozenset({"managed-by", "markitup.customer", "markitup.stack", "markitup.cell"})
"""Labels of a volume: those that never change during its life."""


def _environment(args: CustomerArgs) -> pulumi.Output[list[str]]:
    plain = [f"{key}={value}" for key, value in args.environment.items()]
    return pulumi.Output.all(**args.secrets).apply(
        lambda secrets: sorted([*plain, *(f"{key}={value}" for key, value in secrets.items())])
    )
