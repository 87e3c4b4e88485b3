"""How a subscription begins, whether Checkout or the API asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from localcloud.store import Thing
from localcloud.stripe_api import lifecycle
from localcloud.stripe_api.account import Account
from localcloud.stripe_api.discounts import redeem, usable
from localcloud.stripe_api.errors import invalid
from localcloud.stripe_api.events import emit
from localcloud.stripe_api.invoicing import Invoicing
from localcloud.stripe_api.listing import whole
from localcloud.stripe_api.payments import INCOMPLETE_SECONDS, Payments
from localcloud.stripe_api.periods import DAY, add
from localcloud.stripe_api.resource import blank

TRIAL_WARNING_SECONDS = 3 * DAY


@dataclass(frozen=True, kw_only=True)
class Order:
    """What somebody subscribes to.

    Attributes:
        customer: Id.
        items: Prices and quantities.
        metadata: Of the subscription.
        card: Id of the card to pay with, None for the customer's default.
        trial_end: Seconds since 1970, None without a trial.
        without_card: What happens at the trial's end without a card: ``create_invoice``, ``pause`` or ``cancel``.
        discounts: Wishes as ``discounts.usable`` takes them.
        collects: Whether the first invoice is charged at once.
    """

    customer: str
    items: Sequence[Thing]
    metadata: Thing = field(default_factory=dict)
    card: str | None = None
    trial_end: int | None = None
    without_card: str = "create_invoice"
    discounts: Sequence[Thing] = ()
    collects: bool = True
    description: str | None = None


def begin(account: Account, order: Order) -> tuple[Thing, str]:
    """Create a subscription with its first invoice; return it and why the payment failed, empty if it didn't."""
    subscription = _fields(account, order)
    account.add(subscription)
    for wish in order.discounts:
        coupon, promotion = usable(account, wish)
        discount = redeem(account, coupon, promotion, order.customer, subscription=subscription["id"])
        subscription["discounts"].append(discount["id"])
    invoicing = Invoicing(account)
    lines = invoicing.regular(subscription, free=order.trial_end is not None)
    invoice = invoicing.draft(subscription, lines, "subscription_create", automatic=False)
    account.change(subscription)
    emit(account, "customer.subscription.created", subscription)
    invoice = invoicing.finalize(invoice)
    account.schedule("period", subscription["id"], lifecycle.next_turn(subscription))
    if order.trial_end is not None:
        account.schedule("trial_ending", subscription["id"], order.trial_end - TRIAL_WARNING_SECONDS)
    elif invoice["amount_due"]:
        account.schedule("incomplete", subscription["id"], account.now() + INCOMPLETE_SECONDS)
    why = ""
    if order.collects or not invoice["amount_due"]:
        why = Payments(account).collect(invoice)
    return account.need("subscription", subscription["id"]), why


def priced(account: Account, wishes: Sequence[Thing], param: str = "items") -> list[Thing]:
    """Return prices and quantities of wishes; raise ApiError if one isn't for a subscription."""
    result: list[Thing] = []
    for number, wish in enumerate(wishes):
        where = f"{param}[{number}][price]"
        if not wish.get("price"):
            raise invalid(f"This simulated Stripe needs a price in {where}.", where, "parameter_missing")
        price = account.need("price", wish["price"], where)
        if not price["active"]:
            raise invalid("The price specified is inactive. This field only accepts active prices.", where)
        if price["type"] != "recurring":
            raise invalid("The price specified is set to `type=one_time`; recurring prices only.", where)
        if wish.get("quantity", 1) < 1:
            raise invalid("This value must be greater than or equal to 1.", f"{param}[{number}][quantity]")
        result.append({"price": price, "quantity": wish.get("quantity", 1), "metadata": wish.get("metadata") or {}})
    if not result:
        raise invalid(f"Missing required param: {param}.", param, "parameter_missing")
    if len({(each["price"]["recurring"]["interval"], each["price"]["currency"]) for each in result}) > 1:
        raise invalid("All prices on a subscription must have the same interval and currency.", param)
    return result


def new_item(account: Account, subscription: str, wish: Thing, span: tuple[int, int]) -> Thing:
    """Return an item of a subscription."""
    return {
        "id": account.new_id("si_", 14),
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": account.now(),
        "current_period_end": span[1],
        "current_period_start": span[0],
        "discounts": [],
        "metadata": wish["metadata"],
        "plan": plan_of(wish["price"]),
        "price": wish["price"],
        "quantity": wish["quantity"],
        "subscription": subscription,
        "tax_rates": [],
    }


def plan_of(price: Thing) -> Thing:
    """Return the old view of a price, which items still have."""
    recurring = price["recurring"]
    names = ("id", "active", "created", "currency", "livemode", "metadata", "nickname", "product", "billing_scheme")
    return {
        "object": "plan",
        **{name: price[name] for name in names},
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "interval": recurring["interval"],
        "interval_count": recurring["interval_count"],
        "usage_type": recurring["usage_type"],
    }


def _fields(account: Account, order: Order) -> Thing:
    recurring = order.items[0]["price"]["recurring"]
    now = account.now()
    end = order.trial_end or add(now, recurring["interval"], recurring["interval_count"])
    made = account.new("subscription", "sub_1")
    items = [new_item(account, made["id"], wish, (now, end)) for wish in order.items]
    return {
        **made,
        **blank(
            "application application_fee_percent billing_cycle_anchor_config billing_thresholds cancel_at canceled_at "
            "days_until_due default_source ended_at latest_invoice next_pending_invoice_item_invoice on_behalf_of "
            "pause_collection pending_invoice_item_interval pending_setup_intent pending_update schedule "
            "status_details test_clock transfer_data"
        ),
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": order.trial_end or now,
        "billing_schedules": [],
        "billing_mode": {"flexible": {"proration_discounts": "included"}, "type": "flexible"},
        "cancel_at_period_end": False,
        "cancellation_details": {"comment": None, "feedback": None, "reason": None},
        "collection_method": "charge_automatically",
        "currency": order.items[0]["price"]["currency"],
        "customer": order.customer,
        "default_payment_method": order.card,
        "default_tax_rates": [],
        "description": order.description,
        "discounts": [],
        "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}},
        "items": whole(items, f"/v1/subscription_items?subscription={made['id']}"),
        "metadata": dict(order.metadata),
        "payment_settings": {
            **blank("payment_method_options payment_method_types"),
            "save_default_payment_method": "off",
        },
        "start_date": now,
        "status": lifecycle.at_start(trial=order.trial_end is not None),
        "trial_end": order.trial_end,
        "trial_settings": {"end_behavior": {"missing_payment_method": order.without_card}},
        "trial_start": now if order.trial_end else None,
        "_pending": [],
    }
