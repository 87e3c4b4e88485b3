"""Cards: Stripe's own test cards, and what charging one comes to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from localcloud.store import Thing
from localcloud.stripe_api.account import Account
from localcloud.stripe_api.errors import declined, invalid, missing


@dataclass(frozen=True, kw_only=True)
class TestCard:
    """A card that behaves: https://docs.stripe.com/testing.

    Attributes:
        last4: Of its number.
        brand: As in ``card.brand``.
        refuses: Why charges fail; empty if they don't.
        attaches: Whether it can be given to a customer.
        after: How many charges succeed before.
    """

    last4: str
    brand: str = "visa"
    refuses: str = ""
    after: int = 0
    attaches: bool = True


CARDS = {
    "pm_card_visa": TestCard(last4="4242"),
    "pm_card_mastercard": TestCard(last4="4444", brand="mastercard"),
    "pm_card_chargeCustomerFail": TestCard(last4="0341", refuses="generic_decline"),
    "pm_card_failsLater": TestCard(last4="0341", refuses="insufficient_funds", after=1),  # ours
    "pm_card_visa_chargeDeclined": TestCard(last4="0002", refuses="generic_decline", attaches=False),
    "pm_card_visa_chargeDeclinedInsufficientFunds": TestCard(
        last4="9995", refuses="insufficient_funds", attaches=False
    ),
}
MESSAGES = {
    "expired_card": "Your card has expired.",
    "incorrect_cvc": "Your card's security code is incorrect.",
    "insufficient_funds": "Your card has insufficient funds.",
}
"""What is said of a decline; anything else is ``Your card was declined.``."""
FOREVER = 1_000_000_000


class Cards:
    """The cards of all customers."""

    def __init__(self, account: Account) -> None:
        self._account = account

    @staticmethod
    def fields(token: str) -> Thing:
        """Return the fields of a test card."""
        card = CARDS[token]
        body = {
            "brand": card.brand,
            "country": "US",
            "exp_month": 12,
            "exp_year": datetime.now(UTC).year + 5,
            "funding": "credit",
            "last4": card.last4,
        }
        return {
            "allow_redisplay": "unspecified",
            "billing_details": {"address": None, "email": None, "name": None, "phone": None},
            "card": body,
            "customer": None,
            "type": "card",
            "metadata": {},
            "_refuses": {"why": card.refuses, "times": FOREVER, "after": card.after} if card.refuses else {},
            "_attaches": card.attaches,
        }

    def attach(self, key: str, customer: str) -> Thing:
        """Give a card, or a new one by the name of a test card, to a customer.

        Raises:
            ApiError: there is none, it is another's, or it is one of those that can't be attached.
        """
        owner = self._account.need("customer", customer, "customer")
        if key in CARDS:
            card = {**self._account.new("payment_method", "pm_1"), **self.fields(key)}
        else:
            card = self._account.need("payment_method", key)
            if card["customer"] not in {None, customer}:
                raise invalid("The payment method you provided has already been attached to a customer.")
        if not card["_attaches"]:
            why = card["_refuses"]["why"]
            raise declined("card_declined", why, MESSAGES.get(why, "Your card was declined."))
        card["customer"] = owner["id"]
        self._account.add(card)
        return self._account.change(card, "payment_method.attached")

    def of(self, subscription: Thing | None, customer: Thing) -> Thing | None:
        """Return the card that a subscription is paid with: its own, else the customer's default."""
        own = (subscription or {}).get("default_payment_method")
        for key in (own, customer["invoice_settings"]["default_payment_method"]):
            card = self._account.find("payment_method", key)
            if card and card["customer"]:
                return card
        return None

    def refusal(self, card: Thing | None) -> str:
        """Return why a charge of a card fails, using up one failure that was ordered; empty if it doesn't."""
        ordered = self._account.count_down("fail_card")
        if ordered:
            return str(ordered["why"])
        if card is None:
            return "missing"
        refuses: Thing = card["_refuses"]
        if refuses.get("times", 0) <= 0:
            return ""
        used = "after" if refuses.get("after", 0) > 0 else "times"
        card["_refuses"] = {**refuses, used: refuses[used] - 1}
        self._account.change(card)
        return "" if used == "after" else str(refuses["why"])

    def let_fail(self, card: Thing, why: str, times: int) -> None:
        """Have the next charges of a card fail."""
        card["_refuses"] = {"why": why, "times": times}
        self._account.change(card)

    def replace(self, customer: Thing, token: str) -> Thing:
        """Give a customer another card, for all its subscriptions."""
        card = self.attach(token, customer["id"])
        customer["invoice_settings"]["default_payment_method"] = card["id"]
        self._account.change(customer, "customer.updated")
        for each in self._account.all("subscription"):
            if each["customer"] == customer["id"] and each["default_payment_method"]:
                each["default_payment_method"] = card["id"]
                self._account.change(each, "customer.subscription.updated")
        return card


def error_of(why: str, **more: object) -> Exception:
    """Return the refusal of a charge."""
    if why == "missing":
        return missing("payment_method", "", "customer", status=400)
    code = why if why in {"expired_card", "incorrect_cvc", "authentication_required"} else "card_declined"
    return declined(code, why, MESSAGES.get(why, "Your card was declined."), **more)
