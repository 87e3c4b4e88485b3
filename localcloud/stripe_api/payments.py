"""Collecting invoices: charges, retries over days as Smart Retries make them, and what they do to subscriptions."""

from __future__ import annotations

from localcloud.store import Thing
from localcloud.stripe_api import lifecycle
from localcloud.stripe_api.account import Account
from localcloud.stripe_api.cards import MESSAGES, Cards
from localcloud.stripe_api.events import emit
from localcloud.stripe_api.invoicing import Invoicing
from localcloud.stripe_api.periods import DAY
from localcloud.stripe_api.resource import blank

RETRY_DAYS = [3, 5, 7]
"""Days from one failed attempt to the next: four attempts in all; the knob ``dunning`` changes it."""
LONGEST_DRAFT_SECONDS = 72 * 3600
"""How long endpoints that refuse ``invoice.created`` can hold a renewal up."""
INCOMPLETE_SECONDS = 23 * 3600
"""How long a first payment may take: https://docs.stripe.com/billing/subscriptions/overview#payment-window."""


class Payments:
    """Collects the invoices of one account."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._cards = Cards(account)

    def collect(self, invoice: Thing) -> str:
        """Try to charge an open invoice; return why that failed, empty if it didn't."""
        account = self._account
        subscription = account.find("subscription", invoice["parent"]["subscription_details"]["subscription"])
        customer = account.need("customer", invoice["customer"])
        invoice = {**invoice, "attempted": True}
        if invoice["amount_due"] == 0:
            self._paid(invoice, subscription)
            return ""
        card = self._cards.of(subscription, customer)
        why = self._cards.refusal(card)
        invoice["attempt_count"] += 1
        self._charge(invoice, card, why)
        if why:
            self._failed(invoice, subscription)
        else:
            self._paid(invoice, subscription)
        return why

    def settle_elsewhere(self, invoice: Thing) -> None:
        """Mark an invoice as paid outside of Stripe."""
        subscription = self._account.find("subscription", invoice["parent"]["subscription_details"]["subscription"])
        self._paid(invoice, subscription)

    def _charge(self, invoice: Thing, card: Thing | None, why: str) -> None:
        account = self._account
        amount, money = invoice["amount_due"], {"currency": invoice["currency"], "customer": invoice["customer"]}
        message = MESSAGES.get(why, "Your card was declined.")
        problem = {"code": "card_declined", "decline_code": why, "message": message, "type": "card_error"}
        intent = account.new(
            "payment_intent", "pi_3", amount=amount, **money, last_payment_error=problem if why else None
        )
        charge = account.new("charge", "ch_3", amount=amount, **money, paid=not why, refunded=False, disputed=False)
        method = card["id"] if card else None
        intent.update(
            amount_capturable=0,
            amount_received=0 if why else amount,
            capture_method="automatic",
            confirmation_method="automatic",
            payment_method_types=["card"],
            latest_charge=charge["id"],
            metadata={},
            payment_method=None if why else method,
            status="requires_payment_method" if why else "succeeded",
        )
        charge.update(
            amount_captured=0 if why else amount,
            amount_refunded=0,
            billing_details=blank("address email name phone tax_id"),
            captured=not why,
            failure_code="card_declined" if why else None,
            failure_message=message if why else None,
            metadata={},
            payment_intent=intent["id"],
            payment_method=method,
            status="failed" if why else "succeeded",
        )
        payment = account.new("invoice_payment", "inpay_1", invoice=invoice["id"], currency=invoice["currency"])
        payment.update(
            amount_paid=None if why else amount,
            amount_requested=amount,
            is_default=True,
            payment={"payment_intent": intent["id"], "type": "payment_intent"},
            status="open" if why else "paid",
            status_transitions={"canceled_at": None, "paid_at": None if why else account.now()},
        )
        invoice["_payments"] = {**invoice["_payments"], "data": [payment], "total_count": 1}
        account.add(charge, "charge.failed" if why else "charge.succeeded")
        account.add(intent, "payment_intent.payment_failed" if why else "payment_intent.succeeded")
        account.add(payment, None if why else "invoice_payment.paid")

    def _paid(self, invoice: Thing, subscription: Thing | None) -> None:
        account = self._account
        invoice = {
            **invoice,
            "amount_paid": invoice["amount_due"],
            "amount_remaining": 0,
            "attempted": True,
            "auto_advance": False,
            "next_payment_attempt": None,
            "status": "paid",
            "status_transitions": {**invoice["status_transitions"], "paid_at": account.now()},
        }
        account.unschedule("retry", invoice["id"])
        account.change(invoice, "invoice.updated")
        emit(account, "invoice.paid", invoice)
        emit(account, "invoice.payment_succeeded", invoice)
        if subscription is None:
            return
        mine = [each for each in account.all("invoice") if _of(each) == subscription["id"]]
        later = [each for each in mine if each["status"] == "open" and each["created"] >= invoice["created"]]
        was = subscription["status"]
        subscription["status"] = lifecycle.after_payment(was, owes_more=bool(later))
        if was == "incomplete":
            account.unschedule("incomplete", subscription["id"])
        account.schedule("period", subscription["id"], lifecycle.next_turn(subscription))
        account.change(subscription, "customer.subscription.updated")

    def _failed(self, invoice: Thing, subscription: Thing | None) -> None:
        account = self._account
        rules = account.setting("dunning")
        days = rules.get("retry_days", RETRY_DAYS)
        status = subscription["status"] if subscription else "canceled"
        attempts = invoice["attempt_count"]
        retried = status in {"active", "past_due", "trialing"} and invoice["auto_advance"] and attempts <= len(days)
        account.unschedule("retry", invoice["id"])
        invoice["next_payment_attempt"] = None
        if retried:
            at = account.now() + round(days[attempts - 1] * DAY)
            invoice["next_payment_attempt"] = at
            account.schedule("retry", invoice["id"], at)
        account.change(invoice, "invoice.updated")
        emit(account, "invoice.payment_failed", invoice)
        if subscription is None:
            return
        last = not retried and invoice["auto_advance"]
        to = lifecycle.after_failure(status, last=last, end=rules.get("end", "unpaid"))
        if to == "canceled" and status != "canceled":
            end(account, subscription, reason="payment_failed")
            return
        subscription["status"] = to
        if to == "paused":
            paused(account, subscription, "final_payment_failure")
        account.change(subscription, "customer.subscription.updated")


def end(account: Account, subscription: Thing, *, reason: str, details: Thing | None = None) -> Thing:
    """End a subscription at once; nobody tries to collect its open invoices any more."""
    now = account.now()
    told = {**subscription["cancellation_details"], **(details or {}), "reason": reason}
    subscription.update(
        status="canceled", canceled_at=subscription["canceled_at"] or now, ended_at=now, cancellation_details=told
    )
    for what in ("period", "incomplete", "unpause", "trial_ending"):
        account.unschedule(what, subscription["id"])
    for invoice in account.all("invoice"):
        if _of(invoice) == subscription["id"] and invoice["status"] in {"draft", "open"}:
            account.unschedule("retry", invoice["id"])
            account.unschedule("finalize", invoice["id"])
            invoice.update(auto_advance=False, next_payment_attempt=None, automatically_finalizes_at=None)
            account.change(invoice, "invoice.updated")
    account.change(subscription)
    emit(account, "customer.subscription.deleted", subscription)
    return subscription


def paused(account: Account, subscription: Thing, why: str) -> None:
    """Note that a subscription is paused, and why; the caller stores it."""
    told = {"subscription": {"type": why}, "transitioned_at": account.now(), "type": "subscription"}
    subscription.update(status="paused", status_details={"paused": told})
    account.unschedule("period", subscription["id"])
    emit(account, "customer.subscription.paused", subscription)


def expire(account: Account, subscription: Thing) -> None:
    """Give up a subscription whose first payment never came."""
    invoice = account.need("invoice", subscription["latest_invoice"])
    if invoice["status"] == "open":
        Invoicing(account).close(invoice, "void")
    account.unschedule("incomplete", subscription["id"])
    subscription.update(status="incomplete_expired", ended_at=account.now())
    account.change(subscription, "customer.subscription.updated")


def _of(invoice: Thing) -> str:
    return str(invoice["parent"]["subscription_details"]["subscription"])
