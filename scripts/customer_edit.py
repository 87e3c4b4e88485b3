"""What the commands on one customer have in common: find, tell Stripe, edit, commit, update the one cell, look."""

from __future__ import annotations

from collections.abc import Callable
from getpass import getuser
from typing import TYPE_CHECKING

from registry import edits
from registry.customers import RUNNING, Customer, Registry
from registry.load import parse, parse_edit, read_text
from registry.store import Provenance
from scripts.context import Context, today
from scripts.report import print_results
from scripts.stripe_access import API_KEY, has_key, stripe_client
from scripts.terminal import refuse, say
from webhook.probe import HEALTHY_WITHIN_SECONDS
from webhook.stripe_orders import Order, OrderRefusedError, give, look, refuse_others
from webhook.subscriptions import Account

if TYPE_CHECKING:
    from stripe import StripeClient

Operation = Callable[[str, Registry], str]
MakeOrder = Callable[["StripeClient", Account], Order]
Ask = Callable[[str], None]
"""Is told what happens to the money, asks, and raises where the answer is no."""


def find_customer(registry: Registry, who: str) -> tuple[str, Customer]:
    """Return a customer's id and entry.

    Raises:
        typer.Exit: there is none of that id or subdomain, or it is one's id and another one's subdomain.
    """
    found = [(key, entry) for key, entry in registry.customers.items() if who in {key, entry.subdomain}]
    if not found:
        raise refuse(f"There is no customer {who}. `hosting customer list` shows all.")
    if len(found) > 1:
        names = " or ".join(entry.subdomain if who == key else key for key, entry in found)
        raise refuse(f"{who} is one customer's id and another one's subdomain. Nothing was changed. Fix: say {names}.")
    return found[0]


def change_customer(
    context: Context,
    who: str,
    what: str,
    changes: dict[str, object],
    *,
    order: MakeOrder,
    registry_only: bool,
    update: bool,
    ask: Ask = lambda _: None,
) -> None:
    """Tell Stripe first, then change the entry's fields: the money is the truth that the registry follows.

    Args:
        context: The environment.
        who: Customer id or subdomain.
        what: For the commit's message.
        changes: Fields of the entry.
        order: Makes what Stripe is told.
        registry_only: Leave Stripe alone.
        update: Whether the cell is updated.
        ask: Asks before anything is done.

    Raises:
        typer.Exit: something refuses; what was done is said.
        RegistryError: the registry refuses the change; Stripe was told nothing.
    """
    customer_id, entry = find_customer(context.store().read(), who)

    def operation(text: str, _: Registry) -> str:
        return edits.update(text, customer_id, **changes)

    _rehearse(context, customer_id, operation)
    if entry.stripe_subscription is None or registry_only:
        if entry.stripe_subscription is not None:
            say(f"Stripe is not told: the next look at {entry.stripe_subscription} undoes this if it says otherwise.")
        ask("")
    else:
        _tell_stripe(context, customer_id, entry, entry.stripe_subscription, order, ask)
    apply_edit(context, customer_id, f"{customer_id} {what}", operation, update=update)


def apply_edit(context: Context, customer_id: str, summary: str, operation: Operation, *, update: bool) -> None:
    """Edit, commit, update the one cell, look whether it answers.

    Raises:
        typer.Exit: the cell's update failed, or the instance does not answer.
        RegistryError: the registry refuses; nothing is written.
    """
    store = context.store()
    before = store.read().customers.get(customer_id)
    commit = store.edit(operation, Provenance(summary=summary, customer_id=customer_id, actor=getuser()))
    after = store.read().customers.get(customer_id)
    say(f"{context.registry_file}: {f'commit {commit[:10]}' if commit else 'nothing to change'}")
    entry = after or before
    if not update or entry is None:
        return
    results = context.deployer(say).up([entry.cell], platform=False, commit=commit or store.committed())
    print_results(results)
    if any(result.error is not None for result in results):
        raise refuse("The registry is changed, the cell is not. Fix the reason, then `hosting up` applies it.")
    if after is not None and after.status in RUNNING:
        _wait(context, after)


def _rehearse(context: Context, customer_id: str, operation: Operation) -> None:
    """Let the registry refuse before any money is touched.

    Raises:
        RegistryError: it would refuse the edit.
    """
    text, registry = read_text(context.registry_file), context.store().read()
    edited = operation(text, registry)
    cells, domain = context.settings.cells, context.settings.domain
    if parse_edit((text, registry), edited, customer_id, cells=cells, domain=domain, today=today()) is None:
        parse(edited, cells=cells, domain=domain, today=today())


def _tell_stripe(
    context: Context, customer_id: str, entry: Customer, subscription: str, make: MakeOrder, ask: Ask
) -> None:
    if not has_key(context):
        raise refuse(
            f"{customer_id} pays by {subscription}, and without {API_KEY} Stripe can't be told. Nothing was changed."
            " Fix: export the key; or --registry-only, which the next look at Stripe undoes."
        )
    with stripe_client(context, unchanged="Nothing was changed.") as client:
        account = look(client, subscription)
        if account is None:
            say(f"Stripe knows no {subscription}: only the registry is changed.")
            ask("")
            return
        try:
            refuse_others(account, customer_id, entry)
            order = make(client, account)
        except OrderRefusedError as refusal:
            raise refuse(f"{refusal} Nothing was changed.") from None
    ask(order.says)
    uncertain = "The registry is unchanged; whether Stripe has done it is not certain, and the same command is safe."
    with stripe_client(context, unchanged=uncertain) as client:
        give(client, order)
    say(order.says)


def _wait(context: Context, entry: Customer) -> None:
    url = context.settings.url_of(entry)
    answer = context.probe().wait(url, seconds=HEALTHY_WITHIN_SECONDS)
    if not answer.healthy:
        raise refuse(f"{url} does not answer within {HEALTHY_WITHIN_SECONDS:.0f} s: {answer.detail}")
    say(f"{url} is healthy")
