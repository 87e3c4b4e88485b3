"""Delivers events in the background, signed, again and again until they are taken; and lets time pass."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import sqlite3
import threading
import time
from collections.abc import Callable

import httpx

from localcloud.store import Thing
from localcloud.stripe_api.account import Account
from localcloud.stripe_api.events import log, put, wants
from localcloud.stripe_api.shapes import shaped

POLL_SECONDS = 0.2
TIMEOUT_SECONDS = 10.0
STOP_SECONDS = 2.0
"""How long an end waits for a delivery that is under way; it is made again by the next run."""
GIVE_UP_SECONDS = 3 * 24 * 3600.0
"""Stripe tries for up to three days: https://docs.stripe.com/webhooks#automatic-retries."""
FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 3600.0

_log = logging.getLogger(__name__)


def signature(payload: str, secret: str, at: int) -> str:
    """Return the header ``Stripe-Signature``: https://docs.stripe.com/webhooks#verify-manually."""
    digest = hmac.new(secret.encode(), f"{at}.{payload}".encode(), hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def delay(attempts: int) -> float:
    """Return how many (simulated) seconds after so many attempts the next one is made."""
    return min(FIRST_DELAY_SECONDS * 2.0 ** (attempts - 1), LONGEST_DELAY_SECONDS)


class Courier:
    """One thread that delivers what is due and has done what is due.

    Args:
        account: Whose events.
        tick: Does what the clock has reached.
    """

    def __init__(self, account: Account, tick: Callable[[], object]) -> None:
        self._account = account
        self._tick = tick
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="localcloud-stripe", daemon=True)

    def start(self) -> None:
        """Begin, once; what was left undelivered by an earlier run is delivered first."""
        if not self._thread.is_alive() and not self._stop.is_set():
            self._thread.start()

    def wake(self) -> None:
        """Look now whether there is something to deliver."""
        self._wake.set()

    def stop(self) -> None:
        """End, after the delivery that is under way if it doesn't take long."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)

    def settle(self, seconds: float) -> bool:
        """Wait until everything that is due has been tried; return whether that was within so many seconds."""
        deadline = time.monotonic() + seconds
        self.wake()
        while any(each["at"] <= self._account.time() for each in self._account.store.all("stripe/delivery")):
            if time.monotonic() > deadline or not self._thread.is_alive():
                return False
            time.sleep(0.01)
        return True

    def resend(self, event: Thing) -> int:
        """Have an event delivered once more; return to how many endpoints."""
        endpoints = [each for each in self._account.all("webhook_endpoint") if wants(each, event["type"])]
        for endpoint in endpoints:
            put(self._account, event, endpoint)
        self.wake()
        return len(endpoints)

    def _run(self) -> None:
        with httpx.Client(timeout=TIMEOUT_SECONDS, headers={"User-Agent": "Stripe/1.0"}) as client:
            while not self._stop.is_set():
                try:
                    self._tick()
                    while self._round(client) and not self._stop.is_set():
                        pass
                except sqlite3.ProgrammingError:
                    return  # the store was closed: nothing is left to do
                except Exception:  # noqa: BLE001 - a courier that dies would look like a Stripe that is silent
                    _log.exception("the simulated Stripe's courier failed; it goes on")
                self._wake.wait(POLL_SECONDS)
                self._wake.clear()

    def _round(self, client: httpx.Client) -> bool:
        """Try what is due; return whether there was anything."""
        now = self._account.time()
        due = [each for each in self._account.store.all("stripe/delivery") if each["at"] <= now]
        for delivery in sorted(due, key=lambda each: each["order"]):
            if self._stop.is_set():
                break
            self._try(client, delivery)
        return bool(due)

    def _try(self, client: httpx.Client, delivery: Thing) -> None:
        endpoint = self._account.find("webhook_endpoint", delivery["endpoint"])
        event = self._account.find("event", delivery["event"])
        if endpoint is None or event is None or endpoint["status"] != "enabled":
            self._account.store.delete("stripe/delivery", delivery["id"])
            return
        payload = json.dumps(shaped(event, endpoint["api_version"]), indent=2)
        skew = self._account.setting("clock").get("signature_skew", 0)
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": signature(payload, endpoint["_secret"], int(self._account.wall()) + skew),
        }
        started = time.monotonic()
        status, problem = None, None
        try:
            status = client.post(endpoint["url"], content=payload.encode(), headers=headers).status_code
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            problem = f"{type(error).__name__}: {error}"
        took = {"seconds": time.monotonic() - started, "status": status, "error": problem}
        self._settle_one(delivery, took, taken=status is not None and 200 <= status < 300)  # noqa: PLR2004 - HTTP

    def _settle_one(self, delivery: Thing, took: Thing, *, taken: bool) -> None:
        account = self._account
        with account.store.transaction():
            delivery = {**delivery, "attempts": delivery["attempts"] + 1, "first": delivery["first"] or account.time()}
            given_up = not taken and account.time() - delivery["first"] >= GIVE_UP_SECONDS
            outcome = "delivered" if taken else "given up" if given_up else "failed"
            log(account, {**delivery, **took, "outcome": outcome})
            if taken or given_up:
                account.store.delete("stripe/delivery", delivery["id"])
                event = account.find("event", delivery["event"])
                if event and taken:
                    account.change({**event, "pending_webhooks": max(0, event["pending_webhooks"] - 1)})
            else:
                at = account.time() + delay(delivery["attempts"])
                account.store.put("stripe/delivery", delivery["id"], {**delivery, "at": at})
