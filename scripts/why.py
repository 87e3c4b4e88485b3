"""``hosting why``: what happened to a customer, and because of what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.tree import Tree
from sqlalchemy.orm import Session

from registry.commits import commits_about, last_owner
from registry.names import subdomain_problem
from scripts.context import Context
from scripts.terminal import context_of, print_json, refuse, results
from webhook.database.ledger import LedgerKind, history

AsJson = Annotated[bool, typer.Option("--json", help="Print data for programs.")]
SHORT = 10
"""Characters of a commit's hash that are shown."""


@dataclass(frozen=True, kw_only=True)
class Happening:
    """One thing that happened.

    Attributes:
        at: When, UTC.
        what: event, commit, update, probe, backup, mail or alert.
        ref: What it is called elsewhere.
        because: Id of the Stripe event, or who did it; empty where only time has passed.
        event_type: Of that event; empty for no event.
        detail: More.
    """

    at: datetime
    what: str
    ref: str
    because: str
    event_type: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)


def why(
    command: typer.Context,
    who: Annotated[str, typer.Argument(help="Customer id or subdomain, also of one that is gone.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Tell what happened to a customer, and because of what: event, commit, update, probe, letter, alert."""
    context = context_of(command)
    customer_id = _customer(context, who)
    found = sorted(_happenings(context, customer_id), key=lambda each: each.at)
    if not found:
        raise refuse(
            f"Nothing is written down about {who}: it was made by hand, or never was. See git log of the registry."
        )
    if as_json:
        print_json([asdict(each) | {"at": each.at.isoformat(timespec="seconds")} for each in found])
    else:
        results.print(_tree(customer_id, found))


def _customer(context: Context, who: str) -> str:
    """Return whose id or name it is, or was last."""
    customers = context.store().read().customers
    present = next((key for key, entry in customers.items() if who in {key, entry.subdomain}), None)
    if present is None and subdomain_problem(who) is None:
        present = last_owner(context.registry_file, who)
    return present or who


def _happenings(context: Context, customer_id: str) -> Iterator[Happening]:
    """Yield what the ledger has, and the registry's commits that it has not: those that people made."""
    written: set[str] = set()
    with Session(context.database()) as session:
        for entry, event_type in history(session, customer_id):
            written.add(entry.ref)
            because = entry.cause_event_id or entry.cause_id or ""
            yield Happening(
                at=entry.at,
                what=str(entry.kind),
                ref=entry.ref,
                because=str(because),
                event_type=event_type or "",
                detail=entry.detail,
            )
    for commit in commits_about(context.registry_file, customer_id):
        if commit.id not in written:
            at, detail = commit.at.astimezone(UTC), {"reason": commit.summary}
            yield Happening(at=at, what=LedgerKind.COMMIT, ref=commit.id, because=commit.actor, detail=detail)


def _tree(customer_id: str, found: list[Happening]) -> Tree:
    """Return a branch for each cause, in the order in which they began to have consequences."""
    tree = Tree(f"[bold]{escape(customer_id)}[/bold]")
    branches: dict[str, Tree] = {}
    for each in found:
        key = each.because if each.event_type else f"{each.at:%Y-%m-%d} {each.because}"
        if key not in branches:
            cause = f"{each.event_type} [dim]{each.because}[/dim]" if each.event_type else each.because or "time passed"
            branches[key] = tree.add(f"[cyan]{each.at:%Y-%m-%d}[/cyan] {cause}")
        branches[key].add(f"[cyan]{each.at:%H:%M:%S}[/cyan] {escape(_words(each))}")
    return tree


def _words(each: Happening) -> str:
    detail = each.detail
    if each.what == LedgerKind.COMMIT:
        return f"commit {each.ref[:SHORT]}: {detail.get('reason', '')}"
    if each.what == LedgerKind.UPDATE:
        return f"update {each.ref}: {_update(detail)}"
    if each.what == LedgerKind.PROBE:
        return f"{each.ref} answers in {detail.get('seconds')} s"
    if each.what == LedgerKind.ALERT:
        return f"a person was called, {each.ref}: {detail.get('text', '')}"
    return f"{'letter' if each.what == LedgerKind.MAIL else each.what} {each.ref}"


def _update(detail: Mapping[str, Any]) -> str:
    if "error" in detail:
        return f"failed: {detail['error']}"
    if detail.get("shared"):
        return "nothing was left to do, another change's update had taken it along"
    steps = ", ".join(detail.get("steps") or []) or "nothing of this customer changed"
    return f"{steps} ({detail.get('seconds')} s, commit {str(detail.get('commit'))[:SHORT]})"
