"""Placement: deterministic, sticky, never over capacity, and a refusal that helps."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.cells import Cell, Load, capacity
from registry.customers import Customer, Registry
from registry.errors import PlacementError
from registry.load import over_full
from registry.placement import loads, place
from registry.plans import PLANS

LOCATIONS = {"eu": "nbg1", "us": "ash", "asia": "sin"}
PLAN_NAMES = st.sampled_from(["personal", "team", "pro"])
REGIONS = st.sampled_from(["eu", "us", "asia", None])


def cell(region: str = "eu", **sizes: object) -> Cell:
    """Return a cell of the reference size, or of others."""
    return Cell.model_validate({"region": region, "location": LOCATIONS[region], "server_types": ("cx43",), **sizes})


def occupied(*where: tuple[str, str], status: str = "active") -> Registry:
    """Return a registry of customers, each on a cell and plan."""
    return Registry(
        customers={
            f"c-{number}": Customer.model_validate(
                {"subdomain": f"name{number}", "plan": plan, "status": status, "cell": name}
            )
            for number, (name, plan) in enumerate(where)
        }
    )


CELLS = st.dictionaries(
    st.sampled_from(["eu-1", "eu-2", "us-1", "asia-1", "b", "a"]),
    st.builds(
        cell,
        region=st.sampled_from(["eu", "us", "asia"]),
        memory_mib=st.integers(3_000, 20_000),
        reserved_memory_mib=st.integers(0, 3_000),
        cpus=st.integers(1, 8).map(float),
        storage_gib=st.integers(1, 240),
        max_customers=st.integers(1, 12),
        memory_overcommit=st.sampled_from([1.0, 1.5, 3.0]),
        cpu_overcommit=st.sampled_from([1.0, 2.0, 8.0]),
        storage_overcommit=st.sampled_from([1.0, 2.0, 6.0]),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=200, deadline=None)
@given(cells=CELLS, arrivals=st.lists(st.tuples(PLAN_NAMES, REGIONS), max_size=40), extra=CELLS)
def test_cells_are_never_over_full(
    cells: Mapping[str, Cell], arrivals: list[tuple[str, str | None]], extra: Mapping[str, Cell]
) -> None:
    """However customers arrive: same answer twice, right region, refused only where nothing fits, none moved."""
    placed: list[tuple[str, str]] = []
    for plan, region in arrivals:
        registry = occupied(*placed)
        candidates = {name for name, one in cells.items() if region in {None, one.region}}
        used = loads(registry, cells)
        fitting = {name for name in candidates if not used[name].plus(PLANS[plan]).exceeds(capacity(cells[name]))}
        refusal = ""
        try:
            chosen = place(plan=plan, region=region, registry=registry, cells=cells)
        except PlacementError as error:
            chosen, refusal = "", str(error)
        if not chosen:
            assert not fitting
            assert "Fix: add a cell" in refusal
            assert all(f"{name}: " in refusal for name in candidates)
            continue
        backwards = dict(reversed(cells.items()))
        again = Registry(customers=dict(reversed(registry.customers.items())))
        assert place(plan=plan, region=region, registry=again, cells=backwards) == chosen
        assert chosen in fitting
        share = {name: used[name].memory_mib / capacity(cells[name]).memory_mib for name in fitting}
        assert share[chosen] == max(share.values())
        placed.append((chosen, plan))
    final = occupied(*placed)
    assert list(over_full(final, cells)) == []
    # A new cell moves nobody: what each had promised stays as it was.
    more = {**extra, **cells}
    assert {name: loads(final, more)[name] for name in cells} == loads(final, cells)


def test_the_fullest_cell_is_filled_first() -> None:
    """A cell with customers goes before an empty one, whatever their names."""
    cells = {"a": cell(), "b": cell(), "c": cell()}
    assert place(plan="team", region=None, registry=occupied(("b", "team")), cells=cells) == "b"


def test_equal_cells_are_taken_by_name() -> None:
    """Of cells that are equally full the first by name is taken."""
    cells = {"eu-2": cell(), "eu-1": cell(), "eu-10": cell()}
    assert place(plan="team", region="eu", registry=occupied(), cells=cells) == "eu-1"


def test_the_region_is_kept() -> None:
    """A customer who asked for a region goes there although a fuller cell is elsewhere."""
    cells = {"eu-1": cell(), "us-1": cell("us")}
    assert place(plan="team", region="us", registry=occupied(("eu-1", "pro")), cells=cells) == "us-1"


def test_suspended_customers_keep_their_room() -> None:
    """A suspended customer counts: it may be back tomorrow."""
    cells = {"eu-1": cell(max_customers=1)}
    with pytest.raises(PlacementError, match="customers 2 of 1"):
        place(plan="team", region=None, registry=occupied(("eu-1", "team"), status="suspended"), cells=cells)


def test_an_unknown_region_is_refused() -> None:
    """A region without a cell is refused; the message names the region, those there are, and what to add."""
    with pytest.raises(
        PlacementError,
        match=re.escape("no cell in region `asia` (regions: eu, us). Fix: add a cell there to hosting:cells"),
    ):
        place(
            plan="team", region="asia", registry=occupied(), cells={"us-1": cell("us"), "eu-1": cell(), "eu-2": cell()}
        )


@pytest.mark.parametrize(
    ("size", "short"),
    [
        ({"memory_mib": 2_000, "memory_overcommit": 1.0}, "memory 2048 of 464 MiB"),
        ({"cpus": 1.0, "cpu_overcommit": 1.5}, "CPU 2 of 1.5 cores"),
        ({"storage_gib": 50, "storage_overcommit": 1.0}, "storage 100 of 50 GiB"),
        ({"max_customers": 1}, "customers 2 of 1"),
    ],
)
def test_a_refusal_names_what_is_short(size: Mapping[str, object], short: str) -> None:
    """A refusal says of each cell what it has too little of, with figures, and what to add where."""
    registry = occupied(("small", "personal")) if "max_customers" in size else occupied()
    cells = {"small": cell(**size), "us-1": cell("us")}
    with pytest.raises(PlacementError) as caught:
        place(plan="pro", region="eu", registry=registry, cells=cells)
    assert str(caught.value) == (
        f"No cell in region `eu` has room for a pro customer (small: {short})."
        " Fix: add a cell in region `eu` to hosting:cells, then `hosting up`."
    )


def test_loads_are_sums_of_plans() -> None:
    """A cell has promised the sum of its customers' plans; customers of unknown cells count nowhere."""
    result = loads(occupied(("a", "personal"), ("a", "pro"), ("x", "pro")), {"a": cell(), "b": cell()})
    assert result == {
        "a": Load(customers=2, memory_mib=512 + 2_048, cpus=2.5, storage_gib=105),
        "b": Load(),
    }
