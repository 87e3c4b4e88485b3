"""A review with what it is about: the two commits, and the engine's previews. As data for programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from registry.effects import Effect, Group
from registry.errors import Problem
from registry.review import Revenue, Review
from registry.risk import Risk
from webhook.deploy import StackResult

MRR_BASIS = "monthly list price of pending and active customers; yearly payment and coupons are not known"


@dataclass(frozen=True, kw_only=True)
class Report:
    """All that ``hosting review`` tells.

    Attributes:
        base: The commit before; None where there was none.
        head: The commit after.
        file: The registry's path in its repository.
        review: In business terms.
        previews: Cell to what the engine would do there.
        no_preview: Why the engine was not asked; None where it was.
    """

    base: str | None
    head: str
    file: str
    review: Review
    previews: Mapping[str, StackResult] = field(default_factory=dict)
    no_preview: str | None = None


def as_data(report: Report) -> dict[str, object]:
    """Return the contract of ``hosting review --json``."""
    review = report.review
    return {
        "base": report.base,
        "head": report.head,
        "file": report.file,
        "sound": review.sound,
        "problems": [_problem(each) for each in review.problems],
        "cautions": [_problem(each) for each in review.cautions],
        "risk": _risk(review.risk),
        "customers": {str(group): [_effect(each) for each in review.effects if each.group is group] for group in Group},
        "mrr": {
            "basis": MRR_BASIS,
            "before": _revenue(review.revenue_before),
            "after": _revenue(review.revenue_after),
        },
        "cells": [
            {
                "name": each.name,
                "before": each.before.model_dump(),
                "after": each.after.model_dump(),
                "capacity": each.capacity.model_dump(),
                "preview": _preview(report.previews.get(each.name)),
            }
            for each in review.cells
        ],
        "no_preview": report.no_preview,
    }


def _problem(problem: Problem) -> dict[str, object]:
    return {"path": problem.path, "line": problem.line, "reason": problem.reason, "fix": problem.fix}


def _risk(risk: Risk) -> dict[str, object]:
    return {"level": risk.level, "kinds": [str(kind) for kind in risk.kinds], "reason": risk.reason}


def _revenue(revenue: Revenue | None) -> dict[str, object] | None:
    return None if revenue is None else asdict(revenue)


def _effect(effect: Effect) -> dict[str, object]:
    return {
        "id": effect.customer_id,
        "subdomain": effect.subdomain,
        "what": list(effect.what),
        "interruption": str(effect.interruption),
        "interruption_words": effect.interruption.words,
        "monthly_cents_before": effect.monthly_cents_before,
        "monthly_cents_after": effect.monthly_cents_after,
        "risk": _risk(effect.risk),
    }


def _preview(result: StackResult | None) -> dict[str, object] | None:
    if result is None:
        return None
    return {"changes": dict(result.changes), "seconds": result.seconds, "error": result.error}
