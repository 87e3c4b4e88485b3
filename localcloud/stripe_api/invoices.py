"""``/v1/invoices``, ``/v1/charges``, ``/v1/payment_intents`` and ``/v1/refunds``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from localcloud.store import Thing
from localcloud.stripe_api.account import Account
from localcloud.stripe_api.cards import error_of
from localcloud.stripe_api.errors import invalid
from localcloud.stripe_api.events import emit
from localcloud.stripe_api.invoicing import Invoicing
from localcloud.stripe_api.payments import Payments
from localcloud.stripe_api.periods import DAY
from localcloud.stripe_api.resource import Call, Resource, Route, merged


class Invoices(Resource):
    """The endpoints of invoices; subscriptions make them."""

    kind = "invoice"
    path = "invoices"
    params = "Invoice"
    prefix = "in_1"
    filters = ("customer", "status", "collection_method")
    verbs: ClassVar[frozenset[str]] = frozenset({"retrieve", "update", "list"})

    def routes(self) -> Iterator[Route]:
        """Yield all endpoints."""
        yield from super().routes()
        one = "/v1/invoices/<key>"
        yield "POST", f"{one}/finalize", "InvoiceFinalizeInvoiceParams", self.finalize
        yield "POST", f"{one}/pay", "InvoicePayParams", self.pay
        yield "POST", f"{one}/void", "InvoiceVoidInvoiceParams", self.void
        yield "POST", f"{one}/mark_uncollectible", "InvoiceMarkUncollectibleParams", self.give_up

    def choose(self, thing: Thing, params: Thing) -> bool:
        """Return whether the list wants an invoice."""
        mine = thing["parent"]["subscription_details"]["subscription"]
        return super().choose(thing, params) and params.get("subscription", mine) == mine

    def apply(self, thing: Thing, params: Thing) -> None:
        """Change what may be changed of an invoice."""
        for name in params:
            if name not in {"auto_advance", "description", "footer"}:
                raise invalid(f"This simulated Stripe changes no {name} of invoices.", name)
        thing.update(params)

    def finalize(self, call: Call, key: str) -> Thing:  # noqa: ARG002 - all handlers are called alike
        """Close a draft."""
        return Invoicing(self.account).finalize(self._in(key, "draft", "finalized"))

    def pay(self, call: Call, key: str) -> Thing:
        """Try to collect an invoice now."""
        invoice = self.account.need("invoice", key)
        if invoice["status"] == "draft":
            invoice = Invoicing(self.account).finalize(invoice)
        if invoice["status"] == "paid":
            raise invalid("Invoice is already paid", code="invoice_already_paid")
        invoice = self._in(key, "open", "paid")
        if call.params.get("paid_out_of_band"):
            Payments(self.account).settle_elsewhere(invoice)
        elif why := Payments(self.account).collect(invoice):
            raise error_of(why)
        return self.account.need("invoice", key)

    def void(self, call: Call, key: str) -> Thing:  # noqa: ARG002 - all handlers are called alike
        """Give an invoice up as a mistake."""
        return Invoicing(self.account).close(self._in(key, "open", "voided"), "void")

    def give_up(self, call: Call, key: str) -> Thing:  # noqa: ARG002 - all handlers are called alike
        """Give an invoice up as bad debt."""
        return Invoicing(self.account).close(self._in(key, "open", "marked uncollectible"), "uncollectible")

    def _in(self, key: str, status: str, deed: str) -> Thing:
        invoice = self.account.need("invoice", key)
        if invoice["status"] != status:
            raise invalid(f"An invoice that is {invoice['status']} can't be {deed}.", code="invoice_not_editable")
        return invoice


class Charges(Resource):
    """The endpoints of charges; invoices make them."""

    kind = "charge"
    path = "charges"
    params = "Charge"
    filters = ("customer", "payment_intent")
    verbs: ClassVar[frozenset[str]] = frozenset({"retrieve", "list"})


class PaymentIntents(Charges):
    """The endpoints of payment intents; invoices make them."""

    kind = "payment_intent"
    path = "payment_intents"
    params = "PaymentIntent"
    filters = ("customer",)


class InvoicePayments(Charges):
    """The endpoints of an invoice's payments."""

    kind = "invoice_payment"
    path = "invoice_payments"
    params = "InvoicePayment"
    filters = ("invoice", "status")


class Refunds(Resource):
    """The endpoints of refunds."""

    kind = "refund"
    path = "refunds"
    params = "Refund"
    prefix = "re_3"
    filters = ("charge", "payment_intent")
    verbs: ClassVar[frozenset[str]] = frozenset({"create", "retrieve", "list"})

    def create(self, call: Call) -> Thing:
        """Give money back."""
        return refund(self.account, call.params)


def refund(account: Account, params: Thing) -> Thing:
    """Give the money of a charge, or a part, back."""
    if "payment_intent" in params:
        key = account.need("payment_intent", params["payment_intent"], "payment_intent")["latest_charge"]
    elif "charge" in params:
        key = params["charge"]
    else:
        raise invalid("One of the following params should be provided: payment_intent or charge.", "charge")
    charge = account.need("charge", key, "charge")
    left = charge["amount_captured"] - charge["amount_refunded"]
    amount = params.get("amount", left)
    if left == 0:
        raise invalid(f"Charge {key} has already been refunded.", code="charge_already_refunded")
    if not 0 < amount <= left:
        raise invalid(f"Refund amount is greater than unrefunded amount on charge ({left})", "amount")
    charge.update(amount_refunded=charge["amount_refunded"] + amount, refunded=amount == left)
    made = account.new("refund", "re_3", amount=amount, charge=key, currency=charge["currency"], status="succeeded")
    made.update(payment_intent=charge["payment_intent"], reason=params.get("reason"))
    del made["livemode"]
    made["metadata"] = merged({}, params.get("metadata") or {})
    account.add(made, "refund.created")
    account.change(charge)
    emit(account, "charge.refunded", charge)
    return made


def dispute(account: Account, charge_key: str, reason: str) -> Thing:
    """Have a customer's bank dispute a charge."""
    charge = account.need("charge", charge_key, "charge")
    charge["disputed"] = True
    account.change(charge, "charge.updated")
    due = {
        "due_by": account.now() + 7 * DAY,
        "enhanced_eligibility": {},
        "has_evidence": False,
        "past_due": False,
        "submission_count": 0,
        "submission_method": "not_submitted",
    }
    made = account.new("dispute", "du_1", amount=charge["amount"], charge=charge_key, currency=charge["currency"])
    made.update(
        balance_transactions=[],
        enhanced_eligibility_types=[],
        evidence={},
        evidence_details=due,
        is_charge_refundable=False,
        metadata={},
        payment_intent=charge["payment_intent"],
        reason=reason,
        status="needs_response",
    )
    return account.add(made, "charge.dispute.created")
