"""Fixtures for the tests of the images."""

from __future__ import annotations

import uuid
from contextlib import ExitStack
from typing import TYPE_CHECKING

import docker
import pytest

from localcloud.images import ensure_markitup, ensure_tenant
from tests.integration.images.yard import Yard

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docker.models.networks import Network


@pytest.fixture(scope="module")
def client() -> Iterator[docker.DockerClient]:
    """Connect to the Engine."""
    connected = docker.from_env()
    yield connected
    connected.close()


@pytest.fixture(scope="module")
def network(client: docker.DockerClient) -> Iterator[Network]:
    """Make a network of these tests' own."""
    made = client.networks.create(f"test-{uuid.uuid4().hex[:12]}")
    yield made
    made.remove()


@pytest.fixture
def yard(client: docker.DockerClient, network: Network) -> Iterator[Yard]:
    """Give a test its containers, volumes and images, and take them away after it."""
    with ExitStack() as stack:
        yield Yard(client=client, network=network, stack=stack)


@pytest.fixture(scope="module")
def markitup(client: docker.DockerClient) -> str:
    """Make the stand-in."""
    return ensure_markitup(client, lambda _: None)


@pytest.fixture(scope="module")
def tenant(client: docker.DockerClient, markitup: str) -> str:
    """Make the tenant image of the stand-in."""
    return ensure_tenant(client, markitup, lambda _: None)
