"""What Stripe last said of each subscription, for pages and reports; before acting, Stripe is asked again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Mapped, Session, mapped_column

from webhook.database.base import Base
from webhook.database.insert import insert_or_update


class SubscriptionRecord(Base):
    """One subscription.

    Attributes:
        stripe_subscription: Stripe's id.
        stripe_customer: Stripe's id of who pays.
        customer_id: Registry id of the instance that it pays for; None until there is one.
        plan: personal, team or pro.
        interval: month or year.
        status: Stripe's word (active, past_due, unpaid, ...).
        current_period_end: Until when it is paid; None before the first period.
        updated_at: When Stripe was asked.
    """

    __tablename__ = "subscriptions"

    stripe_subscription: Mapped[str] = mapped_column(primary_key=True)
    stripe_customer: Mapped[str] = mapped_column(index=True)
    customer_id: Mapped[str | None] = mapped_column(index=True)
    plan: Mapped[str]
    interval: Mapped[str]
    status: Mapped[str] = mapped_column(index=True)
    current_period_end: Mapped[datetime | None] = mapped_column(index=True)
    updated_at: Mapped[datetime]


def save_subscription(
    session: Session,
    stripe_subscription: str,
    *,
    stripe_customer: str,
    plan: str,
    interval: str,
    status: str,
    current_period_end: datetime | None,
    now: datetime,
    customer_id: str | None = None,
) -> None:
    """Set the mirror of a subscription; an instance that is known stays where none is given."""
    values: dict[str, object] = {
        "stripe_subscription": stripe_subscription,
        "stripe_customer": stripe_customer,
        "plan": plan,
        "interval": interval,
        "status": status,
        "current_period_end": current_period_end,
        "updated_at": now,
    }
    if customer_id is not None:
        values["customer_id"] = customer_id
    insert_or_update(session, SubscriptionRecord, values, key=["stripe_subscription"])


def find_subscription(session: Session, stripe_subscription: str) -> SubscriptionRecord | None:
    """Return a subscription."""
    return session.get(SubscriptionRecord, stripe_subscription)


def plans_paid(session: Session) -> Mapping[str, str]:
    """Return the plan that each subscription pays for, as last seen."""
    query = select(SubscriptionRecord.stripe_subscription, SubscriptionRecord.plan)
    return {each.stripe_subscription: each.plan for each in session.execute(query)}


def subscriptions_of(session: Session, customer_id: str) -> Sequence[SubscriptionRecord]:
    """Return the subscriptions that paid for an instance, the latest period first."""
    query = (
        select(SubscriptionRecord)
        .where(SubscriptionRecord.customer_id == customer_id)
        .order_by(SubscriptionRecord.current_period_end.desc().nulls_last(), SubscriptionRecord.stripe_subscription)
    )
    return session.scalars(query).all()
