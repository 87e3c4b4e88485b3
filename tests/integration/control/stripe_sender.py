"""Sends events as Stripe does: signed, all the time, and each one again until it is taken."""

from __future__ import annotations

import hmac
import json
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

from tests.integration.estate.https import Site
from webhook.event_types import API_VERSION

PER_SECOND = 20
AT_ONCE = 200
"""Each may wait ten seconds for its answer."""
PAUSE_SECONDS = 0.5
"""Before an event is sent again; Stripe's own pauses are minutes and hours."""
LAST_SECONDS = 60.0
HANDED_ON = 4
"""Every so manyth event is one that a worker has to look at."""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One post of one event.

    Attributes:
        at: Seconds since the sender began.
        seconds: Until the answer.
        outcome: Status and first word of the answer, or what broke.
    """

    event_id: str
    at: float
    seconds: float
    outcome: str

    @property
    def taken(self) -> bool:
        """Whether the service said that it has the event."""
        return self.outcome.startswith("200 ")


@dataclass
class Sender:
    """Sends events to the webhook for as long as it is open; at its end each was taken.

    Attributes:
        site: Where the webhook is.
        secret: What events are signed with.
        name: Part of the events' ids.
        attempts: Every post so far.
    """

    site: Site
    secret: str
    name: str
    attempts: list[Attempt] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._over = threading.Event()
        self._start = time.monotonic()
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="stripe")
        self._deliveries: list[Future[None]] = []
        self._pacing = threading.Thread(target=self._send, name="stripe")

    def __enter__(self) -> Self:
        self._pacing.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._pacing.join()
        self._pool.shutdown()
        for delivery in self._deliveries:
            delivery.result()

    @property
    def sent(self) -> set[str]:
        """Ids of all events."""
        return {each.event_id for each in self.attempts}

    @property
    def failures(self) -> list[Attempt]:
        """Posts that Stripe would have counted as failed."""
        return [each for each in self.attempts if not each.taken]

    def report(self) -> str:
        """Say what was seen, for people."""
        outcomes: dict[str, int] = {}
        for each in self.attempts:
            outcomes[each.outcome] = outcomes.get(each.outcome, 0) + 1
        slowest = max(each.seconds for each in self.attempts)
        times = [each.at for each in self.failures]
        away = f", failures from {min(times):.1f} to {max(times):.1f} s" if times else ""
        return f"{len(self.sent)} events, posts: {outcomes}, slowest {slowest:.2f} s{away}"

    def post(self, event: dict[str, Any]) -> Attempt:
        """Post an event once."""
        moment = int(time.time())
        signed = f"{moment}.{json.dumps(event)}".encode()
        signature = hmac.new(self.secret.encode(), signed, sha256).hexdigest()
        begun = time.monotonic()
        try:
            reply = self.site.post(
                "/webhooks/stripe", event, headers={"Stripe-Signature": f"t={moment},v1={signature}"}
            )
        except OSError as failure:
            outcome = type(failure).__name__
        else:
            word = reply.body.decode().split()[0] if reply.status == HTTPStatus.OK else "refused"
            outcome = f"{reply.status} {word}"
        end = time.monotonic()
        attempt = Attempt(event_id=event["id"], at=begun - self._start, seconds=end - begun, outcome=outcome)
        self.attempts.append(attempt)
        return attempt

    def _send(self) -> None:
        number = 0
        while not self._over.wait(max(0.0, self._start + number / PER_SECOND - time.monotonic())):
            self._deliveries.append(self._pool.submit(self._deliver, event(f"evt_{self.name}{number:06}", number)))
            number += 1

    def _deliver(self, sent: dict[str, Any]) -> None:
        deadline = time.monotonic() + LAST_SECONDS
        while not self.post(sent).taken:
            if time.monotonic() > deadline:
                message = f"{sent['id']} was not taken within {LAST_SECONDS} s"
                raise TimeoutError(message)
            time.sleep(PAUSE_SECONDS)


def event(event_id: str, number: int) -> dict[str, Any]:
    """Return an event: most are kept and nothing more; some are looked at by a worker, who finds nothing to do."""
    kind, about = ("invoice.paid", "invoice") if number % HANDED_ON == 0 else ("customer.updated", "customer")
    return {
        "id": event_id,
        "object": "event",
        "type": kind,
        "api_version": API_VERSION,
        "created": int(time.time()),
        "data": {"object": {"id": f"{about[:2]}_{number}", "object": about, "customer": "cus_1"}},
    }
