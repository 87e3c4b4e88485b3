"""Customers and their cards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from localcloud.store import Thing
from localcloud.stripe_api import lifecycle
from localcloud.stripe_api.cards import CARDS, Cards
from localcloud.stripe_api.errors import invalid
from localcloud.stripe_api.listing import page
from localcloud.stripe_api.resource import Call, Resource, Route, blank
from localcloud.stripe_api.subscriptions import Subscriptions


class Customers(Resource):
    """``/v1/customers``."""

    kind = "customer"
    path = "customers"
    params = "Customer"
    prefix = "cus_"
    filters = ("email",)
    verbs: ClassVar[frozenset[str]] = frozenset({"create", "retrieve", "update", "list", "delete"})

    def make(self, params: Thing) -> Thing:
        """Return a customer's fields; a card among them is attached."""
        self._only_known(params)
        fields = new_customer_fields(self.account.new_id("", 8).upper())
        known = {name: value for name, value in params.items() if name not in {"payment_method", "invoice_settings"}}
        return {**fields, **known, "metadata": params.get("metadata") or {}}

    def create(self, call: Call) -> Thing:
        """Create a customer, with a card if one is named."""
        customer = super().create(call)
        card = call.params.get("payment_method")
        if card:
            attached = Cards(self.account).attach(card, customer["id"])
            default = (call.params.get("invoice_settings") or {}).get("default_payment_method")
            if default in {card, attached["id"]}:
                customer["invoice_settings"]["default_payment_method"] = attached["id"]
                self.account.change(customer)
        return customer

    def apply(self, thing: Thing, params: Thing) -> None:
        """Change a customer; the default card has to be the customer's own."""
        self._only_known(params)
        settings = params.pop("invoice_settings", None) or {}
        card = settings.get("default_payment_method")
        if card and self.account.need("payment_method", card, "payment_method")["customer"] != thing["id"]:
            raise invalid(
                "The customer does not have a payment method with the ID " + card + ". "
                "The payment method must be attached to the customer.",
                "invoice_settings[default_payment_method]",
                "resource_missing",
            )
        thing["invoice_settings"].update(settings)
        thing.update(params)

    def before_delete(self, thing: Thing) -> None:
        """End the customer's subscriptions at once, as Stripe does."""
        for each in self.account.all("subscription"):
            if each["customer"] == thing["id"] and each["status"] not in lifecycle.ENDED:
                Subscriptions(self.account).end(each, reason="cancellation_requested")

    def routes(self) -> Iterator[Route]:
        """Yield all endpoints, the customer's cards among them."""
        yield from super().routes()
        yield "GET", "/v1/customers/<key>/payment_methods", "CustomerListPaymentMethodsParams", self.cards

    def cards(self, call: Call, key: str) -> Thing:
        """List a customer's cards."""
        self.account.need("customer", key)
        found = [each for each in reversed(self.account.all("payment_method")) if each["customer"] == key]
        return page(found, call.params, f"/v1/customers/{key}/payment_methods")

    @staticmethod
    def _only_known(params: Thing) -> None:
        for name in ("source", "tax_id_data", "test_clock", "cash_balance"):
            if name in params:
                raise invalid(f"This simulated Stripe has no {name} for customers.", name)


def new_customer_fields(invoice_prefix: str) -> Thing:
    """Return what a customer has before anything is known of it."""
    fields = blank("address currency default_source description discount email name phone shipping test_clock")
    settings = {"custom_fields": None, "default_payment_method": None, "footer": None, "rendering_options": None}
    return {
        **fields,
        "balance": 0,
        "delinquent": False,
        "invoice_prefix": invoice_prefix,
        "invoice_settings": settings,
        "metadata": {},
        "next_invoice_sequence": 1,
        "preferred_locales": [],
        "tax_exempt": "none",
    }


class PaymentMethods(Resource):
    """``/v1/payment_methods``: cards, of which some fail."""

    kind = "payment_method"
    path = "payment_methods"
    params = "PaymentMethod"
    prefix = "pm_1"
    filters = ("customer", "type")
    verbs: ClassVar[frozenset[str]] = frozenset({"create", "retrieve", "list"})
    announce = False

    def make(self, params: Thing) -> Thing:
        """Return a card's fields; only Stripe's tokens for tests name one."""
        token = (params.get("card") or {}).get("token", "tok_visa").replace("tok_", "pm_card_")
        if token not in CARDS:
            raise invalid(f"No such token: '{token}'", "card[token]", "resource_missing")
        return Cards.fields(token)

    def routes(self) -> Iterator[Route]:
        """Yield all endpoints, attach and detach among them."""
        yield from super().routes()
        one = "/v1/payment_methods/<key>"
        yield "POST", f"{one}/attach", "PaymentMethodAttachParams", self.attach
        yield "POST", f"{one}/detach", "PaymentMethodDetachParams", self.detach

    def attach(self, call: Call, key: str) -> Thing:
        """Give a card to a customer."""
        return Cards(self.account).attach(key, call.params["customer"])

    def detach(self, call: Call, key: str) -> Thing:  # noqa: ARG002 - all handlers are called alike
        """Take a card from its customer."""
        card = {**self.account.need("payment_method", key), "customer": None}
        for each in self.account.all("customer"):
            if each["invoice_settings"]["default_payment_method"] == key:
                each["invoice_settings"]["default_payment_method"] = None
                self.account.change(each, "customer.updated")
        return self.account.change(card, "payment_method.detached")
