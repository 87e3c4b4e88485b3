"""Events as durable workflows, in a real DBOS: what can't be applied is parked with its reason, and nobody else's."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from dbos import DBOS, SetWorkflowID
from sqlalchemy import Engine, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from registry.errors import Problem, RegistryError
from webhook.alerts import Alerts
from webhook.cell_updates import UpdateError
from webhook.database.event_intake import record_event
from webhook.database.events import EventState, NewEvent, find_event
from webhook.database.ledger import LedgerEntry, LedgerKind
from webhook.settlement import Settled, Settlement
from webhook.workflows import VERSION, apply_event, catch_up, settle_with

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
PAID = {"type": "invoice.paid", "data": {"object": {"object": "invoice", "subscription": "sub_1"}}}


@pytest.fixture
def dbos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep workflows in a file; pauses between a step's tries take no time."""
    monkeypatch.setattr("dbos._outcome.time", SimpleNamespace(sleep=lambda _: None))
    DBOS(
        config={
            "name": "test",
            "system_database_url": f"sqlite:///{tmp_path / 'workflows.sqlite3'}",
            "application_version": VERSION,
            "executor_id": "test",
        }
    )
    DBOS.launch()
    yield
    DBOS.destroy()


def apply(light_engine: Engine, payload: dict[str, Any], change: Callable[..., object]) -> None:
    """Take an event in and apply it, with a settlement that does nothing but this change."""
    event = NewEvent(id="evt_1", type=payload["type"], api_version=None, created=NOW, received_at=NOW, payload=payload)
    record_event(light_engine, event)
    alerts = Alerts(engine=light_engine, clock=lambda: NOW)
    effects = SimpleNamespace(engine=light_engine, alerts=alerts, clock=lambda: NOW, change=change)
    settle_with(cast("Settlement", effects))
    with SetWorkflowID("event-evt_1"):
        DBOS.start_workflow(apply_event, "evt_1").get_result()


def outcome(light_engine: Engine) -> tuple[EventState, str, str]:
    """Return the event's state and reason, and what a person was told."""
    with Session(light_engine) as session:
        event = find_event(session, "evt_1")
        alert = session.scalars(select(LedgerEntry).where(LedgerEntry.kind == LedgerKind.ALERT)).one()
        assert event is not None
        return event.state, str(event.reason), alert.detail["text"]


def failing(error: Exception) -> Callable[..., object]:
    """Return a change that never succeeds."""

    def change(*_: object, **__: object) -> object:
        raise error

    return change


@pytest.mark.usefixtures("dbos")
def test_a_person_is_told_the_reason_and_not_the_number_of_tries(light_engine: Engine) -> None:
    """After the last try the event is parked with the words of what failed, which say the fix."""
    problem = Problem(path="customers/acme/plan", reason="there is no plan `gold`", fix="write one of the three")
    apply(light_engine, PAID, failing(RegistryError([problem])))
    state, reason, text = outcome(light_engine)
    assert state is EventState.PARKED
    for words in (reason, text):
        assert str(problem) in words


@pytest.mark.usefixtures("dbos")
def test_an_address_in_a_databases_message_is_not_repeated(light_engine: Engine) -> None:
    """Postgres names the row that is there already; neither the event's reason nor the alert shows whose it is."""
    original = ValueError("Key (email)=(ada@example.org) already exists.")
    apply(light_engine, PAID, failing(IntegrityError("INSERT", {}, original)))
    state, reason, text = outcome(light_engine)
    assert state is EventState.PARKED
    for words in (reason, text):
        assert "IntegrityError" in words
        assert "ada@" not in words


@pytest.mark.usefixtures("dbos")
def test_a_cell_that_can_not_be_brought_up_to_date_is_told_of(light_engine: Engine) -> None:
    """The newest commit is asked for, and a person is told the engine's words."""
    asked: list[str | None] = []

    def update(settled: Settled, _: str | None) -> None:
        asked.append(settled.commit)
        raise UpdateError(f"{settled.cell}: the server does not answer")

    alerts = Alerts(engine=light_engine, clock=lambda: NOW)
    settle_with(cast("Settlement", SimpleNamespace(engine=light_engine, alerts=alerts, update=update)))
    assert DBOS.start_workflow(catch_up, "eu-1", "2026-11-24").get_result() == "reported"
    assert set(asked) == {None}
    with Session(light_engine) as session:
        alert = session.scalars(select(LedgerEntry).where(LedgerEntry.kind == LedgerKind.ALERT)).one()
    assert "eu-1: the server does not answer" in alert.detail["text"]


@pytest.mark.usefixtures("dbos")
def test_an_event_that_can_not_be_read_is_parked(light_engine: Engine) -> None:
    """An event in a shape that we do not know is a person's, and not begun for ever."""
    apply(light_engine, {"type": "charge.refunded", "data": {"object": "ch_1"}}, failing(AssertionError()))
    state, _, text = outcome(light_engine)
    assert state is EventState.PARKED
    assert "evt_1" in text


def test_a_refusal_is_the_same_when_another_worker_reads_it() -> None:
    """Failures are kept between steps: what a person reads after a crash names the problem too."""
    problem = Problem(path="customers/acme/plan", reason="there is no plan `gold`", fix="write one of the three")
    error = RegistryError([problem])
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301 - made a moment ago
