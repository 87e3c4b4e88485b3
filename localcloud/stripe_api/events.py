"""Events: one for every change, as the object then was, and who is to be told."""

from __future__ import annotations

import math
import random
from contextvars import ContextVar
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from localcloud.store import Thing
from localcloud.stripe_api.errors import API_VERSION

if TYPE_CHECKING:
    from localcloud.stripe_api.account import Account

REQUEST: ContextVar[Thing] = ContextVar("REQUEST")
"""What events say about the request that caused them."""
NOBODY: Thing = {"id": None, "idempotency_key": None}
"""The same of events that time brought, or a hosted page."""


def view(thing: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return an object as the API shows it: names with an underscore are ours alone."""
    if isinstance(thing, dict):
        shown = {name: value for name, value in thing.items() if not name.startswith("_")}
        return {name: value if name == "metadata" else view(value) for name, value in shown.items()}
    if isinstance(thing, list):
        return [view(each) for each in thing]
    return thing


def difference(before: Thing, after: Thing) -> Thing:
    """Return what changed, as it was before: nested objects in part, lists as a whole."""
    changed: Thing = {}
    for name in before.keys() | after.keys():
        old, new = before.get(name), after.get(name)
        if name.startswith("_") or old == new:
            continue
        if name == "metadata":
            changed[name] = _metadata_before(old or {}, new or {})
        elif isinstance(old, dict) and isinstance(new, dict):
            inner = difference(old, new)
            if inner:
                changed[name] = inner
        elif view(old) != view(new):
            changed[name] = view(old)
    return changed


def _metadata_before(old: Thing, new: Thing) -> Thing:
    """Return the keys that changed; those that are new were None."""
    return {key: old.get(key) for key in old.keys() | new.keys() if old.get(key) != new.get(key)}


def emit(account: Account, kind: str, thing: Thing, previous: Thing | None = None) -> None:
    """Record an event and have it delivered to each endpoint that wants it, or as the knobs say."""
    data: Thing = {"object": view(thing)}
    if previous is not None:
        data["previous_attributes"] = previous
    event = account.new(
        "event", "evt_1", api_version=API_VERSION, data=data, pending_webhooks=0, request=REQUEST.get(NOBODY), type=kind
    )
    copies = _taken(account, "duplicate", kind)
    _deliver(account, event, 2 if copies and not copies.get("new_id") else 1)
    if copies and copies.get("new_id"):
        _deliver(account, {**event, "id": account.new_id("evt_1")}, 1)


def _deliver(account: Account, event: Thing, copies: int) -> None:
    endpoints = [each for each in account.all("webhook_endpoint") if wants(each, event["type"])]
    event["pending_webhooks"] = len(endpoints)
    account.add(event)
    for endpoint in endpoints:
        lost = _taken(account, "lose", event["type"])
        for _ in range(copies):
            if lost:
                told = {"event": event["id"], "type": event["type"], "endpoint": endpoint["id"]}
                log(account, {**told, "attempts": 0, "outcome": "lost", "status": None})
            else:
                put(account, event, endpoint)


def wants(endpoint: Thing, kind: str) -> bool:
    """Return whether an endpoint is to be told of a type of event."""
    wanted = endpoint["enabled_events"]
    return endpoint["status"] == "enabled" and ("*" in wanted or kind in wanted)


def log(account: Account, attempt: Thing) -> None:
    """Keep what became of one attempt to deliver."""
    number = account.store.next_number("stripe/attempt")
    account.store.put("stripe/attempt", number, {**attempt, "id": number, "at": account.time()})


def put(account: Account, event: Thing, endpoint: Thing) -> None:
    """Have an event delivered to an endpoint: now, or late and out of order if that knob is set."""
    number = account.store.next_number("stripe/delivery")
    at, order = account.time(), float(number)
    reorder = _taken(account, "reorder", event["type"])
    if reorder:
        seconds = reorder["seconds"]
        at = (math.floor(at / seconds) + 1) * seconds
        order = -order if reorder["how"] == "reverse" else random.random() * number  # noqa: S311 - no secret
    delivery = {
        "id": number,
        "event": event["id"],
        "type": event["type"],
        "endpoint": endpoint["id"],
        "attempts": 0,
        "at": at,
        "order": order,
        "first": None,
    }
    account.store.put("stripe/delivery", number, delivery)


def _taken(account: Account, knob: str, kind: str) -> Thing | None:
    """Return a knob that is set for this type of event, using it up by one."""
    return account.count_down(knob) if fnmatchcase(kind, account.setting(knob).get("type", "*")) else None
