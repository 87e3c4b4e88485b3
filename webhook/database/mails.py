"""Which mails were sent: one a cause, whoever repeats the cause."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from webhook.database.base import Base
from webhook.database.insert import insert_new


class MailRecord(Base):
    """One mail. Its address is not kept: it is looked up when it is sent.

    Attributes:
        cause: Why, unique: ``welcome:acme``, ``reminder:in_123:2``.
        template: Which text.
        customer_id: About whose instance, by registry id.
        claimed_at: When somebody set out to send it.
        sent_at: When the mail server took it; None until then.
    """

    __tablename__ = "mails"

    cause: Mapped[str] = mapped_column(primary_key=True)
    template: Mapped[str]
    customer_id: Mapped[str | None] = mapped_column(index=True)
    claimed_at: Mapped[datetime] = mapped_column(index=True)
    sent_at: Mapped[datetime | None] = mapped_column(index=True)


def claim_mail(session: Session, cause: str, *, template: str, customer_id: str | None, now: datetime) -> bool:
    """Set out to send a mail; return False where somebody did so before."""
    values = {"cause": cause, "template": template, "customer_id": customer_id, "claimed_at": now}
    return insert_new(session, MailRecord, values, key=["cause"])


def mark_sent(session: Session, cause: str, *, now: datetime) -> None:
    """Note that the mail server took it."""
    session.execute(update(MailRecord).where(MailRecord.cause == cause).values(sent_at=now))


def unsent(session: Session, *, claimed_before: datetime) -> Sequence[MailRecord]:
    """Return mails that somebody set out to send before a moment and that no server took, the oldest first."""
    query = select(MailRecord).where(MailRecord.sent_at.is_(None), MailRecord.claimed_at < claimed_before)
    return session.scalars(query.order_by(MailRecord.claimed_at, MailRecord.cause)).all()
