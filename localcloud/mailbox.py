"""A mail server that delivers nothing: what it takes is put into files, and shown."""

from __future__ import annotations

import socket
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller


class _Box:
    """Writes each mail into a file of its own, named by time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: ANN401, N802 - aiosmtpd's
        name = f"{time.time_ns()}.eml"
        unfinished = self._folder / f".{name}"
        unfinished.write_bytes(envelope.content)
        unfinished.replace(self._folder / name)
        return "250 OK"


@contextmanager
def mailbox(folder: Path, port: int = 0) -> Generator[int]:
    """Take mail on 127.0.0.1 and yield the port."""
    folder.mkdir(parents=True, exist_ok=True)
    controller = Controller(_Box(folder), hostname="127.0.0.1", port=port or _free_port())
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()


def mails(folder: Path) -> Iterator[EmailMessage]:
    """Yield the mails that were taken, oldest first."""
    for path in sorted(folder.glob("*.eml")):
        yield message_from_bytes(path.read_bytes(), policy=default)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
