"""A cell stack: one server's tenants network, Caddy, customers and their DNS records."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import pulumi
import pulumi_cloudflare as cloudflare
import pulumi_docker as docker

from components.customer import Customer, CustomerArgs, Health
from components.proxy import Proxy, ProxyArgs
from components.tenant_image import TenantImage, TenantImageArgs
from components.tenants_network import TenantsNetwork, TenantsNetworkArgs
from edge.caddyfile import EdgeSettings, caddyfile, fallback_page
from registry.changes import check_removals
from registry.customers import RUNNING, Registry, Status
from registry.customers import Customer as Entry
from registry.plans import PLANS
from stacks.connection import SHARED_CONNECTION
from stacks.names import CellNetwork, StackName, cell_labels, volume_name
from stacks.settings import Settings, SettingsError
from stacks.tenant_secrets import ENCRYPTION_KEY_LENGTH, derive

TENANT_IMAGE_CONTEXT = Path(__file__).parent.parent / "images" / "tenant"


async def declare_cell(
    stack: StackName, settings: Settings, registry: Registry, config: pulumi.Config, *, removals_confirmed: int
) -> dict[str, object]:
    """Declare one cell and return its outputs.

    Args:
        stack: The cell's stack.
        settings: The environment's settings.
        registry: All customers; those of other cells are not looked at.
        config: For the secret settings.
        removals_confirmed: How many customers the operator agreed to remove at once.

    Raises:
        RegistryError: a customer left the file while its data is still there, or too many left at once.
        SettingsError: a master key is missing or too short, or the platform has no server for the cell yet.
    """
    name = str(stack.cell)
    cell = settings.cells[name]
    here = {key: entry for key, entry in sorted(registry.customers.items()) if entry.cell == name}
    await _check_removals(stack, registry, confirmed=removals_confirmed)

    master_keys = config.require_secret_object("tenant_master_keys")
    await _check_master_keys(master_keys, settings)
    server = await _server(stack)
    labels = cell_labels(stack)
    network = CellNetwork.of(name, cell.subnet)
    on_server = pulumi.ResourceOptions(
        provider=docker.Provider(
            "docker",
            host=cell.docker_host or f"ssh://markitup@{server['ipv4']}",
            ssh_opts=[*settings.ssh_options, *SHARED_CONNECTION],
        )
    )
    cloudflare_provider = cloudflare.Provider("cloudflare", api_token=config.require_secret("cloudflare_token"))
    everywhere = pulumi.ResourceOptions.merge(on_server, pulumi.ResourceOptions(providers=[cloudflare_provider]))

    tenants = TenantsNetwork(
        name,
        TenantsNetworkArgs(
            network_name=network.tenants_name,
            bridge=network.bridge,
            subnet=network.subnet,
            gateway=network.gateway,
            tenant_range=network.tenant_range,
            labels=labels,
        ),
        on_server,
    )
    image = TenantImage(
        name,
        TenantImageArgs(
            base_image=settings.image,
            context=str(TENANT_IMAGE_CONTEXT),
            content_tag=content_tag(settings.image, TENANT_IMAGE_CONTEXT),
        ),
        on_server,
    )
    Proxy(name, _proxy_args(settings, cell.http_port, cell.https_port, network, tenants, labels, config), on_server)
    server_ipv4 = server["ipv4"]
    for customer_id, entry in here.items():
        Customer(
            customer_id,
            _customer_args(stack, customer_id, entry, settings, image, tenants, server_ipv4, master_keys),
            everywhere,
        )
    return {
        "customers": {customer_id: str(entry.status) for customer_id, entry in here.items()},
        "urls": {
            customer_id: settings.url_of(entry)
            for customer_id, entry in here.items()
            if entry.status is not Status.PURGING
        },
        "server_ipv4": server_ipv4,
        "tenant_image": image.image_id,
    }


async def _check_master_keys(master_keys: pulumi.Output[Mapping[str, str]], settings: Settings) -> None:
    """Derive one secret of each kind, before anything is declared."""
    keys = await master_keys.future() or {}
    try:
        for purpose, version in settings.secret_versions.items():
            derive(master_keys=keys, version=version, purpose=purpose, customer_id="")
    except ValueError as error:
        raise SettingsError(str(error)) from None


async def _server(stack: StackName) -> Mapping[str, str]:
    """Return what the platform says of this cell's server."""
    reference = pulumi.StackReference("platform", stack_name=stack.platform.qualified)
    cells = await reference.get_output_details("cells")
    server = (cells.value or {}).get(str(stack.cell))
    if server is None:
        msg = f"{stack}: the platform `{stack.platform}` has no server for this cell yet. Fix: hosting up"
        raise SettingsError(msg)
    return server


async def _check_removals(stack: StackName, registry: Registry, *, confirmed: int) -> None:
    """Compare with what this stack declared last time, before anything is declared."""
    before = await pulumi.StackReference("before", stack_name=stack.qualified).get_output_details("customers")
    previous = {key: Status(status) for key, status in (before.value or {}).items()}
    check_removals(previous, registry, cell=stack.cell, confirmed=confirmed)


def _proxy_args(
    settings: Settings,
    http_port: int,
    https_port: int,
    network: CellNetwork,
    tenants: TenantsNetwork,
    labels: Mapping[str, str],
    config: pulumi.Config,
) -> ProxyArgs:
    edge = EdgeSettings(
        cell=labels["markitup.cell"],
        domain=settings.domain,
        tls=settings.tls,
        acme_email=settings.acme_email,
        acme_directory=settings.acme_directory,
        control_url=settings.control_url,
    )
    environment: dict[str, pulumi.Input[str]] = {}
    if settings.tls == "cloudflare":
        environment["CLOUDFLARE_API_TOKEN"] = config.require_secret("cloudflare_token")
    return ProxyArgs(
        image=settings.proxy_image,
        caddyfile=caddyfile(edge),
        files={"/etc/caddy/fallback.html": fallback_page()},
        environment=environment,
        edge_network_name=network.edge_name,
        inner_network_name=tenants.network_name,
        inner_address=network.caddy_address,
        volume_name=f"caddy-{labels['markitup.cell']}",
        publish_address=settings.publish_address,
        http_port=http_port,
        https_port=https_port,
        labels=labels,
        protect=settings.protect,
    )


def _customer_args(
    stack: StackName,
    customer_id: str,
    entry: Entry,
    settings: Settings,
    image: TenantImage,
    tenants: TenantsNetwork,
    server_ipv4: str,
    master_keys: pulumi.Output[Mapping[str, str]],
) -> CustomerArgs:
    plan = PLANS[entry.plan]
    storage_mib = str(plan.storage_gib * 1024)

    def secret(purpose: str, version: int, length: int | None = None) -> pulumi.Output[str]:
        return pulumi.Output.secret(
            master_keys.apply(
                lambda keys: derive(master_keys=keys, version=version, purpose=purpose, customer_id=customer_id)[
                    :length
                ]
            )
        )

    return CustomerArgs(
        subdomain=entry.subdomain,
        domain=settings.domain,
        custom_domain=entry.domain,
        running=entry.status in RUNNING,
        has_dns=entry.status is not Status.PURGING,
        keep_data=entry.status is not Status.PURGING,
        image_id=image.image_id,
        memory_mib=plan.memory_mib,
        cpus=plan.cpus,
        environment={
            "NODE_ENV": "production",
            "PORT": "3000",
            "HOSTNAME": "0.0.0.0",  # noqa: S104 - inside the container, on the tenants bridge only
            "CUSTOMER_ID": customer_id,
            "PLAN": plan.name,
            "STORAGE_LIMIT": storage_mib,
            "USER_LIMIT": str(plan.users),
        },
        secrets={
            "JWT_SECRET": secret("jwt", settings.secret_versions["jwt"]),
            "ENCRYPTION_KEY": secret("encryption", settings.secret_versions["encryption"], ENCRYPTION_KEY_LENGTH),
        },
        network_name=tenants.network_name,
        volume_name=volume_name(str(stack.cell), customer_id),
        zone_id=settings.zone_id,
        server_ipv4=server_ipv4,
        health=Health(
            interval=settings.health_interval_seconds,
            start_interval=settings.health_start_interval_seconds or None,
        ),
        labels={
            **cell_labels(stack),
            "markitup.customer": customer_id,
            "markitup.subdomain": entry.subdomain,
            "markitup.plan": plan.name,
            "markitup.storage-limit-mib": storage_mib,
        },
    )


def content_tag(base_image: str, context: Path) -> str:
    """Return a tag that changes whenever the base image's reference or a file of the build folder does."""
    digest = hashlib.sha256(base_image.encode())
    for path in sorted(p for p in context.rglob("*") if p.is_file()):
        digest.update(str(path.relative_to(context)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
