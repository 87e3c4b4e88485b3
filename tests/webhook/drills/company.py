"""A company of real processes: Stripe, a mail server, web and workers that can be killed and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import httpx
import yaml
from aiosmtpd.controller import Controller
from git import Actor, Repo
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from registry.customers import Customer
from registry.store import RegistryStore
from stacks.settings import Settings, read_settings
from tests.integration.estate.on_engine import free_ports
from tests.localcloud.stripe_world import World, a_world
from tests.webhook.drills.worker_process import REGISTRY, SETTINGS_FILE
from webhook.database.engine import open_database
from webhook.database.events import EventRecord, EventState
from webhook.database.migrate import migrate

ROOT = Path(__file__).parents[3]
FIRST = "customers:\n  c-acme0001:\n    subdomain: acme\n    plan: team\n    status: active\n    cell: eu-1\n"
CELL = {"region": "eu", "location": "nbg1", "server_types": ["cx43"], "storage_gib": 2000}
SETTINGS: dict[str, Any] = {
    "image": "example.org/markitup:1",
    "proxy_image": "example.org/caddy:1",
    "control_url": "http://10.0.0.2:8300",
    "zone_id": "0" * 32,
    "ssh_public_keys": ["ssh-ed25519 AAAA operator"],
    "registry": str(REGISTRY),
    "cells": {"eu-1": CELL, "eu-2": CELL},
}
WAIT_SECONDS = 120.0


class Mailbox:
    """Keeps who was written what."""

    def __init__(self) -> None:
        self.letters: Counter[tuple[str, str]] = Counter()

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        """Take a letter."""
        headers = envelope.content.decode().split("\r\n\r\n", 1)[0].replace("\r\n ", " ")
        (subject,) = (line.removeprefix("Subject: ") for line in headers.splitlines() if line.startswith("Subject"))
        self.letters[envelope.rcpt_tos[0], subject] += 1
        return "250 OK"


@dataclass(kw_only=True)
class Company:
    """The processes, and what they act on.

    Attributes:
        folder: Settings, registry and logs.
        world: Stripe.
        letters: What customers were written.
        engine: The management database.
        processes: By name: web, worker-1, ...
    """

    folder: Path
    database_url: str
    world: World
    letters: Mailbox
    engine: Engine
    mail_port: int
    web_port: int
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    secret: str = ""

    @property
    def settings(self) -> Settings:
        """The environment's."""
        return read_settings(self.folder / SETTINGS_FILE)

    def registry(self) -> dict[str, Customer]:
        """Return all entries."""
        store = RegistryStore(self.folder / REGISTRY, cells=self.settings.cells, domain="markitup.io", clock=_today)
        return dict(store.read().customers)

    def start(self, *names: str) -> None:
        """Start processes; what runs already goes on."""
        for name in names:
            if name in self.processes and self.processes[name].poll() is None:
                continue
            with (self.folder / f"{name}.log").open("ab") as log:
                self.processes[name] = subprocess.Popen(
                    self._argv(name), cwd=ROOT, env={**os.environ, **self._variables()}, stdout=log, stderr=log
                )

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """End a process, by default without warning; gunicorn's master and worker together."""
        process = self.processes.pop(name)
        children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=False)
        for pid in (process.pid, *map(int, children.stdout.split())):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
        process.wait(60)

    def wait_for_web(self) -> None:
        """Wait until the web process answers."""

        def answers() -> bool:
            try:
                return httpx.get(f"http://127.0.0.1:{self.web_port}/healthz", timeout=2).status_code == 200
            except httpx.HTTPError:
                return False

        self.until("web answers", answers)

    def states(self) -> Counter[EventState]:
        """Count events by what became of them."""
        with Session(self.engine) as session:
            return Counter(session.scalars(select(EventRecord.state)))

    def rest(self) -> None:
        """Wait until Stripe has delivered all and nothing waits to be applied."""
        self.until("Stripe has delivered all", lambda: self.world.knob("settle")["undelivered"] == 0)
        self.until("all events are applied", lambda: not self.states()[EventState.RECEIVED])

    def until(self, what: str, truth: Any) -> None:
        """Wait until something is true; the logs tell why it is not."""
        deadline = time.monotonic() + WAIT_SECONDS
        while not truth():
            logs = {each.name: each.read_text()[-3000:] for each in self.folder.glob("*.log")}
            assert time.monotonic() < deadline, (
                f"not within {WAIT_SECONDS} s: {what}; {self.states()}\n{self.registry()}\n{logs}"
            )
            time.sleep(0.1)

    def sign_up(self, name: str, *, price: str, subdomain: str | None = None) -> str:
        """Pay for a wiki; return the subscription."""
        metadata = {"customer_id": f"c-{name}", "subdomain": subdomain or name}
        session = self.world.v1.checkout.sessions.create(
            {
                "mode": "subscription",
                "line_items": [{"price": price, "quantity": 1}],
                "success_url": "https://portal.example.org/done",
                "metadata": metadata,
                "subscription_data": {"metadata": metadata},
            }
        )
        answer = httpx.post(str(session.url), data={"action": "pay", "email": f"{name}@example.org"}, timeout=30)
        assert answer.status_code == 303, answer.text
        return str(self.world.v1.checkout.sessions.retrieve(session.id).subscription)

    def _argv(self, name: str) -> list[str]:
        if name.startswith("worker"):
            module = "tests.webhook.drills.worker_process"
            arguments = [str(self.folder), self.database_url, self.world.base, str(self.mail_port)]
            return [sys.executable, "-m", module, *arguments]
        argv = [sys.executable, "-m", "gunicorn", "--workers", "1", "--threads", "8", "--worker-class", "gthread"]
        return [*argv, "--bind", f"127.0.0.1:{self.web_port}", "webhook.app:serve()"]

    def _variables(self) -> dict[str, str]:
        return {
            "HOSTING_SETTINGS_FILE": str(self.folder / SETTINGS_FILE),
            "HOSTING_DATABASE_URL": self.database_url,
            "HOSTING_STRIPE_WEBHOOK_SECRETS": self.secret,
            "HOSTING_STRIPE_API_KEY": "sk_test_local",
            "HOSTING_STRIPE_API_URL": self.world.base,
            "HOSTING_SECRET_KEY": "d" * 48,
        }


@contextmanager
def a_company(folder: Path, database_url: str) -> Iterator[Company]:
    """Make a company; whatever still runs at the end is ended."""
    with ExitStack() as stack:
        registry = folder / REGISTRY
        registry.parent.mkdir(parents=True)
        registry.write_text(FIRST)
        (registry.parent / ".gitignore").write_text(".customers.yaml.lock\n")
        author = Actor("test", "t@localhost")
        with Repo.init(registry.parent, initial_branch="main") as repo:
            repo.index.add([".gitignore", registry.name])
            repo.index.commit("Start", author=author, committer=author)
        config = {f"hosting:{name}": value for name, value in SETTINGS.items()}
        (folder / SETTINGS_FILE).write_text(yaml.safe_dump({"config": config}))
        engine = open_database(database_url)
        stack.callback(engine.dispose)
        migrate(engine)
        mail_port, web_port = free_ports(2, "127.0.0.1")
        letters = Mailbox()
        mail_server = Controller(letters, hostname="127.0.0.1", port=mail_port)
        mail_server.start()
        stack.callback(mail_server.stop)
        world = stack.enter_context(a_world(folder / "cloud"))
        company = Company(
            folder=folder,
            database_url=database_url,
            world=world,
            letters=letters,
            engine=engine,
            mail_port=mail_port,
            web_port=web_port,
        )
        endpoint = world.v1.webhook_endpoints.create(
            {"url": f"http://127.0.0.1:{web_port}/webhooks/stripe", "enabled_events": ["*"]}
        )
        company.secret = str(endpoint.secret)
        try:
            yield company
        finally:
            for name in list(company.processes):
                company.kill(name)


def _today() -> date:
    return datetime.now(tz=UTC).date()
