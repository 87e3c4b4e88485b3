"""Stripe's side of a subscription: which one an event is about, and its present state, reduced to what decides.

Reads both API shapes: since 2025-03-31 ``current_period_end`` is on the items and an invoice names its subscription
under ``parent``; before, both were at the top. Objects of the SDK are no dicts: they pass ``to_dict()`` here and
nowhere else. The SDK itself is only named, not imported: it would cost the web process 33 MiB and more than a second.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from registry.plans import PLANS
from registry.wishes import Alert, AlertKind, StripeStatus, Subscription

if TYPE_CHECKING:
    from stripe import StripeClient

Raw = Mapping[str, Any]

ACTED_ON: Mapping[str, str] = {
    "checkout.session.completed": "a sign-up",
    "checkout.session.async_payment_succeeded": "a sign-up whose payment took days",
    "checkout.session.async_payment_failed": "a sign-up whose payment failed after days",
    "customer.subscription.created": "a sign-up, also one made in the dashboard",
    "customer.subscription.updated": "any change: plan, status, pause, planned end",
    "customer.subscription.deleted": "its end",
    "customer.subscription.paused": "a pause",
    "customer.subscription.resumed": "its end",
    "invoice.paid": "a payment, also by other means than Stripe",
    "invoice.payment_succeeded": "a payment",
    "invoice.payment_failed": "a failed attempt",
    "invoice.payment_action_required": "an attempt that waits for the customer",
    "invoice.marked_uncollectible": "a debt that was given up",
    "invoice.voided": "a debt that was taken back",
    "invoice.overdue": "an invoice that the customer had to pay by transfer",
}
"""Event types after which the subscription is read again, and what they hint at."""

ALERTED: Mapping[str, AlertKind] = {
    "charge.dispute.created": AlertKind.DISPUTE,
    "charge.dispute.closed": AlertKind.DISPUTE,
    "charge.refunded": AlertKind.REFUND,
    "refund.failed": AlertKind.REFUND,
    "invoice.finalization_failed": AlertKind.INVOICE_STUCK,
}
"""Event types that a person has to see; they change no instance."""

_OURS = "it is our own catalogue, changed by `hosting stripe sync` or a person"
_ATTEMPT = "it is part of a payment; the invoice's event tells how it ended"
_MONEY = "it is about our own account's money, not a customer's subscription"
_PRODUCT = "it is about a product of Stripe that we do not use"
IGNORED: Mapping[str, str] = {
    "account.": _MONEY,
    "application_fee.": _PRODUCT,
    "apps.": _PRODUCT,
    "balance.": _MONEY,
    "balance_settings.": _MONEY,
    "billing.": _PRODUCT,
    "billing_portal.configuration.": _OURS,
    "billing_portal.session.": "opening the portal changes nothing",
    "capability.": _MONEY,
    "cash_balance.": _PRODUCT,
    "charge.": _ATTEMPT,
    "charge.dispute.": "the dispute was alerted when it was created, and is when it is closed",
    "checkout.session.expired": "the reserved name comes free by itself after 30 minutes",
    "climate.": _PRODUCT,
    "coupon.": _OURS,
    "credit_note.": "credits change what is due, and the invoice's event tells when it is paid",
    "customer.": "names and payment methods stay with Stripe; they change no instance",
    "customer.deleted": "Stripe ends the subscriptions too, and customer.subscription.deleted tells",
    "customer.subscription.pending_update_": "customer.subscription.updated tells what became of it",
    "customer.subscription.trial_will_end": "Stripe reminds of the end of a trial; the instance runs on",
    "customer_cash_balance_transaction.": _PRODUCT,
    "entitlements.": _PRODUCT,
    "file.": _MONEY,
    "financial_connections.": _PRODUCT,
    "identity.": _PRODUCT,
    "invoice.": "the invoice is being written; only its payment matters",
    "invoice_payment.": "invoice.paid tells the same",
    "invoiceitem.": "prorations are left to Stripe",
    "issuing_": _PRODUCT,
    "mandate.": _ATTEMPT,
    "payment_intent.": _ATTEMPT,
    "payment_link.": _PRODUCT,
    "payment_method.": "payment methods stay with Stripe; the next payment tells whether they work",
    "payout.": _MONEY,
    "person.": _MONEY,
    "plan.": _OURS,
    "price.": _OURS,
    "product.": _OURS,
    "promotion_code.": _OURS,
    "quote.": _PRODUCT,
    "radar.": "Stripe's own warning; a dispute that follows is alerted",
    "refund.": "charge.refunded tells the same",
    "reporting.": _PRODUCT,
    "reserve.": _MONEY,
    "review.": "a person reviews it in Stripe; what follows is an event of its own",
    "setup_intent.": _ATTEMPT,
    "sigma.": _PRODUCT,
    "source.": _ATTEMPT,
    "subscription_schedule.": "a schedule acts by customer.subscription.updated when its day comes",
    "tax.": _OURS,
    "tax_rate.": _OURS,
    "terminal.": _PRODUCT,
    "test_helpers.": "a test clock moves; what happens on the way are events of their own",
    "three_d_secure.": _ATTEMPT,
    "topup.": _MONEY,
    "transfer.": _MONEY,
    "treasury.": _PRODUCT,
}
"""Beginnings of the event types that change nothing, and why; the longest that fits is the reason."""

INTERVALS: Mapping[str, Literal["month", "year"]] = {"month": "month", "year": "year"}
OPEN = frozenset({"open", "uncollectible"})
"""Statuses of an invoice that was sent and is not paid."""
WITH_INVOICE = ("latest_invoice",)


@dataclass(frozen=True, kw_only=True)
class Account:
    """What Stripe says about one customer.

    Attributes:
        subscription: The one that was asked for.
        others: The same customer's other ones.
        email: For letters; None where the customer was deleted. Never logged.
        name: For letters. Never logged.
    """

    subscription: Subscription
    others: tuple[Subscription, ...]
    email: str | None
    name: str | None


def subject_of(payload: Raw) -> str | None:
    """Return the id of the subscription that an event asks us to read again; None where it asks nothing."""
    kind = str(payload.get("type"))
    if kind not in ACTED_ON:
        return None
    thing = _thing(payload)
    if kind.startswith("customer.subscription."):
        return _id(thing)
    return _id(thing.get("subscription")) if kind.startswith("checkout.") else subscription_of_invoice(thing)


def ignored_because(payload: Raw) -> str | None:
    """Return why an event changes nothing; None where it does, or a person is alerted."""
    kind = str(payload.get("type"))
    if kind in ALERTED:
        return None
    if kind in ACTED_ON:
        return None if subject_of(payload) else "it is about no subscription"
    fitting = [start for start in IGNORED if kind.startswith(start)]
    return IGNORED[max(fitting, key=len)] if fitting else "we have no use for this type; it is new to us"


def alert_of(payload: Raw) -> Alert | None:
    """Return the alert that an event means by itself."""
    kind = ALERTED.get(str(payload.get("type")))
    if kind is None:
        return None
    thing = _thing(payload)
    name = _id(thing) or str(payload.get("id"))
    if kind is AlertKind.DISPUTE:
        charge, status = _id(thing.get("charge")), thing.get("status")
        text = (
            f"Dispute {name} of {charge} is {status}; the instance stays as it is."
            f" Fix: answer in Stripe (https://dashboard.stripe.com/disputes/{name}) before it is due;"
            " cancel the subscription there if the customer is to go."
        )
        return Alert(kind=kind, cause=f"dispute:{name}:{status}", text=text)
    if kind is AlertKind.REFUND:
        charge = name if thing.get("object") == "charge" else _id(thing.get("charge"))
        state = thing.get("amount_refunded", thing.get("status"))
        text = (
            f"Refund for {charge} ({payload.get('type')}); the instance stays as it is."
            f" Fix: see https://dashboard.stripe.com/payments/{charge}; cancel the subscription there if it is to end."
        )
        return Alert(kind=kind, cause=f"refund:{name}:{state}", text=text)
    text = (
        f"Stripe can't finish invoice {name}, so nobody is charged for it."
        f" Fix: see https://dashboard.stripe.com/invoices/{name} (often an address that its tax needs)."
    )
    return Alert(kind=kind, cause=f"invoice-stuck:{name}", text=text)


def payer_of(client: StripeClient, subscription_id: str) -> str:
    """Return the Stripe customer who pays by a subscription; it never becomes another one's.

    Raises:
        stripe.InvalidRequestError: there is no such subscription.
        stripe.StripeError: Stripe can't be reached or refuses; to be tried again.
    """
    return str(_id(client.v1.subscriptions.retrieve(subscription_id).to_dict()["customer"]))


def read(client: StripeClient, subscription_id: str) -> Account:
    """Return the present state of a subscription, its customer and their open invoices.

    Args:
        client: Stripe's.
        subscription_id: Of which an event told.

    Raises:
        stripe.InvalidRequestError: there is no such subscription.
        stripe.StripeError: Stripe can't be reached or refuses; to be tried again.
    """
    found: Raw = client.v1.subscriptions.retrieve(subscription_id, {"expand": ["customer", *WITH_INVOICE]}).to_dict()
    customer = found["customer"]
    subject = _reduced(client, found)
    others: list[Subscription] = []
    if subject.customer_id is not None:
        listed = client.v1.subscriptions.list(
            {
                "customer": subject.customer,
                "status": "all",
                "limit": 100,
                "expand": [f"data.{name}" for name in WITH_INVOICE],
            }
        )
        for each in listed.auto_paging_iter():
            other: Raw = each.to_dict()
            if other["id"] != subject.id and _metadata(other).get("customer_id") == subject.customer_id:
                others.append(_reduced(client, other))
    person: Raw = customer if isinstance(customer, Mapping) else {}
    return Account(subscription=subject, others=tuple(others), email=person.get("email"), name=person.get("name"))


def reduced(raw: Raw, invoices: Iterable[Raw] = ()) -> Subscription:
    """Return a subscription's facts from either shape of the API.

    Args:
        raw: The subscription as a plain dict, its latest invoice expanded or not.
        invoices: Its open invoices. The latest alone is not enough: at the next renewal a draft takes its place
            while the old one is still due, and the customer would be resumed by it.
    """
    latest = raw.get("latest_invoice")
    known = [latest, *invoices] if isinstance(latest, Mapping) else [*invoices]
    due = [each for each in known if each.get("status") in OPEN and subscription_of_invoice(each) in {None, raw["id"]}]
    worst = max(due, key=lambda each: (each.get("attempt_count") or 0, -(each.get("created") or 0)), default=None)
    items: list[Raw] = list((raw.get("items") or {}).get("data") or [])
    ends = [each["current_period_end"] for each in (raw, *items) if each.get("current_period_end")]
    metadata = _metadata(raw)
    plan, interval = _plan(items)
    return Subscription(
        id=raw["id"],
        customer=str(_id(raw["customer"])),
        status=raw["status"],
        plan=plan,
        interval=interval,
        created=_time(raw["created"]),
        cancel_at_period_end=bool(raw.get("cancel_at_period_end") or raw.get("cancel_at")),
        current_period_end=_time(max(ends)) if ends else None,
        ended_at=_time(raw["ended_at"]) if raw.get("ended_at") else None,
        paused=raw.get("pause_collection") is not None,
        failed_attempts=0 if worst is None else worst.get("attempt_count") or 0,
        invoice=_id(latest) if worst is None else _id(worst),
        customer_id=metadata.get("customer_id") or None,
        subdomain=metadata.get("subdomain") or None,
        region=metadata.get("region") or None,
    )


def subscription_of_invoice(invoice: Raw) -> str | None:
    """Return the id of the subscription that an invoice is for, from either shape; None where it is for none."""
    parent: Raw = invoice.get("parent") or {}
    details: Raw = parent.get("subscription_details") or {}
    return _id(details.get("subscription")) or _id(invoice.get("subscription"))


def lookup_key(plan: str, interval: str) -> str:
    """Return the lookup key of a plan's price; `hosting stripe sync` sets it."""
    return f"{plan}_{interval}"


def _reduced(client: StripeClient, raw: Raw) -> Subscription:
    """Reduce a subscription, reading its open invoices where they can matter."""
    if raw["status"] not in {StripeStatus.PAST_DUE, StripeStatus.UNPAID}:
        return reduced(raw)
    listed = client.v1.invoices.list({"subscription": raw["id"], "status": "open", "limit": 100})
    return reduced(raw, [each.to_dict() for each in listed.auto_paging_iter()])


def _plan(items: list[Raw]) -> tuple[str | None, Literal["month", "year"] | None]:
    """Return plan and interval; None for a price that is none of ours, or more than one item.

    A price's metadata ``plan`` counts as well as its lookup key: the key moves on to the successor when
    a price is replaced, while present customers keep the old one.
    """
    if len(items) != 1:
        return None, None
    price: Raw = items[0].get("price") or {}
    recurring: Raw = price.get("recurring") or {}
    interval = INTERVALS.get(str(recurring.get("interval"))) if recurring.get("interval_count", 1) == 1 else None
    if interval is None:
        return None, None
    key = price.get("lookup_key")
    names = {name for name in PLANS if key == lookup_key(name, interval)}
    told = _metadata(price).get("plan")
    if told is not None:
        names.add(told)
    plan = names.pop() if len(names) == 1 else None
    return (plan, interval) if plan in PLANS else (None, None)


def _thing(payload: Raw) -> Raw:
    data: Raw = payload.get("data") or {}
    return data.get("object") or {}


def _metadata(raw: Raw) -> Mapping[str, str]:
    return raw.get("metadata") or {}


def _id(value: Any) -> str | None:  # noqa: ANN401 - a field of Stripe: an id, an expanded object, or null
    """Return the id from an id or an expanded object."""
    if isinstance(value, Mapping):
        value = value.get("id")
    return value if isinstance(value, str) and value else None


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
