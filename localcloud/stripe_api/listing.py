"""Pages a list as every list endpoint does: newest first, by cursor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from localcloud.store import Thing
from localcloud.stripe_api.errors import invalid, missing

MOST = 100


def page(things: Sequence[Thing], params: Thing, url: str) -> Thing:
    """Return one page of things that are sorted newest first.

    Raises:
        ApiError: the limit isn't 1 to 100, or the cursor isn't in the list.
    """
    limit = params.get("limit", 10)
    if not 1 <= limit <= MOST:
        raise invalid("Invalid integer: must be between 1 and 100", "limit", "parameter_invalid_integer")
    chosen = [each for each in things if _within(each.get("created", 0), params.get("created"))]
    before = params.get("ending_before")
    if before:
        end = _position(chosen, before, "ending_before")
        start = max(0, end - limit)
        return _list(chosen[start:end], url, has_more=start > 0)
    after = params.get("starting_after")
    start = _position(chosen, after, "starting_after") + 1 if after else 0
    return _list(chosen[start : start + limit], url, has_more=len(chosen) > start + limit)


def whole(things: Sequence[Thing], url: str) -> Thing:
    """Return a list inside an object, all on one page."""
    return {**_list(things, url, has_more=False), "total_count": len(things)}


def _list(things: Sequence[Thing], url: str, *, has_more: bool) -> Thing:
    return {"object": "list", "url": url, "has_more": has_more, "data": list(things)}


def _position(things: Sequence[Thing], key: str, param: str) -> int:
    for number, each in enumerate(things):
        if each["id"] == key:
            return number
    raise missing("object", key, param, status=400)


def _within(created: int, wanted: Any) -> bool:  # noqa: ANN401 - a time or bounds
    if wanted is None:
        return True
    if isinstance(wanted, int):
        return created == wanted
    checks = {"gt": created.__gt__, "gte": created.__ge__, "lt": created.__lt__, "lte": created.__le__}
    return all(checks[name](bound) for name, bound in wanted.items())
