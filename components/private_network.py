"""The private network between the servers of one environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_hcloud as hcloud


@dataclass(frozen=True, kw_only=True)
class PrivateNetworkArgs:
    """What a private network is made of.

    Attributes:
        ip_range: The whole range in CIDR notation.
        subnets: One subnet per Hetzner network zone, zone (``eu-central``) to CIDR range.
        labels: Hetzner labels of the network.
    """

    ip_range: str
    subnets: Mapping[str, str]
    labels: Mapping[str, str]


class PrivateNetwork(pulumi.ComponentResource):
    """A Hetzner network with one cloud subnet per network zone in use.

    Servers attach to it; it carries the traffic of monitoring and of Caddy's questions to the control
    service, so that neither crosses the internet.
    """

    network_id: pulumi.Output[int]
    subnet_ids: dict[str, pulumi.Output[str]]

    def __init__(self, name: str, args: PrivateNetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("hosting:network:PrivateNetwork", name, None, opts)
        network = hcloud.Network(
            name,
            ip_range=args.ip_range,
            labels=dict(args.labels),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.network_id = network.id.apply(int)
        self.subnet_ids = {
            zone: hcloud.NetworkSubnet(
                f"{name}-{zone}",
                network_id=self.network_id,
                type="cloud",
                network_zone=zone,
                ip_range=ip_range,
                opts=pulumi.ResourceOptions(parent=self),
            ).id
            for zone, ip_range in sorted(args.subnets.items())
        }
        self.register_outputs({"network_id": self.network_id, "subnet_ids": self.subnet_ids})
