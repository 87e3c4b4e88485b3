"""What a worker does beside events: each duty by itself, so that none waits for another one's network."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from dbos import DBOS, SetWorkflowID
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from registry.customers import Customer, Registry, Status
from webhook.database.event_intake import record_event
from webhook.database.events import EventState, NewEvent, find_event, settle_event
from webhook.worker import Worker
from webhook.workflows import VERSION, catch_up


class Patient(Worker):
    """A worker whose mail server, remote and database hang until it is told otherwise."""

    def __init__(self) -> None:
        super().__init__(cast("Any", SimpleNamespace()), cast("Any", None), "test")
        self.go = threading.Event()
        self.beats = 0
        self.begun = 0

    def _hang(self) -> None:
        assert self.go.wait(30)

    _renew_events = _sync = _begin_day = _hang
    _send_letters = _look_after_letters = _take_in_missed = _forget_workflows = _hang

    def _beat(self) -> None:
        self.beats += 1

    def _begin_events(self) -> None:
        self.begun += 1


def test_a_mail_server_or_remote_that_hangs_holds_no_event_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events are begun and the sign of life is given all the while; told to stop, it ends what it is at."""
    monkeypatch.setattr("webhook.worker.POLL_SECONDS", 0.01)
    monkeypatch.setattr("webhook.worker.BEAT_SECONDS", 0.02)
    worker, told = Patient(), threading.Event()
    running = threading.Thread(target=worker.run, args=(told,))
    running.start()
    deadline = time.monotonic() + 10
    while (worker.beats < 5 or worker.begun < 5) and time.monotonic() < deadline:
        time.sleep(0.01)
    told.set()
    running.join(0.5)
    ended_early = not running.is_alive()
    worker.go.set()
    running.join(10)
    assert (worker.beats >= 5, worker.begun >= 5, ended_early) == (True, True, False)
    assert not running.is_alive()


def test_each_day_the_cells_are_brought_up_to_date(light_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose update failed for a commit that no event stands for gets it a day later; once a day, each cell."""
    entry = Customer(subdomain="acme", plan="team", status=Status.ACTIVE, cell="eu-1")
    registry = Registry(customers={"c-one": entry, "c-two": entry.model_copy(update={"subdomain": "birch"})})
    begun: list[tuple[object, ...]] = []
    monkeypatch.setattr("webhook.worker.DBOS.start_workflow", lambda *arguments: begun.append(arguments))
    worker = Worker(cast("Any", SimpleNamespace(store=SimpleNamespace(read=lambda: registry))), light_engine, "test")
    for _ in range(2):
        worker._begin_day()
    day = datetime.now(tz=UTC).date().isoformat()
    assert begun == [(catch_up, "eu-1", day)]


@pytest.fixture
def workflows(tmp_path: Path) -> Iterator[Path]:
    """Where workflows are kept."""
    path = tmp_path / "workflows.sqlite3"
    DBOS(
        config={
            "name": "test",
            "system_database_url": f"sqlite:///{path}",
            "application_version": VERSION,
            "executor_id": "test",
        }
    )
    DBOS.launch()
    yield path
    DBOS.destroy()


@DBOS.workflow()
def nothing() -> None:
    """Do nothing, durably."""


def a_worker(light_engine: Engine) -> Worker:
    """Return one that has a database and an engine that is well."""
    deployer = SimpleNamespace(version="test", problem=None, updating=())
    return Worker(cast("Any", SimpleNamespace(deployer=deployer)), light_engine, "test")


def test_what_an_older_version_left_is_begun_anew(light_engine: Engine, workflows: Path) -> None:
    """A dead worker's workflow that this version can't go on with is ended, so that its event is taken up."""
    now = datetime.now(tz=UTC)
    for name in ("evt_old", "evt_done"):
        event = NewEvent(id=name, type="t", api_version=None, created=now, received_at=now, payload={})
        record_event(light_engine, event)
    with Session(light_engine) as session, session.begin():
        settle_event(session, "evt_done", EventState.APPLIED, now=now)
    with SetWorkflowID(f"event-evt_old-{now:%Y%m%dT%H%M%S%f}"):
        DBOS.start_workflow(nothing).get_result()
    with sqlite3.connect(workflows) as connection:
        connection.execute(
            "UPDATE workflow_status SET status = 'PENDING', application_version = '0', executor_id = 'gone'"
        )
    worker = a_worker(light_engine)
    worker._beat()
    worker._renew_events()
    with Session(light_engine) as session:
        event = find_event(session, "evt_old")
        assert event is not None
        assert event.received_at > now
    assert DBOS.list_workflows(status="PENDING") == []


@pytest.mark.usefixtures("workflows")
def test_workflows_are_not_kept_for_ever(light_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """What came to its end a month ago is forgotten; the ledger and the events tell of it."""
    for _ in range(3):
        DBOS.start_workflow(nothing).get_result()
    worker = a_worker(light_engine)
    worker._forget_workflows()
    assert len(DBOS.list_workflows()) == 3
    monkeypatch.setattr("webhook.worker.now", lambda: datetime.now(tz=UTC) + timedelta(days=31))
    worker._forget_workflows()
    assert DBOS.list_workflows() == []
