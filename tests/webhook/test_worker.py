"""What a worker does beside events: each duty by itself, so that none waits for another one's network."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from registry.customers import Customer, Registry, Status
from webhook.database.engine import open_database
from webhook.database.migrate import migrate
from webhook.worker import Worker
from webhook.workflows import catch_up


class Patient(Worker):
    """A worker whose mail server, remote and database hang until it is told otherwise."""

    def __init__(self) -> None:
        super().__init__(cast("Any", SimpleNamespace()), cast("Any", None), "test")
        self.go = threading.Event()
        self.beats = 0
        self.begun = 0

    def _hang(self) -> None:
        assert self.go.wait(30)

    _send_letters = _look_after_letters = _take_in_missed = _sync = _begin_day = _renew_events = _hang

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


def test_each_day_the_cells_are_brought_up_to_date(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whose update failed for a commit that no event stands for gets it a day later; once a day, each cell."""
    engine = open_database(f"sqlite:///{tmp_path / 'management.sqlite3'}")
    migrate(engine)
    entry = Customer(subdomain="acme", plan="team", status=Status.ACTIVE, cell="eu-1")
    registry = Registry(customers={"c-one": entry, "c-two": entry.model_copy(update={"subdomain": "birch"})})
    begun: list[tuple[object, ...]] = []
    monkeypatch.setattr("webhook.worker.DBOS.start_workflow", lambda *arguments: begun.append(arguments))
    worker = Worker(cast("Any", SimpleNamespace(store=SimpleNamespace(read=lambda: registry))), engine, "test")
    for _ in range(2):
        worker._begin_day()
    day = datetime.now(tz=UTC).date().isoformat()
    assert begun == [(catch_up, "eu-1", day)]
    engine.dispose()
