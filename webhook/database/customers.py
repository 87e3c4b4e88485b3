"""People who pay: the only place for personal data."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Mapped, Session, mapped_column

from webhook.database.base import SERIAL, Base
from webhook.database.insert import insert_new


class CustomerRecord(Base):
    """A person or company; may have several instances.

    Attributes:
        id: Ours.
        email: In lower case.
        stripe_customer: Stripe's id; None for whom an operator set up by hand.
        created_at: When we first heard of it.
    """

    __tablename__ = "customers"

    id: Mapped[int] = mapped_column(SERIAL, primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)
    stripe_customer: Mapped[str | None] = mapped_column(unique=True)
    created_at: Mapped[datetime]


def save_customer(session: Session, *, email: str, stripe_customer: str | None, now: datetime) -> CustomerRecord:
    """Return the person of that address, else of that Stripe customer, else a new one; set what changed.

    A second Stripe customer with the address of the first one is the same person, who keeps the first id:
    ``subscriptions`` knows who pays for what.
    """
    address = normalized(email)
    known = find_by_stripe_customer(session, stripe_customer) if stripe_customer is not None else None
    if known is not None:
        there = find_by_email(session, address)
        if there is not None:
            return there
        known.email = address
        session.flush()
        return known
    values = {"email": address, "stripe_customer": stripe_customer, "created_at": now}
    insert_new(session, CustomerRecord, values, key=["email"])
    person = session.scalars(select(CustomerRecord).where(CustomerRecord.email == address)).one()
    if person.stripe_customer is None:
        person.stripe_customer = stripe_customer
        session.flush()
    return person


def find_by_email(session: Session, email: str) -> CustomerRecord | None:
    """Return the person with an address."""
    return session.scalars(select(CustomerRecord).where(CustomerRecord.email == normalized(email))).one_or_none()


def find_by_stripe_customer(session: Session, stripe_customer: str) -> CustomerRecord | None:
    """Return the person that Stripe knows by an id."""
    query = select(CustomerRecord).where(CustomerRecord.stripe_customer == stripe_customer)
    return session.scalars(query).one_or_none()


def normalized(email: str) -> str:
    """Return an address as it is stored and looked for."""
    return email.strip().lower()
