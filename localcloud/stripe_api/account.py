"""What everything here shares: the account's objects, its clock, its settings and what is due when."""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable
from typing import Any

from localcloud.store import Store, Thing
from localcloud.stripe_api.errors import missing
from localcloud.stripe_api.events import difference, emit

_ALPHABET = string.ascii_letters + string.digits


class Account:
    """One Stripe account in test mode.

    Attributes:
        store: Holds everything, below ``stripe/``.
        wall: Seconds since 1970, outside.
    """

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self.store = store
        self.wall = clock

    def time(self) -> float:
        """Return the simulated time in seconds since 1970; it runs ahead of the wall clock by what was advanced."""
        return self.wall() + self.setting("clock").get("ahead", 0.0)

    def now(self) -> int:
        """Return the simulated time as the API writes it."""
        return int(self.time())

    def setting(self, name: str) -> Thing:
        """Return what a knob is set to; empty if it never was."""
        return self.store.get("stripe/setting", name) or {}

    def set(self, name: str, body: Thing) -> None:
        """Set a knob."""
        self.store.put("stripe/setting", name, body)

    def count_down(self, name: str, field: str = "count") -> Thing | None:
        """Return a knob that is set for so many times, using one of them up; None if it isn't set."""
        body = self.setting(name)
        if body.get(field, 0) <= 0:
            return None
        self.set(name, {**body, field: body[field] - 1})
        return body

    def new_id(self, prefix: str, length: int = 24) -> str:
        """Return an id that nothing had before."""
        return prefix + "".join(secrets.choice(_ALPHABET) for _ in range(length))

    def new(self, kind: str, prefix: str, /, **fields: Any) -> Thing:  # noqa: ANN401 - any JSON value
        """Return an object that isn't stored yet."""
        return {"id": self.new_id(prefix), "object": kind, "created": self.now(), "livemode": False, **fields}

    def all(self, kind: str) -> list[Thing]:
        """Return all objects of a kind (``checkout.session``), oldest first."""
        return self.store.all(f"stripe/{kind}")

    def find(self, kind: str, key: str | None) -> Thing | None:
        """Return an object, or None."""
        return self.store.get(f"stripe/{kind}", key) if key else None

    def need(self, kind: str, key: str, param: str | None = None) -> Thing:
        """Return an object; raise ApiError if there is none, 400 where a parameter named it."""
        thing = self.find(kind, key)
        if thing is None:
            raise missing(kind, key, param or "id", status=400 if param else 404)
        return thing

    def add(self, thing: Thing, event: str | None = None) -> Thing:
        """Store an object that is new."""
        self.store.put(f"stripe/{thing['object']}", thing["id"], thing)
        if event:
            emit(self, event, thing)
        return thing

    def change(self, thing: Thing, event: str | None = None) -> Thing:
        """Store an object that was changed; its ``updated`` event says what it was before, and is left out if same."""
        before = self.find(thing["object"], thing["id"]) or {}
        self.store.put(f"stripe/{thing['object']}", thing["id"], thing)
        previous = difference(before, thing)
        if event and (previous or not event.endswith(".updated")):
            emit(self, event, thing, previous if event.endswith(".updated") else None)
        return thing

    def remove(self, thing: Thing, event: str | None = None) -> Thing:
        """Delete an object; return what the API answers to that."""
        self.store.delete(f"stripe/{thing['object']}", thing["id"])
        if event:
            emit(self, event, thing)
        return {"id": thing["id"], "object": thing["object"], "deleted": True}

    def schedule(self, what: str, key: str, at: float) -> None:
        """Have something done to an object at a time; another time for the same replaces it."""
        self.store.put("stripe/due", f"{what} {key}", {"what": what, "key": key, "at": at})

    def unschedule(self, what: str, key: str) -> None:
        """Have it not done."""
        self.store.delete("stripe/due", f"{what} {key}")

    def due(self) -> list[Thing]:
        """Return what is to be done, soonest first."""
        return sorted(self.store.all("stripe/due"), key=lambda each: each["at"])
