"""A running Hetzner Cloud of a laptop, and clients of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from flask import Flask
from hcloud import Client
from hcloud.images import Image
from hcloud.locations import Location
from hcloud.networks import BoundNetwork, NetworkSubnet
from hcloud.server_types import ServerType
from hcloud.servers import BoundServer
from werkzeug.serving import make_server

from localcloud.faults import Faults
from localcloud.hetzner.app import hetzner_blueprint
from localcloud.store import Store

TOKEN = "a" * 64
NBG1 = Location(name="nbg1")


class Clock:
    """The real time, and what a test skipped."""

    def __init__(self) -> None:
        self.skipped = 0.0

    def __call__(self) -> float:
        return time.time() + self.skipped


class Laptop:
    """A running cloud.

    Attributes:
        slow: The API on another port, where an action takes a minute and an hour has three calls.
    """

    def __init__(self, path: Path) -> None:
        self.store = Store(path)
        self.faults = Faults(self.store)
        self.clock = Clock()
        quick = hetzner_blueprint(self.store, self.faults, self.clock, action_seconds=0.02)
        slow = hetzner_blueprint(self.store, self.faults, self.clock, action_seconds=60, rate_limit_per_hour=3)
        slow.name = "slow"
        app = Flask("laptop")
        app.register_blueprint(quick, url_prefix="/hetzner/v1")
        app.register_blueprint(slow, url_prefix="/slow/v1")
        self.server = make_server("127.0.0.1", 0, app, threaded=True)
        self.root = f"http://127.0.0.1:{self.server.server_port}"
        self.client = Client(TOKEN, api_endpoint=f"{self.root}/hetzner/v1", poll_interval=0.01)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def call(
        self, method: str, path: str, body: Any = None, *, token: str = TOKEN, slow: bool = False
    ) -> httpx.Response:
        """Make one call without the client's retries."""
        url = f"{self.root}/{'slow' if slow else 'hetzner'}/v1{path}"
        return httpx.request(method, url, json=body, headers={"Authorization": f"Bearer {token}"}, timeout=10)

    def order(self, name: str = "cell-1", **others: Any) -> BoundServer:
        """Order a server and wait for it."""
        arguments = {"server_type": ServerType(name="cx43"), "image": Image(name="debian-12"), "location": NBG1}
        response = self.client.servers.create(name=name, **{**arguments, **others})
        for action in (response.action, *response.next_actions):
            action.wait_until_finished()
        return self.client.servers.get_by_id(response.server.id)

    def network(self) -> BoundNetwork:
        """Create a network with a subnet in Europe."""
        subnet = NetworkSubnet(ip_range="10.0.0.0/24", type="cloud", network_zone="eu-central")
        return self.client.networks.create(name="net", ip_range="10.0.0.0/16", subnets=[subnet])


@pytest.fixture
def laptop(tmp_path: Path) -> Iterator[Laptop]:
    """Return a running cloud."""
    cloud = Laptop(tmp_path / "cloud.sqlite")
    yield cloud
    cloud.server.shutdown()
    cloud.server.server_close()
    cloud.store.close()
