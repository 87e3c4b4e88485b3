"""Older shapes of objects, for endpoints that are pinned to an API version before 2025-03-31."""

from __future__ import annotations

from localcloud.store import Thing

BASIL = "2025-03-31"
"""Moved the periods to the items and the invoice's subscription to its parent."""


def shaped(event: Thing, version: str | None) -> Thing:
    """Return an event as an endpoint with this API version gets it."""
    if version is None or version >= BASIL:
        return {**event, "api_version": version or event["api_version"]}
    thing = event["data"]["object"]
    return {**event, "api_version": version, "data": {**event["data"], "object": _old(thing)}}


def _old(thing: Thing) -> Thing:
    if thing["object"] == "subscription":
        items = thing["items"]["data"]
        periods = {name: items[0][name] for name in ("current_period_start", "current_period_end")}
        bare = [{name: value for name, value in item.items() if name not in periods} for item in items]
        return {**thing, **periods, "items": {**thing["items"], "data": bare}}
    if thing["object"] == "invoice":
        details = (thing.get("parent") or {}).get("subscription_details") or {}
        rest = {name: value for name, value in thing.items() if name != "parent"}
        return {**rest, "subscription": details.get("subscription"), "paid": thing["status"] == "paid"}
    return thing
