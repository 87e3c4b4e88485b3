"""Names that somebody is about to pay for."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from webhook.database.base import Base
from webhook.database.insert import execute, insert_into


class Reservation(Base):
    """A subdomain that is kept for a checkout until a moment.

    Attributes:
        subdomain: The name.
        session_id: Whose it is: the id that the checkout was begun with.
        expires_at: From when on anybody may have it.
    """

    __tablename__ = "reservations"

    subdomain: Mapped[str] = mapped_column(primary_key=True)
    session_id: Mapped[str] = mapped_column(index=True)
    expires_at: Mapped[datetime] = mapped_column(index=True)


def reserve(session: Session, subdomain: str, *, session_id: str, now: datetime, until: datetime) -> bool:
    """Keep a name; return False where it is another one's. One's own, or one that has expired, is kept anew."""
    values = {"subdomain": subdomain, "session_id": session_id, "expires_at": until}
    free = or_(Reservation.expires_at <= now, Reservation.session_id == session_id)
    statement = insert_into(session, Reservation, values).on_conflict_do_update(
        index_elements=["subdomain"], set_={"session_id": session_id, "expires_at": until}, where=free
    )
    done = execute(session, statement)
    session.expire_all()
    return done


def holder_of(session: Session, subdomain: str, *, now: datetime) -> str | None:
    """Return for whom a name is kept."""
    query = select(Reservation.session_id).where(Reservation.subdomain == subdomain, Reservation.expires_at > now)
    return session.scalars(query).one_or_none()


def release(session: Session, session_id: str) -> None:
    """Give up what was kept for a checkout."""
    session.execute(delete(Reservation).where(Reservation.session_id == session_id))


def remove_expired(session: Session, *, now: datetime) -> None:
    """Remove what is kept for nobody any more."""
    session.execute(delete(Reservation).where(Reservation.expires_at <= now))
