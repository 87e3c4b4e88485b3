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

from registry.customers import Status
from registry.errors import RegistryError
from registry.store import RegistryStore
from registry.wishes import Alert, AlertKind
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
from webhook.turns import Turns

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
def change(subscription_id: str, event_id: str | None, answers: bool) -> dict[str, Any]:  # noqa: FBT001 - kept by position
    """Edit the registry as Stripe's present state wants it."""
    return asdict(settlement().change(subscription_id, event_id, answers=answers))


@DBOS.step(retries_allowed=True, max_attempts=TRIES, interval_seconds=2.0)
def update(settled: dict[str, Any], event_id: str | None) -> None:
    """Bring the change onto its cell."""
    settlement().update(Settled(**settled), event_id)


@DBOS.step(retries_allowed=True, max_attempts=2, interval_seconds=5.0)
def see(settled: dict[str, Any], event_id: str | None) -> None:
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
    text = f"Event {event_id} could not be applied: {reason} Fix the reason, then `hosting events retry {event_id}`."
    settlement().alert(Alert(kind=AlertKind.MIXED_UP, cause=f"parked:{event_id}:{reason}", text=text), event_id)
    with Session(settlement().engine) as session, session.begin():
        settle_event(session, event_id, EventState.PARKED, now=settlement().clock(), reason=reason)


@DBOS.step()
def report(subscription_id: str, day: str, reason: str) -> None:
    """Tell a person of a subscription that can't be settled on a new day."""
    text = f"{subscription_id} could not be settled on {day}: {reason} It is tried again tomorrow. Fix the reason."
    settlement().alert(Alert(kind=AlertKind.MIXED_UP, cause=f"day:{subscription_id}:{day}", text=text), None)


def settle(subscription_id: str, event_id: str | None) -> str:
    """Change, update, look; return why it is so."""
    settled = change(subscription_id, event_id, False)  # noqa: FBT003 - kept by position
    update(settled, event_id)
    if settled["awaits_answer"]:
        see(settled, event_id)
        settled = change(subscription_id, event_id, True)  # noqa: FBT003 - kept by position
    return str(settled["reason"])


@DBOS.workflow()
def apply_event(event_id: str) -> str:
    """Settle what an event hints at."""
    asked = look(event_id)
    subscription_id = asked["subscription"]
    if subscription_id is None:
        finish(event_id, str(asked["state"]), asked["reason"])
        return str(asked["reason"])
    try:
        reason = settle(subscription_id, event_id)
    except Exception as error:  # noqa: BLE001 - whatever it is, the event is not lost and a person is told
        park(event_id, _words(error))
        return "parked"
    finish(event_id, EventState.APPLIED, reason)
    return reason


@DBOS.workflow()
def new_day(subscription_id: str, day: str) -> str:
    """Settle what only time has changed: the end of a grace period, its last warning, a change that waits."""
    try:
        return settle(subscription_id, None)
    except Exception as error:  # noqa: BLE001 - tomorrow is another day, and a person is told
        report(subscription_id, day, _words(error))
        return "reported"


def run(told: threading.Event, engine: Engine) -> None:
    """Start a workflow for each received event, and one a day for each customer that waits, until told to stop.

    The id of a workflow is that of the event and its receipt: however often it is started, it runs once.
    """
    begun: set[str] = set()
    today = None
    while not told.wait(POLL_SECONDS):
        pending = pending_events(engine, datetime.now(tz=UTC))
        names = {f"event-{key}-{received:%Y%m%dT%H%M%S%f}": key for key, received in pending}
        for name, event_id in names.items():
            if name not in begun:
                with SetWorkflowID(name):
                    DBOS.start_workflow(apply_event, event_id)
        begun = set(names)
        if today != settlement().clock().date() and _begin_day():
            today = settlement().clock().date()


def _begin_day() -> bool:
    """Look at each customer that is not simply active; return False where the registry can't be read."""
    day = settlement().clock().date().isoformat()
    try:
        customers = settlement().store.read().customers.values()
    except RegistryError as error:
        log.warning("the registry is refused", error=str(error))
        return False
    for subscription_id in {each.stripe_subscription for each in customers if each.status is not Status.ACTIVE}:
        if subscription_id is not None:
            with SetWorkflowID(f"day-{subscription_id}-{day}"):
                DBOS.start_workflow(new_day, subscription_id, day)
    return True


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:500]


def assemble(service: ServiceSettings, settings: Settings, engine: Engine) -> Settlement:
    """Return the effects made from settings."""
    from webhook.deploy import ready, target_of  # noqa: PLC0415 - the engine's SDK takes a second

    registry = service.settings_file.resolve().parent / settings.registry
    base = {"api": service.stripe_api_url} if service.stripe_api_url else {}
    return Settlement(
        stripe=StripeClient(service.stripe_api_key.get_secret_value(), base_addresses=base),  # pyright: ignore[reportArgumentType]
        store=RegistryStore(
            registry, cells=settings.cells, domain=settings.domain, clock=lambda: datetime.now(tz=UTC).date()
        ),
        settings=settings,
        engine=engine,
        updates=CellUpdates(ready(target_of(service.settings_file), _say, Turns(engine)), registry),
        probe=Probe.of(settings, ca_file=service.ca_file),
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
