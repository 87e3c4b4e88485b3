"""The Hetzner firewall in front of every server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_hcloud as hcloud

ANYWHERE = ("0.0.0.0/0", "::/0")


@dataclass(frozen=True, kw_only=True)
class EdgeFirewallArgs:
    """Who may reach which port.

    Attributes:
        admin_networks: CIDR ranges that may open SSH connections.
        labels: Hetzner labels of the firewall.
    """

    admin_networks: Sequence[str]
    labels: Mapping[str, str]


class EdgeFirewall(pulumi.ComponentResource):
    """Lets in SSH from the operators' networks, HTTP, HTTPS and HTTP/3 from anywhere, and ping.

    The same rules as the servers' own ufw, one step earlier: ports that Docker publishes bypass ufw,
    so this firewall is the one that counts. Outgoing traffic is not limited here (tenants are limited on the server).
    """

    firewall_id: pulumi.Output[int]

    def __init__(self, name: str, args: EdgeFirewallArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("hosting:network:EdgeFirewall", name, None, opts)
        firewall = hcloud.Firewall(
            name,
            rules=[
                _rule("ssh", "tcp", "22", args.admin_networks),
                _rule("http", "tcp", "80", ANYWHERE),
                _rule("https", "tcp", "443", ANYWHERE),
                _rule("http3", "udp", "443", ANYWHERE),
                _rule("ping", "icmp", None, ANYWHERE),
            ],
            labels=dict(args.labels),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.firewall_id = firewall.id.apply(int)
        self.register_outputs({"firewall_id": self.firewall_id})


def _rule(description: str, protocol: str, port: str | None, sources: Sequence[str]) -> hcloud.FirewallRuleArgs:
    return hcloud.FirewallRuleArgs(
        description=description, direction="in", protocol=protocol, port=port, source_ips=list(sources)
    )
