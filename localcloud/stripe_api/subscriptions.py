"""``/v1/subscriptions``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from localcloud.store import Thing
from localcloud.stripe_api import lifecycle, payments
from localcloud.stripe_api.cards import error_of
from localcloud.stripe_api.changes import Changes
from localcloud.stripe_api.discounts import redeem, usable
from localcloud.stripe_api.errors import ApiError, invalid
from localcloud.stripe_api.pauses import resume
from localcloud.stripe_api.periods import DAY
from localcloud.stripe_api.resource import Call, Resource, Route, merged
from localcloud.stripe_api.signup import Order, begin, new_item, priced

_BOTH = {"items", "metadata", "default_payment_method", "trial_end", "discounts", "description"}
_HOW = {"payment_behavior", "proration_behavior", "off_session", "expand"}
_CREATE = {*_BOTH, *_HOW, "customer", "trial_period_days", "trial_settings", "collection_method", "currency"}
_UPDATE = {*_BOTH, *_HOW, "cancel_at", "cancel_at_period_end", "cancellation_details", "pause_collection"}
"""The parameters that this Stripe knows what to do with."""


class Subscriptions(Resource):
    """The endpoints of subscriptions."""

    kind = "subscription"
    path = "subscriptions"
    params = "Subscription"
    prefix = "sub_1"
    filters = ("customer", "collection_method")

    def routes(self) -> Iterator[Route]:
        """Yield all endpoints."""
        yield from super().routes()
        one = "/v1/subscriptions/<key>"
        yield "DELETE", one, "SubscriptionCancelParams", self.cancel
        yield "POST", f"{one}/pause", "SubscriptionPauseParams", self.pause
        yield "POST", f"{one}/resume", "SubscriptionResumeParams", self.resume

    def choose(self, thing: Thing, params: Thing) -> bool:
        """Return whether the list wants a subscription; canceled ones only when asked for."""
        status = params.get("status")
        wanted = {None: thing["status"] != "canceled", "all": True, "ended": thing["status"] in lifecycle.ENDED}
        price = params.get("price")
        prices = [each["price"]["id"] for each in thing["items"]["data"]]
        return (
            super().choose(thing, params)
            and wanted.get(status, thing["status"] == status)
            and (price is None or price in prices)
        )

    def create(self, call: Call) -> Thing:
        """Subscribe a customer."""
        params = call.params
        _only(params, _CREATE)
        self.account.need("customer", params["customer"], "customer")
        behavior = params.get("payment_behavior", "allow_incomplete")
        trial = params.get("trial_end")
        if params.get("trial_period_days"):
            trial = self.account.now() + params["trial_period_days"] * DAY
        order = Order(
            customer=params["customer"],
            items=priced(self.account, params.get("items") or []),
            metadata=merged({}, params.get("metadata") or {}),
            card=params.get("default_payment_method"),
            trial_end=trial if isinstance(trial, int) else None,
            without_card=(
                params.get("trial_settings") or {"end_behavior": {"missing_payment_method": "create_invoice"}}
            )["end_behavior"]["missing_payment_method"],
            discounts=params.get("discounts") or [],
            collects=behavior != "default_incomplete",
            description=params.get("description"),
        )
        subscription, why = begin(self.account, order)
        if why and behavior == "error_if_incomplete":
            raise _undone(why)
        return subscription

    def update(self, call: Call, key: str) -> Thing:
        """Change a subscription."""
        params = call.params
        _only(params, _UPDATE)
        thing = self.account.need(self.kind, key)
        if thing["status"] in lifecycle.ENDED and params.keys() - {"metadata", "cancellation_details", "expand"}:
            message = "A canceled subscription can only update its cancellation_details and metadata."
            raise invalid(message, next(iter(params)))
        changes = Changes(self.account, thing)
        if "metadata" in params:
            thing["metadata"] = merged(thing["metadata"], params["metadata"])
        for name in ("default_payment_method", "description"):
            if name in params:
                thing[name] = params[name]
        for wish in params.get("items") or []:
            self._item(thing, wish, changes, params.get("proration_behavior", "create_prorations"))
        if "discounts" in params:
            self._discounts(thing, params["discounts"] or [])
        if params.keys() & {"cancel_at", "cancel_at_period_end", "cancellation_details"}:
            changes.cancellation(params)
        if "pause_collection" in params:
            changes.pause(params["pause_collection"])
        if "trial_end" in params:
            self._trial(thing, params["trial_end"])
        if thing["status"] not in lifecycle.ENDED:
            self.account.schedule("period", key, lifecycle.next_turn(thing))
        if not changes.bill:
            self.account.change(thing, "customer.subscription.updated")
        changes.settle(params.get("payment_behavior", "allow_incomplete"))
        return self.account.need(self.kind, key)

    def cancel(self, call: Call, key: str) -> Thing:
        """End a subscription now."""
        thing = self.account.need(self.kind, key)
        if thing["status"] in lifecycle.ENDED:
            raise ApiError(
                404, "invalid_request_error", f"No such subscription: '{key}'", code="resource_missing", param="id"
            )
        return self.end(thing, reason="cancellation_requested", details=call.params.get("cancellation_details"))

    def end(self, thing: Thing, *, reason: str, details: Thing | None = None) -> Thing:
        """End a subscription now."""
        return payments.end(self.account, thing, reason=reason, details=details)

    def pause(self, call: Call, key: str) -> Thing:  # noqa: ARG002 - all handlers are called alike
        """Pause a subscription: no periods, no invoices, until it is resumed."""
        thing = self.account.need(self.kind, key)
        if thing["status"] not in {"active", "trialing", "past_due", "unpaid"}:
            raise invalid(f"A subscription that is {thing['status']} can't be paused.")
        payments.paused(self.account, thing, "pause_requested")
        return self.account.change(thing, "customer.subscription.updated")

    def resume(self, call: Call, key: str) -> Thing:  # noqa: ARG002 - all handlers are called alike
        """Go on with a paused subscription."""
        thing = self.account.need(self.kind, key)
        if thing["status"] != "paused":
            raise invalid("Only a subscription that is paused can be resumed.")
        resume(self.account, thing)
        return self.account.need(self.kind, key)

    def _item(self, thing: Thing, wish: Thing, changes: Changes, proration: str) -> None:
        if wish.get("deleted"):
            raise invalid("This simulated Stripe keeps the number of a subscription's items.", "items")
        items = thing["items"]["data"]
        found: Any = next((each for each in items if each["id"] == wish.get("id")), None)
        if "id" in wish and found is None:
            raise invalid(f"No such subscription item: '{wish['id']}'", "items[0][id]", "resource_missing")
        if found is None:
            chosen = priced(self.account, [wish])[0]
            if any(each["price"]["id"] == chosen["price"]["id"] for each in items):
                raise invalid("You cannot add the same price twice; pass the id of the item to change it.", "items")
            items.append(new_item(self.account, thing["id"], chosen, lifecycle.period(thing)))
            return
        price = wish.get("price", found["price"]["id"])
        chosen = priced(self.account, [{"price": price, "quantity": wish.get("quantity", found["quantity"])}])[0]
        if (chosen["price"]["id"], chosen["quantity"]) != (found["price"]["id"], found["quantity"]):
            changes.item(found, chosen["price"], chosen["quantity"], proration)

    def _discounts(self, thing: Thing, wishes: list[Thing]) -> None:
        kept = [wish["discount"] for wish in wishes if wish.get("discount") in thing["discounts"]]
        for wish in wishes:
            if not wish.get("discount"):
                coupon, promotion = usable(self.account, wish)
                kept.append(redeem(self.account, coupon, promotion, thing["customer"], subscription=thing["id"])["id"])
        thing["discounts"] = kept

    def _trial(self, thing: Thing, until: int | str) -> None:
        if thing["status"] != "trialing":
            raise invalid("This simulated Stripe changes the end of running trials only.", "trial_end")
        end = self.account.now() if until == "now" else int(until)
        thing.update(trial_end=end, billing_cycle_anchor=end)
        for item in thing["items"]["data"]:
            item["current_period_end"] = end


def _undone(why: str) -> Exception:
    error = error_of(why)
    if isinstance(error, ApiError):
        error.keeps = False
    return error


def _only(params: Thing, known: set[str]) -> None:
    for name in params:
        if name not in known:
            raise invalid(f"This simulated Stripe has no {name} for subscriptions.", name)
