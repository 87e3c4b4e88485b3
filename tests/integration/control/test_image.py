"""The control service's image: an ordinary user, nothing to write to, and all programs that its workers run."""

from __future__ import annotations

from collections.abc import Iterator

import docker
import pytest
from docker.models.containers import Container

from engine.install import ensure_engine
from engine.modules import ENGINE_VERSION, PLUGINS
from tests.integration.control.launch import control_image

LARGEST_MIB = 850
"""Of which the engine and its plugins are 280, Python's packages 280; a cell's server pulls none of it."""
TMPFS = {"/tmp": "rw,noexec,nosuid", "/home/hosting": "rw,nosuid,mode=0700,uid=1200,gid=1200"}


@pytest.fixture(scope="module")
def image() -> str:
    """Build it, or find that it is there."""
    client = docker.from_env(timeout=600)
    try:
        return control_image(client, ensure_engine(lambda _: None))
    finally:
        client.close()


@pytest.fixture(scope="module")
def container(image: str) -> Iterator[Container]:
    """A container as the control stack runs it, in which nothing happens by itself."""
    client = docker.from_env(timeout=60)
    made = client.containers.run(
        image,
        ["sleep", "300"],
        detach=True,
        init=True,
        read_only=True,
        tmpfs=TMPFS,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        network_mode="none",
    )
    yield made
    made.remove(force=True, v=True)
    client.close()


def run(container: Container, *argv: str) -> tuple[int, str]:
    """Run a program; return its exit code and output."""
    code, output = container.exec_run(list(argv))
    return int(code), output.decode().strip()


def test_it_is_an_ordinary_user(container: Container) -> None:
    """Who can write to nothing of the image, not even where nothing is mounted read-only."""
    assert run(container, "id", "-u") == (0, "1200")
    own = "find / -xdev -user 1200 -not -path /home/hosting -not -path /srv/hosting 2>/dev/null; true"
    assert run(container, "sh", "-c", own) == (0, "")
    assert run(container, "touch", "/app/x")[0] != 0


def test_the_engine_runs(container: Container) -> None:
    """The pinned one, with the plugins for Docker and Hetzner, without a look for updates or downloads."""
    assert run(container, "pulumi", "version") == (0, f"v{ENGINE_VERSION.removeprefix('v')}")
    for name in PLUGINS:
        assert run(container, f"pulumi-resource-{name}", "--version")[0] == 0
    assert run(container, "sh", "-c", "command -v pulumi-language-python pulumi-language-python-exec")[0] == 0


@pytest.mark.parametrize("program", ["webhook.app", "webhook.worker", "stacks.cell", "scripts.cli"])
def test_the_code_is_there(container: Container, program: str) -> None:
    """With every package that it imports: web, workers, what they declare, the operators' commands."""
    assert run(container, "python", "-c", f"import {program}") == (0, "")


def test_what_other_programs_do_is_there(container: Container) -> None:
    """Git and ssh for the registry and the cells, Postgres' own programs for the backups; no package installer."""
    assert run(container, "sh", "-c", "git --version && ssh -V && pg_dump --version && pg_restore --version")[0] == 0
    assert run(container, "python", "-m", "pip", "--version")[0] != 0


def test_nothing_healthy_is_said_of_what_does_not_answer(container: Container) -> None:
    """The image's own health check fails where no web process listens."""
    config = container.image.attrs["Config"] if container.image is not None else {}
    kind, *argv = config["Healthcheck"]["Test"]
    assert kind == "CMD"
    assert run(container, *argv)[0] == 1


def test_it_has_a_sane_size(container: Container) -> None:
    """A new version is pulled while the old one serves."""
    assert container.image is not None
    assert container.image.attrs["Size"] < LARGEST_MIB * 1024 * 1024
