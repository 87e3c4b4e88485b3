"""What reviewers are told of a change: who, what it costs and brings, how long nothing answers, what is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date

import pytest

from registry.cells import Cell
from registry.effects import Group, Interruption
from registry.review import Revenue, Review, review_texts
from registry.wishes import DataUsed

Reviewed = Callable[..., Review]


def text(**entries: str) -> str:
    """Return a registry; an entry is its status, plan, cell and further fields: ``active team eu-1 ring=canary``."""
    lines = ["customers:"]
    for name, words in entries.items():
        status, plan, cell, *more = words.split()
        fields = {"subdomain": f"{name}-wiki", "plan": plan, "status": status, "cell": cell}
        if status in {"deleting", "purging"}:
            fields["delete_after"] = "2026-02-01"
        fields |= dict(each.split("=") for each in more)
        lines += [f"  {name}:", *(f"    {key}: {value}" for key, value in fields.items())]
    return "\n".join(lines) + "\n"


@pytest.fixture
def reviewed(cells: Mapping[str, Cell], today: date) -> Reviewed:
    """Reviews two texts."""

    def run(old: str | None, new: str, **used: DataUsed) -> Review:
        return review_texts(old, new, cells=cells, domain="markitup.io", today=today, used=used)

    return run


def test_customers_are_told_by_what_happens_to_them(reviewed: Reviewed) -> None:
    """Added, removed, moved, suspended, resumed, changed; who is as before is not mentioned."""
    old = text(
        gone="purging team eu-1",
        late="active team eu-1",
        moved="active team eu-1",
        poor="active team eu-1",
        rich="suspended team eu-1",
        same="active team eu-1",
        wide="active team eu-1",
    )
    new = text(
        late="deleting team eu-1",
        moved="active team us-1",
        newly="pending pro eu-2 domain=a.example.org",
        poor="suspended team eu-1",
        rich="active team eu-1",
        same="active team eu-1",
        wide="active pro eu-1",
    )
    found = reviewed(old, new)
    assert {each.customer_id: each.group for each in found.effects} == {
        "moved": Group.MOVED,
        "gone": Group.REMOVED,
        "late": Group.REMOVED,
        "newly": Group.ADDED,
        "poor": Group.SUSPENDED,
        "rich": Group.RESUMED,
        "wide": Group.CHANGED,
    }
    what = {each.customer_id: each.what for each in found.effects}
    assert what["newly"] == ("new: pro on eu-2, pending", "domain a.example.org")
    assert what["gone"] == ("gone: team on eu-1, was purging",)
    assert what["late"] == ("status active → deleting", "delete_after none → 2026-02-01")
    assert what["wide"] == ("plan team → pro",)
    assert found.effects[0].customer_id == "moved"  # what a person has to approve comes first
    assert found.risk.level == "review"
    assert [each.name for each in found.cells] == ["eu-1", "eu-2", "us-1"]


def test_revenue_is_the_monthly_list_price(reviewed: Reviewed) -> None:
    """Who runs counts; suspended ones are counted apart, leaving ones not at all."""
    old = text(
        ada="active personal eu-1 stripe_subscription=sub_1",
        bob="pending team eu-1",
        cyd="suspended pro eu-1",
        dan="deleting pro eu-1",
    )
    new = old.replace("status: suspended", "status: active")
    found = reviewed(old, new)
    assert found.revenue_before == Revenue(
        customers=2, monthly_cents=799 + 1999, unlinked=1, suspended=1, suspended_cents=7999
    )
    assert found.revenue_after == Revenue(
        customers=3, monthly_cents=799 + 1999 + 7999, unlinked=2, suspended=0, suspended_cents=0
    )
    (effect,) = found.effects
    assert (effect.monthly_cents_before, effect.monthly_cents_after) == (0, 7999)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("active team eu-1", "active pro eu-1", Interruption.EXCHANGE),
        ("pending team eu-1", "active pro eu-1", Interruption.EXCHANGE),
        ("active pro eu-1", "active pro eu-1 domain=a.example.org", Interruption.EXCHANGE),
        ("active pro eu-1 domain=a.example.org", "active pro eu-1 domain=b.example.org", Interruption.OLD_DOMAIN),
        ("active pro eu-1 domain=a.example.org", "active team eu-1", Interruption.OLD_DOMAIN),
        ("active team eu-1", "active team eu-1 subdomain=other", Interruption.OLD_ADDRESS),
        ("active team eu-1", "active pro us-1", Interruption.COPY),
        ("active team eu-1", "suspended team us-1", Interruption.UNTIL_PAID),
        ("deleting team eu-1", "suspended team eu-1", Interruption.UNTIL_PAID),
        ("active team eu-1", "deleting team eu-1", Interruption.GRACE),
        ("deleting team eu-1", "purging team eu-1", Interruption.FOR_GOOD),
        ("active team eu-1", "active team eu-1 ring=canary", Interruption.NONE),
        ("active team eu-1", "active team eu-1 stripe_customer=cus_1 stripe_subscription=sub_1", Interruption.NONE),
        ("pending team eu-1", "active team eu-1", Interruption.NONE),
        ("suspended team eu-1", "suspended pro us-1", Interruption.NONE),
        ("suspended team eu-1", "active pro eu-1", Interruption.NONE),
    ],
)
def test_interruptions_are_what_the_update_does(
    reviewed: Reviewed, before: str, after: str, expected: Interruption
) -> None:
    """Only what is in the container exchanges it; what stands still already is not interrupted."""
    (effect,) = reviewed(text(ada=before, bob="active team eu-1"), text(ada=after, bob="active team eu-1")).effects
    assert effect.interruption is expected
    assert effect.interruption.words


def test_cells_are_shown_before_and_after(reviewed: Reviewed) -> None:
    """What a touched cell has promised, both times, beside what it can promise; no cell that is not touched."""
    found = reviewed(
        text(ada="active team eu-1", us="active pro us-1"), text(ada="active pro eu-1", us="active pro us-1")
    )
    (cell,) = found.cells
    assert (cell.name, cell.before.memory_mib, cell.after.memory_mib) == ("eu-1", 1024, 2048)
    assert (cell.before.customers, cell.after.customers, cell.capacity.customers) == (1, 1, 50)


def test_usage_makes_a_downgrade_safe(reviewed: Reviewed) -> None:
    """Where it is known."""
    old, new = text(ada="active pro eu-1"), text(ada="active team eu-1")
    assert reviewed(old, new).risk.level == "review"
    found = reviewed(old, new, ada=DataUsed(storage_bytes=1, users=1))
    assert (found.risk.level, found.effects[0].risk.level) == ("direct", "direct")


def test_a_new_version_that_is_refused_is_told_at_its_lines(reviewed: Reviewed) -> None:
    """All problems as data, and nothing that would be guessed from a broken file."""
    new = text(ada="active gold eu-1", bob="active team mars")
    found = reviewed(text(ada="active team eu-1"), new)
    assert not found.sound
    assert [(each.path, each.line) for each in found.problems] == [
        ("customers/ada/plan", 4),
        ("customers/bob/cell", 11),
    ]
    assert (found.effects, found.cells, found.revenue_before, found.revenue_after) == ((), (), None, None)
    assert found.risk.level == "review"


@pytest.mark.parametrize("status", ["pending", "active", "suspended", "deleting"])
def test_an_entry_that_just_disappears_is_refused(reviewed: Reviewed, status: str) -> None:
    """No approval helps: the update would refuse it, for its data is still there."""
    found = reviewed(text(ada=f"{status} team eu-1", bob="active team eu-1"), text(bob="active team eu-1"))
    assert not found.sound
    assert [each.path for each in found.problems] == ["customers/ada"]
    assert "hosting customer remove ada" in found.problems[0].fix
    assert found.effects[0].interruption is Interruption.FOR_GOOD


def test_a_move_by_an_edit_is_cautioned(reviewed: Reviewed) -> None:
    """It is sound as a wish, but the data has to be brought over first."""
    found = reviewed(
        text(ada="active team eu-1", bob="active team eu-1"), text(ada="active team us-1", bob="active team eu-1")
    )
    assert found.sound
    assert [each.path for each in found.cautions] == ["customers/ada/cell"]


def test_many_removals_are_cautioned(reviewed: Reviewed) -> None:
    """More than 10 % of a cell, and at least 3, need the exact number besides an approval."""
    old = text(ada="purging team eu-1", bob="purging team eu-1", cyd="purging team eu-1", dan="active team us-1")
    found = reviewed(old, text(dan="active team us-1"))
    assert found.sound
    assert [each.path for each in found.cautions] == ["customers"]
    assert "--confirm-removals 3" in found.cautions[0].fix
    assert found.risk.level == "direct"


def test_the_first_version_adds_everyone(reviewed: Reviewed) -> None:
    """Where there was no file before."""
    found = reviewed(None, text(ada="active team eu-1"))
    assert [each.group for each in found.effects] == [Group.ADDED]
    assert found.revenue_before is not None
    assert found.revenue_before.monthly_cents == 0


def test_a_mended_file_can_be_reviewed(reviewed: Reviewed) -> None:
    """The old version is refused: the new one is judged by itself, by a person, and every cell is looked at."""
    found = reviewed(text(ada="active gold eu-1"), text(ada="active team eu-1"))
    assert found.sound
    assert found.risk.level == "review"
    assert "customers/ada/plan" in found.cautions[0].reason
    assert [each.name for each in found.cells] == ["eu-1", "eu-2", "us-1"]
    assert found.revenue_before is None


@pytest.mark.parametrize(
    ("before", "after", "cautioned"),
    [
        ("2026-01-15", None, True),
        ("2026-03-01", None, True),
        ("2026-03-01", "2026-02-01", True),
        ("2026-03-01", "2026-03-01", False),
        ("2026-03-01", "2026-04-01", False),
        ("2026-01-14", None, False),
    ],
)
def test_a_name_set_free_early_is_cautioned(
    reviewed: Reviewed, before: str, after: str | None, cautioned: bool
) -> None:
    """Quarantine that is over may go; what was promised may not become earlier unseen."""
    entries = text(ada="active team eu-1")
    old = f"{entries}quarantine:\n  olga: {before}\n"
    found = reviewed(old, entries if after is None else f"{entries}quarantine:\n  olga: {after}\n")
    assert [each.path for each in found.cautions] == (["quarantine/olga"] if cautioned else [])


def test_nothing_differs(reviewed: Reviewed) -> None:
    """A comment that changed is no change."""
    old = text(ada="active team eu-1")
    found = reviewed(old, f"# hello\n{old}")
    assert found.sound
    assert (found.effects, found.cells, found.risk.kinds) == ((), (), ())
