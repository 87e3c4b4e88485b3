"""How risky a change of the registry is: what kinds of change it is, and what policy.yaml says of them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from registry.changes import Change
from registry.customers import RUNNING, Customer, Status
from registry.lifecycle import GIB
from registry.plans import PLANS
from registry.wishes import DataUsed

Level = Literal["direct", "review"]


class Kind(StrEnum):
    """What a change is; one change can be several."""

    ADD = "add"
    ACTIVATE = "activate"
    UNCONFIRM = "unconfirm"
    UPGRADE = "upgrade"
    DOWNGRADE = "downgrade"
    DOWNGRADE_OVER_QUOTA = "downgrade-over-quota"
    DOWNGRADE_UNMEASURED = "downgrade-unmeasured"
    SUSPEND = "suspend"
    RESUME = "resume"
    HOLD = "hold"
    LEAVE = "leave"
    EXTEND = "extend"
    SHORTEN = "shorten"
    PURGE = "purge"
    UNPURGE = "unpurge"
    FORGET = "forget"
    LOSE = "lose"
    MOVE = "move"
    RENAME = "rename"
    DOMAIN = "domain"
    RING = "ring"
    REGION = "region"
    LINK = "link"
    RELINK = "relink"


class PolicyError(Exception):
    """The policy is refused; the message names every kind or level that is wrong."""


Reason = Annotated[str, Field(min_length=1)]


class Policy(BaseModel):
    """Every kind of change under its level, with the reason in words."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    direct: Mapping[Kind, Reason]
    review: Mapping[Kind, Reason]

    @model_validator(mode="after")
    def _each_kind_once(self) -> Self:
        twice = self.direct.keys() & self.review.keys()
        missing = set(Kind) - self.direct.keys() - self.review.keys()
        wrong = [f"`{kind}` is under both levels" for kind in sorted(twice)]
        wrong += [f"`{kind}` is missing" for kind in sorted(missing)]
        if wrong:
            raise ValueError(", ".join(wrong))
        return self

    def rule(self, kind: Kind) -> tuple[Level, str]:
        """Return a kind's level and reason."""
        return ("review", self.review[kind]) if kind in self.review else ("direct", self.direct[kind])


def parse_policy(text: str) -> Policy:
    """Read a policy.

    Raises:
        PolicyError: an unknown level or kind, one that is missing or there twice, or no reason; all are named at once.
    """
    try:
        return Policy.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        msg = f"The policy (registry/policy.yaml) is no YAML. Fix: mend it, or restore it from git.\n{error}"
        raise PolicyError(msg) from None
    except ValidationError as error:
        lines = [
            f"  {'/'.join(str(part) for part in item['loc'] if part != '[key]') or 'kinds'}:"
            f" {'there is no such level' if item['type'] == 'extra_forbidden' else item['msg']}"
            for item in error.errors(include_url=False)
        ]
        fix = f"Fix: every kind once, under `direct` or `review`, with a reason. Kinds: {', '.join(Kind)}."
        msg = "\n".join(["The policy (registry/policy.yaml) is refused:", *lines, fix])
        raise PolicyError(msg) from None


POLICY: Policy = parse_policy((files("registry") / "policy.yaml").read_text(encoding="utf-8"))


@dataclass(frozen=True, kw_only=True)
class Risk:
    """How a change gets in.

    Attributes:
        kinds: What the change is; none where nothing differs.
        level: ``direct``: commit it. ``review``: a person approves a pull request first.
        reason: Why, in words; of the kinds with that level.
    """

    kinds: tuple[Kind, ...]
    level: Level
    reason: str


def of(change: Change, *, used: DataUsed | None = None, policy: Policy = POLICY) -> Risk:
    """Return the risk of one customer's change.

    Args:
        change: From ``registry.changes.diff``.
        used: What the customer uses; None where it is not known, and then a smaller plan is not taken as safe.
        policy: By default the product's.
    """
    return _judged(kinds_of(change, used=used), policy)


def of_all(changes: Iterable[Change], *, used: Mapping[str, DataUsed] | None = None, policy: Policy = POLICY) -> Risk:
    """Return the risk of several changes that get in together: the strictest wins.

    Args:
        changes: From ``registry.changes.diff``.
        used: Customer id to what the customer uses, as far as known.
        policy: By default the product's.
    """
    found = {kind for each in changes for kind in kinds_of(each, used=(used or {}).get(each.customer_id))}
    return _judged(found, policy)


def _judged(found: Iterable[Kind], policy: Policy) -> Risk:
    kinds = tuple(sorted(set(found), key=list(Kind).index))
    rules = {kind: policy.rule(kind) for kind in kinds}
    level: Level = "review" if any(each == "review" for each, _ in rules.values()) else "direct"
    reasons = [f"{kind}: {reason}" for kind, (each, reason) in rules.items() if each == level]
    return Risk(kinds=kinds, level=level, reason="; ".join(reasons) or "nothing differs")


def kinds_of(change: Change, *, used: DataUsed | None) -> frozenset[Kind]:
    """Return all that a change is."""
    before, after = change.before, change.after
    if before is None:
        return frozenset() if after is None else frozenset({Kind.ADD, *_status(None, after.status)})
    if after is None:
        return frozenset({Kind.FORGET if before.status is Status.PURGING else Kind.LOSE})
    return frozenset(
        {
            *_status(before.status, after.status),
            *_plan(before, after, used),
            *_last_day(before, after),
            *_links(before, after),
            *(kind for name, kind in _PLAIN_FIELDS.items() if getattr(before, name) != getattr(after, name)),
        }
    )


_PLAIN_FIELDS: Mapping[str, Kind] = {
    "cell": Kind.MOVE,
    "subdomain": Kind.RENAME,
    "domain": Kind.DOMAIN,
    "ring": Kind.RING,
    "region": Kind.REGION,
}
"""Fields of which any difference is one kind of change."""


def _status(before: Status | None, after: Status) -> Iterator[Kind]:
    """Yield what a status means after another one; None is a newcomer's."""
    if before is after or (before is None and after is not Status.PURGING):
        return
    if after is Status.PURGING:
        yield Kind.PURGE
    elif before is Status.PURGING:
        yield Kind.UNPURGE
    elif after is Status.DELETING:
        yield Kind.LEAVE
    elif after is Status.SUSPENDED:
        yield Kind.HOLD if before is Status.DELETING else Kind.SUSPEND
    elif before not in RUNNING:
        yield Kind.RESUME
    else:
        yield Kind.ACTIVATE if after is Status.ACTIVE else Kind.UNCONFIRM


def _plan(before: Customer, after: Customer, used: DataUsed | None) -> Iterator[Kind]:
    if before.plan == after.plan:
        return
    sizes = list(PLANS)
    if sizes.index(after.plan) > sizes.index(before.plan):
        yield Kind.UPGRADE
    elif before.status is Status.PENDING and used is None:
        yield Kind.DOWNGRADE  # nobody has stored anything yet
    elif used is None:
        yield Kind.DOWNGRADE_UNMEASURED
    else:
        plan = PLANS[after.plan]
        fits = used.storage_bytes <= plan.storage_gib * GIB and used.users <= plan.users
        yield Kind.DOWNGRADE if fits else Kind.DOWNGRADE_OVER_QUOTA


def _last_day(before: Customer, after: Customer) -> Iterator[Kind]:
    if before.delete_after is not None and after.delete_after is not None:
        if after.delete_after > before.delete_after:
            yield Kind.EXTEND
        elif after.delete_after < before.delete_after:
            yield Kind.SHORTEN


def _links(before: Customer, after: Customer) -> Iterator[Kind]:
    """Yield what happens to the links to Stripe: a renewed subscription is usual, another payer is not."""
    if before.stripe_customer != after.stripe_customer:
        yield Kind.LINK if before.stripe_customer is None else Kind.RELINK
    if before.stripe_subscription != after.stripe_subscription:
        yield Kind.LINK
