"""What an operator's command tells Stripe before the registry is edited: pause, go on, end, another price.

Each order names the state that the subscription shall have, so giving it twice is giving it once, and no idempotency
key has to be kept. What the lifecycle would make of that state is what the command writes into the registry itself:
the worker's own look then finds nothing to change (docs/adr/0015-stripe-follows-the-plans.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from registry.customers import Customer
from registry.wishes import ALIVE, ENDED, StripeStatus, Subscription
from webhook.subscriptions import Account, lookup_key, read

if TYPE_CHECKING:
    from stripe import StripeClient

BEHAVIOR = "void"
"""Invoices of a pause that an operator makes are void: what does not run is not charged."""


class OrderRefusedError(Exception):
    """Stripe can't be told that; the message says why, and the fix."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """One thing to tell Stripe.

    Attributes:
        subscription: Stripe's id of what it is about.
        verb: What is called; None where the subscription is as it shall be.
        params: Of the call.
        says: What it means, a sentence for people.
    """

    subscription: str
    verb: Literal["update", "cancel"] | None
    says: str
    params: Mapping[str, Any] = field(default_factory=dict)


def look(client: StripeClient, subscription_id: str) -> Account | None:
    """Return what Stripe says; None where it knows no such subscription.

    Raises:
        stripe.StripeError: Stripe can't be reached or refuses.
    """
    from stripe import InvalidRequestError  # noqa: PLC0415 - the caller has a client, so it is loaded

    try:
        return read(client, subscription_id)
    except InvalidRequestError as error:
        if error.code != "resource_missing":
            raise
        return None


def refuse_others(account: Account, customer_id: str, entry: Customer) -> None:
    """Refuse a subscription that does not decide about this entry alone.

    Raises:
        OrderRefusedError: it is somebody else's, or the customer has another one that lives.
    """
    subscription = account.subscription
    owners, payers = {None, customer_id}, {None, subscription.customer}
    if subscription.customer_id not in owners or entry.stripe_customer not in payers:
        raise OrderRefusedError(
            f"{customer_id} is linked to {subscription.id}, which Stripe says is {subscription.customer_id}'s and"
            f" {subscription.customer}'s. Fix: correct its metadata in Stripe, or the entry."
        )
    living = [each.id for each in account.others if each.status in ALIVE]
    if living:
        raise OrderRefusedError(
            f"{customer_id} also has {' and '.join(living)}, which would decide about the instance."
            " Fix: cancel and refund the others in Stripe first."
        )


def suspension(account: Account) -> Order:
    """Return the order to pause the collection.

    Raises:
        OrderRefusedError: there is nothing to pause.
    """
    subscription = account.subscription
    _refuse_dead(subscription, "paused")
    if subscription.paused or subscription.status == StripeStatus.PAUSED:
        return Order(subscription=subscription.id, verb=None, says=f"{subscription.id} is paused already.")
    return Order(
        subscription=subscription.id,
        verb="update",
        params={"pause_collection": {"behavior": BEHAVIOR}},
        says=f"Collection of {subscription.id} is paused: its invoices are void until it is resumed.",
    )


def resumption(account: Account) -> Order:
    """Return the order to end the pause.

    Raises:
        OrderRefusedError: it has ended, or stays stopped for another reason than a pause.
    """
    subscription = account.subscription
    _refuse_dead(subscription, "resumed")
    stopped = replace(subscription, paused=False).stopped
    if stopped is not None and subscription.status == StripeStatus.PAUSED:
        raise OrderRefusedError(
            f"{subscription.id} is paused by Stripe itself, as its trial ended without a payment method."
            " Fix: let the customer add one in the billing portal, then resume it in Stripe"
            f" (https://dashboard.stripe.com/subscriptions/{subscription.id}); the instance follows by itself."
        )
    if stopped is not None:
        raise OrderRefusedError(
            f"{subscription.id} stays stopped: {stopped}. Fix: let the customer pay"
            f" https://dashboard.stripe.com/invoices/{subscription.invoice} in the billing portal, or mark it there as"
            " paid or void; the instance follows by itself."
        )
    if not subscription.paused:
        return Order(subscription=subscription.id, verb=None, says=f"{subscription.id} is not paused.")
    return Order(
        subscription=subscription.id,
        verb="update",
        params={"pause_collection": ""},
        says=f"Collection of {subscription.id} goes on with its next invoice.",
    )


def removal(account: Account) -> Order:
    """Return the order to end the subscription at once."""
    subscription = account.subscription
    if subscription.status in ENDED:
        says = f"{subscription.id} has ended at Stripe already."
        return Order(subscription=subscription.id, verb=None, says=says)
    return Order(
        subscription=subscription.id,
        verb="cancel",
        says=f"{subscription.id} is canceled at Stripe at once, without a refund; only a new subscription undoes that.",
    )


def plan_change(client: StripeClient, account: Account, plan: str) -> Order:
    """Return the order to change to a plan's price of the same interval; prorations are Stripe's.

    Args:
        client: Stripe's; the item and the price are looked up.
        account: As Stripe has it.
        plan: The new one.

    Raises:
        OrderRefusedError: its present price is none of ours, or the new one is not to be had.
        stripe.StripeError: Stripe can't be reached or refuses.
    """
    subscription = account.subscription
    _refuse_dead(subscription, "changed")
    if subscription.interval is None:
        raise OrderRefusedError(
            f"{subscription.id} has a price that belongs to no plan, so its successor is not known."
            " Fix: change it in Stripe to one of `hosting stripe sync`."
        )
    if subscription.plan == plan:
        return Order(
            subscription=subscription.id, verb=None, says=f"{subscription.id} has the price of {plan} already."
        )
    key = lookup_key(plan, subscription.interval)
    prices = client.v1.prices.list({"lookup_keys": [key], "active": True}).data
    if not prices:
        raise OrderRefusedError(f"Stripe has no price with the lookup key {key}. Fix: `hosting stripe sync`.")
    items = client.v1.subscriptions.retrieve(subscription.id).to_dict()["items"]["data"]
    return Order(
        subscription=subscription.id,
        verb="update",
        params={"items": [{"id": items[0]["id"], "price": prices[0].id}], "proration_behavior": "create_prorations"},
        says=f"{subscription.id} changes from {subscription.plan} to {plan} by the {subscription.interval};"
        " the difference is on its next invoice.",
    )


def give(client: StripeClient, order: Order) -> None:
    """Give an order.

    Raises:
        stripe.StripeError: Stripe can't be reached or refuses.
    """
    params: Any = {**order.params}
    if order.verb == "update":
        client.v1.subscriptions.update(order.subscription, params)
    elif order.verb == "cancel":
        client.v1.subscriptions.cancel(order.subscription)


def _refuse_dead(subscription: Subscription, what: str) -> None:
    if subscription.status not in ALIVE:
        raise OrderRefusedError(
            f"{subscription.id} is {subscription.status} at Stripe and can't be {what}."
            " Fix: let the customer subscribe again, which brings the instance back by itself; or"
            " `hosting customer remove`."
        )
