"""What the buttons of the billing portal do, within what its configuration allows."""

from __future__ import annotations

from collections.abc import Mapping

from localcloud.store import Thing
from localcloud.stripe_api.account import Account
from localcloud.stripe_api.cards import Cards
from localcloud.stripe_api.errors import ApiError
from localcloud.stripe_api.lifecycle import ENDED
from localcloud.stripe_api.payments import Payments
from localcloud.stripe_api.resource import Call
from localcloud.stripe_api.subscriptions import Subscriptions

CARD_OF = {"card_good": "pm_card_visa", "card_failing": "pm_card_chargeCustomerFail"}


class PortalActions:
    """The customer's side of one account."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._subscriptions = Subscriptions(account)

    def features(self, session: Thing) -> Thing:
        """Return what the session's configuration allows."""
        features: Thing = self._account.need("billing_portal.configuration", session["configuration"])["features"]
        return features

    def prices(self, session: Thing) -> list[Thing]:
        """Return the prices that a customer may change to."""
        products = self.features(session)["subscription_update"]["products"] or []
        return [self._account.need("price", key) for product in products for key in product["prices"]]

    def subscriptions(self, session: Thing) -> list[Thing]:
        """Return the customer's subscriptions."""
        return [each for each in self._account.all("subscription") if each["customer"] == session["customer"]]

    def act(self, session: Thing, form: Mapping[str, str]) -> str:
        """Do what a button says; return why a card refused, empty if none did.

        Raises:
            ApiError: the configuration doesn't allow it, or it isn't the customer's.
        """
        action = form.get("action", "")
        if action in CARD_OF:
            self._require(session, "payment_method_update")
            Cards(self._account).replace(self._account.need("customer", session["customer"]), CARD_OF[action])
            return ""
        if action == "pay":
            invoice = self._own(session, "invoice", form.get("invoice", ""))
            return Payments(self._account).collect(invoice) if invoice["status"] == "open" else ""
        subscription = self._own(session, "subscription", form.get("subscription", ""))
        if subscription["status"] in ENDED:
            raise _refused("This subscription has ended.")
        if action == "change":
            self._change(session, subscription, form.get("price", ""))
        elif action == "cancel":
            self._cancel(session, subscription)
        elif action == "resume":
            self._require(session, "subscription_cancel")
            style = "cancel_at_period_end" if subscription["cancel_at_period_end"] else "cancel_at"
            self._update(subscription, {style: False if style == "cancel_at_period_end" else None})
        else:
            raise _refused("There is no such button.")
        return ""

    def _change(self, session: Thing, subscription: Thing, key: str) -> None:
        rules = self._require(session, "subscription_update")
        price = next((each for each in self.prices(session) if each["id"] == key), None)
        if price is None:
            raise _refused("This plan can't be chosen here.")
        item = subscription["items"]["data"][0]
        if self._waits(rules, item["price"], price):
            subscription["_later"] = price
            self._account.change(subscription)
            return
        wish = {"id": item["id"], "price": key, "quantity": item["quantity"]}
        self._update(subscription, {"items": [wish], "proration_behavior": rules["proration_behavior"]})

    @staticmethod
    def _waits(rules: Thing, old: Thing, new: Thing) -> bool:
        """Return whether a change is made at the period's end only."""
        kinds = {each["type"] for each in (rules["schedule_at_period_end"] or {}).get("conditions") or []}
        shorter = (old["recurring"]["interval"], new["recurring"]["interval"]) == ("year", "month")
        less = new["unit_amount"] < old["unit_amount"]
        return (shorter and "shortening_interval" in kinds) or (less and "decreasing_item_amount" in kinds)

    def _cancel(self, session: Thing, subscription: Thing) -> None:
        rules = self._require(session, "subscription_cancel")
        if rules["mode"] == "immediately":
            self._subscriptions.end(subscription, reason="cancellation_requested")
        elif self._account.setting("portal").get("cancels_with") == "cancel_at":
            self._update(subscription, {"cancel_at": "max_period_end"})
        else:
            self._update(subscription, {"cancel_at_period_end": True})

    def _update(self, subscription: Thing, params: Thing) -> None:
        self._subscriptions.update(Call(params=params, base=""), subscription["id"])

    def _require(self, session: Thing, feature: str) -> Thing:
        rules: Thing = self.features(session)[feature]
        if not rules["enabled"]:
            raise _refused("This portal's configuration doesn't allow that.")
        return rules

    def _own(self, session: Thing, kind: str, key: str) -> Thing:
        thing = self._account.find(kind, key)
        if thing is None or thing["customer"] != session["customer"]:
            raise _refused(f"There is no such {kind}.")
        return thing


def _refused(message: str) -> ApiError:
    return ApiError(403, "invalid_request_error", message)
