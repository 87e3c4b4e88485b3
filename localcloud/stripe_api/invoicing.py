"""Invoices: their lines, discounts and sums, from draft to final."""

from __future__ import annotations

from collections.abc import Sequence

from localcloud.store import Thing
from localcloud.stripe_api import lifecycle
from localcloud.stripe_api.account import Account
from localcloud.stripe_api.discounts import amount_off
from localcloud.stripe_api.events import emit
from localcloud.stripe_api.listing import whole
from localcloud.stripe_api.resource import blank

DRAFT_SECONDS = 3600
"""How long an automatic invoice stays a draft: https://docs.stripe.com/invoicing/overview."""


class Invoicing:
    """Makes the invoices of one account."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def line(
        self, subscription: Thing, item: Thing, amount: int, span: tuple[int, int], *, proration: str = ""
    ) -> Thing:
        """Return a line for an item of a subscription; prorations say what they are for."""
        price = item["price"]
        product = self._account.find("product", price["product"]) or {"name": price["product"]}
        text = lifecycle.title(price, product, item["quantity"])
        details = {
            "invoice_item": self._account.new_id("ii_1") if proration else None,
            "proration": bool(proration),
            "proration_details": {"credited_items": None},
            "subscription": subscription["id"],
            "subscription_item": item["id"],
        }
        pricing = {
            "price_details": {"price": price["id"], "product": price["product"]},
            "type": "price_details",
            "unit_amount_decimal": price["unit_amount_decimal"],
        }
        return {
            "id": self._account.new_id("il_1"),
            "object": "line_item",
            "amount": amount,
            "currency": price["currency"],
            "description": f"{proration} on {text}" if proration else text,
            "discount_amounts": [],
            "discountable": not proration,
            "discounts": [],
            "livemode": False,
            "metadata": dict(subscription["metadata"]),
            "parent": {
                "invoice_item_details": None,
                "subscription_item_details": details,
                "type": "subscription_item_details",
            },
            "period": {"start": span[0], "end": span[1]},
            "pretax_credit_amounts": [],
            "pricing": pricing,
            "quantity": item["quantity"],
            "subtotal": amount,
            "taxes": [],
        }

    def regular(self, subscription: Thing, *, free: bool = False) -> list[Thing]:
        """Return the lines of the current period."""
        span = lifecycle.period(subscription)
        return [
            self.line(subscription, item, 0 if free else item["price"]["unit_amount"] * item["quantity"], span)
            for item in subscription["items"]["data"]
        ]

    def draft(self, subscription: Thing, lines: Sequence[Thing], reason: str, *, automatic: bool = True) -> Thing:
        """Write an invoice that may still be changed; the subscription isn't stored."""
        account = self._account
        customer = account.need("customer", subscription["customer"])
        key = account.new_id("in_1")
        taken = self._discount(subscription, lines)
        subtotal = sum(line["amount"] for line in lines)
        total = subtotal - sum(each["amount"] for each in taken)
        span = lifecycle.period(subscription)
        empty = blank(
            "account_tax_ids application custom_fields default_payment_method default_source description due_date "
            "effective_at footer from_invoice hosted_invoice_url invoice_pdf last_finalization_error latest_revision "
            "next_payment_attempt number on_behalf_of receipt_number shipping_cost statement_descriptor test_clock"
        )
        zero = blank("amount_overpaid amount_paid amount_shipping", 0)
        invoice = {
            **account.new("invoice", "in_1"),
            **empty,
            **zero,
            **blank("post_payment_credit_notes_amount pre_payment_credit_notes_amount attempt_count", 0),
            "id": key,
            "account_country": "US",
            "account_name": "localcloud",
            "attempted": False,
            "auto_advance": automatic,
            "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None, "status": None},
            "automatically_finalizes_at": account.now() + DRAFT_SECONDS if automatic else None,
            "billing_reason": reason,
            "collection_method": "charge_automatically",
            "currency": subscription["currency"],
            "customer": customer["id"],
            "customer_email": customer["email"],
            "customer_name": customer["name"],
            "default_tax_rates": [],
            "discounts": [each["discount"] for each in taken],
            "issuer": {"type": "self"},
            "lines": whole([{**line, "invoice": key} for line in lines], f"/v1/invoices/{key}/lines"),
            "metadata": {},
            "parent": {
                "quote_details": None,
                "subscription_details": {
                    "metadata": dict(subscription["metadata"]),
                    "subscription": subscription["id"],
                },
                "type": "subscription_details",
            },
            "payment_settings": {"default_mandate": None, "payment_method_options": None, "payment_method_types": None},
            "period_end": span[0] if reason == "subscription_cycle" else account.now(),
            "period_start": span[0],
            "status": "draft",
            "status_transitions": blank("finalized_at marked_uncollectible_at paid_at voided_at"),
            "subtotal": subtotal,
            "subtotal_excluding_tax": subtotal,
            "total": total,
            "total_discount_amounts": taken,
            "total_excluding_tax": total,
            "total_pretax_credit_amounts": [],
            "total_taxes": [],
            "webhooks_delivered_at": account.now(),
            "_payments": whole([], "/v1/invoice_payments"),
            **_due(total, customer["balance"]),
        }
        subscription["latest_invoice"] = key
        return account.add(invoice, "invoice.created")

    def finalize(self, invoice: Thing) -> Thing:
        """Close a draft: it gets its number and takes what the customer has to the good."""
        account = self._account
        customer = account.need("customer", invoice["customer"])
        sums = _due(invoice["total"], customer["balance"])
        number = customer["next_invoice_sequence"]
        invoice = {
            **invoice,
            **sums,
            "automatically_finalizes_at": None,
            "effective_at": account.now(),
            "number": f"{customer['invoice_prefix']}-{number:04d}",
            "status": "open",
            "status_transitions": {**invoice["status_transitions"], "finalized_at": account.now()},
        }
        customer.update(balance=sums["ending_balance"], next_invoice_sequence=number + 1, currency=invoice["currency"])
        account.change(customer, "customer.updated")
        account.unschedule("finalize", invoice["id"])
        account.change(invoice)
        emit(account, "invoice.finalized", invoice)
        return invoice

    def close(self, invoice: Thing, status: str) -> Thing:
        """Give an invoice up: ``void`` or ``uncollectible``."""
        moment = {"void": "voided_at", "uncollectible": "marked_uncollectible_at"}[status]
        invoice = {
            **invoice,
            "status": status,
            "auto_advance": False,
            "next_payment_attempt": None,
            "automatically_finalizes_at": None,
            "status_transitions": {**invoice["status_transitions"], moment: self._account.now()},
        }
        for what in ("finalize", "retry"):
            self._account.unschedule(what, invoice["id"])
        self._account.change(invoice)
        emit(self._account, {"void": "invoice.voided"}.get(status, "invoice.marked_uncollectible"), invoice)
        return invoice

    def _discount(self, subscription: Thing, lines: Sequence[Thing]) -> list[Thing]:
        """Return what each discount takes off the lines that it may; one for a single invoice is used up."""
        taken: list[Thing] = []
        left = sum(line["amount"] for line in lines if line["discountable"])
        for key in list(subscription["discounts"]):
            discount = self._account.need("discount", key)
            if (discount["end"] or self._account.now() + 1) > self._account.now():
                off = amount_off(self._account, discount, left)
                left -= off
                taken.append({"amount": off, "discount": key})
            if self._account.need("coupon", discount["source"]["coupon"])["duration"] == "once" and taken[-1]["amount"]:
                subscription["discounts"].remove(key)
        return taken


def _due(total: int, balance: int) -> Thing:
    """Return what remains of a total; a negative balance is to the customer's good, as is a negative total."""
    used = min(-balance, total) if total > 0 > balance else 0
    due = max(0, total - used)
    ending = balance + used + min(total, 0)
    return {"amount_due": due, "amount_remaining": due, "starting_balance": balance, "ending_balance": ending}
