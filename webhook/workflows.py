"""Settling as durable workflows: each step's result is in the database, and a step that was cut off is run again.

A worker that is killed is continued by itself when it starts again, or by another one (``worker.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, ParamSpec, TypeVar

from dbos import DBOS
from dbos import error as dbos_errors
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from registry.changes import diff
from registry.customers import LEAVING
from registry.wishes import Alert, AlertKind, Step
from webhook.database.events import EventState, begin_attempt, find_event, settle_event
from webhook.database.instances import remove_instance, save_instance
from webhook.settlement import Settled, Settlement
from webhook.subscriptions import alert_of, ignored_because, subject_of

VERSION = "1"
"""Of the workflows: those that another version began are not continued by this one but ended, and begun anew."""
TRIES = 8
"""Of a step, with pauses that double: about two minutes of a cloud's or a database's being away."""
MOST_ROUNDS = 6
"""Of one settling: an instance's end takes four, and what still waits then is looked at tomorrow."""
MOST_WORDS = 500
"""Characters of an error that a person is told."""

P = ParamSpec("P")
R = TypeVar("R")
_here: dict[str, Settlement] = {}


def settle_with(effects: Settlement) -> None:
    """Give this process its effects, before the first workflow is started."""
    _here["settlement"] = effects


def settlement() -> Settlement:
    """Return the effects of this process."""
    return _here["settlement"]


def _patient(seconds: float) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return what makes a step that is tried again, after a pause that doubles from so many seconds."""
    return DBOS.step(retries_allowed=True, max_attempts=TRIES, interval_seconds=seconds)


@_patient(1.0)
def look(event_id: str) -> dict[str, str | None]:
    """Return what an event asks for: a subscription to settle, or the reason why nothing."""
    with Session(settlement().engine) as session, session.begin():
        begin_attempt(session, event_id)
        event = find_event(session, event_id)
        payload: dict[str, Any] = {} if event is None else event.payload
    alert = alert_of(payload)
    if alert is not None:
        settlement().alerts.call(alert, customer_id=None, event_id=event_id)
        return {"subscription": None, "reason": "a person was alerted", "state": EventState.APPLIED}
    return {"subscription": subject_of(payload), "reason": ignored_because(payload), "state": EventState.IGNORED}


@_patient(1.0)
def change(subscription_id: str, event_id: str | None, answers: bool) -> dict[str, Any]:  # noqa: FBT001 - kept by position
    """Edit the registry as Stripe's present state wants it."""
    return asdict(settlement().change(subscription_id, event_id, answers=answers))


@_patient(2.0)
def update(settled: dict[str, Any], event_id: str | None) -> None:
    """Bring the change onto its cell."""
    settlement().update(Settled(**settled), event_id)


@DBOS.step(retries_allowed=True, max_attempts=2, interval_seconds=5.0)
def see(settled: dict[str, Any], event_id: str | None) -> None:
    """Wait until the instance answers."""
    settlement().see(Settled(**settled), event_id)


@_patient(5.0)
def back_up(settled: dict[str, Any], event_id: str | None) -> None:
    """Make the final backup."""
    settlement().back_up(Settled(**settled), event_id)


@_patient(1.0)
def tell(settled: dict[str, Any], event_id: str | None) -> None:
    """Send the customer's letters."""
    settlement().tell(Settled(**settled), event_id)


@_patient(1.0)
def finish(event_id: str, state: str, reason: str | None) -> None:
    """Note what became of the event."""
    with Session(settlement().engine) as session, session.begin():
        settle_event(session, event_id, EventState(state), now=settlement().clock(), reason=reason)


@_patient(1.0)
def park(event_id: str, reason: str) -> None:
    """Leave an event that can't be applied to a person."""
    text = f"Event {event_id} could not be applied: {reason} Fix the reason, then `hosting events retry {event_id}`."
    alert = Alert(kind=AlertKind.PARKED, cause=f"parked:{event_id}:{reason}", text=text)
    settlement().alerts.call(alert, customer_id=None, event_id=event_id)
    with Session(settlement().engine) as session, session.begin():
        settle_event(session, event_id, EventState.PARKED, now=settlement().clock(), reason=reason)


@_patient(1.0)
def report(subject: str, moment: str, reason: str) -> None:
    """Tell a person of what could not be done without an event."""
    text = f"{subject} could not be settled ({moment}): {reason} It is tried again tomorrow. Fix the reason."
    alert = Alert(kind=AlertKind.PARKED, cause=f"unsettled:{subject}:{moment}", text=text)
    settlement().alerts.call(alert, customer_id=None, event_id=None)


@_patient(1.0)
def moved(before: str, after: str) -> dict[str, list[str]]:
    """Mirror somebody else's commits; return the cells that they touch, and the subscriptions whose end goes on."""
    old, new = settlement().store.at(before), settlement().store.at(after)
    changes = diff(old, new)
    present = settlement().store.read().customers  # what was settled since is newer than these commits
    with Session(settlement().engine) as session, session.begin():
        for each in changes:
            entry = present.get(each.customer_id)
            if entry is None:
                remove_instance(session, each.customer_id)
            else:
                save_instance(session, each.customer_id, entry, now=settlement().clock())
    cells = {cell for each in changes if each.is_declared for cell in each.cells}
    leaving = {each.after.stripe_subscription for each in changes if each.after and each.after.status in LEAVING}
    return {"cells": sorted(cells), "subscriptions": sorted(each for each in leaving if each is not None)}


def settle(subscription_id: str, event_id: str | None) -> str:
    """Change, update, tell, and do what comes next, until nothing does; return why it is so."""
    settled = change(subscription_id, event_id, False)  # noqa: FBT003 - kept by position
    for _ in range(MOST_ROUNDS):
        if settled["is_declared"]:
            update(settled, event_id)
        answers = settled["step"] == Step.AWAIT_ANSWER
        if answers:
            see(settled, event_id)
        else:
            tell(settled, event_id)
        if settled["step"] == Step.FINAL_BACKUP:
            back_up(settled, event_id)
        elif not answers and settled["step"] != Step.REMOVE_INSTANCE:
            break
        settled = change(subscription_id, event_id, answers)
    return str(settled["reason"])


@DBOS.workflow()
def apply_event(event_id: str) -> str:
    """Settle what an event hints at."""
    try:
        asked = look(event_id)
        subscription_id = asked["subscription"]
        state, reason = asked["state"], asked["reason"]
        if subscription_id is not None:
            state, reason = EventState.APPLIED, settle(subscription_id, event_id)
    except Exception as error:  # noqa: BLE001 - whatever it is, the event is not lost and a person is told
        park(event_id, _words(error))
        return "parked"
    finish(event_id, str(state), reason)
    return str(reason)


@DBOS.workflow()
def settle_again(subscription_id: str, moment: str) -> str:
    """Settle what only time has changed: the end of a grace period, its last warning, a change that waits."""
    try:
        return settle(subscription_id, None)
    except Exception as error:  # noqa: BLE001 - tomorrow is another day, and a person is told
        report(subscription_id, moment, _words(error))
        return "reported"


@DBOS.workflow()
def apply_commits(before: str, after: str) -> str:
    """Bring somebody else's commits (a merged proposal, a hand edit) onto the cells that they touch."""
    try:
        touched = moved(before, after)
        for cell in touched["cells"]:
            update(asdict(Settled.of_commit(cell, after)), None)
        for subscription_id in touched["subscriptions"]:
            settle(subscription_id, None)
    except Exception as error:  # noqa: BLE001 - the registry is as it is, and a person is told
        report(f"Commit {after[:10]} of the registry", "merge", _words(error))
        return "reported"
    return ", ".join(touched["cells"]) or "no cell"


@DBOS.workflow()
def catch_up(cell: str, day: str) -> str:
    """Bring a cell to the newest commit, as it may be one whose update failed and that no event stands for."""
    try:
        update(asdict(Settled.of_commit(cell, None)), None)
    except Exception as error:  # noqa: BLE001 - tomorrow is another day, and a person is told
        report(f"Cell {cell}", day, _words(error))
        return "reported"
    return cell


def _words(error: Exception) -> str:
    """Return why something failed, for people; of a step that was tried in vain, its last failure."""
    if isinstance(error, dbos_errors.DBOSMaxStepRetriesExceeded) and error.errors:
        error = error.errors[-1]
    if isinstance(error, SQLAlchemyError):  # its text may hold an address, as Postgres' ``Key (email)=(...)``
        cause = getattr(error, "orig", None)
        return f"{type(error).__name__}: the management database said {type(cause or error).__name__}."
    return f"{type(error).__name__}: {error}"[:MOST_WORDS]
