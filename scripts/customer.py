"""``hosting customer``: each command is a registry edit, its commit, an update of the one cell, and a look."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from getpass import getuser
from typing import Annotated

import typer
from rich.table import Table

from registry import edits
from registry.customers import QUARANTINE_DAYS, RUNNING, Customer, Registry, Status
from registry.ids import new_customer_id
from registry.lifecycle import GRACE_DAYS
from registry.placement import place
from registry.plans import PLANS
from registry.store import Provenance
from scripts.context import Context, today
from scripts.report import print_results
from scripts.terminal import confirm, context_of, print_json, refuse, results, say
from webhook.probe import HEALTHY_WITHIN_SECONDS

customer = typer.Typer(no_args_is_help=True, help="Add, change, list and remove customers.")

Id = Annotated[str, typer.Argument(help="Customer id or subdomain.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print data for programs.")]
NoUp = Annotated[bool, typer.Option("--no-up", help="Edit and commit only; `hosting up` applies it later.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@customer.command("list")
def list_customers(command: typer.Context, *, as_json: AsJson = False) -> None:
    """Show all customers."""
    context = context_of(command)
    registry = context.store().read()
    rows = [_as_data(context, key, entry) for key, entry in registry.customers.items()]
    if as_json:
        print_json(rows)
        return
    table = Table("id", "subdomain", "plan", "status", "cell", "url")
    for row in rows:
        table.add_row(*row.values())
    results.print(table)


@customer.command()
def show(command: typer.Context, who: Id, *, as_json: AsJson = False) -> None:
    """Show one customer, and whether the instance answers."""
    context = context_of(command)
    customer_id, entry = _find(context.store().read(), who)
    answer = context.probe().ask(context.settings.url_of(entry))
    data = {
        **_as_data(context, customer_id, entry),
        **entry.model_dump(mode="json", exclude_none=True),
        "answers": answer.detail,
    }
    if as_json:
        print_json(data)
        return
    table = Table(show_header=False)
    for name, value in data.items():
        table.add_row(name, str(value))
    results.print(table)


@customer.command()
def add(
    command: typer.Context,
    subdomain: Annotated[str, typer.Argument(help="First label of the address: 3-40 of a-z, 0-9, inner hyphens.")],
    plan: Annotated[str, typer.Option(help=f"One of {', '.join(PLANS)}.")] = "personal",
    region: Annotated[str | None, typer.Option(help="eu, us or asia; by default wherever there is room.")] = None,
    domain: Annotated[str | None, typer.Option(help="Host name of the customer's own (plan pro).")] = None,
    *,
    no_up: NoUp = False,
) -> None:
    """Add a customer: the cell is chosen by room and region."""
    context = context_of(command)
    if plan not in PLANS:
        raise typer.BadParameter(f"one of {', '.join(PLANS)}", param_hint="--plan")
    customer_id = new_customer_id()

    def operation(text: str, registry: Registry) -> str:
        cell = place(plan=plan, region=region, registry=registry, cells=context.settings.cells)
        values = {"subdomain": subdomain, "plan": plan, "status": "active", "cell": cell, "domain": domain}
        entry = Customer.model_validate({**values, "region": region})
        return edits.add(text, customer_id, entry)

    _apply(context, customer_id, f"Add {customer_id} ({subdomain}, {plan})", operation, update=not no_up)


@customer.command("plan")
def change_plan(
    command: typer.Context,
    who: Id,
    plan: Annotated[str, typer.Argument(help=f"One of {', '.join(PLANS)}.")],
    *,
    no_up: NoUp = False,
) -> None:
    """Change the plan; the data stays, the container is exchanged once the new one is healthy."""
    if plan not in PLANS:
        raise typer.BadParameter(f"one of {', '.join(PLANS)}", param_hint="PLAN")
    _change(command, who, f"to plan {plan}", {"plan": plan}, update=not no_up)


@customer.command()
def suspend(command: typer.Context, who: Id, *, no_up: NoUp = False) -> None:
    """Stop the instance; data and address are kept."""
    _change(command, who, "suspended", {"status": "suspended"}, update=not no_up)


@customer.command()
def resume(command: typer.Context, who: Id, *, no_up: NoUp = False) -> None:
    """Bring a suspended customer back, or one in its grace period."""
    context = context_of(command)
    _, entry = _find(context.store().read(), who)
    if entry.status is Status.PURGING:
        raise refuse(f"{who} is being purged: its volume may be gone already. Restore from a backup instead.")
    _change(command, who, "resumed", {"status": "active", "delete_after": None}, update=not no_up)


@customer.command()
def remove(command: typer.Context, who: Id, *, yes: Yes = False, no_up: NoUp = False) -> None:
    """Begin the grace period: the instance stops, the data is kept until it is purged. `resume` undoes it."""
    last_day = today() + timedelta(days=GRACE_DAYS)
    confirm(f"{who} stops answering now; its data may be purged after {last_day}. Remove it?", yes=yes)
    _change(command, who, "removed", {"status": "deleting", "delete_after": last_day}, update=not no_up)


@customer.command()
def purge(
    command: typer.Context,
    who: Id,
    *,
    subdomain: Annotated[
        str | None, typer.Option("--confirm", help="The subdomain once more: after this the data is gone for good.")
    ] = None,
    before_time: Annotated[bool, typer.Option("--before-grace-ends", help="Do not wait for the grace period.")] = False,
) -> None:
    """Delete a removed customer's data for good, then its entry; its name goes into quarantine."""
    context = context_of(command)
    customer_id, entry = _find(context.store().read(), who)
    if entry.status not in {Status.DELETING, Status.PURGING}:
        raise refuse(f"{who} is {entry.status}. Fix: `hosting customer remove {who}` first.")
    if entry.delete_after is not None and entry.delete_after >= today() and not before_time:
        raise refuse(f"The grace period of {who} ends on {entry.delete_after}. Fix: wait, or --before-grace-ends.")
    if subdomain != entry.subdomain:
        raise refuse(f"The data of {who} would be gone for good. Fix: say --confirm {entry.subdomain}")
    until = today() + timedelta(days=QUARANTINE_DAYS)
    steps: tuple[tuple[str, Callable[[str, Registry], str]], ...] = (
        ("Unprotect the data of", lambda text, _: edits.update(text, customer_id, status="purging")),
        ("Forget", lambda text, _: edits.remove(text, customer_id, quarantine_until=until)),
    )
    for verb, operation in steps:
        _apply(context, customer_id, f"{verb} {customer_id}", operation, update=True)


def _change(command: typer.Context, who: str, what: str, changes: dict[str, object], *, update: bool) -> None:
    context = context_of(command)
    customer_id, _ = _find(context.store().read(), who)
    _apply(
        context,
        customer_id,
        f"{customer_id} {what}",
        lambda text, _: edits.update(text, customer_id, **changes),
        update=update,
    )


def _apply(
    context: Context, customer_id: str, summary: str, operation: Callable[[str, Registry], str], *, update: bool
) -> None:
    """Edit, commit, update the one cell, look whether it answers."""
    store = context.store()
    before = store.read().customers.get(customer_id)
    commit = store.edit(operation, Provenance(summary=summary, customer_id=customer_id, actor=getuser()))
    after = store.read().customers.get(customer_id)
    say(f"{context.registry_file}: {f'commit {commit[:10]}' if commit else 'nothing to change'}")
    entry = after or before
    if not update or entry is None:
        return
    results = context.deployer(say).up([entry.cell], platform=False)
    print_results(results)
    if any(result.error is not None for result in results):
        raise refuse("The registry is changed, the cell is not. Fix the reason, then `hosting up` applies it.")
    if after is not None and after.status in RUNNING:
        _wait(context, after)


def _wait(context: Context, entry: Customer) -> None:
    url = context.settings.url_of(entry)
    answer = context.probe().wait(url, seconds=HEALTHY_WITHIN_SECONDS)
    if not answer.healthy:
        raise refuse(f"{url} does not answer within {HEALTHY_WITHIN_SECONDS:.0f} s: {answer.detail}")
    say(f"{url} is healthy")


def _find(registry: Registry, who: str) -> tuple[str, Customer]:
    for customer_id, entry in registry.customers.items():
        if who in {customer_id, entry.subdomain}:
            return customer_id, entry
    raise refuse(f"There is no customer {who}. `hosting customer list` shows all.")


def _as_data(context: Context, customer_id: str, entry: Customer) -> dict[str, str]:
    return {
        "id": customer_id,
        "subdomain": entry.subdomain,
        "plan": entry.plan,
        "status": str(entry.status),
        "cell": entry.cell,
        "url": context.settings.url_of(entry),
    }
