"""Certificates of custom domains, by ACME from a real server to the very Caddy that the cells run."""

from __future__ import annotations

import io
import socket
import ssl
import tarfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Network
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import docker
import pytest
from cryptography import x509
from flask import Flask, Response, request
from werkzeug.serving import make_server

from edge.caddyfile import EdgeSettings, caddyfile, fallback_page
from engine.go import build
from engine.modules import CADDY
from localcloud.images import ensure_caddy
from tests.integration.acme import LONG, Pebble, free_ports, pebble, server_certificate
from tests.integration.images.yard import Yard, wait_for

if TYPE_CHECKING:
    from docker.models.containers import Container

KNOWN, OTHER, UNKNOWN = "wiki.example.com", "notes.example.com", "stranger.example.com"
PRODUCT = "markitup.example"
TOKEN = "0123456789abcdefghijABCDEFGHIJ0123456789"
"""In the form of a Cloudflare token: the wildcard certificate can't be had here, and nobody waits for it."""
ISSUE_SECONDS = 30.0
SHORT = 24
"""Seconds that a certificate is valid which is to be renewed: for Caddy one so short is always about to end."""


class Control:
    """Answers Caddy's questions, and remembers them."""

    def __init__(self) -> None:
        self.known = {KNOWN, OTHER}
        self.asked: Counter[tuple[str, str]] = Counter()
        self.told: list[str] = []
        self.app = Flask("control")
        self.app.add_url_rule("/internal/ask", view_func=self._ask)
        self.app.add_url_rule("/internal/placard", view_func=self._placard)

    def _ask(self) -> Response:
        domain = request.args["domain"]
        self.asked[request.args["cell"], domain] += 1
        return Response(status=200 if domain in self.known else 404)

    def _placard(self) -> Response:
        self.told += [*(name for name, _ in request.headers), request.get_data(as_text=True)]
        return Response(f"placard of {request.args['host']}", status=503)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A cell's Caddy, the authority that it asks, and the control service that it asks first."""

    caddy: Container
    authority: Pebble
    control: Control
    control_server: ExitStack
    https_port: int

    def shake_hands(self, domain: str) -> x509.Certificate:
        """Open a connection as a browser does; return the certificate. Raises OSError where there is none."""
        context = ssl.create_default_context(cadata=self.authority.root())
        with (
            socket.create_connection(("127.0.0.1", self.https_port), timeout=ISSUE_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=domain) as secured,
        ):
            certificate = secured.getpeercert(binary_form=True)
        assert certificate is not None
        return x509.load_der_x509_certificate(certificate)

    def page(self, domain: str, method: str = "GET", more: str = "\r\n") -> str:
        """Return the whole answer to a request for the front page; ``more`` are headers, a blank line and a body."""
        context = ssl.create_default_context(cadata=self.authority.root())
        with (
            socket.create_connection(("127.0.0.1", self.https_port), timeout=ISSUE_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=domain) as secured,
        ):
            request_ = f"{method} / HTTP/1.1\r\nHost: {domain}\r\nConnection: close\r\n{more}"
            secured.sendall(request_.encode())
            return b"".join(iter(lambda: secured.recv(65536), b"")).decode()

    def is_up(self) -> bool:
        """Whether Caddy answers on its published port."""
        try:
            with socket.create_connection(("127.0.0.1", self.https_port), timeout=1) as plain:
                context = ssl.create_default_context()
                context.wrap_socket(plain, server_hostname=f"up.{PRODUCT}").close()
        except ssl.SSLEOFError:
            return False  # Docker listens already, Caddy doesn't
        except ssl.SSLError:
            return True  # there is no certificate for that name, and it was Caddy who said so
        except OSError:
            return False
        return True

    def wanted(self, domain: str) -> bool:
        """Whether Caddy ever set out to get a certificate for a domain."""
        return f'"obtaining certificate","identifier":"{domain}"' in self.caddy.logs().decode()

    def restart(self) -> None:
        """Restart the container."""
        self.caddy.restart(timeout=10)
        wait_for("Caddy answers again", self.is_up, seconds=ISSUE_SECONDS)


@pytest.fixture(scope="module")
def client() -> Iterator[docker.DockerClient]:
    connected = docker.from_env()
    yield connected
    connected.close()


@pytest.fixture(scope="module")
def image(client: docker.DockerClient) -> str:
    return ensure_caddy(client, build(CADDY, print), print)


@pytest.fixture
def yard(client: docker.DockerClient) -> Iterator[Yard]:
    with ExitStack() as stack:
        network = client.networks.create(f"test-{uuid.uuid4().hex[:12]}")
        stack.callback(network.remove)
        network.reload()
        yield Yard(client=client, network=network, stack=stack)


@pytest.fixture
def cell(yard: Yard, image: str, tmp_path: Path) -> Iterator[Cell]:
    with running_cell(yard, image, tmp_path) as made:
        yield made


@contextmanager
def running_cell(yard: Yard, image: str, folder: Path, *, seconds: int = LONG, **more: object) -> Iterator[Cell]:
    """Run a cell's Caddy as the estate does, on published ports, with the rendered configuration."""
    gateway = gateway_of(yard)
    http_port, https_port = free_ports(2)
    control = Control()
    with ExitStack() as stack:
        control_server = stack.enter_context(ExitStack())
        port = control_server.enter_context(served(control.app, gateway))
        authority = stack.enter_context(
            pebble(folder / "acme", address=gateway, http_port=http_port, https_port=https_port, seconds=seconds)
        )
        settings = EdgeSettings(
            cell="eu-1",
            domain=PRODUCT,
            tls="cloudflare",
            control_url=f"http://{gateway}:{port}",
            acme_email="ops@example.org",
            acme_directory=authority.directory,
            acme_root="/etc/caddy/acme-root.pem",
        )
        caddy = created(yard, image, settings, authority.server_root, ports={80: http_port, 443: https_port}, **more)
        caddy.start()
        made = Cell(
            caddy=caddy,
            authority=authority,
            control=control,
            control_server=control_server,
            https_port=https_port,
        )
        wait_for("Caddy answers", made.is_up, seconds=ISSUE_SECONDS)
        yield made


def gateway_of(yard: Yard) -> str:
    """Return this machine's address on the test's network."""
    pool = yard.network.attrs["IPAM"]["Config"][0]
    return str(pool.get("Gateway") or next(IPv4Network(pool["Subnet"]).hosts()))


def created(
    yard: Yard, image: str, settings: EdgeSettings, root: str, *, ports: dict[int, int], **more: object
) -> Container:
    """Create Caddy's container, hardened as in a cell, its configuration inside and its certificates on a volume."""
    container = yard.create(
        image,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        tmpfs={"/tmp": "rw,noexec,nosuid,size=16m", "/run/caddy": "rw,noexec,nosuid,size=1m", "/config": "rw,size=4m"},
        environment={"CLOUDFLARE_API_TOKEN": TOKEN},
        volumes=[f"{yard.volume()}:/data"],
        ports={f"{inside}/tcp": ("127.0.0.1", outside) for inside, outside in ports.items()},
        **more,
    )
    files = {"Caddyfile": caddyfile(settings), "fallback.html": fallback_page(), "acme-root.pem": root}
    container.put_archive("/etc/caddy", _archive(files))
    return container


@contextmanager
def served(app: Flask, address: str) -> Iterator[int]:
    """Serve an application on an address of this machine; yield the port."""
    server = make_server(address, 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="control")
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _archive(files: dict[str, str]) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content.encode()), 0o644
            archive.addfile(entry, io.BytesIO(content.encode()))
    return target.getvalue()


def test_a_custom_domain_gets_a_certificate_on_first_use(cell: Cell) -> None:
    """The first visitor of a known domain waits for its certificate, the next one doesn't, each domain has its own."""
    certificate = cell.shake_hands(KNOWN)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [KNOWN]
    assert cell.control.asked["eu-1", KNOWN] >= 1
    assert cell.authority.looked_up(KNOWN) >= 1
    assert cell.authority.issued() == 1
    assert cell.shake_hands(KNOWN).serial_number == certificate.serial_number
    assert cell.authority.issued() == 1
    assert cell.shake_hands(OTHER).serial_number != certificate.serial_number
    assert cell.authority.issued() == 2
    page = cell.page(KNOWN)
    assert page.startswith("HTTP/1.1 503 ")
    assert f"placard of {KNOWN}" in page


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_of_a_request_that_nobody_answers_only_the_name_goes_on(cell: Cell, method: str) -> None:
    """To the control service: no session of the customer's wiki and no note; and whatever was asked, it is away."""
    body = "" if method == "GET" else "note"
    headers = f"Cookie: session=theirs\r\nAuthorization: Bearer theirs\r\nContent-Length: {len(body)}\r\n"
    page = cell.page(KNOWN, method, f"{headers}\r\n{body}")
    assert page.startswith("HTTP/1.1 503 ")
    assert f"placard of {KNOWN}" in page
    assert not {"Cookie", "Authorization", "note"}.intersection(cell.control.told)


def test_an_unknown_domain_is_refused_before_the_authority_hears_of_it(cell: Cell) -> None:
    """The control service says no: the handshake ends, nothing is ordered, and known domains are served on."""
    for _ in range(2):
        with pytest.raises(ssl.SSLError, match=r"(?i)alert"):
            cell.shake_hands(UNKNOWN)
    assert cell.control.asked["eu-1", UNKNOWN] >= 1
    assert cell.shake_hands(KNOWN)
    assert cell.authority.looked_up(UNKNOWN) == 0
    assert cell.wanted(KNOWN)
    assert not cell.wanted(UNKNOWN)
    assert cell.authority.issued() == 1
    cell.control.known.add(UNKNOWN)
    assert cell.shake_hands(UNKNOWN)
    assert cell.authority.looked_up(UNKNOWN) >= 1


def test_without_the_control_service_nothing_is_ordered(cell: Cell) -> None:
    """While nobody answers Caddy's question no certificate is asked for; one that is there is served on."""
    before = cell.shake_hands(KNOWN).serial_number
    cell.control_server.close()
    with pytest.raises(ssl.SSLError, match=r"(?i)alert"):
        cell.shake_hands(OTHER)
    assert cell.authority.looked_up(OTHER) == 0
    assert not cell.wanted(OTHER)
    assert cell.shake_hands(KNOWN).serial_number == before


def test_certificates_survive_a_restart(cell: Cell) -> None:
    """After a restart the same certificate is served from the volume, and none is ordered."""
    before = cell.shake_hands(KNOWN).serial_number
    lookups = cell.authority.looked_up(KNOWN)
    cell.restart()
    assert cell.shake_hands(KNOWN).serial_number == before
    assert cell.authority.issued() == 1
    assert cell.authority.looked_up(KNOWN) == lookups


def test_certificates_are_renewed_while_they_serve(yard: Yard, image: str, tmp_path: Path) -> None:
    """Before a certificate ends another takes its place; no visitor meets an error or an outdated one."""
    with running_cell(yard, image, tmp_path, seconds=SHORT) as cell:
        served_ones = [cell.shake_hands(KNOWN)]
        deadline = time.monotonic() + 3 * SHORT
        while len(served_ones) < 3:
            assert time.monotonic() < deadline, cell.authority.text()
            time.sleep(0.5)
            certificate = cell.shake_hands(KNOWN)
            if certificate.serial_number != served_ones[-1].serial_number:
                served_ones.append(certificate)
        assert len({each.serial_number for each in served_ones}) == 3
        assert cell.authority.issued() >= 3
        for old, new in pairwise(served_ones):
            assert new.not_valid_before_utc < old.not_valid_after_utc - timedelta(seconds=SHORT / 8)


@pytest.mark.parametrize(
    "settings",
    [
        EdgeSettings(cell="eu-1", domain=PRODUCT, tls="internal", control_url="http://10.0.0.2:8300"),
        EdgeSettings(
            cell="eu-1",
            domain=PRODUCT,
            tls="cloudflare",
            control_url="http://10.0.0.2:8300",
            acme_email="ops@example.org",
            acme_directory="https://10.0.0.3:14000/dir",
            acme_root="/etc/caddy/acme-root.pem",
        ),
        EdgeSettings(cell="eu-1", domain=PRODUCT, tls="cloudflare", control_url="http://10.0.0.2:8300"),
    ],
    ids=["internal", "another-authority", "lets-encrypt"],
)
def test_rendered_configurations_are_valid(yard: Yard, image: str, tmp_path: Path, settings: EdgeSettings) -> None:
    """The binary that the cells run takes each configuration as a whole, with all its modules set up."""
    root = server_certificate(tmp_path, "127.0.0.1")
    argv = ["caddy", "validate", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]
    container = created(yard, image, settings, root, ports={}, command=argv)
    container.start()
    code = container.wait(timeout=60)["StatusCode"]
    output = container.logs().decode()
    assert code == 0, output
    assert "Valid configuration" in output
    assert '"level":"error"' not in output
