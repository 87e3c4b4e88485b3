"""A certificate authority as the public ones are: Pebble, its DNS, and what it heard and did."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import os
import re
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

LONG = 90 * 24 * 3600
START_SECONDS = 20.0


class Pebble:
    """A running ACME server.

    Attributes:
        directory: Its directory, as a container sees it.
        server_root: PEM of the root that its HTTPS certificate is checked by.
    """

    def __init__(self, *, directory: str, server_root: str, management: str, dns: str, log: Path) -> None:
        self.directory = directory
        self.server_root = server_root
        self._management = management
        self._dns = dns
        self._log = log

    def root(self) -> str:
        """Return the PEM of the root of the certificates that it issues."""
        return self._get("/roots/0")

    def issued(self) -> int:
        """Return how many certificates it has issued."""
        return len(re.findall(r"Issued certificate serial", self._log.read_text()))

    def looked_up(self, domain: str) -> int:
        """Return how often it looked a domain up, which it does for every order before it trusts anybody."""
        response = httpx.post(f"{self._dns}/dns-request-history", content=json.dumps({"host": domain}))
        response.raise_for_status()
        return len(response.json())

    def text(self) -> str:
        """Return its log."""
        return self._log.read_text()

    def _get(self, path: str) -> str:
        trusting = ssl.create_default_context(cadata=self.server_root)
        return httpx.get(f"{self._management}{path}", verify=trusting).raise_for_status().text


@contextmanager
def pebble(folder: Path, *, address: str, http_port: int, https_port: int, seconds: int = LONG) -> Iterator[Pebble]:
    """Serve ACME on an address; every domain leads to the two ports of this machine.

    Args:
        folder: For its files.
        address: Where containers reach this machine.
        http_port: Port on which it expects the HTTP-01 challenge's answer.
        https_port: Port on which it expects the TLS-ALPN-01 challenge's answer.
        seconds: How long a certificate is valid.
    """
    folder.mkdir(parents=True)
    root = server_certificate(folder, address)
    acme, management, dns, dns_management = free_ports(4)
    config = {
        "listenAddress": f"{address}:{acme}",
        "managementListenAddress": f"127.0.0.1:{management}",
        "certificate": str(folder / "server.pem"),
        "privateKey": str(folder / "server.key"),
        "httpPort": http_port,
        "tlsPort": https_port,
        "certificateValidityPeriod": seconds,
    }
    (folder / "pebble.json").write_text(json.dumps({"pebble": config}))
    names = ["pebble-challtestsrv", "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-dns01", f"127.0.0.1:{dns}"]
    names += ["-management", f"127.0.0.1:{dns_management}", "-http01", "", "-https01", "", "-tlsalpn01", ""]
    server = ["pebble", "-config", str(folder / "pebble.json"), "-dnsserver", f"127.0.0.1:{dns}"]
    with ExitStack() as stack:
        stack.enter_context(_running(names, folder / "dns.log", dns_management))
        stack.enter_context(_running(server, folder / "pebble.log", management))
        yield Pebble(
            directory=f"https://{address}:{acme}/dir",
            server_root=root,
            management=f"https://127.0.0.1:{management}",
            dns=f"http://127.0.0.1:{dns_management}",
            log=folder / "pebble.log",
        )


def free_ports(count: int) -> list[int]:
    """Return TCP ports of this machine that nobody uses now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("0.0.0.0", 0))
        return [each.getsockname()[1] for each in sockets]


@contextmanager
def _running(argv: list[str], log: Path, port: int) -> Iterator[None]:
    environment = {**os.environ, "PEBBLE_VA_NOSLEEP": "1"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, cwd=log.parent
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _listens(port):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(10)


def _listens(port: int) -> bool:
    with socket.socket() as attempt:
        return attempt.connect_ex(("127.0.0.1", port)) == 0


def server_certificate(folder: Path, address: str) -> str:
    """Write a certificate for the ACME server itself; return the PEM of its issuer."""
    now = dt.datetime.now(tz=dt.UTC)
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test root")])

    def sign(name: x509.Name, public: ec.EllipticCurvePublicKey, extension: x509.ExtensionType) -> str:
        builder = x509.CertificateBuilder(issuer, name, public, x509.random_serial_number())
        builder = builder.not_valid_before(now - dt.timedelta(hours=1)).not_valid_after(now + dt.timedelta(hours=1))
        signed = builder.add_extension(extension, critical=False).sign(root_key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM).decode()

    root = sign(issuer, root_key.public_key(), x509.BasicConstraints(ca=True, path_length=None))
    addresses = [x509.IPAddress(ipaddress.ip_address(each)) for each in (address, "127.0.0.1")]
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "pebble")])
    (folder / "server.pem").write_text(sign(subject, key.public_key(), x509.SubjectAlternativeName(addresses)))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "server.key").write_bytes(private)
    return root
