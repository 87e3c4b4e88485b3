"""The roots of the demo's own certificate authorities, one a cell, so that clients can check what they see."""

from __future__ import annotations

import io
import tarfile

import docker
from docker.models.containers import Container

from components.labels import PROXY, ROLE
from demo.places import CA
from stacks.names import StackName

ROOT = "/data/caddy/pki/authorities/local/root.crt"


def write_ca_bundle(client: docker.DockerClient) -> None:
    """Write the roots of both cells into one file."""
    containers = client.containers.list(filters={"label": f"{ROLE}={PROXY}"})
    roots = [_root(each) for each in containers if StackName.parse(each.labels["markitup.stack"]).environment == "demo"]
    CA.write_bytes(b"".join(sorted(roots)))


def _root(container: Container) -> bytes:
    stream, _ = container.get_archive(ROOT)
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
        content = archive.extractfile("root.crt")
        assert content is not None  # noqa: S101 - it is a file
        return content.read()
