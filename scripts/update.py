"""``hosting up`` and ``hosting preview``: the engine on the platform and the cells."""

from __future__ import annotations

from typing import Annotated

import typer

from registry.errors import RegistryError
from scripts.context import Context
from scripts.report import print_results, results_as_data
from scripts.review import judge, read_versions
from scripts.terminal import context_of, print_json, refuse, say
from stacks.names import CONTROL
from webhook.deploy import StackResult

Cells = Annotated[
    list[str] | None, typer.Option("--cell", help="Only this cell, or `control`; may be repeated. Not the platform.")
]
Changed = Annotated[
    str | None,
    typer.Option(
        metavar="BASE..HEAD", help="Only the cells whose customers differ between two commits. Not the platform."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print data for programs.")]
Removals = Annotated[
    int, typer.Option("--confirm-removals", min=0, help="How many customers you agree to remove at once.")
]


def up(
    command: typer.Context,
    cell: Cells = None,
    changed: Changed = None,
    *,
    as_json: AsJson = False,
    confirm_removals: Removals = 0,
) -> None:
    """Make everything as the registry and the settings say; what is so already stays untouched."""
    context = context_of(command)
    if cell and changed is not None:
        raise typer.BadParameter("--cell and --changed both say which cells: give one of them")
    cells = _cells(context, cell) if changed is None else _changed(context, changed)
    store = context.store()
    commit = store.committed()  # before the file is read: it can be newer than that, never older
    registry = store.read()  # the whole registry is sound, or nothing is started
    if not cells:
        say(f"No customer differs in {changed}: nothing to do.")
        _report([], as_json=as_json)
        return
    deployer = context.deployer(say)
    deployer.refuse_lost_customers(registry, confirmed=confirm_removals)
    platform = not cell and changed is None
    results = deployer.up(cells, platform=platform, confirmed_removals=confirm_removals, commit=commit)
    _report(results, as_json=as_json)


def preview(
    command: typer.Context, cell: Cells = None, *, as_json: AsJson = False, confirm_removals: Removals = 0
) -> None:
    """Show what `hosting up` would change, and change nothing."""
    context = context_of(command)
    cells = _cells(context, cell)
    registry = context.store().read()
    deployer = context.deployer(say)
    deployer.refuse_lost_customers(registry, confirmed=confirm_removals)
    results = deployer.preview(cells, platform=not cell, confirmed_removals=confirm_removals)
    _report(results, as_json=as_json)


def _cells(context: Context, wanted: list[str] | None) -> list[str]:
    known = sorted({*context.settings.cells} | ({CONTROL} if context.settings.control else set[str]()))
    unknown = [name for name in wanted or [] if name not in known]
    if unknown:
        raise refuse(f"There is no cell {', '.join(unknown)}. Cells: {', '.join(known)}.")
    return sorted(set(wanted)) if wanted else known


def _changed(context: Context, commits: str) -> list[str]:
    """Return the cells to visit; all of them where the version before can't be read, for nothing tells what changed.

    Raises:
        RegistryError: the version after is refused.
    """
    found = judge(context, read_versions(context, commits))
    if not found.sound:
        raise RegistryError(found.problems)
    return [each.name for each in found.cells]


def _report(results: list[StackResult], *, as_json: bool) -> None:
    if as_json:
        print_json(results_as_data(results))
    elif results:
        print_results(results)
    if any(result.error is not None for result in results):
        raise typer.Exit(1)
