"""The life of a subscription: each row of the documented table, and what holds in any order of events."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from registry.cells import Cell
from registry.customers import Customer, Registry, Status
from registry.lifecycle import GIB, deciding, wish
from registry.plans import PLANS
from registry.transitions import apply, fitted
from registry.wishes import (
    ALIVE,
    ENDED,
    AlertKind,
    Confirmed,
    DataUsed,
    MailKind,
    Step,
    StripeStatus,
    Subscription,
    Wish,
)

TODAY = date(2026, 3, 20)
TABLE = Path(__file__).parents[2] / "docs" / "subscription-states.md"
WORDS = ("none", *(str(status) for status in Status))
FROM_EVENTS = {AlertKind.DISPUTE, AlertKind.REFUND, AlertKind.INVOICE_STUCK}
FROM_WORK = {
    AlertKind.APPROVAL,
    AlertKind.EVENTS_MISSED,
    AlertKind.LETTER_IN_DOUBT,
    AlertKind.LETTER_OWED,
    AlertKind.PARKED,
}
DAY = timedelta(days=1)


def at(day: date) -> datetime:
    """Return a time on a day."""
    return datetime(day.year, day.month, day.day, 17, 30, tzinfo=UTC)


def subscription(status: str = "active", **changes: Any) -> Subscription:
    """Return a subscription to plan team."""
    fields: dict[str, Any] = {
        "id": "sub_1",
        "customer": "cus_1",
        "status": status,
        "plan": "team",
        "interval": "month",
        "created": at(date(2026, 1, 1)),
        "current_period_end": at(date(2026, 4, 1)),
        "ended_at": at(TODAY) if status in ENDED else None,
        "invoice": "in_1",
        "customer_id": "acme",
        "subdomain": "acme",
    }
    return Subscription(**{**fields, **changes})


def entry(status: str = "active", **changes: Any) -> Customer:
    """Return the customer's entry."""
    fields: dict[str, Any] = {
        "subdomain": "acme",
        "plan": "team",
        "status": status,
        "cell": "eu-1",
        "stripe_customer": "cus_1",
        "stripe_subscription": "sub_1",
        "delete_after": TODAY + 7 * DAY if status in {"deleting", "purging"} else None,
    }
    return Customer.model_validate({**fields, **changes})


def kinds(result: Wish) -> tuple[list[str], list[str]]:
    """Return the kinds of mails and alerts."""
    return [str(mail.kind) for mail in result.mails], [str(alert.kind) for alert in result.alerts]


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Words of the table, as arguments."""

    subscription: Mapping[str, Any]
    entry: Mapping[str, Any]
    arguments: Mapping[str, Any]
    full: bool = False
    taken: bool = False


def facts(
    *, entry_: Mapping[str, Any] | None = None, arguments: Mapping[str, Any] | None = None, **changes: Any
) -> Facts:
    """Return facts that change little."""
    return Facts(subscription=changes, entry=entry_ or {}, arguments=arguments or {})


OVER = {"delete_after": TODAY - DAY}
INCOMPLETE = (subscription("incomplete", id="sub_2"),)
BACKED_UP = Confirmed(final_backup_on=TODAY)
SMALL = {"data_used": DataUsed(storage_bytes=5 * GIB, users=1)}
LOST_DOMAIN = {"plan": "pro", "domain": "wiki.example.org"}
LAST_DAYS = [facts(entry_={"delete_after": TODAY + days * DAY}, ended_at=at(TODAY - 7 * DAY)) for days in (0, 1)]


def _told(days: int) -> Facts:
    told = Confirmed(domain_told_on=TODAY - days * DAY)
    return facts(entry_=LOST_DOMAIN, arguments={**SMALL, "confirmed": told})


FACTS: Mapping[str, list[Facts]] = {
    "-": [facts()],
    "it answers over HTTPS": [facts(arguments={"confirmed": Confirmed(answers=True)})],
    "ends with the period": [facts(cancel_at_period_end=True)],
    "collection paused": [facts(paused=True)],
    "first or second failed attempt": [facts(failed_attempts=1), facts(failed_attempts=2)],
    "third failed attempt or later": [facts(failed_attempts=3), facts(failed_attempts=9)],
    "after the last day": [facts(entry_=OVER, ended_at=at(TODAY - 8 * DAY))],
    "after the last day, final backup older": [
        facts(
            entry_=OVER,
            ended_at=at(TODAY - 8 * DAY),
            arguments={"confirmed": Confirmed(final_backup_on=TODAY - DAY)},
        )
    ],
    "after the last day, final backup made": [
        facts(entry_=OVER, ended_at=at(TODAY - 8 * DAY), arguments={"confirmed": BACKED_UP})
    ],
    "after the last day, final backup made, another one incomplete": [
        facts(entry_=OVER, ended_at=at(TODAY - 8 * DAY), arguments={"confirmed": BACKED_UP, "others": INCOMPLETE})
    ],
    "instance removed": [facts(arguments={"confirmed": Confirmed(instance_removed=True)})],
    "instance removed, another one incomplete": [
        facts(arguments={"confirmed": Confirmed(instance_removed=True), "others": INCOMPLETE})
    ],
    "noticed weeks later": [facts(ended_at=at(TODAY - 30 * DAY))],
    "one day before the last, or on it": LAST_DAYS,
    "the entry belongs to a later one": [facts(entry_={"stripe_subscription": "sub_9", **OVER})],
    "larger plan": [facts(entry_={"plan": "personal"})],
    "larger plan, cell full": [replace(facts(plan="pro"), full=True)],
    "smaller plan, fits": [
        facts(entry_={"plan": "pro"}, arguments={"data_used": DataUsed(storage_bytes=25 * GIB, users=5)})
    ],
    "smaller plan, too much data": [
        facts(entry_={"plan": "pro"}, arguments={"data_used": DataUsed(storage_bytes=25 * GIB + 1, users=5)})
    ],
    "smaller plan, too many users": [
        facts(entry_={"plan": "pro"}, arguments={"data_used": DataUsed(storage_bytes=0, users=6)})
    ],
    "smaller plan, usage unknown": [facts(entry_={"plan": "pro"})],
    "plan without domain, not told": [facts(entry_=LOST_DOMAIN, arguments=SMALL)],
    "plan without domain, told six days ago": [_told(6)],
    "plan without domain, told seven days ago": [_told(7)],
    "price of no plan": [facts(plan=None), facts(plan="gold"), facts(interval=None)],
    "no customer_id": [facts(customer_id=None)],
    "no subdomain": [facts(subdomain=None)],
    "of another Stripe customer": [facts(customer="cus_2")],
    "a second one pays": [facts(arguments={"others": (subscription(id="sub_0", created=at(date(2025, 1, 1))),)})],
    "name taken": [replace(facts(), taken=True)],
    "no room anywhere": [replace(facts(), full=True)],
}


def rows() -> list[tuple[str, ...]]:
    """Return the table's rows as cells of text."""
    lines = [line for line in TABLE.read_text().splitlines() if line.startswith("|")]
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines[2:]]


def listed(cell: str) -> list[str]:
    """Return the words of a cell."""
    return [] if cell == "-" else cell.split(", ")


def examples() -> list[Any]:
    """Return each row for each of its statuses and entries before."""
    result: list[Any] = []
    for number, (statuses, what, befores, after, mails, alerts) in enumerate(rows(), 1):
        for status, before in itertools.product(statuses.split(", "), befores.split(", ")):
            real = "brand_new" if status == "any other" else status
            for index, each in enumerate(FACTS[what]):
                name = f"{number}-{status}-{before}-{index}"
                result.append(pytest.param(real, each, before, after, listed(mails), listed(alerts), id=name))
    return result


def surroundings(before: Customer | None, each: Facts) -> tuple[Registry, Mapping[str, Cell]]:
    """Return the registry around an entry, and its cells."""
    customers = {} if before is None else {"acme": before}
    if each.taken:
        customers["other"] = entry(stripe_customer=None, stripe_subscription=None)
    cell = Cell(region="eu", location="nbg1", server_types=("cx43",), storage_gib=30, storage_overcommit=1)
    roomy = Cell(region="eu", location="nbg1", server_types=("cx43",))
    if each.full and before is None:
        customers["other"] = entry(subdomain="other", stripe_customer=None, stripe_subscription=None)
    return Registry(customers=customers), {"eu-1": cell if each.full else roomy}


@pytest.mark.parametrize(("status", "each", "before", "after", "mails", "alerts"), examples())
def test_the_documented_table_is_what_happens(
    status: str, each: Facts, before: str, after: str, mails: list[str], alerts: list[str]
) -> None:
    """Each row: the entry after, letters and alerts, and nothing more when it is looked at again."""
    old = None if before == "none" else entry(before, **each.entry)
    if old is not None and before not in {"deleting", "purging"}:
        old = old.model_copy(update={"delete_after": None})
    sub = subscription(status, **each.subscription)
    registry, cells = surroundings(old, each)
    result = fitted(wish(sub, old, today=TODAY, **each.arguments), old, registry, cells)
    new = apply(result, old, cell="eu-1")
    told, called = kinds(result)
    assert sorted(told) == sorted(mails)
    assert called == alerts
    if after == "same":
        assert new == old
    else:
        expected, _, changed = after.partition(", ")
        assert ("none" if new is None else str(new.status)) == expected
        assert changed in {"", "new plan"}
        if new is not None and old is not None:
            assert new.plan == (sub.plan if changed else old.plan)
            assert new.domain == (None if changed else old.domain)
    assert result.reason
    again = apply(
        fitted(wish(sub, new, today=TODAY, **each.arguments), new, *surroundings(new, each)), new, cell="eu-1"
    )
    assert again == new


def test_the_table_is_complete() -> None:
    """Each status of Stripe with each status of an entry, each letter, each alert, each phrase."""
    table = rows()
    plain = {
        (status, before)
        for statuses, what, befores, *_ in table
        for status, before in itertools.product(statuses.split(", "), befores.split(", "))
        if what == "-"
    }
    assert plain == set(itertools.product([*map(str, StripeStatus), "any other"], WORDS))
    assert {mail for row in table for mail in listed(row[4])} == {*map(str, MailKind)}
    assert {alert for row in table for alert in listed(row[5])} == {*map(str, set(AlertKind) - FROM_EVENTS - FROM_WORK)}
    assert {row[1] for row in table} == set(FACTS)
    assert {*ALIVE, *ENDED, StripeStatus.INCOMPLETE} == set(StripeStatus)


@pytest.mark.parametrize(
    ("ended", "promised", "last_day"),
    [
        (TODAY, None, TODAY + 7 * DAY),
        (TODAY - 3 * DAY, None, TODAY + 4 * DAY),
        (TODAY - 7 * DAY, None, TODAY + DAY),
        (TODAY - 90 * DAY, None, TODAY + DAY),
        (None, None, TODAY + 7 * DAY),
        (TODAY - 3 * DAY, TODAY + 9 * DAY, TODAY + 9 * DAY),
        (TODAY, TODAY + DAY, TODAY + 7 * DAY),
        (None, TODAY + DAY, TODAY + DAY),
    ],
)
def test_the_grace_period_is_seven_days_and_never_shortened(
    ended: date | None, promised: date | None, last_day: date
) -> None:
    """From the end that Stripe tells, at least until tomorrow, and not before what was promised."""
    before = entry() if promised is None else entry("deleting", delete_after=promised)
    sub = subscription("canceled", ended_at=None if ended is None else at(ended))
    assert wish(sub, before, today=TODAY).delete_after == last_day


def test_the_steps_out() -> None:
    """Day for day: letters once each by cause, a backup, the purge, the receipt, the quarantine."""
    sub = subscription("canceled")
    now: Customer | None = entry()
    confirmed = Confirmed()
    sent: dict[str, date] = {}
    seen: list[tuple[Status | None, Step | None]] = []
    for day in (TODAY + n * DAY for n in range(12)):
        result = wish(sub, now, today=day, confirmed=confirmed)
        for mail in result.mails:
            sent.setdefault(mail.cause, day)
        seen.append((result.status, result.step))
        now = apply(result, now)
        if result.step is Step.FINAL_BACKUP:
            confirmed = replace(confirmed, final_backup_on=day)
        elif result.step is Step.REMOVE_INSTANCE:
            confirmed = replace(confirmed, instance_removed=True)
        if result.status is None and result.step is not None:
            assert result.quarantine_until == day + 90 * DAY
    last = TODAY + 7 * DAY
    assert seen == [
        *[(Status.DELETING, None)] * 8,
        (Status.DELETING, Step.FINAL_BACKUP),
        (Status.PURGING, Step.REMOVE_INSTANCE),
        (None, Step.REMOVE_DATA),
        (None, None),
    ]
    assert sent == {
        f"grace-started:sub_1:{last}": TODAY,
        f"grace-ends:sub_1:{last}": last - DAY,
        "deleted:acme": TODAY + 10 * DAY,
    }


def test_causes_are_of_the_facts() -> None:
    """Another attempt is another cause; the same one, seen twice, is not."""

    def causes(before: Customer | None = None, **changes: Any) -> list[str]:
        result = wish(subscription(**changes), before or entry(), today=TODAY)
        assert len({mail.cause for mail in result.mails}) == len(result.mails)
        return [mail.cause for mail in result.mails]

    assert causes(status="past_due", failed_attempts=1) == ["payment-failed:in_1:1"]
    assert causes(status="past_due", failed_attempts=2) == ["payment-failed:in_1:2"]
    assert causes(status="past_due", failed_attempts=4) == ["payment-failed:in_1:4", "suspended:in_1"]
    assert causes(status="unpaid", failed_attempts=4) == ["suspended:in_1"]
    assert causes(status="unpaid", invoice=None) == ["suspended:sub_1:2026-04-01"]
    assert causes(status="paused") == ["suspended:sub_1:paused:2026-04-01"]
    assert causes(status="paused", current_period_end=None) == ["suspended:sub_1:paused:none"]
    assert causes(entry("suspended")) == ["resumed:sub_1:in_1"]
    assert causes(entry("deleting")) == [f"resumed:sub_1:{TODAY + 7 * DAY}"]
    assert causes(plan="pro") == ["plan-changed:sub_1:team:pro:2026-04-01"]


def test_reasons_are_for_people() -> None:
    """What a customer has to read and a person to do is said with figures and a fix."""
    used = DataUsed(storage_bytes=30 * GIB, users=7)
    held = wish(subscription(), entry(plan="pro"), today=TODAY, data_used=used)
    assert held.mails[0].reason == "it holds 30.00 GiB of 25 and it has 7 users of 5"
    assert "keeps pro: it holds 30.00 GiB of 25" in held.alerts[0].text
    stopped = wish(subscription("past_due", failed_attempts=3), entry(), today=TODAY)
    assert stopped.mails[1].reason == "3 attempts at its payment failed"
    for sub, before in (
        (subscription(plan=None), entry()),
        (subscription("odd"), None),
        (subscription(customer_id=None), None),
        (subscription(customer="cus_2"), entry()),
        (subscription(), entry("purging")),
        (subscription(plan="personal"), entry()),
    ):
        assert all(" Fix: " in alert.text for alert in wish(sub, before, today=TODAY).alerts)


def test_missing_metadata_is_named() -> None:
    """The alert says what is missing, and a second look makes no second alert."""
    result = wish(subscription(customer_id=None, subdomain=None), None, today=TODAY)
    assert "no customer_id and subdomain" in result.alerts[0].text
    assert result.customer_id is None
    assert result.alerts == wish(subscription(customer_id=None, subdomain=None), None, today=TODAY + DAY).alerts


def test_a_resubscription_takes_the_entry_over() -> None:
    """Whichever of the subscriptions an event told of, in the grace period and after a late `deleted`."""
    old = subscription("canceled", id="sub_1")
    new = subscription(id="sub_2", created=at(TODAY))
    for first, second in ((old, new), (new, old)):
        for before in (entry(), entry("deleting"), entry("suspended")):
            result = wish(first, before, today=TODAY, others=(second,))
            after = apply(result, before)
            assert after is not None
            assert (after.status, after.stripe_subscription) == (Status.ACTIVE, "sub_2")
            assert after.delete_after is None
            assert not result.alerts
    late = wish(old, entry(stripe_subscription="sub_2"), today=TODAY)
    assert apply(late, entry(stripe_subscription="sub_2")) == entry(stripe_subscription="sub_2")


def test_which_subscription_decides() -> None:
    """Unknown before running before stopped before canceled before incomplete before expired; then the newest."""
    newest = at(date(2026, 2, 2))
    order = [
        subscription("odd", id="sub_a"),
        subscription("past_due", id="sub_b", failed_attempts=2, created=newest),
        subscription("active", id="sub_c"),
        subscription("past_due", id="sub_d", failed_attempts=3, created=newest),
        subscription("unpaid", id="sub_e"),
        subscription("canceled", id="sub_f", ended_at=at(TODAY)),
        subscription("canceled", id="sub_g", ended_at=at(TODAY - DAY), created=newest),
        subscription("incomplete", id="sub_h", created=newest),
        subscription("incomplete_expired", id="sub_i"),
    ]
    for index, expected in enumerate(order):
        assert deciding(reversed(order[index:])) is expected
        assert deciding(order[index:]) is expected


STATES = st.builds(
    subscription,
    status=st.sampled_from([*map(str, StripeStatus), "odd"]),
    plan=st.sampled_from([*PLANS, None]),
    paused=st.booleans(),
    failed_attempts=st.integers(0, 5),
    ended_at=st.dates(TODAY - 20 * DAY, TODAY).map(at) | st.none(),
)
BEFORE = st.none() | st.builds(
    lambda status, plan, day: entry(
        status, plan=plan, **({"delete_after": day} if status in {"deleting", "purging"} else {})
    ),
    st.sampled_from([str(status) for status in Status]),
    st.sampled_from([*PLANS]),
    st.dates(TODAY - 3 * DAY, TODAY + 10 * DAY),
)
USED = st.none() | st.builds(DataUsed, storage_bytes=st.integers(0, 120 * GIB), users=st.integers(1, 25))
CONFIRMED = st.builds(
    Confirmed,
    answers=st.booleans(),
    final_backup_on=st.none() | st.dates(TODAY - 5 * DAY, TODAY),
    instance_removed=st.just(False),
    domain_told_on=st.none() | st.dates(TODAY - 20 * DAY, TODAY),
)


@settings(max_examples=1_000, deadline=None)
@given(sub=STATES, before=BEFORE, used=USED, confirmed=CONFIRMED)
def test_a_second_look_changes_nothing(
    sub: Subscription, before: Customer | None, used: DataUsed | None, confirmed: Confirmed
) -> None:
    """Whatever the facts: the wish of the wished-for entry is that entry."""
    first = wish(sub, before, today=TODAY, data_used=used, confirmed=confirmed)
    after = apply(first, before, cell="eu-1")
    confirmed = confirmed if before is not None else replace(confirmed, answers=False)
    again = wish(sub, after, today=TODAY, data_used=used, confirmed=confirmed)
    assert apply(again, after, cell="eu-1") == after


class Life(RuleBasedStateMachine):
    """One customer at Stripe and with us; events come late, twice, in any order, or not at all."""

    def __init__(self) -> None:
        super().__init__()
        self.today = TODAY
        self.subs: list[Subscription] = []
        self.entry: Customer | None = None
        self.start: Customer | None = None
        self.confirmed = Confirmed()
        self.used: DataUsed | None = None
        self.history: list[Customer | None] = []

    @initialize(known=st.booleans())
    def begins(self, *, known: bool) -> None:
        self.subs = [subscription(ended_at=None)]
        self.start = self.entry = entry() if known else None
        self.history = [self.entry]

    @property
    def newest(self) -> Subscription:
        return self.subs[-1]

    @precondition(lambda self: self.newest.status not in ENDED)
    @rule(
        status=st.sampled_from(sorted(ALIVE)),
        plan=st.sampled_from(sorted(PLANS)),
        paused=st.booleans(),
        attempts=st.integers(0, 4),
    )
    def stripe_changes_it(self, status: str, plan: str, paused: bool, attempts: int) -> None:
        self.subs[-1] = replace(self.newest, status=status, plan=plan, paused=paused, failed_attempts=attempts)

    @precondition(lambda self: self.newest.status not in ENDED)
    @rule()
    def stripe_ends_it(self) -> None:
        ended = "incomplete_expired" if self.newest.status == "incomplete" else "canceled"
        self.subs[-1] = replace(self.newest, status=ended, ended_at=at(self.today))

    @precondition(lambda self: self.newest.status in ENDED)
    @rule(status=st.sampled_from(["incomplete", "trialing", "active"]))
    def customer_subscribes_again(self, status: str) -> None:
        name = f"sub_{len(self.subs) + 1}"
        self.subs.append(subscription(status, id=name, created=at(self.today), ended_at=None))

    @rule(days=st.integers(1, 9))
    def days_pass(self, days: int) -> None:
        self.today += days * DAY

    @rule(used=USED)
    def usage_is_measured(self, used: DataUsed | None) -> None:
        self.used = used

    @rule(data=st.data())
    def an_event_is_acted_on(self, data: st.DataObject) -> None:
        self.look(data.draw(st.permutations(self.subs)))

    @rule(data=st.data())
    def a_confirmed_step_is_acted_on(self, data: st.DataObject) -> None:
        result = self.look(data.draw(st.permutations(self.subs)))
        self.confirm(result.step)
        self.look(data.draw(st.permutations(self.subs)))

    def look(self, subs: list[Subscription]) -> Wish:
        arguments: dict[str, Any] = {"today": self.today, "data_used": self.used, "others": subs[1:]}
        result = wish(subs[0], self.entry, confirmed=self.confirmed, **arguments)
        new = apply(result, self.entry, cell="eu-1")
        self.check(self.entry, new, result)
        self.entry = new
        self.confirmed = Confirmed()
        self.history.append(new)
        again = wish(subs[0], new, confirmed=self.confirmed, **arguments)
        assert apply(again, new, cell="eu-1") == new, "the second look changed something"
        return result

    def check(self, old: Customer | None, new: Customer | None, result: Wish) -> None:
        """Hold one step against what must never happen."""
        payable = any(sub.status not in ENDED for sub in self.subs)
        if old is not None and new is None:
            assert old.status is Status.PURGING
            assert not payable, "an entry went while it could be paid"
        if old is not None and new is not None and new.status is Status.PURGING and old.status is not Status.PURGING:
            assert old.status is Status.DELETING
            assert old.delete_after is not None
            assert self.today > old.delete_after
            assert not payable, "data went while it could be paid"
        alive = [sub for sub in self.subs if sub.status in ALIVE]
        if alive and old is not None and old.status is Status.PURGING:
            assert AlertKind.PAID_WHILE_PURGING in {alert.kind for alert in result.alerts}
        elif alive and new is not None:
            assert new.status in {Status.PENDING, Status.ACTIVE, Status.SUSPENDED}

    def confirm(self, step: Step | None) -> None:
        """Do what a step asks for."""
        self.confirmed = Confirmed(
            answers=step is Step.AWAIT_ANSWER,
            final_backup_on=self.today if step is Step.FINAL_BACKUP else None,
            instance_removed=step is Step.REMOVE_INSTANCE,
        )

    @invariant()
    def the_entry_is_sound(self) -> None:
        leaving = self.entry is not None and self.entry.status in {Status.DELETING, Status.PURGING}
        assert leaving == (self.entry is not None and self.entry.delete_after is not None)

    def settle(self) -> None:
        """Look at the last state until nothing more happens."""
        self.used = DataUsed(storage_bytes=0, users=1)
        for _ in range(60):
            result = self.look(self.subs)
            self.confirm(result.step)
            self.today += DAY

    def teardown(self) -> None:
        if not self.subs:
            return
        if self.newest.status == "incomplete":
            self.subs[-1] = replace(self.newest, status="incomplete_expired", ended_at=at(self.today))
        self.settle()
        if self.entry is not None and self.entry.status is Status.PURGING:
            assert self.newest.status in ALIVE
            return
        after = self.entry
        self.entry = self.start  # another one of us, who heard of nothing but the last state
        self.settle()
        assert after == self.entry, "the way here made a difference"
        if self.newest.status in ENDED:
            assert after is None
        else:
            assert after is not None
            assert after.plan == self.newest.plan
            assert after.status is (Status.ACTIVE if self.newest.stopped is None else Status.SUSPENDED)


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=1_000, stateful_step_count=12, deadline=None)


def test_the_table_has_no_stray_marks() -> None:
    """Each row has six cells, none of them empty."""
    for row in rows():
        assert len(row) == 6
        assert all(re.fullmatch(r"[\w, -]+", cell) for cell in row), row
