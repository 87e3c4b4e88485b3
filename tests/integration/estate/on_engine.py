"""What an environment has on the Docker Engine: whose it is, whom its Caddies vouch for, and taking it away."""

from __future__ import annotations

import io
import random
import socket
import ssl
import tarfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack

import docker
from docker.errors import DockerException

from components.labels import PROXY, ROLE

STACK_LABEL = "markitup.stack"
UNASSIGNED = (15_000, 32_000)
"""Linux gives away 32768 and up (ip_local_port_range)."""
ROOT = "/data/caddy/pki/authorities/local/root.crt"


def trust_of(client: docker.DockerClient, stack: str) -> ssl.SSLContext:
    """Return what trusts the own certificate authority of a stack's Caddy and nobody else."""
    (caddy,) = client.containers.list(filters={"label": [f"{ROLE}={PROXY}", f"{STACK_LABEL}={stack}"]})
    stream, _ = caddy.get_archive(ROOT)
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
        content = archive.extractfile("root.crt")
        assert content is not None
        return ssl.create_default_context(cadata=content.read().decode())


def free_ports(count: int, address: str) -> list[int]:
    """Return ports that are free on this machine's own address and on the containers' side.

    They are below those that the kernel gives away by itself: between now and the Engine's use of them, an update's
    own servers and clients would get one.
    """
    with ExitStack() as stack:
        found: list[int] = []
        while len(found) < count:
            port = random.randrange(*UNASSIGNED)
            try:
                for place in {"127.0.0.1", address}:
                    stack.enter_context(socket.create_server((place, port)))
            except OSError:
                continue
            found.append(port)
        return found


def remove_from_engine(client: docker.DockerClient, environment: str) -> None:
    """Remove whatever carries an environment's label; go on where one of it refuses, and say so at the end."""
    ours = {"label": STACK_LABEL}
    refusals: list[DockerException] = []

    def attempt(remove: Callable[..., object], **how: object) -> None:
        try:
            remove(**how)
        except DockerException as error:
            refusals.append(error)

    for container in client.containers.list(all=True, filters=ours):
        if is_ours(container.labels, environment):
            attempt(container.remove, force=True, v=True)
    for network in client.networks.list(filters=ours):
        if is_ours(network.attrs["Labels"], environment):
            attempt(network.remove)
    for volume in client.volumes.list(filters=ours):
        if is_ours(volume.attrs["Labels"] or {}, environment):
            attempt(volume.remove)
    if refusals:
        raise ExceptionGroup("the Engine keeps some of the environment", refusals)


def is_ours(labels: Mapping[str, str], environment: str) -> bool:
    """Whether something belongs to an environment."""
    return labels.get(STACK_LABEL, "").partition("-")[0] == environment
