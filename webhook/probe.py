"""Looks whether an instance answers over HTTPS, as its customer would."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import httpx

from stacks.settings import Settings

REQUEST_SECONDS = 5.0
PAUSE_SECONDS = 0.5
HEALTHY_WITHIN_SECONDS = 60.0
"""REQUIREMENTS row 2: wait up to 60 s for healthy."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back.

    Attributes:
        healthy: The app's own health check says so.
        code: HTTP status; None where nothing answered.
        detail: For people.
        seconds: Time of the last request.
    """

    healthy: bool
    code: int | None
    detail: str
    seconds: float


class Probe:
    """Asks instances for their health through their public address."""

    def __init__(self, *, connect_host: str | None = None, ca_file: Path | None = None) -> None:
        """Ask by DNS and public authorities unless told otherwise (the demo has neither)."""
        self._connect_host = connect_host
        self._context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)

    @classmethod
    def of(cls, settings: Settings, *, ca_file: Path | None) -> Self:
        """Ask an environment's instances; one that publishes on this machine only is asked there."""
        local = settings.publish_address.startswith("127.")
        return cls(connect_host=settings.publish_address if local else None, ca_file=ca_file)

    def ask(self, url: str) -> Answer:
        """Ask once; never raises."""
        parts = urlsplit(f"{url.rstrip('/')}/api/health")
        host = parts.hostname or ""
        connect = parts._replace(netloc=f"{self._connect_host or host}:{parts.port or 443}").geturl()
        start = time.monotonic()
        try:
            with httpx.Client(verify=self._context, timeout=REQUEST_SECONDS, trust_env=False) as client:
                response = client.get(connect, headers={"Host": parts.netloc}, extensions={"sni_hostname": host})
        except httpx.HTTPError as error:
            return Answer(healthy=False, code=None, detail=str(error), seconds=time.monotonic() - start)
        healthy = response.status_code == HTTPStatus.OK and _says_healthy(response)
        detail = "healthy" if healthy else f"HTTP {response.status_code}"
        return Answer(healthy=healthy, code=response.status_code, detail=detail, seconds=time.monotonic() - start)

    def wait(self, url: str, *, seconds: float, sleep: Callable[[float], None] = time.sleep) -> Answer:
        """Ask until it is healthy or the time is over; return the last answer."""
        deadline = time.monotonic() + seconds
        while True:
            answer = self.ask(url)
            if answer.healthy or time.monotonic() > deadline:
                return answer
            sleep(PAUSE_SECONDS)


def _says_healthy(response: httpx.Response) -> bool:
    """Whether the body says so: the app answers 200 and ``degraded`` when its database is gone."""
    try:
        body = response.json()
    except ValueError:
        return False
    return isinstance(body, dict) and body.get("status") == "healthy"
