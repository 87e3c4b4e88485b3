"""From a wish to the file's text: one entry, placed or changed, and what can't be fulfilled alerts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.cells import Cell
from registry.customers import Customer, Registry, Status
from registry.lifecycle import wish
from registry.load import parse
from registry.transitions import EntryChanged, apply, edit_for, fitted, linked
from registry.wishes import AlertKind, Confirmed, DataUsed, MailKind, Step, Subscription, Wish

TODAY = date(2026, 1, 15)
TEXT = """\
# Ours.
customers:
  # The first.
  acme:
    subdomain: acme
    plan: team  # since 2024
    status: active
    cell: eu-1
    stripe_customer: cus_acme
    stripe_subscription: sub_acme
    ring: canary
  birch:
    subdomain: birch
    plan: pro
    status: suspended
    cell: eu-2
    domain: wiki.example.org  # theirs
    stripe_customer: cus_birch
    stripe_subscription: sub_birch

# Gone.
quarantine:
  cedar: 2026-01-15
  dune: 2026-01-14
"""
Read = Callable[[str], Registry]
Cells = Mapping[str, Cell]


def subscription(who: str = "acme", status: str = "active", **changes: Any) -> Subscription:
    """Return a customer's subscription."""
    fields: dict[str, Any] = {
        "id": f"sub_{who}",
        "customer": f"cus_{who}",
        "status": status,
        "plan": "pro" if who == "birch" else "team",
        "interval": "month",
        "created": datetime(2026, 1, 1, tzinfo=UTC),
        "ended_at": datetime(2026, 1, 15, 9, tzinfo=UTC) if status in {"canceled", "incomplete_expired"} else None,
        "customer_id": who,
        "subdomain": who,
    }
    return Subscription(**{**fields, **changes})


def edited(sub: Subscription, text: str, read: Read, cells: Cells, **arguments: Any) -> tuple[str, Wish]:
    """Return the text after one look at a subscription, and the wish as far as it is fulfilled."""
    registry = read(text)
    before = registry.customers.get(str(sub.customer_id))
    wanted = wish(sub, before, **{"today": TODAY, **arguments})
    return edit_for(wanted, before, text, registry, cells), fitted(wanted, before, registry, cells)


def changed(old: str, new: str) -> tuple[list[str], list[str]]:
    """Return the lines that went and that came."""
    before, after = old.splitlines(), new.splitlines()
    return [line for line in before if line not in after], [line for line in after if line not in before]


def test_nothing_to_do_changes_no_byte(read: Read, cells: Cells) -> None:
    """Also where the file's last line has no end, as the edit would add one."""
    for text in (TEXT, TEXT.rstrip("\n")):
        assert edited(subscription(), text, read, cells)[0] == text
        assert edited(subscription("new", "incomplete"), text, read, cells)[0] == text
        assert edited(subscription(customer_id=None), text, read, cells)[0] == text
        assert edited(subscription("new", "canceled"), text, read, cells)[0] == text


def test_a_newcomer_is_placed_and_pending(read: Read, cells: Cells) -> None:
    """In the region asked for, linked to Stripe; all else in the file stays."""
    text, result = edited(subscription("elm", region="us"), TEXT, read, cells)
    assert read(text).customers["elm"] == Customer(
        subdomain="elm",
        plan="team",
        status=Status.PENDING,
        cell="us-1",
        stripe_customer="cus_elm",
        stripe_subscription="sub_elm",
        region="us",
    )
    assert changed(TEXT, text)[0] == []
    assert result.step is Step.AWAIT_ANSWER
    assert not result.alerts
    answered, _ = edited(subscription("elm"), text, read, cells, confirmed=Confirmed(answers=True))
    assert changed(text, answered) == (["    status: pending"], [])
    assert read(answered).customers["elm"].status is Status.ACTIVE


def test_a_name_out_of_quarantine_is_free(read: Read, cells: Cells) -> None:
    """The last day belongs to the quarantine, the next does not."""
    text, result = edited(subscription("dune"), TEXT, read, cells)
    assert "dune" in read(text).customers
    assert not result.alerts


@pytest.mark.parametrize(
    ("changes", "kind", "told"),
    [
        ({"subdomain": "acme"}, AlertKind.NAME_TAKEN, "`acme` belongs to acme"),
        ({"subdomain": "cedar"}, AlertKind.NAME_TAKEN, "in quarantine until 2026-01-15"),
        ({"subdomain": "www"}, AlertKind.NAME_TAKEN, "`www` is reserved"),
        ({"subdomain": "A b"}, AlertKind.NAME_TAKEN, "is no subdomain"),
        ({"region": "asia"}, AlertKind.NO_CAPACITY, "There is no cell in region `asia`"),
        ({"region": "mars"}, AlertKind.MISSING_METADATA, "region `mars`"),
        ({"customer_id": "new:\n  evil"}, AlertKind.MISSING_METADATA, "malformed"),
        ({"customer": "nobody"}, AlertKind.MISSING_METADATA, "malformed"),
        ({"customer": "cus_acme"}, AlertKind.MIXED_UP, "share stripe_customer"),
        ({"id": "sub_acme"}, AlertKind.MIXED_UP, "share stripe_subscription"),
    ],
)
def test_a_newcomer_who_cannot_be_served_alerts(
    changes: dict[str, str], kind: AlertKind, told: str, read: Read, cells: Cells
) -> None:
    """They have paid: a person learns why there is no instance, and how to mend it; the file stays."""
    text, result = edited(subscription("elm", **changes), TEXT, read, cells)
    assert text == TEXT
    assert (result.status, result.step, result.mails) == (None, None, ())
    (alert,) = result.alerts
    assert alert.kind is kind
    assert told in alert.text
    assert " Fix: " in alert.text


def test_no_room_alerts(read: Read) -> None:
    """The message of the placement names what to add."""
    full = {
        name: Cell(region="eu", location="nbg1", server_types=("cx43",), max_customers=1) for name in ("eu-1", "eu-2")
    }
    text, result = edited(subscription("elm"), TEXT, read, full)
    assert text == TEXT
    (alert,) = result.alerts
    assert alert.kind is AlertKind.NO_CAPACITY
    assert alert.text.startswith("elm has paid but has no instance. No cell has room for a team customer")


def test_an_upgrade_without_room_resumes_on_the_old_plan(read: Read) -> None:
    """Who pays is not kept suspended because a cell is full."""
    text = TEXT.replace("plan: team  # since 2024\n    status: active", "plan: team\n    status: suspended")
    small = {
        "eu-1": Cell(region="eu", location="nbg1", server_types=("cx43",), storage_gib=30, storage_overcommit=1),
        "eu-2": Cell(region="eu", location="fsn1", server_types=("cx43",)),
    }
    new, result = edited(subscription(plan="pro"), text, read, small)
    assert read(new).customers["acme"].status is Status.ACTIVE
    assert read(new).customers["acme"].plan == "team"
    assert [mail.kind for mail in result.mails] == [MailKind.RESUMED]
    (alert,) = result.alerts
    assert alert.kind is AlertKind.NO_CAPACITY
    assert "storage 100 of 30 GiB on eu-1. Fix: `hosting customer move acme`" in alert.text


def test_another_full_cell_does_not_hold_an_upgrade(read: Read) -> None:
    """Only the customer's own has to have room."""
    over = {
        "eu-1": Cell(region="eu", location="nbg1", server_types=("cx43",)),
        "eu-2": Cell(region="eu", location="fsn1", server_types=("cx43",), storage_gib=1, storage_overcommit=1),
    }
    new, result = edited(subscription(plan="pro"), TEXT, read, over)
    assert read(new).customers["acme"].plan == "pro"
    assert not result.alerts


def test_a_status_changes_one_line(read: Read, cells: Cells) -> None:
    """People's comments stay."""
    text, _ = edited(subscription(status="unpaid"), TEXT, read, cells)
    assert text == TEXT.replace("status: active", "status: suspended")
    back, _ = edited(subscription(), text, read, cells)
    assert back == TEXT


def test_a_plan_goes_with_its_domain(read: Read, cells: Cells) -> None:
    """After the customer was told, in one edit; before that, neither."""
    sub = subscription("birch", plan="team")
    arguments: dict[str, Any] = {"data_used": DataUsed(storage_bytes=0, users=1)}
    waiting, _ = edited(sub, TEXT, read, cells, **arguments)
    assert changed(TEXT, waiting) == (["    status: suspended"], [])
    told = Confirmed(domain_told_on=TODAY - timedelta(days=7))
    text, _ = edited(sub, TEXT, read, cells, confirmed=told, **arguments)
    assert read(text).customers["birch"].plan == "team"
    assert "wiki.example.org" not in text
    assert "quarantine:" in text


def test_the_way_out(read: Read, cells: Cells) -> None:
    """Deleting with its date, purging, gone with the name in quarantine; and back from the first."""
    sub = subscription(status="canceled")
    leaving, _ = edited(sub, TEXT, read, cells)
    assert (read(leaving).customers["acme"].status, read(leaving).customers["acme"].delete_after) == (
        Status.DELETING,
        date(2026, 1, 22),
    )
    assert edited(subscription(), leaving, read, cells)[0] == TEXT
    after = {"today": date(2026, 1, 23)}
    assert edited(sub, leaving, read, cells, **after)[0] == leaving
    backed_up = Confirmed(final_backup_on=date(2026, 1, 23))
    purging, _ = edited(sub, leaving, read, cells, confirmed=backed_up, **after)
    assert changed(leaving, purging) == (["    status: deleting"], ["    status: purging"])
    gone, result = edited(sub, purging, read, cells, confirmed=Confirmed(instance_removed=True), **after)
    assert "acme" not in read(gone).customers
    assert read(gone).quarantine["acme"] == date(2026, 4, 23)
    assert [mail.kind for mail in result.mails] == [MailKind.DELETED]
    assert edited(sub, gone, read, cells, **after)[0] == gone


def test_an_edit_by_hand_is_not_overwritten(read: Read, cells: Cells) -> None:
    """A wish that was made of another entry is refused."""
    registry = read(TEXT)
    before = registry.customers["acme"]
    wanted = wish(subscription(status="unpaid"), before, today=TODAY)
    meanwhile = TEXT.replace("ring: canary", "ring: early")
    with pytest.raises(EntryChanged, match="customers/acme was changed meanwhile"):
        edit_for(wanted, before, meanwhile, read(meanwhile), cells)
    with pytest.raises(EntryChanged):
        edit_for(wish(subscription("birch"), None, today=TODAY), None, TEXT, registry, cells)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("active", Status.PURGING),
        ("suspended", Status.PURGING),
        ("pending", Status.PURGING),
        ("active", None),
        ("suspended", None),
        ("pending", None),
        ("deleting", None),
        ("purging", Status.ACTIVE),
        ("purging", Status.SUSPENDED),
        ("purging", Status.DELETING),
        ("active", Status.PENDING),
        (None, Status.ACTIVE),
        (None, Status.DELETING),
        (None, Status.PURGING),
    ],
)
def test_no_step_can_be_skipped(before: str | None, after: Status | None, read: Read, cells: Cells) -> None:
    """Even a wish that says so is not fulfilled."""
    day = "    delete_after: 2026-01-01\n" if before in {"deleting", "purging"} else ""
    text = TEXT.replace("status: active\n", f"status: {before}\n{day}") if before else TEXT
    who = "acme" if before else "elm"
    registry = read(text)
    entry = registry.customers.get(who)
    wanted = Wish(
        customer_id=who, day=TODAY, status=after, reason="", plan="team", subdomain=who, delete_after=date(2026, 1, 1)
    )
    with pytest.raises(ValueError, match="data leaves by deleting, then purging"):
        edit_for(wanted, entry, text, registry, cells)


def test_a_newcomer_needs_a_cell() -> None:
    """Its entry can't be made without."""
    wanted = wish(subscription("elm"), None, today=TODAY)
    with pytest.raises(ValueError, match="needs a cell"):
        apply(wanted, None)


def test_a_link_in_the_registry_stands_in_for_metadata(read: Read) -> None:
    """A subscription made in the dashboard is the entry's that names it, and nobody else's."""
    registry = read(TEXT)
    assert linked(subscription(customer_id=None), registry).customer_id == "acme"
    assert linked(subscription("elm", customer_id=None), registry).customer_id is None
    assert linked(subscription("birch", id="sub_acme"), registry).customer_id == "birch"


STATUSES = ["trialing", "active", "past_due", "unpaid", "paused", "incomplete", "canceled", "incomplete_expired"]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["acme", "birch", "elm", "fir"]),
        st.sampled_from(STATUSES),
        st.sampled_from(["personal", "team", "pro"]),
        st.integers(0, 4),
        st.booleans(),
    ),
    max_size=12,
)


@settings(max_examples=150, deadline=None)
@given(steps=STEPS)
def test_every_edit_is_accepted_and_touches_one_entry(
    steps: list[tuple[str, str, str, int, bool]], cells: Cells
) -> None:
    """Whatever comes, the text stays a sound registry, others stay as they are, a second edit changes nothing."""
    text, day = TEXT, TODAY
    for who, status, plan, days, done in steps:
        day += timedelta(days=days)
        registry = parse(text, cells=cells, domain="markitup.io", today=TODAY)
        before = registry.customers.get(who)
        sub = subscription(who, status, plan=plan)
        confirmed = Confirmed(
            answers=done,
            final_backup_on=day if done else None,
            instance_removed=done,
            domain_told_on=TODAY - timedelta(days=9) if done else None,
        )
        used = DataUsed(storage_bytes=0, users=1)
        wanted = wish(sub, before, today=day, data_used=used, confirmed=confirmed)
        new = edit_for(wanted, before, text, registry, cells)
        after = parse(new, cells=cells, domain="markitup.io", today=TODAY)
        assert {**registry.customers, who: None} == {**after.customers, who: None}
        entry = after.customers.get(who)
        again = wish(sub, entry, today=day, data_used=used, confirmed=replace(confirmed, answers=False))
        if entry is not None and entry.status not in {Status.DELETING, Status.PURGING}:
            assert edit_for(again, entry, new, after, cells) == new
        text = new
