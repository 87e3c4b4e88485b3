"""Results of updates, for people and for programs."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from webhook.deploy import StackResult
from webhook.update_log import OPERATIONS

WIDE = 160
"""Columns where nobody looks: a log or a pipe."""


def print_results(results: Sequence[StackResult]) -> None:
    """Print one line a stack, then each failure in full."""
    console = Console(width=None if sys.stdout.isatty() else WIDE)
    table = Table("stack", *OPERATIONS, "seconds", "result")
    for each in results:
        counts = [str(each.changes[name] or "") for name in OPERATIONS]
        outcome = "[red]failed[/red]" if each.error else ("[green]changed[/green]" if each.changed else "no change")
        table.add_row(each.name, *counts, f"{each.seconds:.1f}", outcome)
    console.print(table)
    for each in results:
        if each.error:
            console.print(f"[red]{each.name} failed:[/red]")
            console.print(each.error, markup=False, soft_wrap=True)


def results_as_data(results: Sequence[StackResult]) -> dict[str, object]:
    """Return the contract of ``hosting up --json``."""
    return {
        "stacks": [
            {"name": each.name, "changes": dict(each.changes), "seconds": each.seconds, "error": each.error}
            for each in results
        ]
    }
