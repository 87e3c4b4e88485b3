"""Filters, sorts and pages a list as every list endpoint does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from localcloud.hetzner.errors import invalid
from localcloud.hetzner.labels import selector
from localcloud.store import Thing

Query = Mapping[str, Sequence[str]]

PER_PAGE = 25
MOST_PER_PAGE = 50


def choose(things: Sequence[Thing], query: Query, *filters: str) -> list[Thing]:
    """Return the things that the query wants: by label selector, by the filters named, in its order."""
    chosen = list(things)
    for name in filters:
        if wanted := [value for value in query.get(name, ()) if value]:
            chosen = [thing for thing in chosen if str(thing.get(name)) in wanted]
    for text in query.get("label_selector", ()):
        wants = selector(text)
        chosen = [thing for thing in chosen if wants(thing.get("labels") or {})]
    for order in reversed(query.get("sort", ())):
        name, _, direction = order.partition(":")
        chosen.sort(key=lambda thing, name=name: _sortable(thing.get(name)), reverse=direction == "desc")
    return chosen


def page(plural: str, things: Sequence[Any], query: Query) -> dict[str, Any]:
    """Return one page of things and where it is among all."""
    number = _whole(query, "page", 1)
    size = min(_whole(query, "per_page", PER_PAGE), MOST_PER_PAGE)
    last = max(1, -(-len(things) // size))
    return {
        plural: list(things[(number - 1) * size : number * size]),
        "meta": {
            "pagination": {
                "page": number,
                "per_page": size,
                "previous_page": number - 1 if number > 1 else None,
                "next_page": number + 1 if number < last else None,
                "last_page": last,
                "total_entries": len(things),
            }
        },
    }


def _whole(query: Query, name: str, default: int) -> int:
    text = next(iter(query.get(name, ())), "")
    if not text:
        return default
    if not text.isdecimal() or int(text) < 1:
        raise invalid({name: ["Must be greater than or equal to 1."]})
    return int(text)


def _sortable(value: object) -> tuple[bool, object]:
    return (value is not None, value)
