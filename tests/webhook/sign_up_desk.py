"""The sign-up pages as a visitor meets them: the application, a real database, and the simulated Stripe that serves."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session
from werkzeug.serving import make_server
from werkzeug.test import TestResponse

from registry.customers import Customer, Status
from registry.ids import new_customer_id
from registry.plans import PLANS
from stacks.settings import Settings, parse_settings
from tests.localcloud.stripe_world import World, a_world
from webhook.app import create_app
from webhook.checkout import Checkout
from webhook.database.engine import open_database
from webhook.database.ledger import LedgerKind, append
from webhook.database.migrate import migrate
from webhook.database.reservations import Reservation
from webhook.pages import Pages
from webhook.registry_view import RegistryView
from webhook.stripe_checkout import StripeCheckout
from webhook.stripe_events import Intake
from webhook.subscriptions import lookup_key

PUBLIC_URL = "http://127.0.0.1:8300"
SECRET_KEY = "0123456789abcdef0123456789abcdef"
SETTINGS = {
    "image": "example.org/markitup:1",
    "proxy_image": "example.org/caddy:1",
    "control_url": "http://10.0.0.2:8300",
    "zone_id": "0" * 32,
    "ssh_public_keys": ["ssh-ed25519 AAAA operator"],
    "cells": {
        "eu-1": {"region": "eu", "location": "nbg1", "server_types": ["cx43"]},
        "us-1": {"region": "us", "location": "ash", "server_types": ["cpx41"], "https_port": 8443},
    },
}
REGISTRY = """\
customers:
  c-acme0001:
    subdomain: acme
    plan: team
    status: active
    cell: eu-1
quarantine:
  birch: 2099-01-01
  cedar: 2020-01-01
"""
ORDER = {"plan": "personal", "interval": "month", "subdomain": "glade", "email": "gil@example.org", "region": ""}


class Clock:
    """The time, which a test may move."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(tz=UTC) + self.ahead


@dataclass
class Visitor:
    """One person with one browser."""

    client: FlaskClient
    address: str
    form: dict[str, str] = field(default_factory=dict)

    def get(self, path: str) -> TestResponse:
        """Open a page."""
        path = path.removeprefix(PUBLIC_URL)
        response = self.client.get(path, environ_base={"REMOTE_ADDR": self.address})
        self._take(response)
        return response

    def send(self, **changes: str) -> TestResponse:
        """Fill the form in, which is opened unless it is there, and send it."""
        if not self.form:
            self.get("/checkout")
        data = self.form | ORDER | changes
        response = self.client.post("/checkout", data=data, environ_base={"REMOTE_ADDR": self.address})
        self._take(response)
        return response

    def _take(self, response: TestResponse) -> None:
        """Take over what a form hides."""
        found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]+)">', response.text)
        if found:
            self.form = dict(found)


@dataclass(kw_only=True)
class SignUps:
    """All that a sign-up touches."""

    app: Flask
    public_url: str
    world: World
    engine: Engine
    registry: Path
    clock: Clock
    stripe: StripeCheckout
    visitors: int = 0

    def visitor(self) -> Visitor:
        """Return somebody new."""
        self.visitors += 1
        return Visitor(self.app.test_client(), f"10.0.{self.visitors // 250}.{self.visitors % 250 + 1}")

    def sessions(self, **filters: Any) -> list[Any]:
        """Return Stripe's sessions."""
        return list(self.world.v1.checkout.sessions.list({"limit": 100, **filters}).auto_paging_iter())  # type: ignore[arg-type]

    def pay(self, sent: TestResponse, action: str = "pay", **fields: str) -> str:
        """Press a button on the page that the form led to; return the path of where it leads back."""
        assert sent.status_code == 303, sent.text
        back = self.world.press(sent.headers["Location"], action, **fields)
        assert back.status_code == 303, back.text
        return back.headers["Location"]

    def reservations(self) -> dict[str, Reservation]:
        """Return the kept names."""
        with Session(self.engine) as session:
            return {each.subdomain: each for each in session.scalars(select(Reservation))}

    def put(self, customer_id: str, *, subdomain: str = "glade", status: Status = Status.ACTIVE) -> None:
        """Write a customer into the registry, as the worker does."""
        entry = Customer(subdomain=subdomain, plan="personal", status=status, cell="us-1")
        text = f"  {customer_id}:\n    subdomain: {entry.subdomain}\n    plan: personal\n    status: {status}\n"
        text += "    cell: us-1\n" + ("    delete_after: 2099-01-01\n" if status is Status.DELETING else "")
        new = self.registry.with_suffix(".new")
        new.write_text(REGISTRY.replace("quarantine:", f"{text}quarantine:"))
        new.replace(self.registry)

    def alert(self, customer_id: str) -> None:
        """Call a person, as the worker does."""
        with Session(self.engine) as session, session.begin():
            append(session, LedgerKind.ALERT, "name-taken", at=self.clock(), customer_id=customer_id)

    def fill(self) -> None:
        """Fill the servers up, but for one place in us-1."""
        names = [*["eu-1"] * 49, *["us-1"] * 49]  # acme is in eu-1 already
        plan = "plan: personal\n    status: active\n"
        rows = [
            f"  {new_customer_id()}:\n    subdomain: full-{number}\n    {plan}    cell: {cell}\n"
            for number, cell in enumerate(names)
        ]
        self.registry.write_text("".join([REGISTRY.partition("quarantine:")[0], *rows]))


def settings(**changes: object) -> Settings:
    """Return an environment's settings."""
    return parse_settings(SETTINGS | changes, environment="test")


@contextmanager
def sign_ups(engine: Engine, folder: Path, *, public_url: str = PUBLIC_URL, **changes: object) -> Iterator[SignUps]:
    """Open the sign-up pages."""
    registry = folder / "customers.yaml"
    registry.write_text(REGISTRY)
    chosen, clock = settings(**changes), Clock()
    with a_world(folder / "cloud") as world:
        for plan in PLANS:
            for interval in ("month", "year"):
                world.price(lookup_key(plan, interval), interval=interval, metadata={"plan": plan})
        stripe = StripeCheckout("sk_test_local", api_url=world.base, connections=20, sleep=lambda _: None)
        view = RegistryView(registry, cells=chosen.cells, domain=chosen.domain, clock=lambda: clock().date())
        checkout = Checkout(
            engine=engine,
            stripe=stripe,
            settings=chosen,
            pages=Pages(secret_key=SECRET_KEY, public_url=public_url),
            clock=clock,
        )
        app = create_app(view, intake=Intake(engine=engine, secrets=("whsec_x" * 4,)), checkout=checkout)
        yield SignUps(
            app=app, public_url=public_url, world=world, engine=engine, registry=registry, clock=clock, stripe=stripe
        )
        stripe.close()


@contextmanager
def served_sign_ups(folder: Path) -> Iterator[SignUps]:
    """Open the sign-up pages where a browser finds them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    engine = open_database(f"sqlite:///{folder / 'management.sqlite3'}")
    migrate(engine)
    with sign_ups(engine, folder, public_url=f"http://127.0.0.1:{port}") as opened:
        server = make_server("127.0.0.1", port, opened.app, threaded=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="control")
        thread.start()
        yield opened
        server.shutdown()
        thread.join()
        server.server_close()
    engine.dispose()


def query(url: str) -> str:
    """Return a URL's query."""
    return urlsplit(unescape(url)).query
