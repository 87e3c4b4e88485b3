"""Cells: what one can hold."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from registry.cells import Cell, Load, capacity
from registry.plans import PLANS


def cell(**fields: object) -> Cell:
    """Return a cell of the reference size, or of others."""
    return Cell.model_validate({"region": "eu", "location": "nbg1", "server_types": ["cx43"], **fields})


def test_capacity_is_size_without_reserve_times_factor() -> None:
    """Memory is counted without the system's reserve, and everything times its factor."""
    sizes = {
        "memory_mib": 10_000,
        "reserved_memory_mib": 1_000,
        "memory_overcommit": 2.5,
        "cpus": 4,
        "cpu_overcommit": 3,
    }
    found = capacity(cell(**sizes, storage_gib=100, storage_overcommit=1.5, max_customers=7))
    assert found == Load(customers=7, memory_mib=22_500, cpus=12.0, storage_gib=150)


@pytest.mark.parametrize(("plan", "least", "most"), [("personal", 50, 50), ("team", 30, 50), ("pro", 10, 20)])
def test_the_reference_size_holds_what_is_promised(plan: str, least: int, most: int) -> None:
    """The reference size holds 30 to 50 instances of a usual mix, and never more than 50."""
    room = capacity(cell())
    fitting = max(count for count in range(100) if not Load().plus(PLANS[plan], count=count).exceeds(room))
    assert least <= fitting <= most


def test_exactly_full_is_not_over_full() -> None:
    """A load that equals the capacity is within it; the least more of anything is named with both figures."""
    room = Load(customers=1, memory_mib=2, cpus=0.5, storage_gib=4)
    assert room.exceeds(room) == ()
    assert Load(customers=2, memory_mib=3, cpus=0.75, storage_gib=5).exceeds(room) == (
        "customers 2 of 1", "memory 3 of 2 MiB", "CPU 0.75 of 0.5 cores", "storage 5 of 4 GiB",
    )  # fmt: skip


@pytest.mark.parametrize(
    "fields",
    [
        {"region": "moon"},
        {"location": "mars"},
        {"server_types": []},
        {"memory_mib": 0},
        {"cpus": 0},
        {"memory_overcommit": 0.9},
        {"max_customers": 51},
        {"max_customers": 0},
        {"http_port": 65_536},
        {"colour": "red"},
        {"subnet": "8.8.8.0/24"},
        {"subnet": "172.30.0.0/26"},
        {"subnet": "172.30.0.1/24"},
        {"subnet": "fd00::/64"},
    ],
)
def test_impossible_cells_are_refused(fields: dict[str, object]) -> None:
    """A cell that cannot be, or whose network is public or too small, is refused."""
    with pytest.raises(ValidationError):
        cell(**fields)


@pytest.mark.parametrize("subnet", ["172.30.0.0/24", "10.0.0.0/25", "192.168.0.0/16"])
def test_private_networks_are_accepted(subnet: str) -> None:
    """A private network of at least a /25 is accepted."""
    assert cell(subnet=subnet).subnet == subnet
