"""What happened to whom because of what: the chain from an event to a mail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from webhook.database.base import SERIAL, Base, words_of
from webhook.database.events import EventRecord


class LedgerKind(StrEnum):
    """What happened."""

    EVENT = "event"
    COMMIT = "commit"
    UPDATE = "update"
    PROBE = "probe"
    BACKUP = "backup"
    MAIL = "mail"
    ALERT = "alert"


class LedgerEntry(Base):
    """One thing that happened; never changed or removed.

    Attributes:
        id: Rises.
        at: When.
        customer_id: To whom, by registry id; None where it concerned nobody or many.
        kind: What.
        ref: What it is called elsewhere: the event's id, the commit's hash, the stack and its version.
        detail: More, without personal data.
        cause_id: The entry because of which it happened.
        cause_event_id: The Stripe event because of which it happened, where no entry stands between.
    """

    __tablename__ = "ledger"
    __table_args__ = (
        CheckConstraint("cause_id IS NULL OR cause_event_id IS NULL", name="one_cause"),
        Index(None, "customer_id", "id"),
        Index(None, "kind", "ref"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(SERIAL, primary_key=True)
    at: Mapped[datetime]
    customer_id: Mapped[str | None]
    kind: Mapped[LedgerKind] = mapped_column(words_of(LedgerKind, "kind"))
    ref: Mapped[str]
    detail: Mapped[dict[str, Any]]
    cause_id: Mapped[int | None] = mapped_column(ForeignKey("ledger.id"), index=True)
    cause_event_id: Mapped[str | None] = mapped_column(ForeignKey("events.id"), index=True)


def append(
    session: Session,
    kind: LedgerKind,
    ref: str,
    *,
    at: datetime,
    customer_id: str | None = None,
    cause: int | str | None = None,
    detail: Mapping[str, Any] | None = None,
) -> LedgerEntry:
    """Add an entry and return it with its id.

    Args:
        session: Transaction that it belongs to.
        kind: What happened.
        ref: What it is called elsewhere.
        at: When.
        customer_id: To whom.
        cause: Id of the entry because of which it happened, or of the Stripe event.
        detail: More, without personal data.

    Raises:
        IntegrityError: there is no such cause.
    """
    entry = LedgerEntry(
        at=at,
        customer_id=customer_id,
        kind=kind,
        ref=ref,
        detail=dict(detail or {}),
        cause_id=cause if isinstance(cause, int) else None,
        cause_event_id=cause if isinstance(cause, str) else None,
    )
    session.add(entry)
    session.flush()
    return entry


def history(session: Session, customer_id: str) -> Sequence[tuple[LedgerEntry, str | None]]:
    """Return what happened to a customer, in order, each with the type of the event that caused it."""
    query = (
        select(LedgerEntry, EventRecord.type)
        .outerjoin(EventRecord, EventRecord.id == LedgerEntry.cause_event_id)
        .where(LedgerEntry.customer_id == customer_id)
        .order_by(LedgerEntry.id)
    )
    return [(entry, event_type) for entry, event_type in session.execute(query)]
