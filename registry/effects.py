"""What one customer's change means for that customer: in words, in money, and for how long nothing answers. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from registry import risk
from registry.changes import Change
from registry.customers import RUNNING, Customer
from registry.plans import PLANS
from registry.risk import Kind, Risk
from registry.wishes import DataUsed


class Group(StrEnum):
    """Under which heading a customer's change is told; the first that fits."""

    ADDED = "added"
    REMOVED = "removed"
    MOVED = "moved"
    SUSPENDED = "suspended"
    RESUMED = "resumed"
    CHANGED = "changed"


class Interruption(StrEnum):
    """How long a customer's instance is expected not to answer, mildest first."""

    NONE = "none"
    EXCHANGE = "exchange"
    OLD_DOMAIN = "old-domain"
    OLD_ADDRESS = "old-address"
    COPY = "copy"
    UNTIL_PAID = "until-paid"
    GRACE = "grace"
    FOR_GOOD = "for-good"

    @property
    def words(self) -> str:
        """The same for people."""
        return _WORDS[self]


_WORDS: Mapping[Interruption, str] = {
    Interruption.NONE: "none",
    Interruption.EXCHANGE: "a second, bridged by the proxy, while the container is exchanged",
    Interruption.OLD_DOMAIN: "its former domain for good, else a second",
    Interruption.OLD_ADDRESS: "its former address for good, else a second",
    Interruption.COPY: "while the data is brought to the other server",
    Interruption.UNTIL_PAID: "until the customer pays",
    Interruption.GRACE: "until it is resumed; after the last day for good",
    Interruption.FOR_GOOD: "for good",
}
_GROUPS: Mapping[Group, frozenset[Kind]] = {
    Group.ADDED: frozenset({Kind.ADD}),
    Group.REMOVED: frozenset({Kind.LEAVE, Kind.PURGE, Kind.FORGET, Kind.LOSE}),
    Group.MOVED: frozenset({Kind.MOVE}),
    Group.SUSPENDED: frozenset({Kind.SUSPEND, Kind.HOLD}),
    Group.RESUMED: frozenset({Kind.RESUME, Kind.UNPURGE}),
    Group.CHANGED: frozenset(Kind),
}
_LONG: Mapping[Kind, Interruption] = {
    Kind.PURGE: Interruption.FOR_GOOD,
    Kind.FORGET: Interruption.FOR_GOOD,
    Kind.LOSE: Interruption.FOR_GOOD,
    Kind.LEAVE: Interruption.GRACE,
    Kind.SUSPEND: Interruption.UNTIL_PAID,
    Kind.HOLD: Interruption.UNTIL_PAID,
}
"""Of instances that do not run afterwards, the longest first."""
_EXCHANGED = frozenset({"plan", "subdomain", "domain"})
"""Fields that are in the container's environment, labels or network names: a difference replaces it (ADR 6)."""


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What a change means for one customer.

    Attributes:
        customer_id: Whose entry.
        subdomain: Its name, the new one where it changed.
        group: Under which heading it is told.
        what: Each difference in words: ``plan team → pro``.
        interruption: What of its instance is expected not to answer.
        risk: With its reason.
        monthly_cents_before: What it pays at the monthly list price.
        monthly_cents_after: The same afterwards.
    """

    customer_id: str
    subdomain: str
    group: Group
    what: tuple[str, ...]
    interruption: Interruption
    risk: Risk
    monthly_cents_before: int
    monthly_cents_after: int


def effect_of(change: Change, *, used: DataUsed | None = None) -> Effect:
    """Return what a change means.

    Args:
        change: From ``registry.changes.diff``.
        used: What the customer uses, where known.
    """
    judged = risk.of(change, used=used)
    entry = change.after or change.before
    return Effect(
        customer_id=change.customer_id,
        subdomain="" if entry is None else entry.subdomain,
        group=next(group for group, kinds in _GROUPS.items() if not kinds.isdisjoint(judged.kinds)),
        what=tuple(_what(change)),
        interruption=_interruption(change, judged.kinds),
        risk=judged,
        monthly_cents_before=_monthly_cents(change.before),
        monthly_cents_after=_monthly_cents(change.after),
    )


def _what(change: Change) -> Iterator[str]:
    if change.before is None and change.after is not None:
        yield f"new: {change.after.plan} on {change.after.cell}, {change.after.status}"
        if change.after.domain is not None:
            yield f"domain {change.after.domain}"
    elif change.after is None and change.before is not None:
        yield f"gone: {change.before.plan} on {change.before.cell}, was {change.before.status}"
    else:
        for name, (before, after) in change.fields.items():
            yield f"{name} {_shown(before)} → {_shown(after)}"


def _shown(value: object) -> str:
    return "none" if value is None else str(value)


def _interruption(change: Change, kinds: tuple[Kind, ...]) -> Interruption:
    for kind, interruption in _LONG.items():
        if kind in kinds:
            return interruption
    before, after = change.before, change.after
    if before is None or after is None or before.status not in RUNNING or after.status not in RUNNING:
        return Interruption.NONE
    if Kind.MOVE in kinds:
        return Interruption.COPY
    if Kind.RENAME in kinds:
        return Interruption.OLD_ADDRESS
    if Kind.DOMAIN in kinds and before.domain is not None:
        return Interruption.OLD_DOMAIN
    return Interruption.NONE if _EXCHANGED.isdisjoint(change.fields) else Interruption.EXCHANGE


def _monthly_cents(entry: Customer | None) -> int:
    return PLANS[entry.plan].monthly_cents if entry is not None and entry.status in RUNNING else 0
