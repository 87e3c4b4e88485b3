"""How a sign-up goes on, told to whoever knows its session: from the registry and the database, not from Stripe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from registry.customers import RUNNING, Customer, Status
from registry.wishes import ALIVE, ENDED
from webhook.database.engine import reading
from webhook.database.ledger import LedgerEntry, LedgerKind
from webhook.database.subscriptions import subscriptions_of
from webhook.registry_view import RegistryView

PATIENCE = timedelta(minutes=10)
"""From payment to an answering instance; it takes seconds, and after this a person has been called."""
STEPS = ("Name reserved", "Paid", "Being set up", "Answering")


class State(StrEnum):
    """How far it is."""

    RESERVED = "reserved"
    AWAITING_PAYMENT = "awaiting-payment"
    FAILED_PAYMENT = "failed-payment"
    PAID = "paid"
    SETTING_UP = "setting-up"
    LIVE = "live"
    ATTENTION = "attention"
    CLOSED = "closed"


TEXTS = {
    State.RESERVED: "The name is reserved, and we have not heard of a payment yet.",
    State.AWAITING_PAYMENT: "Your payment is on its way. Some kinds take a few days; we write to you as soon as it has"
    " come, and the name is kept for you until then. You may close this page.",
    State.FAILED_PAYMENT: "The payment did not go through, and nothing was charged. You are welcome to start again.",
    State.PAID: "Thank you, the payment has come. We are making room for your wiki.",
    State.SETTING_UP: "Your wiki is being set up. This takes less than a minute.",
    State.LIVE: "Your wiki is ready.",
    State.ATTENTION: "Thank you, the payment has come. Setting up your wiki takes longer than usual, so one of us is"
    " looking after it and writes to you. There is nothing that you have to do, and you may close this page.",
    State.CLOSED: "This wiki is paused or has been closed; the letters that we sent you say why.",
}
DONE = {State.RESERVED: 1, State.AWAITING_PAYMENT: 1, State.FAILED_PAYMENT: 1, State.LIVE: 4, State.CLOSED: 4}
"""How many of the steps are done; 2 where it is not said."""
RETRY_SECONDS = {State.RESERVED: 5, State.PAID: 2, State.SETTING_UP: 2, State.ATTENTION: 60}
"""When it is worth looking again; never where it is not said."""


@dataclass(frozen=True, kw_only=True)
class Signup:
    """What a session is about.

    Attributes:
        customer_id: The registry id that was promised.
        is_complete: Whether the visitor has gone through the payment page.
        is_paid: Whether nothing has to be paid any more.
        completed_at: Since when we know; None for not yet, or long ago.
    """

    customer_id: str
    is_complete: bool
    is_paid: bool
    completed_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What the page says.

    Attributes:
        state: How far it is.
        url: Where the wiki answers; None before.
    """

    state: State
    url: str | None = None

    @property
    def text(self) -> str:
        """What it means."""
        return TEXTS[self.state]

    @property
    def done(self) -> int:
        """How many of the steps are done."""
        return DONE.get(self.state, 2)

    @property
    def retry_seconds(self) -> int | None:
        """When to look again; None for never."""
        return RETRY_SECONDS.get(self.state)


@dataclass(frozen=True, kw_only=True)
class Tracker:
    """Knows how sign-ups go on.

    Attributes:
        engine: The management database.
        view: The registry.
        url_of: Returns where an entry's instance answers.
        clock: The time, UTC.
    """

    engine: Engine
    view: RegistryView
    url_of: Callable[[Customer], str]
    clock: Callable[[], datetime]

    def progress(self, signup: Signup) -> Progress:
        """Return how far a sign-up is."""
        entry = self.view.snapshot().registry.customers.get(signup.customer_id)
        if entry is not None and entry.status is Status.ACTIVE:
            return Progress(state=State.LIVE, url=self.url_of(entry))
        if entry is not None and entry.status not in RUNNING:
            return Progress(state=State.CLOSED)
        alerted, statuses = self._noted(signup.customer_id)
        is_paid = signup.is_paid or bool(statuses & ALIVE)
        late = signup.completed_at is not None and self.clock() - signup.completed_at > PATIENCE
        if alerted or (late and (is_paid or entry is not None)):
            return Progress(state=State.ATTENTION)
        if entry is not None:
            return Progress(state=State.SETTING_UP)
        return Progress(state=State.PAID if is_paid else _unpaid(signup, statuses))

    def _noted(self, customer_id: str) -> tuple[bool, set[str]]:
        """Return whether a person was called, and what Stripe last said of the customer's subscriptions."""
        query = select(LedgerEntry.id).where(
            LedgerEntry.customer_id == customer_id, LedgerEntry.kind == LedgerKind.ALERT
        )
        with Session(reading(self.engine)) as session:
            alerted = session.scalars(query.limit(1)).first() is not None
            return alerted, {each.status for each in subscriptions_of(session, customer_id)}


def _unpaid(signup: Signup, statuses: set[str]) -> State:
    if statuses and statuses <= ENDED:
        return State.FAILED_PAYMENT
    return State.AWAITING_PAYMENT if signup.is_complete else State.RESERVED
