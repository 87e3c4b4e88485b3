"""The control service of the estate, in a thread, where the containers reach it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from ipaddress import IPv4Network
from pathlib import Path

import docker
from werkzeug.serving import make_server

from stacks.settings import Settings
from webhook.app import create_app
from webhook.registry_view import RegistryView


@contextmanager
def control_service(address: str, port: int, registry: Path, settings: Settings) -> Iterator[None]:
    """Serve Caddy's questions."""
    view = RegistryView(
        registry, cells=settings.cells, domain=settings.domain, clock=lambda: datetime.now(tz=UTC).date()
    )
    server = make_server(address, port, create_app(view), threaded=True)
    thread = threading.Thread(target=server.serve_forever, name="control-service")
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def host_address(client: docker.DockerClient) -> str:
    """Return the host's address on Docker's default bridge: every container reaches it, nobody outside does."""
    pool = client.networks.get("bridge").attrs["IPAM"]["Config"][0]
    return str(pool.get("Gateway") or next(IPv4Network(pool["Subnet"]).hosts()))
