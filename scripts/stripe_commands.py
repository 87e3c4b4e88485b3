"""``hosting stripe``: Stripe's side of the business, held to what the plans say."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from scripts.stripe_access import stripe_client, variable
from scripts.terminal import confirm, context_of, print_json, refuse, results, say
from webhook.stripe_catalogue import LAUNCH_CODE, Ref, wanted
from webhook.stripe_differences import Change, Differences, differences
from webhook.stripe_sync import apply, read_account

stripe = typer.Typer(no_args_is_help=True, help="Stripe's side: products, prices, offers, portal, webhook endpoint.")

SECRETS = "HOSTING_STRIPE_WEBHOOK_SECRETS"
WEBHOOK_URL = "HOSTING_STRIPE_WEBHOOK_URL"
"""The demo's endpoint is on this machine."""
WEBHOOK_PATH, PORTAL_PATH = "/webhooks/stripe", "/portal"


@stripe.callback()
def group() -> None:
    """Keep `sync` a command of its own while it is the only one."""


@stripe.command()
def sync(
    command: typer.Context,
    webhook_url: Annotated[
        str | None,
        typer.Option(
            help=f"Where Stripe sends events; by default {WEBHOOK_URL}, else https://portal.<domain>{WEBHOOK_PATH}."
        ),
    ] = None,
    launch_code: Annotated[str, typer.Option(help="What customers type for the launch offer.")] = LAUNCH_CODE,
    *,
    launch_offer: Annotated[bool, typer.Option(help="Whether the launch offer is on.")] = True,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show the differences; exit code 1 where there are any.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print data for programs.")] = False,
) -> None:
    """Make products, prices, launch offer, billing portal and webhook endpoint at Stripe match the plans.

    Shows the differences, asks, then makes them. Only objects that it made itself are changed, and nothing is deleted.
    """
    context = context_of(command)
    portal = f"https://portal.{context.settings.domain}"
    parts = wanted(
        webhook_url=webhook_url or variable(context, WEBHOOK_URL) or f"{portal}{WEBHOOK_PATH}",
        portal_url=f"{portal}{PORTAL_PATH}",
        launch_code=launch_code if launch_offer else None,
    )
    with stripe_client(context, unchanged="What is shown as done is done; a second run continues.") as client:
        found = differences(read_account(client), parts)
        if not as_json:
            _show(found)
        for note in found.notes:
            say(note)
        if found.conflicts:
            raise refuse("\n".join([*found.conflicts, "Nothing was changed."]))
        secret = None
        if found.changes and not dry_run:
            _refuse_to_lose_secret(found, as_json=as_json)
            confirm(f"Make {len(found.changes)} changes at Stripe ({context.target.environment})?", yes=yes)
            secret = apply(client, found.changes, lambda change: say(f"done: {_title(change)}"))
    if as_json:
        changes = [_as_data(change) for change in found.changes]
        applied = bool(changes) and not dry_run
        print_json({"changes": changes, "applied": applied, "webhook_secret": secret, "notes": [*found.notes]})
    elif secret is not None:
        results.print(f"Signing secret of the new webhook endpoint, told only now: {secret}")
        results.print(
            f"Put it first in {SECRETS} of the web process, with a comma before the old one if there is one, and"
            " restart it; until then Stripe keeps its events and sends them again for three days.",
            soft_wrap=True,
        )
    if dry_run and found.changes:
        raise typer.Exit(1)


def _show(found: Differences) -> None:
    if not found.changes:
        say("Stripe has all that it should have: nothing to change.")
        return
    table = Table("what", "now", "wanted")
    for change in found.changes:
        data = _as_data(change)
        now = data["now"]
        table.add_row(change.part, Text("-" if now is None else _lines(now)), Text(_lines(data["wanted"])))
    results.print(table)


def _as_data(change: Change) -> dict[str, Any]:
    """Return one difference for people and programs, parts that are still to be made by their names."""
    wanted_values = {name: _plain(value) for name, value in change.params.items() if name != "transfer_lookup_key"}
    if change.now is None:
        wanted_values.pop("metadata", None)
    return {"what": change.part, "id": change.key, "now": change.now, "wanted": wanted_values}


def _plain(value: Any) -> Any:  # noqa: ANN401 - any tree of parameters
    if isinstance(value, Ref):
        return f"<{value.part}>"
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value


def _lines(values: dict[str, Any]) -> str:
    return "\n".join(f"{name}: {_short(value)}" for name, value in values.items())


def _short(value: Any) -> str:  # noqa: ANN401 - any tree of parameters
    if isinstance(value, dict):
        return ", ".join(f"{name} {_short(each)}" for name, each in value.items())
    if isinstance(value, list):
        return ", ".join(_short(each) for each in value)
    if value is None:
        return "-"
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _title(change: Change) -> str:
    return f"{change.part} {'made' if change.key is None else 'changed'}"


def _refuse_to_lose_secret(found: Differences, *, as_json: bool) -> None:
    if any(change.makes_endpoint for change in found.changes) and not (as_json or sys.stdout.isatty()):
        raise refuse(
            "The webhook endpoint's signing secret is told once, and nobody would see it here. Nothing was changed."
            " Fix: run this in a terminal, or with --json into a file that only you can read."
        )
