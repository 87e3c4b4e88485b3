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

from registry.customers import QUARANTINE_DAYS, Customer, Status
from registry.plans import PLANS, Plan
from registry.wishes import (
    ALIVE,
    ENDED,
    NOTHING_CONFIRMED,
    Alert,
    AlertKind,
    Confirmed,
    DataUsed,
    Mail,
    MailKind,
    Step,
    StripeStatus,
    Subscription,
    Wish,
)

GRACE_DAYS = 7
"""Days from the end of a subscription to the last day of its data (REQUIREMENTS row 8)."""
NOTICE_DAYS = 1
"""Least days from our noticing the end to the last day, however late the event was; also of the last warning."""
DOMAIN_NOTICE_DAYS = 7
"""Days from telling a customer that a downgrade ends the custom domain to doing so: links need time to be changed."""
GIB = 1024**3


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
    if is_smaller(new, old) and entry.status is not Status.PENDING:  # a pending one has no data yet
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
            cause = domain_cause(sub)
            reason = (
                f"plan {new.name} has no domain of your own; {entry.domain} works for {DOMAIN_NOTICE_DAYS} more days"
            )
            mail = Mail(kind=MailKind.DOMAIN_ENDS, cause=cause, reason=reason)
            return replace(result, reason=f"{result.reason}; {change} waits until the domain may end", mails=(mail,))
        result = replace(result, domain=None)
    mail = Mail(kind=MailKind.PLAN_CHANGED, cause=f"plan-changed:{sub.id}:{old.name}:{new.name}:{sub.period}")
    return replace(result, plan=new.name, reason=f"{result.reason}; {change}", mails=(mail,))


def is_smaller(new: Plan, old: Plan) -> bool:
    """Whether what fits into a plan may not fit into another one."""
    return new.storage_gib < old.storage_gib or new.users < old.users


def domain_cause(subscription: Subscription) -> str:
    """Return the cause of the letter that a smaller plan ends the custom domain."""
    return f"domain-ends:{subscription.id}:{subscription.plan}:{subscription.period}"


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
