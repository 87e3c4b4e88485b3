"""A custom domain leads to its customer's container or to nobody, whatever the customer's own DNS says."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path

from flask import Flask
from werkzeug.serving import make_server

from tests.integration.images.yard import Yard
from tests.integration.test_certificates import KNOWN, client, gateway_of, image, running_cell, yard

__all__ = ["client", "image", "yard"]  # fixtures: pytest finds them here

ZONE = "example.com"
"""The customer's, with all names below it."""


@contextmanager
def customers_dns(address: str) -> Iterator[list[str]]:
    """Answer for the customer's zone, as public resolvers do: every name in it is this machine; yield who was asked."""
    asked: list[str] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((address, 53))

        def answer() -> None:
            while True:
                try:
                    query, sender = server.recvfrom(4096)
                except OSError:
                    return
                if not query:
                    return
                server.sendto(_reply(query, address, asked), sender)

        thread = threading.Thread(target=answer, name="dns")
        thread.start()
        yield asked
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", (address, 53))
        thread.join()


def _reply(query: bytes, address: str, asked: list[str]) -> bytes:
    """Return the answer to a query for an address (RFC 1035): the address below the zone, else that there is none."""
    labels: list[str] = []
    at = 12
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode())
        at += 1 + query[at]
    question = query[12 : at + 5]
    name = ".".join(labels).lower()
    asked.append(name)
    is_theirs = name.endswith(f".{ZONE}")
    found = is_theirs and question[-4:-2] == b"\0\1"
    record = b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4" + IPv4Address(address).packed if found else b""
    flags = b"\x81\x80" if is_theirs else b"\x81\x83"
    return query[:2] + flags + b"\0\1" + (b"\0\1" if found else b"\0\0") + b"\0\0\0\0" + question + record


def test_without_a_container_nothing_else_answers_for_it(yard: Yard, image: str, tmp_path: Path) -> None:
    """While a customer is suspended no name that he controls decides where Caddy goes: it could be another tenant."""
    elsewhere = Flask("elsewhere")
    elsewhere.add_url_rule("/", view_func=lambda: "whatever the customer's DNS names")
    gateway = gateway_of(yard)
    server = make_server(gateway, 3000, elsewhere, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="elsewhere")
    thread.start()
    try:
        with customers_dns(gateway) as asked, running_cell(yard, image, tmp_path, dns=[gateway]) as cell:
            assert cell.shake_hands(KNOWN)
            page = cell.page(KNOWN)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert f"placard of {KNOWN}" in page, asked
