"""From what Stripe says of a subscription to what the registry shall say of its customer: one pure function.

An event is only a hint, so nothing here knows which event came, nor what came before: the present facts decide.
A fact that belongs to an effect (the instance answers, the final backup is made) arrives as ``Confirmed``; without
it a step waits and says so in ``Wish.step``. The table in docs/subscription-states.md is held against this module.

Non-goals: reading Stripe (webhook/subscriptions.py), editing the file (registry/transitions.py), prorations.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Literal

from registry.customers import QUARANTINE_DAYS, Customer, Status
from registry.plans import PLANS, Plan

GRACE_DAYS = 7
"""Days from the end of a subscription to the last day of its data (REQUIREMENTS row 8)."""
NOTICE_DAYS = 1
"""Least days from our noticing the end to the last day, however late the event was; also of the last warning."""
SUSPENDED_FROM_ATTEMPT = 3
"""Failed attempt at one invoice from which the instance stops (REQUIREMENTS row 8)."""
DOMAIN_NOTICE_DAYS = 7
"""Days from telling a customer that a downgrade ends the custom domain to doing so: links need time to be changed."""
GIB = 1024**3


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


def wish(
    subscription: Subscription,
    entry: Customer | None,
    *,
    today: date,
    data_used: DataUsed | None = None,
    confirmed: Confirmed = NOTHING_CONFIRMED,
    others: Sequence[Subscription] = (),
) -> Wish:
    """Return what the registry shall say of the subscription's customer.

    Args:
        subscription: As Stripe has it now.
        entry: The customer's entry; None where there is none.
        today: In UTC.
        data_used: As measured; None where it could not be. A smaller plan waits for it.
        confirmed: Effects that are done.
        others: The same customer's other subscriptions; after a re-subscription there is more than one.
    """
    every = (subscription, *others)
    case = _Case(deciding(every), entry, today, data_used, confirmed, every)
    result = _wished(case)
    living = sorted(each.id for each in every if each.status in ALIVE)
    if len(living) > 1:
        alert = Alert(
            kind=AlertKind.SEVERAL_SUBSCRIPTIONS,
            cause=f"several-subscriptions:{':'.join(living)}",
            text=f"{case.subscription.customer_id} pays for {' and '.join(living)}; {case.subscription.id} decides."
            " Fix: cancel and refund all others in Stripe.",
        )
        return replace(result, alerts=(*result.alerts, alert))
    return result


def deciding(subscriptions: Iterable[Subscription]) -> Subscription:
    """Return the one of a customer's subscriptions that decides: what runs before what is stopped before what ended.

    A status that we do not know decides before all, as it needs a person. Among equals the newest.
    """

    def rank(each: Subscription) -> tuple[int, datetime, str]:
        if each.status not in set(StripeStatus):
            order = 5
        elif each.status in ALIVE:
            order = 4 if each.stopped is None else 3
        else:
            order = [StripeStatus.INCOMPLETE_EXPIRED, StripeStatus.INCOMPLETE, StripeStatus.CANCELED].index(
                StripeStatus(each.status)
            )
        return order, each.ended_at or each.created, each.id

    return max(subscriptions, key=rank)


@dataclass(frozen=True)
class _Case:
    """The facts, together."""

    subscription: Subscription
    entry: Customer | None
    today: date
    data_used: DataUsed | None
    confirmed: Confirmed
    every: tuple[Subscription, ...]

    def kept(self, reason: str, *alerts: Alert) -> Wish:
        """Return the wish that everything stay as it is."""
        here = Wish(
            customer_id=self.subscription.customer_id, day=self.today, status=None, reason=reason, alerts=alerts
        )
        if self.entry is None:
            return here
        return replace(
            here,
            status=self.entry.status,
            plan=self.entry.plan,
            domain=self.entry.domain,
            delete_after=self.entry.delete_after,
            stripe_customer=self.entry.stripe_customer,
            stripe_subscription=self.entry.stripe_subscription,
            subdomain=self.entry.subdomain,
            region=self.entry.region,
        )

    def linked(self, reason: str) -> Wish:
        """Return the same, with the entry linked to the subscription that decides."""
        return replace(
            self.kept(reason), stripe_customer=self.subscription.customer, stripe_subscription=self.subscription.id
        )


def _wished(case: _Case) -> Wish:
    alert = _doubt(case.subscription, case.entry)
    if alert is not None:
        return case.kept(alert.text, alert)
    if case.subscription.status in ALIVE:
        return _newcomer(case) if case.entry is None else _alive(case, case.entry)
    if case.subscription.status == StripeStatus.INCOMPLETE:
        return case.kept(f"{case.subscription.id} is incomplete: its first payment is awaited")
    if case.entry is None:
        return case.kept(f"{case.subscription.id} has ended, and there is no entry")
    return _ended(case, case.entry)


def _doubt(subscription: Subscription, entry: Customer | None) -> Alert | None:
    """Return why the facts are not to be acted on."""
    sub = subscription
    if sub.status not in set(StripeStatus):
        text = (
            f"{sub.id} has status `{sub.status}`, which we do not know; the instance stays as it is."
            " Fix: give it a meaning in registry/lifecycle.py."
        )
        return Alert(kind=AlertKind.UNKNOWN_STATUS, cause=f"unknown-status:{sub.id}:{sub.status}", text=text)
    if entry is None and sub.status in ENDED:
        return None  # there is nothing to be done, whatever it was
    missing = [
        name
        for name, value in (("customer_id", sub.customer_id), ("subdomain", sub.subdomain if entry is None else ""))
        if value is None
    ]
    if missing:
        text = (
            f"{sub.id} does not say whose it is: no {' and '.join(missing)} in its metadata."
            " Fix: set it in Stripe, or link it in customers.yaml by `stripe_subscription`."
        )
        return Alert(kind=AlertKind.MISSING_METADATA, cause=f"missing-metadata:{sub.id}", text=text)
    if sub.plan not in PLANS or sub.interval is None:
        text = (
            f"{sub.id} has a price that belongs to no plan; the instance stays as it is."
            " Fix: change the price in Stripe to one of `hosting stripe sync`, or give it metadata `plan`."
        )
        return Alert(kind=AlertKind.UNKNOWN_PRICE, cause=f"unknown-price:{sub.id}:{sub.period}", text=text)
    if entry is not None and entry.stripe_customer not in {None, sub.customer}:
        text = (
            f"{sub.id} says that it is {sub.customer_id}'s, but belongs to {sub.customer} instead of"
            f" {entry.stripe_customer}. Fix: correct its metadata in Stripe, or the entry's `stripe_customer`."
        )
        return Alert(kind=AlertKind.MIXED_UP, cause=f"mixed-up:{sub.id}:{sub.customer}", text=text)
    return None


def _newcomer(case: _Case) -> Wish:
    sub = case.subscription
    return Wish(
        customer_id=sub.customer_id,
        day=case.today,
        status=Status.PENDING if sub.stopped is None else Status.SUSPENDED,
        plan=sub.plan,
        stripe_customer=sub.customer,
        stripe_subscription=sub.id,
        subdomain=sub.subdomain,
        region=sub.region,
        step=Step.AWAIT_ANSWER if sub.stopped is None else None,
        reason=f"{sub.id} is {sub.status}, and there is no entry yet",
        mails=_dunning(sub),
    )


def _alive(case: _Case, entry: Customer) -> Wish:
    sub = case.subscription
    if entry.status is Status.PURGING:
        text = (
            f"{sub.id} is {sub.status}, but {sub.customer_id} is being purged: its instance is gone, the purge waits."
            " Fix: restore from the final backup, or refund and cancel in Stripe."
        )
        alert = Alert(kind=AlertKind.PAID_WHILE_PURGING, cause=f"paid-while-purging:{sub.id}", text=text)
        return case.kept(text, alert)
    result = _planned(case, entry, replace(case.linked(f"{sub.id} is {sub.status}"), delete_after=None))
    result = replace(result, mails=(*result.mails, *_dunning(sub)))
    if sub.stopped is not None:
        return replace(result, status=Status.SUSPENDED, reason=f"{result.reason}: {sub.stopped}")
    if entry.status is Status.PENDING and not case.confirmed.answers:
        return replace(result, step=Step.AWAIT_ANSWER, reason=f"{result.reason}; the instance has to answer first")
    mails: tuple[Mail, ...] = ()
    if entry.status is Status.PENDING:
        mails = (Mail(kind=MailKind.WELCOME, cause=f"welcome:{sub.customer_id}"),)
    elif entry.status is not Status.ACTIVE:
        since = entry.delete_after or sub.invoice or sub.period
        mails = (Mail(kind=MailKind.RESUMED, cause=f"resumed:{sub.id}:{since}"),)
    return replace(result, status=Status.ACTIVE, mails=(*mails, *result.mails))


def _dunning(sub: Subscription) -> tuple[Mail, ...]:
    """Return the reminder of this failed attempt, and what a stopped instance is about."""
    about = sub.invoice or f"{sub.id}:{sub.period}"
    mails: list[Mail] = []
    if sub.status == StripeStatus.PAST_DUE and sub.failed_attempts > 0:
        mails.append(Mail(kind=MailKind.PAYMENT_FAILED, cause=f"payment-failed:{about}:{sub.failed_attempts}"))
    if sub.stopped is not None:
        paused = sub.paused or sub.status == StripeStatus.PAUSED
        cause = f"suspended:{sub.id}:paused:{sub.period}" if paused else f"suspended:{about}"
        mails.append(Mail(kind=MailKind.SUSPENDED, cause=cause, reason=sub.stopped))
    return tuple(mails)


def _planned(case: _Case, entry: Customer, result: Wish) -> Wish:
    """Return the wish with the plan that Stripe has, or with the present one while that has to wait."""
    sub = case.subscription
    if sub.plan is None or sub.plan == entry.plan:
        return result
    new, old = PLANS[sub.plan], PLANS[entry.plan]
    change = f"{entry.plan} to {sub.plan}"
    used = case.data_used
    if _is_smaller(new, old) and entry.status is not Status.PENDING:  # a pending one has no data yet
        if used is None:
            text = (
                f"{sub.customer_id} waits to go from {change}: what it uses could not be measured."
                " Fix: see why the instance or its volume can't be read; it is tried again by itself."
            )
            alert = Alert(
                kind=AlertKind.USAGE_UNKNOWN, cause=f"usage-unknown:{sub.id}:{new.name}:{sub.period}", text=text
            )
            return replace(result, reason=f"{result.reason}; {change} waits for its usage", alerts=(alert,))
        excess = _excess(used, new)
        if excess:
            cause = f"downgrade-held:{sub.id}:{new.name}:{sub.period}"
            text = (
                f"{sub.customer_id} pays for {new.name} but keeps {old.name}: {excess}."
                " Fix: none while the customer makes room; else agree on a plan with them."
            )
            return replace(
                result,
                reason=f"{result.reason}; {change} is held: {excess}",
                mails=(Mail(kind=MailKind.DOWNGRADE_HELD, cause=cause, reason=excess),),
                alerts=(Alert(kind=AlertKind.DOWNGRADE_HELD, cause=cause, text=text),),
            )
    if entry.domain is not None and not new.custom_domain:
        told = case.confirmed.domain_told_on
        if told is None or case.today < told + timedelta(days=DOMAIN_NOTICE_DAYS):
            cause = f"domain-ends:{sub.id}:{new.name}:{sub.period}"
            reason = (
                f"plan {new.name} has no domain of your own; {entry.domain} works for {DOMAIN_NOTICE_DAYS} more days"
            )
            mail = Mail(kind=MailKind.DOMAIN_ENDS, cause=cause, reason=reason)
            return replace(result, reason=f"{result.reason}; {change} waits until the domain may end", mails=(mail,))
        result = replace(result, domain=None)
    mail = Mail(kind=MailKind.PLAN_CHANGED, cause=f"plan-changed:{sub.id}:{old.name}:{new.name}:{sub.period}")
    return replace(result, plan=new.name, reason=f"{result.reason}; {change}", mails=(mail,))


def _is_smaller(new: Plan, old: Plan) -> bool:
    return new.storage_gib < old.storage_gib or new.users < old.users


def _excess(used: DataUsed, plan: Plan) -> str:
    """Return what does not fit into a plan, with both figures; empty where all does."""
    parts: list[str] = []
    if used.storage_bytes > plan.storage_gib * GIB:
        parts.append(f"it holds {used.storage_bytes / GIB:.2f} GiB of {plan.storage_gib}")
    if used.users > plan.users:
        parts.append(f"it has {used.users} users of {plan.users}")
    return " and ".join(parts)


def _ended(case: _Case, entry: Customer) -> Wish:
    sub = case.subscription
    if entry.stripe_subscription not in {None, *(each.id for each in case.every)}:
        return case.kept(f"{sub.id} has ended, but the entry belongs to {entry.stripe_subscription}")
    if entry.status is Status.PURGING:
        return _purging(case)
    if sub.status == StripeStatus.CANCELED:
        last_day = _last_day(case, entry)
        mails = (Mail(kind=MailKind.GRACE_STARTED, cause=f"grace-started:{sub.id}:{last_day}"),)
        if last_day - timedelta(days=NOTICE_DAYS) <= case.today <= last_day:
            mails += (Mail(kind=MailKind.GRACE_ENDS, cause=f"grace-ends:{sub.id}:{last_day}"),)
        return _leaving(case, entry, last_day, mails)
    if entry.status in {Status.ACTIVE, Status.SUSPENDED}:
        return case.kept(f"{sub.id} was never paid; it began nothing, so it ends nothing")
    return _leaving(case, entry, entry.delete_after or case.today, ())  # who never paid has heard of nothing


def _leaving(case: _Case, entry: Customer, last_day: date, mails: tuple[Mail, ...]) -> Wish:
    """Return the wish for an entry in its grace period, or behind it."""
    sub = case.subscription
    result = replace(case.linked(f"{sub.id} is {sub.status}"), status=Status.DELETING, delete_after=last_day)
    if entry.status is not Status.DELETING or case.today <= last_day:
        return replace(result, reason=f"{result.reason}; its data is kept until {last_day}", mails=mails)
    if _payable(case):
        return replace(result, reason=f"{result.reason}; another one may still be paid, so its data is kept")
    backup = case.confirmed.final_backup_on
    if backup is None or backup <= last_day:
        return replace(result, step=Step.FINAL_BACKUP, reason=f"{result.reason}; a final backup is due")
    return replace(
        result,
        status=Status.PURGING,
        step=Step.REMOVE_INSTANCE,
        reason=f"{result.reason} and its grace period is over since {last_day}",
    )


def _last_day(case: _Case, entry: Customer) -> date:
    """Return the end of the grace period; once promised, it never becomes earlier."""
    ended_at = case.subscription.ended_at
    by_stripe = None if ended_at is None else ended_at.date() + timedelta(days=GRACE_DAYS)
    if entry.delete_after is not None:
        return max(entry.delete_after, by_stripe or entry.delete_after)
    return max(by_stripe or case.today + timedelta(days=GRACE_DAYS), case.today + timedelta(days=NOTICE_DAYS))


def _purging(case: _Case) -> Wish:
    sub = case.subscription
    if _payable(case):
        return case.kept(f"{sub.id} is {sub.status}, but another one may still be paid: the purge waits")
    if not case.confirmed.instance_removed:
        return replace(case.kept(f"{sub.id} is {sub.status}; its instance goes first"), step=Step.REMOVE_INSTANCE)
    paid_once = sub.status == StripeStatus.CANCELED
    return Wish(
        customer_id=sub.customer_id,
        day=case.today,
        status=None,
        quarantine_until=case.today + timedelta(days=QUARANTINE_DAYS),
        step=Step.REMOVE_DATA,
        reason=f"{sub.id} is {sub.status}, and all but the data is gone",
        mails=(Mail(kind=MailKind.DELETED, cause=f"deleted:{sub.customer_id}"),) if paid_once else (),
    )


def _payable(case: _Case) -> bool:
    """Whether the customer can still pay for what is about to be deleted."""
    return any(each.status not in ENDED for each in case.every)
