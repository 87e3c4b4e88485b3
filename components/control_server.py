"""The server of the control service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi

from components.cell_server import CellServer, CellServerArgs
from components.edge_firewall import EdgeFirewall, EdgeFirewallArgs


@dataclass(frozen=True, kw_only=True)
class ControlServerArgs:
    """What the server is ordered with; what is not described here is as for a cell's.

    Attributes:
        server_type: Hetzner's name of the size.
        location: Hetzner location.
        image: Operating system image.
        user_data: Rendered cloud-init.
        ssh_key_ids: Hetzner SSH keys for the first boot.
        admin_networks: CIDR ranges that may open SSH connections.
        network_id: The private network.
        private_ip: The address in it that the cells' Caddies ask.
        placement_group_id: Spreads servers over hosts.
        labels: Hetzner labels.
        protect: Refuse to delete or replace the server and its addresses.
    """

    server_type: str
    location: str
    image: str
    user_data: str
    ssh_key_ids: Sequence[pulumi.Input[str]]
    admin_networks: Sequence[str]
    network_id: pulumi.Input[int]
    private_ip: str
    placement_group_id: pulumi.Input[int]
    labels: Mapping[str, str]
    protect: bool


class ControlServer(pulumi.ComponentResource):
    """A server like a cell's, with a firewall of its own.

    The firewall has no rule for the port at which cells ask: Hetzner's firewalls don't see the private network, so
    a rule could only open that port to the internet. What keeps it private is the address it is published at.
    """

    ipv4: pulumi.Output[str]
    ipv6: pulumi.Output[str]

    def __init__(self, name: str, args: ControlServerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("hosting:compute:ControlServer", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        firewall = EdgeFirewall(name, EdgeFirewallArgs(admin_networks=args.admin_networks, labels=args.labels), child)
        server = CellServer(
            name,
            CellServerArgs(
                server_type=args.server_type,
                location=args.location,
                image=args.image,
                user_data=args.user_data,
                ssh_key_ids=args.ssh_key_ids,
                firewall_id=firewall.firewall_id,
                network_id=args.network_id,
                private_ip=args.private_ip,
                placement_group_id=args.placement_group_id,
                labels=args.labels,
                protect=args.protect,
            ),
            child,
        )
        self.ipv4 = server.ipv4
        self.ipv6 = server.ipv6
        self.register_outputs({"ipv4": self.ipv4, "ipv6": self.ipv6})
