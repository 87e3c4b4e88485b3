"""People who pay: the only place for personal data."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from webhook.database.base import SERIAL, Base
from webhook.database.insert import insert_new
from webhook.database.instances import InstanceRecord, instances_of
from webhook.database.mails import MailRecord
from webhook.database.subscriptions import SubscriptionRecord


class CustomerRecord(Base):
    """A person or company; may have several instances.

    Attributes:
        id: Ours.
        email: In lower case.
        stripe_customer: Stripe's id, the first of several; None where no Stripe customer has this address.
        created_at: When we first heard of it.
    """

    __tablename__ = "customers"

    id: Mapped[int] = mapped_column(SERIAL, primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)
    stripe_customer: Mapped[str | None] = mapped_column(unique=True)
    created_at: Mapped[datetime]


def save_customer(session: Session, *, email: str, stripe_customer: str | None, now: datetime) -> CustomerRecord:
    """Return the person of an address, a new one where there is none: who pays as that Stripe customer from now on.

    A person is an address, for that is what a sign-in proves. Stripe asks for no proof: a Stripe customer whose address
    becomes another one becomes another person, and takes along what it pays for, nothing of those who had the
    former address in common with it. A second Stripe customer with the address of the first one is the same person,
    who keeps the first id: ``subscriptions`` knows who pays for what.
    """
    address = normalized(email)
    former = find_by_stripe_customer(session, stripe_customer) if stripe_customer is not None else None
    if former is not None and former.email == address:
        return former
    if former is not None:
        former.stripe_customer = None
        session.flush()
    values = {"email": address, "stripe_customer": stripe_customer, "created_at": now}
    insert_new(session, CustomerRecord, values, key=["email"])
    person = session.scalars(select(CustomerRecord).where(CustomerRecord.email == address)).one()
    if person.stripe_customer is None:
        person.stripe_customer = stripe_customer
        session.flush()
    if former is not None:
        _hand_over(session, former, person, str(stripe_customer))
    return person


def _hand_over(session: Session, former: CustomerRecord, person: CustomerRecord, stripe_customer: str) -> None:
    """Give a person what a Stripe customer pays for, with the letters that are owed about it.

    The former one is forgotten where nothing is left to it.
    """
    paid = select(SubscriptionRecord.customer_id).where(SubscriptionRecord.stripe_customer == stripe_customer)
    theirs = update(InstanceRecord).where(InstanceRecord.owner_id == former.id, InstanceRecord.customer_id.in_(paid))
    session.execute(theirs.values(owner_id=person.id))
    letters = update(MailRecord).where(MailRecord.person_id == former.id, MailRecord.customer_id.in_(paid))
    session.execute(letters.values(person_id=person.id))
    if not instances_of(session, former.id):
        session.delete(former)
        session.flush()


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
