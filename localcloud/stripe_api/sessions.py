"""``/v1/checkout/sessions``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from localcloud.store import Thing
from localcloud.stripe_api import checkout
from localcloud.stripe_api.account import Account
from localcloud.stripe_api.discounts import usable
from localcloud.stripe_api.errors import invalid
from localcloud.stripe_api.listing import whole
from localcloud.stripe_api.periods import DAY
from localcloud.stripe_api.resource import Call, Resource, Route, blank, merged
from localcloud.stripe_api.signup import priced

SHORTEST_SECONDS, LONGEST_SECONDS = 30 * 60, DAY
"""How long a session may be open: https://docs.stripe.com/api/checkout/sessions/create."""
SLACK_SECONDS = 10
"""What a request may take on its way, and clocks may differ."""


class Sessions(Resource):
    """The endpoints of checkout sessions, for subscriptions only."""

    kind = "checkout.session"
    path = "checkout/sessions"
    params = "checkout.Session"
    prefix = "cs_test_a1"
    filters = ("customer", "subscription", "status")
    announce = False
    verbs: ClassVar[frozenset[str]] = frozenset({"create", "retrieve", "update", "list"})

    def routes(self) -> Iterator[Route]:
        """Yield all endpoints."""
        yield from super().routes()
        one = "/v1/checkout/sessions/<key>"
        yield "POST", f"{one}/expire", "checkout.SessionExpireParams", self.expire
        yield "GET", f"{one}/line_items", "checkout.SessionListLineItemsParams", self.line_items

    def create(self, call: Call) -> Thing:
        """Open a session."""
        params = call.params
        if params.get("mode") != "subscription":
            raise invalid("This simulated Stripe has the mode `subscription` only.", "mode")
        if "success_url" not in params:
            raise invalid("You must provide `success_url`.", "success_url", "parameter_missing")
        if "customer" in params:
            self.account.need("customer", params["customer"], "customer")
            if "customer_email" in params:
                raise invalid("You may only specify one of these parameters: customer, customer_email.", "customer")
        if "discounts" in params and "allow_promotion_codes" in params:
            message = "You may only specify one of these parameters: allow_promotion_codes, discounts."
            raise invalid(message, "allow_promotion_codes")
        wishes = priced(self.account, params.get("line_items") or [], "line_items")
        for wish in params.get("discounts") or []:
            usable(self.account, wish)
        session = self._fields(params, wishes, call.base)
        self.account.schedule("expire", session["id"], session["expires_at"])
        return self.account.add(session)

    def _fields(self, params: Thing, wishes: list[Thing], base: str) -> Thing:
        account = self.account
        total = sum(wish["price"]["unit_amount"] * wish["quantity"] for wish in wishes)
        session = account.new(self.kind, self.prefix)
        session["id"] += account.new_id("", 32)
        names = (
            "allow_promotion_codes billing_address_collection cancel_url client_reference_id customer customer_email "
            "locale payment_method_collection submit_type success_url"
        )
        return {
            **session,
            **blank(names),
            **blank(
                "adaptive_pricing after_expiration client_secret collected_information consent consent_collection "
                "currency_conversion customer_creation customer_details invoice invoice_creation payment_intent "
                "payment_link payment_method_configuration_details recovered_from return_url setup_intent "
                "shipping_address_collection shipping_cost subscription wallet_options"
            ),
            **{name: value for name, value in params.items() if name in names.split()},
            "amount_subtotal": total,
            "amount_total": total,
            "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
            "currency": wishes[0]["price"]["currency"],
            "custom_fields": [],
            "custom_text": blank("after_submit shipping_address submit terms_of_service_acceptance"),
            "discounts": params.get("discounts") or [],
            "expires_at": self._expiry(params.get("expires_at")),
            "metadata": merged({}, params.get("metadata") or {}),
            "mode": "subscription",
            "payment_method_types": ["card"],
            "payment_status": "unpaid",
            "shipping_options": [],
            "status": "open",
            "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
            "ui_mode": "hosted_page",
            "url": f"{base}/pay/{session['id']}",
            "_line_items": whole([_line(account, wish) for wish in wishes], f"/v1/checkout/sessions/{session['id']}"),
            "_wishes": wishes,
            "_subscription_data": params.get("subscription_data") or {},
        }

    def _expiry(self, wish: int | None) -> int:
        """Return when a session expires; a time by the wall clock is moved along with the simulated one."""
        now = self.account.now()
        if wish is None:
            return now + LONGEST_SECONDS
        for clock, ahead in ((now, 0), (int(self.account.wall()), now - int(self.account.wall()))):
            if SHORTEST_SECONDS - SLACK_SECONDS <= wish - clock <= LONGEST_SECONDS + SLACK_SECONDS:
                return wish + ahead
        raise invalid(
            "The `expires_at` timestamp must be at least 30 minutes and less than 24 hours from Checkout Session "
            "creation.",
            "expires_at",
        )

    def apply(self, thing: Thing, params: Thing) -> None:  # noqa: ARG002 - called alike
        """Change nothing but metadata."""
        if params:
            raise invalid("This simulated Stripe changes the metadata of sessions only.", next(iter(params)))

    def expire(self, call: Call, key: str) -> Thing:  # noqa: ARG002 - all handlers are called alike
        """Close an open session."""
        session = self.account.need(self.kind, key)
        if session["status"] != "open":
            raise invalid(
                f'Only Checkout Sessions with a status in ["open"] can be expired. This one is {session["status"]}.'
            )
        return checkout.expire(self.account, session)

    def line_items(self, call: Call, key: str) -> Thing:  # noqa: ARG002 - all handlers are called alike
        """List what a session sells."""
        items: Thing = self.account.need(self.kind, key)["_line_items"]
        return items


def _line(account: Account, wish: Thing) -> Thing:
    amount = wish["price"]["unit_amount"] * wish["quantity"]
    product = account.find("product", wish["price"]["product"]) or {"name": ""}
    return {
        "id": account.new_id("li_1"),
        "object": "item",
        **blank("amount_discount amount_tax", 0),
        "amount_subtotal": amount,
        "amount_total": amount,
        "currency": wish["price"]["currency"],
        "description": product["name"],
        "metadata": {},
        "price": wish["price"],
        "quantity": wish["quantity"],
    }
