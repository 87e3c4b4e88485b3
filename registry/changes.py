"""What differs between two registries, and which removals are refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import floor

from registry.customers import FIELDS, RUNNING, Customer, Registry, Status
from registry.errors import Problem, RegistryError

MASS_REMOVAL_SHARE = 0.10
MASS_REMOVAL_LEAST = 3
"""More than 10 % of the customers at once, and at least 3, need the operator's confirmation (issue 3)."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """One customer's difference: added, removed, or the fields that changed with both values."""

    customer_id: str
    before: Customer | None
    after: Customer | None

    @property
    def fields(self) -> Mapping[str, tuple[object, object]]:
        """Changed fields with the value before and after."""
        return {
            name: (getattr(self.before, name, None), getattr(self.after, name, None))
            for name in FIELDS
            if getattr(self.before, name, None) != getattr(self.after, name, None)
        }

    @property
    def is_declared(self) -> bool:
        """Whether what exists on the cells differs: a status between two that run alike, a ring or a link does not."""
        return _declared(self.before) != _declared(self.after)

    @property
    def cells(self) -> frozenset[str]:
        """Cells that an update has to visit."""
        return frozenset(entry.cell for entry in (self.before, self.after) if entry is not None)


def _declared(entry: Customer | None) -> tuple[object, ...] | None:
    """Return what a stack declares of an entry."""
    if entry is None:
        return None
    status = "running" if entry.status in RUNNING else "purging" if entry.status is Status.PURGING else "stopped"
    return entry.cell, entry.subdomain, entry.plan, entry.domain, status


def diff(old: Registry, new: Registry) -> tuple[Change, ...]:
    """Return what differs, by customer id."""
    ids = sorted({*old.customers, *new.customers})
    return tuple(
        Change(customer_id=key, before=old.customers.get(key), after=new.customers.get(key))
        for key in ids
        if old.customers.get(key) != new.customers.get(key)
    )


def check_removals(previous: Mapping[str, Status], current: Registry, *, cell: str | None, confirmed: int = 0) -> None:
    """Refuse a registry that would lose customers' data.

    Args:
        previous: Customer id to status, as the cell was declared last time (or all of them).
        current: The registry to declare.
        cell: The cell that ``previous`` is about; None for all.
        confirmed: How many removals the operator has agreed to.

    Raises:
        RegistryError: an entry is gone, or went to another cell, while its data is still there; or too many are gone.
    """
    here = {key for key, entry in current.customers.items() if cell is None or entry.cell == cell}
    gone = [key for key in previous if key not in here]
    problems = list(_unfinished(gone, previous, current))
    if not problems and _is_mass_removal(len(gone), len(previous)) and confirmed != len(gone):
        problems.append(
            Problem(
                path="customers",
                reason=f"{len(gone)} of {len(previous)} customers are gone at once, their data with them",
                fix=f"restore the file, or confirm exactly that many: `hosting up --confirm-removals {len(gone)}`",
            )
        )
    if problems:
        raise RegistryError(problems)


def _unfinished(gone: list[str], previous: Mapping[str, Status], current: Registry) -> Iterator[Problem]:
    for key in gone:
        if key in current.customers:
            yield Problem(
                path=f"customers/{key}/cell",
                reason="it went to another cell, but its data is still on the old one",
                fix="restore the line; data is moved by `hosting customer move`, never by an edit",
            )
        elif previous[key] is not Status.PURGING:
            yield Problem(
                path=f"customers/{key}",
                reason=f"the entry is gone although it was {previous[key]}: its instance and data would be orphaned",
                fix=f"restore the entry; `hosting customer remove {key}` starts its grace period",
            )


def _is_mass_removal(gone: int, before: int) -> bool:
    return gone >= MASS_REMOVAL_LEAST and gone > floor(before * MASS_REMOVAL_SHARE)
