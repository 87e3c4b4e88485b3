"""Which mails are owed and sent: one a cause, whoever repeats the cause.

A mail is owed before the change that it tells of is made, so that a crash in between can't lose it; it is begun before
the mail server is asked, so that a crash in between can't send it twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, delete, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from webhook.database.base import Base
from webhook.database.insert import insert_new

ALERT = "alert"
"""Template of what goes to our own people and to no customer."""


class MailRecord(Base):
    """One mail. Its address is not kept: it is looked up when it is sent.

    Attributes:
        cause: Why, unique: ``welcome:acme``, ``reminder:in_123:2``.
        template: Which text.
        customer_id: About whose instance, by registry id.
        person_id: To whom; None for nobody, or where nobody's address is known.
        facts: What the text tells, as it was then; no personal data.
        claimed_at: Since when it is owed.
        begun_at: When the mail server was asked to take it; None until then, and again where it refused.
        sent_at: When the mail server took it; None until then.
    """

    __tablename__ = "mails"

    cause: Mapped[str] = mapped_column(primary_key=True)
    template: Mapped[str]
    customer_id: Mapped[str | None] = mapped_column(index=True)
    person_id: Mapped[int | None] = mapped_column(ForeignKey("customers.id", ondelete="SET NULL"), index=True)
    facts: Mapped[dict[str, Any]]
    claimed_at: Mapped[datetime] = mapped_column(index=True)
    begun_at: Mapped[datetime | None]
    sent_at: Mapped[datetime | None] = mapped_column(index=True)


def claim_mail(
    session: Session,
    cause: str,
    *,
    template: str,
    customer_id: str | None,
    now: datetime,
    person_id: int | None = None,
    facts: Mapping[str, Any] | None = None,
) -> bool:
    """Owe a mail; return False where it was owed before."""
    values = {
        "cause": cause,
        "template": template,
        "customer_id": customer_id,
        "person_id": person_id,
        "facts": dict(facts or {}),
        "claimed_at": now,
    }
    return insert_new(session, MailRecord, values, key=["cause"])


def owed_mails(session: Session, customer_id: str) -> Sequence[MailRecord]:
    """Return a customer's mails that nobody has begun to send, the oldest first."""
    query = select(MailRecord).where(
        MailRecord.customer_id == customer_id,
        MailRecord.template != ALERT,
        MailRecord.begun_at.is_(None),
        MailRecord.sent_at.is_(None),
    )
    return session.scalars(query.order_by(MailRecord.claimed_at, MailRecord.cause)).all()


def owed_between(session: Session, after: datetime, before: datetime) -> Sequence[MailRecord]:
    """Return mails that are owed since between two moments and that nobody has begun to send, the oldest first."""
    query = select(MailRecord).where(
        MailRecord.template != ALERT,
        MailRecord.begun_at.is_(None),
        MailRecord.sent_at.is_(None),
        MailRecord.claimed_at > after,
        MailRecord.claimed_at <= before,
    )
    return session.scalars(query.order_by(MailRecord.claimed_at, MailRecord.cause)).all()


def owed_alerts(session: Session) -> Sequence[MailRecord]:
    """Return the alerts that no mail server took yet, the oldest first."""
    query = select(MailRecord).where(MailRecord.template == ALERT, MailRecord.sent_at.is_(None))
    return session.scalars(query.order_by(MailRecord.claimed_at, MailRecord.cause)).all()


def begin_mail(session: Session, cause: str, *, now: datetime) -> bool:
    """Set out to send a mail; return False where somebody else did."""
    statement = (
        update(MailRecord)
        .where(MailRecord.cause == cause, MailRecord.begun_at.is_(None), MailRecord.sent_at.is_(None))
        .values(begun_at=now)
        .returning(MailRecord.cause)
        .execution_options(synchronize_session=False)
    )
    return session.execute(statement).scalar_one_or_none() is not None


def give_back_mail(session: Session, cause: str) -> None:
    """Note that the mail server refused it: it is owed again."""
    session.execute(update(MailRecord).where(MailRecord.cause == cause).values(begun_at=None))


def forgive_mail(session: Session, cause: str) -> None:
    """Owe a mail no more: what it would have told of was not done."""
    session.execute(delete(MailRecord).where(MailRecord.cause == cause, MailRecord.begun_at.is_(None)))


def mark_sent(session: Session, cause: str, *, now: datetime) -> None:
    """Note that the mail server took it."""
    session.execute(update(MailRecord).where(MailRecord.cause == cause).values(sent_at=now))


def sent_at(session: Session, cause: str) -> datetime | None:
    """Return when a mail server took the mail of a cause; None where none did."""
    return session.scalar(select(MailRecord.sent_at).where(MailRecord.cause == cause))


def in_doubt(session: Session, *, begun_before: datetime) -> Sequence[MailRecord]:
    """Return mails that were begun before a moment and whose end nobody knows, the oldest first."""
    query = select(MailRecord).where(MailRecord.sent_at.is_(None), MailRecord.begun_at < begun_before)
    return session.scalars(query.order_by(MailRecord.begun_at, MailRecord.cause)).all()
