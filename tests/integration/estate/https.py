"""Requests as a visitor sends them, and as one who means harm: every part of one can be chosen."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

TIMEOUT_SECONDS = 15.0
PAUSE_SECONDS = 0.1


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True, kw_only=True)
class Site:
    """One host name on one port of this machine, and the authority that vouches for it."""

    host: str
    port: int
    context: ssl.SSLContext
    headers: Mapping[str, str] = field(default_factory=dict)

    def ask(
        self,
        target: str = "/api/health",
        *,
        method: str = "GET",
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send one request on a connection of its own; the target goes out byte by byte as it is.

        Raises:
            OSError, ssl.SSLError: nothing answers, or not who should.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_SECONDS)
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=TIMEOUT_SECONDS)
        try:
            connection.sock = self.context.wrap_socket(plain, server_hostname=self.host)
            content = b"" if body is None else json.dumps(body).encode()
            sent = {"Host": f"{self.host}:{self.port}", **self.headers, **(headers or {})}
            if body is not None:
                sent |= {"Content-Type": "application/json", "Content-Length": str(len(content))}
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            for name, value in sent.items():
                connection.putheader(name, value)
            connection.endheaders(content)
            response = connection.getresponse()
            return Reply(status=response.status, headers=dict(response.getheaders()), body=response.read())
        finally:
            connection.close()
            plain.close()

    def post(self, target: str, body: object, *, headers: Mapping[str, str] | None = None) -> Reply:
        """Post an object."""
        return self.ask(target, method="POST", body=body, headers=headers)

    def is_healthy(self) -> bool:
        """Whether the app says so, over TLS."""
        reply = self.ask()
        return reply.status == http.HTTPStatus.OK and reply.json()["status"] == "healthy"


class Watch:
    """Asks a site every 100 ms for as long as it is open, and keeps what was not a good answer."""

    def __init__(self, site: Site, target: str = "/api/health") -> None:
        self.count = 0
        self.failures: list[str] = []
        self._site = site
        self._target = target
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watch")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        start = time.monotonic()
        while not self._over.wait(PAUSE_SECONDS):
            self.count += 1
            try:
                reply = self._site.ask(self._target)
            except OSError as error:
                self.failures.append(f"{time.monotonic() - start:.1f} s: {error!r}")
            else:
                if reply.status != http.HTTPStatus.OK:
                    self.failures.append(f"{time.monotonic() - start:.1f} s: HTTP {reply.status}")
