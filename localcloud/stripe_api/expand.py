"""Puts objects in the place of their ids where a request asks for it: ``expand[]=latest_invoice.payments``."""

from __future__ import annotations

from typing import Any

from localcloud.store import Thing
from localcloud.stripe_api.account import Account
from localcloud.stripe_api.errors import invalid
from localcloud.stripe_api.events import view
from localcloud.stripe_api.listing import whole

DEEPEST = 4
KINDS = {
    "charge": "charge",
    "configuration": "billing_portal.configuration",
    "coupon": "coupon",
    "customer": "customer",
    "default_payment_method": "payment_method",
    "default_price": "price",
    "discounts": "discount",
    "invoice": "invoice",
    "latest_charge": "charge",
    "latest_invoice": "invoice",
    "payment_intent": "payment_intent",
    "payment_method": "payment_method",
    "product": "product",
    "promotion_code": "promotion_code",
    "subscription": "subscription",
}
"""Kind of object by the name of the field that holds its id."""


def expanded(account: Account, thing: Thing, paths: list[str]) -> Thing:
    """Return an object as the API shows it, with what was asked for in the place of ids.

    Raises:
        ApiError: a path can't be expanded or is too deep.
    """
    shown: Thing = {"": _shown(thing)}
    for path in paths:
        steps = path.split(".")
        if len([step for step in steps if step != "data"]) > DEEPEST:
            raise invalid(f"You cannot expand more than {DEEPEST} levels of a property.", "expand")
        _expand(account, shown[""], steps, path)
    result: Thing = _bare(shown[""])
    return result


def _shown(thing: Thing) -> Thing:
    """Return a view that still remembers the object it is of, for fields that are there on demand only."""
    if thing["object"] == "list":
        return {**thing, "data": [_shown(each) for each in thing["data"]]}
    return {**view(thing), "_of": thing}


def _bare(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    return view(value)


def _expand(account: Account, holder: Any, steps: list[str], path: str) -> None:  # noqa: ANN401 - any JSON value
    if isinstance(holder, list):
        for each in holder:
            _expand(account, each, steps, path)
        return
    if not steps or holder is None:
        return
    name, rest = steps[0], steps[1:]
    if not isinstance(holder, dict):
        raise _refused(path)
    if name not in holder:
        holder[name] = _on_demand(account, holder, name, path)
    else:
        holder[name] = _fetched(account, holder[name], name, path)
    _expand(account, holder[name], rest, path)


def _fetched(account: Account, value: Any, name: str, path: str) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, list) and all(isinstance(each, str) for each in value) and name in KINDS:
        return [_fetched(account, each, name, path) for each in value]
    if not isinstance(value, str):
        return value
    if name not in KINDS:
        raise _refused(path)
    found = account.find(KINDS[name], value)
    return value if found is None else _shown(found)


def _on_demand(account: Account, holder: Thing, name: str, path: str) -> Thing:
    thing: Thing = holder.get("_of") or {}
    if holder.get("object") == "customer" and name == "subscriptions":
        subscriptions = [
            each
            for each in reversed(account.all("subscription"))
            if each["customer"] == holder["id"] and each["status"] != "canceled"
        ]
        return whole([_shown(each) for each in subscriptions], f"/v1/customers/{holder['id']}/subscriptions")
    if f"_{name}" not in thing:
        raise _refused(path)
    kept: Thing = thing[f"_{name}"]
    return kept


def _refused(path: str) -> Exception:
    return invalid(f"This property cannot be expanded ({path}).", "expand")
