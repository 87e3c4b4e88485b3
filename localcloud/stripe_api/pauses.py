"""The end of a subscription's pause."""

from __future__ import annotations

from localcloud.store import Thing
from localcloud.stripe_api import lifecycle
from localcloud.stripe_api.account import Account
from localcloud.stripe_api.events import emit
from localcloud.stripe_api.invoicing import Invoicing
from localcloud.stripe_api.payments import Payments
from localcloud.stripe_api.periods import add


def resume(account: Account, subscription: Thing) -> None:
    """Go on: another period starts now and is to be paid."""
    now = account.now()
    for item in subscription["items"]["data"]:
        recurring = item["price"]["recurring"]
        end = add(now, recurring["interval"], recurring["interval_count"])
        item.update(current_period_start=now, current_period_end=end)
    subscription.update(status="active", status_details=None, billing_cycle_anchor=now)
    invoicing = Invoicing(account)
    invoice = invoicing.draft(subscription, invoicing.regular(subscription), "subscription_update")
    account.schedule("period", subscription["id"], lifecycle.next_turn(subscription))
    account.change(subscription, "customer.subscription.updated")
    emit(account, "customer.subscription.resumed", subscription)
    Payments(account).collect(invoicing.finalize(invoice))
