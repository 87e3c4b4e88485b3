"""The control service as in production, on this machine's Docker Engine: platform and control stack, no cell yet."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import docker
import httpx
import yaml
from docker.models.containers import Container

from components.labels import ROLE
from localcloud.build_context import build
from localcloud.serve import Endpoints
from tests.integration.control.registry_remote import push
from tests.integration.estate.https import Site
from tests.integration.estate.on_engine import STACK_LABEL, trust_of
from tests.integration.estate.ssh_server import SshServer
from webhook.deploy import Deployer, StackResult

ENVIRONMENT = "ctl"
STACK = f"{ENVIRONMENT}-control"
DOMAIN = "control.localhost"
DOCKER_HOST = "unix:///var/run/docker.sock"
NETWORK = "10.213.0.0/16"
PRIVATE_ADDRESS = "10.213.0.2"
"""Where the platform puts the control server in that network; this machine carries it for the time of the tests."""
CELL = "t-9"
ENTRY = "  c-{name}:\n    subdomain: {name}\n    plan: personal\n    status: active\n    cell: {cell}\n"
STATE = "state"
"""The bucket with the engine's state: on this machine and in the workers' container the same."""
WEBHOOK_SECRET = f"whsec_{secrets.token_hex(16)}"


@dataclass(frozen=True, kw_only=True)
class Premises:
    """A running control service.

    Attributes:
        client: The Docker Engine that it is on.
        deployer: What updates its stacks.
        settings_file: Its stack file.
        private_port: Where cells ask.
        https_port: Where visitors come.
        first: What the first update of the control stack came to.
        ssh: The way to this machine's Docker and to the registry.
        endpoints: The local cloud.
        at_the_end: Is told what to do once all containers are gone.
    """

    client: docker.DockerClient
    deployer: Deployer
    settings_file: Path
    https_port: int
    private_port: int
    first: StackResult
    ssh: SshServer
    endpoints: Endpoints
    at_the_end: Callable[..., object]

    def up(self) -> StackResult:
        """Update the control stack; a failure ends the test."""
        return applied(self.deployer, platform=False)

    @property
    def control(self) -> dict[str, Any]:
        """The settings of ``hosting:control``."""
        return yaml.safe_load(self.settings_file.read_text())["config"]["hosting:control"]

    def set(self, **changes: object) -> None:
        """Change settings of ``hosting:control``."""
        document = yaml.safe_load(self.settings_file.read_text())
        document["config"]["hosting:control"] |= changes
        self.settings_file.write_text(yaml.safe_dump(document, sort_keys=False))

    def ages(self) -> dict[str, tuple[str, str]]:
        """Return id and start time of each container by what it does."""
        return {name: (str(each.id), each.attrs["State"]["StartedAt"]) for name, each in self.containers().items()}

    def other_version(self, setting: str = "image") -> str:
        """Return another version of an image of the service, which has another label and nothing else."""
        present = str(self.control[setting])
        made = f"hosting-test/{setting.replace('_', '-')}:{secrets.token_hex(6)}"
        dockerfile = self.settings_file.with_name("Dockerfile")
        dockerfile.write_text(f"FROM {present}\nLABEL version={made}\n")
        build(self.client, made, {"Dockerfile": dockerfile}, arguments={})
        self.at_the_end(self.client.images.remove, made, force=True)
        return made

    def containers(self) -> dict[str, Container]:
        """Return the service's containers by what they do."""
        listed = self.client.containers.list(all=True, filters={"label": f"{STACK_LABEL}={STACK}"}, ignore_removed=True)
        found = {str(each.labels[ROLE]): each for each in listed}
        assert len(found) == len(listed), [each.name for each in listed]
        return found

    def merge(self, *names: str) -> None:
        """Push a registry with these customers, as a merged pull request is."""
        push(self.settings_file.with_name("registry.git"), registry(*names))

    def lend_clouds(self) -> None:
        """Let the worker reach the simulated providers: the engine looks for them on its own machine only."""
        port = self.endpoints.debug_providers.partition(":")[2].partition(",")[0]
        address = urlsplit(self.ssh.docker_host)
        argv = ["ssh", "-N", "-L", f"{port}:127.0.0.1:{port}", "-p", str(address.port), f"root@{address.hostname}"]
        self.containers()["worker"].exec_run(argv, detach=True)

    def instances(self) -> dict[str, str]:
        """Return each customer's container's state of health."""
        label = [f"{STACK_LABEL}={ENVIRONMENT}-{CELL}", "markitup.customer"]
        listed = self.client.containers.list(all=True, filters={"label": label}, ignore_removed=True)
        found = {str(each.labels["markitup.customer"]): each.attrs["State"] for each in listed}
        return {name: state.get("Health", {}).get("Status", "not started") for name, state in found.items()}

    def site(self, host: str = f"portal.{DOMAIN}") -> Site:
        """Return one of the shared host names as a visitor reaches it."""
        return Site(host=host, port=self.https_port, context=trust_of(self.client, STACK))

    def ask(self, path: str) -> httpx.Response:
        """Ask as a cell does, at the private address."""
        return httpx.get(f"http://{PRIVATE_ADDRESS}:{self.private_port}{path}", timeout=20)

    def query(self, sql: str, database: str = "hosting") -> list[list[str]]:
        """Ask Postgres; return rows of texts."""
        argv = ["psql", "-U", "hosting", "-d", database, "-v", "ON_ERROR_STOP=1", "-Atc", sql]
        code, output = self.containers()["database"].exec_run(argv)
        assert code == 0, output
        return [line.split("|") for line in output.decode().splitlines()]


def registry(*names: str) -> str:
    """Return a registry with these customers."""
    return "customers:\n" + "".join(ENTRY.format(name=name, cell=CELL) for name in names)


def applied(deployer: Deployer, *, platform: bool) -> StackResult:
    """Update the control stack, and the platform before it if asked; a failure ends the test."""
    results = deployer.up(["control"], platform=platform)
    errors = {each.name: each.error for each in results if each.error}
    assert errors == {}, errors
    return results[-1]
