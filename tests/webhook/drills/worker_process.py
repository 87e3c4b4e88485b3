"""A worker in a process of its own, with all that a real one has but the engine and the instances.

``python -m tests.webhook.drills.worker_process FOLDER DATABASE_URL STRIPE_URL MAIL_PORT``
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from stripe import StripeClient

from registry.store import RegistryStore
from stacks.settings import read_settings
from tests.webhook.known_facts import KnownFacts
from tests.webhook.updater import CountingUpdater
from webhook.alerts import Alerts
from webhook.approvals import Approvals
from webhook.assembly import Effects
from webhook.cell_updates import CellUpdates
from webhook.database.engine import open_database
from webhook.letterbox import Letterbox
from webhook.logs import configure_logs
from webhook.mail.post import Post
from webhook.probe import Answer, Probe
from webhook.pull_requests import PlainBranches
from webhook.settlement import Settlement
from webhook.turns import Turns
from webhook.worker import work

SETTINGS_FILE = "Pulumi.test.yaml"
REGISTRY = Path("registry") / "customers.yaml"


class Eyes(Probe):
    """Sees every instance answer."""

    def wait(self, url: str, *, seconds: float, sleep: Any = None) -> Answer:
        """Return at once."""
        return Answer(healthy=True, code=200, detail="healthy", seconds=0.01)


class DrillUpdater(CountingUpdater):
    """An engine that takes a moment and tells what a worker says of it."""

    version = "drill"
    problem: str | None = None
    updating: tuple[str, ...] = ()

    def interrupt(self) -> None:
        """Do nothing: an update ends by itself."""


def main(folder: Path, database_url: str, stripe_url: str, mail_port: int) -> None:
    """Work until told to stop, or killed."""
    configure_logs()
    settings = read_settings(folder / SETTINGS_FILE)
    engine = open_database(database_url)

    def clock() -> datetime:
        return datetime.now(tz=UTC)

    store = RegistryStore(folder / REGISTRY, cells=settings.cells, domain=settings.domain, clock=lambda: clock().date())
    alerts, updater = Alerts(engine=engine, clock=clock), DrillUpdater(engine, seconds=0.3)
    settlement = Settlement(
        stripe=StripeClient("sk_test_local", base_addresses={"api": stripe_url}),
        store=store,
        settings=settings,
        engine=engine,
        turns=Turns(engine),
        updates=CellUpdates(updater, folder / REGISTRY, at=store.at, fetch=store.sync),
        probe=Eyes(),
        facts=KnownFacts(clock().date()),
        approvals=Approvals(store=store, requests=PlainBranches(), alerts=alerts),
        letterbox=Letterbox(
            engine=engine,
            post=Post(host="127.0.0.1", port=mail_port, tls="none"),
            sender="hosting@markitup.io",
            clock=clock,
        ),
        alerts=alerts,
        portal_url="https://portal.markitup.io",
        clock=clock,
    )
    work(Effects(settlement=settlement, deployer=cast("Any", updater), store=store), engine, database_url)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]))
