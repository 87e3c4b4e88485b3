"""The knobs below ``/_test``: time, cards, outages, and what happens to events on their way. No key is needed.

Each answers GET with what it is set to, and POST, as a form or JSON, with what it was set to.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, jsonify, request

from localcloud.store import Thing
from localcloud.stripe_api.account import Account
from localcloud.stripe_api.cards import FOREVER, Cards
from localcloud.stripe_api.courier import Courier
from localcloud.stripe_api.errors import invalid
from localcloud.stripe_api.invoices import dispute, refund
from localcloud.stripe_api.lifecycle import ENDS_OF_DUNNING
from localcloud.stripe_api.periods import DAY
from localcloud.stripe_api.timeline import Timeline

SECONDS = {"seconds": 1, "minutes": 60, "hours": 3600, "days": DAY}


class Knobs:
    """The knobs of one account."""

    def __init__(self, account: Account, timeline: Timeline, courier: Courier) -> None:
        self._account = account
        self._timeline = timeline
        self._courier = courier

    def register(self, blueprint: Blueprint) -> None:
        """Add the knobs to a blueprint."""
        knobs: dict[str, Callable[[Thing], Thing]] = {
            "clock": self.clock,
            "advance": self.advance,
            "next": self.next,
            "fail_card": self.fail_card,
            "outage": self.outage,
            "duplicate": self.duplicate,
            "reorder": self.reorder,
            "lose": self.lose,
            "dunning": self.dunning,
            "portal": self.portal,
            "refund": lambda wish: refund(self._account, wish),
            "dispute": lambda wish: dispute(self._account, str(wish["charge"]), str(wish.get("reason", "fraudulent"))),
            "resend": self.resend,
            "settle": self.settle,
        }
        for name, deed in knobs.items():
            blueprint.add_url_rule(f"/_test/{name}", f"set_{name}", _setter(deed), methods=["POST"])
            blueprint.add_url_rule(f"/_test/{name}", f"get_{name}", self._getter(name), methods=["GET"])
        blueprint.add_url_rule("/_test/deliveries", "deliveries", self.deliveries, methods=["GET"])

    def clock(self, wish: Thing) -> Thing:
        """Move the clock to ``now`` without a stop, or let signatures lie by ``signature_skew`` seconds."""
        if "signature_skew" in wish:
            self._account.set(
                "clock", {**self._account.setting("clock"), "signature_skew": int(wish["signature_skew"])}
            )
        if "now" in wish:
            self._advance(float(wish["now"]), 0)
        return self._clock()

    def advance(self, wish: Thing) -> Thing:
        """Let ``days``, ``hours``, ``minutes`` and ``seconds`` pass; ``settle`` waits so long for events each time."""
        seconds = sum(float(wish.get(name, 0)) * each for name, each in SECONDS.items())
        if seconds < 0:
            raise invalid("Time doesn't run backwards.", "seconds")
        done = self._advance(self._account.time() + seconds, float(wish.get("settle", 0)))
        return {**self._clock(), "done": done}

    def next(self, wish: Thing) -> Thing:
        """Move the clock to the next thing that is due, and do it; ``type`` waits for one of a kind."""
        kind = str(wish.get("type", ""))
        done: list[Thing] = []
        while step := self._timeline.step(math.inf):
            done.append(step)
            if not kind or step["what"] == kind:
                break
        self._courier.settle(float(wish.get("settle", 0)))
        return {**self._clock(), "done": done}

    def fail_card(self, wish: Thing) -> Thing:
        """Have the next ``times`` charges of a ``customer`` (or anybody) fail for a reason; ``times=0`` ends it."""
        why, times = str(wish.get("code", "insufficient_funds")), int(wish.get("times", FOREVER))
        if "customer" not in wish:
            self._account.set("fail_card", {"count": times, "why": why})
            return self._account.setting("fail_card")
        customer = self._account.need("customer", str(wish["customer"]), "customer")
        subscriptions = [each for each in self._account.all("subscription") if each["customer"] == customer["id"]]
        cards = [Cards(self._account).of(each, customer) for each in [*subscriptions, None]]
        keys = {card["id"] for card in cards if card}
        for key in keys:
            Cards(self._account).let_fail(self._account.need("payment_method", key), why, times)
        return {"customer": customer["id"], "cards": sorted(keys), "code": why, "times": times}

    def outage(self, wish: Thing) -> Thing:
        """Answer all calls of the API with ``status`` for ``seconds`` (of the wall clock) or ``calls``."""
        body = {
            "until": self._account.wall() + float(wish.get("seconds", 0)),
            "calls": int(wish.get("calls", 0)),
            "status": int(wish.get("status", 500)),
        }
        return self._set("outage", body)

    def duplicate(self, wish: Thing) -> Thing:
        """Deliver the next ``count`` events (of a ``type`` pattern) twice; ``new_id`` makes two events of one."""
        return self._set("duplicate", {**_counted(wish), "new_id": str(wish.get("new_id")).lower() in {"1", "true"}})

    def reorder(self, wish: Thing) -> Thing:
        """Hold the next ``count`` events back and deliver them out of order: ``how`` is ``shuffle`` or ``reverse``."""
        how = str(wish.get("how", "shuffle"))
        if how not in {"shuffle", "reverse"}:
            raise invalid("Invalid how: must be one of shuffle, reverse", "how")
        return self._set("reorder", {**_counted(wish), "how": how, "seconds": float(wish.get("seconds", 1))})

    def lose(self, wish: Thing) -> Thing:
        """Never deliver the next ``count`` events (of a ``type`` pattern)."""
        return self._set("lose", _counted(wish))

    def dunning(self, wish: Thing) -> Thing:
        """Set the ``retry_days`` (``3,5,7``) between attempts and the ``end``: unpaid, canceled, past_due or paused."""
        days = wish.get("retry_days", "3,5,7")
        values = [float(each) for each in (days.split(",") if isinstance(days, str) else days) if each]
        end = str(wish.get("end", "unpaid"))
        if end not in ENDS_OF_DUNNING:
            raise invalid(f"Invalid end: must be one of {', '.join(ENDS_OF_DUNNING)}", "end")
        return self._set("dunning", {"retry_days": values, "end": end})

    def portal(self, wish: Thing) -> Thing:
        """Have the portal cancel with ``cancel_at_period_end`` or, as newer accounts do, with ``cancel_at``."""
        return self._set("portal", {"cancels_with": str(wish.get("cancels_with", "cancel_at_period_end"))})

    def resend(self, wish: Thing) -> Thing:
        """Deliver an ``event`` once more to all endpoints that want it."""
        return {"deliveries": self._courier.resend(self._account.need("event", str(wish["event"]), "event"))}

    def settle(self, wish: Thing) -> Thing:
        """Try everything that isn't delivered now, whatever its back-off, and wait up to ``seconds``."""
        with self._account.store.transaction():
            for each in self._account.store.all("stripe/delivery"):
                self._account.store.put("stripe/delivery", each["id"], {**each, "at": self._account.time()})
        settled = self._courier.settle(float(wish.get("seconds", 10)))
        return {"settled": settled, "undelivered": self._account.store.kinds().get("stripe/delivery", 0)}

    def deliveries(self) -> Response:
        """Show what became of each attempt to deliver, and what is still to be delivered."""
        store = self._account.store
        return jsonify({"attempts": store.all("stripe/attempt"), "undelivered": store.all("stripe/delivery")})

    def _getter(self, name: str) -> Callable[[], Response]:
        def show() -> Response:
            if name in {"clock", "advance"}:
                return jsonify(self._clock())
            if name == "next":
                return jsonify({"due": self._account.due()})
            return jsonify(self._account.setting(name))

        return show

    def _clock(self) -> Thing:
        clock = self._account.setting("clock")
        return {"now": self._account.now(), "ahead": clock.get("ahead", 0.0), "wall": self._account.wall(), **clock}

    def _advance(self, until: float, settle: float) -> list[Thing]:
        done: list[Thing] = []
        while step := self._timeline.step(until):
            done.append(step)
            if settle:
                self._courier.settle(settle)
        self._timeline.reach(until)
        if settle:
            self._courier.settle(settle)
        return done

    def _set(self, name: str, body: Thing) -> Thing:
        self._account.set(name, body)
        return body


def _setter(deed: Callable[[Thing], Thing]) -> Callable[[], Response]:
    def turn() -> Response:
        wish: Any = request.get_json(silent=True) or request.form.to_dict()
        try:
            return jsonify(deed(wish))
        except (KeyError, ValueError) as error:
            raise invalid(f"This knob can't be set so: {error!r}") from error

    return turn


def _counted(wish: Thing) -> Thing:
    return {"count": int(wish.get("count", 1)), "type": str(wish.get("type", "*"))}
