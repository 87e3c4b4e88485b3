"""Workers' signs of life, on both databases: who lives, what they say, and what it means for the work."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from webhook.database.event_intake import record_event
from webhook.database.events import EventState, NewEvent, settle_event
from webhook.database.workers import (
    FORGOTTEN,
    LONG,
    SILENT,
    WorkerRecord,
    beat,
    engine_problem,
    leave,
    living,
    look_at_work,
    queue_problem,
    seconds_since,
)

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def say(engine: Engine, name: str = "one:1", *, now: datetime = NOW, **said: Any) -> None:
    """Beat in a transaction."""
    with Session(engine) as session, session.begin():
        beat(session, name, now=now, **{"engine_version": "3.259.0", **said})


def names(engine: Engine, *, now: datetime) -> list[str]:
    """Return who lives."""
    with Session(engine) as session:
        return [worker.name for worker in living(session, now=now)]


def wait(engine: Engine, event_id: str = "evt_1", *, since: datetime = NOW) -> None:
    """Keep an event that waits."""
    event = NewEvent(
        id=event_id, type="invoice.paid", api_version=None, created=since, received_at=since, payload={"id": event_id}
    )
    record_event(engine, event)


def test_a_beat_replaces_the_one_before(engine: Engine) -> None:
    """One row a worker, with what it said last."""
    say(engine, updating=["eu-2", "eu-1"])
    (worker,) = look_at_work(engine, now=NOW).workers
    assert (worker.engine_version, worker.engine_problem, worker.updating) == ("3.259.0", None, ["eu-1", "eu-2"])
    say(engine, now=NOW + SECOND, engine_version=None, engine_problem="it is gone")
    (worker,) = look_at_work(engine, now=NOW).workers
    assert (worker.seen_at, worker.engine_version, worker.engine_problem) == (NOW + SECOND, None, "it is gone")
    assert worker.updating == []


def test_who_is_silent_is_dead(engine: Engine) -> None:
    """After a while and not before; others are not concerned."""
    say(engine, "two:2")
    say(engine, "one:1", now=NOW + SECOND)
    assert names(engine, now=NOW + SILENT) == ["one:1", "two:2"]
    assert names(engine, now=NOW + SILENT + SECOND) == ["one:1"]
    assert look_at_work(engine, now=NOW + SILENT + SECOND).seen_at == NOW + SECOND


def test_rows_of_the_dead_go(engine: Engine) -> None:
    """With another one's beat, an hour later: a machine that restarts its worker each minute fills no table."""
    say(engine, "old:1")
    say(engine, "new:2", now=NOW + FORGOTTEN)
    with Session(engine) as session:
        assert set(session.scalars(select(WorkerRecord.name))) == {"old:1", "new:2"}
    say(engine, "new:2", now=NOW + FORGOTTEN + SECOND)
    with Session(engine) as session:
        assert set(session.scalars(select(WorkerRecord.name))) == {"new:2"}


def test_who_leaves_is_gone_at_once(engine: Engine) -> None:
    """A stopped worker is no dead one, and only its own row goes."""
    say(engine, "one:1")
    say(engine, "two:2")
    with Session(engine) as session, session.begin():
        leave(session, "one:1")
    assert names(engine, now=NOW) == ["two:2"]


def test_without_a_worker_nothing_is_applied(engine: Engine) -> None:
    """Told with the seconds since the last one, or that there never was one, and what to do."""
    never = look_at_work(engine, now=NOW)
    assert "has been seen ever;" in (queue_problem(never, now=NOW) or "")
    assert "python -m webhook.worker" in (queue_problem(never, now=NOW) or "")
    assert engine_problem(never) == "unknown: there is no worker to say"
    say(engine)
    later = NOW + timedelta(seconds=93)
    assert "no worker has been seen for 93 s;" in (queue_problem(look_at_work(engine, now=later), now=later) or "")


def test_an_event_that_waits_long_is_stuck(engine: Engine) -> None:
    """Though a worker is there; the oldest of those that still wait decides."""
    wait(engine, "evt_1")
    wait(engine, "evt_2", since=NOW + SECOND)
    for now, stuck in ((NOW + LONG, False), (NOW + LONG + SECOND, True)):
        say(engine, now=now)
        work = look_at_work(engine, now=now)
        assert work.waiting_since == NOW
        assert (queue_problem(work, now=now) is not None) is stuck
    assert "since 2026-11-24T12:00:00+00:00" in (queue_problem(work, now=now) or "")
    with Session(engine) as session, session.begin():
        settle_event(session, "evt_1", EventState.APPLIED, now=now)
    assert queue_problem(look_at_work(engine, now=now), now=now) is None
    with Session(engine) as session, session.begin():
        settle_event(session, "evt_2", EventState.PARKED, now=now, reason="given up")
    assert look_at_work(engine, now=now).waiting_since is None


def test_each_engine_that_fails_is_named(engine: Engine) -> None:
    """One that works does not hide it; a dead worker's is nobody's concern."""
    say(engine, "dead:1", now=NOW - SILENT - SECOND, engine_version=None, engine_problem="long ago")
    say(engine, "one:1")
    assert engine_problem(look_at_work(engine, now=NOW)) is None
    say(engine, "two:2", engine_version=None, engine_problem="there is no engine. Fix: make setup")
    assert engine_problem(look_at_work(engine, now=NOW)) == "two:2: there is no engine. Fix: make setup"


@pytest.mark.parametrize(("moment", "seconds"), [(NOW - 2 * SECOND, 2.0), (NOW, 0.0), (NOW + SECOND, 0.0)])
def test_clocks_that_differ_show_no_future(moment: datetime, seconds: float) -> None:
    """A worker whose clock is ahead was seen just now."""
    assert seconds_since(moment, now=NOW) == seconds
