"""What the lifecycle speaks of: a subscription's facts as Stripe has them, and the wish that follows from them.

Only words and their meaning; the rules are in ``lifecycle.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Literal

from registry.customers import Status

SUSPENDED_FROM_ATTEMPT = 3
"""Failed attempt at one invoice from which the instance stops (REQUIREMENTS row 8)."""


class StripeStatus(StrEnum):
    """A subscription's status, in Stripe's words."""

    INCOMPLETE = "incomplete"
    INCOMPLETE_EXPIRED = "incomplete_expired"
    TRIALING = "trialing"
    ACTIVE = "active"
    PAST_DUE = "past_due"
    UNPAID = "unpaid"
    PAUSED = "paused"
    CANCELED = "canceled"


ENDED = frozenset({StripeStatus.CANCELED, StripeStatus.INCOMPLETE_EXPIRED})
"""For good: Stripe never revives them."""
ALIVE = frozenset(StripeStatus) - ENDED - {StripeStatus.INCOMPLETE}
"""Begun and not ended: the customer has paid, or can still pay what is due."""


@dataclass(frozen=True, kw_only=True)
class Subscription:
    """A subscription reduced to what decides; times are in UTC.

    Attributes:
        id: Stripe's id of it.
        customer: Stripe's id of the customer.
        status: In Stripe's words, also one that we do not know.
        plan: Our plan; None where the price is none of ours.
        interval: How often it is paid.
        created: When it was made.
        cancel_at_period_end: It ends by itself; until then nothing changes.
        current_period_end: Until when it is paid, or would be.
        ended_at: When it ended.
        paused: Collection is paused (``pause_collection``), which leaves the status alone.
        failed_attempts: At the open invoice; 0 where none is open.
        invoice: The open invoice, else the latest.
        customer_id: Our id of the customer, reserved at checkout.
        subdomain: Reserved at checkout.
        region: Asked for at checkout.
    """

    id: str
    customer: str
    status: str
    plan: str | None
    interval: Literal["month", "year"] | None
    created: datetime
    cancel_at_period_end: bool = False
    current_period_end: datetime | None = None
    ended_at: datetime | None = None
    paused: bool = False
    failed_attempts: int = 0
    invoice: str | None = None
    customer_id: str | None = None
    subdomain: str | None = None
    region: str | None = None

    @property
    def stopped(self) -> str | None:
        """Why the instance of a living subscription does not run, in the customer's words; None where it runs."""
        if self.paused or self.status == StripeStatus.PAUSED:
            return "its subscription is paused"
        if self.status == StripeStatus.UNPAID:
            return "its last invoice was not paid"
        if self.status == StripeStatus.PAST_DUE and self.failed_attempts >= SUSPENDED_FROM_ATTEMPT:
            return f"{self.failed_attempts} attempts at its payment failed"
        return None

    @property
    def period(self) -> str:
        """The billing period, as part of a cause."""
        return "none" if self.current_period_end is None else self.current_period_end.date().isoformat()


class MailKind(StrEnum):
    """What a customer is told; the names of the letters in webhook/mail."""

    WELCOME = "welcome"
    PAYMENT_FAILED = "payment-failed"
    SUSPENDED = "suspended"
    RESUMED = "resumed"
    PLAN_CHANGED = "plan-changed"
    DOWNGRADE_HELD = "downgrade-held"
    DOMAIN_ENDS = "domain-ends"
    GRACE_STARTED = "grace-started"
    GRACE_ENDS = "grace-ends"
    DELETED = "deleted"


class AlertKind(StrEnum):
    """What a person has to look at."""

    UNKNOWN_STATUS = "unknown-status"
    UNKNOWN_PRICE = "unknown-price"
    MISSING_METADATA = "missing-metadata"
    MIXED_UP = "mixed-up"
    SEVERAL_SUBSCRIPTIONS = "several-subscriptions"
    DOWNGRADE_HELD = "downgrade-held"
    USAGE_UNKNOWN = "usage-unknown"
    PAID_WHILE_PURGING = "paid-while-purging"
    NO_CAPACITY = "no-capacity"
    NAME_TAKEN = "name-taken"
    DISPUTE = "dispute"
    REFUND = "refund"
    INVOICE_STUCK = "invoice-stuck"
    APPROVAL = "approval"
    PARKED = "parked"
    EVENTS_MISSED = "events-missed"
    LETTER_IN_DOUBT = "letter-in-doubt"
    LETTER_OWED = "letter-owed"


@dataclass(frozen=True, kw_only=True)
class Mail:
    """A letter to the customer, to be sent once for each cause, after the change is applied.

    Attributes:
        kind: Which letter.
        cause: Idempotency key; the same facts give the same.
        reason: For the letter, in the customer's words; empty where it needs none.
    """

    kind: MailKind
    cause: str
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Alert:
    """A call for a person, once for each cause; names no personal data.

    Attributes:
        kind: Which.
        cause: Idempotency key; the same facts give the same.
        text: What is wrong, and the fix.
    """

    kind: AlertKind
    cause: str
    text: str


class Step(StrEnum):
    """What has to be done, and confirmed, before the wish goes further."""

    AWAIT_ANSWER = "await-answer"
    FINAL_BACKUP = "final-backup"
    REMOVE_INSTANCE = "remove-instance"
    REMOVE_DATA = "remove-data"


@dataclass(frozen=True, kw_only=True)
class DataUsed:
    """What a customer uses, as measured: bytes on disk and user accounts."""

    storage_bytes: int
    users: int


@dataclass(frozen=True, kw_only=True)
class Confirmed:
    """Effects that have been seen to be done; by default none.

    Attributes:
        answers: The new instance answers over HTTPS.
        final_backup_on: Day of the latest backup that was verified; counts when it is after the grace period.
        instance_removed: Container and DNS record are gone, and the volume is no longer protected.
        domain_told_on: Day on which the mail DOMAIN_ENDS with this wish's cause was sent.
    """

    answers: bool = False
    final_backup_on: date | None = None
    instance_removed: bool = False
    domain_told_on: date | None = None


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What the registry shall say of one customer, and what follows from it.

    Attributes:
        customer_id: Whose entry; None where Stripe does not say, and then nothing changes.
        day: For which it holds.
        status: The entry's; None for no entry.
        plan: The entry's.
        domain: The customer's own, kept or (None) dropped.
        delete_after: Last day of the grace period.
        stripe_customer: The entry's.
        stripe_subscription: The entry's: the one that decides.
        subdomain: The entry's.
        region: The entry's.
        quarantine_until: Until when the name stays taken once the entry is gone.
        step: What has to be done next, if anything.
        reason: Why, in words for a commit and for `hosting why`.
        mails: To the customer.
        alerts: To a person.
    """

    customer_id: str | None
    day: date
    status: Status | None
    reason: str
    plan: str | None = None
    domain: str | None = None
    delete_after: date | None = None
    stripe_customer: str | None = None
    stripe_subscription: str | None = None
    subdomain: str | None = None
    region: str | None = None
    quarantine_until: date | None = None
    step: Step | None = None
    mails: tuple[Mail, ...] = ()
    alerts: tuple[Alert, ...] = ()


NOTHING_CONFIRMED = Confirmed()
