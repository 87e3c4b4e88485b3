"""What the whole DNS zone shares: its settings, who may issue certificates, where the shared pages are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_cloudflare as cloudflare

AUTOMATIC_TTL = 1
SHARED_NAMES = ("www", "portal")


@dataclass(frozen=True, kw_only=True)
class SharedDnsArgs:
    """What the zone is told.

    Attributes:
        zone_id: Cloudflare's id of the zone.
        domain: The zone's name.
        control_ipv4: Address of the control server; None as long as there is none.
        cell_ipv4: Cell name to its server's address; each gets ``edge-<cell>``, unproxied, the target
            of custom domains' CNAME records.
        settings: Cloudflare zone settings, id to value.
    """

    zone_id: str
    domain: str
    control_ipv4: pulumi.Input[str] | None
    cell_ipv4: Mapping[str, pulumi.Input[str]]
    settings: Mapping[str, str]


class SharedDns(pulumi.ComponentResource):
    """Zone settings, CAA and mail records, ``edge-<cell>`` targets, and the shared pages' names."""

    custom_domain_targets: dict[str, str]

    def __init__(self, name: str, args: SharedDnsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("hosting:dns:SharedDns", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        for setting, value in sorted(args.settings.items()):
            cloudflare.ZoneSetting(
                f"{name}-{setting}", zone_id=args.zone_id, setting_id=setting, value=value, opts=child
            )
        for tag in ("issue", "issuewild"):
            cloudflare.DnsRecord(
                f"{name}-caa-{tag}",
                zone_id=args.zone_id,
                name=args.domain,
                type="CAA",
                ttl=AUTOMATIC_TTL,
                data=cloudflare.DnsRecordDataArgs(flags=0, tag=tag, value="letsencrypt.org"),
                comment="Only Let's Encrypt may issue certificates",
                opts=child,
            )
        if args.control_ipv4 is not None:
            for record in (args.domain, *(f"{label}.{args.domain}" for label in SHARED_NAMES)):
                cloudflare.DnsRecord(
                    f"{name}-{record}",
                    zone_id=args.zone_id,
                    name=record,
                    type="A",
                    content=args.control_ipv4,
                    proxied=True,
                    ttl=AUTOMATIC_TTL,
                    comment="Shared pages on the control server",
                    opts=child,
                )
        self.custom_domain_targets = {}
        for cell, ipv4 in sorted(args.cell_ipv4.items()):
            target = f"edge-{cell}.{args.domain}"
            cloudflare.DnsRecord(
                f"{name}-edge-{cell}",
                zone_id=args.zone_id,
                name=target,
                type="A",
                content=ipv4,
                # A name of another zone can't point at a proxied name of ours (Cloudflare error 1014).
                proxied=False,
                ttl=AUTOMATIC_TTL,
                comment=f"Target of custom domains on {cell}",
                opts=child,
            )
            self.custom_domain_targets[cell] = target
        self.register_outputs({"custom_domain_targets": self.custom_domain_targets})
