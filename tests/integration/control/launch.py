"""Brings the control service up on this machine, and takes it away."""

from __future__ import annotations

import json
import logging
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import docker
import httpx
from filelock import FileLock

from engine.go import build as build_program
from engine.install import Engine, ensure_engine
from engine.modules import CADDY
from localcloud.images import ensure_caddy, ensure_markitup
from localcloud.serve import Endpoints, local_cloud
from localcloud.service_images import engine_programs, ensure_control, ensure_postgres
from tests.integration.control.premises import (
    CELL,
    DOCKER_HOST,
    DOMAIN,
    ENVIRONMENT,
    NETWORK,
    PRIVATE_ADDRESS,
    STATE,
    WEBHOOK_SECRET,
    Premises,
    applied,
    registry,
)
from tests.integration.control.registry_remote import registry_remote
from tests.integration.estate.control_service import host_address
from tests.integration.estate.on_engine import free_ports, remove_from_engine
from tests.integration.estate.ssh_server import SshServer, ssh_server
from tests.integration.estate.workspace import (
    cloud_secrets,
    engine_variables,
    set_secrets,
    write_project,
    write_settings,
)
from webhook.database.engine import open_database
from webhook.database.migrate import migrate
from webhook.deploy import Deployer, Target
from webhook.turns import Turns


@contextmanager
def premises() -> Iterator[Premises]:
    """Bring everything up; take it all away at the end. One at a time on a machine: names are fixed."""
    with ExitStack() as stack:
        stack.enter_context(FileLock(Path(tempfile.gettempdir()) / "hosting-test-control.lock"))
        folder = Path(tempfile.mkdtemp(prefix="mku-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        client = docker.from_env(timeout=60)
        stack.callback(client.close)
        images = stack.enter_context(ExitStack())
        remove_from_engine(client, ENVIRONMENT)
        stack.callback(remove_from_engine, client, ENVIRONMENT)
        _address("replace")
        stack.callback(_address, "del")
        host = host_address(client)
        ssh = stack.enter_context(ssh_server(folder / "ssh", host))
        endpoints = stack.enter_context(local_cloud(folder / "cloud", address=host))
        for noisy in ("grpc", "werkzeug"):
            logger = logging.getLogger(noisy)
            stack.callback(logger.setLevel, logger.level)
            logger.setLevel(logging.CRITICAL)
        yield _launch(folder, client, host, endpoints, ssh, images.callback)


def _launch(
    folder: Path,
    client: docker.DockerClient,
    host: str,
    endpoints: Endpoints,
    ssh: SshServer,
    at_the_end: Callable[..., object],
) -> Premises:
    engine = ensure_engine(_quiet)
    headers = {"Authorization": "Bearer test"}
    zone = httpx.post(f"{endpoints.cloudflare}/zones", json={"name": DOMAIN}, headers=headers).raise_for_status()
    ports = free_ports(5, host)
    http_port, https_port, private_port = ports[:3]
    remote = folder / "registry.git"
    backend = _state(endpoints.s3)
    settings_file = folder / f"Pulumi.{ENVIRONMENT}.yaml"
    config: dict[str, Any] = {
        "domain": DOMAIN,
        "cells": {
            CELL: {
                "region": "eu",
                "location": "nbg1",
                "server_types": ["cx43"],
                "subnet": "172.30.249.0/24",
                "docker_host": ssh.docker_host,
                "http_port": ports[3],
                "https_port": ports[4],
            },
        },
        "image": ensure_markitup(client, _quiet),
        "proxy_image": ensure_caddy(client, build_program(CADDY, _quiet), _quiet),
        "tls": "internal",
        "control_url": f"http://{PRIVATE_ADDRESS}:{private_port}",
        "control": {
            "location": "nbg1",
            "server_types": ["cx43"],
            "image": control_image(client, engine),
            "database_image": ensure_postgres(client, _quiet),
            "repository": f"{ssh.docker_host}{remote}",
            "environment": {
                "AWS_ENDPOINT_URL": endpoints.s3,
                "HOSTING_REGISTRY_REMOTE": "origin",
                "HOSTING_STRIPE_API_URL": endpoints.stripe,
                "PULUMI_BACKEND_URL": backend,
                "PULUMI_DEBUG_PROVIDERS": endpoints.debug_providers,
            },
            "docker_host": DOCKER_HOST,
            "http_port": http_port,
            "https_port": https_port,
            "private_port": private_port,
        },
        "zone_id": zone.json()["result"]["id"],
        "ssh_public_keys": [(folder / "ssh" / "client.pub").read_text().strip()],
        "network_range": NETWORK,
        "hcloud_endpoint": endpoints.hetzner,
        "cloudflare_endpoint": endpoints.cloudflare,
        "publish_address": "127.0.0.1",
        "health_interval_seconds": 2,
        "health_start_interval_seconds": 0,
    }
    write_settings(settings_file, config)
    write_project(folder)
    (folder / "customers.yaml").write_text(registry("acorn"))
    variables = engine_variables(folder, settings_file, engine, endpoints) | {"PULUMI_BACKEND_URL": backend}
    target = Target(
        environment=ENVIRONMENT, project=folder, settings_file=settings_file, variables=variables, pulumi=engine.pulumi
    )
    database = open_database(f"sqlite:///{folder / 'management.sqlite3'}")
    migrate(database)
    deployer = Deployer(target, _quiet, Turns(database))
    deployer.ensure_stack(None)
    set_secrets(engine, folder, ENVIRONMENT, variables, {**cloud_secrets(), **_service_secrets(folder, variables)})
    registry_remote(remote, settings_file, folder / "customers.yaml")
    return Premises(
        client=client,
        deployer=deployer,
        settings_file=settings_file,
        https_port=https_port,
        private_port=private_port,
        first=applied(deployer, platform=True),
        ssh=ssh,
        endpoints=endpoints,
        at_the_end=at_the_end,
    )


def _state(s3: str) -> str:
    """Make the bucket for the engine's state; return the backend's URL."""
    httpx.put(
        f"{s3}/{STATE}",
        content="<CreateBucketConfiguration><LocationConstraint>eu-central-1</LocationConstraint>"
        "</CreateBucketConfiguration>",
    ).raise_for_status()
    where = {
        "endpoint": urlsplit(s3).netloc,
        "region": "eu-central-1",
        "disableSSL": "true",
        "s3ForcePathStyle": "true",
    }
    return f"s3://{STATE}?{urlencode(where)}"


def control_image(client: docker.DockerClient, engine: Engine) -> str:
    """Make the control service's image."""
    return ensure_control(client, engine_programs(engine), _quiet)


def _service_secrets(folder: Path, variables: Mapping[str, str]) -> dict[str, str]:
    service = {
        "HOSTING_STRIPE_API_KEY": "sk_test_control",
        "HOSTING_STRIPE_WEBHOOK_SECRETS": WEBHOOK_SECRET,
        "HOSTING_SECRET_KEY": secrets.token_urlsafe(48),
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "PULUMI_CONFIG_PASSPHRASE": variables["PULUMI_CONFIG_PASSPHRASE"],
    }
    return {
        "hosting:control_environment": json.dumps(service),
        "hosting:control_database_password": secrets.token_hex(24),
        "hosting:control_ssh_key": (folder / "ssh" / "client").read_text(),
    }


def _address(verb: str) -> None:
    """Give this machine the control server's private address, or take it away."""
    argv = ["ip", "address", verb, f"{PRIVATE_ADDRESS}/32", "dev", "lo", "scope", "host"]
    subprocess.run(argv, check=True, capture_output=True, timeout=30)


def _quiet(_: str) -> None:
    pass
