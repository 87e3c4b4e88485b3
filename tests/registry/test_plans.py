"""The plans: the figures that were agreed, and sums that make sense."""

from __future__ import annotations

from itertools import pairwise
from typing import get_args

import pytest

from registry.customers import Customer
from registry.plans import PLANS


@pytest.mark.parametrize(
    ("name", "memory_mib", "cpus", "storage_gib", "users", "monthly_cents"),
    [("personal", 512, 0.5, 5, 1, 799), ("team", 1_024, 1.0, 25, 5, 1_999), ("pro", 2_048, 2.0, 100, 20, 7_999)],
)
def test_the_plans_are_those_agreed(
    name: str, memory_mib: int, cpus: float, storage_gib: int, users: int, monthly_cents: int
) -> None:
    """Limits and prices are those of the requirements."""
    plan = PLANS[name]
    assert (plan.memory_mib, plan.cpus, plan.storage_gib, plan.users) == (memory_mib, cpus, storage_gib, users)
    assert plan.monthly_cents == monthly_cents
    assert plan.name == name


def test_the_plans_are_those_that_an_entry_may_have() -> None:
    """The plans in plans.yaml and in an entry's type are the same, in the same order."""
    assert tuple(PLANS) == get_args(Customer.model_fields["plan"].annotation)


def test_a_bigger_plan_has_more_of_everything() -> None:
    """Each plan gives more than the one before, and costs more."""
    figures = [
        (plan.memory_mib, plan.cpus, plan.storage_gib, plan.users, plan.monthly_cents, plan.yearly_cents)
        for plan in PLANS.values()
    ]
    assert len(figures) == 3
    assert all(less < more for smaller, bigger in pairwise(figures) for less, more in zip(smaller, bigger, strict=True))


@pytest.mark.parametrize("name", ["personal", "team", "pro"])
def test_a_year_is_cheaper_than_its_months(name: str) -> None:
    """A year costs as much as ten months."""
    assert PLANS[name].yearly_cents == 10 * PLANS[name].monthly_cents


@pytest.mark.parametrize("name", ["personal", "team", "pro"])
def test_a_custom_domain_is_advertised_where_it_is_given(name: str) -> None:
    """The list of features names a custom domain exactly where the plan has it."""
    assert PLANS[name].custom_domain == ("Custom domain" in PLANS[name].features) == (name == "pro")


def test_the_plans_cannot_be_changed() -> None:
    """Nobody can add a plan or change a limit while the program runs."""
    with pytest.raises(TypeError, match="does not support item assignment"):
        PLANS["free"] = PLANS["pro"]  # type: ignore[index]
    with pytest.raises(ValueError, match="frozen"):
        PLANS["pro"].users = 1_000
