"""The platform stack: what all cells of an environment share, and their servers."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
import pulumi_aws as aws
import pulumi_cloudflare as cloudflare
import pulumi_hcloud as hcloud
from pulumi.runtime import invoke_async

from components.backup_bucket import BackupBucket, BackupBucketArgs
from components.cell_server import CellServer, CellServerArgs
from components.control_server import ControlServer, ControlServerArgs
from components.edge_firewall import EdgeFirewall, EdgeFirewallArgs
from components.private_network import PrivateNetwork, PrivateNetworkArgs
from components.shared_dns import SharedDns, SharedDnsArgs
from host.cloud_init import HostSettings, TenantsBridge, user_data
from registry.cells import Cell
from stacks.addresses import control_address, locations, private_addresses, zone_subnets
from stacks.names import CONTROL, CellNetwork, StackName
from stacks.server_types import Offer, choose
from stacks.settings import Settings

ZONE_SETTINGS = {"ssl": "strict", "min_tls_version": "1.2", "always_use_https": "on", "http3": "on", "websockets": "on"}


async def declare_platform(stack: StackName, settings: Settings, config: pulumi.Config) -> dict[str, object]:
    """Declare the platform and return its outputs.

    Raises:
        NoServerTypeError: a cell's server can't be ordered.
    """
    labels = {"managed-by": "pulumi", "stack": str(stack)}
    before = pulumi.StackReference("before", stack_name=stack.qualified)
    previous: Mapping[str, Mapping[str, str]] = (await before.get_output_details("cells")).value or {}
    previous_control: Mapping[str, str] = (await before.get_output_details(CONTROL)).value or {}
    subnets = zone_subnets(settings)
    private_ips = private_addresses(settings, subnets, previous)
    hetzner = hcloud.Provider(
        "hcloud",
        token=config.require_secret("hcloud_token"),
        endpoint=settings.hcloud_endpoint,
        poll_interval="20ms" if settings.hcloud_endpoint else None,
    )
    at_hetzner = pulumi.ResourceOptions(provider=hetzner)
    types = await _server_types(settings, hetzner, {**previous, CONTROL: previous_control})
    network = PrivateNetwork(
        str(stack),
        PrivateNetworkArgs(ip_range=settings.network_range, subnets=subnets, labels=labels),
        at_hetzner,
    )
    firewall = EdgeFirewall(
        str(stack), EdgeFirewallArgs(admin_networks=settings.admin_networks, labels=labels), at_hetzner
    )
    keys = [
        hcloud.SshKey(f"{stack}-{number}", public_key=key, labels=labels, opts=at_hetzner)
        for number, key in enumerate(settings.ssh_public_keys, start=1)
    ]
    groups = {
        location: hcloud.PlacementGroup(f"{stack}-{location}", type="spread", labels=labels, opts=at_hetzner)
        for location in sorted(locations(settings))
    }
    servers = {
        name: CellServer(
            f"{stack}-{name}",
            CellServerArgs(
                server_type=types[name],
                location=cell.location,
                image=settings.server_image,
                user_data=user_data(host_settings(name, cell, settings)),
                ssh_key_ids=[key.id for key in keys],
                firewall_id=firewall.firewall_id,
                network_id=network.network_id,
                private_ip=private_ips[name],
                placement_group_id=groups[cell.location].id.apply(int),
                labels={**labels, "cell": name},
                protect=settings.protect,
            ),
            pulumi.ResourceOptions.merge(at_hetzner, pulumi.ResourceOptions(depends_on=[network])),
        )
        for name, cell in sorted(settings.cells.items())
    }
    control = None
    if settings.control is not None:
        control = ControlServer(
            f"{stack}-{CONTROL}",
            ControlServerArgs(
                server_type=types[CONTROL],
                location=settings.control.location,
                image=settings.server_image,
                user_data=user_data(
                    HostSettings(name=CONTROL, ssh_public_keys=tuple(settings.ssh_public_keys), tenants=None)
                ),
                ssh_key_ids=[key.id for key in keys],
                admin_networks=settings.admin_networks,
                network_id=network.network_id,
                private_ip=control_address(settings.control.location, subnets),
                placement_group_id=groups[settings.control.location].id.apply(int),
                labels={**labels, "cell": CONTROL},
                protect=settings.protect,
            ),
            pulumi.ResourceOptions.merge(at_hetzner, pulumi.ResourceOptions(depends_on=[network])),
        )
    dns = SharedDns(
        str(stack),
        SharedDnsArgs(
            zone_id=settings.zone_id,
            domain=settings.domain,
            control_ipv4=settings.control_address if control is None else control.ipv4,
            cell_ipv4={name: server.ipv4 for name, server in servers.items()},
            settings=ZONE_SETTINGS,
        ),
        pulumi.ResourceOptions(
            provider=cloudflare.Provider("cloudflare", api_token=config.require_secret("cloudflare_token"))
        ),
    )
    bucket = BackupBucket(
        settings.backup_bucket,
        BackupBucketArgs(
            bucket=settings.backup_bucket,
            retention_days=settings.backup_retention_days,
            writers=sorted([*settings.cells, *([CONTROL] if control else [])]),
            tags=labels,
            protect=settings.protect,
        ),
        pulumi.ResourceOptions(provider=aws.Provider("aws", region=settings.backup_region)),
    )
    outputs: dict[str, object] = {
        "backup_bucket": bucket.bucket_name,
        "backup_credentials": {
            name: {"access_key_id": key.access_key_id, "secret_access_key": key.secret_access_key}
            for name, key in bucket.credentials.items()
        },
        "cells": {
            name: {
                "ipv4": server.ipv4,
                "ipv6": server.ipv6,
                "private_ip": private_ips[name],
                "location": settings.cells[name].location,
                "server_type": types[name],
                "custom_domain_target": dns.custom_domain_targets[name],
            }
            for name, server in servers.items()
        },
        "url": f"https://{settings.domain}",
    }
    if settings.control is not None and control is not None:
        outputs[CONTROL] = {
            "ipv4": control.ipv4,
            "ipv6": control.ipv6,
            "private_ip": control_address(settings.control.location, subnets),
            "location": settings.control.location,
            "server_type": types[CONTROL],
        }
    return outputs


def host_settings(name: str, cell: Cell, settings: Settings) -> HostSettings:
    """Return what a cell's server is set up with on its first boot."""
    network = CellNetwork.of(name, cell.subnet)
    return HostSettings(
        name=name,
        ssh_public_keys=tuple(settings.ssh_public_keys),
        tenants=TenantsBridge(interface=network.bridge, subnet=network.subnet, caddy_address=network.caddy_address),
    )


async def _server_types(
    settings: Settings, hetzner: hcloud.Provider, previous: Mapping[str, Mapping[str, str]]
) -> Mapping[str, str]:
    offers = await _offers(pulumi.InvokeOptions(provider=hetzner))
    wanted = {
        name: (f"hosting:cells.{name}", cell.server_types, cell.location) for name, cell in settings.cells.items()
    }
    if settings.control is not None:
        wanted[CONTROL] = (f"hosting:{CONTROL}", settings.control.server_types, settings.control.location)
    return {
        name: choose(
            setting=setting,
            preferences=preferences,
            location=location,
            offers=offers,
            current=previous.get(name, {}).get("server_type"),
        )
        for name, (setting, preferences, location) in wanted.items()
    }


async def _offers(at_hetzner: pulumi.InvokeOptions) -> list[Offer]:
    """Return the catalogue: every server type at every location.

    Asked for by token: the SDK's own functions touch their deprecated fields and warn about it at each update.
    """
    catalogue = await invoke_async("hcloud:index/getServerTypes:getServerTypes", {}, at_hetzner)
    pairs = [
        (server_type, location) for server_type in catalogue["serverTypes"] for location in server_type["locations"]
    ]
    in_stock: frozenset[tuple[str, int]] = frozenset()
    if any(location.get("available") is None for _, location in pairs):
        # Older releases of the provider do not say it for a location; there the data centers' lists do.
        datacenters = await invoke_async("hcloud:index/getDatacenters:getDatacenters", {}, at_hetzner)
        in_stock = frozenset(
            (each["location"]["name"], int(server_type))
            for each in datacenters["datacenters"]
            for server_type in each["availableServerTypeIds"]
        )
    return [
        Offer(
            server_type=server_type["name"],
            location=location["name"],
            available=(
                (location["name"], int(server_type["id"])) in in_stock
                if location.get("available") is None
                else location["available"]
            ),
            deprecated=location["isDeprecated"],
        )
        for server_type, location in pairs
    ]
