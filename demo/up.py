"""Brings the demo up, step by step; each step does nothing where its work is done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from http import HTTPStatus
from ipaddress import IPv4Network

import docker
import httpx
from docker.errors import APIError, ImageNotFound

from demo import processes, settings
from demo.certificates import write_ca_bundle
from demo.database import choose_database
from demo.docker_engine import ensure_docker
from demo.places import CLOUD, DEMO, DEMO_JSON, ENGINE_HOME, ENVIRONMENT, PROJECT, REGISTRY, SETTINGS, STATE
from demo.ports import demo_ports
from demo.registry_clone import ensure_registry
from demo.say import say
from demo.sign_up import sign_up_once
from demo.stripe_account import ensure_account, stripe_client
from demo.table import check_and_print
from engine.go import build
from engine.install import Engine, ensure_engine
from engine.modules import CADDY
from host import firewall
from localcloud.images import ensure_caddy, ensure_markitup
from localcloud.serve import Endpoints, read_endpoints
from registry.errors import RegistryError
from scripts.context import DEMO_ENVIRONMENT, find_context, read_variables
from scripts.report import print_results
from stacks.names import CellNetwork
from stacks.settings import Settings, SettingsError, read_settings
from webhook.database.engine import open_database
from webhook.database.migrate import migrate
from webhook.deploy import Deployer, Target
from webhook.turns import Turns


class DemoError(Exception):
    """The demo can't go on; the message says what to do."""


def bring_up(image: str | None, database: str | None) -> bool:
    """Bring everything up; return whether every customer answers as it should.

    Args:
        image: MarkItUp image to run instead of the stand-in; it stays chosen until another one is.
        database: URL of an empty Postgres database instead of a SQLite file; it stays chosen until `make down`.

    Raises:
        DemoError, LentDatabaseError, NoDockerError, StartError, BuildError: a step failed.
    """
    previous = read_variables(ENVIRONMENT)
    database_url = choose_database(database, previous)
    for folder in (DEMO, CLOUD, STATE):
        folder.mkdir(parents=True, exist_ok=True)
    # Whatever the engine keeps for itself goes when the demo goes; plugins are looked for there, too.
    os.environ["PULUMI_HOME"] = str(ENGINE_HOME)
    client = ensure_docker()
    engine = ensure_engine(say)
    say(f"engine: {engine.pulumi} ({engine.origin})")
    app_image = _app_image(client, image or settings.chosen_image())
    proxy_image = ensure_caddy(client, build(CADDY, say), say)
    ports = demo_ports()
    endpoints = _local_cloud(ports)
    zone_id = _zone(endpoints)
    made = ensure_registry()
    say(f"registry: {REGISTRY}{' (copied from customers.yaml)' if made else ''}")
    gateway = _host_address(client)
    control_url = f"http://{gateway}:{ports['control']}"
    settings.write_settings(
        ports=ports,
        endpoints=endpoints,
        control_url=control_url,
        zone_id=zone_id,
        image=app_image,
        proxy_image=proxy_image,
    )
    stripe = stripe_client(endpoints, settings.STRIPE_API_KEY)
    public_url = f"http://127.0.0.1:{ports['control']}"
    webhook_url = f"{public_url}/webhooks/stripe"
    portal_url = f"https://portal.{settings.DOMAIN}/portal"
    secret = ensure_account(stripe, webhook_url=webhook_url, portal_url=portal_url, previous=previous)
    variables = settings.write_environment(
        endpoints,
        engine.environment(),
        previous,
        secret,
        database_url=database_url,
        webhook_url=webhook_url,
        public_url=public_url,
    )
    target = Target(
        environment=DEMO_ENVIRONMENT, project=DEMO, settings_file=SETTINGS, variables=variables, pulumi=engine.pulumi
    )
    management = open_database(database_url)
    migrate(management)
    deployer = Deployer(target, say, Turns(management))
    _secrets(engine, deployer, variables)
    declared = _checked_settings(deployer)
    _firewall(declared)
    _control_service(variables, gateway, ports["control"])
    say("updating the platform, then both cells; only differences are changed")
    commit = find_context(DEMO_ENVIRONMENT).store().committed()
    results = deployer.up(sorted(declared.cells), platform=True, commit=commit)
    print_results(results)
    _write_demo_json(endpoints, declared, ports, variables)
    if any(result.error is not None for result in results):
        msg = "an update failed (see above). Run `make demo` again: it continues where it stopped."
        raise DemoError(msg)
    write_ca_bundle(client)
    _worker(variables)
    sign_up_once(variables["HOSTING_PUBLIC_URL"], find_context(DEMO_ENVIRONMENT))
    return check_and_print(find_context(DEMO_ENVIRONMENT))


def _app_image(client: docker.DockerClient, wanted: str | None) -> str:
    """Return the MarkItUp image to run: the one that was asked for, the real one, or the stand-in."""
    if wanted is not None:
        try:
            client.images.get(wanted)
        except ImageNotFound:
            msg = f"{wanted}: the Docker Engine has no such image. Fix: build or pull it, then `make demo` again."
            raise DemoError(msg) from None
        say(f"MarkItUp image: {wanted} (as you chose)")
        return wanted
    real = read_settings(PROJECT / "Pulumi.prod.yaml").image
    if settings.stand_in_is_chosen():
        return ensure_markitup(client, say)
    say(f"pulling {real}")
    try:
        client.images.pull(real)
    except APIError as error:
        say(f"it can't be pulled here ({error.explanation}); a stand-in is built locally instead")
        return ensure_markitup(client, say)
    return real


def _local_cloud(ports: Mapping[str, int]) -> Endpoints:
    argv = [sys.executable, "-m", "localcloud", "serve", "--folder", str(CLOUD)]
    argv += ["--http-port", str(ports["cloud"]), "--s3-port", str(ports["s3"])]
    if processes.start("local-cloud", argv, {}):
        say("starting the local cloud: Hetzner, Cloudflare, AWS")
    processes.wait_until("local-cloud", lambda: read_endpoints(CLOUD) is not None)
    endpoints = read_endpoints(CLOUD)
    assert endpoints is not None  # noqa: S101 - it was there a moment ago
    return endpoints


def _host_address(client: docker.DockerClient) -> str:
    """Return the host's address on Docker's default bridge: every container reaches it, nobody outside does."""
    pool = client.networks.get("bridge").attrs["IPAM"]["Config"][0]
    return str(pool.get("Gateway") or next(IPv4Network(pool["Subnet"]).hosts()))


def _zone(endpoints: Endpoints) -> str:
    """Register the domain, as a person does at Cloudflare once."""
    headers = {"Authorization": "Bearer demo"}
    answer = httpx.post(f"{endpoints.cloudflare}/zones", json={"name": settings.DOMAIN}, headers=headers)
    answer.raise_for_status()
    return str(answer.json()["result"]["id"])


def _secrets(engine: Engine, deployer: Deployer, variables: Mapping[str, str]) -> None:
    missing = settings.missing_secrets()
    if not missing:
        return
    say("making the demo's secrets")
    deployer.ensure_stack(None)
    for name, value in missing.items():
        argv = [str(engine.pulumi), "config", "set", "--secret", "--stack", DEMO_ENVIRONMENT, name]
        done = subprocess.run(
            argv,
            cwd=DEMO,
            env={**os.environ, **variables},
            input=value,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            msg = f"{name} could not be set:\n{done.stderr}"
            raise DemoError(msg)


def _checked_settings(deployer: Deployer) -> Settings:
    try:
        registry = find_context(DEMO_ENVIRONMENT).store().read()
        deployer.refuse_lost_customers(registry, confirmed=0)
        return read_settings(SETTINGS)
    except (RegistryError, SettingsError) as error:
        msg = f"{error}\nThe file is {REGISTRY}."
        raise DemoError(msg) from None


def _firewall(declared: Settings) -> None:
    """Keep tenants apart, with the script that servers run at boot."""
    for name, cell in declared.cells.items():
        network = CellNetwork.of(name, cell.subnet)
        argv = firewall.apply(bridge=network.bridge, subnet=network.subnet, caddy_address=network.caddy_address)
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            say(f"[yellow]tenants of {name} are not kept apart: {done.stderr.strip()}[/yellow]")


def _control_service(variables: Mapping[str, str], gateway: str, port: int) -> None:
    argv = [sys.executable, "-m", "gunicorn", "--workers", "1", "--threads", "8", "--worker-class", "gthread"]
    argv += ["--bind", f"127.0.0.1:{port}", "--bind", f"{gateway}:{port}", "webhook.app:serve()"]
    if processes.start("control-service", argv, variables):
        say("starting the control service")

    def ready() -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=2).status_code == HTTPStatus.OK
        except httpx.HTTPError:
            return False

    processes.wait_until("control-service", ready)


def _worker(variables: Mapping[str, str]) -> None:
    if processes.start("worker", [sys.executable, "-m", "webhook.worker"], variables):
        say("starting the worker")
    log = processes.log_of("worker")
    processes.wait_until("worker", lambda: "worker is ready" in log.read_text(errors="replace"))


def _write_demo_json(
    endpoints: Endpoints, declared: Settings, ports: Mapping[str, int], variables: Mapping[str, str]
) -> None:
    secret = variables["HOSTING_STRIPE_WEBHOOK_SECRETS"].split(",")[0]
    document = {
        "registry": str(REGISTRY),
        "database_url": variables["HOSTING_DATABASE_URL"],
        "checkout_url": f"{variables['HOSTING_PUBLIC_URL']}/checkout",
        "webhook": {"url": f"http://127.0.0.1:{ports['control']}", "secret": secret},
        "localcloud": {
            "hetzner": endpoints.hetzner,
            "cloudflare": endpoints.cloudflare,
            "s3": endpoints.s3,
            "stripe": endpoints.stripe,
            "mail": endpoints.mail,
        },
        "cells": [
            {"name": name, "docker_host": cell.docker_host, "https_port": cell.https_port}
            for name, cell in sorted(declared.cells.items())
        ],
    }
    DEMO_JSON.touch(mode=0o600)
    DEMO_JSON.write_text(json.dumps(document, indent=2) + "\n")
