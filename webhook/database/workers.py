"""The workers' sign of life: the web process knows neither queue nor engine, so those that do say how they are.

An event is a row, and workers look for rows (ADR 11): no worker, no work. What each says of itself is here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine, delete, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from webhook.database.base import DOCUMENT, Base
from webhook.database.engine import reading
from webhook.database.events import EventRecord, EventState
from webhook.database.insert import insert_or_update

BEAT_SECONDS = 5.0
"""How often a worker says that it is there: each time is a write to the disk."""
SILENT = timedelta(seconds=30)
"""A worker that said nothing for so long is taken for dead."""
FORGOTTEN = timedelta(hours=1)
"""So long a dead one is still told of; then its row goes."""
LONG = timedelta(minutes=15)
"""An event that waits longer is stuck: an update takes seconds, its tries some minutes."""


class WorkerRecord(Base):
    """One worker process.

    Attributes:
        name: Its process's identity.
        seen_at: When it last said so.
        engine_version: Of its Pulumi; None where it has none that runs.
        engine_problem: Why its engine can't be used; None where it can.
        updating: Cells that it updates now.
    """

    __tablename__ = "workers"

    name: Mapped[str] = mapped_column(primary_key=True)
    seen_at: Mapped[datetime] = mapped_column(index=True)
    engine_version: Mapped[str | None]
    engine_problem: Mapped[str | None]
    updating: Mapped[list[str]] = mapped_column(DOCUMENT)


@dataclass(frozen=True, kw_only=True)
class Work:
    """How the work goes on.

    Attributes:
        workers: Those that live, by name.
        seen_at: When the last sign of any worker was; None where there is none.
        waiting_since: When the oldest event that still waits was received; None where none waits.
    """

    workers: Sequence[WorkerRecord]
    seen_at: datetime | None
    waiting_since: datetime | None


def beat(
    session: Session,
    name: str,
    *,
    now: datetime,
    engine_version: str | None,
    engine_problem: str | None = None,
    updating: Sequence[str] = (),
) -> None:
    """Say that a worker is there, and remove those that have not been for long. Every ``BEAT_SECONDS``.

    Args:
        session: In a transaction.
        name: The worker's (``process_identity.identity``).
        now: The time.
        engine_version: Of its engine; None where it has none that runs.
        engine_problem: What is wrong with its engine, with the fix.
        updating: Cells that it updates now.
    """
    values = {
        "name": name,
        "seen_at": now,
        "engine_version": engine_version,
        "engine_problem": engine_problem,
        "updating": sorted(updating),
    }
    session.execute(delete(WorkerRecord).where(WorkerRecord.seen_at < now - FORGOTTEN))
    insert_or_update(session, WorkerRecord, values, key=["name"])


def leave(session: Session, name: str) -> None:
    """Say that a worker ends, as it was told to: nobody has to wait until it is taken for dead."""
    session.execute(delete(WorkerRecord).where(WorkerRecord.name == name))


def living(session: Session, *, now: datetime) -> Sequence[WorkerRecord]:
    """Return the workers that are there, by name."""
    query = select(WorkerRecord).where(WorkerRecord.seen_at >= now - SILENT)
    return session.scalars(query.order_by(WorkerRecord.name)).all()


def look_at_work(engine: Engine, *, now: datetime) -> Work:
    """Return how the work goes on.

    Raises:
        SQLAlchemyError: the database does not answer.
    """
    waiting = select(func.min(EventRecord.received_at)).where(EventRecord.state == EventState.RECEIVED)
    with Session(reading(engine)) as session:
        return Work(
            workers=living(session, now=now),
            seen_at=session.scalar(select(func.max(WorkerRecord.seen_at))),
            waiting_since=session.scalar(waiting),
        )


def queue_problem(work: Work, *, now: datetime) -> str | None:
    """Return why received events are not being applied; None where they are."""
    if not work.workers:
        seen = "ever" if work.seen_at is None else f"for {seconds_since(work.seen_at, now=now):.0f} s"
        return f"no worker has been seen {seen}; events are kept and wait. Fix: start python -m webhook.worker"
    if work.waiting_since is not None and now - work.waiting_since > LONG:
        since = work.waiting_since.isoformat(timespec="seconds")
        return f"an event has waited since {since} though a worker is there. Fix: look at the worker's log"
    return None


def engine_problem(work: Work) -> str | None:
    """Return why cells can't be updated, as the workers say; None where all of them can."""
    if not work.workers:
        return "unknown: there is no worker to say"
    problems = [f"{worker.name}: {worker.engine_problem}" for worker in work.workers if worker.engine_problem]
    return "; ".join(problems) or None


def seconds_since(moment: datetime, *, now: datetime) -> float:
    """Return how long ago something was; machines' clocks differ, and nothing was in the future."""
    return max(0.0, (now - moment).total_seconds())
