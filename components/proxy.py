"""Caddy, in front of a cell's tenants or of the control service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

from components.docker_labels import container_labels, network_labels, volume_labels
from components.labels import PROXY, ROLE

LOG_OPTIONS = {"max-size": "50m", "max-file": "5"}
PRIVATE_PORT = 8300
"""Where Caddy listens for other servers, in its container."""


@dataclass(frozen=True, kw_only=True)
class ProxyArgs:
    """How Caddy runs.

    Attributes:
        image: Pinned reference of the Caddy image with the Cloudflare DNS module.
        caddyfile: The whole configuration; it names no customer.
        files: More files to put into the container, path to content.
        environment: Environment variables; secret values as secret Outputs.
        edge_network_name: Docker's name of the network with the published ports.
        inner_network_name: The network of what is behind it, such as the tenants' bridge.
        inner_address: Caddy's fixed address in that network, where firewall rules name it.
        volume_name: Docker's name of the volume with certificates and keys.
        publish_address: Host address of the published ports.
        http_port: Published for HTTP.
        https_port: Published for HTTPS, TCP and UDP (HTTP/3).
        private_port: Host address and port of a third port, for other servers of the private network.
        labels: Docker labels.
        protect: Refuse to delete the volume.
    """

    image: str
    caddyfile: str
    files: Mapping[str, str]
    environment: Mapping[str, pulumi.Input[str]]
    edge_network_name: str
    inner_network_name: pulumi.Input[str]
    inner_address: str | None
    volume_name: str
    publish_address: str
    http_port: int
    https_port: int
    private_port: tuple[str, int] | None = None
    labels: Mapping[str, str]
    protect: bool


class Proxy(pulumi.ComponentResource):
    """One Caddy container on two networks, its configuration inside, its certificates on a volume.

    A customer's arrival or leaving never changes this component. A change of the configuration itself
    replaces the container (seconds without service, ports can't be held twice).
    """

    container_name: pulumi.Output[str]

    def __init__(self, name: str, args: ProxyArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("hosting:cell:Proxy", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        image = docker.RemoteImage(f"{name}-image", name=args.image, keep_locally=True, opts=child)
        edge = docker.Network(
            f"{name}-edge",
            name=args.edge_network_name,
            driver="bridge",
            labels=network_labels(args.labels),
            opts=child,
        )
        data = docker.Volume(
            f"{name}-data",
            name=args.volume_name,
            labels=volume_labels(args.labels),
            opts=pulumi.ResourceOptions(
                parent=self,
                protect=args.protect,
                retain_on_delete=args.protect,
                ignore_changes=["driver_opts", "labels"],
            ),
        )
        container = docker.Container(
            name,
            image=image.image_id,
            restart="unless-stopped",
            must_run=True,
            # Not read-only: Docker puts uploaded files into no container whose root is. Caddy runs as a user that
            # can write to nothing of it.
            tmpfs={
                "/tmp": "rw,noexec,nosuid,size=16m",  # noqa: S108 - in the container
                "/run/caddy": "rw,noexec,nosuid,size=1m",
                "/config": "rw,size=4m",
            },
            capabilities=docker.ContainerCapabilitiesArgs(drops=["ALL"]),
            security_opts=["no-new-privileges:true"],
            envs=[pulumi.Output.format("{0}={1}", key, value) for key, value in sorted(args.environment.items())],
            uploads=[
                docker.ContainerUploadArgs(file=path, content=content)
                for path, content in sorted({**args.files, "/etc/caddy/Caddyfile": args.caddyfile}.items())
            ],
            ports=_ports(args),
            volumes=[docker.ContainerVolumeArgs(volume_name=data.name, container_path="/data")],
            networks_advanced=[
                docker.ContainerNetworksAdvancedArgs(name=edge.name),
                docker.ContainerNetworksAdvancedArgs(name=args.inner_network_name, ipv4_address=args.inner_address),
            ],
            log_driver="json-file",
            log_opts=LOG_OPTIONS,
            labels=container_labels({**args.labels, ROLE: PROXY}),
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True),
        )
        self.container_name = container.name
        self.register_outputs({"container_name": self.container_name})


def _ports(args: ProxyArgs) -> list[docker.ContainerPortArgs]:
    ports = [
        _port(80, args.http_port, "tcp", args.publish_address),
        _port(443, args.https_port, "tcp", args.publish_address),
        _port(443, args.https_port, "udp", args.publish_address),
    ]
    if args.private_port is not None:
        address, port = args.private_port
        ports.append(_port(PRIVATE_PORT, port, "tcp", address))
    return ports


def _port(internal: int, external: int, protocol: str, address: str) -> docker.ContainerPortArgs:
    return docker.ContainerPortArgs(internal=internal, external=external, protocol=protocol, ip=address)
