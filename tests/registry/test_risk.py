"""What kinds of change a change is, and the policy that says which of them a person approves."""

from __future__ import annotations

from datetime import date
from importlib.resources import files

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from registry import risk
from registry.changes import Change
from registry.customers import LEAVING, Customer, Status
from registry.plans import PLANS
from registry.risk import Kind, PolicyError, Risk, parse_policy
from registry.wishes import DataUsed

GIB = 1024**3
LAST_DAY = date(2026, 2, 1)


def entry(status: str = "active", **fields: object) -> Customer:
    """Return an entry."""
    last_day = LAST_DAY if status in LEAVING else None
    values = {"subdomain": "acme", "plan": "team", "cell": "eu-1", "delete_after": last_day}
    return Customer.model_validate({**values, "status": status, **fields})


def change(before: Customer | None, after: Customer | None) -> Change:
    """Return a change of one customer."""
    return Change(customer_id="c-1", before=before, after=after)


def judged(before: Customer | None, after: Customer | None, used: DataUsed | None = None) -> tuple[set[str], str]:
    """Return the kinds and the level."""
    found = risk.of(change(before, after), used=used)
    return {str(kind) for kind in found.kinds}, found.level


@pytest.mark.parametrize(
    ("before", "after", "kind", "level"),
    [
        (None, "pending", "add", "direct"),
        (None, "suspended", "add", "direct"),
        ("pending", "active", "activate", "direct"),
        ("active", "pending", "unconfirm", "direct"),
        ("pending", "suspended", "suspend", "direct"),
        ("active", "suspended", "suspend", "direct"),
        ("suspended", "active", "resume", "direct"),
        ("suspended", "pending", "resume", "direct"),
        ("deleting", "active", "resume", "direct"),
        ("deleting", "suspended", "hold", "direct"),
        ("active", "deleting", "leave", "direct"),
        ("suspended", "deleting", "leave", "direct"),
        ("deleting", "purging", "purge", "review"),
        ("active", "purging", "purge", "review"),
        ("purging", "active", "unpurge", "review"),
        ("purging", "deleting", "unpurge", "review"),
        ("purging", None, "forget", "direct"),
        ("deleting", None, "lose", "review"),
        ("suspended", None, "lose", "review"),
        ("active", None, "lose", "review"),
    ],
)
def test_a_status_tells_the_kind(before: str | None, after: str | None, kind: str, level: str) -> None:
    """Each step of a customer's life has its own kind; only what can't be undone needs a person."""
    old = None if before is None else entry(before)
    new = None if after is None else entry(after)
    assert judged(old, new) == ({kind}, level)


@pytest.mark.parametrize(
    ("before", "after", "kind", "level"),
    [
        ({}, {"cell": "eu-2"}, "move", "review"),
        ({}, {"subdomain": "birch"}, "rename", "review"),
        ({"plan": "pro"}, {"plan": "pro", "domain": "a.example.org"}, "domain", "direct"),
        ({}, {"ring": "canary"}, "ring", "direct"),
        ({}, {"region": "us"}, "region", "direct"),
        ({}, {"stripe_customer": "cus_1"}, "link", "direct"),
        ({"stripe_customer": "cus_1"}, {"stripe_customer": "cus_2"}, "relink", "review"),
        ({"stripe_customer": "cus_1"}, {}, "relink", "review"),
        ({"stripe_subscription": "sub_1"}, {"stripe_subscription": "sub_2"}, "link", "direct"),
    ],
)
def test_a_field_tells_the_kind(before: dict[str, object], after: dict[str, object], kind: str, level: str) -> None:
    """Fields other than plan, status and last day are one kind each."""
    assert judged(entry(**before), entry(**after)) == ({kind}, level)


def test_every_field_is_known() -> None:
    """A field that the registry gets one day is judged, or this fails: nothing may be changed as no kind at all."""
    values: dict[str, object] = {
        "subdomain": "birch",
        "plan": "pro",
        "status": "suspended",
        "cell": "eu-2",
        "stripe_customer": "cus_2",
        "stripe_subscription": "sub_2",
        "domain": "b.example.org",
        "ring": "early",
        "region": "us",
        "delete_after": date(2026, 3, 1),
    }
    assert set(values) == set(Customer.model_fields)
    for name, value in values.items():
        before = entry("deleting" if name == "delete_after" else "active")
        assert risk.of(change(before, before.model_copy(update={name: value}))).kinds, name


@pytest.mark.parametrize(
    ("used", "kind", "level"),
    [
        (DataUsed(storage_bytes=5 * GIB, users=1), "downgrade", "direct"),
        (DataUsed(storage_bytes=5 * GIB + 1, users=1), "downgrade-over-quota", "review"),
        (DataUsed(storage_bytes=0, users=2), "downgrade-over-quota", "review"),
        (None, "downgrade-unmeasured", "review"),
    ],
)
def test_a_smaller_plan_depends_on_what_is_stored(used: DataUsed | None, kind: str, level: str) -> None:
    """It has to fit to the byte and to the user; what is not known is not taken as small."""
    assert judged(entry(), entry(plan="personal"), used) == ({kind}, level)


def test_a_larger_plan_needs_no_figures() -> None:
    """An upgrade holds everything; nor has somebody who was never there stored anything."""
    full = DataUsed(storage_bytes=500 * GIB, users=99)
    assert judged(entry(), entry(plan="pro"), full) == ({"upgrade"}, "direct")
    assert judged(entry("pending"), entry("pending", plan="personal")) == ({"downgrade"}, "direct")


def test_a_last_day_may_become_later() -> None:
    """Giving time is harmless; taking promised time away is not. Leaving and coming back are no such thing."""
    soon, late = date(2026, 2, 1), date(2026, 3, 1)
    assert judged(entry("deleting"), entry("deleting", delete_after=late)) == ({"extend"}, "direct")
    assert judged(entry("deleting", delete_after=late), entry("deleting", delete_after=soon)) == ({"shorten"}, "review")
    assert judged(entry("active"), entry("deleting")) == ({"leave"}, "direct")


def test_the_strictest_wins() -> None:
    """A change of several kinds goes by the strictest, and gives the strict reasons only."""
    found = risk.of(change(entry(), entry("suspended", cell="eu-2", subdomain="birch", ring="canary")))
    assert found.kinds == (Kind.SUSPEND, Kind.MOVE, Kind.RENAME, Kind.RING)
    assert found.level == "review"
    assert "move: " in found.reason
    assert "rename: " in found.reason
    assert "suspend" not in found.reason
    assert "ring" not in found.reason


def test_several_changes_are_judged_together() -> None:
    """One risky change among many makes all of them wait; usage is looked up by customer."""
    small = Change(customer_id="c-2", before=entry(), after=entry(plan="personal"))
    used = {"c-2": DataUsed(storage_bytes=1, users=1)}
    assert risk.of_all([change(None, entry()), small], used=used).level == "direct"
    assert risk.of_all([change(None, entry()), small]).level == "review"
    assert risk.of_all([change(entry(), entry(cell="us-1")), small], used=used).level == "review"
    assert risk.of_all([]) == Risk(kinds=(), level="direct", reason="nothing differs")


def test_the_policy_is_data() -> None:
    """Another policy is followed: what is direct here can wait for a person there."""
    document = yaml.safe_load((files("registry") / "policy.yaml").read_text(encoding="utf-8"))
    document["review"]["add"] = document["direct"].pop("add")
    policy = parse_policy(yaml.safe_dump(document))
    assert risk.of(change(None, entry()), policy=policy).level == "review"
    assert risk.of(change(None, entry())).level == "direct"


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda d: d["direct"].update(fly="it can"), "fly"),
        (lambda d: d.update(maybe={}), "maybe: there is no such level"),
        (lambda d: d["review"].pop("purge"), "`purge` is missing"),
        (lambda d: d["direct"].update(purge="why not"), "`purge` is under both levels"),
        (lambda d: d["review"].update(purge=""), "review/purge"),
        (lambda d: d["review"].update(purge=1), "review/purge"),
        (lambda d: d.pop("review"), "review"),
    ],
)
def test_a_wrong_policy_is_refused(edit, says: str) -> None:  # noqa: ANN001 - edits untyped YAML
    """Unknown kinds and levels, missing and doubled ones, and those without a reason: one error with the fix."""
    document = yaml.safe_load((files("registry") / "policy.yaml").read_text(encoding="utf-8"))
    edit(document)
    with pytest.raises(PolicyError) as caught:
        parse_policy(yaml.safe_dump(document))
    assert says in str(caught.value)
    assert "Fix: " in str(caught.value)


def test_all_that_is_wrong_is_named_at_once() -> None:
    """Not one error after the other; nor is a text that is no mapping a crash."""
    with pytest.raises(PolicyError, match=r"(?s)direct/fly.*maybe: there is no such level"):
        parse_policy("direct: {fly: x}\nreview: {}\nmaybe: {}\n")
    for text in ("", "[]", "direct: [", "review: x"):
        with pytest.raises(PolicyError, match="Fix: "):
            parse_policy(text)


@settings(max_examples=300, deadline=None)
@given(
    statuses=st.tuples(st.sampled_from([None, *Status]), st.sampled_from([None, *Status])),
    plans=st.tuples(st.sampled_from(list(PLANS)), st.sampled_from(list(PLANS))),
    cells=st.tuples(st.sampled_from(["eu-1", "eu-2"]), st.sampled_from(["eu-1", "eu-2"])),
    storage=st.integers(0, 200),
)
def test_nothing_irreversible_is_direct(
    statuses: tuple[Status | None, Status | None], plans: tuple[str, str], cells: tuple[str, str], storage: int
) -> None:
    """Whatever else changes with it: data that may be lost, or goes to another server, always waits for a person."""
    before, after = (
        None if status is None else entry(status, plan=plan, cell=cell)
        for status, plan, cell in zip(statuses, plans, cells, strict=True)
    )
    used = DataUsed(storage_bytes=storage * GIB, users=1)
    found = risk.of(change(before, after), used=used)
    assert bool(found.kinds) == (before != after)
    gone = before is not None and after is None and before.status is not Status.PURGING
    purged = after is not None and after.status is Status.PURGING and (before is None or before.status != after.status)
    both = before is not None and after is not None
    moved = both and cells[0] != cells[1]
    crammed = both and plans[0] != plans[1] and storage > PLANS[plans[1]].storage_gib
    smaller = list(PLANS).index(plans[1]) < list(PLANS).index(plans[0])
    if gone or purged or moved or (crammed and smaller):
        assert found.level == "review"
