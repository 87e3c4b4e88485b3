"""Ports of the demo: the same at every run, others where these are taken."""

from __future__ import annotations

import json
import socket

from demo.places import PORTS

PREFERRED = {
    "control": 8300,
    "cloud": 8302,
    "s3": 8303,
    "eu-1-http": 8081,
    "eu-1": 8443,
    "eu-2-http": 8082,
    "eu-2": 8444,
}


def demo_ports() -> dict[str, int]:
    """Return name to port, chosen at the first run."""
    if PORTS.exists():
        return dict(json.loads(PORTS.read_text()))
    chosen: dict[str, int] = {}
    for name, port in PREFERRED.items():
        while not _free(port) or port in chosen.values():
            port += 100  # noqa: PLW2901 - the next candidate
        chosen[name] = port
    PORTS.write_text(json.dumps(chosen, indent=2))
    return chosen


def _free(port: int) -> bool:
    with socket.socket() as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind(("0.0.0.0", port))  # noqa: S104 - free on every address
        except OSError:
            return False
    return True
