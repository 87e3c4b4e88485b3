"""What becomes of a checkout session: paid, declined, expired."""

from __future__ import annotations

from localcloud.store import Thing
from localcloud.stripe_api.account import Account
from localcloud.stripe_api.cards import Cards, error_of
from localcloud.stripe_api.customers import new_customer_fields
from localcloud.stripe_api.discounts import usable
from localcloud.stripe_api.errors import invalid
from localcloud.stripe_api.events import emit
from localcloud.stripe_api.payments import Payments
from localcloud.stripe_api.periods import DAY
from localcloud.stripe_api.resource import blank, merged
from localcloud.stripe_api.signup import Order, begin

ASYNC_SECONDS = 3 * DAY
"""How long a bank debit takes."""


def expire(account: Account, session: Thing) -> Thing:
    """Close a session that nobody paid."""
    if session["status"] == "open":
        session.update(status="expired", url=None)
        account.unschedule("expire", session["id"])
        account.change(session)
        emit(account, "checkout.session.expired", session)
    return session


def pay(
    account: Account, session: Thing, *, email: str, name: str, token: str, code: str, debit: bool = False
) -> Thing:
    """Pay a session as the page does.

    Args:
        account: Whose session.
        session: An open one.
        email: As typed on the page; the session's own goes before it.
        name: As typed on the page.
        token: A test card.
        code: A promotion code, or empty.
        debit: Pay by bank debit, of which nobody knows for days whether it works.

    Raises:
        ApiError: the session is over, the code is no good, or the card is declined; the session stays open.
    """
    if session["status"] != "open":
        raise invalid(f"This session is {session['status']}.")
    wishes = [{"code": code}] if code and session["allow_promotion_codes"] else session["discounts"]
    for wish in wishes:
        usable(account, wish)
    data = session["_subscription_data"]
    trial = data.get("trial_end")
    if "trial_period_days" in data:
        trial = account.now() + data["trial_period_days"] * DAY
    customer = _customer(account, session, email, name)
    card = Cards(account).attach(token, customer["id"])
    order = Order(
        customer=customer["id"],
        items=session["_wishes"],
        metadata=merged({}, data.get("metadata") or {}),
        card=card["id"],
        trial_end=trial,
        discounts=wishes,
        description=data.get("description"),
        collects=not debit,
    )
    subscription, why = begin(account, order)
    if why:
        raise error_of(why)
    return _completed(account, session, customer, subscription, debit=debit)


def _completed(account: Account, session: Thing, customer: Thing, subscription: Thing, *, debit: bool) -> Thing:
    invoice = account.need("invoice", subscription["latest_invoice"])
    if debit and invoice["status"] == "open":
        account.unschedule("incomplete", subscription["id"])
        subscription["status"] = "active"
        account.change(subscription, "customer.subscription.updated")
        account.schedule("async", session["id"], account.now() + ASYNC_SECONDS)
    off = sum(each["amount"] for each in invoice["total_discount_amounts"])
    details = {**blank("address business_name individual_name phone"), "tax_exempt": "none", "tax_ids": []}
    session.update(
        amount_total=invoice["total"],
        customer=customer["id"],
        customer_details={**details, "email": customer["email"], "name": customer["name"]},
        invoice=invoice["id"],
        payment_status="paid" if invoice["status"] == "paid" else "unpaid",
        status="complete",
        subscription=subscription["id"],
        total_details={**session["total_details"], "amount_discount": off},
        url=None,
    )
    account.unschedule("expire", session["id"])
    account.change(session)
    emit(account, "checkout.session.completed", session)
    return session


def async_result(account: Account, session: Thing) -> None:
    """Tell how a bank debit ended."""
    why = Payments(account).collect(account.need("invoice", session["invoice"]))
    if not why:
        session["payment_status"] = "paid"
        account.change(session)
    emit(account, f"checkout.session.async_payment_{'failed' if why else 'succeeded'}", session)


def _customer(account: Account, session: Thing, email: str, name: str) -> Thing:
    """Return the session's customer, or a new one."""
    known = account.find("customer", session["customer"])
    if known:
        return known
    fields = new_customer_fields(account.new_id("", 8).upper())
    customer = {**account.new("customer", "cus_"), **fields, "email": session["customer_email"] or email, "name": name}
    return account.add(customer, "customer.created")
