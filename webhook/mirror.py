"""Keeps in the management database what Stripe and the registry say: who owns what, pays for it, and since when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from registry.customers import Customer
from registry.wishes import Wish
from webhook.database.customers import find_by_stripe_customer, save_customer
from webhook.database.instances import find_instance, remove_instance, save_instance
from webhook.database.ledger import LedgerKind, append
from webhook.database.subscriptions import save_subscription
from webhook.subscriptions import Account


@dataclass(frozen=True, kw_only=True)
class Mirrored:
    """What is kept.

    Attributes:
        account: Who pays, as Stripe says.
        wished: What was wished for, and why.
        after: The entry as it is now; None for none.
        owner: Id of the person; None where nobody's address is known.
    """

    account: Account
    wished: Wish
    after: Customer | None
    owner: int | None


def owner_of(engine: Engine, account: Account, customer_id: str | None, *, now: datetime) -> int | None:
    """Return who is written to: of the address that Stripe has, else (its customer is deleted) who it was."""
    payer = account.subscription.customer
    with Session(engine) as session, session.begin():
        if account.email is not None:
            return save_customer(session, email=account.email, stripe_customer=payer, now=now).id
        instance = None if customer_id is None else find_instance(session, customer_id)
        if instance is not None and instance.owner_id is not None:
            return instance.owner_id
        known = find_by_stripe_customer(session, payer)
        return None if known is None else known.id


def record(engine: Engine, mirrored: Mirrored, *, event_id: str | None, commit: str | None, now: datetime) -> None:
    """Keep it, and the commit in the ledger; once more does no harm.

    Args:
        engine: The management database.
        mirrored: What is kept.
        event_id: Because of which; None where only time has passed.
        commit: Of the registry; None where it said so already.
        now: The time, UTC.
    """
    subscription, wished, after = mirrored.account.subscription, mirrored.wished, mirrored.after
    # Who only says that an instance is his, by an id in his metadata, neither owns it nor is seen to pay for it.
    pays = after is None or after.stripe_customer == subscription.customer
    with Session(engine) as session, session.begin():
        if subscription.plan is not None and subscription.interval is not None:
            save_subscription(
                session,
                subscription.id,
                stripe_customer=subscription.customer,
                plan=subscription.plan,
                interval=subscription.interval,
                status=subscription.status,
                current_period_end=subscription.current_period_end,
                now=now,
                customer_id=wished.customer_id if pays else None,
            )
        if after is not None and wished.customer_id is not None:
            save_instance(session, wished.customer_id, after, now=now, owner_id=mirrored.owner if pays else None)
        elif wished.customer_id is not None:
            remove_instance(session, wished.customer_id)
        if commit is not None:
            append(
                session,
                LedgerKind.COMMIT,
                commit,
                at=now,
                customer_id=wished.customer_id,
                cause=event_id,
                detail={"reason": wished.reason},
            )
