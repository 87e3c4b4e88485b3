"""Differences between two registries, and the removals that are refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.changes import check_removals, diff
from registry.customers import Customer, Registry, Status
from registry.errors import RegistryError


def customer(cell: str = "eu-1", **fields: object) -> Customer:
    """Return an entry."""
    return Customer.model_validate({"subdomain": "acme", "plan": "team", "status": "active", "cell": cell, **fields})


def registry(*ids: str, cell: str = "eu-1") -> Registry:
    """Return a registry of customers on one cell."""
    return Registry(customers={key: customer(cell) for key in ids})


def previously(count: int, status: Status = Status.PURGING) -> dict[str, Status]:
    """Return customers c-0, c-1, ... with a status."""
    return {f"c-{number}": status for number in range(count)}


def remaining(count: int, gone: int) -> Registry:
    """Return a registry of those customers without the last few."""
    return registry(*list(previously(count))[: count - gone])


def test_differences_are_by_customer() -> None:
    """Added, removed and changed customers are found in the order of their ids; the rest is not."""
    old = Registry(customers={"c-3": customer(), "c-1": customer(), "c-2": customer()})
    new = Registry(
        customers={"c-4": customer(), "c-2": customer(plan="pro", domain="a.example.org"), "c-1": customer()}
    )
    changes = diff(old, new)
    assert [change.customer_id for change in changes] == ["c-2", "c-3", "c-4"]
    changed, removed, added = changes
    assert changed.fields == {"plan": ("team", "pro"), "domain": (None, "a.example.org")}
    assert removed.after is None
    assert added.before is None
    assert added.fields["subdomain"] == (None, "acme")


def test_a_change_is_of_the_cells_before_and_after() -> None:
    """An update visits the cell that a customer left and the one it came to, and no other."""
    old = Registry(customers={"c-1": customer("eu-1"), "c-2": customer("eu-2"), "c-3": customer("us-1")})
    new = Registry(customers={"c-1": customer("eu-9"), "c-2": customer("eu-2"), "c-4": customer("us-2")})
    assert [change.cells for change in diff(old, new)] == [{"eu-1", "eu-9"}, {"us-1"}, {"us-2"}]


def test_nothing_differs_where_only_the_order_does() -> None:
    """The order of the entries is no difference."""
    assert diff(registry("c-1", "c-2"), registry("c-2", "c-1")) == ()


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.PURGING])
def test_an_entry_that_vanishes_is_refused(status: Status) -> None:
    """An entry may go only while it is purging; else its data would be orphaned. No confirmation helps."""
    for confirmed in (0, 1):
        with pytest.raises(RegistryError) as caught:
            check_removals({"c-1": status, "c-2": Status.ACTIVE}, registry("c-2"), cell=None, confirmed=confirmed)
        (problem,) = caught.value.problems
        assert problem.path == "customers/c-1"
        assert f"was {status}" in problem.reason
        assert "hosting customer remove c-1" in problem.fix


def test_all_that_vanish_are_named() -> None:
    """Each vanished entry is a problem of its own; those that were purging are none."""
    with pytest.raises(RegistryError) as caught:
        check_removals({**previously(5, Status.ACTIVE), "c-9": Status.PURGING}, registry("c-0"), cell=None, confirmed=5)
    assert [problem.path for problem in caught.value.problems] == [f"customers/c-{number}" for number in range(1, 5)]


def test_an_entry_may_go_while_purging() -> None:
    """One purged customer of two is gone: no confirmation is asked."""
    check_removals({"c-1": Status.PURGING, "c-2": Status.ACTIVE}, registry("c-2"), cell=None)


@pytest.mark.parametrize("status", list(Status))
def test_an_entry_that_went_to_another_cell_is_refused(status: Status) -> None:
    """An edited cell would leave the data behind, whatever the status."""
    with pytest.raises(RegistryError) as caught:
        check_removals({"c-1": status}, registry("c-1", cell="eu-2"), cell="eu-1", confirmed=1)
    (problem,) = caught.value.problems
    assert problem.path == "customers/c-1/cell"
    assert "another cell" in problem.reason
    assert "hosting customer move" in problem.fix


def test_other_cells_do_not_matter() -> None:
    """Without a cell, all entries count wherever they are; new entries are no removals."""
    check_removals({"c-1": Status.ACTIVE}, registry("c-1", "c-2", cell="eu-2"), cell=None)
    check_removals({"c-1": Status.ACTIVE}, registry("c-1", "c-2"), cell="eu-1")
    check_removals({}, registry("c-1"), cell="eu-1")


@pytest.mark.parametrize(
    ("before", "gone", "refused"),
    [
        (1, 1, False),
        (2, 2, False),
        (3, 2, False),
        (3, 3, True),
        (10, 2, False),
        (10, 3, True),
        (29, 3, True),
        (30, 3, False),
        (30, 4, True),
        (31, 3, False),
        (31, 4, True),
        (1_000, 100, False),
        (1_000, 101, True),
        (1_009, 100, False),
        (1_009, 101, True),
    ],
)
def test_mass_removals_need_confirmation(before: int, gone: int, refused: bool) -> None:
    """More than 10 % and at least 3 at once are refused; the message says how to confirm."""
    if not refused:
        check_removals(previously(before), remaining(before, gone), cell=None)
        return
    with pytest.raises(RegistryError) as caught:
        check_removals(previously(before), remaining(before, gone), cell=None)
    (problem,) = caught.value.problems
    assert problem.reason.startswith(f"{gone} of {before} customers are gone")
    assert f"--confirm-removals {gone}`" in problem.fix


@pytest.mark.parametrize("confirmed", [-4, 0, 1, 3, 5, 10, 100])
def test_another_number_confirms_nothing(confirmed: int) -> None:
    """Only the exact number confirms: fewer and more are refused alike."""
    check_removals(previously(10), remaining(10, 4), cell=None, confirmed=4)
    with pytest.raises(RegistryError, match="4 of 10 customers"):
        check_removals(previously(10), remaining(10, 4), cell=None, confirmed=confirmed)


def test_an_empty_registry_is_a_mass_removal() -> None:
    """A registry without anyone is refused for everyone who was there."""
    with pytest.raises(RegistryError, match="50 of 50"):
        check_removals(previously(50), Registry(customers={}), cell=None)


@settings(max_examples=500, deadline=None)
@given(
    statuses=st.lists(st.sampled_from(list(Status)), max_size=40),
    fates=st.lists(st.sampled_from(["stays", "goes", "moves"]), min_size=40, max_size=40),
    confirmed=st.integers(0, 5),
)
def test_nobody_is_lost_unpurged(statuses: list[Status], fates: list[str], confirmed: int) -> None:
    """Whatever is let through: nobody moved, who is gone was purging, and few are gone or as many as confirmed."""
    previous = {f"c-{number}": status for number, status in enumerate(statuses)}
    fate = dict(zip(previous, fates, strict=False))
    current = Registry(
        customers={key: customer("eu-2" if fate[key] == "moves" else "eu-1") for key in previous if fate[key] != "goes"}
    )
    gone = [key for key in previous if fate[key] == "goes"]
    lost = "moves" in fate.values() or any(previous[key] is not Status.PURGING for key in gone)
    many = len(gone) >= 3 and len(gone) * 10 > len(previous) and len(gone) != confirmed
    if lost or many:
        with pytest.raises(RegistryError):
            check_removals(previous, current, cell="eu-1", confirmed=confirmed)
    else:
        check_removals(previous, current, cell="eu-1", confirmed=confirmed)
