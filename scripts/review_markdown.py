"""A review as Markdown for a pull request's comment, and as annotations at the file's lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from registry.effects import Effect, Group
from registry.errors import Problem
from registry.review import CellEffect, Revenue
from scripts.markdown import block, code, printable, table
from scripts.review_report import Report
from webhook.deploy import StackResult

MARKER = "<!-- hosting-review -->"
"""First line, unseen on the page: by it the workflow finds its comment again."""
MOST_OF_AN_ERROR = 1_500
"""Characters of what the engine says of one cell."""


def markdown(report: Report) -> str:
    """Return the review for people."""
    review = report.review
    lines = [MARKER, f"### Registry: {_verdict(report)}", ""]
    if not review.sound:
        lines += ["It would be refused, and nothing updated:", "", *block(_located(report.file, review.problems))]
    if review.effects or review.cells:
        lines += [" · ".join(_summary(report)), ""]
    elif review.sound:
        lines += ["No customer differs; nothing will be updated.", ""]
    if review.sound and review.risk.level == "review":
        lines += [f"**Why a person decides:** {review.risk.reason}.", ""]
    if review.cautions:
        lines += ["**Mind:**", "", *block(_located(report.file, review.cautions))]
    if review.effects:
        head = ("customer", "change", "expected interruption", "a month", "risk")
        lines += table(head, [_customer(each) for each in review.effects])
    if review.cells:
        head = ("cell", "customers", "memory, MiB", "CPU, cores", "storage, GiB", "engine")
        lines += table(head, [_cell(each, report.previews.get(each.name)) for each in review.cells])
        lines += _engine(report)
    if review.revenue_after is not None:
        lines += [f"<sub>{_basis(review.revenue_after)}</sub>"]
    return "\n".join(lines).rstrip() + "\n"


def github_annotations(report: Report) -> Iterator[str]:
    """Yield what makes GitHub show each problem at its line of the pull request."""
    for level, problems in (("error", report.review.problems), ("warning", report.review.cautions)):
        for each in problems:
            line = "" if each.line is None else f",line={each.line}"
            title = _property(each.path)
            yield f"::{level} file={_property(report.file)}{line},title={title}::{_message(each)}"


def money(cents: int, *, signed: bool = False) -> str:
    """Return US cents in dollars."""
    sign = "-" if cents < 0 else "+" if signed and cents > 0 else ""
    return f"{sign}${abs(cents) / 100:,.2f}"


def _verdict(report: Report) -> str:
    if not report.review.sound:
        count = len(report.review.problems)
        return f"refused, {count} problem{'' if count == 1 else 's'}"
    return "a person decides" if report.review.risk.level == "review" else "low risk"


def _summary(report: Report) -> Iterator[str]:
    review = report.review
    yield f"{code((report.base or 'nothing')[:10])} → {code(report.head[:10])}"
    counts = {group: sum(each.group is group for each in review.effects) for group in Group}
    told = ", ".join(f"{count} {group}" for group, count in counts.items() if count)
    if told:
        yield f"customers: {told}"
    if review.revenue_before is not None and review.revenue_after is not None:
        before, after = review.revenue_before.monthly_cents, review.revenue_after.monthly_cents
        change = f" ({money(after - before, signed=True)})" if after != before else ""
        yield f"MRR {money(before)} → {money(after)}{change}"
    yield f"cells: {len(review.cells)}"


def _customer(effect: Effect) -> Sequence[str]:
    change = effect.monthly_cents_after - effect.monthly_cents_before
    return (
        f"{code(effect.subdomain)} {code(effect.customer_id)}",
        " ".join(code(each) for each in effect.what),
        effect.interruption.words,
        money(change, signed=True) if change else "same",
        f"{'**review**' if effect.risk.level == 'review' else 'direct'}: {', '.join(effect.risk.kinds)}",
    )


def _cell(cell: CellEffect, preview: StackResult | None) -> Sequence[str]:
    before, after, most = cell.before, cell.after, cell.capacity
    figures = (
        (before.customers, after.customers, most.customers),
        (before.memory_mib, after.memory_mib, most.memory_mib),
        (before.cpus, after.cpus, most.cpus),
        (before.storage_gib, after.storage_gib, most.storage_gib),
    )
    return (
        code(cell.name),
        *(f"{_figure(then)} → {_figure(now)} of {_figure(limit)}" for then, now, limit in figures),
        _outcome(preview),
    )


def _figure(value: float) -> str:
    return f"{value:,.1f}".removesuffix(".0")


def _outcome(preview: StackResult | None) -> str:
    if preview is None:
        return "not previewed"
    if preview.error is not None:
        return "**fails**"
    changes = [f"{count} {name}" for name, count in preview.changes.items() if count and name != "same"]
    return ", ".join(changes) or "no change"


def _engine(report: Report) -> Iterator[str]:
    """Yield what there is to say of the engine beside its counts."""
    if report.no_preview is not None:
        yield from ("The engine was not asked:", "", *block(report.no_preview[-MOST_OF_AN_ERROR:].splitlines()))
    errors = {name: each.error for name, each in report.previews.items() if each.error is not None}
    if errors:
        told = [f"{name}: {line}" for name, text in errors.items() for line in text[-MOST_OF_AN_ERROR:].splitlines()]
        yield from ("What the engine says:", "", *block(told))


def _basis(revenue: Revenue) -> str:
    unlinked = f" Without a subscription in the registry: {revenue.unlinked}." if revenue.unlinked else ""
    paused = f" Suspended: {revenue.suspended} ({money(revenue.suspended_cents)})." if revenue.suspended else ""
    return (
        "MRR is the monthly list price of who is pending or active; the registry knows neither yearly payers nor"
        f" coupons. Customers who count: {revenue.customers}.{unlinked}{paused}"
    )


def _located(file: str, problems: Sequence[Problem]) -> list[str]:
    return [
        f"{file}{'' if each.line is None else f':{each.line}'}: {each.path}: {each.reason}. Fix: {each.fix}"
        for each in problems
    ]


def _message(problem: Problem) -> str:
    return printable(f"{problem.reason}. Fix: {problem.fix}").replace("%", "%25")


def _property(text: str) -> str:
    return printable(text).replace("%", "%25").replace(":", "%3A").replace(",", "%2C")
