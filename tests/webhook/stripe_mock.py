"""Stripe's own description of its API, served by stripe-mock, and a recording of what our code sends."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

import httpx
from flask import Flask, Response, request

from engine.go import build
from engine.modules import STRIPE_MOCK
from tests.localcloud.stripe_world import World, served

HEARD = "Listening for HTTP at address: "
LAST = "Listening for HTTPS at address: "
_ID = re.compile(r"..[a-z_]*[A-Z0-9]")


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request as it went over the wire.

    Attributes:
        method: ``POST``.
        path: With the query, below the API's base.
        body: Form-encoded.
    """

    method: str
    path: str
    body: str

    @property
    def operation(self) -> str:
        """Method and path with ``:id`` for an id: ``POST /v1/subscriptions/:id``."""
        steps = self.path.split("?")[0].split("/")
        return f"{self.method} {'/'.join(':id' if _ID.search(step) else step for step in steps)}"

    def replaced(self, values: Mapping[str, str]) -> Request:
        """Return the same with other values of parameters of the body."""
        pairs = [(name, values.get(name, value)) for name, value in parse_qsl(self.body, keep_blank_values=True)]
        return Request(method=self.method, path=self.path, body=urlencode(pairs))


class Recording:
    """Stands before the simulated Stripe, sends every request on, and keeps it; whichever client sent it.

    Attributes:
        url: Base address of the API, for production code.
        requests: What came, in order.
    """

    def __init__(self, world: World, stack: ExitStack) -> None:
        self.requests: list[Request] = []
        self._base = world.base
        self._client = stack.enter_context(httpx.Client(timeout=60))
        app = Flask("recording")
        app.add_url_rule("/<path:path>", "any", self._pass_on, methods=["GET", "POST", "DELETE"])
        self.url = served(app, stack)

    def _pass_on(self, path: str) -> Response:
        body, query = request.get_data(), request.query_string.decode()
        where = f"/{path}?{query}" if query else f"/{path}"
        self.requests.append(Request(method=request.method, path=where, body=body.decode()))
        headers = {name: value for name, value in request.headers if name.lower() not in {"host", "content-length"}}
        answer = self._client.request(request.method, f"{self._base}{where}", content=body, headers=headers)
        return Response(answer.content, answer.status_code, {"Content-Type": answer.headers["Content-Type"]})


class StripeMock:
    """A running stripe-mock."""

    def __init__(self, url: str) -> None:
        self.url = url

    def complaint(self, sent: Request) -> str:
        """Return what the description has against a request; empty if nothing."""
        answer = httpx.request(
            sent.method,
            f"{self.url}{sent.path}",
            content=sent.body,
            headers={"Authorization": "Bearer sk_test_123", "Content-Type": "application/x-www-form-urlencoded"},
            timeout=30,
        )
        return "" if answer.status_code == 200 else f"{answer.status_code}: {answer.json()['error']['message']}"


@contextmanager
def a_stripe_mock() -> Iterator[StripeMock]:
    """Run the real one on free ports; it is built from its pinned module where it never was."""
    argv = [str(build(STRIPE_MOCK, print)), "-http-addr", "127.0.0.1:", "-https-addr", "127.0.0.1:"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            url = ""
            for line in process.stdout or ():
                if line.startswith(HEARD):
                    url = f"http://{line.removeprefix(HEARD).strip()}"
                if line.startswith(LAST):
                    break
            assert url, "stripe-mock ended before it listened"
            yield StripeMock(url)
        finally:
            process.terminate()
