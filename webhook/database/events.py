"""Stripe's events: durable before Stripe is told so, and each with what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Engine, Index, func, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from webhook.database.base import Base, words_of
from webhook.database.engine import reading

MOST_PENDING = 1000


class EventState(StrEnum):
    """What became of an event."""

    RECEIVED = "received"
    APPLIED = "applied"
    FAILED = "failed"
    IGNORED = "ignored"
    PARKED = "parked"


SETTLED = frozenset({EventState.APPLIED, EventState.IGNORED})
"""States that nothing follows: an event that was applied is not made failed by a late, second run."""


class EventRecord(Base):
    """One event.

    Attributes:
        id: Stripe's id of it.
        type: Such as ``invoice.paid``.
        api_version: In whose shape its payload is; None where it names none.
        created: When it happened, by Stripe's clock.
        received_at: When it first came.
        payload: What it said, without personal data.
        state: received: to be applied. applied: done. failed: the last try failed, another one follows.
            ignored: nothing to do. parked: given up; a person has been told.
        reason: Why it is ignored, failed or parked.
        attempts: How often it was begun to be applied.
        applied_at: When it was done.
    """

    __tablename__ = "events"
    __table_args__ = (Index(None, "state", "received_at"), Index(None, "type", "state"))

    id: Mapped[str] = mapped_column(primary_key=True)
    type: Mapped[str]
    api_version: Mapped[str | None]
    created: Mapped[datetime]
    received_at: Mapped[datetime]
    payload: Mapped[dict[str, Any]]
    state: Mapped[EventState] = mapped_column(words_of(EventState, "state"))
    reason: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(server_default="0")
    applied_at: Mapped[datetime | None]


@dataclass(frozen=True, kw_only=True)
class NewEvent:
    """An event as it arrives; the fields are those of the table."""

    id: str
    type: str
    api_version: str | None
    created: datetime
    received_at: datetime
    payload: Mapping[str, Any] = field(repr=False)
    state: EventState = EventState.RECEIVED
    reason: str | None = None


def find_event(session: Session, event_id: str) -> EventRecord | None:
    """Return an event."""
    return session.get(EventRecord, event_id)


def begin_attempt(session: Session, event_id: str) -> int:
    """Count a try to apply an event; return how many there were with this one.

    Raises:
        NoResultFound: there is no such event.
    """
    statement = (
        update(EventRecord)
        .where(EventRecord.id == event_id)
        .values(attempts=EventRecord.attempts + 1)
        .returning(EventRecord.attempts)
        .execution_options(synchronize_session="fetch")
    )
    return session.execute(statement).scalar_one()


def settle_event(
    session: Session, event_id: str, state: EventState, *, now: datetime, reason: str | None = None
) -> bool:
    """Note what became of an event; return False, and change nothing, where it is settled or unknown."""
    statement = (
        update(EventRecord)
        .where(EventRecord.id == event_id, EventRecord.state.not_in(SETTLED))
        .values(state=state, reason=reason, applied_at=now if state is EventState.APPLIED else None)
        .returning(EventRecord.id)
        .execution_options(synchronize_session="fetch")
    )
    return session.execute(statement).scalar_one_or_none() is not None


def retry_event(session: Session, event_id: str, *, now: datetime) -> bool:
    """Let an event that was given up be applied again, as if it came now; return False where it is not given up."""
    statement = (
        update(EventRecord)
        .where(EventRecord.id == event_id, EventRecord.state.in_((EventState.PARKED, EventState.FAILED)))
        .values(state=EventState.RECEIVED, reason=None, received_at=now)
        .returning(EventRecord.id)
        .execution_options(synchronize_session="fetch")
    )
    return session.execute(statement).scalar_one_or_none() is not None


def renew_event(session: Session, event_id: str, *, now: datetime) -> bool:
    """Let an event whose workflow came to nothing be applied again, as if it came now; return False where it is not."""
    statement = (
        update(EventRecord)
        .where(EventRecord.id == event_id, EventRecord.state == EventState.RECEIVED)
        .values(received_at=now)
        .returning(EventRecord.id)
        .execution_options(synchronize_session="fetch")
    )
    return session.execute(statement).scalar_one_or_none() is not None


def pending_events(
    engine: Engine, older_than: datetime, *, limit: int = MOST_PENDING
) -> Sequence[tuple[str, datetime]]:
    """Return the events that were received before a moment and still wait, by id and receipt, the oldest first.

    For the sweeper: an event whose enqueueing failed, or whose process ended right after the commit, is only here.
    """
    query = (
        select(EventRecord.id, EventRecord.received_at)
        .where(EventRecord.state == EventState.RECEIVED, EventRecord.received_at < older_than)
        .order_by(EventRecord.received_at, EventRecord.id)
        .limit(limit)
    )
    with reading(engine).connect() as connection:
        return [(event_id, received_at) for event_id, received_at in connection.execute(query)]


def events_in_state(session: Session, state: EventState, *, limit: int = MOST_PENDING) -> Sequence[EventRecord]:
    """Return events in a state, the oldest first: what waits, or what was parked."""
    query = select(EventRecord).where(EventRecord.state == state)
    return session.scalars(query.order_by(EventRecord.received_at, EventRecord.id).limit(limit)).all()


def count_events(engine: Engine) -> Mapping[tuple[str, EventState], int]:
    """Return how many events there are of each type in each state."""
    query = select(EventRecord.type, EventRecord.state, func.count()).group_by(EventRecord.type, EventRecord.state)
    with reading(engine).connect() as connection:
        return {(kind, state): number for kind, state, number in connection.execute(query)}
