"""``hosting customer``: each command tells Stripe, edits the registry, commits, updates the one cell, and looks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from registry import edits
from registry.customers import QUARANTINE_DAYS, Customer, Registry, Status
from registry.ids import new_customer_id
from registry.lifecycle import GRACE_DAYS
from registry.placement import place
from registry.plans import PLANS
from scripts.context import Context, today
from scripts.customer_edit import MakeOrder, apply_edit, change_customer, find_customer
from scripts.terminal import confirm, context_of, print_json, refuse, results
from webhook import stripe_orders
from webhook.subscriptions import Account

if TYPE_CHECKING:
    from stripe import StripeClient

customer = typer.Typer(no_args_is_help=True, help="Add, change, list and remove customers.")

Id = Annotated[str, typer.Argument(help="Customer id or subdomain.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print data for programs.")]
NoUp = Annotated[bool, typer.Option("--no-up", help="Edit and commit only; `hosting up` applies it later.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
RegistryOnly = Annotated[
    bool, typer.Option("--registry-only", help="Do not tell Stripe; the next look at a paid subscription undoes it.")
]


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
    customer_id, entry = find_customer(context.store().read(), who)
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

    apply_edit(context, customer_id, f"Add {customer_id} ({subdomain}, {plan})", operation, update=not no_up)


@customer.command("plan")
def change_plan(
    command: typer.Context,
    who: Id,
    plan: Annotated[str, typer.Argument(help=f"One of {', '.join(PLANS)}.")],
    *,
    registry_only: RegistryOnly = False,
    no_up: NoUp = False,
) -> None:
    """Change the plan and its price; the data stays, the container is exchanged once the new one is healthy."""
    if plan not in PLANS:
        raise typer.BadParameter(f"one of {', '.join(PLANS)}", param_hint="PLAN")

    def order(client: StripeClient, account: Account) -> stripe_orders.Order:
        return stripe_orders.plan_change(client, account, plan)

    change_customer(
        context_of(command),
        who,
        f"to plan {plan}",
        {"plan": plan},
        order=order,
        registry_only=registry_only,
        update=not no_up,
    )


@customer.command()
def suspend(command: typer.Context, who: Id, *, registry_only: RegistryOnly = False, no_up: NoUp = False) -> None:
    """Stop the instance and pause the collection; data and address are kept."""
    change_customer(
        context_of(command),
        who,
        "suspended",
        {"status": "suspended"},
        order=_by(stripe_orders.suspension),
        registry_only=registry_only,
        update=not no_up,
    )


@customer.command()
def resume(command: typer.Context, who: Id, *, registry_only: RegistryOnly = False, no_up: NoUp = False) -> None:
    """Bring a suspended customer back and end the pause of the collection.

    Also one in its grace period, unless its subscription has ended: then only a new one does.
    """
    context = context_of(command)
    _, entry = find_customer(context.store().read(), who)
    if entry.status is Status.PURGING:
        raise refuse(f"{who} is being purged: its volume may be gone already. Restore from a backup instead.")
    change_customer(
        context,
        who,
        "resumed",
        {"status": "active", "delete_after": None},
        order=_by(stripe_orders.resumption),
        registry_only=registry_only,
        update=not no_up,
    )


@customer.command()
def remove(
    command: typer.Context, who: Id, *, yes: Yes = False, registry_only: RegistryOnly = False, no_up: NoUp = False
) -> None:
    """Cancel the subscription and begin the grace period: the instance stops, the data is kept until it is purged.

    A new subscription undoes it, or `resume` where there was none.
    """
    last_day = today() + timedelta(days=GRACE_DAYS)

    def ask(money: str) -> None:
        says = f"{who} stops answering now; its data may be purged after {last_day}."
        confirm(f"{says}{f' {money}' if money else ''} Remove it?", yes=yes)

    change_customer(
        context_of(command),
        who,
        "removed",
        {"status": "deleting", "delete_after": last_day},
        order=_by(stripe_orders.removal),
        registry_only=registry_only,
        update=not no_up,
        ask=ask,
    )


@customer.command()
def purge(
    command: typer.Context,
    who: Id,
    *,
    subdomain: Annotated[
        str | None, typer.Option("--confirm", help="The subdomain once more: after this the data is gone for good.")
    ] = None,
    before_time: Annotated[bool, typer.Option("--before-grace-ends", help="Do not wait for the grace period.")] = False,
    without_backup: Annotated[
        bool, typer.Option("--without-backup", help="Delete the data though it can't be backed up.")
    ] = False,
) -> None:
    """Back a removed customer's data up and delete it for good, then its entry; its name goes into quarantine."""
    context = context_of(command)
    customer_id, entry = find_customer(context.store().read(), who)
    if entry.status not in {Status.DELETING, Status.PURGING}:
        raise refuse(f"{who} is {entry.status}. Fix: `hosting customer remove {who}` first.")
    if entry.delete_after is not None and entry.delete_after >= today() and not before_time:
        raise refuse(f"The grace period of {who} ends on {entry.delete_after}. Fix: wait, or --before-grace-ends.")
    if subdomain != entry.subdomain:
        raise refuse(f"The data of {who} would be gone for good. Fix: say --confirm {entry.subdomain}")
    if entry.status is Status.DELETING and not without_backup:
        from scripts.final_backup import back_up_finally  # noqa: PLC0415 - S3's client takes a while to load

        back_up_finally(context, customer_id, entry)
    until = today() + timedelta(days=QUARANTINE_DAYS)
    steps: tuple[tuple[str, Callable[[str, Registry], str]], ...] = (
        ("Unprotect the data of", lambda text, _: edits.update(text, customer_id, status="purging")),
        ("Forget", lambda text, _: edits.remove(text, customer_id, quarantine_until=until)),
    )
    for verb, operation in steps:
        apply_edit(context, customer_id, f"{verb} {customer_id}", operation, update=True)


def _by(made: Callable[[Account], stripe_orders.Order]) -> MakeOrder:
    """Return what makes an order for which Stripe has not to be asked more."""
    return lambda _, account: made(account)


def _as_data(context: Context, customer_id: str, entry: Customer) -> dict[str, str]:
    return {
        "id": customer_id,
        "subdomain": entry.subdomain,
        "plan": entry.plan,
        "status": str(entry.status),
        "cell": entry.cell,
        "url": context.settings.url_of(entry),
    }
