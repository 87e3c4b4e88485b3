"""Changes of a running subscription: price and quantity with prorations, cancellation, pauses."""

from __future__ import annotations

from localcloud.store import Thing
from localcloud.stripe_api import lifecycle
from localcloud.stripe_api.account import Account
from localcloud.stripe_api.cards import error_of
from localcloud.stripe_api.discounts import amount_off
from localcloud.stripe_api.errors import ApiError, invalid
from localcloud.stripe_api.invoicing import Invoicing
from localcloud.stripe_api.payments import Payments
from localcloud.stripe_api.periods import add
from localcloud.stripe_api.signup import plan_of


class Changes:
    """Changes one subscription in memory; what has to be paid at once is left in ``bill``."""

    def __init__(self, account: Account, subscription: Thing) -> None:
        self._account = account
        self._subscription = subscription
        self._invoicing = Invoicing(account)
        self.bill: list[Thing] = []

    def item(self, item: Thing, price: Thing, quantity: int, proration: str) -> None:
        """Switch an item to a price and quantity; another interval starts another period now."""
        old = {**item}
        span = lifecycle.period(self._subscription)
        item.update(price=price, plan=plan_of(price), quantity=quantity)
        if self._subscription["status"] in {"trialing", "incomplete", "paused"}:
            return
        now = self._account.now()
        same = all(
            old["price"]["recurring"][name] == price["recurring"][name] for name in ("interval", "interval_count")
        )
        rest = (span[1] - now) / (span[1] - span[0])
        lines: list[Thing] = []
        if proration != "none":
            lines.append(self._prorated(old, -rest, (now, span[1]), "Unused time"))
        if same:
            if proration != "none":
                lines.append(self._prorated(item, rest, (now, span[1]), "Remaining time"))
        else:
            self._restart(now, price["recurring"])
            lines.extend(self._invoicing.regular(self._subscription))
        if not same or proration == "always_invoice":
            self.bill.extend([*self._subscription["_pending"], *lines])
            self._subscription["_pending"] = []
        else:
            self._subscription["_pending"].extend(lines)

    def _restart(self, now: int, recurring: Thing) -> None:
        end = add(now, recurring["interval"], recurring["interval_count"])
        self._subscription["billing_cycle_anchor"] = now
        for each in self._subscription["items"]["data"]:
            each.update(current_period_start=now, current_period_end=end)
        if self._subscription["cancel_at_period_end"]:
            self._subscription["cancel_at"] = end

    def _prorated(self, item: Thing, part: float, span: tuple[int, int], why: str) -> Thing:
        amount = item["price"]["unit_amount"] * item["quantity"]
        for key in self._subscription["discounts"]:
            amount -= amount_off(self._account, self._account.need("discount", key), amount)
        return self._invoicing.line(self._subscription, item, round(amount * part), span, proration=why)

    def cancellation(self, params: Thing) -> None:
        """Set or take back a cancellation to come."""
        subscription, now = self._subscription, self._account.now()
        end = lifecycle.period(subscription)[1]
        at: int | str | None = subscription["cancel_at"]
        if "cancel_at_period_end" in params:
            subscription["cancel_at_period_end"] = params["cancel_at_period_end"]
            at = end if params["cancel_at_period_end"] else None
        if "cancel_at" in params:
            at = end if isinstance(params["cancel_at"], str) else params["cancel_at"]
        if isinstance(at, int) and at != subscription["cancel_at"] and at <= now:
            raise invalid("The cancellation time must be in the future.", "cancel_at")
        if at != subscription["cancel_at"]:
            subscription["cancel_at"] = at
            subscription["canceled_at"] = now if at else None
            reason = "cancellation_requested" if at else None
            subscription["cancellation_details"] = {**subscription["cancellation_details"], "reason": reason}
        details = params.get("cancellation_details")
        if details:
            subscription["cancellation_details"] = {**subscription["cancellation_details"], **details}

    def pause(self, wish: Thing | None) -> None:
        """Stop collecting for a while, or go on."""
        key = self._subscription["id"]
        self._subscription["pause_collection"] = {"resumes_at": None, **wish} if wish else None
        if wish and wish.get("resumes_at"):
            self._account.schedule("unpause", key, wish["resumes_at"])
        else:
            self._account.unschedule("unpause", key)

    def settle(self, behavior: str) -> None:
        """Invoice what has to be paid at once and collect it; the subscription has been stored.

        Raises:
            ApiError: the card refused, and the caller wanted nothing changed then.
        """
        if not self.bill:
            return
        invoice = self._invoicing.draft(self._subscription, self.bill, "subscription_update")
        self._account.change(self._subscription, "customer.subscription.updated")
        why = Payments(self._account).collect(self._invoicing.finalize(invoice))
        if why and behavior == "error_if_incomplete":
            error = error_of(why)
            if isinstance(error, ApiError):
                error.keeps = False
            raise error
