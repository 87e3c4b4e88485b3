"""Events are written past SQLAlchemy's execution and pool: as it would write them, and through what a pool survives."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session

from tests.webhook.databases import Postgres
from webhook.database import event_intake
from webhook.database.engine import open_database
from webhook.database.event_intake import record_event
from webhook.database.events import EventRecord, EventState, NewEvent

NOW = datetime(2026, 11, 24, 17, 30, 0, 123456, tzinfo=timezone(timedelta(hours=5, minutes=30)))


def new_event(event_id: str = "evt_1", **changes: Any) -> NewEvent:
    """Return an event."""
    values: dict[str, Any] = {"type": "invoice.paid", "api_version": None, "created": NOW, "received_at": NOW}
    return NewEvent(**{**values, "id": event_id, "payload": {"id": event_id}, **changes})


def at_once(engine: Engine, number: int) -> list[bool]:
    """Write so many events at the same time, each from a thread of its own."""
    ready = threading.Barrier(number)

    def one(index: int) -> bool:
        ready.wait()
        return record_event(engine, new_event(f"evt_{time.monotonic_ns()}_{index}"))

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(one, range(number)))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"state": EventState.IGNORED, "reason": 'it\'s ours; "DROP TABLE" %(id)s ? :id', "api_version": "2026"},
        {"payload": {"data": {"object": {"id": "in_1", "amount_refunded": 2**70, "status": None, "x": [True]}}}},
    ],
    ids=["plain", "ignored", "payload"],
)
def test_a_row_is_the_same_as_sqlalchemy_s(engine: Engine, changes: dict[str, Any]) -> None:
    """In every column, as the database itself sees it."""
    assert record_event(engine, new_event("evt_1", **{"payload": {}, **changes}))
    with Session(engine) as session, session.begin():
        session.add(EventRecord(**vars(new_event("evt_2", **{"payload": {}, **changes}))))
    with engine.connect() as connection:
        ours, theirs = connection.execute(text("SELECT * FROM events ORDER BY id")).mappings().all()
    assert {**ours, "id": None} == {**theirs, "id": None}


def test_connections_that_broke_are_made_anew(engine: Engine) -> None:
    """All of them at once, as by a restart of Postgres or its proxy: nobody is told of it."""
    assert at_once(engine, 5) == [True] * 5
    if engine.dialect.name == "postgresql":
        with engine.connect() as connection:
            ended = text(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            assert connection.execute(ended).scalar_one() >= 1
    assert at_once(engine, 5) == [True] * 5


def test_a_lock_is_waited_for_once(engine: Engine, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many connections there are, one wait; the next event is written."""
    impatient = open_database(database_url, wait_seconds=0.3)
    assert at_once(impatient, 5) == [True] * 5
    tries: list[bool] = []
    lend = event_intake._Writer._connection

    def counted(writer: event_intake._Writer) -> tuple[Any, bool]:
        connection, is_fresh = lend(writer)
        tries.append(is_fresh)
        return connection, is_fresh

    monkeypatch.setattr(event_intake._Writer, "_connection", counted)
    with engine.begin() as other:
        if engine.dialect.name == "postgresql":
            other.execute(text("LOCK TABLE events IN EXCLUSIVE MODE"))
        with pytest.raises(DBAPIError) as caught:
            record_event(impatient, new_event())
        assert tries == [False]
        assert "evt_1" not in str(caught.value)
    assert record_event(impatient, new_event())
    impatient.dispose()


def test_a_database_that_is_not_there(postgres: Postgres) -> None:
    """It is one of SQLAlchemy's errors, as all that the database may fail with."""
    nowhere = open_database(postgres.url("nowhere"))
    with pytest.raises(SQLAlchemyError):
        record_event(nowhere, new_event())
    nowhere.dispose()


def test_the_connections_go_with_the_database_s(engine: Engine, database_url: str) -> None:
    """Whoever closes the database closes these too; it may be used again all the same."""
    opened = open_database(database_url)
    assert at_once(opened, 5) == [True] * 5
    opened.dispose()
    if engine.dialect.name == "postgresql":
        with engine.connect() as connection:
            others = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
            deadline = time.monotonic() + 10
            while connection.execute(others).scalar_one() > 1:
                assert time.monotonic() < deadline
                time.sleep(0.05)
                connection.rollback()  # what is seen is seen once for each transaction
    assert record_event(opened, new_event())
    opened.dispose()


def test_a_moment_without_a_zone_is_refused(light_engine: Engine) -> None:
    """As everywhere."""
    with pytest.raises(ValueError, match="without a time zone"):
        record_event(light_engine, new_event(created=datetime(2026, 11, 24, 12)))  # noqa: DTZ001 - that is the point
    assert record_event(light_engine, new_event(created=datetime(2026, 11, 24, 12, tzinfo=UTC)))
