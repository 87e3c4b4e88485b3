"""The bridge that a cell's tenants are on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

from components.docker_labels import network_labels


@dataclass(frozen=True, kw_only=True)
class TenantsNetworkArgs:
    """Where tenants live.

    Attributes:
        network_name: Docker's name of the network.
        bridge: Name of the host's interface, at most 15 characters; the firewall rules name it.
        subnet: The whole range in CIDR notation.
        gateway: The host's address in it.
        tenant_range: The part that tenants get addresses from; Caddy's fixed address is outside.
        labels: Docker labels.
    """

    network_name: str
    bridge: str
    subnet: str
    gateway: str
    tenant_range: str
    labels: Mapping[str, str]


class TenantsNetwork(pulumi.ComponentResource):
    """A bridge without traffic between containers; the host's firewall lets only Caddy through.

    No IPv6: the firewall rules would have to be written twice, and nothing outside reaches a tenant directly.
    """

    network_name: pulumi.Output[str]

    def __init__(self, name: str, args: TenantsNetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("hosting:cell:TenantsNetwork", name, None, opts)
        network = docker.Network(
            name,
            name=args.network_name,
            driver="bridge",
            options={
                "com.docker.network.bridge.name": args.bridge,
                "com.docker.network.bridge.enable_icc": "false",
            },
            ipam_configs=[
                docker.NetworkIpamConfigArgs(subnet=args.subnet, gateway=args.gateway, ip_range=args.tenant_range)
            ],
            labels=network_labels(args.labels),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.network_name = network.name
        self.register_outputs({"network_name": self.network_name})
