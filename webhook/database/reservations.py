"""Names that somebody is about to pay for, and the checkout that each is kept for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from webhook.database.base import Base
from webhook.database.insert import execute, insert_into


class Reservation(Base):
    """A subdomain that is kept for a checkout until a moment.

    Attributes:
        subdomain: The name.
        holder: Whose it is: the token of the form that asked for it. It has one name at a time.
        customer_id: Id that the customer gets in the registry when it pays.
        idempotency_key: With which Stripe is asked for the session, however often the form is sent.
        session_id: Stripe's session; None until there is one.
        payment_status: Stripe's word once the session is complete (paid, unpaid, no_payment_required).
        completed_at: When we heard of that.
        expires_at: From when on anybody may have the name.
    """

    __tablename__ = "reservations"

    subdomain: Mapped[str] = mapped_column(primary_key=True)
    holder: Mapped[str] = mapped_column(unique=True)
    customer_id: Mapped[str] = mapped_column(index=True)
    idempotency_key: Mapped[str]
    session_id: Mapped[str | None] = mapped_column(unique=True)
    payment_status: Mapped[str | None]
    completed_at: Mapped[datetime | None]
    expires_at: Mapped[datetime] = mapped_column(index=True)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What a name is kept for; the fields are those of the table."""

    subdomain: str
    holder: str
    customer_id: str
    idempotency_key: str


def reserve(session: Session, claim: Claim, *, now: datetime, until: datetime) -> bool:
    """Keep a name; return False, and change nothing, where it is kept already, for whomever.

    Raises:
        IntegrityError: the holder has another name.
    """
    values = {
        "subdomain": claim.subdomain,
        "holder": claim.holder,
        "customer_id": claim.customer_id,
        "idempotency_key": claim.idempotency_key,
        "session_id": None,
        "payment_status": None,
        "completed_at": None,
        "expires_at": until,
    }
    changes = {name: value for name, value in values.items() if name != "subdomain"}
    statement = insert_into(session, Reservation, values).on_conflict_do_update(
        index_elements=["subdomain"], set_=changes, where=Reservation.expires_at <= now
    )
    done = execute(session, statement)
    session.expire_all()
    return done


def reservation_of(session: Session, holder: str, *, now: datetime) -> Reservation | None:
    """Return what is kept for a holder."""
    query = select(Reservation).where(Reservation.holder == holder, Reservation.expires_at > now)
    return session.scalars(query).one_or_none()


def reservation_paid_by(session: Session, session_id: str) -> Reservation | None:
    """Return what is kept, or was until just now, for one of Stripe's sessions."""
    return session.scalars(select(Reservation).where(Reservation.session_id == session_id)).one_or_none()


def holder_of(session: Session, subdomain: str, *, now: datetime) -> str | None:
    """Return for whom a name is kept."""
    query = select(Reservation.holder).where(Reservation.subdomain == subdomain, Reservation.expires_at > now)
    return session.scalars(query).one_or_none()


def attach(session: Session, *, customer_id: str, session_id: str) -> bool:
    """Note the session that pays for a name; return False where the name was given up meanwhile."""
    statement = (
        update(Reservation)
        .where(Reservation.customer_id == customer_id)
        .values(session_id=session_id)
        .returning(Reservation.subdomain)
        .execution_options(synchronize_session="fetch")
    )
    return session.execute(statement).scalar_one_or_none() is not None


def complete(session: Session, session_id: str, *, payment_status: str, now: datetime, until: datetime) -> None:
    """Note that a session was completed: its name is kept until it is in the registry."""
    statement = update(Reservation).where(Reservation.session_id == session_id)
    session.execute(statement.values(payment_status=payment_status, expires_at=until))
    session.execute(statement.where(Reservation.completed_at.is_(None)).values(completed_at=now))


def release(session: Session, customer_id: str, *, only_without_session: bool = False) -> bool:
    """Give up what was kept for a customer to be; return False, and change nothing, where there is no such.

    Args:
        session: Transaction that it belongs to.
        customer_id: The one that was promised.
        only_without_session: Leave it where a session is there to pay for it.
    """
    statement = delete(Reservation).where(Reservation.customer_id == customer_id)
    if only_without_session:
        statement = statement.where(Reservation.session_id.is_(None))
    return session.execute(statement.returning(Reservation.customer_id)).first() is not None


def remove_expired(session: Session, *, now: datetime) -> None:
    """Remove what is kept for nobody any more."""
    session.execute(delete(Reservation).where(Reservation.expires_at <= now))
