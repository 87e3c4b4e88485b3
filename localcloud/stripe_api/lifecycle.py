"""The states of a subscription: https://docs.stripe.com/billing/subscriptions/overview#subscription-statuses."""

from __future__ import annotations

import math

from localcloud.store import Thing

ENDED = frozenset({"canceled", "incomplete_expired"})
"""There is no way out of these."""
SILENT = frozenset({"unpaid", "incomplete"})
"""Invoices of these stay drafts that nobody tries to collect."""
ENDS_OF_DUNNING = ("unpaid", "canceled", "past_due", "paused")


def at_start(*, trial: bool) -> str:
    """Return the first state, before anything is paid."""
    return "trialing" if trial else "incomplete"


def after_payment(status: str, *, owes_more: bool) -> str:
    """Return the state after an invoice was paid."""
    if status == "incomplete" or (status in {"past_due", "unpaid"} and not owes_more):
        return "active"
    return status


def after_failure(status: str, *, last: bool, end: str) -> str:
    """Return the state after a payment failed, for the last time or not."""
    if status in {"active", "past_due", "trialing"}:
        return end if last else "past_due"
    return status


def after_trial(*, has_card: bool, without_card: str) -> str:
    """Return the state after a trial; without a card it is as was chosen for that."""
    if has_card or without_card == "create_invoice":
        return "active"
    return {"pause": "paused", "cancel": "canceled"}[without_card]


def period(subscription: Thing) -> tuple[int, int]:
    """Return when the current period started and when it ends."""
    item = subscription["items"]["data"][0]
    return item["current_period_start"], item["current_period_end"]


def next_turn(subscription: Thing) -> float:
    """Return when something happens to a subscription by itself: its period's end or its cancellation."""
    status = subscription["status"]
    if status in ENDED:
        return math.inf
    cancel = subscription["cancel_at"] or math.inf
    return cancel if status in {"paused", "incomplete"} else min(cancel, period(subscription)[1])


def title(price: Thing, product: Thing, quantity: int) -> str:
    """Return how an invoice's line calls what was bought."""
    recurring = price["recurring"] or {"interval": "piece"}
    return f"{quantity} × {product['name']} (at ${price['unit_amount'] / 100:.2f} / {recurring['interval']})"
