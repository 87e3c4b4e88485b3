"""From a wish to the file's text: where a newcomer goes, what does not fit, and the edit of the one entry."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from registry import edits
from registry.cells import Cell
from registry.customers import CUSTOMER_ID, Customer, Registry, Status
from registry.errors import PlacementError
from registry.load import over_full
from registry.names import subdomain_problem
from registry.placement import place
from registry.wishes import Alert, AlertKind, MailKind, Subscription, Wish

_ID = re.compile(CUSTOMER_ID)
_FROM: Mapping[Status | None, frozenset[Status | None]] = {
    None: frozenset({None, Status.PURGING}),
    Status.PENDING: frozenset({None, Status.PENDING}),
    Status.ACTIVE: frozenset({Status.PENDING, Status.ACTIVE, Status.SUSPENDED, Status.DELETING}),
    Status.SUSPENDED: frozenset({None, Status.PENDING, Status.ACTIVE, Status.SUSPENDED, Status.DELETING}),
    Status.DELETING: frozenset({Status.PENDING, Status.ACTIVE, Status.SUSPENDED, Status.DELETING}),
    Status.PURGING: frozenset({Status.DELETING, Status.PURGING}),
}
"""Wished-for status to those from which it is reached. Data goes only by way of deleting, then purging."""


class EntryChanged(Exception):  # noqa: N818 - not an error: the wish is out of date
    """The entry is not the one that the wish was made of; make the wish again."""


def linked(subscription: Subscription, registry: Registry) -> Subscription:
    """Return the subscription with our customer id, also where only the entry's ``stripe_subscription`` tells it."""
    if subscription.customer_id is not None:
        return subscription
    for customer_id, entry in registry.customers.items():
        if entry.stripe_subscription == subscription.id:
            return replace(subscription, customer_id=customer_id)
    return subscription


def fitted(wish: Wish, entry: Customer | None, registry: Registry, cells: Mapping[str, Cell]) -> Wish:
    """Return the wish as far as it can be fulfilled, with an alert for what can't.

    A newcomer without a place or name stays absent; an upgrade without room waits, while all else is done.
    """
    if wish.customer_id is None or wish.status is None:
        return wish
    refusal = (_malformed(wish) if entry is None else None) or _clash(wish, registry)
    if refusal is not None:
        return _refused(wish, entry, refusal)
    if entry is None:
        return _placed(wish, registry, cells)
    changed = apply(wish, entry)
    if changed is None or changed.plan == entry.plan:
        return wish
    after = Registry(customers={**registry.customers, wish.customer_id: changed}, quarantine=registry.quarantine)
    full = next((each for each in over_full(after, cells) if each.path == f"cells/{entry.cell}"), None)
    if full is None:
        return wish
    text = (
        f"{wish.customer_id} pays for {wish.plan} but keeps {entry.plan}: {full.reason} on {entry.cell}."
        f" Fix: `hosting customer move {wish.customer_id}` to a cell with room; then it follows by itself."
    )
    alert = Alert(kind=AlertKind.NO_CAPACITY, cause=f"no-capacity:{wish.stripe_subscription}:{wish.plan}", text=text)
    return replace(
        wish,
        plan=entry.plan,
        domain=entry.domain,
        reason=f"{wish.reason}; held, as {entry.cell} is full",
        mails=tuple(mail for mail in wish.mails if mail.kind is not MailKind.PLAN_CHANGED),
        alerts=(*wish.alerts, alert),
    )


def edit_for(wish: Wish, entry: Customer | None, text: str, registry: Registry, cells: Mapping[str, Cell]) -> str:
    """Return the file's text with the wish fulfilled as far as ``fitted`` says; the same text where nothing changes.

    Args:
        wish: Made of ``entry``.
        entry: The customer's entry; None where there is none.
        text: Of ``customers.yaml``.
        registry: The same, read.
        cells: The environment's cells.

    Raises:
        EntryChanged: the registry has another entry than the wish was made of.
        ValueError: the wish skips a step on the way to deletion, which ``lifecycle.wish`` never does.
    """
    if wish.customer_id is None:
        return text
    if registry.customers.get(wish.customer_id) != entry:
        msg = f"customers/{wish.customer_id} was changed meanwhile. Fix: make the wish again."
        raise EntryChanged(msg)
    wish = fitted(wish, entry, registry, cells)
    if entry is None:
        if wish.status is None or wish.plan is None:
            return text
        cell = place(plan=wish.plan, region=wish.region, registry=registry, cells=cells)
        newcomer = apply(wish, None, cell=cell)
        return text if newcomer is None else edits.add(text, str(wish.customer_id), newcomer)
    changed = apply(wish, entry)
    if changed is None:
        return edits.remove(text, str(wish.customer_id), quarantine_until=wish.quarantine_until or wish.day)
    before, after = entry.model_dump(), changed.model_dump()
    fields = {name: value for name, value in after.items() if value != before[name]}
    return edits.update(text, str(wish.customer_id), **fields) if fields else text


def apply(wish: Wish, entry: Customer | None, *, cell: str | None = None) -> Customer | None:
    """Return the entry as the wish wants it; None for none.

    Args:
        wish: What shall be.
        entry: What is.
        cell: Where a newcomer goes.

    Raises:
        ValueError: the wish skips a step, or a newcomer has no cell or a field that the registry refuses.
    """
    before = None if entry is None else entry.status
    if before not in _FROM[wish.status]:
        msg = f"{wish.customer_id} can't go from {before} to {wish.status}: data leaves by deleting, then purging"
        raise ValueError(msg)
    if wish.status is None:
        return None
    fields: dict[str, Any] = {} if entry is None else entry.model_dump()
    if entry is None:
        if cell is None:
            msg = f"{wish.customer_id} is new and needs a cell"
            raise ValueError(msg)
        fields = {"cell": cell, "subdomain": wish.subdomain, "region": wish.region}
    fields |= {
        "status": wish.status,
        "plan": wish.plan,
        "domain": wish.domain,
        "delete_after": wish.delete_after,
        "stripe_customer": wish.stripe_customer,
        "stripe_subscription": wish.stripe_subscription,
    }
    return Customer.model_validate(fields)


def _malformed(wish: Wish) -> Alert | None:
    """Return the alert for a newcomer whose metadata the registry would refuse."""
    try:
        apply(wish, None, cell="")
        sound = _ID.fullmatch(str(wish.customer_id)) is not None
    except ValidationError:
        sound = False
    if sound:
        return None
    text = (
        f"{wish.stripe_subscription} has paid but has no instance: its metadata is malformed"
        f" (customer_id `{wish.customer_id}`, subdomain `{wish.subdomain}`, region `{wish.region}`)."
        " Fix: correct it in Stripe."
    )
    return Alert(kind=AlertKind.MISSING_METADATA, cause=f"malformed-metadata:{wish.stripe_subscription}", text=text)


def _clash(wish: Wish, registry: Registry) -> Alert | None:
    """Return the alert for a link to Stripe that another entry has already."""
    for key, other in registry.customers.items():
        if key == wish.customer_id:
            continue
        same = [
            name
            for name, value in (
                ("stripe_customer", wish.stripe_customer),
                ("stripe_subscription", wish.stripe_subscription),
            )
            if value is not None and getattr(other, name) == value
        ]
        if same:
            text = (
                f"{wish.customer_id} and {key} would share {' and '.join(same)}; one Stripe customer has one instance."
                f" Fix: correct the metadata of {wish.stripe_subscription} in Stripe, or refund and cancel it."
            )
            return Alert(kind=AlertKind.MIXED_UP, cause=f"mixed-up:{wish.stripe_subscription}:{key}", text=text)
    return None


def _placed(wish: Wish, registry: Registry, cells: Mapping[str, Cell]) -> Wish:
    """Return a newcomer's wish if there is a name and a place for it."""
    name = wish.subdomain or ""
    taken = next((key for key, other in registry.customers.items() if other.subdomain == name), None)
    until = registry.quarantine.get(name)
    problem = subdomain_problem(name)
    if taken is not None:
        problem = f"`{name}` belongs to {taken}"
    elif until is not None and until >= wish.day:
        problem = f"`{name}` is in quarantine until {until}"
    if problem is not None:
        text = (
            f"{wish.customer_id} has paid but has no instance: {problem}."
            f" Fix: agree on another name with the customer and set it as metadata `subdomain` of"
            f" {wish.stripe_subscription} in Stripe."
        )
        cause = f"name-taken:{wish.stripe_subscription}:{name}"
        return _refused(wish, None, Alert(kind=AlertKind.NAME_TAKEN, cause=cause, text=text))
    try:
        place(plan=wish.plan or "", region=wish.region, registry=registry, cells=cells)
    except PlacementError as error:
        text = f"{wish.customer_id} has paid but has no instance. {error}"
        cause = f"no-capacity:{wish.stripe_subscription}:{wish.plan}"
        return _refused(wish, None, Alert(kind=AlertKind.NO_CAPACITY, cause=cause, text=text))
    return wish


def _refused(wish: Wish, entry: Customer | None, alert: Alert) -> Wish:
    """Return the wish that all stay as it is, and a person look."""
    return Wish(
        customer_id=wish.customer_id,
        day=wish.day,
        status=None if entry is None else entry.status,
        plan=None if entry is None else entry.plan,
        domain=None if entry is None else entry.domain,
        delete_after=None if entry is None else entry.delete_after,
        stripe_customer=None if entry is None else entry.stripe_customer,
        stripe_subscription=None if entry is None else entry.stripe_subscription,
        subdomain=None if entry is None else entry.subdomain,
        region=None if entry is None else entry.region,
        reason=alert.text,
        alerts=(*wish.alerts, alert),
    )
