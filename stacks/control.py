"""The control service's stack: its database, web process, workers and Caddy as containers on the control server."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
import pulumi_docker as docker

from components.control_database import ControlDatabase, ControlDatabaseArgs
from components.control_service import WEB_HOST, WEB_PORT, ControlService, ControlServiceArgs
from components.docker_labels import network_labels
from components.proxy import Proxy, ProxyArgs
from edge.caddyfile import ControlEdgeSettings, control_caddyfile, fallback_page
from stacks.connection import SHARED_CONNECTION
from stacks.control_settings import ControlSettings, reaches_web
from stacks.names import CONTROL, StackName, control_labels
from stacks.settings import Settings, SettingsError


async def declare_control(stack: StackName, settings: Settings, config: pulumi.Config) -> dict[str, object]:
    """Declare the control service and return its outputs.

    Args:
        stack: The control service's stack.
        settings: The environment's settings.
        config: For the secret settings.

    Raises:
        SettingsError: the service runs elsewhere, or the platform has no server for it yet.
    """
    control = settings.control
    if control is None:
        msg = f"{stack}: hosting:control is not set, so the control service runs elsewhere. Fix: set it, or leave it."
        raise SettingsError(msg)
    platform = pulumi.StackReference("platform", stack_name=stack.platform.qualified)
    server: Mapping[str, str] | None = (await platform.get_output_details(CONTROL)).value
    if server is None:
        msg = f"{stack}: the platform `{stack.platform}` has no server for this yet. Fix: hosting up"
        raise SettingsError(msg)
    labels = control_labels(stack)
    on_server = pulumi.ResourceOptions(
        provider=docker.Provider(
            "docker",
            host=control.docker_host or f"ssh://markitup@{server['ipv4']}",
            ssh_opts=[*settings.ssh_options, *SHARED_CONNECTION],
        )
    )
    network = docker.Network(CONTROL, name=CONTROL, driver="bridge", labels=network_labels(labels), opts=on_server)
    image = docker.RemoteImage(
        CONTROL,
        name=control.image,
        keep_locally=True,
        # The provider would delete a named resource first, and with it all that is made from it: web, too.
        opts=pulumi.ResourceOptions.merge(on_server, pulumi.ResourceOptions(delete_before_replace=False)),
    )
    secrets = config.require_secret_object("control_environment")
    database = ControlDatabase(
        CONTROL,
        ControlDatabaseArgs(
            image=control.database_image,
            password=config.require_secret("control_database_password"),
            memory_mib=control.database_memory_mib,
            backup_image=image.image_id,
            backup_environment=_backup_environment(settings, control, platform),
            outer_network_name=network.name,
            labels=labels,
            health_interval=settings.health_interval_seconds,
            protect=settings.protect,
        ),
        on_server,
    )
    service = ControlService(
        CONTROL,
        ControlServiceArgs(
            image_id=image.image_id,
            workers=control.workers,
            repository=control.repository,
            settings_file=f"Pulumi.{stack.environment}.yaml",
            environment=_environment(control, secrets, shared=True),
            worker_environment=_worker_environment(control, secrets, config.require_secret("control_ssh_key")),
            network_name=network.name,
            database_network_name=database.network_name,
            database_url=database.url,
            web_memory_mib=control.web_memory_mib,
            worker_memory_mib=control.worker_memory_mib,
            labels=labels,
            health_interval=settings.health_interval_seconds,
            protect=settings.protect,
        ),
        on_server,
    )
    Proxy(CONTROL, _proxy_args(settings, control, network, server["private_ip"], labels, config), on_server)
    return {"web": service.web_name, "server_ipv4": server["ipv4"], "control_image": image.image_id}


def _backup_environment(
    settings: Settings, control: ControlSettings, platform: pulumi.StackReference
) -> dict[str, pulumi.Input[str]]:
    keys = platform.require_output("backup_credentials").apply(lambda all_: all_[CONTROL])
    return {
        "AWS_DEFAULT_REGION": settings.backup_region,
        **{name: value for name, value in control.environment.items() if name.startswith("AWS_")},
        "AWS_ACCESS_KEY_ID": keys.apply(lambda each: each["access_key_id"]),
        "AWS_SECRET_ACCESS_KEY": pulumi.Output.secret(keys.apply(lambda each: each["secret_access_key"])),
        "BACKUP_BUCKET": settings.backup_bucket,
    }


def _environment(
    control: ControlSettings, secrets: pulumi.Output[Mapping[str, str]], *, shared: bool
) -> pulumi.Output[Mapping[str, str]]:
    """Return the variables that all processes share, or those that web must not have."""
    return pulumi.Output.secret(
        secrets.apply(
            lambda secret: {
                name: value for name, value in {**control.environment, **secret}.items() if reaches_web(name) is shared
            }
        )
    )


def _worker_environment(
    control: ControlSettings, secrets: pulumi.Output[Mapping[str, str]], ssh_key: pulumi.Output[str]
) -> pulumi.Output[Mapping[str, str]]:
    return pulumi.Output.all(_environment(control, secrets, shared=False), ssh_key).apply(
        lambda both: {**both[0], "CONTROL_SSH_KEY": both[1].strip()}
    )


def _proxy_args(
    settings: Settings,
    control: ControlSettings,
    network: docker.Network,
    private_ip: str,
    labels: Mapping[str, str],
    config: pulumi.Config,
) -> ProxyArgs:
    edge = ControlEdgeSettings(
        domain=settings.domain,
        tls=settings.tls,
        web=f"{WEB_HOST}:{WEB_PORT}",
        acme_email=settings.acme_email,
        acme_directory=settings.acme_directory,
    )
    environment: dict[str, pulumi.Input[str]] = {}
    if settings.tls == "cloudflare":
        environment["CLOUDFLARE_API_TOKEN"] = config.require_secret("cloudflare_token")
    return ProxyArgs(
        image=settings.proxy_image,
        caddyfile=control_caddyfile(edge),
        files={"/etc/caddy/fallback.html": fallback_page()},
        environment=environment,
        edge_network_name=f"edge-{CONTROL}",
        inner_network_name=network.name,
        inner_address=None,
        volume_name=f"caddy-{CONTROL}",
        publish_address=settings.publish_address,
        http_port=control.http_port,
        https_port=control.https_port,
        private_port=(private_ip, control.private_port),
        labels=labels,
        protect=settings.protect,
    )
