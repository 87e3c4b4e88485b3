"""What differs between our account at Stripe and what it shall have: the changes, in their order, as data.

Pure; ``stripe_sync.py`` reads the account and makes the changes. An object is ours if its metadata says so; others are
never touched. Stripe lets many fields never change: an object whose fixed fields differ gets a successor, and is
switched off. Nothing is deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from webhook.stripe_catalogue import (
    CODES,
    COUPONS,
    ENDPOINTS,
    OURS,
    PART,
    PORTALS,
    PRICES,
    PRODUCTS,
    Part,
    Ref,
)

Raw = Mapping[str, Any]
State = Mapping[str, Sequence[Raw]]
"""Resource (``prices``) to all of the account's objects of that kind, ours and others."""

_OFF: Mapping[str, Mapping[str, Any]] = {
    PRODUCTS: {"active": False},
    PRICES: {"active": False},
    CODES: {"active": False},
    PORTALS: {"active": False},
    ENDPOINTS: {"disabled": True},
}
"""How an object is switched off; a coupon without a code needs no switch."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """One request that brings the account nearer to what it shall be.

    Attributes:
        part: Name of what it is about.
        resource: Where that is in the API.
        key: Id of the object to change; None makes one.
        params: To send; a ``Ref`` in them is to a part that an earlier change makes.
        now: The values that differ, as they are; None where there is no object.
    """

    part: str
    resource: str
    key: str | None
    params: Mapping[str, Any]
    now: Mapping[str, Any] | None

    @property
    def makes_endpoint(self) -> bool:
        """Whether the answer has a signing secret that is told once."""
        return self.resource == ENDPOINTS and self.key is None


@dataclass(frozen=True, kw_only=True)
class Differences:
    """What has to be done, and what is in the way.

    Attributes:
        changes: In the order in which they have to be made.
        conflicts: Others' objects that are in the way, each with the fix; nothing can be applied meanwhile.
        notes: What a person should know; stops nothing.
    """

    changes: tuple[Change, ...]
    conflicts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def differences(state: State, parts: Sequence[Part]) -> Differences:
    """Return what has to be changed so that the account has the parts.

    Args:
        state: All objects of the account.
        parts: What it shall have; a part comes after those that it refers to.
    """
    ids: dict[str, str] = {}
    before: list[Change] = []
    during: list[Change] = []
    after: list[Change] = []
    last: list[Change] = []
    for part in parts:
        mine = [each for each in state[part.resource] if _is(each, part.name)]
        fitting = [each for each in mine if not _different(_known(part.fixed, ids), each)]
        chosen = min(fitting, key=_rank, default=None)
        if chosen is not None:
            ids[part.name] = chosen["id"]
        made = list(_changed(part, chosen, ids, state))
        (last if part.resource == ENDPOINTS else during).extend(made)
        if part.resource == ENDPOINTS and chosen is None:
            continue  # the old one serves until the new one's secret is in place; the next run switches it off
        former = (each for each in mine if each is not chosen)
        (before if part.resource == CODES else after).extend(_off(part.name, part.resource, former))
    before.extend(_gone(state, parts, CODES))
    after.extend(change for resource in (PRICES, PRODUCTS) for change in _gone(state, parts, resource))
    return Differences(
        changes=(*before, *during, *after, *last),
        conflicts=tuple(_conflicts(state, parts)),
        notes=tuple(_strangers(state, parts)),
    )


def resolved(value: Any, ids: Mapping[str, str]) -> Any:  # noqa: ANN401 - any tree of parameters
    """Return parameters with ids in the place of references.

    Raises:
        KeyError: a part was not made yet.
    """
    if isinstance(value, Ref):
        return ids[value.part]
    if isinstance(value, Mapping):
        return {name: resolved(each, ids) for name, each in value.items()}
    return [resolved(each, ids) for each in value] if isinstance(value, list | tuple) else value


def ours(things: Iterable[Raw]) -> list[Raw]:
    """Return those of an account's objects that we made."""
    return [each for each in things if _ours(each)]


def _changed(part: Part, chosen: Raw | None, ids: Mapping[str, str], state: State) -> Iterator[Change]:
    """Yield the change that makes a part, or brings it up to date."""
    params = _known(part.params, ids)
    key = params.get("lookup_key")
    moves = key is not None and any(each.get("lookup_key") == key and each is not chosen for each in state[PRICES])
    transfer = {"transfer_lookup_key": True} if moves else {}
    if chosen is None:
        # Whatever is made is on, and not every resource takes its switch at that moment.
        new = {name: value for name, value in params.items() if name not in {"active", "disabled"}}
        all_new = {**_known(part.fixed, ids), **new, **transfer}
        yield Change(part=part.name, resource=part.resource, key=None, params=all_new, now=None)
        return
    if part.resource == CODES and _used_up(chosen, state):
        del params["active"]
    different = _different(params, chosen)
    if different:
        send = {name: value for name, value in params.items() if name in different}
        send |= transfer if "lookup_key" in send else {}
        yield Change(part=part.name, resource=part.resource, key=chosen["id"], params=send, now=different)


def _off(name: str, resource: str, things: Iterable[Raw]) -> Iterator[Change]:
    """Yield the changes that switch off what is still on."""
    params = _OFF.get(resource, {})
    for thing in things:
        different = _different(params, thing)
        if different:
            label = f"{name} (former, {thing['id']})"
            yield Change(part=label, resource=resource, key=thing["id"], params=params, now=different)


def _gone(state: State, parts: Sequence[Part], resource: str) -> Iterator[Change]:
    """Yield the changes that switch off what no part asks for any more."""
    names = {part.name for part in parts}
    for thing in state[resource]:
        name = (thing.get("metadata") or {}).get(PART)
        if _ours(thing) and name is not None and name not in names:
            yield from _off(name, resource, [thing])


def _used_up(code: Raw, state: State) -> bool:
    """Whether a code can't be switched on, as its coupon has been given to all that it is for."""
    coupon = next((each for each in state[COUPONS] if each["id"] == code["promotion"]["coupon"]), None)
    return coupon is not None and not coupon["valid"]


def _different(params: Mapping[str, Any], thing: Raw) -> dict[str, Any]:
    """Return the values of a thing that are not as the parameters say: only what they name counts."""
    found: dict[str, Any] = {}
    for name, value in params.items():
        now = thing["status"] == "disabled" if name == "disabled" else thing.get(name)
        if not _same(value, now):
            found[name] = now
    return found


def _same(value: Any, now: Any) -> bool:  # noqa: ANN401 - any tree of parameters
    if isinstance(value, Mapping):
        return isinstance(now, Mapping) and all(_same(each, now.get(name)) for name, each in value.items())
    if isinstance(value, list):  # their order means nothing in any of ours
        return (
            isinstance(now, list)
            and len(now) == len(value)
            and all(any(_same(each, one) for one in now) for each in value)
        )
    return bool(value == now)


def _known(params: Mapping[str, Any], ids: Mapping[str, str]) -> dict[str, Any]:
    """Return parameters with the ids that are known; a part that has to be made stays a reference, equal to no id."""

    def known(value: Any) -> Any:  # noqa: ANN401 - any tree of parameters
        if isinstance(value, Ref):
            return ids.get(value.part, value)
        if isinstance(value, Mapping):
            return {name: known(each) for name, each in value.items()}
        return [known(each) for each in value] if isinstance(value, list) else value

    return {name: known(each) for name, each in params.items()}


def _conflicts(state: State, parts: Sequence[Part]) -> Iterator[str]:
    keys = {part.fields["lookup_key"] for part in parts if part.resource == PRICES}
    for each in state[PRICES]:
        if each.get("lookup_key") in keys and not _ours(each):
            yield (
                f"price {each['id']} is not ours but has the lookup key {each['lookup_key']}, by which ours is found."
                " Fix: take the key off it in Stripe."
            )
    codes = {part.fixed["code"].lower() for part in parts if part.resource == CODES}
    for each in state[CODES]:
        if each["code"].lower() in codes and each["active"] and not _ours(each):
            yield (
                f"promotion code {each['id']} is not ours but is called {each['code']}."
                " Fix: choose another one with --launch-code, or deactivate it in Stripe."
            )


def _strangers(state: State, parts: Sequence[Part]) -> Iterator[str]:
    urls = {part.fields["url"] for part in parts if part.resource == ENDPOINTS}
    for each in state[ENDPOINTS]:
        if each["url"] in urls and each["status"] == "enabled" and not _ours(each):
            yield (
                f"webhook endpoint {each['id']} is not ours but sends to {each['url']} too, signed with another secret."
                " Fix: delete it in Stripe unless somebody needs it."
            )


def _rank(thing: Raw) -> tuple[bool, int, str]:
    """Of several the one that is on, then the oldest: a second run chooses the same one."""
    return not (thing.get("active", True) and thing.get("status") != "disabled"), thing["created"], thing["id"]


def _ours(thing: Raw) -> bool:
    return (thing.get("metadata") or {}).items() >= OURS.items()


def _is(thing: Raw, name: str) -> bool:
    return _ours(thing) and thing["metadata"].get(PART) == name
