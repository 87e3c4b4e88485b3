"""The worker: takes received events from the database and settles them, durably.

``python -m webhook.worker`` runs until it is told to stop. A worker that is killed continues where it stopped when
it starts again: each step's result is in the database, and a step that was cut off is run again.
"""

from __future__ import annotations

import signal
import threading
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog
from dbos import DBOS, DBOSConfig, SetWorkflowID
from sqlalchemy import Engine
from sqlalchemy.orm import Session
from stripe import StripeClient

from registry.lifecycle import Alert, AlertKind
from registry.store import RegistryStore
from stacks.settings import Settings, read_settings
from webhook.cell_updates import CellUpdates
from webhook.database.engine import open_database
from webhook.database.events import EventState, begin_attempt, find_event, pending_events, settle_event
from webhook.database.migrate import migrate
from webhook.logs import configure_logs
from webhook.mail.post import Post
from webhook.probe import Probe
from webhook.settings import ServiceSettings, read_service_settings
from webhook.settlement import Settled, Settlement
from webhook.subscriptions import alert_of, ignored_because, subject_of

VERSION = "1"
"""Of the workflows: workflows that another version began are not continued by this one."""
POLL_SECONDS = 0.5
TRIES = 5

log = structlog.get_logger("worker")
_here: dict[str, Settlement] = {}


def settlement() -> Settlement:
    """Return the effects of this process."""
    return _here["settlement"]


@DBOS.step()
def look(event_id: str) -> dict[str, str | None]:
    """Return what an event asks for: a subscription to settle, or the reason why nothing."""
    with Session(settlement().engine) as session, session.begin():
        begin_attempt(session, event_id)
        event = find_event(session, event_id)
        payload: dict[str, Any] = {} if event is None else event.payload
    alert = alert_of(payload)
    if alert is not None:
        settlement().alert(alert, event_id)
        return {"subscription": None, "reason": "a person was alerted", "state": EventState.APPLIED}
    return {"subscription": subject_of(payload), "reason": ignored_because(payload), "state": EventState.IGNORED}


@DBOS.step(retries_allowed=True, max_attempts=TRIES, interval_seconds=1.0)
def change(subscription_id: str, event_id: str, answers: bool) -> dict[str, Any]:  # noqa: FBT001 - kept by position
    """Edit the registry as Stripe's present state wants it."""
    return asdict(settlement().change(subscription_id, event_id, answers=answers))


@DBOS.step(retries_allowed=True, max_attempts=TRIES, interval_seconds=2.0)
def update(settled: dict[str, Any], event_id: str) -> None:
    """Bring the change onto its cell."""
    settlement().update(Settled(**settled), event_id)


@DBOS.step(retries_allowed=True, max_attempts=2, interval_seconds=5.0)
def see(settled: dict[str, Any], event_id: str) -> None:
    """Wait until the instance answers."""
    settlement().see(Settled(**settled), event_id)


@DBOS.step()
def finish(event_id: str, state: str, reason: str | None) -> None:
    """Note what became of the event."""
    with Session(settlement().engine) as session, session.begin():
        settle_event(session, event_id, EventState(state), now=settlement().clock(), reason=reason)


@DBOS.step()
def park(event_id: str, reason: str) -> None:
    """Leave an event that can't be applied to a person."""
    text = (
        f"Event {event_id} could not be applied: {reason[:500]} Fix the reason, then `hosting events retry {event_id}`."
    )
    settlement().alert(Alert(kind=AlertKind.MIXED_UP, cause=f"parked:{event_id}", text=text), event_id)
    with Session(settlement().engine) as session, session.begin():
        settle_event(session, event_id, EventState.PARKED, now=settlement().clock(), reason=reason[:500])


@DBOS.workflow()
def apply_event(event_id: str) -> str:
    """Settle what an event hints at; its id is the workflow's, so that it runs once however often it comes."""
    asked = look(event_id)
    subscription_id = asked["subscription"]
    if subscription_id is None:
        finish(event_id, str(asked["state"]), asked["reason"])
        return str(asked["reason"])
    try:
        settled = change(subscription_id, event_id, False)  # noqa: FBT003 - kept by position
        update(settled, event_id)
        if settled["awaits_answer"]:
            see(settled, event_id)
            settled = change(subscription_id, event_id, True)  # noqa: FBT003 - kept by position
    except Exception as error:  # noqa: BLE001 - whatever it is, the event is not lost and a person is told
        park(event_id, f"{type(error).__name__}: {error}")
        return "parked"
    finish(event_id, EventState.APPLIED, settled["reason"])
    return str(settled["reason"])


def run(told: threading.Event, engine: Engine) -> None:
    """Start a workflow for each received event until told to stop."""
    begun: set[str] = set()
    while not told.wait(POLL_SECONDS):
        waiting = pending_events(engine, datetime.now(tz=UTC))
        for event_id in waiting:
            if event_id not in begun:
                with SetWorkflowID(f"event-{event_id}"):
                    DBOS.start_workflow(apply_event, event_id)
        begun = set(waiting)


def assemble(service: ServiceSettings, settings: Settings, engine: Engine) -> Settlement:
    """Return the effects made from settings."""
    from webhook.deploy import deployer_from_environment  # noqa: PLC0415 - the engine's SDK takes a second

    registry = service.settings_file.resolve().parent / settings.registry
    local = settings.publish_address.startswith("127.")
    base = {"api": service.stripe_api_url} if service.stripe_api_url else {}
    return Settlement(
        stripe=StripeClient(service.stripe_api_key.get_secret_value(), base_addresses=base),  # pyright: ignore[reportArgumentType]
        store=RegistryStore(
            registry, cells=settings.cells, domain=settings.domain, clock=lambda: datetime.now(tz=UTC).date()
        ),
        settings=settings,
        engine=engine,
        updates=CellUpdates(deployer_from_environment(service.settings_file, _say), registry),
        probe=Probe(connect_host=settings.publish_address if local else None, ca_file=service.ca_file),
        post=_post(service),
        sender=service.mail_from,
        portal_url=f"https://portal.{settings.domain}",
        clock=lambda: datetime.now(tz=UTC),
    )


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    configure_logs()
    service = read_service_settings()
    settings = read_settings(service.settings_file.resolve())
    engine = open_database(service.database_url)
    migrate(engine)
    _here["settlement"] = assemble(service, settings, engine)
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    config: DBOSConfig = {
        "name": "hosting-worker",
        "system_database_url": _workflows_url(service.database_url),
        "application_version": VERSION,
    }
    DBOS(config=config)
    DBOS.launch()
    log.info("worker is ready", database=engine.url.render_as_string(hide_password=True))
    try:
        run(told, engine)
    finally:
        DBOS.destroy()


def _workflows_url(database_url: str) -> str:
    """Return where workflows are kept: the same Postgres, or a SQLite file beside the management database's."""
    if database_url.startswith("sqlite"):
        path = Path(database_url.removeprefix("sqlite:///"))
        return f"sqlite:///{path.with_name('workflows.sqlite3')}"
    return database_url


def _post(service: ServiceSettings) -> Post | None:
    if service.smtp_host is None:
        return None
    password = None if service.smtp_password is None else service.smtp_password.get_secret_value()
    return Post(
        host=service.smtp_host,
        port=service.smtp_port,
        user=service.smtp_user,
        password=password,
        tls=service.smtp_tls,
    )


def _say(line: str) -> None:
    log.info("engine", line=line)


if __name__ == "__main__":
    main()
