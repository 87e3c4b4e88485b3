"""One Hetzner server: the machine of one cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_hcloud as hcloud


@dataclass(frozen=True, kw_only=True)
class CellServerArgs:
    """What a server is ordered with.

    Attributes:
        server_type: Hetzner's name of the size, already checked against the catalogue (``cx43``).
        location: Hetzner location (``nbg1``); it can't change later.
        image: Operating system image (``debian-12``); a later change is ignored.
        user_data: Rendered cloud-init, at most 32 KiB; a later change is ignored.
        ssh_key_ids: Hetzner SSH keys for the first boot; a later change is ignored.
        firewall_id: The firewall in front.
        network_id: The private network.
        private_ip: This server's fixed address in it.
        placement_group_id: Spreads servers over hosts; at most 10 servers a group.
        labels: Hetzner labels of the server and its addresses.
        protect: Refuse to delete or replace the server and its addresses.
    """

    server_type: str
    location: str
    image: str
    user_data: str
    ssh_key_ids: Sequence[pulumi.Input[str]]
    firewall_id: pulumi.Input[int]
    network_id: pulumi.Input[int]
    private_ip: str
    placement_group_id: pulumi.Input[int]
    labels: Mapping[str, str]
    protect: bool


class CellServer(pulumi.ComponentResource):
    """A server with primary addresses that outlive it, its firewall and its place in the private network.

    A change of ``server_type`` rescales (powers off, keeps the disk so that the way back stays open).
    Everything that would replace the server is ignored: customers' data lives on its disk.
    """

    ipv4: pulumi.Output[str]
    ipv6: pulumi.Output[str]
    server_id: pulumi.Output[str]

    def __init__(self, name: str, args: CellServerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("hosting:compute:CellServer", name, None, opts)
        ipv4 = self._address(f"{name}-v4", "ipv4", args)
        ipv6 = self._address(f"{name}-v6", "ipv6", args)
        server = hcloud.Server(
            name,
            server_type=args.server_type,
            location=args.location,
            image=args.image,
            user_data=args.user_data,
            ssh_keys=list(args.ssh_key_ids),
            firewall_ids=[args.firewall_id],
            placement_group_id=args.placement_group_id,
            public_nets=[
                hcloud.ServerPublicNetArgs(
                    ipv4_enabled=True, ipv4=ipv4.id.apply(int), ipv6_enabled=True, ipv6=ipv6.id.apply(int)
                )
            ],
            labels=dict(args.labels),
            keep_disk=True,
            delete_protection=args.protect,
            rebuild_protection=args.protect,
            shutdown_before_deletion=True,
            opts=pulumi.ResourceOptions(
                parent=self,
                protect=args.protect,
                ignore_changes=["image", "location", "ssh_keys", "user_data"],
            ),
        )
        hcloud.ServerNetwork(
            f"{name}-private",
            server_id=server.id.apply(int),
            network_id=args.network_id,
            ip=args.private_ip,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.server_id = server.id
        self.ipv4 = ipv4.ip_address
        self.ipv6 = server.ipv6_address
        self.register_outputs({"server_id": self.server_id, "ipv4": self.ipv4, "ipv6": self.ipv6})

    def _address(self, name: str, kind: str, args: CellServerArgs) -> hcloud.PrimaryIp:
        return hcloud.PrimaryIp(
            name,
            type=kind,
            location=args.location,
            assignee_type="server",
            auto_delete=False,
            delete_protection=args.protect,
            labels=dict(args.labels),
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect, ignore_changes=["location"]),
        )
