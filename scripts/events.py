"""``hosting events``: what was done with Stripe's events, and what could not be done."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table
from sqlalchemy.orm import Session

from scripts.terminal import context_of, print_json, refuse, results, say
from webhook.database.events import EventState, events_in_state, retry_event

events = typer.Typer(no_args_is_help=True, help="Stripe's events: what was done with them.")

AsJson = Annotated[bool, typer.Option("--json", help="Print data for programs.")]


@events.command("list")
def list_events(
    command: typer.Context,
    state: Annotated[EventState, typer.Option(help="Which ones.")] = EventState.PARKED,
    *,
    as_json: AsJson = False,
) -> None:
    """Show events in a state; parked ones wait for a person."""
    with Session(context_of(command).database()) as session:
        rows = [
            {"id": each.id, "type": each.type, "attempts": each.attempts, "reason": each.reason or ""}
            for each in events_in_state(session, state)
        ]
    if as_json:
        print_json(rows)
        return
    table = Table("id", "type", "attempts", "reason")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    results.print(table if rows else f"No event is {state}.")


@events.command()
def retry(command: typer.Context, event_id: Annotated[str, typer.Argument(help="Stripe's id, evt_...")]) -> None:
    """Let a parked event be applied again; the worker takes it up within a second."""
    with Session(context_of(command).database()) as session, session.begin():
        done = retry_event(session, event_id, now=datetime.now(tz=UTC))
    if not done:
        raise refuse(f"{event_id} is not parked. `hosting events list` shows those that are.")
    say(f"{event_id} is received again")
