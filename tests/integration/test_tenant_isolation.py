"""Who reaches whom on a tenants network: real containers, a real bridge, the script that servers run.

The rest of the world is one network namespace behind a veth pair. Only packets that come from the test's bridge
are routed there, so its addresses (the metadata address among them) stay what they are for everyone else.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container
from docker.models.networks import Network
from docker.types import IPAMConfig, IPAMPool
from filelock import FileLock

from host import firewall
from localcloud.images import ensure_base

BRIDGE = "mku-t1"
SUBNET = "172.30.250.0/24"
GATEWAY = "172.30.250.1"
CADDY = "172.30.250.2"
OUTSIDE = "mku-t1-out"
ROUTES = "9250"
METADATA = "169.254.169.254"
PRIVATE = ("10.77.0.9", "172.20.77.9", "192.168.77.9", "100.64.77.9", "198.18.77.9")
PUBLIC = "203.0.113.77"
UPLINK, UPLINK_PEER = "198.51.100.249", "198.51.100.250"

# Each line that it prints tells the test that one more port listens.
SERVE = """
import http.server, sys, threading
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"outside")
    def log_message(self, *_): pass
for port in map(int, sys.argv[1:]):
    server = http.server.ThreadingHTTPServer(("0.0.0.0", port), Handler)
    threading.Thread(target=server.serve_forever).start()
    print(port, flush=True)
"""


def run(*argv: str) -> str:
    """Run a command; fail with what it said."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{argv}: {done.stderr}"
    return done.stdout


class World:
    """The containers of the test, what surrounds them, and the rules."""

    def __init__(self, tenants: Sequence[Container], caddy: Container) -> None:
        self.tenant, self.neighbour = tenants
        self.caddy = caddy
        self.neighbour_address = address_of(self.neighbour)

    @contextmanager
    def rules(self) -> Iterator[None]:
        run(*firewall.apply(bridge=BRIDGE, subnet=SUBNET, caddy_address=CADDY))
        try:
            yield
        finally:
            run(*firewall.remove(bridge=BRIDGE, subnet=SUBNET, caddy_address=CADDY))


def address_of(container: Container) -> str:
    container.reload()
    (network,) = container.attrs["NetworkSettings"]["Networks"].values()
    return network["IPAddress"]


def fetch(source: Container, address: str, port: int) -> str | None:
    """Return what a container gets from an HTTP server, or None if it reaches none within 2 s."""
    # Not with busybox's wget: in the base image it ends with a segmentation fault.
    ask = r"printf 'GET / HTTP/1.0\r\n\r\n' | busybox nc -w 2 $0 $1"
    _, output = source.exec_run(["sh", "-c", ask, address, str(port)])
    header, _, body = output.decode().replace("\r\n", "\n").partition("\n\n")
    return body if " 200 " in header else None


def serving(client: docker.DockerClient, image: str, network: Network, name: str, address: str | None) -> Container:
    """Start a container whose HTTP servers on the ports 3000 and 2019 answer with its name."""
    script = (
        f"mkdir /tmp/w && echo -n {name} > /tmp/w/index.html"
        " && busybox httpd -p 2019 -h /tmp/w && exec busybox httpd -f -p 3000 -h /tmp/w"
    )
    container = client.containers.create(
        image,
        ["sh", "-c", script],
        name=f"{BRIDGE}-{name}",
        cap_drop=["ALL"],
        init=True,
        network=network.name,
        networking_config={BRIDGE: client.api.create_endpoint_config(ipv4_address=address)},
    )
    container.start()
    return container


@contextmanager
def outside_world() -> Iterator[None]:
    """A namespace that owns the metadata address, private addresses and a public one; ports 25 and 8080 answer."""
    addresses = (METADATA, *PRIVATE, PUBLIC)
    with ExitStack() as stack:
        run("ip", "netns", "add", OUTSIDE)
        stack.callback(run, "ip", "netns", "delete", OUTSIDE)
        run("ip", "link", "add", f"{BRIDGE}-up", "type", "veth", "peer", "name", "up", "netns", OUTSIDE)
        run("ip", "address", "add", f"{UPLINK}/32", "peer", f"{UPLINK_PEER}/32", "dev", f"{BRIDGE}-up")
        run("ip", "link", "set", f"{BRIDGE}-up", "up")
        inside = ("ip", "-n", OUTSIDE)
        run(*inside, "address", "add", f"{UPLINK_PEER}/32", "peer", f"{UPLINK}/32", "dev", "up")
        for address in addresses:
            run(*inside, "address", "add", f"{address}/32", "dev", "up")
            run("ip", "route", "add", address, "via", UPLINK_PEER, "dev", f"{BRIDGE}-up", "table", ROUTES)
        run(*inside, "link", "set", "dev", "up", "up")
        run("ip", "rule", "add", "iif", BRIDGE, "lookup", ROUTES)
        stack.callback(run, "ip", "rule", "delete", "iif", BRIDGE, "lookup", ROUTES)
        server = subprocess.Popen(
            ["ip", "netns", "exec", OUTSIDE, sys.executable, "-c", SERVE, "25", "8080"],
            stdout=subprocess.PIPE,
            text=True,
        )
        stack.callback(server.wait)
        stack.callback(server.kill)
        assert server.stdout is not None
        stack.enter_context(server.stdout)
        assert [server.stdout.readline().strip() for _ in range(2)] == ["25", "8080"]
        yield


class _Host(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"host")

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


@contextmanager
def host_listener() -> Iterator[None]:
    """A server of the machine itself on the bridge's gateway address, port 9100 (a metrics exporter, say)."""
    with ThreadingHTTPServer((GATEWAY, 9100), _Host) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module", params=["icc-off", "icc-on"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """Two tenants and a Caddy on a bridge of their own; the rules must do, with or without Docker's own switch."""
    client = docker.from_env()
    image = ensure_base(client, print)
    with ExitStack() as stack:
        stack.callback(client.close)
        # The bridge's name and addresses exist once a machine.
        stack.enter_context(FileLock(Path(tempfile.gettempdir()) / f"{BRIDGE}.lock"))
        network = client.networks.create(
            BRIDGE,
            driver="bridge",
            options={
                "com.docker.network.bridge.name": BRIDGE,
                "com.docker.network.bridge.enable_icc": "false" if request.param == "icc-off" else "true",
            },
            ipam=IPAMConfig(pool_configs=[IPAMPool(subnet=SUBNET, gateway=GATEWAY, iprange="172.30.250.128/25")]),
        )
        stack.callback(network.remove)
        containers = []
        for name, address in (("caddy", CADDY), ("a", None), ("b", None)):
            container = serving(client, image, network, name, address)
            stack.callback(container.remove, force=True)
            containers.append(container)
        stack.enter_context(outside_world())
        stack.enter_context(host_listener())
        caddy, *tenants = containers
        yield World(tenants, caddy)


def everything_forbidden(world: World) -> dict[str, str | None]:
    """Return what a tenant gets from each place that is none of its business."""
    places = [(address, 8080) for address in (METADATA, *PRIVATE)]
    places += [(PUBLIC, 25), (GATEWAY, 9100), (CADDY, 3000), (CADDY, 2019), (world.neighbour_address, 3000)]
    return {f"{address}:{port}": fetch(world.tenant, address, port) for address, port in places}


def rules_of_bridge() -> list[str]:
    """Return every rule and chain of ours, in both families."""
    lines = "".join(run(command, "-t", "filter") for command in ("iptables-save", "ip6tables-save")).splitlines()
    ours = re.compile(rf".*MKU-(FWD|IN)-t1.*|-A (FORWARD|INPUT) -[io] {BRIDGE} -j DROP")
    return [line for line in lines if ours.fullmatch(line)]


def test_without_the_rules_a_tenant_reaches_what_it_should_not(world: World) -> None:
    """The control: metadata, private ranges, the host and mail servers answer; so the refusals below mean something."""
    reached = everything_forbidden(world)
    within = {f"{CADDY}:3000", f"{CADDY}:2019", f"{world.neighbour_address}:3000"}
    assert None not in {answer for place, answer in reached.items() if place not in within}, reached
    assert {reached[place] for place in within} in ({None}, {"caddy", "b"})


def test_a_tenant_reaches_nothing_but_the_public_internet(world: World) -> None:
    """With the rules: no metadata, private range, host, Caddy, neighbour or mail server; the internet as before."""
    with world.rules():
        reached = everything_forbidden(world)
        assert set(reached.values()) == {None}, reached
        assert fetch(world.tenant, PUBLIC, 8080) == "outside"


def test_caddy_and_the_server_reach_tenants(world: World) -> None:
    """Caddy gets tenants' pages through the rules; the server itself can ask a tenant, and hears the answer."""
    with world.rules():
        assert fetch(world.caddy, address_of(world.tenant), 3000) == "a"
        assert fetch(world.caddy, world.neighbour_address, 3000) == "b"
        with urllib.request.urlopen(f"http://{world.neighbour_address}:3000/", timeout=2) as answer:
            assert answer.read() == b"b"


def test_only_caddys_address_reaches_tenants(world: World) -> None:
    """The rules go by the address that they are given: with another one, Caddy is refused like anybody."""
    place = {"bridge": BRIDGE, "subnet": SUBNET, "caddy_address": "172.30.250.3"}
    run(*firewall.apply(**place))
    try:
        assert fetch(world.caddy, address_of(world.tenant), 3000) is None
    finally:
        run(*firewall.remove(**place))


def test_rules_are_added_once_and_removed_entirely(world: World) -> None:
    """A second `apply` changes nothing; `remove` leaves no chain and no rule, and may be run again."""
    assert rules_of_bridge() == []
    with world.rules():
        once = rules_of_bridge()
        assert len(once) > 20
        run(*firewall.apply(bridge=BRIDGE, subnet=SUBNET, caddy_address=CADDY))
        assert rules_of_bridge() == once
    assert rules_of_bridge() == []
    run(*firewall.remove(bridge=BRIDGE, subnet=SUBNET, caddy_address=CADDY))
