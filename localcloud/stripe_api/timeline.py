"""What time brings: renewals, retries, ends of trials, cancellations and sessions."""

from __future__ import annotations

from collections.abc import Callable

from localcloud.store import Thing
from localcloud.stripe_api import lifecycle, payments
from localcloud.stripe_api.account import Account
from localcloud.stripe_api.cards import Cards
from localcloud.stripe_api.checkout import async_result, expire
from localcloud.stripe_api.events import emit
from localcloud.stripe_api.invoicing import DRAFT_SECONDS, Invoicing
from localcloud.stripe_api.payments import Payments
from localcloud.stripe_api.periods import period_after
from localcloud.stripe_api.signup import plan_of


class Timeline:
    """Does what is due, each in a transaction of its own."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._deeds: dict[str, Callable[[Thing], object]] = {
            "subscription period": self._turn,
            "subscription incomplete": lambda thing: payments.expire(account, thing),
            "subscription unpause": self._unpause,
            "subscription trial_ending": lambda thing: emit(account, "customer.subscription.trial_will_end", thing),
            "invoice finalize": self._finalize,
            "invoice retry": lambda thing: Payments(account).collect(thing),
            "checkout.session expire": lambda thing: expire(account, thing),
            "checkout.session async": lambda thing: async_result(account, thing),
        }

    def upcoming(self) -> list[Thing]:
        """Return what is to come, soonest first."""
        return self._account.due()

    def tick(self) -> int:
        """Do all that the clock has reached; return how much that was."""
        count = 0
        while self.step(self._account.time()):
            count += 1
        return count

    def step(self, until: float) -> Thing | None:
        """Do the next thing that is due until a time; return it, None if there is none.

        The clock is moved to when it was due, if it isn't there yet.
        """
        account = self._account
        with account.store.transaction():
            due = account.due()
            if not due or due[0]["at"] > until:
                return None
            first = due[0]
            self.reach(first["at"])
            account.unschedule(first["what"], first["key"])
            for name, deed in self._deeds.items():
                kind, what = name.split()
                thing = account.find(kind, first["key"]) if what == first["what"] else None
                if thing is not None:
                    deed(thing)
            return first

    def reach(self, at: float) -> None:
        """Move the clock to a time, never back."""
        ahead = at - self._account.wall()
        clock = self._account.setting("clock")
        if ahead > clock.get("ahead", 0.0):
            self._account.set("clock", {**clock, "ahead": ahead})

    def _turn(self, subscription: Thing) -> None:
        """Renew a subscription, or end it if that was asked for."""
        now = self._account.now()
        if subscription["cancel_at"] and subscription["cancel_at"] <= now:
            payments.end(self._account, subscription, reason="cancellation_requested")
        elif subscription["status"] == "trialing":
            self._end_trial(subscription)
        elif subscription["status"] not in {*lifecycle.ENDED, "paused", "incomplete"}:
            self._renew(subscription)

    def _end_trial(self, subscription: Thing) -> None:
        account = self._account
        customer = account.need("customer", subscription["customer"])
        has_card = Cards(account).of(subscription, customer) is not None
        without = subscription["trial_settings"]["end_behavior"]["missing_payment_method"]
        to = lifecycle.after_trial(has_card=has_card, without_card=without)
        if to == "canceled":
            payments.end(account, subscription, reason="cancellation_requested")
        elif to == "paused":
            payments.paused(account, subscription, "trial_end_without_payment_method")
            account.change(subscription, "customer.subscription.updated")
        else:
            subscription["status"] = to
            self._renew(subscription)

    def _renew(self, subscription: Thing) -> None:
        """Start the next period and draft its invoice."""
        account, invoicing = self._account, Invoicing(self._account)
        later = subscription.pop("_later", None)
        for item in subscription["items"]["data"]:
            if later:
                item.update(price=later, plan=plan_of(later))
            recurring, start = item["price"]["recurring"], item["current_period_end"]
            if later:
                subscription["billing_cycle_anchor"] = start
            end = period_after(
                subscription["billing_cycle_anchor"], start, recurring["interval"], recurring["interval_count"]
            )
            item.update(current_period_start=start, current_period_end=end)
        silent = subscription["status"] in lifecycle.SILENT
        pause = subscription["pause_collection"]
        lines = [*subscription["_pending"], *invoicing.regular(subscription)]
        subscription["_pending"] = []
        invoice = invoicing.draft(subscription, lines, "subscription_cycle", automatic=not silent and not pause)
        account.schedule("period", subscription["id"], lifecycle.next_turn(subscription))
        account.change(subscription, "customer.subscription.updated")
        if pause and pause["behavior"] != "keep_as_draft":
            status = {"void": "void", "mark_uncollectible": "uncollectible"}[pause["behavior"]]
            invoicing.close(invoicing.finalize(invoice), status)
        elif not pause and not silent:
            account.schedule("finalize", invoice["id"], account.now() + DRAFT_SECONDS)

    def _finalize(self, invoice: Thing) -> None:
        """Close a draft and collect it, an hour later if its event was refused, as Stripe waits for endpoints."""
        account = self._account
        refused = any(
            each["type"] == "invoice.created" and each["attempts"] and self._is_about(each, invoice)
            for each in account.store.all("stripe/delivery")
        )
        if refused and account.now() - invoice["created"] < payments.LONGEST_DRAFT_SECONDS:
            account.schedule("finalize", invoice["id"], account.now() + DRAFT_SECONDS)
            return
        if invoice["status"] == "draft":
            Payments(account).collect(Invoicing(account).finalize(invoice))

    def _is_about(self, delivery: Thing, invoice: Thing) -> bool:
        event = self._account.find("event", delivery["event"])
        return event is not None and event["data"]["object"]["id"] == invoice["id"]

    def _unpause(self, subscription: Thing) -> None:
        subscription["pause_collection"] = None
        self._account.change(subscription, "customer.subscription.updated")
