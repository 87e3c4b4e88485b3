"""A whole environment: platform and two cells on the real engine, the real Docker Engine and the local cloud."""

from __future__ import annotations

import gc
import hashlib
import logging
import shutil
import ssl
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import docker
import httpx
from docker.models.containers import Container
from filelock import FileLock
from git import Actor, Repo

from engine.go import build
from engine.install import ensure_engine
from engine.modules import CADDY
from host import firewall
from localcloud.faults import Fault, Faults
from localcloud.images import ensure_caddy, ensure_markitup
from localcloud.serve import STORE, Endpoints, local_cloud
from localcloud.store import Store
from registry import edits
from registry.customers import Customer, Registry, Status
from registry.store import Provenance, RegistryStore
from stacks.names import CellNetwork, volume_name
from stacks.settings import Settings, read_settings
from tests.integration.estate.control_service import control_service, host_address
from tests.integration.estate.https import Site
from tests.integration.estate.on_engine import STACK_LABEL, free_ports, is_ours, remove_from_engine, trust_of
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
from webhook.deploy import Deployer, StackResult, Target
from webhook.turns import Turns

ENVIRONMENT = "test"
DOMAIN = "estate.localhost"
CUSTOM_DOMAIN = "wiki.example.org"
SUBNETS = {"t-1": "172.30.241.0/24", "t-2": "172.30.242.0/24"}
LOCAL_CELL, SSH_CELL = SUBNETS
DOCKER_HOST = "unix:///var/run/docker.sock"
CUSTOMER_LABEL = "markitup.customer"
PASSWORD = "Abcdefg1"
AUTHOR = Actor("test", "test@estate.localhost")

FIRST_CUSTOMERS = f"""\
# Who has which instance.
customers:
  c-alder:
    subdomain: alder
    plan: team
    status: active
    cell: t-1
  c-birch:
    subdomain: birch
    plan: personal
    status: active
    cell: t-1
  c-cedar:
    subdomain: cedar
    plan: pro
    status: active
    cell: t-1
    domain: {CUSTOM_DOMAIN}
  c-dogwood:
    subdomain: dogwood
    plan: personal
    status: active
    cell: t-2
  c-elder:
    subdomain: elder
    plan: team
    status: active
    cell: t-2
  c-gone1:
    subdomain: gone1
    plan: personal
    status: purging
    cell: t-2
    delete_after: 2026-01-01
  c-gone2:
    subdomain: gone2
    plan: personal
    status: purging
    cell: t-2
    delete_after: 2026-01-01
  c-gone3:
    subdomain: gone3
    plan: personal
    status: purging
    cell: t-2
    delete_after: 2026-01-01
"""
LEAVING_TOGETHER = ("c-gone1", "c-gone2", "c-gone3")


@dataclass(frozen=True, kw_only=True)
class Estate:
    """A running environment and what tests do to it.

    Attributes:
        client: The Docker Engine that both cells are on.
        deployer: What is under test.
        target: What it works on.
        turns: Whose turn it is.
        settings_file: Its stack file.
        registry_file: Its registry, in a git repository of its own.
        ssh: The way to the second cell's Engine.
        said: What the deployer has told.
        zone_id: The domain at the local Cloudflare.
        endpoints: The local cloud.
        faults: Trouble to order from it.
    """

    client: docker.DockerClient
    deployer: Deployer
    target: Target
    turns: Turns
    settings_file: Path
    registry_file: Path
    ssh: SshServer
    zone_id: str
    endpoints: Endpoints
    faults: Faults
    store: Store
    said: list[str] = field(default_factory=list)

    @property
    def settings(self) -> Settings:
        """The settings as the file has them."""
        return read_settings(self.settings_file)

    def registry(self) -> RegistryStore:
        """Return the registry for editing."""
        return RegistryStore(self.registry_file, cells=self.settings.cells, domain=DOMAIN, clock=today)

    def edit(self, customer_id: str, operation: Callable[[str], str]) -> None:
        """Change the registry as the control service does."""
        done = self.registry().edit(
            lambda text, _: operation(text),
            Provenance(summary=f"Change {customer_id}", customer_id=customer_id, actor="test"),
        )
        assert done is not None, "the edit changed nothing"

    def head(self) -> str:
        """Return the registry's newest commit."""
        with Repo(self.registry_file.parent) as repo:
            return str(repo.head.commit.hexsha)

    def change(self, customer_id: str, **fields: object) -> None:
        """Change fields of one customer."""
        self.edit(customer_id, lambda text: edits.update(text, customer_id, **fields))

    def add(self, name: str, cell: str, plan: str = "personal") -> str:
        """Add a customer; return the id."""
        customer = Customer.model_validate({"subdomain": name, "plan": plan, "status": Status.ACTIVE, "cell": cell})
        self.edit(f"c-{name}", lambda text: edits.add(text, f"c-{name}", customer))
        return f"c-{name}"

    def remove(self, *customer_ids: str) -> None:
        """Take entries out of the registry."""
        for each in customer_ids:
            self.edit(each, lambda text, each=each: edits.remove(text, each, quarantine_until=date(2026, 1, 1)))

    def customers(self) -> Registry:
        """Return the registry."""
        return self.registry().read()

    @contextmanager
    def other_text(self, path: Path, text: str) -> Iterator[None]:
        """Put another text into a file for a while."""
        before = path.read_text()
        path.write_text(text)
        try:
            yield
        finally:
            path.write_text(before)

    def up(self, *cells: str, platform: bool = False, confirmed_removals: int = 0) -> dict[str, StackResult]:
        """Update; return the results by cell, the platform's under its stack's name. Failures are results."""
        with warnings.catch_warnings():
            # The SDK leaves the event loop of a program open that the engine did not let come to its end.
            warnings.simplefilter("ignore", ResourceWarning)
            results = self.deployer.up(cells, platform=platform, confirmed_removals=confirmed_removals)
            gc.collect()
        return {each.name.removeprefix(f"{ENVIRONMENT}-"): each for each in results}

    def apply(self, *cells: str, platform: bool = False, confirmed_removals: int = 0) -> dict[str, StackResult]:
        """Update; a failure ends the test."""
        results = self.up(*cells, platform=platform, confirmed_removals=confirmed_removals)
        assert {name: each.error for name, each in results.items() if each.error} == {}
        return results

    def container(self, customer_id: str) -> Container:
        """Return a customer's only container."""
        (found,) = self.containers(customer_id)
        return found

    def containers(self, customer_id: str) -> list[Container]:
        """Return a customer's containers, running or not."""
        label = [f"{CUSTOMER_LABEL}={customer_id}", STACK_LABEL]
        found = self.client.containers.list(all=True, filters={"label": label}, ignore_removed=True)
        return [each for each in found if is_ours(each.labels, ENVIRONMENT)]

    def ages(self) -> dict[str, tuple[str, str]]:
        """Return id and start time of every container of the estate, Caddies included, by name."""
        listed = self.client.containers.list(all=True, filters={"label": STACK_LABEL}, ignore_removed=True)
        found = [each for each in listed if is_ours(each.labels, ENVIRONMENT)]
        return {str(each.name): (str(each.id), each.attrs["State"]["StartedAt"]) for each in found}

    def has_volume(self, customer_id: str, cell: str) -> bool:
        """Whether a customer's data are there."""
        name = volume_name(cell, customer_id)
        return any(each.name == name for each in self.client.volumes.list(filters={"name": name}))

    def data_hash(self, customer_id: str, cell: str) -> str:
        """Return a digest of the files that the customer's users have written, and of the users."""
        volume = Path(self.client.volumes.get(volume_name(cell, customer_id)).attrs["Mountpoint"])
        digest = hashlib.sha256()
        for path in sorted((volume / "markdown").rglob("*.md")):
            digest.update(f"{path.relative_to(volume)}\0".encode() + path.read_bytes() + b"\0")
        sql = "select id, email, password_hash from users order by id; select id, content from notes order by id"
        argv = ["sqlite3", "-readonly", "-cmd", ".timeout 5000", "/app/markitup.db", sql]
        done = self.container(customer_id).exec_run(argv)
        assert done.exit_code == 0, done.output
        return hashlib.sha256(digest.digest() + done.output).hexdigest()

    def site(self, name: str, cell: str | None = None, **headers: str) -> Site:
        """Return a subdomain, or a whole host name, on its cell."""
        host = name if "." in name else f"{name}.{DOMAIN}"
        of = {entry.subdomain: entry.cell for entry in self.customers().customers.values()}
        cell = cell or of[name]
        return Site(host=host, port=self.settings.cells[cell].https_port, context=self.trust(cell), headers=headers)

    def trust(self, cell: str) -> ssl.SSLContext:
        """Return what trusts this cell's own certificate authority and nobody else."""
        return trust_of(self.client, f"{ENVIRONMENT}-{cell}")

    def user(self, name: str, email: str = "ann@example.org") -> Site:
        """Return an instance as one of its users sees it, who is signed up unless that was done before."""
        site = self.site(name)
        known = {"email": email, "password": PASSWORD}
        reply = site.post("/api/auth/login", known)
        if reply.status != 200:
            reply = site.post("/api/auth/signup", known | {"name": "Ann"})
        assert reply.status == 200, reply
        headers = {"Cookie": reply.headers["Set-Cookie"].split(";", 1)[0]}
        return Site(host=site.host, port=site.port, context=site.context, headers=headers)

    def can_sign_in(self, name: str, email: str = "ann@example.org") -> bool:
        """Whether the instance knows this user."""
        return self.site(name).post("/api/auth/login", {"email": email, "password": PASSWORD}).status == 200

    def records(self) -> dict[str, str]:
        """Return name to content of the zone's address records."""
        headers = {"Authorization": "Bearer test"}
        answer = httpx.get(f"{self.endpoints.cloudflare}/zones/{self.zone_id}/dns_records", headers=headers)
        answer.raise_for_status()
        return {each["name"]: each["content"] for each in answer.json()["result"] if each["type"] == "A"}

    def order(self, fault: Fault) -> None:
        """Let calls of the local cloud suffer."""
        self.faults.order(fault)


@contextmanager
def estate() -> Iterator[Estate]:
    """Bring everything up; take it all away at the end, whatever has happened.

    Only one at a time on a machine: names and subnets are fixed.
    """
    with ExitStack() as stack:
        stack.enter_context(FileLock(Path(tempfile.gettempdir()) / "hosting-test-estate.lock"))
        folder = Path(tempfile.mkdtemp(prefix="mku-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        client = docker.from_env(timeout=60)
        stack.callback(client.close)
        remove_from_engine(client, ENVIRONMENT)
        stack.callback(remove_from_engine, client, ENVIRONMENT)
        for cell, subnet in SUBNETS.items():
            network = CellNetwork.of(cell, subnet)
            rules = {"bridge": network.bridge, "subnet": network.subnet, "caddy_address": network.caddy_address}
            stack.callback(subprocess.run, firewall.remove(**rules), check=True, timeout=30)
            subprocess.run(firewall.apply(**rules), check=True, timeout=30)
        ssh = stack.enter_context(ssh_server(folder / "ssh"))
        endpoints = stack.enter_context(local_cloud(folder / "cloud"))
        store = Store(folder / "cloud" / STORE)
        stack.callback(store.close)
        made = _declare(folder, client, endpoints, ssh, store)
        port = int(made.settings.control_url.rsplit(":", 1)[-1])
        stack.enter_context(control_service(host_address(client), port, made.registry_file, made.settings))
        for noisy in ("grpc", "werkzeug"):  # one logs what the SDK leaves open, and so keeps it
            logger = logging.getLogger(noisy)
            stack.callback(logger.setLevel, logger.level)
            logger.setLevel(logging.CRITICAL)
        made.apply(*SUBNETS, platform=True)
        yield made


def _declare(folder: Path, client: docker.DockerClient, endpoints: Endpoints, ssh: SshServer, store: Store) -> Estate:
    """Write project, settings, secrets and registry; nothing is deployed yet."""
    engine = ensure_engine(_quiet)
    zone = httpx.post(f"{endpoints.cloudflare}/zones", json={"name": DOMAIN}, headers={"Authorization": "Bearer test"})
    zone.raise_for_status()
    zone_id = str(zone.json()["result"]["id"])
    registry = folder / "registry" / "customers.yaml"
    _write_registry(registry)
    settings_file = folder / f"Pulumi.{ENVIRONMENT}.yaml"
    ports = free_ports(5, host_address(client))
    config: dict[str, Any] = {
        "domain": DOMAIN,
        "registry": str(registry),
        "cells": _cells(ports, {LOCAL_CELL: DOCKER_HOST, SSH_CELL: ssh.docker_host}),
        "ssh_options": list(ssh.options),
        "image": ensure_markitup(client, _quiet),
        "proxy_image": ensure_caddy(client, build(CADDY, _quiet), _quiet),
        "tls": "internal",
        "control_url": f"http://{host_address(client)}:{ports[4]}",
        "zone_id": zone_id,
        "ssh_public_keys": [(folder / "ssh" / "client.pub").read_text().strip()],
        "hcloud_endpoint": endpoints.hetzner,
        "cloudflare_endpoint": endpoints.cloudflare,
        "publish_address": "127.0.0.1",
        "health_interval_seconds": 2,
        "health_start_interval_seconds": 0,
    }
    write_settings(settings_file, config)
    write_project(folder)
    variables = engine_variables(folder, settings_file, engine, endpoints)
    said: list[str] = []
    target = Target(
        environment=ENVIRONMENT, project=folder, settings_file=settings_file, variables=variables, pulumi=engine.pulumi
    )
    database = open_database(f"sqlite:///{folder / 'management.sqlite3'}")
    migrate(database)
    turns = Turns(database)
    deployer = Deployer(target, said.append, turns)
    deployer.ensure_stack(None)
    set_secrets(engine, folder, ENVIRONMENT, variables, cloud_secrets())
    return Estate(
        client=client,
        deployer=deployer,
        target=target,
        turns=turns,
        settings_file=settings_file,
        registry_file=registry,
        ssh=ssh,
        zone_id=zone_id,
        endpoints=endpoints,
        faults=Faults(store),
        store=store,
        said=said,
    )


def _write_registry(path: Path) -> None:
    path.parent.mkdir()
    path.write_text(FIRST_CUSTOMERS)
    (path.parent / ".gitignore").write_text(f".{path.name}.lock\n")
    with Repo.init(path.parent, initial_branch="main") as repo:
        repo.index.add([".gitignore", path.name])
        repo.index.commit("Start", author=AUTHOR, committer=AUTHOR)


def _cells(ports: Sequence[int], hosts: Mapping[str, str]) -> dict[str, Any]:
    return {
        name: {
            "region": "eu",
            "location": location,
            "server_types": ["cx43", "cpx42"],
            "subnet": SUBNETS[name],
            "docker_host": hosts[name],
            "http_port": http_port,
            "https_port": https_port,
        }
        for name, location, http_port, https_port in zip(SUBNETS, ("nbg1", "fsn1"), ports[:2], ports[2:4], strict=True)
    }


def today() -> date:
    """Return today's date, UTC."""
    return datetime.now(tz=UTC).date()


def _quiet(_: str) -> None:
    pass
