"""What two versions of the registry differ in, in business terms: customers, revenue, cells, risk. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from registry import risk
from registry.cells import Cell, Load, capacity
from registry.changes import Change, check_removals, diff
from registry.customers import RUNNING, Registry, Status
from registry.effects import Effect, effect_of
from registry.errors import Problem, RegistryError
from registry.load import parse
from registry.placement import loads
from registry.plans import PLANS
from registry.risk import Kind, Risk
from registry.wishes import DataUsed


@dataclass(frozen=True, kw_only=True)
class Revenue:
    """Monthly recurring revenue at the monthly list price, in US cents.

    The registry knows neither who pays yearly nor coupons. Pending and active customers count. Suspended ones pay
    nothing now and are counted apart; those who leave have ended their subscription.

    Attributes:
        customers: Who count.
        monthly_cents: What they pay.
        unlinked: How many of them have no subscription in the registry, and may pay nothing.
        suspended: Who would pay again when resumed.
        suspended_cents: What they would pay.
    """

    customers: int
    monthly_cents: int
    unlinked: int
    suspended: int
    suspended_cents: int


@dataclass(frozen=True, kw_only=True)
class CellEffect:
    """What a touched cell promises to its customers before and after, and what it can promise."""

    name: str
    before: Load
    after: Load
    capacity: Load


@dataclass(frozen=True, kw_only=True)
class Review:
    """What reviewers need to know of a change.

    Attributes:
        problems: Why it is refused, at their lines where known.
        cautions: What to mind besides, such as a mass removal that has to be confirmed.
        effects: One for each customer that differs, those for review first.
        risk: Of all together.
        revenue_before: MRR of the old version; None where a version can't be read.
        revenue_after: MRR of the new one; the same.
        cells: Those that an update has to visit.
    """

    problems: tuple[Problem, ...] = ()
    cautions: tuple[Problem, ...] = ()
    effects: tuple[Effect, ...] = ()
    risk: Risk
    revenue_before: Revenue | None = None
    revenue_after: Revenue | None = None
    cells: tuple[CellEffect, ...] = ()

    @property
    def sound(self) -> bool:
        """Whether it could be applied."""
        return not self.problems


def review_texts(
    old: str | None,
    new: str,
    *,
    cells: Mapping[str, Cell],
    domain: str,
    today: date,
    used: Mapping[str, DataUsed] | None = None,
) -> Review:
    """Review two texts of ``customers.yaml``.

    Args:
        old: The text before; None where there was no file.
        new: The text to review.
        cells: The environment's cells.
        domain: The product's domain.
        today: Quarantine ends are compared with it.
        used: Customer id to what the customer uses, as far as known.

    Returns:
        The review; of a new text that is refused, its problems. An old text that is refused has nothing to compare
        with: then everyone counts as there before and a caution says so.
    """
    try:
        after = parse(new, cells=cells, domain=domain, today=today)
    except RegistryError as error:
        return refused(error.problems)
    if old is None:
        return review(Registry(customers={}), after, cells=cells, today=today, used=used)
    try:
        before = parse(old, cells=cells, domain=domain, today=today)
    except RegistryError as error:
        caution = Problem(
            path="the old version",
            reason=f"it is refused itself ({error.problems[0].path}: {error.problems[0].reason}), so what differs"
            " from it can't be told",
            fix="read the lines' diff; every cell has to be looked at",
            line=error.problems[0].line,
        )
        return _uncompared(after, cells, caution)
    return review(before, after, cells=cells, today=today, used=used)


def refused(problems: tuple[Problem, ...]) -> Review:
    """Return the review of a version that nothing can be told of."""
    return Review(problems=problems, risk=Risk(kinds=(), level="review", reason="it is refused"))


def review(
    old: Registry,
    new: Registry,
    *,
    cells: Mapping[str, Cell],
    today: date,
    used: Mapping[str, DataUsed] | None = None,
) -> Review:
    """Review two checked registries; see ``review_texts``."""
    changes = diff(old, new)
    effects = [effect_of(each, used=(used or {}).get(each.customer_id)) for each in changes]
    problems, cautions = _removals(old, new, changes)
    touched = sorted({name for each in changes for name in each.cells})
    before, after = loads(old, cells), loads(new, cells)
    return Review(
        problems=problems,
        cautions=(*cautions, *_released(old, new, today)),
        effects=tuple(sorted(effects, key=lambda each: each.risk.level == "direct")),
        risk=risk.of_all(changes, used=used),
        revenue_before=_revenue(old),
        revenue_after=_revenue(new),
        cells=tuple(
            CellEffect(name=name, before=before[name], after=after[name], capacity=capacity(cells[name]))
            for name in touched
            if name in cells
        ),
    )


def _uncompared(new: Registry, cells: Mapping[str, Cell], caution: Problem) -> Review:
    """Return the review of a version whose predecessor can't be read: anything may have changed."""
    after = loads(new, cells)
    return Review(
        cautions=(caution,),
        risk=Risk(kinds=(), level="review", reason="what differs can't be told, as the old version is refused"),
        revenue_after=_revenue(new),
        cells=tuple(
            CellEffect(name=name, before=after[name], after=after[name], capacity=capacity(cell))
            for name, cell in cells.items()
        ),
    )


def _removals(
    old: Registry, new: Registry, changes: tuple[Change, ...]
) -> tuple[tuple[Problem, ...], tuple[Problem, ...]]:
    """Return what an update would refuse: what nothing helps against, and what needs more than an approval.

    Each cell is asked by itself, as the update does. A move is among the latter: an operator who has brought the
    data over can finish it.
    """
    lost = {f"customers/{each.customer_id}" for each in changes if Kind.LOSE in risk.of(each).kinds}
    found: list[Problem] = []
    for cell in sorted({each.before.cell for each in changes if each.before is not None}):
        previous = {key: entry.status for key, entry in old.customers.items() if entry.cell == cell}
        try:
            check_removals(previous, new, cell=cell)
        except RegistryError as error:
            found.extend(error.problems)
    return (
        tuple(each for each in found if each.path in lost),
        tuple(each for each in found if each.path not in lost),
    )


def _released(old: Registry, new: Registry, today: date) -> Iterator[Problem]:
    """Yield the names of deleted customers that somebody else could get sooner than was promised."""
    for name, until in old.quarantine.items():
        if until >= today and new.quarantine.get(name, date.min) < until:
            yield Problem(
                path=f"quarantine/{name}",
                reason=f"the name was to stay taken until {until}, as links to its last owner are still about",
                fix="restore the line, unless the last owner is back",
            )


def _revenue(registry: Registry) -> Revenue:
    paying = [entry for entry in registry.customers.values() if entry.status in RUNNING]
    suspended = [entry for entry in registry.customers.values() if entry.status is Status.SUSPENDED]
    return Revenue(
        customers=len(paying),
        monthly_cents=sum(PLANS[entry.plan].monthly_cents for entry in paying),
        unlinked=sum(entry.stripe_subscription is None for entry in paying),
        suspended=len(suspended),
        suspended_cents=sum(PLANS[entry.plan].monthly_cents for entry in suspended),
    )
