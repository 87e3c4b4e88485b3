"""The worker: takes received events from the database and settles them, durably.

``python -m webhook.worker`` runs until it is told to stop. More of them share the work, on this machine or, with one
Postgres, on others. What a killed one was at is continued by any that lives.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import structlog
from dbos import DBOS, DBOSConfig, SetWorkflowID
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from registry.customers import Status
from registry.errors import RegistryError
from registry.wishes import Alert, AlertKind
from stacks.settings import read_settings
from webhook.assembly import Effects, assemble, now
from webhook.database.engine import open_database
from webhook.database.events import pending_events, renew_event
from webhook.database.mails import MailRecord, in_doubt
from webhook.database.marks import REGISTRY, mark_of, set_mark
from webhook.database.migrate import migrate
from webhook.database.subscriptions import plans_paid
from webhook.database.workers import BEAT_SECONDS, beat, leave, living
from webhook.letterbox import GIVEN_UP
from webhook.logs import configure_logs
from webhook.missed_events import take_in_missed
from webhook.process_identity import identity, is_dead
from webhook.settings import read_service_settings
from webhook.unreachable import mark_failures_to_connect
from webhook.workflows import VERSION, apply_commits, apply_event, catch_up, settle_again, settle_with

POLL_SECONDS = 0.5
SYNC_SECONDS = 5.0
"""Between two looks whether somebody else moved the registry's branch."""
RENEW_SECONDS = 60.0
HOUR_SECONDS = 3600.0
NOTHING = frozenset({"ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"})
"""States of a workflow that did not even leave its event to a person."""
STOP_SECONDS = 30.0
"""For what is under way to come to its end when the worker is told to stop; what has not is continued later."""
FORGOTTEN = timedelta(days=30)
"""After which a workflow that came to its end is removed."""
AT_ONCE = 200
DOUBT = timedelta(hours=1)
"""After which a letter that was begun and not sent is a person's: it may have been, or not."""

log = structlog.get_logger("worker")


class Worker:
    """Starts a workflow for each received event, and for what time and other people's commits have changed."""

    def __init__(self, effects: Effects, engine: Engine, name: str) -> None:
        self._effects = effects
        self._engine = engine
        self._name = name
        self._begun: set[str] = set()
        self._today: str | None = None

    def run(self, told: threading.Event) -> None:
        """Work until told to stop: each duty in a thread, as a mail server or remote that hangs may hold up its own."""
        duties = (
            (POLL_SECONDS, self._begin_events),
            (BEAT_SECONDS, self._beat),
            (RENEW_SECONDS, self._renew_events),
            (RENEW_SECONDS, self._send_letters),
            (SYNC_SECONDS, self._send_alerts),
            (HOUR_SECONDS, self._look_after_letters),
            (HOUR_SECONDS, self._take_in_missed),
            (HOUR_SECONDS, self._forget_workflows),
            (SYNC_SECONDS, self._sync),
            (BEAT_SECONDS, self._begin_day),
        )
        threads = [threading.Thread(target=self._repeat, args=(told, *duty), daemon=True) for duty in duties]
        for thread in threads:
            thread.start()
        told.wait()
        deadline = time.monotonic() + STOP_SECONDS
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _repeat(self, told: threading.Event, seconds: float, work: Callable[[], None]) -> None:
        """Do something again and again; a database or remote that is away for a while ends nothing."""
        while not told.is_set():
            try:
                work()
            except Exception as error:  # noqa: BLE001 - it is due again in a moment
                words = f"{type(error).__name__}: {error}"
                log.warning("not done this time", work=work.__name__.strip("_"), error=words)
            told.wait(seconds)

    def _begin_events(self) -> None:
        """Begin what was received: a workflow has the id of its event and receipt, and so runs once."""
        waiting = {_name(event_id, at): event_id for event_id, at in self._waiting()}
        for name in waiting.keys() - self._begun:
            with SetWorkflowID(name):
                DBOS.start_workflow(apply_event, waiting[name])
        self._begun = set(waiting)

    def _renew_events(self) -> None:
        """Begin events anew whose workflow failed without a word, as when the database was away for its last step."""
        for event_id, at in self._waiting():
            found = DBOS.get_workflow_status(_name(event_id, at))
            if found is not None and found.status in NOTHING:
                log.warning("an event's workflow came to nothing; it is begun anew", event_id=event_id)
                with Session(self._engine) as session, session.begin():
                    renew_event(session, event_id, now=now())

    def _take_in_missed(self) -> None:
        """Take in what Stripe did not deliver, and tell a person once a day that it does not."""
        found = take_in_missed(self._effects.settlement.stripe, self._engine, now=now())
        if found == 0:
            return
        day = now().date().isoformat()
        text = (
            f"Stripe had not delivered {found} events, which are applied now."
            " Fix: see in Stripe's dashboard (Developers, Webhooks) why the endpoint does not take them."
        )
        alert = Alert(kind=AlertKind.EVENTS_MISSED, cause=f"events-missed:{day}", text=text)
        self._effects.settlement.alerts.call(alert, customer_id=None, event_id=None)

    def _send_letters(self) -> None:
        """Send what no mail server took when it was due."""
        self._effects.settlement.letterbox.send_late()

    def _send_alerts(self) -> None:
        """Write to our own people what they are called for."""
        with self._effects.settlement.turns.alone("alerting"):
            self._effects.settlement.alerts.send()

    def _look_after_letters(self) -> None:
        """Call a person for letters that may have been sent, or that no mail server takes."""
        with Session(self._engine) as session:
            doubtful = in_doubt(session, begun_before=now() - DOUBT)
            session.expunge_all()
        for letter in doubtful:
            text = (
                f"The letter `{letter.cause}` was begun and may not have been sent."
                " Fix: ask the mail server; write by hand."
            )
            self._call(AlertKind.LETTER_IN_DOUBT, letter, text)
        for letter in self._effects.settlement.letterbox.send_overdue():
            text = (
                f"The letter `{letter.cause}` is owed since {letter.claimed_at:%Y-%m-%d %H:%M} UTC and no mail server"
                f" takes it; it is tried each hour for {GIVEN_UP.days} days. Fix: see in the worker's log why"
                " (`letter not taken`, `letter without an address`); correct the address in Stripe, or the mail"
                " server's settings."
            )
            self._call(AlertKind.LETTER_OWED, letter, text)

    def _call(self, kind: AlertKind, letter: MailRecord, text: str) -> None:
        alert = Alert(kind=kind, cause=f"{kind}:{letter.cause}", text=text)
        self._effects.settlement.alerts.call(alert, customer_id=letter.customer_id, event_id=None)

    def _waiting(self) -> Sequence[tuple[str, datetime]]:
        return pending_events(self._engine, now())

    def _beat(self) -> None:
        """Say that this worker lives, and give what dead ones were at to whoever is free."""
        with Session(self._engine) as session, session.begin():
            _beat(session, self._name, self._effects)
            alive = {each.name for each in living(session, now=now()) if not is_dead(each.name)}
        left = [
            each
            for each in DBOS.list_workflows(status="PENDING", load_input=False)
            if str(each.executor_id) not in alive | {self._name}
        ]
        for each in left:
            if each.app_version != VERSION:  # nobody goes on with it; ended, its event is begun anew
                log.warning("an older version's workflow is ended", workflow=each.workflow_id, version=each.app_version)
                DBOS.cancel_workflow(each.workflow_id)
        dead = sorted({str(each.executor_id) for each in left if each.app_version == VERSION})
        if dead:
            log.warning("going on with what others were at", workers=dead)
            # It has no public name. However many workers ask for it, each workflow is taken by one.
            DBOS._recover_pending_workflows(dead)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]

    def _forget_workflows(self) -> None:
        """Remove what came to its end long ago: each event leaves a workflow with some rows, and none is read again."""
        before = (now() - FORGOTTEN).isoformat()
        while True:
            ended = DBOS.list_workflows(completed_before=before, limit=AT_ONCE, load_input=False, load_output=False)
            if not ended:
                return
            DBOS.delete_workflows([each.workflow_id for each in ended])

    def _sync(self) -> None:
        """See whether the registry's branch moved, by whomever, and bring that onto the cells.

        What a workflow of ours committed is on its way to its cell already, or there: then that is found to be so.
        """
        with Session(self._engine) as session, session.begin():
            seen = mark_of(session, REGISTRY)
        moved = self._effects.store.sync(since=seen)
        if moved is not None:
            with SetWorkflowID(f"commits-{moved.before[:12]}-{moved.after[:12]}"):
                DBOS.start_workflow(apply_commits, moved.before, moved.after)
        reached = moved.after if moved is not None else self._effects.store.head() if seen is None else None
        if reached is not None:
            with Session(self._engine) as session, session.begin():
                set_mark(session, REGISTRY, reached)

    def _begin_day(self) -> None:
        """Look, once a day, at each customer that time may have changed, and bring each cell up to date."""
        day = now().date().isoformat()
        if day == self._today:
            return
        try:
            customers = self._effects.store.read().customers
        except RegistryError as error:
            log.warning("the registry is refused", error=str(error))
            return
        with Session(self._engine) as session:
            paid = plans_paid(session)
        for cell in sorted({entry.cell for entry in customers.values()}):
            with SetWorkflowID(f"cell-{cell}-{day}"):
                DBOS.start_workflow(catch_up, cell, day)
        for entry in customers.values():
            if entry.stripe_subscription is None:
                continue
            held = paid.get(entry.stripe_subscription, entry.plan) != entry.plan
            if entry.status is not Status.ACTIVE or held:
                with SetWorkflowID(f"day-{entry.stripe_subscription}-{day}"):
                    DBOS.start_workflow(settle_again, entry.stripe_subscription, day)
        self._today = day


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    configure_logs()
    service = read_service_settings()
    settings = read_settings(service.settings_file.resolve())
    engine = open_database(service.database_url)
    migrate(engine)
    effects = assemble(service, settings, engine)
    work(effects, engine, service.database_url)


def work(effects: Effects, engine: Engine, database_url: str) -> None:
    """Work with these effects until SIGTERM or SIGINT; then this process ends."""
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    settle_with(effects.settlement)
    name = identity()
    config: DBOSConfig = {
        "name": "hosting-worker",
        "system_database_url": _workflows_url(database_url),
        "application_version": VERSION,
        "executor_id": name,
    }
    with Session(engine) as session, session.begin():  # before the first workflow: who does not beat counts as dead
        _beat(session, name, effects)
    mark_failures_to_connect()
    DBOS(config=config)
    DBOS.launch()
    log.info("worker is ready", name=name, database=engine.url.render_as_string(hide_password=True))
    try:
        Worker(effects, engine, name).run(told)
    finally:
        DBOS.destroy(workflow_completion_timeout_sec=round(STOP_SECONDS))
        effects.deployer.interrupt()
        with Session(engine) as session, session.begin():
            leave(session, name)
    # What has not come to its end goes no further in this process: another one continues it.
    os._exit(0)


def _beat(session: Session, name: str, effects: Effects) -> None:
    deployer = effects.deployer
    beat(
        session,
        name,
        now=now(),
        engine_version=deployer.version,
        engine_problem=deployer.problem,
        updating=deployer.updating,
    )


def _name(event_id: str, at: datetime) -> str:
    """Return the id of an event's workflow: another one for each receipt."""
    return f"event-{event_id}-{at:%Y%m%dT%H%M%S%f}"


def _workflows_url(database_url: str) -> str:
    """Return where workflows are kept: the same Postgres, or a SQLite file beside the management database's."""
    if database_url.startswith("sqlite"):
        path = Path(database_url.removeprefix("sqlite:///"))
        return f"sqlite:///{path.with_name('workflows.sqlite3')}"
    return database_url


if __name__ == "__main__":
    main()
